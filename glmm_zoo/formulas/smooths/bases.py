"""Penalised smooths as mixed-model terms: bases, penalties and their split. Imports `errors`; NumPy and SciPy only.

A smooth is f(x) = X(x) b with the penalty b' S b / sd^2 on twice the negative log-likelihood. With S = U diag(D, 0) U'
and the null space of S set apart,

    f(x) = Xf(x) linear + Zs(x) weights,    weights ~ Normal(0, sd^2) independently,

is the same thing: b' S b = weights' weights, so that the penalised spline is a random effect and its smoothing parameter
1 / sd^2 (Kimeldorf & Wahba 1970; Wood 2017, section 5.8). sd -> 0 leaves the polynomial Xf, sd -> infinity the
unpenalised regression spline. The model is the same for every rotation of the weights.

Bases, knots, constraints and the scale of S are those of mgcv (Wood 2003, 2017) as brms uses them, so that sd means the
same as brms's `sds`: S is multiplied by ||X||^2 / ||S|| (largest absolute row and column sum), a curve sums to zero over
the rows, and each column of Xf has the mean sum of squares of the columns of Zs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError, listing

if TYPE_CHECKING:
    from scipy.interpolate import BSpline, CubicSpline

BASES = {
    "tp": "thin-plate regression spline",
    "cr": "cubic regression spline",
    "ps": "P-spline",
    "cc": "cyclic cubic regression spline",
}
DEFAULT_K = 10
_LEAST_K = {"tp": 3, "cr": 3, "ps": 4, "cc": 4}
_MOST_KNOTS = 2000  # of a thin-plate basis; beyond, as many quantiles of the unique values
_NULL = {"tp": 2, "cr": 2, "ps": 2, "cc": 1}  # dimension of the polynomials that are not penalised


@dataclass(frozen=True)
class Basis:
    """A basis of one variable, split: Xf(x) = B(x) `linear` (n, p), Zs(x) = B(x) `penalised` (n, q).

    B(x) is, by `bs`: |x - knots|^3 / 12, 1 and x - `knots`' mean (tp); the splines that are one at a knot and zero at the
    others (cr, cc); B-splines on `knots` (ps). Outside the range of the knots curves go on as straight lines, those of cc
    periodically.
    """

    bs: str
    knots: np.ndarray
    linear: np.ndarray
    penalised: np.ndarray
    lower: float  # range of the data
    upper: float

    def columns(self, x: np.ndarray, derivative: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Xf (n, p) and Zs (n, q) at x (n,), or their first derivatives."""
        B = _raw(self.bs, self.knots, np.asarray(x, dtype=float), derivative)
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


