"""Arms read at positions of the questions about a belief, and the rows of readings that come of it."""
