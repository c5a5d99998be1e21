"""Posterior curves of smooths: means, bands, slopes and effective degrees of freedom. Imports `errors`, `smooths`,
`storage`; sees a DataTree, fresh or loaded, whose spec holds every basis.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import special

from glmm_zoo.errors import InputError, ZooWarning, listing
from glmm_zoo.smooths import Basis
from glmm_zoo.storage import about

INVERSE: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "logit": special.expit,
    "probit": special.ndtr,
    "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
}

_DEGREE = 5  # of the polynomial that the mean of the weights is in sd


@dataclass(frozen=True)
class Curve:
    """One curve of a fit: draws of its sd (m,), unpenalised coefficients (m, p) and weights (m, q)."""

    label: str
    variable: str
    prefix: str
    basis: Basis
    sd: np.ndarray
    linear: np.ndarray
    weights: np.ndarray

    def at(self, x: np.ndarray, derivative: int = 0) -> np.ndarray:
        """Draws of f(x), or of f'(x): (m, len(x))."""
        Xf, Zs = self.basis.columns(x, derivative)
        return self.linear @ Xf.T + self.weights @ Zs.T

    def edf(self) -> float:
        """Effective degrees of freedom, in the mean over the posterior: p + sum_j (1 - E[var(w_j | sd) / sd^2]).

        That is the trace of (X'WX + S / sd^2)^-1 X'WX over the curve's coefficients, for any family, from draws alone:
        var(w | sd) / sd^2 is what is left of w / sd after a polynomial in the rank of sd. p for a straight line, p + q for
        a curve that is not penalised.
        """
        rank = np.argsort(np.argsort(self.sd)) / len(self.sd)
        z = self.weights / self.sd[:, None]
        rest = z - _fitted(np.polynomial.legendre.legvander(2 * rank - 1, _DEGREE), z)
        return float(self.linear.shape[1] + np.sum(1.0 - np.mean(rest**2, axis=0)))


