"""Gaussian responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.families import log_densities, moments
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.law import Law, normal_mass
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Array, Tensor, import_pytensor
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.formulas.terms import Response
from glmm_zoo.priors import Parameter, parameter, sd_default
from glmm_zoo.tables.columns import Table


def read_gaussian(table: Table, response: Response) -> Outcome:
    """Any real response with more than one value."""
    if response.trials is not None:
        raise InputError("trials() belongs to a binomial response; a Gaussian one is y ~ ...")
    name = response.value.text
    if response.value.kind == "factor":
        raise InputError(f"the response is numeric here; write {name} ~ ... without C()")
    y = evaluate_expression(response.value, table)
    if len(y) > 1 and np.all(y == y[0]):
        raise InputError(f"response {name!r} has a single value ({y[0]:g}) in every row; there is nothing to model")
    return Outcome(name, y, None, float(np.mean(y)), float(np.std(y)), f"{name}: Gaussian, identity link")


def observe_gaussian(name: str, outcome: Outcome, eta: Tensor, log_sigma: Tensor) -> None:
    """y_i ~ Normal(eta_i, sigma_i)."""
    import pymc as pm

    exp = import_pytensor().exp
    if outcome.weights is None:
        y = pm.Data(f"_{name}_observed", outcome.values, dims=outcome.dim)
        pm.Normal(name, mu=eta, sigma=exp(log_sigma), observed=y, dims=outcome.dim)
        return

    def log_f(y: Tensor, eta: Tensor, log_sigma: Tensor) -> Tensor:
        return log_densities.gaussian_log_density(y, eta, {"sigma": log_sigma}, "identity", None)

    def draw(eta: Tensor, log_sigma: Tensor, size: object) -> Tensor:
        return pm.Normal.dist(mu=eta, sigma=exp(log_sigma), size=size)

    observe_rows(name, "Normal", outcome, [eta, log_sigma], log_f, draw)


def _observe(name: str, outcome: Outcome, eta: Tensor, _: str, own: Mapping[str, Tensor]) -> None:
    observe_gaussian(name, outcome, eta, own["sigma"])


def _sigma(outcome: Outcome) -> Parameter:
    return parameter("sigma", "positive", sd_default(1.0, outcome.scale))


def _log_mass(low: Any, high: Any, eta: Array, own: Mapping[str, Array]) -> Array:
    return normal_mass(low, high, eta, own["sigma"])


def _within(low: float, high: float, eta: np.ndarray, own: moments.Own) -> tuple[np.ndarray, np.ndarray]:
    """eta + sigma e and sigma^2 (1 + (a phi(a) - b phi(b)) / P - e^2), with the ends a and b in standard deviations, P the probability
    between them and e = (phi(a) - phi(b)) / P."""
    sigma, log_mass = np.exp(own["sigma"]), _log_mass(low, high, eta, own)

    def at(end: float) -> tuple[np.ndarray, np.ndarray]:
        z = (end - eta) / sigma
        density = np.exp(-0.5 * z * z - 0.5 * np.log(2 * np.pi) - log_mass)
        return density, z * density if np.all(np.isfinite(end)) else density

    (f_low, zf_low), (f_high, zf_high) = at(low), at(high)
    mean = np.clip(eta + sigma * (f_low - f_high), low, high)
    return mean, np.maximum(sigma**2 * (1 + zf_low - zf_high - (f_low - f_high) ** 2), 0.0)


def _frozen(eta: np.ndarray, own: moments.Own) -> Any:
    from scipy import stats  # slow to import

    return stats.norm(eta, own["sigma"])


GAUSSIAN = Family(
    "gaussian",
    ("identity",),
    lambda table, response, _: read_gaussian(table, response),
    _observe,
    moments.gaussian_moments,
    log_densities.gaussian_log_density,
    responses="measured",
    called="linear",
    distribution="varies around its mean μ with a normal distribution of standard deviation σ",
    formula="Normal(μ, σ²)",
    own=(
        OwnParameter(
            "sigma", "log", _sigma, option="dispersion", location=lambda outcome: float(np.log(outcome.scale)),
            words="the residual standard deviation", symbol="σ",
            allows="Median {middle}{unit}, {inner} below {most}{unit}", why="the mean is one standard deviation of the response",
        ),
    ),
    draw=lambda rng, eta, own, _: rng.normal(eta, np.broadcast_to(own["sigma"], eta.shape)),
    law=Law(_log_mass, _within, _frozen),
)  # fmt: skip
