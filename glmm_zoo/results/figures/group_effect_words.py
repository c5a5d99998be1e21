"""Group effects that are correlated: which factor has them, and what they are in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, listing
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.effects import coefficient_words, predictor_words
from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.parameter_statistics import group_effect_moments
from glmm_zoo.results.storage import groups_of_outcomes, metadata


@dataclass(frozen=True)
class CorrelatedEffects:
    """The k effects of a grouping factor, at the means of the columns of slopes where the fit has them there.

    Attributes
    ----------
    factor
        The grouping factor.
    words
        Of each effect: "intercept", "slope of age", "platelets: intercept".
    at_means
        Whether intercepts are at the means of the slopes' columns.
    df
        Draws of the degrees of freedom of Student-t effects, whose scales the sds are; None of normal ones.
    strata
        Levels of the column by which the covariances differ; "" alone where there is one covariance.
    sd
        Draws (strata, chain, draw, k).
    correlations
        Draws (strata, chain, draw, k, k).
    effects
        Means (levels, k) of the draws.
    """

    factor: str
    words: list[str]
    at_means: bool
    df: np.ndarray | None
    strata: list[str]
    sd: np.ndarray
    correlations: np.ndarray
    effects: np.ndarray


def correlated_effects(tree: xr.DataTree, about: About, figure: str, factor: str | None = None) -> CorrelatedEffects:
    """Those of a factor, by default the first that has correlated effects; `figure` is what they are for.

    Raises
    ------
    InputError
        No such factor.
    """
    spec, posterior = metadata(tree)["spec"], tree["posterior"].dataset
    found = correlated_factors(tree)
    if not found or (factor is not None and factor not in found):
        has = f"its factors with them are {listing(found)}" if found else "it has none"
        raise InputError(
            f"{figure} draws correlated group effects{f' of {factor!r}' if factor else ' of this fit'}, and {has}"
        )
    chosen = next(iter(found)) if factor is None else factor
    variables, group = found[chosen], spec["groups"][chosen]
    return CorrelatedEffects(
        chosen,
        [effect_words(metadata(tree)["spec"], effect, group["predictors"], about) for effect in group["effects"]],
        bool(group["at_means"]),
        draws_of(posterior, group["df"]) if "df" in group else None,
        group["by"]["levels"] if "by" in group else [""],
        _by_stratum(draws_of(posterior, variables["sd"]), "by" in group),
        _by_stratum(draws_of(posterior, variables["corr"]), "by" in group),
        _means(tree, variables["u"]),
    )


def _by_stratum(draws: np.ndarray, several: bool) -> np.ndarray:
    return np.moveaxis(draws, 2, 0) if several else draws[None]


def correlated_factors(tree: xr.DataTree) -> dict[str, dict[str, str]]:
    """The factors that have correlated effects, and the variables of their sds, correlations and effects."""
    found = {name: _variables(group) for name, group in groups_of_outcomes(metadata(tree)["spec"]).items()}
    return {name: v for name, v in found.items() if v["corr"] in tree["posterior"]}


def _means(tree: xr.DataTree, name: str) -> np.ndarray:
    """The means of group effects, of which a fit may have kept no draws."""
    if name in tree["posterior"]:
        return tree["posterior"].dataset[name].mean(("chain", "draw")).values
    return group_effect_moments(tree)[name].sel(statistic="mean").values


def _variables(group: Mapping[str, Any]) -> dict[str, str]:
    """The variables of sds, correlations and effects."""
    usual = {"sd": group["sd"], "corr": f"corr_{group['sd'].split('sd_', 1)[1]}", "u": group["u"]}
    return {**usual, **group["at_means"]}


def effect_words(spec: Mapping[str, Any], effect: str, predictors: Sequence[str], about: About) -> str:
    """An effect of a factor: "intercept", "slope of age", of one of several predictors "platelets: intercept"."""
    part, _, rest = effect.partition(":")
    known = bool(part) and part in predictors
    name = rest if known else effect
    words = "intercept" if name == "Intercept" else f"slope of {coefficient_words(about, name)}"
    return f"{predictor_words(spec, part, about)}: {words}" if known else words
