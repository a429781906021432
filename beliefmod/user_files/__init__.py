"""Files that users write, read with places: a complaint names its file, its line and what to do."""
