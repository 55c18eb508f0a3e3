"""upgrader: release engineering for hospitals."""

__version__ = "0.1.0"
