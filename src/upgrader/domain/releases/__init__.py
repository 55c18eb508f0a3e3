"""Releases: what vendors deliver."""
