"""Measurements of this project, side by side in one run: `make bench`. Times are noisy: quote ratios and CPU."""
