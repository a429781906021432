"""What a belief is about: quantities with units, names."""
