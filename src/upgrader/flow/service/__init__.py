"""Service: what begins and goes on by itself, while nobody types."""
