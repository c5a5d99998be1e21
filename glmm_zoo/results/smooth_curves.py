"""Draws of every smooth of a fit as functions that can be evaluated anywhere; the spec in the file holds their bases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from glmm_zoo.formulas.smooths.bases import Basis
from glmm_zoo.formulas.smooths.tensor_products import TensorProduct, basis_from_json
from glmm_zoo.results.storage import metadata

_DEGREE = 5  # of the polynomial that the mean of the weights is in sd


@dataclass(frozen=True)
class SmoothCurve:
    """Draws of one curve f(x) = Xf(x) linear + Zs(x) weights, weights_j ~ Normal(0, sd_j^2).

    Attributes
    ----------
    label
        "s(x)", "s(x, by=arm) [low]", "zi s(x)".
    variables
        The names of its one or two variables.
    prefix
        Of the variables of its linear predictor, "" for the main one.
    basis
        Gives the columns Xf and Zs at any x.
    sd
        Draws (m, sds) of all sds of its smooth.
    sd_of
        For each weight (q,) the column of `sd` that is its own.
    linear, weights
        Draws (m, p) of the unpenalised coefficients, and (m, q) of the weights.
    """

    label: str
    variables: tuple[str, ...]
    prefix: str
    basis: Basis | TensorProduct
    sd: np.ndarray
    sd_of: np.ndarray
    linear: np.ndarray
    weights: np.ndarray

    def at(self, x: np.ndarray, derivative: int = 0) -> np.ndarray:
        """Draws (m, n) of f(x), or of its first derivative in the first variable, at x (n, variables)."""
        Xf, Zs = self.basis.columns(x if len(self.variables) == 2 else x[:, 0], derivative)
        return self.linear @ Xf.T + self.weights @ Zs.T

    def margins(self) -> tuple[Basis, ...]:
        """A basis of each variable, which knows its range."""
        return self.basis.margins if isinstance(self.basis, TensorProduct) else (self.basis,)

    def edf(self) -> float:
        """Effective degrees of freedom, in the mean over the posterior: p + sum_j (1 - E[var(w_j | sd) / sd^2]).

        That is the trace of (X'WX + S / sd^2)^-1 X'WX over the curve's coefficients, for any family, from draws alone:
        var(w | sd) / sd^2 is what is left of w / sd after a polynomial in the rank of sd. p for a straight line, p + q for
        a curve that is not penalised.
        """
        edf = float(self.linear.shape[1])
        for j in np.unique(self.sd_of):
            sd = self.sd[:, j]
            rank = np.argsort(np.argsort(sd)) / len(sd)
            z = self.weights[:, self.sd_of == j] / sd[:, None]
            X = np.polynomial.legendre.legvander(2 * rank - 1, _DEGREE)
            residual = z - X @ np.linalg.lstsq(X, z, rcond=None)[0]
            edf += float(np.sum(1.0 - np.mean(residual**2, axis=0)))
        return edf


def smooth_curves(tree: xr.DataTree) -> Iterator[SmoothCurve]:
    """Every curve of a fit; a smooth with a factor has one for each level."""
    posterior = tree["posterior"].dataset

    def draws(name: str) -> np.ndarray:  # (m, elements)
        values = posterior[name].transpose("chain", "draw", ...).values
        return values.reshape(values.shape[0] * values.shape[1], -1)

    for smooth in metadata(tree)["spec"]["smooths"]:
        sd, weights, sd_of = draws(smooth["sd"]), draws(smooth["weights"]), np.array(smooth["sd_of"])
        linear = draws(smooth["linear"]) if smooth["linear"] in posterior else np.empty((len(sd), 0))
        levels = smooth["curves"]
        q, p = (columns.shape[1] // len(levels) for columns in (weights, linear))
        for j, level in enumerate(levels):
            q_columns, p_columns = slice(j * q, j * q + q), slice(j * p, j * p + p)  # of this level
            yield SmoothCurve(
                label=f"{smooth['label']} [{level}]" if level else smooth["label"],
                variables=tuple(smooth["variables"]),
                prefix=smooth["prefix"],
                basis=basis_from_json(smooth["basis"]),
                sd=sd,
                sd_of=sd_of[q_columns],
                linear=linear[:, p_columns],
                weights=weights[:, q_columns],
            )
