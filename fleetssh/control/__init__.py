"""When things happen: operator commands, one pass, the clock."""
