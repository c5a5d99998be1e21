"""The likelihood of one outcome given its linear predictors, and the family's own parameters."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytensor.tensor as pt

from glmm_zoo.families.family import OwnParameter
from glmm_zoo.families.ordinal import initial_cutpoints
from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.graph.cutpoints import add_cutpoints
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.variables import log_positive, logit_share, regression_coefficients, variable
from glmm_zoo.plans.plan import PlannedOutcome


def observe_outcome(model: Model, planned: PlannedOutcome, etas: Mapping[str, Tensor], *, center: bool = True) -> None:
    """Add the family's own parameters and the likelihood of one outcome, given the linear predictors by prefix."""
    own = {
        p.name: _own_parameter(model, planned, p, etas, center)
        for p in planned.family.own
        if p.default is not None or prefixed(planned.prefix, p.name) in etas
    }
    of_outcome = [etas[prefix] for prefix in planned.predictors]
    eta = of_outcome[0] if planned.prefix in etas else pt.stack(of_outcome, axis=-1)
    planned.family.observe(planned.name, planned.outcome, eta, planned.link, own)


def _own_parameter(
    model: Model, planned: PlannedOutcome, parameter: OwnParameter, etas: Mapping[str, Tensor], center: bool
) -> Tensor:
    """A parameter of the family on the scale on which its density takes it."""
    name = prefixed(planned.prefix, parameter.name)
    if parameter.scale == "logit":
        return logit_share(model, name, etas)
    if parameter.scale == "log":
        return log_positive(model, name, etas)
    if parameter.scale == "thresholds":
        if parameter.labels:  # beside an intercept
            return add_cutpoints(model, planned.main, parameter.labels, np.array([-2.0, 2.0]), center=False)
        levels = planned.outcome.levels
        start = initial_cutpoints(planned.outcome) if planned.family.latent else None
        return add_cutpoints(model, planned.main, [f"{a}|{b}" for a, b in pairwise(levels)], start, center=center)
    if parameter.labels:
        dim = prefixed(planned.prefix, parameter.dim)
        model.add_coord(dim, list(parameter.labels))
        return regression_coefficients(model, name, dim, parameter.to_zero)
    return variable(model, name)
