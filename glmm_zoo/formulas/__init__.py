"""Formulas: lme4's notation, and what it makes of a table."""
