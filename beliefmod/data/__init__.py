"""Belief + configuration + tokenizer in, token rows with a loss mask out."""
