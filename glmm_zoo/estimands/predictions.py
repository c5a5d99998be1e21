"""Predictions of rows, or averages of them: adjusted means, standardised risks, curves over a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.estimands.asking import Asked, Setting, estimates_of, read_asked, settings_asked
from glmm_zoo.estimands.fitted import USUAL_DRAWS, FittedModel, read_fitted
from glmm_zoo.estimands.imputed import of_each_imputation
from glmm_zoo.estimands.together import averages_of
from glmm_zoo.estimands.wording import groups_text, sentence
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.imputations import imputations_of
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
    draws: int = USUAL_DRAWS,
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
        "positive": mean given y > 0; "response": a new observation. Of an event, at `times`: "survival", the probability of being free
        of it; "incidence" by cause; "rmst", the restricted mean time free of it; "rmtl", the mean time lost to each cause; "events", how
        many are expected, where they come again. Rows of a joint survival model are then subjects, with the covariates of the event and
        those that the markers have at baseline, which stay so.
    outcome
        One outcome of several; by default all.
    times
        Of the event: increasing times.
    per
        Counts with an exposure: units of exposure that they are for, by default 1, and of rates those of the builder's `per`; `at` may
        set the exposure instead.
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
    averages = [found for (found,) in averages_of([[s] for s in all_settings])]
    return _estimates(model, asked, all_settings, averages, of_fit=data is None)


def predictions_on(
    tree: xr.DataTree,
    scales: Sequence[str],
    *,
    at: Mapping[str, Any] | None,
    by: Any,
    prob: float,
    draws: int = USUAL_DRAWS,
) -> dict[str, Estimates]:
    """`predictions` on each of these scales, none of them of events; of one table what they have in common is computed once."""
    if len(imputations_of(tree)) > 1:
        return {scale: predictions(tree, at=at, by=by, scale=scale, prob=prob, draws=draws) for scale in scales}
    asked = [
        read_asked(
            at=at, by=by, over=None, weights=None, each=True, groups="population", unseen="error", scale=scale, outcome=None,
            times=None, per=None, prob=prob, draws=draws, seed=0,
        )
        for scale in scales
    ]  # fmt: skip
    if not asked:
        return {}
    model = read_fitted(tree, asked[0].draws)
    settings = [[s for of in model.outcome(None) for s in settings_asked(model, of, a, None)] for a in asked]
    averages = zip(*averages_of(list(zip(*settings, strict=True))), strict=True)
    return {
        a.scale: _estimates(model, a, of_scale, found, of_fit=True)
        for a, of_scale, found in zip(asked, settings, averages, strict=True)
    }


def _estimates(
    model: FittedModel,
    asked: Asked,
    settings: Sequence[Setting],
    averages: Sequence[np.ndarray],
    *,
    of_fit: bool,
) -> Estimates:
    """Estimates of the averages (categories, S, cells) of each setting."""
    rows: list[dict[str, Any]] = []
    values: list[np.ndarray] = []
    for setting, of_setting in zip(settings, averages, strict=True):
        groups_used, what = groups_text(asked, setting.question.choice), setting.question.quantity
        for c, of in enumerate(setting.identities(model)):
            for k, of_value in enumerate(what.identities):
                rows.append({**of, **of_value, "measure": what.scale, "groups": groups_used, "share": setting.is_share})
                values.append(of_setting[k, :, c])
    return estimates_of(model, asked, rows, values, sentence(settings, asked, of_fit=of_fit))
