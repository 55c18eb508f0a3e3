"""Approval: people give their word, and the gate says whether that is enough for exactly this."""
