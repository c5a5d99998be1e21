"""Three verdicts on a fit, never one word for all: on the sampling, on the fit to the data, and on what the design cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import more_about, number_word, plural
from glmm_zoo.results import diagnostics
from glmm_zoo.results.design_limits import design_limits
from glmm_zoo.results.diagnostics import REMARKED, Verdict
from glmm_zoo.results.fit_checks import fit_checks
from glmm_zoo.results.fit_checks.fit_check import SIGN, FitCheck, Soundness
from glmm_zoo.results.imputations import imputations_of, imputed_tables, most_missing
from glmm_zoo.results.numbers import percent, whole, written
from glmm_zoo.results.storage import metadata, random_effect_variables
from glmm_zoo.results.whole_fit import of_a_whole_fit

_TITLES = {"stepped_wedge": "Design.", "joint_survival": "Assumptions."}


@dataclass(frozen=True)
class Judgement:
    """One of the verdicts: its `state`, a `title` that ends with a full stop, and `sentences` that say why and what to do.

    `entries` are those of docs/guides/diagnostics.md on what was found.
    """

    state: Soundness
    title: str
    sentences: tuple[str, ...]
    entries: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The sentences, and the command that prints the entries."""
        return (*self.sentences, more_about(self.entries)) if self.entries else self.sentences

    def __str__(self) -> str:
        return " ".join((self.title, *self.words))


@dataclass(frozen=True)
class Verdicts:
    """Whether the draws can be trusted, whether the model fits the data, and what the design cannot tell whatever the draws.

    `checks` are those behind the second.
    """

    sampling: Judgement
    fit: Judgement
    design: Judgement
    checks: tuple[FitCheck, ...] = ()

    def __str__(self) -> str:
        return "\n".join(str(judgement) for judgement in (self.sampling, self.fit, self.design))


@of_a_whole_fit
def verdicts(tree: xr.DataTree, verdict: Verdict | None = None) -> Verdicts:
    """The three verdicts on a fit, fresh or loaded from a file.

    Parameters
    ----------
    verdict
        What `check` says of the fit, where it is known already.
    """
    verdict = diagnostics.check(tree) if verdict is None else verdict
    with np.errstate(all="ignore"):  # rows that the model predicts without any spread
        checks = () if diagnostics.incomplete(tree) is not None else tuple(fit_checks(imputations_of(tree)[0]))
    return Verdicts(_sampling(tree, verdict), _fit(checks), _design(tree), checks)


# ------------------------------------------------------------------------------------------------------------ sampling


def worst_of(rows: pd.DataFrame, spec: Mapping[str, Any]) -> tuple[float, float, float]:
    """What is told of sampling: the largest R-hat of parameters and group effects, the fewest effective draws of a parameter, in bulk or
    tails, and the largest Monte Carlo error of a parameter's mean in standard deviations."""
    effects = rows.index.str.split("[").str[0].isin(random_effect_variables(spec))
    of_parameters = rows[~effects]
    few = float(of_parameters[["ess_bulk", "ess_tail"]].min().min())
    return float(np.nanmax(rows["r_hat"])), few, float(1 / np.sqrt(of_parameters["ess_bulk"].min()))


def _sampling(tree: xr.DataTree, verdict: Verdict) -> Judgement:
    if not verdict.sound:
        checks = tuple(problem.check for problem in verdict.problems)
        return Judgement("unsound", "Sampling: not to be trusted yet.", tuple(map(str, verdict.problems)), checks)
    content = metadata(tree)
    chains, divergent = content["sampling"]["chains"], any(r.check == "divergences" for r in verdict.remarks)
    r_hat, few, error = worst_of(verdict.table, content["spec"])
    tables = len(imputed_tables(tree))
    agreeing = (
        f"{number_word(chains // tables)} chains of each of {tables} imputed tables"
        if tables
        else f"{number_word(chains)} chains"
    )
    words = (
        f"The {agreeing} agree (R-hat at most {written(r_hat, 3)}), the estimates rest on at least {whole(few)} "
        f"effective draws{'' if divergent else ', there were no divergences'}.",
        f"Another seed would move an estimate by about {percent(error, 0)} of its standard deviation.",
        *([most_missing(tree)] if tables else []),
    )
    grave = [r for r in verdict.remarks if r.check not in REMARKED]
    title = f"Sampling: sound, with {plural(len(grave), 'remark')}." if grave else "Sampling: sound."
    return Judgement("caution" if grave else "sound", title, (*words, *map(str, grave)), tuple(r.check for r in grave))


# ----------------------------------------------------------------------------------------------------------------- fit


def _fit(checks: Sequence[FitCheck]) -> Judgement:
    """What was found first; where nothing was, all that was looked at."""
    if not checks:
        words = "No predictive draws to compare the data with; of events that are known only to lie in intervals, see the figures."
        return Judgement("sound", "Fit to the data: not checked.", (words,), ("not_checked",))
    doubts = [check for check in checks if check.state != "sound"]
    others = [check for check in checks if check.state == "sound"]
    several = len({check.outcome for check in checks}) > 1
    words = tuple(told for check in (*doubts, *others) for told in _told(check, several))
    if not doubts:
        return Judgement("sound", "Fit to the data: no sign of trouble.", words)
    entries = tuple(check.name for check in doubts)
    named = " and of ".join(dict.fromkeys(check.doubt for check in doubts))
    if any(check.state == "unsound" for check in doubts):
        return Judgement("unsound", f"Fit to the data: clear signs of {named}.", words, entries)
    clear = any(check.p < SIGN for check in doubts)
    return Judgement("caution", f"Fit to the data: {'signs' if clear else 'a hint'} of {named}.", words, entries)


def _told(check: FitCheck, several: bool) -> tuple[str, ...]:
    """The sentences of a check, of one of several outcomes with its name before the first: "SBP: along week, ..."."""
    if not (several and check.outcome and check.sentences):
        return check.sentences
    first, *others = check.sentences
    return (f"{check.outcome}: {first[0].lower()}{first[1:]}", *others)


# -------------------------------------------------------------------------------------------------------------- design


def _design(tree: xr.DataTree) -> Judgement:
    limits = list(design_limits(tree))
    if not limits:
        return Judgement("sound", "Design: nothing in the file speaks against it.", ())
    grave = any(limit.grave for limit in limits)
    title = _TITLES.get(metadata(tree)["spec"]["builder"], "What it cannot tell.")
    sentences, entries = tuple(limit.sentence for limit in limits), tuple(limit.entry for limit in limits)
    return Judgement("caution" if grave else "sound", title, sentences, entries)


# -------------------------------------------------------------------------------------------------------------- stored


def table_of_checks(checks: Sequence[FitCheck]) -> pd.DataFrame:
    """The checks of the fit to the data, one row each: outcome, state, p, and the ratio of observed to expected spread."""
    rows = [(check.outcome, check.state, check.p, check.ratio) for check in checks]
    index = pd.Index([check.name for check in checks], name="check", dtype=str)
    return pd.DataFrame(rows, index, pd.Index(["outcome", "state", "p", "ratio"]))
