"""The world: one foreign library or program per file, each letting only our own errors out."""
