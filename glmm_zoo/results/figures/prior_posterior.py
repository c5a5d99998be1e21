"""Prior against posterior of each parameter: what the data have added."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import listing
from glmm_zoo.priors import Prior, parse
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.densities import kernel_density, prior_density, prior_quantiles
from glmm_zoo.results.figures.picture import Canvas, Picture
from glmm_zoo.results.numbers import NO_BREAK, written
from glmm_zoo.results.parameter_statistics import element_labels, elements
from glmm_zoo.results.storage import metadata, random_effect_variables

_SIDE = 20  # px, for half the label of a tick
_MOST = 9  # panels
_POINTS = 80
_REACH = 5.0  # half the axis, in standard deviations of the posterior
_LEANS = (
    0.5  # share of the width of the prior's 50 % interval that the posterior's has, from which on it leans on the prior
)
_HEIGHT, _NARROW_HEIGHT = 92, 80


@dataclass(frozen=True)
class PriorAndPosterior:
    """A parameter: its name, prior, draws (n,), of how many effects or shares a correlation or share is, and the width of the
    posterior's 50 % interval as a share of the prior's."""

    name: str
    prior: Prior
    draws: np.ndarray
    levels: int
    narrowed: float

    @property
    def support(self) -> tuple[float, float]:
        """The ends of what the parameter can be."""
        return {"LKJ": (-1.0, 1.0), "Dirichlet": (0.0, 1.0)}.get(self.prior.distribution, self.prior.interval)

    @cached_property
    def densities(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places (points,) around the posterior, and the densities of prior and posterior there."""
        middle, sd = self.draws.mean(), self.draws.std()
        low, high = np.clip([middle - _REACH * sd, middle + _REACH * sd], *self.support)
        x = np.linspace(low, high, _POINTS)
        return x, prior_density(self.prior, x, self.levels), kernel_density(self.draws, x, *self.support)


def priors_and_posteriors(tree: xr.DataTree, about: About) -> list[PriorAndPosterior]:
    """Every parameter with a prior: standard deviations and the answering coefficients first, baselines of studies and others last."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    hidden = random_effect_variables(spec)
    found = []
    for variable, priors in spec["priors"].items():
        at_means = f"{variable}_at_means"
        name = at_means if at_means in posterior else variable
        if name in posterior and name not in hidden:
            found += _elements(posterior[name], variable, priors)
    return sorted(found, key=lambda one: _place(one.name, about))


def _elements(array: xr.DataArray, variable: str, priors: str | Mapping[str, str]) -> Iterator[PriorAndPosterior]:
    """The elements of a variable that vary, each with its prior; of a correlation matrix those below the diagonal."""
    labels, draws = element_labels(array.rename(variable)), elements(array)
    levels = array.shape[-1] if array.ndim > 2 else 2
    correlates = str(array.dims[-1]).endswith("_bis")
    texts = [priors] * len(labels) if isinstance(priors, str) else list(priors.values())
    if correlates:
        texts = texts * len(labels) if len(texts) == 1 else texts
    for i, (label, text) in enumerate(zip(labels, texts, strict=False)):
        if correlates and i // levels % levels <= i % levels:
            continue
        prior, values = parse(text), draws[..., i].ravel()
        low, high = prior_quantiles(prior, np.array([0.25, 0.75]), levels)
        narrowed = float(np.ptp(np.quantile(values, [0.25, 0.75])) / (high - low))
        name = label.removesuffix("[Intercept]") if variable.startswith("sd_") and len(labels) == 1 else label
        yield PriorAndPosterior(name, prior, values, levels, narrowed)


def _place(name: str, about: About) -> int:
    """Where a parameter stands in the picture."""
    base, _, inside = name.partition("[")
    if re.search(r"(^|_)sd(_|$)", base) or base in ("tau", "effect"):
        return 0
    if about.of and re.search(rf"(?<!\w){re.escape(about.of)}(?!\w)", inside):
        return 1
    return 4 if base == "study_Intercept" else 3 if "corr" in base else 2


def prior_posterior(tree: xr.DataTree, about: About) -> Picture:
    """Prior (grey) and posterior (blue) densities of at most nine parameters, each on an axis of its own."""
    every = priors_and_posteriors(tree, about)
    shown = sorted(sorted(every, key=lambda one: one.narrowed <= _LEANS)[:_MOST], key=every.index)
    leaning = [one for one in every if one.narrowed > _LEANS]
    widest = max(every, key=lambda one: one.narrowed)
    others = sorted(one.narrowed for one in every)[:-1]
    width = f"the 50 % interval of {widest.name} is {_times(widest.narrowed)} as wide as under its prior"
    rest = f", those of the others at most {_times(others[-1])}" if others else ""
    caption = [
        "Prior (grey) and posterior (blue) densities, each parameter in its own unit; where blue is much narrower than grey, the data "
        "decide, not the prior."
    ]
    if any(str(name).endswith("_at_means") for name in tree["posterior"].dataset.data_vars):
        caption.append(
            "Intercepts and standard deviations are those at the means of the covariates, where their priors hold."
        )
    if leaning:
        verb = "leans" if len(leaning) == 1 else "lean"
        caption.append(f"{listing((one.name for one in leaning), 4)} {verb} on the prior.")
    if len(every) > _MOST:
        caption.append(f"{_MOST} of {len(every)} parameters are drawn.")
    alt = f"{width[0].upper()}{width[1:]}{rest}."
    return Picture("prior_posterior", "Prior and posterior", " ".join(caption), alt, partial(_draw, shown))


def _times(share: float) -> str:
    return written(share, 2) if share >= 0.01 else "less than 0.01"


def _draw(shown: list[PriorAndPosterior], canvas: Canvas) -> None:
    from matplotlib.ticker import MaxNLocator

    across = min(2 if canvas.narrow else 3, len(shown))
    height = _NARROW_HEIGHT if canvas.narrow else _HEIGHT
    axes: list[Any] = canvas.panels(len(shown), height, left=_SIDE, right=_SIDE, across=across, below=32)
    for axis, one in zip(axes, shown, strict=True):
        x, prior, posterior = one.densities
        axis.set_xlim(x[0], x[-1])
        axis.set_ylim(0, 1.05 * max(posterior.max(), min(np.nanmax(prior), 2 * posterior.max())))
        canvas.no_axis(axis)
        axis.xaxis.set_major_locator(MaxNLocator(3 if canvas.narrow else 4))
        top = axis.get_ylim()[1]
        for values, role, opacity in ((prior, "control", 0.3), (posterior, "model", 0.3)):
            height_of = np.clip(np.nan_to_num(values, nan=top), 0, top)
            canvas.band(axis, x, np.zeros_like(x), height_of, role=role, opacity=opacity)
            canvas.line(axis, x, height_of, role=role, width=1.5)
        canvas.title(axis, one.name.replace(" ", NO_BREAK))
