"""Joint models of markers and the time to an event: follow-up, trajectories, hazard, likelihood, and predictions from a fit."""
