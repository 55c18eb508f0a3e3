"""Papers: what a change is shown by, on the day and years later."""
