"""The accuracy of dynamic predictions made at a landmark: predict for everybody at risk, then compare with what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, listing, raise_all, warn
from glmm_zoo.joint.events import Events, read_events
from glmm_zoo.joint.prediction import accuracy_measures
from glmm_zoo.joint.prediction.dynamic import dynamic_prediction
from glmm_zoo.joint.prediction.fitted import FittedJointModel, read_fitted_model, refuse_recurrent, refuse_relatives
from glmm_zoo.plans.options import OptionType, read_option
from glmm_zoo.results.whole_fit import of_a_whole_fit


@of_a_whole_fit
def landmark_accuracy(
    tree: xr.DataTree,
    longitudinal: Any = None,
    survival: Any = None,
    *,
    landmark: float,
    horizon: float,
    cause: str | int | None = None,
    draws: int = 200,
    seed: int = 0,
) -> accuracy_measures.Accuracy:
    """How good are dynamic predictions of the event in (landmark, horizon], made at the landmark for all at risk then?

    Discrimination (time-dependent AUC), Brier score and calibration, with inverse-probability-of-censoring weights: see
    `accuracy_measures.Accuracy`. For the subjects of the fit itself, whose events the model has learnt from, they are better than for
    others, which a warning says; give tables of others for an honest answer.

    Parameters
    ----------
    tree
        A fit of `joint_survival`, fresh or loaded.
    longitudinal, survival
        Tables as they were given to the builder, of other subjects: follow-up and event are read too. None: those of the fit.
    landmark, horizon
        Times, in the unit of the fit.
    cause
        With competing causes, the one whose event is predicted.
    draws, seed
        As for `dynamic_prediction`.

    Raises
    ------
    InputError
        What `dynamic_prediction` and `accuracy_measures.accuracy` refuse; events known only to lie in an interval; an unknown cause.
    """
    number = OptionType(number=True)
    landmark, horizon = read_option("landmark", landmark, number), read_option("horizon", horizon, number)
    asked = {"landmark": landmark, "horizons": [horizon], "cause": cause, "draws": draws, "seed": seed}
    (found,) = accuracy_by_horizon(tree, longitudinal, survival, **asked)
    return found


def accuracy_by_horizon(
    tree: xr.DataTree,
    longitudinal: Any = None,
    survival: Any = None,
    *,
    landmark: float,
    horizons: Sequence[float],
    cause: str | int | None = None,
    draws: int = 200,
    seed: int = 0,
) -> list[accuracy_measures.Accuracy]:
    """`landmark_accuracy` at several horizons, increasing ones, of one prediction."""
    fit = read_fitted_model(tree)
    refuse_recurrent(fit, "accuracy at a landmark")
    refuse_relatives(fit, "accuracy at a landmark")
    causes, of_the_fit = list(fit.hazard.events.causes), longitudinal is None and survival is None
    if len(causes) > 1 and (cause is None or str(cause) not in causes):
        raise InputError(f"cause is one of {listing(causes)}, not {cause!r}")
    if len(causes) == 1 and cause is not None and str(cause) not in causes:
        raise InputError(f"cause={cause!r} is for competing causes, and this fit has one event; leave it out")
    events = fit.hazard.events if of_the_fit else _read_new_events(fit, longitudinal, survival)
    if (events.left < events.time).any():
        raise InputError(
            "accuracy at a landmark needs the times of events, and some are known only to lie in an interval"
        )
    at_risk = (events.entry <= landmark) & (events.time > landmark)
    ids = [i for i, is_at_risk in zip(events.ids, at_risk, strict=True) if is_at_risk]
    if not ids:
        raise InputError(f"nobody is at risk at the landmark {landmark:g}; choose an earlier one")
    if of_the_fit:
        warn(
            "the model was fitted to these subjects and their events: accuracy for others is lower; give tables of other subjects"
        )
    prediction = dynamic_prediction(
        tree, longitudinal, survival, landmark=landmark, times=list(horizons), ids=ids, draws=draws, seed=seed
    )
    competing = len(causes) > 1
    risk = prediction["cif"].sel(cause=str(cause)) if competing else 1.0 - prediction["survival"]
    return [
        accuracy_measures.accuracy(
            risk.sel(time=horizon).values,
            events.time[at_risk],
            _status_as_in_fit(events, causes)[at_risk],
            landmark=landmark,
            horizon=horizon,
            cause=causes.index(str(cause)) + 1 if competing else 1,
        )
        for horizon in horizons
    ]


def _status_as_in_fit(events: Events, causes: Sequence[str]) -> np.ndarray:
    """The status of every subject (n,) with the causes numbered as in the fit."""
    number = {name: i + 1 for i, name in enumerate(causes)}
    return np.array([0, *(number[name] for name in events.causes)])[events.status]


def _read_new_events(fit: FittedJointModel, longitudinal: Any, survival: Any) -> Events:
    """The events of other subjects, whose causes are those of the fit."""
    problems: list[str] = []
    causes = fit.hazard.events.causes
    events = read_events(
        longitudinal if survival is None else survival, fit.hazard.events.formula, id=fit.id, repeated=survival is None,
        censored=fit.options["censored"], causes=causes if len(causes) > 1 else fit.options["causes"],
        missing=fit.options["missing"], problems=problems,
    )  # fmt: skip
    raise_all(problems)
    assert events is not None
    return events
