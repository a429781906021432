"""A finished run opened to be looked into: its trials and arms, its model, and guards against false numbers."""
