"""The plan of repeated measures: a Gaussian outcome whose residuals are correlated within subjects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from glmm_zoo.errors import InputError, did_you_mean, listing, raise_all
from glmm_zoo.families.family import OwnParameter
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.plans.plan import Plan
from glmm_zoo.plans.residuals import MOST_VISITS, RESIDUALS, STRUCTURES, Residuals, read_residuals
from glmm_zoo.plans.single_outcome import plan_single_outcome, read_single_outcome
from glmm_zoo.priors import Parameter, sd_default
from glmm_zoo.tables.frames import column_names


def plan_repeated_measures(
    builder: str,
    data: Any,
    formula: str,
    options: Mapping[str, Any],
    given: Mapping[str, str] | None,
) -> Plan:
    """The plan of a Gaussian outcome whose residuals are correlated within subjects, as `options` say: `residual`, `time`, `within`.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors; subjects with two rows at one visit.
    """
    _check_options(data, options)
    columns = [options["time"], options["within"]]
    single = read_single_outcome(data, formula, FAMILIES["gaussian"], options, columns)
    residuals = read_residuals(single, options)
    if residuals.by_visit:
        (sigma,) = single.family.own
        single = replace(single, family=replace(single.family, own=(_by_visit(sigma, residuals),)))
    few = len(residuals.visits) <= MOST_VISITS
    plan = plan_single_outcome(
        builder,
        single,
        options,
        given,
        extra=[STRUCTURES[residuals.structure].parameter(len(residuals.visits))],
        findings=("residuals",),
        facts={
            **({"visits": list(residuals.visits), "times": residuals.times.tolist()} if few else {}),
            "visit": residuals.dim,
            "sds_by_visit": residuals.by_visit,
            "subjects": len(residuals.subjects.levels),
            "subject": variable_name(options["within"]),
        },
        unit=residuals.subjects,
    )
    return replace(plan, residuals=residuals)


def _check_options(data: Any, options: Mapping[str, Any]) -> None:
    residual, known = options["residual"], column_names(data)
    if residual not in RESIDUALS:
        raise InputError(
            f"unknown residual {residual!r}{did_you_mean(str(residual), RESIDUALS) or ';'} known: {listing(RESIDUALS)}"
        )
    meaning = {"time": "the visits", "within": "the subjects whose residuals are correlated"}
    raise_all(
        [
            f"residual={residual!r} needs {option}=, the column of {words} (--option {option}=NAME); columns: {listing(known)}"
            if options[option] is None
            else f"{option}={options[option]!r} is no column of the data{did_you_mean(str(options[option]), known) or ';'} columns: {listing(known)}"
            for option, words in meaning.items()
            if options[option] not in known
        ]
    )


def _by_visit(sigma: OwnParameter, residuals: Residuals) -> OwnParameter:
    """The residual sd of every visit, each with the default prior of one for all."""

    def default(outcome: Outcome) -> Parameter:
        keys = tuple((f"sigma[{visit}]", "sigma") for visit in residuals.visits)
        return Parameter("sigma", "positive", keys, (sd_default(1.0, outcome.scale),) * len(keys))

    return replace(sigma, default=default)
