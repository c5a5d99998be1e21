"""Predictions of rows, or averages of them: adjusted means, standardised risks, curves over a grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.estimands.asking import estimates_of, read_asked, settings_asked
from glmm_zoo.estimands.fitted import read_fitted
from glmm_zoo.estimands.imputed import of_each_imputation
from glmm_zoo.estimands.wording import groups_text, sentence
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.whole_fit import of_a_whole_fit


@of_a_whole_fit
@of_each_imputation
def predictions(
    tree: xr.DataTree,
    data: Any = None,
    *,
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
    draws: int = 1000,
    seed: int = 0,
) -> Estimates:
    """What the model expects of rows: of the fit, of new ones, or of all of them with columns set to other values.

    Within each draw rows are predicted, group effects integrated out, and rows averaged; then draws are summarised.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    data
        A data frame whose rows are predicted, coded as the fit was; by default the rows of the fit.
    at
        Values of columns, `{"age": [40, 60]}`: they are set in every row, each combination by itself. Of a meta-analysis
        `baseline` is the risk, or rate, under control; of a stepped wedge `exposure_time` counts treated periods.
    by
        None predicts each row; True gives one average of all; columns keep their values apart.
    over
        A column: rows are averaged within its levels first, then the levels alike (a cluster average).
    weights
        A column >= 0 with the weight of each row in an average.
    groups
        "population" integrates over the distribution of group effects, "typical" has them zero, "observed" takes those of each
        row's own level, "new" draws one level that the fit does not have; or one of these for each factor by its name.
    unseen
        For "observed", what a level has that the fit lacks: "error", "population" or "new".
    scale
        "mean": risk, rate, expected value, expected score; "linear"; "probability" of each category; "zero": P(y = 0);
        "positive": mean given y > 0; "response": a new observation. Of the event of a joint survival model, at `times`: "survival",
        the probability of being free of it; "incidence" by cause; "rmst", the restricted mean time free of it. Rows are then
        subjects, with the covariates of the event and those that the markers have at baseline, which stay as they are.
    outcome
        One outcome of several; by default all.
    times
        Of the event: increasing times.
    per
        Counts with an exposure: units of exposure that they are for, 1 by default; `at` may set the exposure instead.
    prob
        Probability inside the equal-tailed intervals.
    draws
        About how many draws of the posterior are used.
    seed
        Of new levels and new observations.

    Returns
    -------
    Estimates
        `table`, one row for each estimate, `draws` and a `sentence`. Of binomial counts it is one trial that is predicted.

    Raises
    ------
    InputError
        Whatever is wrong with arguments and data: columns that are not there, levels that the fit does not have, and so on.
    """
    asked = read_asked(
        at=at, by=by, over=over, weights=weights, each=True, groups=groups, unseen=unseen, scale=scale, outcome=outcome,
        times=times, per=per, prob=prob, draws=draws, seed=seed,
    )  # fmt: skip
    model = read_fitted(tree, asked.draws, asked.scale)
    all_settings = [s for of in model.outcome(asked.outcome) for s in settings_asked(model, of, asked, data)]
    rows: list[dict[str, Any]] = []
    values: list[np.ndarray] = []
    for setting in all_settings:
        groups_used, what = groups_text(asked, setting.question.choice), setting.question.quantity
        averages = setting.averages()  # (categories, S, cells)
        for c, of in enumerate(setting.identities(model)):
            for k, of_value in enumerate(what.identities):
                rows.append({**of, **of_value, "measure": what.scale, "groups": groups_used, "share": setting.is_share})
                values.append(averages[k, :, c])
    return estimates_of(model, asked, rows, values, sentence(all_settings, asked, of_fit=data is None))
