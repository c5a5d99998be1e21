"""Formulas: lme4's notation is parsed, never evaluated, and coded on a table as design matrices, group effects and smooths. No PyMC."""
