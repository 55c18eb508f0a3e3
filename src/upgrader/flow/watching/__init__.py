"""Watching: what is so, on changes, systems, hosts and this machine. Changes nothing."""
