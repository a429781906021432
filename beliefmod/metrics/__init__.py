"""What is measured: the registry of metrics, and probe rows to rates, damage and intervals."""
