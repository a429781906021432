"""A sealed run: its plan is hashed before the first trial, and every file as it is written, in one chain."""
