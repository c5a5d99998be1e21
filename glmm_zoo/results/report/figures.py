"""The pictures of the web page, each a PNG in base64."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.results.curves import curves
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.smooth_curves import smooth_curves
from glmm_zoo.results.storage import metadata, random_effect_variables, reported_variables

MOST_COUNTED = 200  # a rootogram has a bar for every count up to the largest predicted
MOST_CURVES = 12  # in one picture


def figures(tree: xr.DataTree) -> dict[str, str]:
    """The pictures that suit this fit, by title."""
    with _no_window():
        return {**_posterior(tree), **_predictive(tree), **_curves(tree), **_hazard(tree)}


def estimates_picture(estimates: Estimates) -> str | None:
    """The picture of estimates; None where they are too many for one."""
    with _no_window(), contextlib.suppress(InputError):
        return _png(estimates.plot())


@contextlib.contextmanager
def _no_window() -> Iterator[None]:
    import matplotlib as mpl

    backend = mpl.get_backend()
    mpl.use("agg")
    try:
        yield
    finally:
        mpl.use(backend)


def _posterior(tree: xr.DataTree) -> dict[str, str]:
    """Intervals, and draws with their ranks by chain, of every parameter but random effects and correlations."""
    import arviz_plots as azp

    spec = metadata(tree)["spec"]
    hidden, reported = random_effect_variables(spec), reported_variables(tree["posterior"].dataset, spec)
    names = [name for name in reported if name not in hidden and "corr_" not in name]
    return {
        title: _png(plot(tree, var_names=names, backend="matplotlib").viz["figure"].item())
        for title, plot in (
            ("Posterior means and intervals", azp.plot_forest),
            ("Draws and ranks by chain", azp.plot_rank_dist),
        )
    }


def _predictive(tree: xr.DataTree) -> dict[str, str]:
    """Observed and predicted values of each outcome that has more than two."""
    several = "outcomes" in metadata(tree)["spec"]
    return {
        f"Observed and predicted {name if several else 'outcome'}": _png(_predictive_plot(tree, str(name)))
        for name, observed in tree["observed_data"].data_vars.items()
        if len(np.unique(observed)) > 2
    }


def _predictive_plot(tree: xr.DataTree, name: str) -> Any:
    """Bars for counts, a density for measurements and for counts too large for bars; the longest tails are cut."""
    import arviz_plots as azp

    observed = tree["observed_data"].dataset[name].values
    counts = bool(np.all(observed == np.round(observed))) and observed.max() <= MOST_COUNTED
    most = 1.5 * observed.max() if counts else np.inf
    shown = xr.DataTree.from_dict(
        {
            group: tree[group].dataset[[name]].map(lambda v: v.clip(max=most).astype(np.int64 if counts else float))
            for group in ("posterior_predictive", "observed_data")
        }
    )
    plot = azp.plot_ppc_rootogram if counts else azp.plot_ppc_dist
    return plot(shown, backend="matplotlib").viz["figure"].item()


def _curves(tree: xr.DataTree) -> dict[str, str]:
    """Every smooth of one variable with its bands."""
    labels = [curve.label for curve in smooth_curves(tree) if len(curve.variables) == 1]
    if not labels:
        return {}
    title = "Smooth curves on the scale of the link, pointwise and simultaneous bands"
    return {title: _png(_curves_plot(curves(tree).sel(curve=labels)))}


def _curves_plot(curves: xr.Dataset) -> Any:
    """A panel for each curve, three in a row, at most `MOST_CURVES`."""
    import matplotlib.pyplot as plt

    n = min(curves.sizes["curve"], MOST_CURVES)
    figure, axes = plt.subplots(-(-n // 3), min(n, 3), figsize=(4 * min(n, 3), 3 * -(-n // 3)), squeeze=False)
    for axis, (label, curve) in zip(axes.flat, curves.groupby("curve"), strict=False):
        curve = curve.squeeze("curve")
        axis.fill_between(curve["x"], curve["lower_simultaneous"], curve["upper_simultaneous"], alpha=0.2, color="C0")
        axis.fill_between(curve["x"], curve["lower"], curve["upper"], alpha=0.3, color="C0")
        axis.plot(curve["x"], curve["mean"], color="C0")
        axis.set(title=f"{label}, edf {curve['edf'].item():.1f}", xlabel=curve["variable"].item())
    for axis in axes.flat[n:]:
        axis.remove()
    figure.tight_layout()
    return figure


def _hazard(tree: xr.DataTree) -> dict[str, str]:
    """The baseline hazard of a joint survival model."""
    if "surv_log_hazard" not in tree["posterior"]:
        return {}
    title = "Hazard of an average subject whose marker stays at its mean, with a 95 % band"
    return {title: _png(_hazard_plot(tree["posterior"].dataset["surv_log_hazard"]))}


def _hazard_plot(log_hazard: xr.DataArray) -> Any:
    """Hazard per unit of time over the follow-up; one panel for each cause."""
    import matplotlib.pyplot as plt

    causes = log_hazard["cause"].values.tolist() if "cause" in log_hazard.dims else [None]
    figure, axes = plt.subplots(1, len(causes), figsize=(4.5 * len(causes), 3.2), squeeze=False)
    for axis, cause in zip(axes.flat, causes, strict=True):
        of_cause = log_hazard if cause is None else log_hazard.sel(cause=cause)
        low, middle, high = np.exp(of_cause.quantile([0.025, 0.5, 0.975], ("chain", "draw")).values)
        times = of_cause["surv_time"].values.astype(float)
        axis.fill_between(times, low, high, alpha=0.3, color="C0")
        axis.plot(times, middle, color="C0")
        axis.set(title=cause or "", xlabel="time", ylabel="hazard", ylim=(0, None))
    figure.tight_layout()
    return figure


def _png(figure: Any) -> str:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, bbox_inches="tight")
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()
