"""R2: the share of variance that a model explains, by the two definitions of the field."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.estimands.fitted import FittedModel, FittedOutcome, read_fitted
from glmm_zoo.estimands.linear_rows import LinearRows, covariance, own_effects
from glmm_zoo.estimands.row_coding import Exposure
from glmm_zoo.estimands.student_mixture import variance_ratio
from glmm_zoo.estimands.thresholds import thresholds_of_rows
from glmm_zoo.families.links import LINKS, PROBABILITY_LINKS
from glmm_zoo.results.estimates import STATISTIC_COLUMNS
from glmm_zoo.results.parameter_statistics import statistics
from glmm_zoo.results.whole_fit import of_a_whole_fit

_DRAWS = 1000
_BLOCK = 200_000  # draws times rows computed at a time
WITH_GROUPS, WITHOUT_GROUPS = "Bayesian R2 with group effects", "Bayesian R2 without group effects"
MARGINAL, CONDITIONAL = "Nakagawa marginal R2", "Nakagawa conditional R2"
_SENTENCE = (
    "These are not the same quantity: Bayesian R2 is the variance over rows of expected responses over itself plus the mean variance of a "
    "response given them (one trial of binomial counts), with each row's own group effects or with all of them 0; Nakagawa's R2 is on "
    "the scale of the linear predictor, where group effects count as variance that is not explained (marginal) or is (conditional)."
)


@of_a_whole_fit
def r2(tree: xr.DataTree, *, prob: float = 0.95) -> pd.DataFrame:
    """Bayesian R2 (Gelman et al. 2019) and Nakagawa's marginal and conditional R2, computed in each draw.

    Bayesian R2 is V(E(y_i)) / (V(E(y_i)) + mean of var(y_i)), V the variance over rows; E and var of an ordered category are those of
    its number 1, ..., K. Nakagawa's are F / (F + G + E) and (F + G) / (F + G + E): F the variance over rows of x'beta, G the mean over
    rows of z'S z, E the mean over rows of the variance that is left, sigma^2 (identity link), that of the latent variable (pi^2 / 3 for
    logit, over disc^2 where there is one), or
    log(1 + var(y) / E(y)^2) at the mean expected count (log link), plus that of effects that every row has of its own.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    prob
        Probability inside the equal-tailed intervals.

    Returns
    -------
    DataFrame
        One row for each, by name, with mean, median, sd, lower and upper; `outcome` where there are several. Nakagawa's are there
        where a latent or observation-level variance is known, so not for the ordinal families sratio and acat. `attrs["sentence"]`
        says what they are.

    Raises
    ------
    InputError
        Models of subjects some of whom are never at risk; unordered categories; times to an event.

    Source: Gelman et al. (2019), The American Statistician 73:307; Nakagawa, Johnson & Schielzeth (2017), J R Soc Interface 14:20170213.
    """
    if not 0 < prob < 1:
        raise InputError(f"prob must be between 0 and 1, not {prob}")
    model = read_fitted(tree, _DRAWS)
    tables = []
    for outcome in model.outcomes.values():
        if "never" in outcome.parts or "never" in outcome.own:
            raise InputError(
                "r2 is not there for subjects some of whom are never at risk: a row's variance is no row's alone"
            )
        if outcome.family.event_times is not None:
            raise InputError(
                f"r2 is not there for times to an event, such as {outcome.name!r}: where some are censored no variance is observed"
            )
        if "" not in outcome.parts:
            raise InputError(
                f"r2 is not there for unordered categories, such as {outcome.name!r}: they have no variance"
            )
        parts = outcome.coding.code(outcome.table, Exposure(given=frozenset(outcome.coding.exposure)))
        found = {**_bayesian(model, outcome, parts), **_nakagawa(model, outcome, parts)}
        draws = model.draws.by_chain(np.stack(list(found.values()), axis=1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a single draw there is no sd
            columns = statistics(draws, prob)[:, :5]
        table = pd.DataFrame(columns, index=pd.Index(list(found), name="quantity"), columns=list(STATISTIC_COLUMNS[:5]))
        if len(model.outcomes) > 1:
            table.insert(0, "outcome", outcome.name)
        tables.append(table)
    whole = pd.concat(tables)
    whole.attrs["sentence"] = _SENTENCE
    return whole


# ------------------------------------------------------------------------------------------------------------- Bayesian


def _bayesian(model: FittedModel, outcome: FittedOutcome, parts: Mapping[str, LinearRows]) -> dict[str, np.ndarray]:
    """Draws (S,) with and without the effects of groups, which differ only where there are any."""
    grouped = any(linear.random for linear in parts.values())
    without = _share(*_moments_of_rows(model, outcome, parts, with_groups=False))
    if not grouped:
        return {WITHOUT_GROUPS: without}
    return {WITH_GROUPS: _share(*_moments_of_rows(model, outcome, parts, with_groups=True)), WITHOUT_GROUPS: without}


def _share(expected: np.ndarray, variances: np.ndarray) -> np.ndarray:
    fitted = np.var(expected, axis=1, ddof=1)
    return fitted / (fitted + variances.mean(axis=1))


def _moments_of_rows(
    model: FittedModel, outcome: FittedOutcome, parts: Mapping[str, LinearRows], *, with_groups: bool
) -> tuple[np.ndarray, np.ndarray]:
    """E(y) and var(y) (S, m) in blocks of rows."""
    m, size = len(parts[""].offset), model.draws.size
    step = max(1, _BLOCK // size)
    blocks = []
    for start in range(0, m, step):
        rows = {part: linear.take(np.arange(start, min(start + step, m))) for part, linear in parts.items()}
        etas = {part: linear.fixed(size) for part, linear in rows.items() if part != "nominal"}
        for part, linear in rows.items() if with_groups else ():
            for term in linear.random:
                etas[part] = etas[part] + own_effects(term, term.effects.of_levels(), term.codes)
        own = {**_own(model, outcome), **_inverse(outcome, etas), **rows[""].bounds}
        thresholds = thresholds_of_rows(outcome, model.draws, rows.get("nominal"))
        if thresholds is not None:
            own["cutpoints"] = np.moveaxis(thresholds, 0, -1)
        moments = outcome.family.moments(etas[""], own, outcome.link)
        blocks.append([np.broadcast_to(x, etas[""].shape) for x in moments])
    expected, variances = (np.concatenate(x, axis=1) for x in zip(*blocks, strict=True))
    return expected, variances


def _own(model: FittedModel, outcome: FittedOutcome) -> dict[str, np.ndarray]:
    """Draws (S, 1) of the family's own parameters that have no predictor."""
    names = {own.name for own in outcome.family.own if own.scale in ("identity", "log", "logit")}
    return {name: model.draws[variable][:, None] for name, variable in outcome.own.items() if name in names}


