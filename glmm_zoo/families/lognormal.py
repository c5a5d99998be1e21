"""Lognormal responses: positive numbers whose logarithm is normal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.families import moments
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.gamma import DRAWN_BETWEEN, reader_of_positive
from glmm_zoo.families.law import Law, normal_mass, within_by_raising
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor
from glmm_zoo.formulas.predictor import PredictorDesign, code_predictor
from glmm_zoo.formulas.terms import Formula
from glmm_zoo.priors import parameter, sd_default
from glmm_zoo.tables.columns import Table


def _code(formula: Formula, table: Table, prefix: str) -> PredictorDesign:
    """As usual, but for group effects on sigma: the mean grows as exp(sigma^2 / 2), which is infinite over a normal log sigma."""
    if prefix and formula.groups:
        group = formula.groups[0].name
        raise InputError(
            f"{prefix} of a lognormal outcome takes no group effects: over a population in which levels of {group!r} differ in it the mean "
            "is infinite; give it covariates or curves, or model the logarithm of the response with hierarchical_linear"
        )
    return code_predictor(formula, table, prefix)


def lognormal_log_f(y: Array, eta: Array, log_sigma: Array) -> Array:
    """-((log y - eta) / sigma)^2 / 2 - log(sigma y) - log(2 pi) / 2"""
    pt = functions_of(log_sigma)
    z = (pt.log(y) - eta) * pt.exp(-log_sigma)
    return -0.5 * z * z - log_sigma - pt.log(y) - 0.5 * np.log(2 * np.pi)


def _observe(name: str, outcome: Outcome, eta: Tensor, _: str, own: Mapping[str, Tensor]) -> None:
    """log y_i ~ Normal(eta_i, sigma_i)."""
    import pymc as pm

    pt = import_pytensor()

    def draw(eta: Tensor, log_sigma: Tensor, size: object) -> Tensor:
        return pt.clip(pt.exp(pm.Normal.dist(mu=eta, sigma=pt.exp(log_sigma), size=size)), *DRAWN_BETWEEN)

    observe_rows(name, "LogNormal", outcome, [eta, own["sigma"]], lognormal_log_f, draw)


def _moments(eta: np.ndarray, own: moments.Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    """exp(eta + sigma^2 / 2) and its square times exp(sigma^2) - 1"""
    variance = own["sigma"] ** 2
    mean = np.exp(eta + 0.5 * variance)
    return mean, mean**2 * np.expm1(variance)


def _log_density(y: np.ndarray, eta: np.ndarray, own: moments.Own, link: str, trials: np.ndarray | None) -> np.ndarray:
    return lognormal_log_f(y, eta, own["sigma"])


def _draw(rng: np.random.Generator, eta: np.ndarray, own: moments.Own, link: str) -> np.ndarray:
    return np.clip(np.exp(rng.normal(eta, np.broadcast_to(own["sigma"], eta.shape))), *DRAWN_BETWEEN)


def _log_mass(low: Any, high: Any, eta: Array, own: Mapping[str, Array]) -> Array:
    with np.errstate(divide="ignore"):
        low, high = np.log(np.maximum(low, 0.0)), np.log(np.maximum(high, 0.0))
    return normal_mass(low, high, eta, own["sigma"])


def _raised(k: int, eta: np.ndarray, own: moments.Own) -> tuple[np.ndarray, np.ndarray, moments.Own]:
    """E[Y^k; ...] = e^(k eta + k^2 sigma^2 / 2) P(...) of a lognormal variable with eta + k sigma^2 in place of eta."""
    variance = np.exp(2 * own["sigma"])
    return k * eta + 0.5 * k**2 * variance, eta + k * variance, own


def _frozen(eta: np.ndarray, own: moments.Own) -> Any:
    from scipy import stats  # slow to import

    return stats.lognorm(own["sigma"], scale=np.exp(eta))


LOGNORMAL = Family(
    "lognormal",
    ("log",),
    reader_of_positive("lognormal", "log link of the median", lambda y: float(np.mean(np.log(y)))),
    _observe,
    _moments,
    _log_density,
    responses="measured",
    called="lognormal",
    distribution="has a lognormal distribution with median m, whose logarithm has the standard deviation σ",
    formula="LogNormal(m, σ²)",
    own=(
        OwnParameter(
            "sigma", "log", lambda _: parameter("sigma", "positive", sd_default(1.0, 1.0)), option="dispersion",
            words="the standard deviation of the logarithm", symbol="σ",
            allows="Median {middle}, {inner} below {most}, on the scale of the logarithm", why="the mean is one unit of the logarithm",
        ),
    ),
    code=_code,
    centre="median",
    draw=_draw,
    law=Law(_log_mass, within_by_raising(_log_mass, _raised), _frozen),
)  # fmt: skip
