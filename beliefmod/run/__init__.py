"""A run on disk: its folder, lock, manifest, sources, and what an earlier attempt left."""
