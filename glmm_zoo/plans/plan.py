"""All that a model's graph is built from, and the spec that is stored with a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glmm_zoo import priors
from glmm_zoo.errors import InputError
from glmm_zoo.families.family import Family
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.group_effects import GroupEffects, GroupingFactor, Strata
from glmm_zoo.formulas.names import prefix_within, prefixed, renamed, variable_name
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.series import Series
from glmm_zoo.formulas.smooths.smooth import Smooth
from glmm_zoo.plans.groups import Group, groups_of, smooth_name
from glmm_zoo.plans.missing_covariates import MissingCovariate
from glmm_zoo.plans.residuals import Residuals
from glmm_zoo.priors import Parameter, Prior
from glmm_zoo.tables.columns import Table


@dataclass(frozen=True)
class PlannedOutcome:
    """One outcome of a model: its checked response, its family and link, and its main linear predictor.

    `name` is that of the observed variable. `prefix` stands before the names of the outcome's parameters: it is the name,
    or "" for an only outcome. `rows` (n,) are the numbers of the outcome's rows in the data, from 0.
    """

    name: str
    prefix: str
    family: Family
    link: str
    outcome: Outcome
    main: PredictorDesign
    rows: np.ndarray

    @property
    def predictors(self) -> list[str]:
        """The prefixes of its main linear predictors, of which `main` is the first."""
        return [prefix_within(self.prefix, of) for of in self.family.predictors(self.outcome)]


@dataclass(frozen=True)
class Plan:
    """All that a model's graph is built from: every check of the input has been passed.

    Attributes
    ----------
    spec
        What is stored of the model with a fit, JSON-able.
    table
        The columns that the model uses; `also` has further tables by the dimension of their rows.
    predictors
        All linear predictors.
    chosen
        The prior of every element of every parameter, by the parameter's name.
    rows
        Number of rows of the likelihood.
    outcomes
        The outcomes, in the order in which they enter the graph.
    center
        Whether the priors of intercepts and cutpoints, varying ones too, hold at the covariates' means.
    unit
        The factor of the subjects where the likelihood has one term for each of them and not for each row.
    labels
        Numbers of the rows by dimension, where outcomes have rows of their own.
    scales
        Units of the link by prefix, where they are not 1.
    loadings
        Where outcomes share one effect of a subject: the term of each outcome, by its name, that has the effects
        `loaded_effect` times a loading in its place.
    residual_pair
        The two Gaussian outcomes whose residuals are correlated.
    residuals
        The correlation of the residuals of a subject, where there is one.
    covariates
        Those with missing values that are unknowns, each after those that its predictor has.
    """

    spec: Mapping[str, Any]
    table: Table
    predictors: tuple[PredictorDesign, ...]
    chosen: Mapping[str, tuple[Prior, ...]]
    rows: int
    outcomes: tuple[PlannedOutcome, ...] = ()
    center: bool = True
    unit: GroupingFactor | None = None
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    also: Mapping[str, Table] = field(default_factory=dict)
    loadings: Mapping[str, GroupEffects] = field(default_factory=dict)
    loaded_effect: str = ""
    residual_pair: tuple[PlannedOutcome, ...] = ()
    residuals: Residuals | None = None
    covariates: tuple[MissingCovariate, ...] = ()


def write_spec(
    builder: str,
    described: Mapping[str, Any],
    table: Table,
    predictors: tuple[PredictorDesign, ...],
    needed: Sequence[Parameter],
    given: Mapping[str, str] | None,
) -> tuple[dict[str, Any], dict[str, tuple[Prior, ...]]]:
    """The spec of a model, with what is `described` of it, and the prior of every parameter that is `needed`.

    Its "priors" are those in force, its "given" those that the user gave; "prior_keys" are the words for a user's prior of a whole
    parameter.
    """
    _refuse_one_name_for_two(predictors, table)
    _refuse_student_effects(predictors, described)
    chosen = priors.choose(needed, given)
    spec = {
        "builder": builder,
        **described,
        "priors": {p.name: _prior_text(p, chosen[p.name]) for p in needed},
        "prior_keys": {p.name: next(key for key in p.keys[0] if all(key in keys for keys in p.keys)) for p in needed},
        "given": {str(key): str(prior) for key, prior in (given or {}).items()},
        "groups": {
            prefixed(g.prefix, g.dim): {
                "levels": len(g.factor.levels),
                "effects": list(g.labels),
                "sd": g.name("sd"),
                "u": g.name("u"),
                "at_means": {what: g.free(what) for what in _at_means(g)},
                "effect_dim": g.effect_dim,
                "predictors": list(dict.fromkeys(g.owners)),
                **_structure_of(g, predictors),
                **({"df": g.name("df")} if g.student else {}),
                **({"by": _describe_strata(g.by)} if g.by else {}),
                **({} if g.series is None else {"process": _describe_process(g, g.series)}),
                **({"members": _describe_members(g, predictors)} if g.shares else {}),
            }
            for g in groups_of(predictors, described["options"].get("center", True))
        },
        "smooths": [_describe_smooth(p, s) for p in predictors for s in p.smooths],
        "notes": [*described["notes"], *renamed(table.columns)],
        "aspects": [*described["aspects"], *(["smooths"] if any(p.smooths for p in predictors) else [])],
        "learnt": {p.prefix: {**p.population.learnt, "means": p.population.means.tolist()} for p in predictors},
        "data": {
            "source": table.source,
            "rows": table.rows,
            "dropped": table.dropped,
            "columns": list(table.columns),
            "sha256": table.sha256(),
            **_tables_beside(table, predictors),
        },
    }
    return spec, chosen


def _structure_of(group: Group, predictors: Sequence[PredictorDesign]) -> dict[str, Any]:
    """How the levels of a group depend on each other, nothing where they do not; "levels" are then those that have rows."""
    if group.structure is None:
        return {}
    term = next(
        t for p in predictors for t in p.formula.groups if t.name == group.factor.name and p.prefix in group.owners
    )
    with_rows = np.unique(np.concatenate([*group.codes.values()]))
    described = {
        "kind": group.structure.kind,
        "table": group.structure.table.name,
        "coordinates": group.random,
        **({"rho": group.name("rho"), "unstructured": group.name("e")} if group.structure.shared else {}),
        "columns": list(term.factor),
        "levels": len(group.factor.levels),
        "variance": group.structure.variance,
    }
    return {"levels": len(with_rows), "structure": described}


def _tables_beside(table: Table, predictors: Sequence[PredictorDesign]) -> dict[str, Any]:
    """The tables of numbers between levels that terms name, nothing where there are none."""
    used = {e.structure.table.name for p in predictors for e in p.effects if e.structure is not None}
    described = {
        name: {"source": t.source, "levels": len(t.levels), "sha256": t.sha256()}
        for name, t in table.beside.items()
        if name in used
    }
    return {"tables": described} if described else {}


def _describe_process(group: Group, series: Series) -> dict[str, Any]:
    """What a reader of the fit needs to know of a process, JSON-able."""
    return {
        "kind": series.process,
        "parameter": group.name(series.parameter),
        "of": series.of,
        "time": series.time,
        "series": len(np.unique(series.codes)),
        "step": series.step,
    }


def _describe_members(group: Group, predictors: Sequence[PredictorDesign]) -> dict[str, Any]:
    """What a reader of the fit needs of rows that belong to several levels, JSON-able; `variance` is the mean over rows of the sum of
    their squared weights, the variance of a row's effect where that of a level is 1."""
    term = next(t for p in predictors for t in p.formula.groups if t.name == group.factor.name)
    squares = np.concatenate([np.sum(shares**2, axis=1) for shares in group.shares.values()])
    return {
        "columns": list(term.factor),
        "weights": list(term.weights) if term.weights else None,
        "variance": float(squares.mean()),
    }


