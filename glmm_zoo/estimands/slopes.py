"""Slopes: the derivative of what the model expects in a variable, averaged over rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from scipy import sparse

from glmm_zoo.errors import InputError, listing
from glmm_zoo.estimands.asking import Setting, estimates_of, read_asked, settings_asked
from glmm_zoo.estimands.contrasts import read_variables
from glmm_zoo.estimands.fitted import USUAL_DRAWS, read_fitted
from glmm_zoo.estimands.imputed import of_each_imputation
from glmm_zoo.estimands.rows_asked import shifted
from glmm_zoo.estimands.wording import groups_text, sentence
from glmm_zoo.results.estimates import Estimates, Region
from glmm_zoo.results.whole_fit import of_a_whole_fit

_STEP = 1e-6  # of the variable's standard deviation: the error is of the order of its square, at the ends of the range of its own


@of_a_whole_fit
@of_each_imputation
def slopes(
    tree: xr.DataTree,
    variables: Any,
    data: Any = None,
    *,
    rope: Region | None = None,
    at: Mapping[str, Any] | None = None,
    by: Any = None,
    over: str | None = None,
    weights: str | None = None,
    groups: str | Mapping[str, str] = "population",
    unseen: str = "error",
    scale: str = "mean",
    outcome: str | None = None,
    times: Any = None,
    per: float | None = None,
    prob: float = 0.95,
    draws: int = USUAL_DRAWS,
    seed: int = 0,
) -> Estimates:
    """The derivative of each row's expectation in a number, averaged over rows, per unit of that number.

    Parameters
    ----------
    variables
        A numeric column, or several, each by itself.
    rope
        A region of practical equivalence (low, high).
    tree, data, at, by, over, weights, groups, unseen, scale, outcome, times, per, prob, draws, seed
        As in `predictions`; by=None averages all rows. `at` of a variable itself gives the slope at these values of it.

    Returns
    -------
    Estimates
        One row for each variable, with the measure "slope".

    Raises
    ------
    InputError
        As `predictions`; variables that are factors.
    """
    asked = read_asked(
        at=at, by=by, over=over, weights=weights, each=False, groups=groups, unseen=unseen, scale=scale, outcome=outcome,
        times=times, per=per, prob=prob, draws=draws, seed=seed,
    )  # fmt: skip
    names = list(read_variables(variables, "reference"))
    model = read_fitted(tree, asked.draws, asked.scale)
    rows: list[dict[str, Any]] = []
    values: list[np.ndarray] = []
    all_settings: list[Setting] = []
    for of in model.outcome(asked.outcome, names):
        of_outcome = [name for name in names if name in of.coding.known]
        factors = [n for n in of_outcome if of.table[n].kind != "number" or n in of.coding.levels]
        if factors:
            raise InputError(
                f"{factors[0]!r} is a factor, which has no slope; compare its levels: comparisons({factors[0]!r})"
            )
        for setting in settings_asked(model, of, asked, data, of_outcome):
            all_settings.append(setting)
            for name in of_outcome:
                averages = _slopes(setting, name)
                for c, identity in enumerate(setting.identities(model)):
                    for k, of_value in enumerate(setting.question.quantity.identities):
                        what = {"variable": name, **identity, **of_value}
                        groups_used = groups_text(asked, setting.question.choice)
                        rows.append({**what, "measure": "slope", "groups": groups_used, "share": setting.is_share})
                        values.append(averages[k, :, c])
    words = sentence(
        all_settings,
        asked,
        of_fit=data is None,
        measures={outcome: ["slope"] for outcome in model.outcomes},
        of=f" per unit of {listing(names)}",
    )
    return estimates_of(model, asked, rows, values, words, rope)


def _slopes(setting: Setting, name: str) -> np.ndarray:
    """Averages (categories, S, cells) of the derivative; at the ends of the range of the fit it is taken from within."""
    known, x = setting.outcome.table[name].numbers("a slope"), setting.table[name].numbers("a slope")
    step = _STEP * (float(np.std(known)) or 1.0)
    high, low = x + step, x - step
    inside = (x >= known.min()) & (x <= known.max())
    high, low = (np.where(inside, np.clip(end, known.min(), known.max()), end) for end in (high, low))
    weights = sparse.csr_array(setting.weights @ sparse.diags_array(1 / (high - low)))
    return setting.averages(shifted(setting.table, name, high - x), weights) - setting.averages(
        shifted(setting.table, name, low - x), weights
    )
