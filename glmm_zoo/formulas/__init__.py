"""Formulas: lme4's notation is parsed, never evaluated, and coded on a table. No PyMC.

The way of a formula: `tokens` cuts it, `grammar` makes `terms` of the tokens (with `expressions` for what stands in calls,
`expansion` for what products stand for and `event_formula` for Surv()), and `predictor` codes the terms on a table: `population` as a design matrix, `group_effects` as
grouping factors with their effects, `smooths` as bases. `names` makes names of variables from names of columns.
"""
