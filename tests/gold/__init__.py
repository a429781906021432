"""Completions of real models, labelled by hand, and how often the scorer reads them as labelled."""
