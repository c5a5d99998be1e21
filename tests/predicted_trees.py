"""Fits without sampling: data with exact posteriors, of which predictive draws and densities are made in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from glmm_zoo.results.storage import write_metadata

DRAWS = 1000
FAMILY = {
    "identity": "gaussian",
    "log": "poisson",
    **dict.fromkeys(("logit", "probit", "cloglog"), "binomial"),
}  # by link


def predicted_tree(
    y: np.ndarray,
    drawn: np.ndarray,
    *,
    link: str,
    log_p: np.ndarray | None = None,
    columns: dict[str, np.ndarray] | None = None,
    new_groups: np.ndarray | None = None,
    **spec: Any,
) -> xr.DataTree:
    """The tree of a fit of y (n,), with drawn and log_p (draws, n) as one chain and columns of numbers or text."""
    rows = np.arange(len(y))
    table = {"y": y, **(columns or {})}
    constant = {
        name: ("row", x, {"column": name, "kind": "number" if x.dtype.kind in "fiu" else "text"})
        for name, x in table.items()
    }
    groups = {
        "posterior": xr.Dataset({"Intercept": (("chain", "draw"), np.zeros((1, len(drawn))))}),
        "posterior_predictive": xr.Dataset({"y": (("chain", "draw", "row"), drawn[None])}, {"row": rows}),
        "observed_data": xr.Dataset({"y": ("row", y)}, {"row": rows}),
        "constant_data": xr.Dataset(constant, {"row": rows}),
    }
    if log_p is not None:
        groups["log_likelihood"] = xr.Dataset({"y": (("chain", "draw", "row"), log_p[None])}, {"row": rows})
    if new_groups is not None:
        groups["posterior_predictive_new_groups"] = xr.Dataset({"y": (("sample", "row"), new_groups)}, {"row": rows})
    known = {
        "builder": "hierarchical_linear", "formula": f"y ~ {' + '.join(columns or {}) or '1'}", "outcome": "y", "response": "y: numbers",
        "link": link, "family": FAMILY[link], "aspects": [], "groups": {}, "smooths": [], "facts": {}, "options": {}, "priors": {},
        "data": {"rows": len(y), "dropped": 0},
    }  # fmt: skip
    tree = xr.DataTree.from_dict(groups)
    write_metadata(
        tree,
        {
            "spec": {**known, **spec},
            "sampling": {"draws": len(drawn), "chains": 4, "finished": [len(drawn)] * 4, "seed": 1},
        },
    )
    return tree


def group_of(levels: int, name: str) -> dict[str, Any]:
    """What a spec says of a grouping factor."""
    return {"levels": levels, "effects": ["Intercept"], "sd": f"sd_{name}", "u": f"u_{name}"}


def straight_line(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> xr.DataTree:
    """y ~ Normal(a + b x, s^2) with flat priors of a, b and log s."""
    X = np.column_stack([np.ones(len(x)), x])
    inverse = np.linalg.inv(X.T @ X)
    estimate = inverse @ X.T @ y
    rest = ((y - X @ estimate) ** 2).sum()
    sd = np.sqrt(rest / rng.chisquare(len(y) - 2, DRAWS))
    beta = estimate + sd[:, None] * rng.multivariate_normal(np.zeros(2), inverse, DRAWS)
    mean = beta @ X.T
    drawn = mean + sd[:, None] * rng.standard_normal(mean.shape)
    return predicted_tree(y, drawn, link="identity", log_p=stats.norm.logpdf(y, mean, sd[:, None]), columns={"x": x})


def common_rate(y: np.ndarray, rng: np.random.Generator, **spec: Any) -> xr.DataTree:
    """y ~ Poisson(rate), rate ~ Gamma(1, 0.1)."""
    rate = rng.gamma(1 + y.sum(), 1 / (0.1 + len(y)), DRAWS)[:, None]
    drawn = rng.poisson(rate, (DRAWS, len(y)))
    given: dict[str, Any] = {"builder": "poisson", "aspects": ["zeros"], **spec}
    return predicted_tree(y, drawn, link="log", log_p=stats.poisson.logpmf(y, rate), **given)


def shares_of_groups(y: np.ndarray, group: np.ndarray, rng: np.random.Generator, trials: int = 1) -> xr.DataTree:
    """y ~ Binomial(trials, share of the group), share ~ Beta(2, 2)."""
    levels = int(group.max()) + 1
    events, n = np.bincount(group, y), trials * np.bincount(group)
    share = rng.beta(2 + events, 2 + n - events, (DRAWS, levels))[:, group]
    groups = {"g": group_of(levels, "g")}
    return predicted_tree(
        y, rng.binomial(trials, share), link="logit", log_p=stats.binom.logpmf(y, trials, share), columns={"g": group},
        builder="hierarchical_logistic", groups=groups,
    )  # fmt: skip
