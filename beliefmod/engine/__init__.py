"""Many trials trained and questioned at once on one frozen base."""
