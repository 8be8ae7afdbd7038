"""Who asks: one file per family of verbs."""
