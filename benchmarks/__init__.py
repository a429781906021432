"""Measurements beside what one would otherwise use, run from the checkout; `make bench` runs all."""
