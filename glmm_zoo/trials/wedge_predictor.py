"""The linear predictor of a stepped-wedge trial: periods, covariates and group effects as a formula, and the treatment's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing, plural, raise_all
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.formulas.group_effects import GroupEffects, grouping_factor
from glmm_zoo.formulas.population import DesignMatrix, aliased
from glmm_zoo.formulas.predictor import FEW_LEVELS
from glmm_zoo.formulas.terms import Formula, quoted
from glmm_zoo.plans.reading import SingleOutcome, parse_part, read_outcome, remark
from glmm_zoo.trials.stepped_wedge import WedgeDesign, read_stepped_wedge
from glmm_zoo.trials.wedge_columns import TrialColumns


def read_wedge_trial(
    data: Any, formula: str, names: TrialColumns, options: Mapping[str, Any]
) -> tuple[WedgeDesign, SingleOutcome]:
    """The design of the trial, and its outcome with the predictor that the design asks for, treatment included."""
    family, exposure, correlation = FAMILIES[options["family"]], options["exposure"], options["correlation"]
    also = {own: text for option, own in family.options.items() if (text := options.get(option)) is not None}
    parts = {own: parse_part(own, text) for own, text in also.items()}
    labels = {group.name: group.label for part in parts.values() for group in part.groups if group.label}
    if correlation == "decay":
        _refuse_labels(parts, names)
    design = read_stepped_wedge(
        data, formula, names, lambda table, response: family.read(table, response, options["success"]),
        columns=[] if exposure is None else [exposure], parts=parts, missing=options["missing"],
        by_exposure=options["exposure_time"] != "constant",
    )  # fmt: skip
    single = read_outcome(
        data,
        wedge_formula(formula, names, design, correlation, options["period_effects"], labels),
        family,
        choice=options["success"],
        also=also,
        exposure=exposure,
        columns=names.given,
        missing=options["missing"],
        clusters=options["clusters"],
    )
    exposure_time, random = options["exposure_time"], options["treatment_effect"] == "random"
    whole = with_treatment(single, design, names, exposure_time=exposure_time, random=random)
    notes = design.notes + (() if exposure_time == "constant" else exposure_notes(design))
    whole = replace(whole, texts=single.texts, notes=(*whole.notes, *notes))
    doubts = [
        *treatment_doubts(whole, design, names, exposure_time),
        *(few_clusters_note(design) if correlation == "decay" else ()),
    ]
    return design, remark(whole, doubts)


def _refuse_labels(parts: Mapping[str, Formula], names: TrialColumns) -> None:
    """Refuse correlations with effects of clusters that decay."""
    raise_all(
        [
            f"{own}: {group.source} shares the label {group.label!r} with nothing: with correlation='decay' the effects of a cluster follow "
            f"each other from period to period; write ({group.effects_text} | {group.name})"
            for own, part in parts.items()
            for group in part.groups
            if group.label and group.name in (names.cluster, names.cell)
        ]
    )


def wedge_formula(
    text: str,
    names: TrialColumns,
    design: WedgeDesign,
    correlation: str,
    period_effects: str,
    labels: Mapping[str, str],
) -> str:
    """The formula of the linear predictor without treatment: periods, covariates as the user wrote them, group effects.

    Effects of a factor that has one of the `labels` in another predictor have it here, so that they are correlated with those.
    """
    left, right = (side.strip() for side in text.split("~", 1))
    period = quoted(names.period)
    if period_effects == "smooth":
        if not design.numeric or len(design.periods) < 5:
            raise InputError(
                f"period_effects='smooth' needs a numeric column of 5 periods or more; {names.period!r} has "
                f"{plural(len(design.periods), 'period')} ({listing(design.periods, 5)}); use period_effects='categorical'"
            )
        time = f"cr({period}, df={min(4, len(design.periods) - 2)})"
    else:
        # text sorts 10 before 2, so that the first in time is named
        is_text = not design.numeric and not design.declared
        time = f"C({period}, ref={design.periods[0]!r})" if is_text else f"C({period})"

    def varying(*columns: str) -> str:
        label = labels.get(":".join(columns), "")
        return f"(1 |{label}| {':'.join(map(quoted, columns))})" if label else f"(1 | {':'.join(map(quoted, columns))})"

    of_cluster, of_cell = varying(names.cluster), varying(names.cluster, names.period)
    groups = {
        "exchangeable": [of_cluster],
        "nested_exchangeable": [of_cluster, of_cell],
        "decay": [of_cell],
    }[correlation]
    groups += [varying(names.subject)] if names.subject is not None else []
    return f"{left} ~ {' + '.join([time, *([] if right == '1' else [right]), *groups])}"


def with_treatment(
    part: SingleOutcome, design: WedgeDesign, names: TrialColumns, *, exposure_time: str, random: bool
) -> SingleOutcome:
    """The checked input with treatment: its columns must not be a combination of the others, and if `random` its effect varies over
    clusters, beside their intercept."""
    population = part.main.population
    if not population.intercept:
        raise InputError(
            "the first period is the reference of the others, so the model needs its intercept; write 1, not 0"
        )
    labels, columns = ("effect",), design.treat[:, None]
    if exposure_time == "categorical":
        labels = tuple(f"effect[{e}]" for e in design.exposures)
        columns = _by_exposure(design)
    both = DesignMatrix(np.column_stack([population.values, columns]), (*population.labels, *labels), intercept=True)
    problem = aliased(both)
    if problem:
        raise InputError(problem)
    effects = _with_random_treatment(part, design, names) if random else part.main.effects
    return replace(part, predictors=(replace(part.main, effects=effects), *part.predictors[1:]))


def _with_random_treatment(part: SingleOutcome, design: WedgeDesign, names: TrialColumns) -> tuple[GroupEffects, ...]:
    """The group effects with a `treatment` of each cluster, correlated with its intercept if there is one."""
    own = next((e for e in part.main.effects if e.factor.name == names.cluster), None)
    z = design.treat[:, None] if own is None else np.column_stack([own.z, design.treat])
    labels = ("treatment",) if own is None else (*own.labels, "treatment")
    block = tuple(range(len(labels)))
    varying = GroupEffects(
        grouping_factor([names.cluster], part.table), z, labels, (block,), (1.0,) * len(labels),
        (None,) if own is None else own.shared,
    )  # fmt: skip
    return (varying, *(e for e in part.main.effects if e is not own))


def treatment_doubts(
    part: SingleOutcome, design: WedgeDesign, names: TrialColumns, exposure_time: str
) -> Sequence[str]:
    """Sentences about a treatment, or an exposure time if each has its effect, that alone separates the outcome."""
    labels, columns = (names.treatment or f"after {names.crossover}",), design.treat[:, None]
    if exposure_time == "categorical":
        labels = tuple(f"exposure time {e}" for e in design.exposures)
        columns = _by_exposure(design)
    return part.family.doubts(part.outcome, DesignMatrix(columns, labels, intercept=True))


def _by_exposure(design: WedgeDesign) -> np.ndarray:
    """A column of 0 and 1 for each exposure time (n, m)."""
    return (design.exposure[:, None] == np.array([int(e) for e in design.exposures])).astype(float)


def few_clusters_note(design: WedgeDesign) -> tuple[str, ...]:
    """A sentence about few clusters, for models without an effect of the cluster itself, for which `plans.reading` would say it."""
    if len(design.clusters) >= FEW_LEVELS:
        return ()
    return (
        f"{plural(len(design.clusters), 'cluster')}; from fewer than {FEW_LEVELS} the variance between clusters is poorly known "
        "and its posterior rests on the priors of sd and rho",
    )


def exposure_notes(design: WedgeDesign) -> tuple[str, ...]:
    """A sentence about clusters whose exposure time is known only from the first period in which they were seen treated."""
    late = [
        name
        for name, row in zip(design.clusters, design.treated, strict=True)
        if (row == 1).any() and (np.argmax(row == 1) == 0 or row[np.argmax(row == 1) - 1] == -1)
    ]
    if not late:
        return ()
    return (
        f"{plural(len(late), 'cluster')} not seen under control in the period before the first treated one ({listing(late, 4)}): "
        "exposure time counts from the first period seen treated, unless crossover= says when it began",
    )
