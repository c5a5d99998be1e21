"""New observations of rows: drawn group effects where these are integrated over elsewhere, then a response from its family."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from glmm_zoo.estimands.fitted import FittedOutcome
from glmm_zoo.estimands.normal_means import Normal, triangular_root
from glmm_zoo.estimands.row_values import SHARES, Covariances, RowPredictors, category_probabilities
from glmm_zoo.families.links import LINKS


def new_observations(
    p: RowPredictors, outcome: FittedOutcome, rng: np.random.Generator, trials: np.ndarray
) -> np.ndarray:
    """One response (S, m) for each draw and row, independent of each other given the parameters; of `trials` (m,) the successes."""
    eta = _drawn(p.variables, p.covariances, rng)
    family, link = outcome.family, outcome.link
    certain = RowPredictors({part: Normal(x, np.zeros((1, 1))) for part, x in eta.items()}, {}, p.own, p.thresholds)
    shape = eta[""].shape
    if family.choice == "levels":
        up_to = np.cumsum(category_probabilities(certain, outcome), axis=0)[:-1]
        return 1.0 + np.sum(rng.random(shape) > up_to, axis=0)
    own = {**p.own} if p.thresholds is None else {**p.own, "cutpoints": np.moveaxis(p.thresholds, 0, -1)}
    own |= {part: LINKS[scale].inverse(eta[part]) for part, scale in family.scales.items() if part in eta}
    share = np.ones((1, 1))
    for part in SHARES:
        if part in eta or part in p.own:
            share = share * (1 - (LINKS["logit"].inverse(eta[part]) if part in eta else p.own[part]))
    at_risk = rng.random(shape) < share
    if family.choice == "success":
        chance = LINKS[link].inverse(eta[""]) if family.draw is None else family.draw(rng, eta[""], own, link)
        return at_risk * rng.binomial(np.broadcast_to(trials.astype(int), shape), chance)
    if family.draw is not None:
        return family.draw(rng, eta[""], own, link)
    return at_risk * _counts(eta[""], own, outcome, rng)


def _counts(
    eta: np.ndarray, own: Mapping[str, np.ndarray], outcome: FittedOutcome, rng: np.random.Generator
) -> np.ndarray:
    """Counts (S, m) without a share of further zeros; of a hurdle family none is zero."""
    from scipy import stats  # slow to import, and needed for counts only

    assert outcome.family.count_alone is not None
    mu, square, above = outcome.family.count_alone(eta, own)
    if "alpha" in own:  # var = mu + mu^2 / size
        size = mu**2 / (square - mu**2 - mu)
        of = stats.nbinom(size, size / (size + mu))
    else:
        of = stats.poisson(mu)
    if outcome.family.zeros != "all":
        return of.rvs(size=eta.shape, random_state=rng)
    return np.maximum(of.isf(above * rng.random(eta.shape)), 1.0)


def _drawn(
    variables: Mapping[str, Normal], covariances: Covariances, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draws (S, m) of correlated normal variables."""
    root = triangular_root(variables, covariances)
    shapes = [np.broadcast_shapes(x.mean.shape, x.variance.shape) for x in variables.values()]
    z = [rng.standard_normal(shape) for shape in shapes]
    return {
        part: x.mean + sum((a * b for a, b in zip(root[part], z, strict=False)), start=np.zeros(shape))
        for (part, x), shape in zip(variables.items(), shapes, strict=True)
    }
