"""How many events are expected, where they come again: which scales there are, and the frailty of the rows."""

from __future__ import annotations

import numpy as np

from glmm_zoo.errors import InputError, listing
from glmm_zoo.estimands.fitted import EVENT_SCALES, EXPECTED_EVENTS
from glmm_zoo.estimands.group_choice import GroupChoice
from glmm_zoo.estimands.posterior import PosteriorDraws
from glmm_zoo.joint.events import subject_positions
from glmm_zoo.joint.hazards import FRAILTY, FRAILTY_SD, HazardModel
from glmm_zoo.joint.prediction.fitted import FittedJointModel
from glmm_zoo.joint.trajectories import subject_effects
from glmm_zoo.tables.columns import Table


def check_scale(scale: str, hazard: HazardModel) -> None:
    """Refuse scales of one event where events come again, and the other way round; and a number that is infinite.

    Raises
    ------
    InputError
        One sentence.
    """
    if hazard.events.recurrent != (scale == EXPECTED_EVENTS):
        others = listing([repr(s) for s in EVENT_SCALES if s != EXPECTED_EVENTS])
        raise InputError(
            f"scale={scale!r} is of an event that ends the follow-up, and here events come again; ask for how many are expected, "
            f"scale={EXPECTED_EVENTS!r}"
            if hazard.events.recurrent
            else f"scale={scale!r} is of events that come again (recurrent=True), and here an event ends the follow-up; ask for {others}"
        )
    if scale == EXPECTED_EVENTS and not numbers_exist(hazard):
        raise InputError(
            "scale='events' has no value where the hazard follows an expected marker with a log link: the mean of exp(exp(u)) over "
            "normal effects u is infinite; use the linear predictor, association_scale='linear_predictor'"
        )


def numbers_exist(hazard: HazardModel) -> bool:
    """Whether the number of events that is expected in a population is finite."""
    return not any(t.mean_scale and hazard.trajectories[t.outcome].part.link == "log" for t in hazard.terms)


def log_frailty(fit: FittedJointModel, draws: PosteriorDraws, choice: GroupChoice, table: Table) -> np.ndarray:
    """The log of what the frailty makes of the hazard, of a subject of the population on average (S, 1), or of each row (S, m)."""
    zero = np.zeros((draws.size, 1))
    if not fit.hazard.events.frailty:
        return zero
    part = fit.joint.parts[fit.hazard.terms[0].outcome]
    how, sd = choice.of(subject_effects(part, fit.id).factor.name), draws[FRAILTY_SD][:, None]
    if how == "typical":
        return zero
    if how == "new":
        return sd * np.random.default_rng([choice.seed, 3]).standard_normal((draws.size, 1))
    if how == "population":
        return 0.5 * sd**2
    place = subject_positions(table, fit.id, {label: i for i, label in enumerate(fit.hazard.events.ids)})
    drawn = np.random.default_rng([choice.seed, 3]).standard_normal((draws.size, 1))
    unseen = 0.5 * sd**2 if choice.unseen == "population" else sd * drawn
    return np.where(place >= 0, draws[FRAILTY][:, np.maximum(place, 0), 0], unseen)
