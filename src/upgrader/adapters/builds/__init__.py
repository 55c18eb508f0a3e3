"""Builds: the vendor's drop, what can be told of it, and the store."""
