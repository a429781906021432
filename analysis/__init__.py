"""Rows of a run folder in, frontier, charts and report out. Imports neither torch nor ray."""
