"""Reading the residual stream: lenses, positions, trajectories, and their intervals."""