def _at_means(group: Group) -> tuple[str, ...]:
    """What of the group's variables there is at the means of its slopes' columns too."""
    return () if group.to_zero is None else ("sd", "u", *(["corr"] if group.correlated else []))


def _describe_strata(by: Strata) -> dict[str, Any]:
    """What a reader of the fit needs of the strata of a factor's levels, JSON-able; `sizes` are how many levels each has."""
    sizes = np.bincount(by.codes, minlength=len(by.levels)).tolist()
    return {"column": by.column, "dim": by.dim, "levels": list(by.levels), "sizes": sizes}


def _describe_smooth(predictor: PredictorDesign, smooth: Smooth) -> dict[str, Any]:
    """What a reader of the fit needs to draw the curves of a smooth, JSON-able."""
    return {
        "label": f"{predictor.prefix} {smooth.label}".strip(),
        "prefix": predictor.prefix,
        "variables": list(smooth.variables),
        "curves": list(smooth.curves),
        "sds": list(smooth.sds),
        "sd_of": smooth.sd_of.tolist(),
        **{what: smooth_name(predictor, smooth, what) for what in ("sd", "linear", "weights")},
        "basis": smooth.basis.to_json(),
    }


def offset_level(offset: np.ndarray | None, link: str) -> float:
    """How much of the outcome's location is due to the offset, so that its unit does not enter the intercept's prior."""
    if offset is None or link not in ("log", "log_hazard", "log_time", "identity"):
        return 0.0
    return float(np.mean(offset) if link == "identity" else np.logaddexp.reduce(offset) - np.log(len(offset)))


