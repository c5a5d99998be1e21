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
from glmm_zoo.formulas.smooths.bases import Basis
from glmm_zoo.formulas.smooths.tensor_products import TensorProduct, basis_from_json
from glmm_zoo.results.storage import about, outcomes

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
    """One curve of a fit: draws of its sds (m, sds), unpenalised coefficients (m, p) and weights (m, q).

    `sd_of` (q,) is the sd of each weight, a column of `sd`.
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
        """Draws of f(x), or of its first derivative in the first variable, at x (n, variables): (m, n)."""
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
        found = float(self.linear.shape[1])
        for j in np.unique(self.sd_of):
            sd = self.sd[:, j]
            rank = np.argsort(np.argsort(sd)) / len(sd)
            z = self.weights[:, self.sd_of == j] / sd[:, None]
            X = np.polynomial.legendre.legvander(2 * rank - 1, _DEGREE)
            rest = z - X @ np.linalg.lstsq(X, z, rcond=None)[0]
            found += float(np.sum(1.0 - np.mean(rest**2, axis=0)))
        return found


def of_fit(tree: xr.DataTree) -> Iterator[Curve]:
    """Every curve of a fit, a smooth with a factor having one for each level."""
    posterior = tree["posterior"].dataset.stack(sample=("chain", "draw"))

    def draws(name: str) -> np.ndarray:
        return posterior[name].transpose("sample", ...).values.reshape(posterior.sizes["sample"], -1)

    for told in about(tree)["spec"]["smooths"]:
        sd, weights, sd_of = draws(told["sd"]), draws(told["weights"]), np.array(told["sd_of"])
        linear = draws(told["linear"]) if told["linear"] in posterior else np.empty((len(sd), 0))
        q, p = (part.shape[1] // len(told["curves"]) for part in (weights, linear))
        for j, level in enumerate(told["curves"]):
            label = f"{told['label']} [{level}]" if level else told["label"]
            own, line = slice(j * q, j * q + q), slice(j * p, j * p + p)
            yield Curve(
                label, tuple(told["variables"]), told["prefix"], basis_from_json(told["basis"]), sd, sd_of[own],
                linear[:, line], weights[:, own],
            )  # fmt: skip


def curves(
    tree: xr.DataTree, *, points: int = 100, prob: float = 0.95, at: Mapping[str, Sequence[float]] | None = None
) -> xr.Dataset:
    """The posterior of every smooth curve of a fit.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    points
        Size of the grid over the range of each variable; of a surface t2(x, z), about sqrt(points) in each direction, and
        then as many points for all curves.
    prob
        Probability inside the bands.
    at
        Values of the variables instead of the grid, by name, equally many of each: `{"age": [20, 30, 40]}`. Outside the
        range of the data curves go on as straight lines (cc: periodically), with a warning.

    Returns
    -------
    Dataset
        Over curve ("s(x)", "s(x, by=arm) [low]", "zi s(x)") and point: `x`, the values of the curve's variable, and for
        fits with t2() `z`, those of the second (NaN for curves of one); `mean`,
        `lower`, `upper`, `lower_simultaneous`, `upper_simultaneous` of the curve on the scale of the link, where it sums
        to zero over the rows; the same with the prefix `response_`, the inverse link of the intercept at the covariates'
        means plus the curve, at group effects of zero and without offset; `slope_mean`, `slope_lower`, `slope_upper` of
        the first derivative, that in x, on the scale of the link. `edf` (curve) are the effective degrees of freedom. A
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
    values_of = _grid(found, points, at)
    columns: dict[str, list[np.ndarray]] = {}
    for curve in found:
        x = values_of(curve)
        f = curve.at(x)
        parts = {"x": x[:, 0]}
        if any(len(other.variables) == 2 for other in found):
            parts["z"] = x[:, 1] if len(curve.variables) == 2 else np.full(len(x), np.nan)
        parts |= _band(f, prob)
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
            "variable": ("curve", [", ".join(curve.variables) for curve in found]),
        },
        {"curve": [curve.label for curve in found]},
        {"prob": prob},
    )


def _grid(
    found: Sequence[Curve], points: int, at: Mapping[str, Sequence[float]] | None
) -> Callable[[Curve], np.ndarray]:
    """Where a curve is wanted: (n, variables), the same n for all."""
    bases = {name: basis for curve in found for name, basis in zip(curve.variables, curve.margins(), strict=True)}
    if at is None:
        side = round(np.sqrt(points))
        n = side**2 if any(len(curve.variables) == 2 for curve in found) else points

        def grid(curve: Curve) -> np.ndarray:
            ranges = [(basis.lower, basis.upper) for basis in curve.margins()]
            axes = [np.linspace(low, high, n if len(ranges) == 1 else side) for low, high in ranges]
            return np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=1)

        return grid
    if set(at) != set(bases):
        raise InputError(f"at has values of {listing(at) or 'nothing'}; the smooths are of {listing(bases)}")
    given = {name: np.asarray(values, dtype=float).ravel() for name, values in at.items()}
    sizes = {len(x) for x in given.values()}
    if len(sizes) > 1 or 0 in sizes or not all(np.isfinite(x).all() for x in given.values()):
        raise InputError("at has finite numbers, equally many of each variable and at least one")
    for name, x in given.items():
        if bases[name].beyond(x).any():
            low, high = bases[name].lower, bases[name].upper
            warnings.warn(
                f"values of {name!r} from {x.min():g} to {x.max():g} go beyond the data, {low:g} to {high:g}: "
                "the curve is an extrapolation there",
                ZooWarning,
                stacklevel=3,
            )
    return lambda curve: np.stack([given[name] for name in curve.variables], axis=1)


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
        level = (
            level + np.array(spec["learnt"][prefix]["means"]) @ posterior[f"{lead}beta"].transpose(..., "sample").values
        )
    said = outcomes(spec)
    return level, INVERSE[said[prefix]["link"] if prefix in said else spec["links"][prefix]]
