"""Thresholds between ordered categories whose distances depend on covariates: partial proportional odds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.families.ordinal import threshold_steps
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.cells import rows_of_levels
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.priors import Parameter, Prior, coefficients


@dataclass(frozen=True)
class Nominal:
    """Thresholds whose distances depend on covariates w: log step_k(w) = log step_k + (w - mean)' gamma_k, k >= 1.

    `patterns` (m, q) are the distinct rows of w - mean, `pattern` (n,) is which of them a row has. `labels` name gamma,
    q times K - 2, covariate by covariate. `facts` hold the mean of each covariate, and two of its values to compare. Where
    products among w are taken at the means of their covariates, `to_zero` makes gamma at zero of gamma there.
    """

    patterns: np.ndarray
    pattern: np.ndarray
    parameter: Parameter
    labels: tuple[str, ...]
    facts: Mapping[str, Mapping[str, float]]
    to_zero: np.ndarray | None


def read_nominal(
    asked: PredictorDesign,
    main: PredictorDesign,
    levels: tuple[str, ...],
    center: bool,
    others: Sequence[PredictorDesign] = (),
) -> Nominal:
    """Check and prepare what `nominal=` named; with `center` products are taken at the means of their covariates.

    A column of `others`, which stretch all distances alike, cannot change them one by one too.
    """
    W = asked.population
    absent = [label for label in W.labels if label not in main.population.labels]
    if asked.effects or asked.smooths or W.monotonic or W.missing or asked.offset is not None or not W.labels:
        raise InputError(
            "nominal names columns of the formula, '~ x + z', without group terms, s(), mo(), mi() and offset(): "
            f"{asked.formula.text!r} {'has some' if W.labels else 'names no column'}"
        )
    if absent:
        raise InputError(
            f"nominal: {listing(map(repr, absent))} must be in the formula too, whose coefficient moves the first "
            f"threshold; add {listing(dict.fromkeys(asked.formula.predictor_columns))} to the formula"
        )
    twice = [label for label in W.labels if any(label in other.population.labels for other in others)]
    if twice:
        raise InputError(
            f"nominal and disc both have {listing(map(repr, twice))}: whether it moves the thresholds one by one or stretches all of them "
            "cannot be told apart; leave it out of one of the two"
        )
    if len(levels) < 3:
        raise InputError(
            f"nominal lets the distances between cutpoints differ and needs at least 3 levels; the response has {len(levels)}"
        )
    uppers = [f"{a}|{b}" for a, b in pairwise(levels)][1:]
    labels = tuple(f"{label}: {upper}" for label in W.labels for upper in uppers)
    # Half a unit of log distance for a covariate's spread: a step 1.65 times as long or short. Arbitrary.
    defaults = [Prior("Normal", {"mu": 0.0, "sigma": float(f"{0.5 / d:.4g}")}) for d in W.spreads for _ in uppers]
    patterns, pattern = np.unique(W.values, axis=0, return_inverse=True)
    W = W if center else replace(W, to_zero=None)
    columns, to_zero = W.values, None
    if W.to_zero is not None:
        columns, to_zero = W.values @ W.to_zero, np.kron(W.to_zero, np.eye(len(uppers)))
    facts = {
        label: {"mean": float(m), "low": low, "high": high}
        for label, m, (low, high) in zip(W.labels, columns.mean(axis=0), map(_two_values, columns.T), strict=True)
    }
    gamma = coefficients("nominal_beta", labels, defaults)
    return Nominal(replace(W, values=patterns).centred, pattern.ravel(), gamma, labels, facts, to_zero)


def separated_thresholds(outcome: Outcome, W: DesignMatrix) -> list[str]:
    """Sentences for levels of nominal covariates without a row of some category: nothing bounds the distance of its thresholds there."""
    sentences = []
    for name, words, rows in rows_of_levels(W):
        lacking = [repr(outcome.levels[int(k)]) for k in np.setdiff1d(outcome.values, outcome.values[rows])]
        if rows.any() and lacking:
            sentences.append(
                f"nominal: no row of {listing(lacking, 5)} among the {plural(int(rows.sum()), 'row')} where {words}; what nominal says of {name} "
                "there rests on its prior"
            )
    return sentences


def _two_values(x: np.ndarray) -> tuple[float, float]:
    """The values of a column that has two, else its mean less and plus half its standard deviation."""
    if len(np.unique(x)) == 2:
        return float(x.min()), float(x.max())
    return float(x.mean() - 0.5 * x.std()), float(x.mean() + 0.5 * x.std())


def nominal_steps(cutpoints: Tensor, nominal: Nominal, gamma: Tensor) -> Tensor:
    """The steps of every pattern of a model's nominal covariates."""
    import pymc as pm

    return threshold_steps(cutpoints, pm.Data("_nominal_X", nominal.patterns), gamma)