def _fitted(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    return X @ np.linalg.lstsq(X, y, rcond=None)[0]


def of_fit(tree: xr.DataTree) -> Iterator[Curve]:
    """Every curve of a fit, a smooth with a factor `by` having one for each level."""
    posterior = tree["posterior"].dataset.stack(sample=("chain", "draw"))

    def draws(name: str) -> np.ndarray:
        return posterior[name].transpose("sample", ...).values.reshape(posterior.sizes["sample"], -1)

    for told in about(tree)["spec"]["smooths"]:
        basis = Basis.from_json(told["basis"])
        p, q = basis.linear.shape[1], basis.penalised.shape[1]
        sd, weights = draws(told["sd"]), draws(told["weights"])
        linear = draws(told["linear"]) if p else np.empty((len(sd), 0))
        for j, level in enumerate(told["curves"]):
            label = f"{told['label']} [{level}]" if level else told["label"]
            own, line = slice(j * q, j * q + q), slice(j * p, j * p + p)
            yield Curve(label, told["variable"], told["prefix"], basis, sd[:, j], linear[:, line], weights[:, own])


def curves(
    tree: xr.DataTree, *, points: int = 100, prob: float = 0.95, at: Mapping[str, Sequence[float]] | None = None
) -> xr.Dataset:
    """The posterior of every smooth curve of a fit.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    points
        Size of the grid over the range of each variable.
    prob
        Probability inside the bands.
    at
        Values of the variables instead of the grid, by name, equally many of each: `{"age": [20, 30, 40]}`. Outside the
        range of the data curves go on as straight lines (cc: periodically), with a warning.

    Returns
    -------
    Dataset
        Over curve ("s(x)", "s(x, by=arm) [low]", "zi s(x)") and point: `x`, the values of the curve's variable; `mean`,
        `lower`, `upper`, `lower_simultaneous`, `upper_simultaneous` of the curve on the scale of the link, where it sums
        to zero over the rows; the same with the prefix `response_`, the inverse link of the intercept at the covariates'
        means plus the curve, at group effects of zero and without offset; `slope_mean`, `slope_lower`, `slope_upper` of
        the first derivative on the scale of the link. `edf` (curve) are the effective degrees of freedom. A
        simultaneous band holds the whole curve, at all points of the grid, with probability `prob`. `response_` is NaN
        where there is no intercept.

    Raises
    ------
    InputError
        A fit without smooths; `prob` or `points` out of range; values in `at` that are missing or not finite.
    """
    if not 0 < prob < 1:
        raise InputError(f"the probability of the bands must be between 0 and 1, not {prob}")
    if points < 2:
        raise InputError(f"points must be at least 2, not {points}")
    found = list(of_fit(tree))
    if not found:
        raise InputError("this fit has no smooths: its formula has no s()")
    grids = _grids(found, points, at)
    columns: dict[str, list[np.ndarray]] = {}
    for curve in found:
        x = grids[curve.variable]
        f = curve.at(x)
        parts = {"x": x, **_band(f, prob)}
        level, inverse = _reference(tree, curve.prefix)
        on_response = _band(f + level[:, None], prob)
        mean = inverse(f + level[:, None]).mean(axis=0)
        parts |= {f"response_{k}": inverse(v) for k, v in on_response.items()} | {"response_mean": mean}
        slope = _band(curve.at(x, 1), prob)
        parts |= {f"slope_{k}": v for k, v in slope.items() if "simultaneous" not in k}
        for name, values in parts.items():
            columns.setdefault(name, []).append(values)
    return xr.Dataset(
        {
            **{name: (("curve", "point"), np.stack(values)) for name, values in columns.items()},
            "edf": ("curve", [curve.edf() for curve in found]),
            "variable": ("curve", [curve.variable for curve in found]),
        },
        {"curve": [curve.label for curve in found]},
        {"prob": prob},
    )


def _grids(found: Sequence[Curve], points: int, at: Mapping[str, Sequence[float]] | None) -> dict[str, np.ndarray]:
    bases = {curve.variable: curve.basis for curve in found}
    if at is None:
        return {name: np.linspace(basis.lower, basis.upper, points) for name, basis in bases.items()}
    if set(at) != set(bases):
        raise InputError(f"at has values of {listing(at) or 'nothing'}; the smooths are of {listing(bases)}")
    grids = {name: np.asarray(values, dtype=float).ravel() for name, values in at.items()}
    sizes = {len(x) for x in grids.values()}
    if len(sizes) > 1 or 0 in sizes or not all(np.isfinite(x).all() for x in grids.values()):
        raise InputError("at has finite numbers, equally many of each variable and at least one")
    for name, x in grids.items():
        if bases[name].beyond(x).any():
            low, high = bases[name].lower, bases[name].upper
            warnings.warn(
                f"values of {name!r} from {x.min():g} to {x.max():g} go beyond the data, {low:g} to {high:g}: "
                "the curve is an extrapolation there",
                ZooWarning,
                stacklevel=3,
            )
    return grids


def _band(f: np.ndarray, prob: float) -> dict[str, np.ndarray]:
    """Mean, pointwise and simultaneous band of draws f (m, n): mean +- c sd, c the quantile of max |f - mean| / sd."""
    mean, sd = f.mean(axis=0), f.std(axis=0)
    tail = (1 - prob) / 2
    lower, upper = np.quantile(f, [tail, 1 - tail], axis=0)
    far = np.max(np.abs(f - mean) / np.where(sd > 0, sd, 1.0), axis=1)
    wide = np.quantile(far, prob) * sd
    return {
        "mean": mean, "lower": lower, "upper": upper,
        "lower_simultaneous": mean - wide, "upper_simultaneous": mean + wide,
    }  # fmt: skip


def _reference(tree: xr.DataTree, prefix: str) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Draws (m,) of the predictor at the covariates' means and curves of zero, and the inverse link."""
    posterior, spec = tree["posterior"].dataset.stack(sample=("chain", "draw")), about(tree)["spec"]
    lead = f"{prefix}_" if prefix else ""
    if f"{lead}Intercept" not in posterior:
        return np.full(posterior.sizes["sample"], np.nan), INVERSE["identity"]
    level = posterior[f"{lead}Intercept"].values
    if f"{lead}beta" in posterior:
        level = level + np.array(spec["learnt"][prefix]["means"]) @ posterior[f"{lead}beta"].transpose(..., "sample").values
    return level, INVERSE[spec["links"][prefix] if prefix else spec["link"]]

