"""A fitted joint model, read again from the data and options that its file holds and coded as it was fitted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, ZooWarning, listing
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.joint.hazards import HazardModel
from glmm_zoo.joint.reading import read_joint_model
from glmm_zoo.joint.trajectories import subject_effects
from glmm_zoo.plans.groups import Group
from glmm_zoo.plans.joint_outcomes import OPTIONS_BY_RESPONSE, JointOutcomes
from glmm_zoo.plans.plan import PlannedOutcome
from glmm_zoo.results.once import once
from glmm_zoo.results.storage import metadata, outcome_formulas, stored_data, stored_table

EVENT_TABLE = "event_row"  # the dimension of the event's rows in a fit


@dataclass(frozen=True)
class FittedJointModel:
    """A fit's tree, the options of its builder, and both parts of its model as they were read from the data."""

    tree: xr.DataTree
    options: Mapping[str, Any]
    joint: JointOutcomes
    hazard: HazardModel

    @property
    def id(self) -> str:
        """The column of subjects."""
        return self.hazard.id

    @property
    def time(self) -> str:
        """The column of the times of visits."""
        return self.options["time"]

    @property
    def response_texts(self) -> list[str]:
        """The responses as the formulas have them."""
        return [self.joint.texts[part.prefix].split("~")[0].strip() for part in self.joint.parts]

    def choice(self, part: PlannedOutcome) -> Any:
        """What the user said of an outcome's response beside its formula, by `success` or `levels`."""
        names = (part.name, self.response_texts[[p.name for p in self.joint.parts].index(part.name)])
        by_name = (self.options[part.family.choice] if part.family.choice else None) or {}
        return next((by_name[name] for name in names if name in by_name), None)

    @property
    def dependent_subjects(self) -> str:
        """The first term by which the effects of subjects depend on each other; "" where they are independent."""
        terms = (g for part in self.joint.parts for g in part.main.formula.groups)
        return next((g.source for g in terms if g.structure and self.id in g.factor), "")

    @cached_property
    def subject_groups(self) -> tuple[Group, ...]:
        """The effects that each subject has of its own; other factors are groups of subjects."""
        names = {subject_effects(part, self.id).factor.name for part in self.joint.parts}
        return tuple(g for g in self.hazard.groups if g.factor.name in names)

    @property
    def effect_count(self) -> int:
        """q, the number of effects that a subject has of its own."""
        return sum(len(g.labels) for g in self.subject_groups)

    @cached_property
    def effect_slices(self) -> dict[str, slice]:
        """Where the subject effects of each group, by the name of their variable, are in b (q,)."""
        ends = np.cumsum([0, *(len(g.labels) for g in self.subject_groups)]).tolist()
        return {g.name("u"): slice(a, b) for g, a, b in zip(self.subject_groups, ends[:-1], ends[1:], strict=True)}


def read_fitted_model(tree: xr.DataTree) -> FittedJointModel:
    """The joint model of a fit, fresh or loaded.

    Raises
    ------
    InputError
        A fit of another builder; data that are not coded as they were.
    """
    return once("joint model", tree, lambda: _read(tree))


def _read(tree: xr.DataTree) -> FittedJointModel:
    spec = metadata(tree)["spec"]
    if spec["builder"] != "joint_survival":
        raise InputError(f"dynamic prediction is of a fit of joint_survival, and this is one of {spec['builder']}")
    options, texts = spec["options"], outcome_formulas(spec)
    pairs = {t: f"{o['family']}({o['link']})" for t, o in zip(texts, spec["outcomes"].values(), strict=True)}
    names = (
        "event", "time", "id", "association", "association_scale", "baseline", "cuts", "causes", "censored", "carry_forward",
        "missing", "clusters",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)  # the user saw them when the model was fitted
        joint, hazard = read_joint_model(
            stored_data(tree), stored_table(tree, EVENT_TABLE), pairs, families=None, recurrent=options.get("recurrent", False),
            choices={name: options.get(name) for name in OPTIONS_BY_RESPONSE},
            **{name: options[name] for name in names},
        )  # fmt: skip
    _check_coding(tree, joint, hazard)
    return FittedJointModel(tree, options, joint, hazard)


def refuse_recurrent(fit: FittedJointModel, what: str) -> None:
    """A prediction of the event that is made at a landmark needs one that ends the follow-up.

    Raises
    ------
    InputError
        Events that come again.
    """
    if fit.hazard.events.recurrent:
        raise InputError(
            f"{what} is of an event that ends the follow-up, and in this fit events come again (recurrent=True); for how many are expected "
            "ask predictions(tree, scale='events', times=[...])"
        )


def refuse_relatives(fit: FittedJointModel, what: str) -> None:
    """A prediction from a history takes the effects of a subject as independent of those of others.

    Raises
    ------
    InputError
        Effects of subjects with a known covariance, or of subjects that are areas with neighbours.
    """
    if fit.dependent_subjects:
        raise InputError(
            f"{what} is of subjects whose effects do not depend on those of others, and this fit has {fit.dependent_subjects}; for the "
            "survival of a population ask predictions(tree, scale='survival', times=[...])"
        )


def _check_coding(tree: xr.DataTree, joint: JointOutcomes, hazard: HazardModel) -> None:
    """The labels of coefficients and levels must be those of the posterior."""
    labels_by_dim: dict[str, Sequence[str]] = {
        prefixed(p.prefix, "coef"): p.population.labels for p in joint.predictors
    }
    labels_by_dim |= {g.effect_dim: g.labels for g in hazard.groups} | {g.dim: g.factor.levels for g in hazard.groups}
    labels_by_dim |= {"surv_coef": hazard.events.covariates.labels, "association": [t.label for t in hazard.terms]}
    labels_by_dim |= {"cause": hazard.events.causes}
    coords = tree["posterior"].coords
    for dim, labels in labels_by_dim.items():
        if dim in coords and (was := [str(x) for x in coords[dim].values]) != list(labels):
            raise InputError(
                f"{dim}: the data in this file are coded as {listing(labels)} and were fitted as {listing(was)}: an older glmm_zoo did not "
                "keep the order of levels that a data frame declares; fit again"
            )
