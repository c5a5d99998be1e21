"""Residuals of repeated measures, from the file of a fit: standardised, and normalised by the correlations that the model has of them.

With e_i the residuals of a subject in units of their sds and R_i = L_i L_i' their correlations, z_i = L_i^-1 e_i are independent where the
structure is right. (Pinheiro & Bates 2000, section 5.3.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.findings.residuals import residual_correlations
from glmm_zoo.results.predicted_rows import predicted_rows
from glmm_zoo.results.storage import metadata, stored_table

_MOST_DRAWS, _MOST_VISITS = 1000, 400


@dataclass(frozen=True)
class RepeatedResiduals:
    """Residuals of n rows in units of their sds, subject by subject in the order of time.

    Attributes
    ----------
    observed, drawn
        Of the data (n,), and of data sets that the model predicts (draws, n).
    subject, visit
        Numbers of the subject and of the visit of each row (n,).
    names
        What the visits are called.
    correlations
        Between visits (visits, visits), as the model has them on average.
    """

    observed: np.ndarray
    drawn: np.ndarray
    subject: np.ndarray
    visit: np.ndarray
    names: tuple[str, ...]
    correlations: np.ndarray

    def normalised(self) -> RepeatedResiduals:
        """z in place of the residuals."""
        from scipy.linalg import solve_triangular  # slow to import

        observed, drawn = self.observed.copy(), self.drawn.copy()
        for rows in np.split(np.arange(len(self.subject)), np.flatnonzero(np.diff(self.subject)) + 1):
            L = np.linalg.cholesky(self.correlations[np.ix_(self.visit[rows], self.visit[rows])])
            observed[rows] = solve_triangular(L, observed[rows], lower=True)
            drawn[:, rows] = solve_triangular(L, drawn[:, rows].T, lower=True).T
        return RepeatedResiduals(observed, drawn, self.subject, self.visit, self.names, np.eye(len(self.correlations)))

    def by_lag(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Correlations of residuals of a subject 1, 2, ... rows apart: of the data (lags,) and of predicted data (draws, lags)."""
        found = []
        for lag in range(1, most + 1):
            pairs = np.flatnonzero(self.subject[lag:] == self.subject[:-lag])
            if len(pairs):
                both = np.vstack([self.observed, self.drawn])
                one, other = both[:, pairs], both[:, pairs + lag]
                found.append((one * other).mean(axis=1) / (both**2).mean(axis=1))
        whole = np.array(found).T
        return whole[0], whole[1:]

    def between_visits(self) -> np.ndarray:
        """Correlations (visits, visits) of the residuals of the data, NaN of visits that no subject has both of."""
        e = np.full((self.subject.max() + 1, len(self.correlations)), np.nan)
        e[self.subject, self.visit] = self.observed
        both = np.isfinite(e)[:, :, None] & np.isfinite(e)[:, None, :]
        products = np.where(both, np.nan_to_num(e)[:, :, None] * np.nan_to_num(e)[:, None, :], 0.0).sum(axis=0)
        squares = np.where(both, np.nan_to_num(e)[:, :, None] ** 2, 0.0).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(both.sum(axis=0) > 1, products / np.sqrt(squares * squares.T), np.nan)


def repeated_residuals(tree: xr.DataTree) -> RepeatedResiduals | None:
    """The residuals of a fit of repeated measures; None where there are none, or more visits than a matrix is made of."""
    spec = metadata(tree)["spec"]
    if not spec["options"].get("residual"):
        return None
    (rows,) = (rows.at_most(_MOST_DRAWS) for rows in predicted_rows(tree))
    table, facts = stored_table(tree).loc[rows.rows], spec["facts"]
    time, within = (table[spec["options"][option]] for option in ("time", "within"))
    visit, names = _visits(time, facts.get("visits"))
    if len(names) > _MOST_VISITS:
        return None
    subject = np.unique(within.astype(str), return_inverse=True)[1]
    order = np.lexsort((visit, subject))
    mean, sd = rows.drawn.mean(axis=0), rows.drawn.std(axis=0)
    observed, drawn = (rows.y - mean) / sd, (rows.drawn - mean) / sd
    return RepeatedResiduals(
        observed[order], drawn[:, order], subject[order], visit[order], names, _correlations(tree, names)
    )


def _visits(time: pd.Series, labels: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The place of each row's visit among all, in their order, and how these are called."""
    if labels is None or time.dtype.kind in "iufb":
        found, places = np.unique(time.to_numpy(), return_inverse=True)
        return places, tuple(labels or (f"{value}" for value in found))
    place = {label: i for i, label in enumerate(labels)}
    return np.array([place[str(value)] for value in time]), tuple(labels)


def _correlations(tree: xr.DataTree, visits: Sequence[str]) -> np.ndarray:
    """Those of the visits (visits, visits), on average over the posterior."""
    if "times" in metadata(tree)["spec"]["facts"]:
        return residual_correlations(tree).mean(axis=(0, 1))
    residual = metadata(tree)["spec"]["options"]["residual"]
    times = np.array(visits, float) if residual == "car1" else np.arange(len(visits))
    apart = np.abs(times[:, None] - times)
    return float(draws_of(tree["posterior"].dataset, "rho").mean()) ** (
        (apart > 0) if residual.startswith("compound") else apart
    )
