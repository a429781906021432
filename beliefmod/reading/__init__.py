"""Completion to verdict: which value the answer and the thinking assert, and whether the text is intact."""
