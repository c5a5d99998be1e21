"""A fit read again from its file: its outcomes, their linear predictors as they were coded, and draws of the posterior."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, ZooWarning, did_you_mean, listing, raise_all
from glmm_zoo.estimands.arm_rows import read_meta
from glmm_zoo.estimands.event_rows import event_coding, event_name, subject_rows
from glmm_zoo.estimands.network_rows import read_network_fit
from glmm_zoo.estimands.posterior import PosteriorDraws, posterior_draws
from glmm_zoo.estimands.row_coding import RowCoding, standard_coding
from glmm_zoo.estimands.visit_rows import with_sds_by_visit
from glmm_zoo.estimands.wedge_rows import read_wedge
from glmm_zoo.families.family import Family
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.registry import FAMILIES, family_of_fit
from glmm_zoo.formulas.names import prefix_within
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.smooths.tensor_products import basis_from_json
from glmm_zoo.joint.prediction.fitted import FittedJointModel, read_fitted_model
from glmm_zoo.plans.joint_outcomes import OPTIONS_BY_RESPONSE, JointOutcomes, read_joint_outcomes
from glmm_zoo.plans.plan import PlannedOutcome
from glmm_zoo.plans.reading import SingleOutcome, read_outcome
from glmm_zoo.results.imputations import refuse_imputations
from glmm_zoo.results.once import once
from glmm_zoo.results.storage import metadata, outcome_formulas, stored_data
from glmm_zoo.tables.columns import Table


@dataclass(frozen=True)
class FittedOutcome:
    """One outcome of a fit.

    Attributes
    ----------
    name, prefix
        Of the response, and of its variables in the posterior.
    family, link
        As they were fitted.
    parts
        Its linear predictors by what they are of: "" the main one, or each unordered category but the reference; "zi", "alpha",
        "never", "nominal".
    own
        The variables of its family's own parameters that have no linear predictor, by the parameters' names.
    table
        Its rows in the fit.
    levels
        Categories, ordered or not.
    coding
        How rows become linear predictors.
    event
        Of the event of a joint model: the model.
    response
        The response of those rows as it was read.
    """

    name: str
    prefix: str
    family: Family
    link: str
    parts: Mapping[str, PredictorDesign]
    own: Mapping[str, str]
    table: Table
    levels: tuple[str, ...]
    coding: RowCoding
    event: FittedJointModel | None = None
    response: Outcome | None = None

    @property
    def prefixes(self) -> list[str]:
        """What stands before the names of the variables of its main linear predictors."""
        of = [""] if self.response is None else self.family.predictors(self.response)
        return [prefix_within(self.prefix, name) for name in of]

    def main(self, etas: Mapping[str, np.ndarray]) -> np.ndarray:
        """The main linear predictor (S, m) of those of all parts; of unordered categories all of theirs (S, m, K - 1)."""
        if "" in etas:
            return etas[""]
        assert self.response is not None
        return np.stack([etas[of] for of in self.family.predictors(self.response)], axis=-1)

    @property
    def nested(self) -> bool:
        """Whether probabilities of categories are integrals over effects on two predictors, or over Student-t effects."""
        student = any(effects.df is not None for effects in self.coding.effects.values())
        return self.family.responses == "ordered" and (
            student or any(design.effects for part, design in self.parts.items() if part)
        )

    def is_share(self, scale: str) -> bool:
        """Whether what is expected on a scale is a probability."""
        share = scale == "mean" and self.family.choice in ("success", "reference")
        return share or scale in ("probability", "zero", SURVIVAL, INCIDENCE)


@dataclass(frozen=True)
class FittedModel:
    """A fit's tree, what it says of itself, the draws that are used, and its outcomes by name."""

    tree: xr.DataTree
    spec: Mapping[str, Any]
    draws: PosteriorDraws
    outcomes: Mapping[str, FittedOutcome]

    def outcome(self, name: str | None, variables: Collection[str] = ()) -> list[FittedOutcome]:
        """The outcome of that name, or all that have one of the variables.

        Raises
        ------
        InputError
            An outcome or a variable that the model does not have.
        """
        if name is not None and name not in self.outcomes:
            raise InputError(
                f"no outcome {name!r}{did_you_mean(str(name), self.outcomes) or ';'} outcomes: {listing(self.outcomes)}"
            )
        asked = list(self.outcomes.values()) if name is None else [self.outcomes[name]]
        known = dict.fromkeys(c for outcome in asked for c in outcome.coding.known)
        raise_all(
            [
                f"no variable {v!r} in the model{did_you_mean(str(v), known) or ';'} variables: {listing(known)}"
                for v in variables
                if v not in known
            ]
        )
        return [o for o in asked if not variables or any(v in o.coding.known for v in variables)]


