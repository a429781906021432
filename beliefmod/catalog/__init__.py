"""Models that can be fetched by name, and the cache folder in which fetched and converted models are kept."""
