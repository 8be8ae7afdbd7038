"""inventories/*.yml to hosts and how to reach them."""
