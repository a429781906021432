"""Every table of a run: its columns with type, unit and meaning."""
