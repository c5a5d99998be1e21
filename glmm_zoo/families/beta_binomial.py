"""Counts of successes that vary more than binomial: the beta-binomial distribution.

Symbols: p = link^-1(eta) the mean share, phi the precision, n the trials, y the successes,

    P_i ~ Beta(p phi, (1 - p) phi),  y_i | P_i ~ Binomial(n, P_i)

Two trials of a row are correlated by 1 / (1 + phi); phi -> infinity is binomial.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glmm_zoo.families import moments
from glmm_zoo.families.binomial import doubts_of_successes, has_many_trials, log_binomial, read_binomial
from glmm_zoo.families.counts import ALPHA_DEFAULT
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.links import LINKS, PROBABILITY_LINKS, ProbabilityLink, probability_link
from glmm_zoo.families.moments import Own
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.rising import log_rising_at_once
from glmm_zoo.families.tensors import Array, Tensor, import_pytensor
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.priors import parameter

_MOST_LOG = 700.0  # of phi, whose exponential is a number
LEAST_SHAPE, MOST_SHAPE = 1e-12, 1e15  # shapes of a Beta are cut here in simulation: beyond NumPy's generators fail

PHI = OwnParameter(
    "phi", "log", lambda _: parameter("phi", "positive", ALPHA_DEFAULT), option="dispersion", words="the precision", symbol="φ",
    allows="Correlations of two trials of a row from {high} to {low} ({inner})", shown=lambda phi: 1 / (1 + phi),
    why="that of a negative binomial's shape, near the prior that has a binomial count as its simplest case",
)  # fmt: skip


def log_beta_binomial(
    y: Array, n: Array, eta: Array, log_phi: Array, link: ProbabilityLink, of_trials: Array | None = None
) -> Array:
    """log C(n, y) + log B(y + p phi, n - y + q phi) - log B(p phi, q phi), q = 1 - p: log Binomial(y | n, p) and terms that
    vanish for large phi, R(y, p phi) + R(n - y, q phi) - R(n, phi) with R(y, a) = log Gamma(y + a) / (Gamma(a) a^y);
    `of_trials` is R(n, phi) where it is known."""
    a, b = _shapes(eta, log_phi, link)
    more = log_rising_at_once(y, link.log_p(eta) + log_phi, a) + log_rising_at_once(n - y, link.log_q(eta) + log_phi, b)
    return log_binomial(y, n, eta, link) + more - (log_rising_at_once(n, log_phi) if of_trials is None else of_trials)


def _shapes(eta: Array, log_phi: Array, link: ProbabilityLink) -> tuple[Array | None, Array | None]:
    """p phi and q phi in a graph."""
    if isinstance(eta, np.ndarray | np.number | float):
        return None, None
    pt = import_pytensor()
    phi = pt.exp(pt.minimum(log_phi, _MOST_LOG))
    a, b = (share * phi for share in link.p_and_q(eta))
    return a, b


def draw_share(eta: Tensor, log_phi: Tensor, link: ProbabilityLink, shape: Any = None) -> Tensor:
    """P ~ Beta(p phi, (1 - p) phi)"""
    import pymc as pm

    pt = import_pytensor()
    a, b = (pt.clip(pt.exp(log(eta) + log_phi), LEAST_SHAPE, MOST_SHAPE) for log in (link.log_p, link.log_q))
    return pm.Beta.dist(alpha=a, beta=b, size=a.shape if shape is None else shape)


def drawn_share(rng: np.random.Generator, mu: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """The same in NumPy, of mean mu and precision phi."""
    return rng.beta(*(np.clip(share * phi, LEAST_SHAPE, MOST_SHAPE) for share in (mu, 1 - mu)))


def _observe(name: str, outcome: Outcome, eta: Tensor, link: str, own: Mapping[str, Tensor]) -> None:
    import pymc as pm

    pt, of = import_pytensor(), probability_link(link)
    trials = np.ones_like(outcome.values) if outcome.trials is None else outcome.trials

    different, which = np.unique(trials, return_inverse=True)
    one_phi = own["phi"].ndim == 0
    of_trials = [log_rising_at_once(different, own["phi"])[which]] if one_phi else []  # once for each number of trials

    def draw(n: Tensor, eta: Tensor, log_phi: Tensor, *_: Tensor, size: Any) -> Tensor:
        return pm.Binomial.dist(n=pt.cast(n, "int64"), p=draw_share(eta, log_phi, of, size))

    n = pm.Data(f"_{name}_trials", trials, dims=outcome.dim)
    observe_rows(
        name,
        "BetaBinomial",
        outcome,
        [n, eta, own["phi"], *of_trials],
        lambda y, n, eta, log_phi, *known: log_beta_binomial(y, n, eta, log_phi, of, *known),
        lambda *p: pt.cast(draw(*p[:-1], size=p[-1]), "float64"),
    )


def _log_density(y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None) -> np.ndarray:
    n = np.ones_like(y) if trials is None else trials
    return log_beta_binomial(y, n, eta, own["phi"], probability_link(link))


def _doubts(outcome: Outcome, columns: DesignMatrix) -> list[str]:
    single = [] if has_many_trials(outcome) else [
        f"no row of {outcome.name!r} has more than one trial, where beta-binomial is the same as Bernoulli for every phi: phi rests on its "
        "prior; use hierarchical_logistic"
    ]  # fmt: skip
    return [*doubts_of_successes(outcome, columns), *single]


BETA_BINOMIAL = Family(
    "beta_binomial",
    tuple(PROBABILITY_LINKS),
    read_binomial,
    _observe,
    moments.bernoulli_moments,
    _log_density,
    responses="binary",
    called="beta-binomial",
    distribution="has a beta-binomial distribution with mean probability p and precision φ, so that two trials of a row are correlated by "
    "1/(1 + φ)",
    formula="BetaBinomial(n, pφ, (1−p)φ)",
    own=(PHI,),
    draw=lambda rng, eta, own, link: drawn_share(rng, LINKS[link].inverse(eta), own["phi"]),
    choice="success",
    one_per_row=has_many_trials,
    doubts=_doubts,
    latent=True,
    findings=("trial_correlation", "dispersion"),
)
