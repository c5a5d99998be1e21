"""Fits again: variations of a fit, fits without a level, fits with wider and narrower priors."""
