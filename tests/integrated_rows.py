"""What the rows of `rows.py` expect with group effects integrated out: Gauss-Hermite quadrature over all their linear predictors.

The predictors of a row are jointly normal over the groups; their means and covariances come from `Row.eta`, `Row.Z`, and the
posterior's sd and correlations, by labels only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from hand_made_trees import tree_of_prior
from row_models import model_of
from rows import Row, Values

type Expectation = Callable[[pd.DataFrame, Values, np.ndarray, dict[str, np.ndarray]], np.ndarray]
POINTS = {0: 1, 1: 120, 2: 30, 3: 20}  # in each dimension


@functools.cache
def tree_of_row(name: str, draws: int = 2) -> xr.DataTree:
    """Two chains of prior draws of the row's model."""
    return with_small_sds(tree_of_prior(model_of(name), draws))


def with_small_sds(tree: xr.DataTree) -> xr.DataTree:
    """The tree with standard deviations of groups that Gauss-Hermite quadrature can follow."""
    posterior = tree["posterior"].to_dataset()
    sds = [str(v) for v in posterior if str(v).startswith("sd_") or "_sd_" in str(v)]
    tree["posterior"] = xr.DataTree(posterior.assign({sd: 0.3 * posterior[sd] for sd in sds}))
    return tree


def points(tree: xr.DataTree) -> Iterator[dict[str, xr.DataArray]]:
    """The posterior's draws, chain by chain."""
    posterior = tree["posterior"].dataset
    for chain in range(posterior.sizes["chain"]):
        for draw in range(posterior.sizes["draw"]):
            yield {str(k): v.isel(chain=chain, draw=draw, drop=True) for k, v in posterior.data_vars.items()}


def asked_rows(row: Row) -> pd.DataFrame:
    """The row's data as predictions are of them: one trial, one unit of exposure of a count."""
    once = {"n": 1, **({} if "sigma" in row.posterior else {"days": 1.0})}
    return row.data().assign(**{name: value for name, value in once.items() if name in row.columns})


def mean(row: Row) -> Expectation:
    """Of each response; ordered categories count from 1."""
    first = 1 if row.builder == "ordinal" else 0

    def of(d: pd.DataFrame, p: Values, eta: np.ndarray, others: dict[str, np.ndarray]) -> np.ndarray:
        if row.mean is not None:
            return row.mean(d, p, eta, **others)
        with np.errstate(all="ignore"):  # standard deviations, which are not used here
            return row.moments(d, p, eta, **others)[0] + first

    return of


def probability(row: Row, response: str, value: object) -> Expectation:
    """P(response = value)."""

    def of(d: pd.DataFrame, p: Values, eta: np.ndarray, others: dict[str, np.ndarray]) -> np.ndarray:
        with np.errstate(all="ignore"):  # logarithms of 0
            return np.exp(row.density(d.assign(**{response: value}), p, eta, **others))

    return of


def of_outcome(row: Row, name: str) -> Expectation:
    """The mean of one outcome of several, in the rows that have it."""
    place, first = list(row.rows(row.data())).index(f"{name}_row"), int(name == "rating")

    def of(d: pd.DataFrame, p: Values, eta: np.ndarray, others: dict[str, np.ndarray]) -> np.ndarray:
        ends = np.cumsum([len(rows) for rows in row.rows(d).values()])[:-1]
        with np.errstate(all="ignore"):
            return np.split(row.moments(d, p, eta, **others)[0], ends)[place] + first

    return of


def own_groups(row: Row, d: pd.DataFrame, p: Values, of: Expectation) -> np.ndarray:
    """Of each row with its own level's effects."""
    return of(d, p, row.eta(d, p), {prefix: row.eta(d, p, prefix) for prefix in row.also})


def without_groups(p: Values, but: Sequence[str] = ()) -> dict[str, xr.DataArray]:
    """The point with all group effects at 0, but for those of these factors."""
    return {
        k: v * 0 if (k.startswith("u_") or "_u_" in k) and k.split("u_")[-1] not in but else v for k, v in p.items()
    }


def integrated(
    row: Row,
    d: pd.DataFrame,
    p: Values,
    of: Expectation,
    parts: Sequence[str] | None = None,
    observed: Sequence[str] = (),
) -> np.ndarray:
    """Of each row (n,), integrated over group effects in these predictors, by default all; the others have none.

    Rows have their own levels of the factors `observed`.
    """
    parts = ["", *row.also] if parts is None else list(parts)
    at = without_groups(p, observed)
    centre = {part: row.eta(d, at, part) for part in ["", *row.also]}
    S = covariance(row, d, p, parts, observed)
    varies = [i for i in range(len(parts)) if np.any(S[:, i, i] > 0)]
    values, vectors = np.linalg.eigh(S[:, varies][:, :, varies])
    root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
    x, w = np.polynomial.hermite_e.hermegauss(POINTS[len(varies)])
    grid = np.stack(np.meshgrid(*[x] * len(varies), indexing="ij"), -1).reshape(-1, len(varies))
    weight = np.prod(np.stack(np.meshgrid(*[w / w.sum()] * len(varies), indexing="ij"), -1), axis=-1).ravel()
    shift = np.einsum("rij,kj->kri", root, grid)  # (nodes, rows, parts that vary)
    tiled = pd.concat([d] * len(grid), ignore_index=True)
    etas = {part: np.tile(eta, len(grid)) for part, eta in centre.items()}
    for j, i in enumerate(varies):
        etas[parts[i]] = etas[parts[i]] + shift[:, :, j].ravel()
    return weight @ of(tiled, at, etas.pop(""), etas).reshape(len(grid), -1)


def covariance(row: Row, d: pd.DataFrame, p: Values, parts: Sequence[str], observed: Sequence[str]) -> np.ndarray:
    """Covariances (n, parts, parts) of the predictors over groups of factors that are not `observed`."""
    effects: dict[str, list[tuple[int, dict]]] = {}
    levels = {g: np.asarray(level).reshape(len(d), -1) for g, (level, _) in row.Z(d).items()}
    for i, part in enumerate(parts):
        lead = f"{part}_" if part else ""
        for g, (_, covariates) in (row.also[part][1] if part else row.Z)(d).items():
            own = lead if f"{lead}u_{g}" in p else ""
            if g not in observed:
                effects.setdefault(f"{own}|{g}", []).append((i, covariates))
    S = np.zeros((len(d), len(parts), len(parts)))
    for key, terms in effects.items():
        own, g = key.split("|")
        sd = p[f"{own}sd_{g}"]
        dim = sd.dims[0]
        labels = sd[dim].values.tolist()
        corr = p[f"{own}corr_{g}"].values if f"{own}corr_{g}" in p else np.eye(len(labels))
        block = sd.values[:, None] * corr * sd.values
        members = levels[g].shape[1] if g in levels else 1
        z = np.zeros((members, len(d), len(parts), len(labels)))
        for i, covariates in terms:
            for label, values in covariates.items():
                z[:, :, i, labels.index(label)] = np.reshape(values, (-1, members)).T
        for a, b in np.ndindex(members, members):
            alike = levels[g][:, a] == levels[g][:, b] if members > 1 else np.ones(len(d))
            S += alike[:, None, None] * (z[a] @ block @ z[b].transpose(0, 2, 1))
    return S
