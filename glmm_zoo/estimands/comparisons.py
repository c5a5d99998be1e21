"""Comparisons: what changes if a variable changes, as differences, ratios, odds ratios, numbers needed to treat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.estimands.asking import Asked, Setting, estimates_of, read_asked, settings_asked
from glmm_zoo.estimands.contrasts import Contrast, along_courses, contrasts_of, read_variables
from glmm_zoo.estimands.fitted import RESTRICTED_MEAN, USUAL_DRAWS, FittedModel, read_fitted
from glmm_zoo.estimands.imputed import of_each_imputation
from glmm_zoo.estimands.measures import BETTER, DIFFERENCE, better, compare, measures_of, with_numbers_needed
from glmm_zoo.estimands.rows_asked import Value, with_values
from glmm_zoo.estimands.wording import compared, groups_text, sentence
from glmm_zoo.plans.options import OptionType, increasing_times, read_option
from glmm_zoo.results.about import about_of
from glmm_zoo.results.estimates import NUMBER_NEEDED, Estimates, Region
from glmm_zoo.results.storage import metadata
from glmm_zoo.results.whole_fit import of_a_whole_fit


@of_a_whole_fit
@of_each_imputation
def comparisons(
    tree: xr.DataTree,
    variables: Any,
    data: Any = None,
    *,
    contrast: Any = "reference",
    measures: Any = None,
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
    horizon: float | None = None,
    per: float | None = None,
    prob: float = 0.95,
    draws: int = USUAL_DRAWS,
    seed: int = 0,
) -> Estimates:
    """What changes in the average over rows if a variable changes in all of them.

    Within each draw the rows are predicted with both values, group effects integrated out, rows averaged, and only then are the two
    averages compared: a ratio is a ratio of averages.

    Parameters
    ----------
    variables
        A column, or several that change together.
    contrast
        "reference": each level of a factor against its reference, or against the control where the words of the fit name one
        (`About`), a number plus 1 (one of two values: the higher against the lower); "pairwise"; "sequential": each level against the one before; a number to add; two values, of a number (from, to), of a
        factor the first against the second, `("b", "a")`; or `{"age": 10}` by variable.
    measures
        Among "difference", "ratio", "odds_ratio", "nnt", of ordered categories "better", P(score of one > score of another) + half
        of P(equal); by default all that the scale has. A number needed to treat is given only where the interval of the difference
        excludes 0; else the column `note` says from where to where.
    horizon
        Up to when the restricted mean survival time is; by default the last of the times.
    rope
        A region of practical equivalence (low, high), or one by measure: the column `p_rope` is the probability inside it.
    tree, data, at, by, over, weights, groups, unseen, scale, outcome, times, per, prob, draws, seed
        As in `predictions`; by=None averages all rows.

    Returns
    -------
    Estimates
        `contrast` reads "2 vs 1", the first against the second.

    Raises
    ------
    InputError
        As `predictions`; variables, contrasts and measures that there are not.
    """
    asked = read_asked(
        at=at, by=by, over=over, weights=weights, each=False, groups=groups, unseen=unseen, scale=scale, outcome=outcome,
        times=times, per=per, prob=prob, draws=draws, seed=seed,
    )  # fmt: skip
    model = read_fitted(tree, asked.draws, asked.scale)
    found, compared_all, used = _Found([], [], []), dict[Contrast, None](), dict[str, list[str]]()
    all_settings: list[Setting] = []
    by_variable, controls = read_variables(variables, contrast), control_said(tree)
    for of in model.outcome(asked.outcome, by_variable):
        contrasts = along_courses(of, contrasts_of(of, by_variable, controls), [*asked.at, *asked.averaging.by])
        chosen = measures_of(of, asked.scale, measures)
        until = _horizon_of(horizon, asked, chosen)
        used[of.name] = [m if m != RESTRICTED_MEAN else f"difference of mean time up to {until:g}" for m in chosen]
        compared_all |= dict.fromkeys(contrasts)
        changes = [change for c in contrasts for change in c.changes]
        names = dict.fromkeys(c.variable for c in changes)
        both = [name for name in names if name in asked.at]
        if both:
            raise InputError(f"at sets {both[0]!r}, which is compared; leave it out of at")
        replaced = {c.variable: c.low for c in changes if c.step is None}
        for setting in settings_asked(model, of, asked, data, list(names), replaced):
            all_settings.append(setting)
            _add(found, model, asked, setting, contrasts, chosen, until)
    words = sentence(all_settings, asked, of_fit=data is None, measures=used, of=compared(list(compared_all)))
    estimates = estimates_of(model, asked, found.rows, found.values, words, rope)
    return with_numbers_needed(estimates, np.array(found.differences).T, asked.prob)


def control_said(tree: xr.DataTree) -> dict[str, str]:
    """The level that others are compared with where the words of the fit name one, by its variable: what is asked about, or a trial's
    treatment."""
    about, options = about_of(tree), metadata(tree)["spec"]["options"]
    variable = about.of or options.get("treatment")
    return {str(variable): about.control} if variable and about.control else {}


@dataclass(frozen=True)
class _Found:
    """What each estimate is of, its draws (S,), and the risk differences (S,) that numbers needed to treat are of."""

    rows: list[dict[str, Any]]
    values: list[np.ndarray]
    differences: list[np.ndarray]


def _sides(setting: Setting) -> Callable[[Contrast], tuple[np.ndarray, np.ndarray]]:
    """The averages (values, S, cells) of what a contrast compares, each computed once."""
    known: dict[tuple[Any, ...], np.ndarray] = {}

    def side(contrast: Contrast, values: Mapping[str, Value], high: bool) -> np.ndarray:
        key = tuple(
            (c.variable, (c.high if high else c.low) if c.step is None else c.step * high) for c in contrast.changes
        )
        key = (*key, *values.items())
        if key not in known:
            table = with_values(setting.outcome, setting.table, values)
            known[key] = setting.averages(contrast.sides(setting.outcome, table)[0 if high else 1])
        return known[key]

    def averages(contrast: Contrast, high: bool) -> np.ndarray:
        return np.mean([side(contrast, values, high) for values in contrast.settings], axis=0)

    return lambda contrast: (averages(contrast, True), averages(contrast, False))


def _add(
    found: _Found,
    model: FittedModel,
    asked: Asked,
    setting: Setting,
    contrasts: Sequence[Contrast],
    measures: Sequence[str],
    horizon: float | None,
) -> None:
    """All contrasts of one setting, one row for each cell, measure and what else values are of."""
    ordered_mean = setting.outcome.family.choice == "levels" and setting.question.quantity.scale == "mean"
    computed = setting.of_scale("probability") if ordered_mean else setting
    sides_of, means_of = _sides(computed), _sides(computed.restricted_to(horizon)) if horizon is not None else None
    groups = groups_text(asked, setting.question.choice)
    for contrast in contrasts:
        sides = sides_of(contrast)
        of_values = dict.fromkeys(measures, computed.question.quantity.identities)
        of_measure = {}
        if BETTER in measures:
            of_measure[BETTER], of_values[BETTER] = better(*sides)[None], [{}]
        if ordered_mean:
            scores = np.arange(1.0, len(sides[0]) + 1)
            sides = tuple(np.tensordot(scores, side, 1)[None] for side in sides)
            of_values = {m: [{}] for m in measures}
        of_measure |= {m: compare(m, *sides) for m in measures if m not in of_measure and m != RESTRICTED_MEAN}
        if means_of is not None:
            of_measure[RESTRICTED_MEAN] = compare(DIFFERENCE, *means_of(contrast))
            of_values[RESTRICTED_MEAN] = [{"time": horizon}]
        for c, of in enumerate(setting.identities(model)):
            for measure in measures:
                for k, of_value in enumerate(of_values[measure]):
                    what = {"variable": contrast.variable, "contrast": contrast.text, **contrast.identity}
                    what |= {**of, **of_value}
                    found.rows.append({**what, "measure": measure, "groups": groups, "share": setting.is_share})
                    found.values.append(of_measure[measure][k, :, c])
                    if measure == NUMBER_NEEDED:
                        found.differences.append(sides[0][k, :, c] - sides[1][k, :, c])


def _horizon_of(horizon: Any, asked: Asked, measures: Sequence[str]) -> float | None:
    """Up to when the restricted mean is compared: the last time unless something else is said; None where it is not."""
    horizon = read_option("horizon", horizon, OptionType(number=True, nothing=True))
    if RESTRICTED_MEAN not in measures:
        if horizon is not None:
            raise InputError(
                f"horizon= is of the measure {RESTRICTED_MEAN!r}, which scale='survival' has; leave it out"
            )
        return None
    return asked.times[-1] if horizon is None else increasing_times([horizon])[0]