def _inverse(outcome: FittedOutcome, etas: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The family's own parameters from their linear predictors."""
    scales = outcome.family.scales
    return {part: LINKS[scales[part]].inverse(eta) for part, eta in etas.items() if part in scales}


# ------------------------------------------------------------------------------------------------------------- Nakagawa


def _nakagawa(model: FittedModel, outcome: FittedOutcome, parts: Mapping[str, LinearRows]) -> dict[str, np.ndarray]:
    """Draws (S,); nothing where no variance of a row is known on the scale of the predictor."""
    main, size, family = parts[""], model.draws.size, outcome.family
    if family.truncated or (outcome.link in PROBABILITY_LINKS and not family.latent):
        return {}
    eta = main.fixed(size)
    fixed = np.var(eta - main.offset, axis=1, ddof=1)
    groups, each_row = np.zeros(size), np.zeros(size)
    of_rows = np.zeros_like(eta)
    for term in main.random:
        variance = covariance(term, term)
        if term.effects.df is not None:
            variance = np.where(variance > 0, variance * variance_ratio(term.effects.df)[:, None], 0.0)
        of_rows += variance
        (each_row if term.effects.for_each_row else groups)[:] += variance.mean(axis=1)
    if family.latent:
        left = family.latent_variance(outcome.link) * _mean_power(parts, "disc", -2.0, size)
    else:
        at = eta if outcome.link == "identity" else np.log(np.mean(np.exp(eta + 0.5 * of_rows), axis=1, keepdims=True))
        of_parts = {part: linear.fixed(size).mean(axis=1, keepdims=True) for part, linear in parts.items() if part}
        own = {**_own(model, outcome), **_inverse(outcome, of_parts)}
        if "sigma" in parts:
            own["sigma"] = np.sqrt(_mean_power(parts, "sigma", 2.0, size))[:, None]
        mean, spread = family.moments(at, own, outcome.link)
        left = spread[:, 0] if outcome.link == "identity" else np.log1p(spread / mean**2)[:, 0]
    total = fixed + groups + each_row + left
    return {MARGINAL: fixed / total, **({CONDITIONAL: 1.0 - (each_row + left) / total} if main.random else {})}


def _mean_power(parts: Mapping[str, LinearRows], part: str, power: float, size: int) -> np.ndarray:
    """The mean over rows and group effects (S,) of a power of what has a predictor of its logarithm; 1 where it has none."""
    if part not in parts:
        return np.ones(size)
    variance = sum((covariance(term, term) for term in parts[part].random), start=np.zeros((1, 1)))
    return np.mean(np.exp(power * parts[part].fixed(size) + 0.5 * power**2 * variance), axis=1)
