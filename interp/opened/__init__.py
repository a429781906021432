"""A finished run opened to be looked into, and what would give numbers that mean nothing."""
