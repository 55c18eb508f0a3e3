"""Changes: what is asked for, what will run, and what became of it."""
