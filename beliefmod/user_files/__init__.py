"""Files that users write: read with places, so that every complaint names its file, line and mend."""
