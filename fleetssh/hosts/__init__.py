"""Who carries a visit to a machine."""
