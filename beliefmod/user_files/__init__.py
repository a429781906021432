"""Files that users write: read with places, so that a complaint names its file, line and mend."""
