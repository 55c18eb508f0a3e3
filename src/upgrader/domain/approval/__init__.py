"""Approval: whose word counts, what it covers, and when it is enough."""
