"""Dynamic prediction for people: survival and markers of subjects as a dataset or a table, from a fit and their histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, attempt, plural, raise_all, warn
from glmm_zoo.joint.followed_rows import quoted_ids
from glmm_zoo.joint.hazards import KRONROD
from glmm_zoo.joint.prediction.effect_sampler import EFFECT_POINTS, FRACTIONS, PredictionDraws, draw_predictions
from glmm_zoo.joint.prediction.fitted import FittedJointModel, read_fitted_model, refuse_recurrent, refuse_relatives
from glmm_zoo.joint.prediction.histories import SubjectHistories, read_histories
from glmm_zoo.plans.options import OptionType, increasing_times, read_option
from glmm_zoo.results.whole_fit import of_a_whole_fit
from glmm_zoo.tables.memory import available_memory, in_gigabytes

_DOUBTFUL_ESS = 0.2  # share of effective points below which there is a warning
_NUMBER, _WHOLE_NUMBER = OptionType(number=True), OptionType(whole_number=True)
_OPTIONS = {
    "landmark": OptionType(number=True, values=_NUMBER), "times": OptionType(items=_NUMBER), "prob": _NUMBER,
    "ids": OptionType(nothing=True, items=OptionType(text=True, number=True)), "draws": _WHOLE_NUMBER, "seed": _WHOLE_NUMBER,
}  # fmt: skip


@of_a_whole_fit
def dynamic_prediction(
    tree: xr.DataTree,
    longitudinal: Any = None,
    survival: Any = None,
    *,
    landmark: float | Mapping[Any, float],
    times: Sequence[float],
    ids: Sequence[Any] | None = None,
    prob: float = 0.95,
    draws: int = 400,
    seed: int = 0,
) -> xr.Dataset:
    """Survival of subjects beyond a time, given their history up to it and that they were free of the event then, and their markers.

    Parameters
    ----------
    tree
        A fit of `joint_survival`, fresh or loaded; it holds all that is needed for its own subjects.
    longitudinal
        Visits of new subjects: a data frame with the columns of the longitudinal formulas, `id` and `time`; a measurement that is
        missing, or later than the landmark, is not used. None: the subjects of the fit.
    survival
        One row for each subject to predict, or rows (start, stop], with the covariates of the event, which stay as they are at the
        landmark. Without it covariates are looked for among the visits. A subject without any visit is predicted from its
        covariates alone; one with visits and no row is left out, with a warning. Where the event's own columns are there too,
        who had it by the landmark is left out, with a warning, or refused where `ids` name it.
    landmark
        A time >= 0, in the unit of the fit, or one for each id.
    times
        Increasing times >= 0. Up to the landmark survival is 1; markers are given at all of them.
    ids
        Whose prediction, of all in the tables. Of the fit's own by default those that were still followed at the landmark.
    prob
        Probability inside the intervals.
    draws
        Draws from the posterior, of those that the fit has.
    seed
        The same seed gives the same numbers.

    Returns
    -------
    Dataset
        Over id and time: `survival`, pi(u | t), the mean over parameters and effects. Two intervals are given:
        `lower` to `upper`, with `median` inside, are quantiles of S(u | b) / S(t | b) over draws of parameters and effects, which say
        how much subjects with this history differ (the interval of JM and JMbayes2); `probability_lower` to
        `probability_upper` are those of the probability itself, its mean over effects, which varies only because parameters
        are not known. With competing causes `cif` (cause, id, time), the probability of the event by that cause by then, with
        `cif_lower` and `cif_upper` over parameters and effects; survival is free of all causes.
        Over outcome, id and time: `marker`, the linear predictor without offset, and `response`, its inverse link (of the part
        that counts for zero-inflated and hurdle families; NaN for ordered categories), with `_lower` and `_upper`: bands of the
        expected marker, not of measurements. Over id: `landmark`, the number of `measurements` used, and `ess`, the share of the
        points for a subject's effects that are effective, from 0 to 1; below 0.2 there is a warning.

    Raises
    ------
    InputError
        A fit of another builder; columns that are not there; ids and levels that are not known; times that do not increase; ids
        that had the event by the landmark; values too far from those of the fit; more draws and times than fit in memory.

    Source: Rizopoulos (2011), Biometrics 67:819; cumulative incidence: Andrinopoulou et al. (2017), Statistics in Medicine 36:3203.
    """
    landmark = {str(i): t for i, t in landmark.items()} if isinstance(landmark, Mapping) else landmark
    given = {"landmark": landmark, "times": times, "ids": ids, "prob": prob, "draws": draws, "seed": seed}
    problems: list[str] = []
    read: dict[str, Any] = {
        n: attempt(lambda n=n, v=v: read_option(n, v, _OPTIONS[n]), problems) for n, v in given.items()
    }
    raise_all(problems)
    landmark, ids, prob, draws, seed = (read[name] for name in ("landmark", "ids", "prob", "draws", "seed"))
    u = np.array(increasing_times(read["times"]))
    problems += [f"prob must be between 0 and 1, not {prob:g}"] if not 0 < prob < 1 else []
    problems += [f"draws must be a whole number >= 1, not {draws}"] if draws < 1 else []
    problems += [f"seed must be a whole number >= 0, not {seed}"] if seed < 0 else []
    raise_all(problems)
    fit = read_fitted_model(tree)
    refuse_recurrent(fit, "dynamic prediction")
    refuse_relatives(fit, "dynamic prediction")
    subjects = read_histories(fit, longitudinal, survival, landmark, ids)
    _check_memory(fit, len(subjects.ids), len(u), draws)
    horizon = fit.hazard.events.horizon
    if u[-1] > horizon:
        warn(
            f"times up to {u[-1]:g} go beyond the last follow-up of the fit, {horizon:g}: the baseline hazard rests on its form and its "
            "prior there"
        )
    predicted = _finite_predictions(fit, subjects, u, draws, seed)
    doubtful = [i for i, ess in zip(subjects.ids, predicted.ess, strict=True) if ess < _DOUBTFUL_ESS]
    if doubtful:
        warn(
            f"{fit.id} {quoted_ids(doubtful)}: less than {_DOUBTFUL_ESS:.0%} of the points for the effects are effective; compare seeds, with more draws"
        )
    return _prediction_dataset(fit, subjects, u, predicted, prob, draws)


def _check_memory(fit: FittedJointModel, n: int, times: int, draws: int) -> None:
    """Refuse what would not fit in memory: draws of all that is predicted, and of one draw the hazards and markers at all points."""
    causes, outcomes = len(fit.hazard.causes), len(fit.joint.parts)
    posterior = sum(
        v.size // max(1, v.sizes["chain"] * v.sizes["draw"]) for v in fit.tree["posterior"].data_vars.values()
    )
    kept = draws * (2 * n * times * (1 + causes + 2 * outcomes) + posterior + EFFECT_POINTS * fit.effect_count)
    held = (
        n * times * EFFECT_POINTS * (len(KRONROD[0]) * (FRACTIONS if causes > 1 else 1) * (causes + 4) + 8 * outcomes)
    )
    needed, available = 8 * (kept + held), available_memory()
    if needed > available:
        raise InputError(
            f"{plural(draws, 'draw')} of {plural(n, 'subject')} at {plural(times, 'time')} need {in_gigabytes(needed)} of memory, and "
            f"{in_gigabytes(available)} are free; ask for fewer draws or times, or for some of the subjects"
        )


def _finite_predictions(
    fit: FittedJointModel, subjects: SubjectHistories, times: np.ndarray, draws: int, seed: int
) -> PredictionDraws:
    """What is predicted, all of it numbers: values far from those of the fit may be out of what a computer can hold."""
    what = "; correct values that lie far from those of the fit, in the covariates or the measurements"
    try:
        with np.errstate(all="ignore"):
            predicted = draw_predictions(fit, subjects, times, draws, seed)
    except np.linalg.LinAlgError:
        raise InputError(
            f"{fit.id} {quoted_ids(subjects.ids)}: the prediction leaves the range of numbers{what}"
        ) from None
    wrong = np.zeros(len(subjects.ids), bool)
    for name in ("survival", "cif", "marker"):
        if name in predicted.means:
            wrong |= ~np.isfinite(predicted.means[name]).all(axis=(0, *range(2, predicted.means[name].ndim)))
    if wrong.any():
        ids = quoted_ids(i for i, is_wrong in zip(subjects.ids, wrong, strict=True) if is_wrong)
        raise InputError(f"{fit.id} {ids}: the prediction leaves the range of numbers{what}")
    return predicted


def _prediction_dataset(
    fit: FittedJointModel,
    subjects: SubjectHistories,
    times: np.ndarray,
    predicted: PredictionDraws,
    prob: float,
    draws: int,
) -> xr.Dataset:
    """Means and quantiles of the draws, under the names that `dynamic_prediction` documents."""
    tail, lead_dims = (1 - prob) / 2, {"cif": ("cause",), "marker": ("outcome",), "response": ("outcome",)}
    ends = [tail, 1 - tail]
    variables: dict[str, Any] = {}

    def add(name: str, values: np.ndarray, lead: Sequence[str] = ()) -> None:
        """A variable (id, time), or (id, time, lead) with `lead` moved to the front."""
        variables[name] = (*lead, "id", "time"), np.moveaxis(values, 2, 0) if lead else values

    for name, means in predicted.means.items():
        lead, prefix = lead_dims.get(name, ()), "" if name == "survival" else f"{name}_"
        add(name, means.mean(axis=0), lead)
        lower, upper = np.quantile(predicted.picks[name], ends, axis=0)
        add(f"{prefix}lower", lower, lead)
        add(f"{prefix}upper", upper, lead)
    add("median", np.median(predicted.picks["survival"], axis=0))
    for side, values in zip(("lower", "upper"), np.quantile(predicted.means["survival"], ends, axis=0), strict=True):
        add(f"probability_{side}", values)
    counts = subjects.measurement_counts
    variables |= {"landmark": ("id", subjects.landmark), "measurements": ("id", counts), "ess": ("id", predicted.ess)}
    coords: dict[str, Any] = {"id": list(subjects.ids), "time": times, "outcome": [p.name for p in fit.joint.parts]}
    if fit.hazard.events.competing:
        coords["cause"] = list(fit.hazard.events.causes)
    unmeasured = [i for i, count in zip(subjects.ids, counts, strict=True) if not count]
    note = (
        f"{fit.id} {quoted_ids(unmeasured)}: no measurement by the landmark; predicted from covariates alone"
        if unmeasured
        else ""
    )
    return xr.Dataset(variables, coords, {"prob": prob, "draws": draws, "note": note})


def prediction_table(prediction: xr.Dataset) -> Any:
    """A prediction as a pandas DataFrame with a row for each id and time; one column for each cause and outcome."""
    columns = {
        name if not more else f"{name}[{label}]": variable.sel({more[0]: label}) if more else variable
        for name, variable in prediction.data_vars.items()
        if {"id", "time"} <= set(variable.dims)
        for more in [[str(d) for d in variable.dims if d not in ("id", "time")]]
        for label in (prediction[more[0]].values.tolist() if more else [""])
    }
    flat = xr.Dataset({name: v.drop_vars(("cause", "outcome"), errors="ignore") for name, v in columns.items()})
    return flat.to_dataframe(dim_order=["id", "time"]).reset_index()
