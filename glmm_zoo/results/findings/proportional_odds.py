"""Do the effects of a covariate differ between the thresholds of an ordinal model? Partial proportional odds.

    effect at threshold k = beta - (c_k(high) - c_k(low)) / (high - low)

is how much one unit more moves eta less threshold, for the logit link the log-odds of a category above it. c_k(w) is
the threshold with the other columns at their means; low and high are the two values of a column that has two, else
half a standard deviation below and above its mean. Where the model has the coefficients of products at the means of their
covariates, beta, gamma and columns are these. Effects are equal where gamma = 0; the data speak against that when
0 lies outside the ellipsoid around the posterior mean of gamma that holds the given share of its draws.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from glmm_zoo.results.findings.finding import Finding, draws_of, interval_table
from glmm_zoo.results.numbers import decimals, interval, nominal, percent, written
from glmm_zoo.results.storage import metadata

_MEANING = (
    "odds ratio of a higher category for one unit more, at equal group effects; for a nominal covariate at the first "
    "threshold"
)


def find(tree: xr.DataTree, prob: float) -> Finding:
    """The effect of every nominal covariate at every threshold, and whether the data speak against their being equal."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    names = [str(v) for v in posterior["cutpoint"].values]  # of the thresholds
    effects: dict[str, np.ndarray] = {}
    words = []
    for label, values in spec["facts"]["nominal"].items():
        steps = [f"{label}: {name}" for name in names[1:]]
        gamma = draws_of(posterior, _at_means("nominal_beta", posterior), nominal_coef=steps)
        beta = draws_of(posterior, _at_means("beta", posterior), coef=label)
        each = _effects(beta, gamma, np.diff(draws_of(posterior, "cutpoints")), values)
        effects.update({f"{label} at {name}": each[..., k] for k, name in enumerate(names)})
        change = interval_table({"change": each[..., -1] - each[..., 0]}, prob, "effect").loc["change"]
        d = decimals("number", change)
        first, last = (written(float(np.median(each[..., k])), d) for k in (0, -1))
        words.append(
            f"{label}: the effect goes from {first} at {names[0]} to {last} at {names[-1]}, a change of {written(change['median'], d)} "
            f"({interval(change['lower'], change['upper'], d)}, {nominal(prob)}). {_verdict(gamma, prob)}"
        )
    scale = "log-odds" if spec["link"] == "logit" else f"{spec['link']} scale"
    where = "; of a covariate in a product, with the others at their means" if "beta_at_means" in posterior else ""
    title = f"proportional odds: effects toward higher categories at each threshold, {scale}{where}"
    return Finding(
        title, tuple(words), {"effects": interval_table(effects, prob, "effect")}, {}, {"odds_ratio": _MEANING}
    )


def _at_means(name: str, posterior: xr.Dataset) -> str:
    """The name of these coefficients with products at the means of their covariates, where the model has them so."""
    return f"{name}_at_means" if f"{name}_at_means" in posterior else name


def _effects(beta: np.ndarray, gamma: np.ndarray, distances: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
    """Draws (chain, draw, K - 1) of the effect at each threshold.

    `beta` is (chain, draw); `gamma` and the `distances` between neighbouring cutpoints are (chain, draw, K - 2); `values` are
    the covariate's "low", "high" and "mean".
    """
    low, high = (
        np.cumsum(distances * np.exp((values[end] - values["mean"]) * gamma), axis=-1) for end in ("low", "high")
    )
    moved = (high - low) / (values["high"] - values["low"])
    return beta[..., None] - np.concatenate([np.zeros_like(beta)[..., None], moved], axis=-1)


def _verdict(gamma: np.ndarray, prob: float) -> str:
    """Whether gamma = 0 lies in the ellipsoid around the mean of gamma (chain, draw, K - 2) that holds `prob` of its draws."""
    draws = gamma.reshape(-1, gamma.shape[-1])
    center = draws.mean(axis=0)
    inverse = np.linalg.inv(np.atleast_2d(np.cov(draws.T)))
    distance = np.einsum("si,ij,sj->s", draws - center, inverse, draws - center)
    share = float(np.mean(distance < center @ inverse @ center))
    where = f"the {nominal(prob)} region of the posterior ({percent(share)} of it is nearer to its middle)"
    if share > prob:
        return f"The data speak against equal effects (proportional odds): they lie outside {where}."
    return f"The data do not speak against equal effects (proportional odds): they lie within {where}."
