"""The graph: the pieces of a linear predictor and its likelihood in PyMC."""