_ONCE = SURVIVAL, INCIDENCE, RESTRICTED_MEAN, TIME_LOST = ("survival", "incidence", "rmst", "rmtl")
EXPECTED_EVENTS = "events"  # how many, where they come again
EVENT_SCALES = (*_ONCE, EXPECTED_EVENTS)
MEDIAN = "median"
TIME_SCALES = (*_ONCE, MEDIAN, "linear")  # of an outcome that is a time to an event
OF_CAUSES = (INCIDENCE, TIME_LOST)
USUAL_DRAWS, DRAWS_OF_NESTED = 1000, 250  # the latter for a page where each takes an integral over two effects
type Reader = Callable[[xr.DataTree, Mapping[str, Any], PosteriorDraws], Sequence[FittedOutcome]]


def read_fitted(tree: xr.DataTree, draws: int, scale: str = "mean") -> FittedModel:
    """The model of a fit, fresh or loaded, with about this many of its draws; on a scale of events its event is the outcome.

    Raises
    ------
    InputError
        A fit that an older version wrote without what is needed here; a scale of events of a model without one.
    """
    refuse_imputations(tree, "this estimate")
    spec, chosen, outcomes = once(("fit", draws), tree, lambda: _read(tree, draws))
    of_times = [o for o in outcomes if o.family.event_times is not None]
    asked = {o.name: o for o in of_times or outcomes if of_times or (o.event is not None) == (scale in EVENT_SCALES)}
    if not asked:
        raise InputError(
            f"scale={scale!r} is of the event of a joint_survival or survival model, and this fit is of {spec['builder']}"
        )
    return FittedModel(tree, spec, chosen, asked)


def _read(tree: xr.DataTree, draws: int) -> tuple[Mapping[str, Any], PosteriorDraws, Sequence[FittedOutcome]]:
    """What a fit says of itself, draws, and all outcomes."""
    spec, chosen = metadata(tree)["spec"], posterior_draws(tree, draws)
    readers: Mapping[str, Reader] = {
        "joint_outcomes": _read_joint_outcomes,
        "joint_survival": _read_joint_survival,
        "stepped_wedge": lambda *of: [_outcome_of(*read_wedge(*of), *of[1:])],
        "meta_analysis": lambda *of: [_outcome_of(*read_meta(*of), *of[1:])],
        "network_meta_analysis": lambda *of: [_outcome_of(*read_network_fit(*of), *of[1:])],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)  # the user saw them when the model was fitted
        return spec, chosen, readers.get(spec["builder"], _read_single)(tree, spec, chosen)


def _read_single(tree: xr.DataTree, spec: Mapping[str, Any], draws: PosteriorDraws) -> Sequence[FittedOutcome]:
    """The outcome of a model that has one, with the predictors of its parts."""
    options = spec["options"]
    family = family_of(spec)
    single = read_outcome(
        stored_data(tree),
        spec["formula"],
        family,
        choice=options.get(family.choice or ""),
        also=spec["formulas"],
        units={"never": options["subject"]} if spec["builder"] == "never_at_risk" else None,
        exposure=options.get("exposure"),
        columns=[options["time"], options["within"]] if options.get("residual") else (),
        partly=True,
        weights=options.get("weights"),
        impute=options.get("impute") or {},
    )
    single = replace(single, predictors=tuple(with_stored_bases(single.predictors, spec)))
    parts = {p.prefix: p for p in single.predictors}
    coding = standard_coding(parts, draws, counts=family.counted is not None, exposure=options.get("exposure"))
    return [_outcome_of(single, with_sds_by_visit(coding, spec, draws), spec, draws)]


