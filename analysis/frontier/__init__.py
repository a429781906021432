"""Adoption against damage: seeds pooled, the non-dominated set, and how sure it is."""
