"""Leave-one-out cross-validation, with fits again without a level where one fit does not say enough about it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from glmm_zoo.errors import FitError, InputError
from glmm_zoo.estimands.fitted import read_fitted
from glmm_zoo.estimands.leave_one_out import DRAWS, LeftOutLevels, Loo, leave_one_out, left_out_levels, with_exact
from glmm_zoo.estimands.level_likelihood import level_likelihood, rows_by_level
from glmm_zoo.inference.workers import Workers
from glmm_zoo.refits.spread import spread_tasks
from glmm_zoo.refits.variations import call_of, settings_of
from glmm_zoo.results.storage import stored_level_tables, stored_table
from glmm_zoo.tables.level_tables import with_level_tables

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


def loo(tree: xr.DataTree, *, level: str | None = None, refit: bool = False, workers: Workers = None) -> Loo:
    """Leave-one-out cross-validation from one fit: the expected log predictive density (elpd) of new rows, or of new groups.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    level
        None leaves out each row; its group's other rows stay, so that it says how rows of known groups are predicted. The name of
        a grouping factor leaves out each of its levels: its effects, and those of factors nested inside it, are integrated out, and
        what is crossed with it, or above it, is given.
    refit
        Fit again without each level whose Pareto k is above 0.7, with the settings and the priors of the fit.
    workers
        Who fits again, as in `calibrate`: each level is a task of its own.

    Returns
    -------
    Loo
        `elpd`, `se`, `p`, a `table` with the Pareto k of each row or level, and a `sentence`.

    Raises
    ------
    InputError
        Factors that the fit does not have; models of several outcomes, or of subjects never at risk, with level=.
    FitError
        A level with which one worker after the other died.

    Source: Vehtari, Gelman & Gabry (2017), Statistics and Computing 27:1413; Merkle, Furr & Rabe-Hesketh (2019), Psychometrika 84:802.
    """
    if refit and level is None:
        raise InputError("refit=True fits again without levels of a factor; say of which: level='...'")
    found = leave_one_out(tree, level)
    if not refit or level is None or not found.doubtful:
        return found
    asked = left_out_levels(tree, level)
    here = tree if workers is None else tree.load()  # a worker may not see the file
    return with_exact(
        found, dict(spread_tasks(_elpd_without, found.doubtful, here, asked, workers=workers, lost=_lost))
    )


def _lost(label: str, why: str) -> tuple[str, float]:
    raise FitError(f"the fit without {label!r} could not be made: {why}")


def _elpd_without(label: str, tree: xr.DataTree, asked: LeftOutLevels) -> tuple[str, float]:
    """A level, and the log predictive density of its rows by a fit to the others."""
    from glmm_zoo.inference.fit import fit

    out = asked.rows.labels[asked.factor] == label
    again = read_fitted(fit(_model_without(tree, asked, out), **settings_of(tree)), DRAWS)
    outcome, rows = next(iter(again.outcomes.values())), np.flatnonzero(out)
    of = asked.rows.take(rows)
    left_out = rows_by_level(outcome, asked.rows.outcome.table.take(rows), of.y, of.trials, of.weights)
    values = level_likelihood(again, left_out, asked.factor, asked.inside).values[:, 0]
    return label, float(np.logaddexp.reduce(values) - np.log(len(values)))


def _model_without(tree: xr.DataTree, asked: LeftOutLevels, out: np.ndarray) -> Model:
    """The model of a fit to the other rows."""
    call = call_of(tree)
    options = dict(call.options)
    if asked.rows.outcome.family.choice == "levels":
        options["levels"] = list(asked.rows.outcome.levels)  # of which the other rows may lack some
    return replace(
        call, tables=(with_level_tables(stored_table(tree)[~out], stored_level_tables(tree)),), options=options
    ).model()
