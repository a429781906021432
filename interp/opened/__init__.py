"""A finished run opened to be looked into: its trials, arms and model, and guards against false numbers."""
