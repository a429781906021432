"""Inside the model: where in its layers a belief is read, written and carried. Reads a run, adds `lens/`."""