def basis(
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
    at, where, counts = np.unique(x, return_inverse=True, return_counts=True)
    if k < _LEAST_K[bs]:
        raise InputError(f"s({name}): k={k} is too small for bs={bs!r}; k is at least {_LEAST_K[bs]}")
    if len(at) < k:
        raise InputError(
            f"s({name}): k={k} is more than the {len(at)} unique values of {name!r}; use k={len(at)} or less"
        )
    mass = np.bincount(where, None if by is None else by**2, len(at))
    knots = _knots(bs, at, k)
    to_basis, S = _penalty(bs, knots, k, at, counts)
    raw = _raw(bs, knots, at, 0)
    X = raw @ to_basis
    S = S * np.abs(X).sum(axis=1).max() ** 2 / np.abs(S).sum(axis=0).max()
    if centred:
        Z = np.linalg.qr((counts @ X)[:, None], "complete")[0][:, 1:]
        to_basis, X, S = to_basis @ Z, X @ Z, Z.T @ S @ Z
    values, vectors = np.linalg.eigh(0.5 * (S + S.T))
    null = _NULL[bs] - centred
    free, bound = vectors[:, :null], vectors[:, null:][:, ::-1] / np.sqrt(values[null:][::-1])
    bound = bound * np.where(np.exp(np.linspace(0, 1, len(at))) @ X @ bound < 0, -1.0, 1.0)  # the sign is a convention
    size = np.mean(mass @ (X @ bound) ** 2)
    middle = counts @ at / counts.sum()
    polynomials = np.column_stack([at - middle] if centred else [np.ones(len(at)), at - middle])[:, :null]
    free = free @ np.linalg.lstsq(X @ free, polynomials, rcond=None)[0]
    free = free * np.sqrt(size / (mass @ (X @ free) ** 2))
    return Basis(bs, knots, to_basis @ free, to_basis @ bound, float(at[0]), float(at[-1]))


def _knots(bs: str, at: np.ndarray, k: int) -> np.ndarray:
    """From the sorted unique values `at`."""
    if bs == "tp":
        return at if len(at) <= _MOST_KNOTS else np.quantile(at, np.linspace(0, 1, _MOST_KNOTS))
    if bs == "ps":
        margin = 0.001 * (at[-1] - at[0])
        low, high = at[0] - margin, at[-1] + margin
        step = (high - low) / (k - 3)
        return np.linspace(low - 3 * step, high + 3 * step, k + 4)
    return np.quantile(at, np.linspace(0, 1, k))


def _raw(bs: str, knots: np.ndarray, x: np.ndarray, derivative: int) -> np.ndarray:
    """B(x), or its first derivative, of `Basis`."""
    if bs == "tp":
        r = x[:, None] - knots
        one, line = np.ones(len(x)), x - knots.mean()
        if derivative:
            return np.column_stack([r * np.abs(r) / 4, 0 * one, one])
        return np.column_stack([np.abs(r) ** 3 / 12, one, line])
    if bs == "cc":
        return _cardinal(knots, "periodic")(x, derivative)
    spline = _b_spline(knots) if bs == "ps" else _cardinal(knots, "natural")
    low, high = (knots[3], knots[-4]) if bs == "ps" else (knots[0], knots[-1])
    inside = np.clip(x, low, high)
    slope = spline(inside, 1)
    return slope if derivative else spline(inside) + (x - inside)[:, None] * slope


def _b_spline(knots: np.ndarray) -> BSpline:
    from scipy.interpolate import BSpline  # slow to import, and not every model has a smooth

    return BSpline(knots, np.eye(len(knots) - 4), 3)


def _cardinal(knots: np.ndarray, ends: str) -> CubicSpline:
    from scipy.interpolate import CubicSpline

    values = np.eye(len(knots))
    if ends == "periodic":
        values = np.vstack([values[:-1, :-1], values[:1, :-1]])
    return CubicSpline(knots, values, bc_type=ends, extrapolate="periodic" if ends == "periodic" else True)  # pyright: ignore


def _penalty(bs: str, knots: np.ndarray, k: int, at: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix from B to mgcv's basis of k functions, and S there: the integral of f''^2, or squared differences (ps)."""
    if bs == "ps":
        differences = np.diff(np.eye(k), 2, axis=0)
        return np.eye(k), differences.T @ differences
    if bs == "tp":
        return _thin_plate(knots, k, at, counts)
    bend = _cardinal(knots, "periodic" if bs == "cc" else "natural")(knots, 2)  # f'' is linear between knots
    h = np.diff(knots)[:, None]
    left, right = bend[:-1], bend[1:]
    S = (h * left).T @ (2 * left + right) + (h * right).T @ (2 * right + left)
    return np.eye(len(bend.T)), S / 6


def _thin_plate(knots: np.ndarray, k: int, at: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The truncated eigenbasis of Wood (2003): E = U D U', the k eigenvalues largest in magnitude, T' U Z = 0.

    Curves are [E U Z, T], T = [1, x - mean], the penalty Z' D Z; columns have mean square one over the rows.
    """
    E, T = np.split(_raw("tp", knots, knots, 0), [len(knots)], axis=1)
    values, vectors = np.linalg.eigh(E)
    kept = np.sort(np.argsort(-np.abs(values), kind="stable")[:k])[::-1]  # in mgcv's order, which the scale depends on
    D, U = values[kept], vectors[:, kept]
    Z = _right_null(T.T @ U)
    shift = counts @ at / counts.sum() - knots.mean()
    to_basis = np.zeros((len(U) + 2, k))
    to_basis[:-2, :-2], to_basis[-2:, -2:] = U @ Z, [[1.0, -shift], [0.0, 1.0]]
    S = np.zeros((k, k))
    S[: k - 2, : k - 2] = (Z.T * D) @ Z
    X = _raw("tp", knots, at, 0) @ to_basis
    size = np.sqrt(counts @ X**2 / counts.sum())
    return to_basis / size, S / np.outer(size, size)


def _right_null(A: np.ndarray) -> np.ndarray:
    """Z (k, k - m) with A Z = 0, A (m, k), by mgcv's order of Householder reflections: Z enters the scale of S."""
    A, k = A.copy(), A.shape[1]
    Q = np.eye(k)
    for i in range(len(A)):
        v = A[i, : k - i].copy()
        v[-1] += np.copysign(np.linalg.norm(v), v[-1])
        g = 2 / (v @ v)
        A[i + 1 :, : k - i] -= g * np.outer(A[i + 1 :, : k - i] @ v, v)
        Q[:, : k - i] -= g * np.outer(Q[:, : k - i] @ v, v)
    return Q[:, : k - len(A)]


def varying(name: str, x: np.ndarray, k: int) -> Basis:
    """The basis of curves that vary over groups, all of it random: a constant, the line x - mean, and k - 2 bends.

    The bends are those of a thin-plate basis, made orthogonal to the first two over the rows. Weights of sd 1 give each
    of the three parts a mean square of one over the rows, so that each sd is in the unit of the curve.
    """
    B = basis(name, x, "tp", k, centred=False)
    line, bends = B.columns(x)
    free = B.linear / np.sqrt(np.mean(line**2, axis=0))
    bound = B.penalised - B.linear @ np.linalg.lstsq(line, bends, rcond=None)[0]
    values = _raw("tp", B.knots, x, 0) @ bound
    bound = bound / np.sqrt(np.mean(np.sum(values**2, axis=1)))
    return replace(B, linear=np.empty((len(free), 0)), penalised=np.hstack([free, bound]))


@dataclass(frozen=True)
class Tensor:
    """t2(x, z): products of two bases, split (Wood, Scheipl & Faraway 2013), each column less its mean over the rows.

    Of each margin N = (1, line) is not penalised and P is. Xf = N1 N2 but the constant: x, z and x z. Zs are
    P1 N2, N1 P2 and P1 P2, with an sd each; they are divided by the largest absolute row sum, as mgcv does.
    """

    margins: tuple[Basis, Basis]
    size: float
    linear_means: np.ndarray
    means: np.ndarray

    @property
    def parts(self) -> tuple[int, int, int]:
        """Columns of P1 N2, N1 P2 and P1 P2."""
        r1, r2 = (B.penalised.shape[1] for B in self.margins)
        return 2 * r1, 2 * r2, r1 * r2

    def columns(self, x: np.ndarray, derivative: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Xf (n, 3) and Zs (n, q) at x (n, 2), or their first derivatives in the first variable."""
        (N1, P1), (N2, P2) = self.margins[0].columns(x[:, 0], derivative), self.margins[1].columns(x[:, 1])
        linear = _products(N1, N2)[:, [2, 1, 3]]
        penalised = np.hstack([_products(P1, N2), _products(N1, P2), _products(P1, P2)]) / self.size
        return (linear, penalised) if derivative else (linear - self.linear_means, penalised - self.means)

    def to_json(self) -> dict[str, Any]:
        return {
            "bs": "t2", "margins": [B.to_json() for B in self.margins], "size": self.size,
            "linear_means": self.linear_means.tolist(), "means": self.means.tolist(),
        }  # fmt: skip


def _products(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Row by row, every column of A (n, p) times every column of B (n, q): (n, p q)."""
    return (A[:, :, None] * B[:, None, :]).reshape(len(A), -1)


def tensor(names: tuple[str, str], x: np.ndarray, bs: str, k: int) -> Tensor:
    """The basis of t2(x, z), x (n, 2), with k functions in each direction."""
    if bs == "cc":
        raise InputError(f't2({", ".join(names)}): bs="cc" has no line; use "cr", "ps" or "tp"')
    first, second = (_natural(basis(name, x[:, j], bs, k, centred=False), x[:, j]) for j, name in enumerate(names))
    raw = Tensor((first, second), 1.0, np.zeros(3), np.zeros(1))
    linear, penalised = raw.columns(x)
    size = float((1.0 + np.abs(linear).sum(axis=1) + np.abs(penalised).sum(axis=1)).max())
    return Tensor((first, second), size, linear.mean(axis=0), penalised.mean(axis=0) / size)


def _natural(B: Basis, x: np.ndarray) -> Basis:
    """The basis with columns of mean square one over the rows: each of Xf, and those of Zs together."""
    line, bends = B.columns(x)
    linear = B.linear / np.sqrt(np.mean(line**2, axis=0))
    return replace(B, linear=linear, penalised=B.penalised / np.sqrt(np.mean(bends**2)))


def from_json(text: Mapping[str, Any]) -> Basis | Tensor:
    """The basis that `to_json` wrote."""
    if text["bs"] != "t2":
        return Basis.from_json(text)
    first, second = (Basis.from_json(part) for part in text["margins"])
    return Tensor((first, second), text["size"], np.array(text["linear_means"]), np.array(text["means"]))


# ------------------------------------------------------------------------------------------- a smooth of a predictor


@dataclass(frozen=True)
class Smooth:
    """One smooth of a linear predictor: Xf (n, p) `linear`, Zs (n, q) `penalised`, and which sd each weight has.

    `curves` names its curves, one for each level of a factor, "" where there is one; each has as many columns of either
    kind, one curve's after the other's. `sds` names the standard deviations and `sd_of` (q,) is that of each weight: one for
    each curve with `by`, one for each part of every curve with bs="fs" and t2.
    """

    name: str  # "x", "x:arm"
    label: str  # as written, "s(x, by=arm)"
    variables: tuple[str, ...]
    basis: Basis | Tensor
    linear: np.ndarray
    penalised: np.ndarray
    curves: tuple[str, ...]
    sds: tuple[str, ...]
    sd_of: np.ndarray

    @property
    def linear_labels(self) -> tuple[str, ...]:
        if len(self.variables) == 2:
            return (*self.variables, ":".join(self.variables))
        return self._labels(("constant", "line")[-(self.linear.shape[1] // len(self.curves)) :])

    @property
    def weight_labels(self) -> tuple[str, ...]:
        return self._labels([str(j + 1) for j in range(self.penalised.shape[1] // len(self.curves))])

    def _labels(self, of_one: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{c}: {label}" if c else label for c in self.curves for label in of_one)

    def spread(self, sd: int) -> float:
        """Standard deviation over its rows of the part of the curves that has this sd, if the sd is 1."""
        square = (self.penalised[:, self.sd_of == sd] ** 2).sum(axis=1)
        return float(np.sqrt(square[square > 0].mean()))


Levels = tuple[Sequence[str], np.ndarray]  # of a factor, and the code of every row (n,)


def smooth(label: str, variable: str, x: np.ndarray, bs: str, k: int) -> Smooth:
    """s(x) (n rows)."""
    B = basis(variable, x, bs, k)
    return _blocks(variable, label, (variable,), B, B.columns(x), [np.ones(len(x))], ("",), ("",), np.zeros(1, int))


def by_numbers(label: str, variable: str, x: np.ndarray, bs: str, k: int, by: str, numbers: np.ndarray) -> Smooth:
    """s(x, by=z): a curve times numbers (n,). It is not centred, because only constant numbers would repeat the intercept."""
    B = basis(variable, x, bs, k, centred=False, by=numbers)
    return _blocks(f"{variable}:{by}", label, (variable,), B, B.columns(x), [numbers], ("",), ("",), np.zeros(1, int))


def by_factor(label: str, variable: str, x: np.ndarray, bs: str, k: int, by: str, levels: Levels) -> Smooth:
    """s(x, by=f): a curve with an sd of its own for each level."""
    rows = [(levels[1] == j).astype(float) for j in range(len(levels[0]))]
    B = basis(variable, x, bs, k, by=rows[0])
    names = tuple(levels[0])
    return _blocks(
        f"{variable}:{by}", label, (variable,), B, B.columns(x), rows, names, names, np.arange(len(names))[:, None]
    )


def by_group(label: str, variable: str, x: np.ndarray, k: int, by: str, levels: Levels) -> Smooth:
    """s(x, g, bs="fs"): a random curve for each level, with one sd for constants, one for slopes, one for bends."""
    rows = [(levels[1] == j).astype(float) for j in range(len(levels[0]))]
    B = varying(variable, x, k)
    part = np.r_[0, 1, np.full(B.penalised.shape[1] - 2, 2)]
    names = tuple(levels[0])
    return _blocks(
        f"{variable}:{by}", label, (variable,), B, B.columns(x), rows, names, ("constant", "line", "bends"), part
    )


def surface(label: str, names: tuple[str, str], x: np.ndarray, bs: str, k: int) -> Smooth:
    """t2(x, z), x (n, 2)."""
    B = tensor(names, x, bs, k)
    sds, part = (*names, ":".join(names)), np.repeat(np.arange(3), B.parts)
    return _blocks(":".join(names), label, names, B, B.columns(x), [np.ones(len(x))], ("",), sds, part)


def _blocks(
    name: str,
    label: str,
    variables: tuple[str, ...],
    B: Basis | Tensor,
    columns: tuple[np.ndarray, np.ndarray],
    rows: Sequence[np.ndarray],
    curves: tuple[str, ...],
    sds: tuple[str, ...],
    sd_of: np.ndarray,
) -> Smooth:
    """Every curve's columns times its multipliers `rows` (n,); `sd_of` broadcasts to (curves, columns of one)."""
    linear, penalised = (np.hstack([m[:, None] * part for m in rows]) for part in columns)
    every = np.broadcast_to(sd_of, (len(curves), columns[1].shape[1])).ravel()
    return Smooth(name, label, variables, B, linear, np.ascontiguousarray(penalised), curves, sds, every)
