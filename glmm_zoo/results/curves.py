"""The posterior of every smooth curve of a fit on a grid: means, credible bands, slopes, effective degrees of freedom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, listing, warn
from glmm_zoo.families.links import LINKS
from glmm_zoo.formulas.smooths.bases import Basis
from glmm_zoo.plans.options import OptionType, read_option
from glmm_zoo.results.smooth_curves import SmoothCurve, smooth_curves
from glmm_zoo.results.storage import metadata, outcome_specs
from glmm_zoo.results.whole_fit import of_a_whole_fit

Grid = Callable[[SmoothCurve], np.ndarray]  # the points (n, variables) at which a curve is wanted, n the same for all


@of_a_whole_fit
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
    prob, points = (
        read_option("prob", prob, OptionType(number=True)),
        read_option("points", points, OptionType(whole_number=True)),
    )
    if not 0 < prob < 1:
        raise InputError(f"the probability of the bands must be between 0 and 1, not {prob}")
    if points < 2:
        raise InputError(f"points must be at least 2, not {points}")
    smooths = list(smooth_curves(tree))
    if not smooths:
        raise InputError("this fit has no smooths: its formula has no s()")
    surfaces = any(len(curve.variables) == 2 for curve in smooths)
    grid = _default_grid(points, surfaces) if at is None else _given_grid(smooths, at)
    columns: dict[str, list[np.ndarray]] = {}
    for curve in smooths:
        x = grid(curve)
        second = {"z": x[:, 1] if len(curve.variables) == 2 else np.full(len(x), np.nan)} if surfaces else {}
        for name, values in {"x": x[:, 0], **second, **_posterior_of_curve(tree, curve, x, prob)}.items():
            columns.setdefault(name, []).append(values)
    return xr.Dataset(
        {
            **{name: (("curve", "point"), np.stack(values)) for name, values in columns.items()},
            "edf": ("curve", [curve.edf() for curve in smooths]),
            "variable": ("curve", [", ".join(curve.variables) for curve in smooths]),
        },
        {"curve": [curve.label for curve in smooths]},
        {"prob": prob},
    )


def _default_grid(points: int, surfaces: bool) -> Grid:
    """Equally spaced points over the range of each variable; all curves have as many as a surface, if there is one."""
    side = round(np.sqrt(points))
    n = side**2 if surfaces else points

    def grid(curve: SmoothCurve) -> np.ndarray:
        ranges = [(basis.lower, basis.upper) for basis in curve.margins()]
        axes = [np.linspace(low, high, n if len(ranges) == 1 else side) for low, high in ranges]
        return np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=1)

    return grid


def _given_grid(smooths: Sequence[SmoothCurve], at: Mapping[str, Sequence[float]]) -> Grid:
    """The points of `at`, checked; those beyond the data are warned of."""
    bases = {name: basis for curve in smooths for name, basis in zip(curve.variables, curve.margins(), strict=True)}
    if set(at) != set(bases):
        raise InputError(f"at has values of {listing(at) or 'nothing'}; the smooths are of {listing(bases)}")
    given = {name: np.asarray(values, dtype=float).ravel() for name, values in at.items()}
    sizes = {len(x) for x in given.values()}
    if len(sizes) > 1 or 0 in sizes or not all(np.isfinite(x).all() for x in given.values()):
        raise InputError("at has finite numbers, equally many of each variable and at least one")
    for name, x in given.items():
        _warn_of_extrapolation(name, x, bases[name])
    return lambda curve: np.stack([given[name] for name in curve.variables], axis=1)


def _warn_of_extrapolation(name: str, x: np.ndarray, basis: Basis) -> None:
    if basis.beyond(x).any():
        warn(
            f"values of {name!r} from {x.min():g} to {x.max():g} go beyond the data, {basis.lower:g} to {basis.upper:g}: "
            "the curve is an extrapolation there"
        )


def _posterior_of_curve(tree: xr.DataTree, curve: SmoothCurve, x: np.ndarray, prob: float) -> dict[str, np.ndarray]:
    """What `curves` returns of one curve at the points x (n, variables): vectors (n,) by name."""
    f = curve.at(x)
    level, inverse = level_and_inverse_link(tree, curve.prefix)
    predictor = f + level[:, None]
    response_mean = inverse(predictor).mean(axis=0)
    on_response = {f"response_{name}": inverse(values) for name, values in credible_bands(predictor, prob).items()}
    slope = {f"slope_{name}": values for name, values in credible_bands(curve.at(x, 1), prob).items()}
    return {
        **credible_bands(f, prob),
        **on_response,
        "response_mean": response_mean,  # not the inverse link of the mean
        **{name: values for name, values in slope.items() if "simultaneous" not in name},
    }


def credible_bands(f: np.ndarray, prob: float) -> dict[str, np.ndarray]:
    """Mean, pointwise band and simultaneous band (n,) of the draws f (m, n) of a curve.

    The pointwise band holds the curve at each point with probability `prob`. The simultaneous one, mean +- c sd with c the
    `prob` quantile of max |f - mean| / sd over the points, holds it at all points together.
    """
    mean, sd = f.mean(axis=0), f.std(axis=0)
    tail = (1 - prob) / 2
    lower, upper = np.quantile(f, [tail, 1 - tail], axis=0)
    largest_deviation = np.max(np.abs(f - mean) / np.where(sd > 0, sd, 1.0), axis=1)
    half_width = np.quantile(largest_deviation, prob) * sd
    return {
        "mean": mean, "lower": lower, "upper": upper,
        "lower_simultaneous": mean - half_width, "upper_simultaneous": mean + half_width,
    }  # fmt: skip


def level_and_inverse_link(tree: xr.DataTree, prefix: str) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Draws (m,) of a linear predictor at the covariates' means and curves of zero, NaN without an intercept; its inverse link."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    lead = f"{prefix}_" if prefix else ""
    draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    if f"{lead}Intercept" not in posterior:
        return np.full(draws, np.nan), LINKS["identity"].inverse
    own = [name for name in (f"{lead}Intercept", f"{lead}beta") if name in posterior]  # not all that the file holds
    posterior = posterior[own].stack(sample=("chain", "draw"))
    level = posterior[f"{lead}Intercept"].values
    if f"{lead}beta" in posterior:
        level = (
            level + np.array(spec["learnt"][prefix]["means"]) @ posterior[f"{lead}beta"].transpose(..., "sample").values
        )
    outcomes = outcome_specs(spec)
    link = outcomes[prefix]["link"] if prefix in outcomes else spec["links"][prefix]
    return level, LINKS[link].inverse
