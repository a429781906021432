"""The residual stream of the packed model, and the lenses that read tokens from it."""
