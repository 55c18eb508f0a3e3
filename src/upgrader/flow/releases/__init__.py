"""Releases: how a vendor's drop becomes ours, who says that it was tested, and which ones are bad."""
