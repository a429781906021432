"""Does it fit, and how fast: memory and time before a sweep, and the limit that it came near to."""
