"""Files that users write: read with places, so that every complaint names its file, its line and what to do."""
