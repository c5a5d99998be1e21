"""Student-t responses: any number, with tails that let single values be far off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from glmm_zoo.families import moments
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.gaussian import read_gaussian
from glmm_zoo.families.law import Law, mass_between
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tails import both_tails, is_shared, log_beta_tail, log_even_beta_tail_between
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor
from glmm_zoo.formulas.terms import Response
from glmm_zoo.priors import Prior, parameter, sd_default
from glmm_zoo.tables.columns import Table

_NU = parameter(
    "nu", "positive", Prior("Gamma", {"alpha": 2.0, "beta": 0.1})
)  # Juarez & Steel 2010; brms's, which has nu > 1
_LARGE = 1000.0


def _read(table: Table, response: Response, _: object) -> Outcome:
    outcome = read_gaussian(table, response)
    return replace(outcome, description=f"{outcome.name}: Student-t, identity link")


def log_gamma_ratio(nu: Array) -> Array:
    """log Gamma((nu + 1) / 2) - log Gamma(nu / 2) - log(nu / 2) / 2, which is 0 for nu = infinity.

    From nu = 1000 on it is its series, to 1e-13, since the difference loses its digits.
    """
    pt = functions_of(nu)
    near, far = pt.minimum(nu, _LARGE), pt.maximum(nu, _LARGE)
    direct = pt.gammaln(0.5 * near + 0.5) - pt.gammaln(0.5 * near) - 0.5 * pt.log(0.5 * near)
    return pt.switch(nu < _LARGE, direct, -1 / (4 * far) + 1 / (24 * far**3))


def student_t_log_f(y: Array, eta: Array, log_sigma: Array, nu: Array) -> Array:
    """log Gamma((nu + 1) / 2) / (Gamma(nu / 2) sqrt(nu pi) sigma) - (nu + 1) / 2 log(1 + z^2 / nu), z = (y - eta) / sigma."""
    pt = functions_of(nu)
    z = (y - eta) * pt.exp(-log_sigma)
    level = log_gamma_ratio(nu) - 0.5 * np.log(2 * np.pi)
    return level - log_sigma - 0.5 * (nu + 1) * pt.log1p(z * z / nu)


def _observe(name: str, outcome: Outcome, eta: Tensor, _: str, own: Mapping[str, Tensor]) -> None:
    """y_i ~ StudentT(nu, eta_i, sigma_i)."""
    import pymc as pm

    pt = import_pytensor()

    def draw(eta: Tensor, log_sigma: Tensor, nu: Tensor, size: object) -> Tensor:
        return pm.StudentT.dist(nu=nu, mu=eta, sigma=pt.exp(log_sigma), size=size)

    observe_rows(name, "StudentT", outcome, [eta, own["sigma"], own["nu"]], student_t_log_f, draw)


def _moments(eta: np.ndarray, own: moments.Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    """eta and sigma^2 nu / (nu - 2), infinite for nu <= 2"""
    nu = own["nu"]
    spread = own["sigma"] ** 2 * np.where(nu > 2, nu / np.where(nu > 2, nu - 2, 1.0), np.inf)
    return eta, np.broadcast_to(spread, eta.shape)


def _log_density(y: np.ndarray, eta: np.ndarray, own: moments.Own, link: str, trials: np.ndarray | None) -> np.ndarray:
    return student_t_log_f(y, eta, own["sigma"], own["nu"])


def _draw(rng: np.random.Generator, eta: np.ndarray, own: moments.Own, link: str) -> np.ndarray:
    return eta + own["sigma"] * rng.standard_t(np.broadcast_to(own["nu"], eta.shape))


def _log_mass(low: Any, high: Any, eta: Array, own: Mapping[str, Array]) -> Array:
    """Of z = (y - eta) / sigma = sqrt(nu) sinh(x / 2), whose x is the logit of a Beta(nu / 2, nu / 2) variable."""
    log_sigma, nu = own["sigma"], own["nu"]
    pt = functions_of(eta)

    def tails(y: np.ndarray) -> tuple[Array, Array]:
        z = (y - eta) * pt.exp(-log_sigma)
        if is_shared(nu):
            r = z * z / nu
            small = log_gamma_ratio(nu) - 0.5 * np.log(8 * np.pi) + 0.5 * pt.log(nu) - 0.5 * nu * pt.log1p(r)
            tau = pt.abs(z) / pt.sqrt(nu + z * z)
            return both_tails(z < 0, small + log_even_beta_tail_between(0.5 * nu, tau))
        far = pt.abs(z) / pt.sqrt(nu)
        x = 2 * pt.log(far + pt.sqrt(1 + far * far))
        log_slope = log_sigma + 0.5 * (pt.log(nu) + pt.log1p(far * far)) - np.log(2)
        small = student_t_log_f(y, eta, log_sigma, nu) + log_slope + log_beta_tail(0.5 * nu, 0.5 * nu, -x)
        return both_tails(z < 0, small)

    return mass_between(low, high, tails)


def _within(low: float, high: float, eta: np.ndarray, own: moments.Own) -> tuple[np.ndarray, np.ndarray]:
    """eta + sigma E(z) and sigma^2 var(z): with P the probability between the ends a and b of z, and P' that of
    sqrt(nu / (nu - 2)) times a Student-t variable of nu - 2 degrees of freedom,

        E(z) = ((nu + a^2) f(a) - (nu + b^2) f(b)) / ((nu - 1) P),    E(z^2) = nu ((nu - 1) / (nu - 2) P' / P - 1)

    The mean is infinite for nu <= 1 where an end is open, the variance for nu <= 2, and then so is what is given for it.
    """
    nu, sigma = own["nu"], np.exp(own["sigma"])
    log_mass = _log_mass(low, high, eta, own)

    def weighted(end: float) -> Any:
        if np.all(np.isinf(end)):
            return 0.0
        return (
            (nu + ((end - eta) / sigma) ** 2) * np.exp(student_t_log_f(end, eta, own["sigma"], nu) - log_mass) * sigma
        )

    first = np.where(nu > 1, (weighted(low) - weighted(high)) / np.where(nu > 1, nu - 1, 1.0), np.inf)
    less = np.where(nu > 2, nu - 2, 1.0)
    ratio = np.exp(_log_mass(low, high, eta, {"sigma": own["sigma"] + 0.5 * np.log(nu / less), "nu": less}) - log_mass)
    spread = nu * ((nu - 1) / less * ratio - 1) - first**2
    return np.clip(eta + sigma * first, low, high), np.where(nu > 2, sigma**2 * np.maximum(spread, 0.0), np.inf)


def _frozen(eta: np.ndarray, own: moments.Own) -> Any:
    from scipy import stats  # slow to import

    return stats.t(own["nu"], eta, own["sigma"])


STUDENT_T = Family(
    "student_t",
    ("identity",),
    _read,
    _observe,
    _moments,
    _log_density,
    responses="measured",
    called="Student-t",
    distribution="varies around its mean μ with a Student-t distribution of ν degrees of freedom and scale σ",
    formula="StudentT(ν, μ, σ)",
    own=(
        OwnParameter(
            "sigma", "log", lambda outcome: parameter("sigma", "positive", sd_default(1.0, outcome.scale)), option="dispersion",
            location=lambda outcome: float(np.log(outcome.scale)),
            words="the residual scale", symbol="σ", allows="Median {middle}{unit}, {inner} below {most}{unit}",
            why="the mean is one standard deviation of the response",
        ),
        OwnParameter(
            "nu", "identity", lambda _: _NU, words="the degrees of freedom", symbol="ν",
            allows="From {low}, tails that let single values be far off, to {high}, nearly normal ({inner})",
            why="from heavy tails to nearly normal ones (Juárez and Steel 2010); brms has the same above 1",
        ),
    ),
    draw=_draw,
    law=Law(_log_mass, _within, _frozen),
)  # fmt: skip
