"""Bases of one variable, split into the polynomials that are not penalised and the penalised functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing
from glmm_zoo.formulas.smooths.splines import BASES, LEAST_K, UNPENALISED, evaluate_splines, penalty, place_knots

DEFAULT_K = 10


@dataclass(frozen=True)
class Basis:
    """A basis of one variable, split: Xf(x) = B(x) `linear` (n, p), Zs(x) = B(x) `penalised` (n, q).

    B(x) are the functions of `evaluate_splines` by `bs` and `knots`.
    """

    bs: str
    knots: np.ndarray
    linear: np.ndarray
    penalised: np.ndarray
    lower: float  # range of the data
    upper: float

    def columns(self, x: np.ndarray, derivative: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Xf (n, p) and Zs (n, q) at x (n,), or their first derivatives."""
        B = evaluate_splines(self.bs, self.knots, np.asarray(x, dtype=float), derivative)
        return B @ self.linear, B @ self.penalised

    def beyond(self, x: np.ndarray) -> np.ndarray:
        """Which of x (n,) lie outside the data, where the curve is an extrapolation."""
        return (x < self.lower) | (x > self.upper)

    def to_json(self) -> dict[str, Any]:
        return {
            "bs": self.bs, "knots": self.knots.tolist(), "linear": self.linear.tolist(),
            "penalised": self.penalised.tolist(), "lower": self.lower, "upper": self.upper,
        }  # fmt: skip

    @classmethod
    def from_json(cls, text: Mapping[str, Any]) -> Basis:
        knots = np.array(text["knots"])
        linear, penalised = (np.array(text[part], dtype=float) for part in ("linear", "penalised"))
        return cls(text["bs"], knots, linear, penalised, text["lower"], text["upper"])


def spline_basis(
    name: str,
    x: np.ndarray,
    bs: str = "tp",
    k: int = DEFAULT_K,
    *,
    centred: bool = True,
    by: np.ndarray | None = None,
) -> Basis:
    """The basis of k functions, fewer one if `centred`, for the values x (n,) of the variable `name`.

    Parameters
    ----------
    centred
        Every curve sums to zero over the rows.
    by
        Numbers (n,) that the curve is multiplied by; they enter the scale of the linear part only.

    Raises
    ------
    InputError
        A basis that is not known; k out of range; fewer unique values than k.
    """
    if bs not in BASES:
        raise InputError(f"s({name}): unknown basis bs={bs!r}; known: {listing([*BASES, 'fs', 're'], 99)}")
    unique_x, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    if k < LEAST_K[bs]:
        raise InputError(f"s({name}): k={k} is too small for bs={bs!r}; k is at least {LEAST_K[bs]}")
    if len(unique_x) == 1:
        raise InputError(
            f"s({name}): {name!r} has one value ({unique_x[0]:g}), and a curve needs several; leave it out"
        )
    if len(unique_x) < k:
        raise InputError(
            f"s({name}): k={k} is more than the {len(unique_x)} unique values of {name!r}; use k={len(unique_x)} or less"
        )
    weights = np.bincount(place, None if by is None else by**2, len(unique_x))
    try:
        with np.errstate(all="ignore"):
            basis = _basis_of_values(unique_x, counts, weights, bs, k, centred)
        sound = bool(np.isfinite(basis.linear).all() and np.isfinite(basis.penalised).all())
    except (np.linalg.LinAlgError, ValueError):  # ValueError: SciPy's, of numbers that are infinite
        sound = False
    if not sound:
        low, q1, q3, high = np.quantile(x, [0.0, 0.25, 0.75, 1.0])
        raise InputError(
            f"s({name}): {name!r} goes from {low:g} to {high:g}, half of it from {q1:g} to {q3:g}, and no basis can be computed on that: "
            "correct an outlier or take the logarithm, and give it in a unit in which values are neither huge nor tiny"
        )
    return basis


def _basis_of_values(
    unique_x: np.ndarray, counts: np.ndarray, weights: np.ndarray, bs: str, k: int, centred: bool
) -> Basis:
    """The basis for sorted unique values, which occur `counts` times, with `weights` for the scale of the linear part."""
    knots = place_knots(bs, unique_x, k)
    to_basis, S = penalty(bs, knots, k, unique_x, counts)
    X = evaluate_splines(bs, knots, unique_x, 0) @ to_basis
    S = S * np.abs(X).sum(axis=1).max() ** 2 / np.abs(S).sum(axis=0).max()
    if centred:
        Z = np.linalg.qr((counts @ X)[:, None], "complete")[0][:, 1:]
        to_basis, X, S = to_basis @ Z, X @ Z, Z.T @ S @ Z
    free, bound = _split(X, S, UNPENALISED[bs] - centred, unique_x, counts, weights, centred)
    return Basis(bs, knots, to_basis @ free, to_basis @ bound, float(unique_x[0]), float(unique_x[-1]))


def _split(
    X: np.ndarray,
    S: np.ndarray,
    dimension: int,
    unique_x: np.ndarray,
    counts: np.ndarray,
    weights: np.ndarray,
    centred: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Matrices from X (unique values, k) to Xf and to Zs: the null space of S, of this dimension, and the rest.

    Zs has a penalty of one on each column. Xf are the constant, unless `centred`, and the line; each has the mean sum of
    squares of the columns of Zs, with `weights` as the multiplicities of the unique values.
    """
    eigenvalues, eigenvectors = np.linalg.eigh(0.5 * (S + S.T))
    free = eigenvectors[:, :dimension]
    bound = eigenvectors[:, dimension:][:, ::-1] / np.sqrt(eigenvalues[dimension:][::-1])
    rising = np.exp(np.linspace(0, 1, len(unique_x)))
    bound = bound * np.where(rising @ X @ bound < 0, -1.0, 1.0)  # the sign is a convention
    size = np.mean(weights @ (X @ bound) ** 2)
    line = unique_x - counts @ unique_x / counts.sum()
    polynomials = np.column_stack([line] if centred else [np.ones(len(unique_x)), line])[:, :dimension]
    free = free @ np.linalg.lstsq(X @ free, polynomials, rcond=None)[0]
    free = free * np.sqrt(size / (weights @ (X @ free) ** 2))
    return free, bound


def group_curve_basis(name: str, x: np.ndarray, k: int) -> Basis:
    """The basis of curves that vary over groups, all of it random: a constant, the line x - mean, and k - 2 bends.

    The bends are those of a thin-plate basis, made orthogonal to the first two over the rows. Weights of sd 1 give each
    of the three parts a mean square of one over the rows, so that each sd is in the unit of the curve.
    """
    basis = spline_basis(name, x, "tp", k, centred=False)
    line, bends = basis.columns(x)
    free = basis.linear / np.sqrt(np.mean(line**2, axis=0))
    bound = basis.penalised - basis.linear @ np.linalg.lstsq(line, bends, rcond=None)[0]
    values = evaluate_splines("tp", basis.knots, x, 0) @ bound
    bound = bound / np.sqrt(np.mean(np.sum(values**2, axis=1)))
    return replace(basis, linear=np.empty((len(free), 0)), penalised=np.hstack([free, bound]))
