"""The hospital: its systems, what they need of each other, what they run, and when they must."""
