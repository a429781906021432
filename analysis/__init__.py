"""Reads run folders: frontier, intervals, charts, report. Never torch, never ray."""