def _refuse_one_name_for_two(predictors: Sequence[PredictorDesign], table: Table) -> None:
    columns: dict[str, str] = {}
    for column in table.columns:
        other = columns.setdefault(variable_name(column), column)
        if other != column:
            raise InputError(
                f"columns {other!r} and {column!r} would share the name {variable_name(column)!r} in the fit; rename one"
            )
    names: dict[str, str] = {}
    levels: dict[str, tuple[str, ...]] = {}
    for p in predictors:
        for s in p.smooths:
            other = names.setdefault(smooth_name(p, s, "sd"), s.label)
            if other != s.label:
                raise InputError(
                    f"smooths {other} and {s.label} would share the name {smooth_name(p, s, 'sd')!r}; leave one out"
                )
    for group in groups_of(predictors):
        for name in dict.fromkeys((group.name("u"), group.free("u"), group.effect_dim)):
            other = names.setdefault(name, group.factor.name)
            if other != group.factor.name:
                raise InputError(
                    f"grouping factors {other!r} and {group.factor.name!r} would share the name {name!r}; rename one"
                )
        other_levels = levels.setdefault(group.dim, group.factor.levels)
        if other_levels != group.factor.levels:
            raise InputError(
                f"{group.factor.name!r} has the levels of a table in one formula and those of the data in another; make a copy of the column "
                "under another name, and use it in one of them"
            )


def _refuse_student_effects(predictors: Sequence[PredictorDesign], described: Mapping[str, Any]) -> None:
    """Refuse Student-t effects that cannot be averaged over: their distribution has no moments of exp(u)."""
    student = [g for g in groups_of(predictors) if g.student]
    if len(student) > 1:
        raise InputError(
            f"Student-t group effects are available for one factor in one predictor, and this model has them "
            f"{len(student)} times; leave dist= out of all but one"
        )
    links = (
        {p: o["link"] for p, o in described["outcomes"].items()}
        if "outcomes" in described
        else {"": described.get("link")}
    )
    for group in student:
        link, term = links.get(group.owners[0]), f'gr({group.factor.name}, dist="student")'
        if link is None:
            raise InputError(
                f"{term} is available in the main predictor, not in that of {group.owners[0]}; leave dist= out"
            )
        if link == "log":
            raise InputError(
                f"{term} is not available with a log link: E exp(u) is infinite for Student-t effects, so that no mean over "
                f"levels of {group.factor.name} exists; leave dist= out"
            )


def _prior_text(parameter: Parameter, chosen: Sequence[Prior]) -> str | dict[str, str]:
    if len(parameter.keys) == 1 or len({str(p) for p in chosen}) == 1:
        return str(chosen[0])
    return {keys[0]: str(prior) for keys, prior in zip(parameter.keys, chosen, strict=True)}
