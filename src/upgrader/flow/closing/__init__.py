"""Closing: is it stable, does the hospital accept it, and what is left for whoever asks years later."""
