"""Results: what is said of a fit, from its file alone."""
