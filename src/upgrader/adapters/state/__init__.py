"""State: journals, locks, and what else the state folder keeps."""
