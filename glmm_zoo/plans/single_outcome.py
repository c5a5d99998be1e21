"""The plan of a model of one outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.families.family import Family
from glmm_zoo.families.registry import checked_link
from glmm_zoo.formulas.group_effects import GroupingFactor
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.terms import Expression
from glmm_zoo.plans.missing_covariates import MissingCovariate, describe_covariates, parameters_of_covariates
from glmm_zoo.plans.parameters import predictor_parameters, with_keys_for_all
from glmm_zoo.plans.plan import Plan, PlannedOutcome, offset_level, write_spec
from glmm_zoo.plans.reading import SingleOutcome, read_outcome
from glmm_zoo.priors import Parameter


def read_single_outcome(
    data: Any,
    formula: str,
    family: Family,
    options: Mapping[str, Any],
    columns: Sequence[str] = (),
    *,
    partly: bool = False,
) -> SingleOutcome:
    """Read and check an outcome of this family, and tell the user what to know before trusting the fit.

    `options` are what the user chose, by the builder's keywords: `exposure`, `weights`, `missing`, `clusters`, `link`, the keywords that
    give the family's own parameters linear predictors (`zi`, `dispersion`), and its choice (`success`, `levels`, `reference`). `columns` are those that the builder reads
    itself, `partly` says whether the response may be seen in part.

    Raises
    ------
    InputError
        All problems of formula, data and response together.
    """
    checked_link(family, options.get("link", family.links[0]))
    return read_outcome(
        data,
        formula,
        family,
        choice=options.get(family.choice or ""),
        also={parameter: options[option] for option, parameter in family.options.items() if option in options},
        exposure=options.get("exposure"),
        columns=columns,
        missing=options["missing"],
        clusters=options["clusters"],
        partly=partly,
        weights=options.get("weights"),
        impute=options.get("impute") or {},
    )


def plan_single_outcome(
    builder: str,
    single: SingleOutcome,
    options: Mapping[str, Any],
    given: Mapping[str, str] | None,
    *,
    extra: Sequence[Parameter] = (),
    links: Mapping[str, str] | None = None,
    findings: Sequence[str] | None = None,
    facts: Mapping[str, Any] | None = None,
    unit: GroupingFactor | None = None,
) -> Plan:
    """Choose the prior of every parameter and write down what the model is.

    Parameters
    ----------
    options
        What the user chose, by the builder's keywords; they are stored with the fit.
    given
        The user's priors as text.
    extra
        Parameters of the builder's own beside those of linear predictors and family.
    links
        Links of linear predictors of the builder's own, by prefix.
    findings
        What the report looks into beside the estimates, files of `results/findings`; by default the family's.
    facts
        What those files need to know of the model, JSON-able; by default what rates are for, where the family has rates.
    unit
        The subjects, where the rows of one are independent of each other's only given something that is summed out.
    """
    family, outcome = single.family, single.outcome
    link = checked_link(family, options.get("link", family.links[0]))
    if facts is None and family.counted is not None:
        facts = rates(options["exposure"], options["per"], single.main.formula.offsets, family.counted)
    described = {
        "formula": single.texts[""],
        "formulas": {p: text for p, text in single.texts.items() if p},
        "options": dict(options),
        "outcome": variable_name(outcome.name),
        "family": family.name,
        "bounds": family.described_bounds,
        "response": outcome.description,
        "levels": list(outcome.levels),
        "link": link,
        "links": {
            **{p: scale for p, scale in {**family.scales, **(links or {})}.items() if p in single.texts},
            **{of: link for of in family.predictors(outcome) if of},
            **{c.prefix: "identity" for c in single.covariates},
        },
        "latent_variance": family.latent_variance(link),
        "aspects": list(family.findings if findings is None else findings),
        "facts": dict(facts or {}),
        "notes": list(single.notes),
    }
    of_offset = offset_level(single.main.offset, link)
    main = sorted(family.predictors(outcome), key=len, reverse=True)
    others = {name: (at - of_offset * (name in main), 1.0) for name, at in family.locations(outcome).items()}
    own = family.parameters(outcome, single.texts)
    location = outcome.location - of_offset
    needed = [*predictor_parameters(single.predictors, location, outcome.scale, others), *extra, *own]
    needed = [*(with_keys_for_all(p, main) for p in needed), *parameters_of_covariates(single.covariates)]
    described |= {"covariates": describe_covariates(single.covariates)} if single.covariates else {}
    predictors = (*single.predictors, *(c.main for c in single.covariates))
    spec, chosen = write_spec(builder, described, single.table, predictors, needed, given)
    planned = PlannedOutcome(
        variable_name(outcome.name), "", family, link, outcome, single.main, np.arange(len(outcome.values))
    )
    return Plan(
        spec,
        single.table,
        predictors,
        chosen,
        len(outcome.values),
        (planned,),
        center=options.get("center", True),
        unit=unit,
        labels=_labels_of_rows(len(outcome.values), single.covariates),
        scales={"": outcome.scale, **{c.prefix: c.outcome.scale for c in single.covariates}},
        covariates=single.covariates,
    )


def _labels_of_rows(rows: int, covariates: Sequence[MissingCovariate]) -> dict[str, np.ndarray]:
    """The rows of the outcome, and of each covariate those that have a value and those that have none, which are numbered as in the data."""
    if not covariates:
        return {}
    of_covariates = {dim: of for c in covariates for dim, of in ((c.main.dim, c.observed), (c.gaps.dim, c.missing))}
    return {"row": np.arange(rows), **of_covariates}


def plan_of_family(
    builder: str,
    family: Family,
    data: Any,
    formula: str,
    options: Mapping[str, Any],
    given: Mapping[str, str] | None,
) -> Plan:
    """The plan of a model that has nothing beside its family and its linear predictors."""
    single = read_single_outcome(data, formula, family, options, partly=True)
    return plan_single_outcome(builder, single, options, given)


def rates(
    exposure: str | None, per: float, offsets: Sequence[Expression] = (), of: str = "expected count"
) -> dict[str, Any]:
    """What the report needs to know to give rates for `per` units of exposure; `of` says what is counted.

    The exposure of offset(log(days)) is days.
    """
    if isinstance(per, bool) or not isinstance(per, Real) or not 0 < per < np.inf:
        raise InputError(f"per must be a number > 0, the units of exposure that rates are for, not {per!r}")
    if exposure is None and offsets:
        log = " + ".join(o.source for o in offsets)
        exposure = log[4:-1].strip("`") if re.fullmatch(r"log\([^()]*\)", log) else f"exp({log})"
    return {"exposure": exposure, "per": float(per), "of": of}
