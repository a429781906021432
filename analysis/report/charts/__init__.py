"""Charts of a run: tables in, altair charts out."""
