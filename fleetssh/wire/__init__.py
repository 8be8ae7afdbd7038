"""How a visit is said (POSIX sh) and heard; still pure."""
