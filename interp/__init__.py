"""Adapters in, logit-lens rows out."""
