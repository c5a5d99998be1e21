"""A data frame with every kind of column, its columns as arrays, and formulas coded on it."""

import numpy as np
import pandas as pd

from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.predictor import code_predictor
from glmm_zoo.tables.frames import take_columns

N = 60
RNG = np.random.default_rng(20)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "z": RNG.uniform(1, 2, N),
        "k": RNG.integers(0, 4, N),
        "a": RNG.choice(list("pqr"), N),
        "b": RNG.choice(["no", "yes"], N),
        "flag": RNG.random(N) > 0.5,
        "g": RNG.choice([f"g{i}" for i in range(8)], N),
        "h": RNG.integers(1, 7, N),
    }
).assign(cat=lambda d: pd.Categorical(d.a, ["r", "unused", "q", "p"]))
Y, X, Z, K, A, B, FLAG, G, H = (DATA[c].to_numpy() for c in ["y", "x", "z", "k", "a", "b", "flag", "g", "h"])
ONE = np.ones(N)


def code(formula, data=DATA):
    parsed = parse_formula(formula)
    return code_predictor(parsed, take_columns(data, parsed.columns))


def indicators(column, *levels):
    """Indicators of levels, named and coded by hand."""
    return [(column == level) * 1.0 for level in levels]


def indicators_of_all(values):
    """A column for each level."""
    return indicators(values, *np.unique(values))
