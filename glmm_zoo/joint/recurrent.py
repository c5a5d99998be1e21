"""Events that come again, in the time since the origin: given its effects those of a subject are a Poisson process with its hazard.

    log p = sum over its events of log h(t) - H,   H the integral of h over the rows in which it is at risk
    log h(t) = log h0(t) + w' gamma + sum_a assoc_a f_a(t) + v,   v ~ Normal(0, frailty_sd)

An event ends no follow-up, so that who entered late was not chosen for having none before: nothing is divided by.
"""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.shape_utils import rv_size_is_none

from glmm_zoo.families.tensors import Tensor, VariableLookup
from glmm_zoo.graph.group_effects import correlated_draw, correlated_logp
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.transforms.group_effects import GroupEffectsTransform
from glmm_zoo.graph.variables import standard_deviation
from glmm_zoo.joint.event_approximation import EVENT, event_elements
from glmm_zoo.joint.hazards import FRAILTY, FRAILTY_DIM, FRAILTY_SD, HazardModel, sums_by_group


def _add_frailty(model: Model, hazard: HazardModel, dim: str) -> None:
    """The frailty v (n, 1) of the subjects, which the sampler moves as it does group effects, given the hazard's other parameters."""
    elements = [model[rv].ravel()[i] for rv, i in event_elements(model, hazard, None)]
    model.add_coord(FRAILTY_DIM, ["Intercept"])
    model.group_effect_names.append(FRAILTY)
    pm.CustomDist(
        FRAILTY,
        pt.stack([standard_deviation(model, FRAILTY_SD)]),
        pt.stack(elements),
        logp=correlated_logp,
        dist=correlated_draw,
        signature="(m),(p)->(k)",
        dims=(dim, FRAILTY_DIM),
        transform=GroupEffectsTransform(1),
        class_name="Normal",
    )


def observe_recurrent_events(model: Model, hazard: HazardModel, dim: str, value_of: VariableLookup) -> None:
    """Add the likelihood of the events at their times; what is observed, and drawn, is their number in each subject (n,)."""
    events, n = hazard.events, len(hazard.events.ids)
    if events.frailty:
        _add_frailty(model, hazard, dim)
    came = events.event_rows
    log_h = hazard.log_hazard(hazard.points(events.subject[came], came, events.stop[came]), None, value_of, pt)
    at_risk = hazard.integral(events.subject, np.arange(len(events.subject)), events.begin, events.stop)

    def draw(_: Tensor, H: Tensor, size: Tensor) -> Tensor:
        return pt.cast(pm.Poisson.dist(H, size=None if rv_size_is_none(size) else (*tuple(size), n)), "float64")

    pm.CustomDist(
        EVENT,
        sums_by_group(log_h, events.subject[came], n, pt),
        at_risk.sums(events.subject, n, None, value_of, pt),
        logp=lambda count, log_h, H: pt.switch(pt.ge(count, 0.0), log_h - H, -np.inf),
        dist=draw,
        signature="(n),(n)->(n)",
        observed=pm.Data(f"_{EVENT}_observed", events.counts.astype(float), dims=dim),
        dims=dim,
        class_name="RecurrentEvents",
    )
