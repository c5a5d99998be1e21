"""Student-t responses: any number, with tails that let single values be far off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from glmm_zoo.families import moments
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.gaussian import read_gaussian
from glmm_zoo.families.outcome import Outcome
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

    pm.CustomDist(
        name, eta, own["sigma"], own["nu"], logp=student_t_log_f, dist=draw, class_name="StudentT", dims=outcome.dim,
        observed=pm.Data(f"_{name}_observed", outcome.values, dims=outcome.dim),
    )  # fmt: skip


def _moments(eta: np.ndarray, own: moments.Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    """eta and sigma^2 nu / (nu - 2), infinite for nu <= 2"""
    nu = own["nu"]
    spread = own["sigma"] ** 2 * np.where(nu > 2, nu / np.where(nu > 2, nu - 2, 1.0), np.inf)
    return eta, np.broadcast_to(spread, eta.shape)


def _log_density(y: np.ndarray, eta: np.ndarray, own: moments.Own, link: str, trials: np.ndarray | None) -> np.ndarray:
    return student_t_log_f(y, eta, own["sigma"], own["nu"])


def _draw(rng: np.random.Generator, eta: np.ndarray, own: moments.Own, link: str) -> np.ndarray:
    return eta + own["sigma"] * rng.standard_t(np.broadcast_to(own["nu"], eta.shape))


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
)  # fmt: skip