def _outcome_of(
    single: SingleOutcome, coding: RowCoding, spec: Mapping[str, Any], draws: PosteriorDraws
) -> FittedOutcome:
    """The outcome of a model that has one."""
    family, parts = single.family, {p.prefix: p for p in single.predictors}
    own = {
        name: name
        for name in (*(o.name for o in family.own), "never", "nominal_beta")
        if name in draws and name not in parts and not (name == "sigma" and spec["facts"].get("sds_by_visit"))
    }
    return FittedOutcome(
        single.outcome.name,
        "",
        family,
        spec["link"],
        parts,
        own,
        single.table,
        single.outcome.levels,
        coding,
        response=single.outcome,
    )


def family_of(spec: Mapping[str, Any]) -> Family:
    """The family of a fit with one outcome."""
    name = str(spec.get("family"))
    if name not in FAMILIES and "event_times" not in spec["facts"]:
        raise InputError(f"this fit does not say its family ({name!r}): an older glmm_zoo wrote it; fit again")
    return family_of_fit(name, spec)


def with_stored_bases(predictors: Sequence[PredictorDesign], spec: Mapping[str, Any]) -> list[PredictorDesign]:
    """The predictors with the bases of smooths as the file has them, so that they are the same on every machine."""
    bases = {smooth["label"]: smooth["basis"] for smooth in spec["smooths"]}
    return [
        replace(
            p,
            smooths=tuple(replace(s, basis=basis_from_json(bases[f"{p.prefix} {s.label}".strip()])) for s in p.smooths),
        )
        for p in predictors
    ]


def _read_joint_outcomes(tree: xr.DataTree, spec: Mapping[str, Any], draws: PosteriorDraws) -> Sequence[FittedOutcome]:
    options, texts = spec["options"], outcome_formulas(spec)
    pairs = [(t, f"{o['family']}({o['link']})") for t, o in zip(texts, spec["outcomes"].values(), strict=True)]
    joint = read_joint_outcomes(
        stored_data(tree),
        pairs,
        choices={name: options.get(name) for name in OPTIONS_BY_RESPONSE},
        shared=options["shared"],
    )
    return [outcome_of_joint(joint, part, spec, draws) for part in joint.parts]


def _read_joint_survival(tree: xr.DataTree, spec: Mapping[str, Any], draws: PosteriorDraws) -> Sequence[FittedOutcome]:
    fit = read_fitted_model(tree)
    rows, coding = subject_rows(fit), event_coding(fit, draws)
    event = FittedOutcome(event_name(fit), "", FAMILIES["bernoulli"], "", {}, {}, rows, (), coding, fit)
    return [*(outcome_of_joint(fit.joint, part, spec, draws) for part in fit.joint.parts), event]


def outcome_of_joint(
    joint: JointOutcomes, part: PlannedOutcome, spec: Mapping[str, Any], draws: PosteriorDraws
) -> FittedOutcome:
    """One outcome of several, whose group effects may be shared with others."""
    lead = f"{part.prefix}_" if part.prefix else ""
    designs = {p.prefix: p for p in with_stored_bases(joint.predictors, spec)}
    main = zip(part.family.predictors(part.outcome), part.predictors, strict=True)
    names = {**dict(main), **{own.name: f"{lead}{own.name}" for own in part.family.own}}
    parts = {name: designs[prefix] for name, prefix in names.items() if prefix in designs}
    own = {name: variable for name, variable in names.items() if name and variable in draws and name not in parts}
    table = joint.table.take(np.searchsorted(joint.table.row_numbers, part.rows))
    loaded = (joint.loaded[part.prefix], joint.anchor) if part.prefix in joint.loaded else None
    counts = part.family.counted is not None
    coding = standard_coding(parts, draws, counts=counts, all_predictors=tuple(designs.values()), loaded=loaded)
    return FittedOutcome(
        part.name,
        part.prefix,
        part.family,
        part.link,
        parts,
        own,
        table,
        part.outcome.levels,
        coding,
        response=part.outcome,
    )
