"""The functions B(x) of each basis, where their knots are, and the penalties on them: tp, cr, ps, cc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.interpolate import BSpline, CubicSpline

BASES = {
    "tp": "thin-plate regression spline",
    "cr": "cubic regression spline",
    "ps": "P-spline",
    "cc": "cyclic cubic regression spline",
}
LEAST_K = {"tp": 3, "cr": 3, "ps": 4, "cc": 4}
UNPENALISED = {"tp": 2, "cr": 2, "ps": 2, "cc": 1}  # dimension of the polynomials that the penalty leaves free
_MOST_KNOTS = 2000  # of a thin-plate basis; beyond, as many quantiles of the unique values


def place_knots(bs: str, unique_x: np.ndarray, k: int) -> np.ndarray:
    """The knots of k functions for the sorted unique values of the data."""
    if bs == "tp":
        return unique_x if len(unique_x) <= _MOST_KNOTS else np.quantile(unique_x, np.linspace(0, 1, _MOST_KNOTS))
    if bs == "ps":
        margin = 0.001 * (unique_x[-1] - unique_x[0])
        low, high = unique_x[0] - margin, unique_x[-1] + margin
        step = (high - low) / (k - 3)
        return np.linspace(low - 3 * step, high + 3 * step, k + 4)
    return np.quantile(unique_x, np.linspace(0, 1, k))


def evaluate_splines(bs: str, knots: np.ndarray, x: np.ndarray, derivative: int) -> np.ndarray:
    """B(x), or its first derivative: one row for each of x (n,), one column for each function.

    By `bs`: |x - knots|^3 / 12, 1 and x - `knots`' mean (tp); the splines that are one at a knot and zero at the others
    (cr, cc); B-splines on `knots` (ps). Outside the range of the knots they go on as straight lines, those of cc
    periodically.
    """
    if bs == "tp":
        r = x[:, None] - knots
        one, line = np.ones(len(x)), x - knots.mean()
        if derivative:
            return np.column_stack([r * np.abs(r) / 4, 0 * one, one])
        return np.column_stack([np.abs(r) ** 3 / 12, one, line])
    if bs == "cc":
        return _cardinal_splines(knots, "periodic")(x, derivative)
    spline = _b_splines(knots) if bs == "ps" else _cardinal_splines(knots, "natural")
    low, high = (knots[3], knots[-4]) if bs == "ps" else (knots[0], knots[-1])
    inside = np.clip(x, low, high)
    slope = spline(inside, 1)
    return slope if derivative else spline(inside) + (x - inside)[:, None] * slope


def _b_splines(knots: np.ndarray) -> BSpline:
    from scipy.interpolate import BSpline  # slow to import, and not every model has a smooth

    return BSpline(knots, np.eye(len(knots) - 4), 3)


def _cardinal_splines(knots: np.ndarray, ends: str) -> CubicSpline:
    """Cubic splines that are one at one knot and zero at the others, natural or periodic at the ends."""
    from scipy.interpolate import CubicSpline

    values = np.eye(len(knots))
    if ends == "periodic":
        values = np.vstack([values[:-1, :-1], values[:1, :-1]])
    return CubicSpline(knots, values, bc_type=ends, extrapolate="periodic" if ends == "periodic" else True)  # pyright: ignore


def penalty(
    bs: str, knots: np.ndarray, k: int, unique_x: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A matrix from B to mgcv's basis of k functions, and S there: the integral of f''^2, or squared differences (ps).

    `counts` has the number of rows at each of `unique_x`.
    """
    if bs == "ps":
        differences = np.diff(np.eye(k), 2, axis=0)
        return np.eye(k), differences.T @ differences
    if bs == "tp":
        return _thin_plate_penalty(knots, k, unique_x, counts)
    ends = "periodic" if bs == "cc" else "natural"
    curvature = _cardinal_splines(knots, ends)(knots, 2)  # f'' is linear between knots
    h = np.diff(knots)[:, None]
    left, right = curvature[:-1], curvature[1:]
    S = (h * left).T @ (2 * left + right) + (h * right).T @ (2 * right + left)
    return np.eye(len(curvature.T)), S / 6


def _thin_plate_penalty(
    knots: np.ndarray, k: int, unique_x: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The truncated eigenbasis of Wood (2003): E = U D U', the k eigenvalues largest in magnitude, T' U Z = 0.

    Curves are [E U Z, T], T = [1, x - mean], the penalty Z' D Z; columns have mean square one over the rows. With as many
    knots as functions nothing is truncated: U = 1, D = E.
    """
    E, T = np.split(evaluate_splines("tp", knots, knots, 0), [len(knots)], axis=1)
    if len(knots) == k:
        D, U = E, np.eye(k)
    else:
        eigenvalues, eigenvectors = np.linalg.eigh(E)
        # in mgcv's order, which the scale depends on
        largest = np.sort(np.argsort(-np.abs(eigenvalues), kind="stable")[:k])[::-1]
        D, U = np.diag(eigenvalues[largest]), eigenvectors[:, largest]
    Z = _null_space(T.T @ U)
    shift = counts @ unique_x / counts.sum() - knots.mean()
    to_basis = np.zeros((len(U) + 2, k))
    to_basis[:-2, :-2], to_basis[-2:, -2:] = U @ Z, [[1.0, -shift], [0.0, 1.0]]
    S = np.zeros((k, k))
    S[: k - 2, : k - 2] = Z.T @ D @ Z
    X = evaluate_splines("tp", knots, unique_x, 0) @ to_basis
    size = np.sqrt(counts @ X**2 / counts.sum())
    return to_basis / size, S / np.outer(size, size)


def _null_space(A: np.ndarray) -> np.ndarray:
    """Z (k, k - m) with A Z = 0, A (m, k), by mgcv's order of Householder reflections: Z enters the scale of S.

    Where the knots are symmetric around their mean, as equally spaced ones are, functions are even or odd, and elements of
    A that decide on the sign of a reflection are 0. mgcv takes the sign of their rounding error, so that its scale changes
    with the unit of x; here they count as positive, and the scale is the same for every unit.
    """
    A, k = A.copy(), A.shape[1]
    Q = np.eye(k)
    for i in range(len(A)):
        v = A[i, : k - i].copy()
        size = np.linalg.norm(v)
        v[-1] += size if v[-1] > -1e-9 * size else -size
        g = 2 / (v @ v)
        A[i + 1 :, : k - i] -= g * np.outer(A[i + 1 :, : k - i] @ v, v)
        Q[:, : k - i] -= g * np.outer(Q[:, : k - i] @ v, v)
    return Q[:, : k - len(A)]
