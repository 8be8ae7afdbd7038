"""Where decisions live."""
