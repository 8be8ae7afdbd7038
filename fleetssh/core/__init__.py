"""What is true and what should follow: pure values, no I/O, no clock, no randomness."""
