"""How much an answer depends on the priors: by power-scaling one fit, and on request by fits with narrower and wider priors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.estimands.progress import block_by_block
from glmm_zoo.estimands.sensitivity import Sensitivity, power_scaled, targets_of
from glmm_zoo.inference.fit import fit
from glmm_zoo.priors import parse
from glmm_zoo.refits.variations import changed_model, priors_by_key, settings_of
from glmm_zoo.report.answer import answering
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.diagnostics import check
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.value_words import comparison_words
from glmm_zoo.results.numbers import written
from glmm_zoo.results.storage import metadata

SCALES = {"halved": 0.5, "doubled": 2.0}
_WORTH_TELLING = 0.2  # posterior standard deviations
_MOST_TOLD = 5
type Asking = Callable[[xr.DataTree], Estimates | None]


def sensitivity(
    tree: xr.DataTree,
    targets: Sequence[str] | None = None,
    *,
    estimates: Estimates | Asking | None = None,
    refit: bool = False,
    prob: float = 0.95,
) -> Sensitivity:
    """How much parameters and estimates depend on each prior, on all of them, and on the likelihood.

    Each prior, and the likelihood, is raised to powers near 1 by importance weights, from the draws of the fit alone. What moves with
    a prior and with the likelihood is a sign of conflict between prior and data; what moves with the prior only is informed by
    it. Beside that the medians and intervals with the priors half and twice as strong (powers of 1/2 and 2) are given.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    targets
        Names of parameters, "beta" or "beta[age]"; by default all that have a prior, [] for none.
    estimates
        What is asked of the population: the result of `comparisons`, `predictions`, `slopes` or `hypotheses` of this fit, or a
        function of a fit that gives it, which a refit needs: `lambda tree: zoo.comparisons(tree, "age")`. By default the
        comparisons of the variable that answers the fit's question.
    refit
        Also fit twice more, with the scales of all priors halved and doubled (of coefficients, intercepts, standard deviations; LKJ
        and Beta stay), and tell how far each target moves.
    prob
        Probability inside the equal-tailed intervals.

    Returns
    -------
    Sensitivity
        A `table` with a row for each target and prior, and `sentences`.

    Raises
    ------
    InputError
        Targets that there are not, estimates of another fit, fits without log prior or log-likelihood.

    Source: Kallioinen, Paananen, Bürkner & Vehtari (2024), Statistics and Computing 34:57.
    """
    if refit and isinstance(estimates, Estimates):
        raise InputError(
            "refit=True estimates again from other fits, and these estimates are of this one; give a function of a fit, such as "
            "estimates=lambda tree: zoo.comparisons(tree, 'age')"
        )
    asking = estimates if callable(estimates) else _of_the_answer
    about = about_of(tree)

    def of(fitted: xr.DataTree) -> Estimates | None:
        return _in_words(asking(fitted), about)

    given = _in_words(estimates, about) if isinstance(estimates, Estimates) else of(tree)
    found = power_scaled(tree, targets, given, prob)
    return _with_refits(found, tree, targets, of, prob) if refit else found


def _of_the_answer(tree: xr.DataTree) -> Estimates | None:
    return answering(tree).comparisons


def _in_words(estimates: Estimates | None, about: About) -> Estimates | None:
    """Comparisons whose variables and values are called as the user said; nothing else is changed."""
    if estimates is None or not {"variable", "contrast"} <= set(estimates.of) or not (about.names or about.levels):
        return estimates
    table = estimates.table.copy()
    pairs = list(zip(table["variable"], table["contrast"], strict=True))
    table["contrast"] = [comparison_words(about, variable, contrast, short=True) for variable, contrast in pairs]
    table["variable"] = [about.name(variable) for variable, _ in pairs]
    return replace(estimates, table=table)


def _with_refits(
    found: Sensitivity, tree: xr.DataTree, targets: Sequence[str] | None, estimates: Asking, prob: float
) -> Sensitivity:
    table, was, shifts = found.table, _statistics(tree, targets, estimates(tree), prob), pd.DataFrame()
    priors = {name: parse(text) for name, text in priors_by_key(metadata(tree)["spec"]).items()}
    unsound = []
    for scales in block_by_block(list(SCALES)):
        others = {name: str(prior.scaled(SCALES[scales])) for name, prior in priors.items()}
        again = fit(changed_model(tree, priors=others), **settings_of(tree), progress=False)
        new = _statistics(again, targets, estimates(again), prob)
        shifts[scales] = new["shift"] = (new["median"] - was["median"]) / was["sd"]
        table = table.join(new.drop(columns="sd").add_prefix(f"{scales}_"), on="target")
        unsound += [] if check(again).sound else [scales]
    scaled = [name for name, prior in priors.items() if prior.scaled(2.0) != prior]
    return replace(found, table=table, sentences=(*found.sentences, *_sentences(shifts, len(scaled), unsound)))


def _statistics(
    tree: xr.DataTree, targets: Sequence[str] | None, estimates: Estimates | None, prob: float
) -> pd.DataFrame:
    """Median, interval and sd of every target, by its name."""
    tail, rows = (1 - prob) / 2, {}
    for of_draws in targets_of(tree, targets, estimates).values():
        for name, draws in of_draws.items():
            rows[name] = [*np.quantile(draws, [0.5, tail, 1 - tail]), draws.std(ddof=1)]
    columns = pd.Index(["median", "lower", "upper", "sd"])
    return pd.DataFrame(list(rows.values()), index=pd.Index(list(rows), name="target"), columns=columns)


def _sentences(shifts: pd.DataFrame, scaled: int, unsound: Sequence[str]) -> list[str]:
    """Which targets move most, given the shifts of all (targets, scales), and which fit cannot be trusted."""
    size = shifts.abs().max(axis=1).sort_values(ascending=False)
    told = size[size >= _WORTH_TELLING].index[:_MOST_TOLD]
    moves = "; ".join(f"{name} by {_moves(shifts.loc[name])}" for name in told)
    lead = f"Fitted again with the scales of {plural(scaled, 'prior')} halved, and doubled"
    if len(told):
        rest = "" if len(told) == len(size) else f"; each of the others by at most {written(size.drop(told).max(), 2)}"
        sentence = f"{lead}: medians move, in posterior standard deviations, {moves}{rest}."
    else:
        sentence = f"{lead}: no median moves by more than {written(size.max(), 2)} posterior standard deviations."
    trouble = f"The fit with the scales {listing(unsound)} is not sound; its numbers are not to be trusted."
    return [sentence, trouble] if unsound else [sentence]


def _moves(shifts: pd.Series) -> str:
    return " and ".join(f"{'+' if shift > 0 else ''}{written(shift, 2)}" for shift in shifts)
