"""The plan of several outcomes of one model, each with a family, a formula and rows of its own.

Outcome m has y_mi ~ F_m(eta_mi), i over the rows that have a value of it, and

    eta_mi = Intercept_m + x_mi' beta_m + sum_g z_mgi' u_mg[level of row i]

Terms on factor g with the same label, (1 |p| g), have effects u_g[level] = (u_1g, u_2g, ...) ~ Normal(0, S_g), all
correlated; other effects are independent between outcomes. Given the effects the outcomes are independent, but for two
Gaussian ones with correlated residuals. Every variable of outcome m is prefixed with its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, attempt, did_you_mean, listing, raise_all
from glmm_zoo.families.family import Family
from glmm_zoo.families.registry import family_and_link
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.group_effects import GroupEffects
from glmm_zoo.formulas.names import prefix_within, prefixed, variable_name
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.terms import Formula
from glmm_zoo.plans.parameters import predictor_parameters, with_keys_for_all
from glmm_zoo.plans.plan import Plan, PlannedOutcome, offset_level, write_spec
from glmm_zoo.plans.reading import SingleOutcome, read_outcome
from glmm_zoo.plans.residuals import RESIDUAL
from glmm_zoo.plans.shared_levels import with_all_levels
from glmm_zoo.priors import CORR_DEFAULT, Parameter, beta_defaults, parameter
from glmm_zoo.tables.columns import Table, merge_tables
from glmm_zoo.tables.frames import Missing

OPTIONS_BY_RESPONSE = ("zi", "zoi", "coi", "dispersion", "disc", "success", "levels", "reference", "bounds")


# ------------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class JointOutcomes:
    """The outcomes of a model, read and checked, with all their linear predictors.

    `texts` holds the formula of every predictor by its prefix, `links` the links of those beside the main ones. `loaded`
    has the term of each outcome that has the effects of the outcome `anchor` times a loading in its place.
    """

    parts: tuple[PlannedOutcome, ...]
    predictors: tuple[PredictorDesign, ...]
    texts: Mapping[str, str]
    links: Mapping[str, str]
    table: Table
    notes: tuple[str, ...]
    residual: tuple[PlannedOutcome, ...] = ()
    loaded: Mapping[str, GroupEffects] = field(default_factory=dict)
    anchor: str = ""

    @property
    def effect(self) -> str:
        """The variable of the effects that are loaded."""
        return next((prefixed(self.anchor, f"u_{variable_name(e.factor.name)}") for e in self.loaded.values()), "")


def formula_family_pairs(formulas: Any, families: Any = None) -> list[tuple[str, str]]:
    """(formula, family) of every outcome, from `{formula: family}`, pairs, or formulas and families in step."""
    if isinstance(formulas, Mapping):
        formulas, given = list(formulas), list(formulas.values())
    elif isinstance(formulas, str):
        formulas, given = [formulas], []
    elif isinstance(formulas, Sequence) and all(isinstance(f, tuple | list) and len(f) == 2 for f in formulas):
        formulas, given = [f[0] for f in formulas], [f[1] for f in formulas]
    elif isinstance(formulas, Sequence):
        formulas, given = list(formulas), []
    else:
        raise InputError(
            "formulas is {formula: family}, or (formula, family) pairs, such as "
            f"{{'ill ~ x + (1 |p| id)': 'bernoulli'}}, not {type(formulas).__name__}"
        )
    if given and families is not None:
        raise InputError("families are given with the formulas and by families=; keep one")
    if not given:
        given = [name.strip() for name in families.split(",")] if isinstance(families, str) else list(families or [])
    if len(given) != len(formulas) or not given:
        raise InputError(
            f"{len(formulas)} formula{'s' * (len(formulas) != 1)} and {len(given)} famil{'y' if len(given) == 1 else 'ies'}; "
            "give one family for each formula, in their order: --option families=bernoulli,negative_binomial"
        )
    return list(zip(formulas, given, strict=True))


def read_joint_outcomes(
    data: Any,
    pairs: Sequence[tuple[str, str]],
    *,
    choices: Mapping[str, Mapping[str, Any] | None] | None = None,
    residual_correlation: bool = False,
    shared: str = "correlation",
    missing: Missing = "error",
    clusters: str = "random",
    columns: Sequence[str] = (),
    bare: bool = False,
) -> JointOutcomes:
    """Read and check all outcomes before any graph is built.

    Parameters
    ----------
    pairs
        (formula, family) of every outcome.
    choices
        By option of `OPTIONS_BY_RESPONSE`, what is said of an outcome, by the name of its response.
    residual_correlation
        Whether the residuals of two Gaussian outcomes are correlated.
    shared
        "correlation": effects with one label correlate; "loading": they are one effect times a loading.
    missing, clusters, columns
        As in `reading.read_outcome`; a missing response is no fault, it leaves the row out for that outcome.
    bare
        Whether the variables of an only outcome go without its name.

    Raises
    ------
    InputError
        All problems of one outcome's formula and response, or of all outcomes' data, together.
    """
    if shared not in ("correlation", "loading"):
        raise InputError(f"shared must be 'correlation' or 'loading', not {shared!r}")
    requested = _request(pairs, choices or {})
    problems: list[str] = []
    attempts = [
        attempt(lambda one=one: _read_one(data, one, missing, clusters, columns), problems) for one in requested
    ]
    raise_all(problems)
    singles = [single for single in attempts if single]
    parts, formulas, links = [], {}, {}
    predictors: list[tuple[PredictorDesign, Table]] = []
    for one, single in zip(requested, singles, strict=True):
        prefix, dim = ("", "row") if bare and len(requested) == 1 else (one.name, f"{one.name}_row")
        own = [replace(p, prefix=prefix_within(prefix, p.prefix), dim=dim) for p in single.predictors]
        predictors += [(p, single.table) for p in own]
        formulas |= {prefix_within(prefix, p): text for p, text in single.texts.items()}
        links |= {prefixed(prefix, p): link for p, link in one.family.scales.items() if p in single.texts}
        outcome = replace(single.outcome, dim=dim)
        rows = single.table.row_numbers
        parts.append(PlannedOutcome(one.name, prefix, single.family, one.link, outcome, own[0], rows))
    _refuse_one_name_for_two([p for p, _ in predictors], [p.outcome.dim for p in parts], residual_correlation)
    notes = dict.fromkeys(note for single in singles for note in single.notes)
    joint = JointOutcomes(
        tuple(parts), with_all_levels(predictors), formulas, links, merge_tables([s.table for s in singles]), tuple(notes),
        _gaussian_pair(parts) if residual_correlation else (),
    )  # fmt: skip
    return _with_loadings(joint) if shared == "loading" else joint


@dataclass(frozen=True)
class _RequestedOutcome:
    """What a user asked for one outcome: `text` is its formula, `chosen` what options say of it, by option."""

    name: str
    text: str
    formula: Formula
    family: Family
    link: str
    chosen: dict[str, Any] = field(default_factory=dict)


def _request(
    pairs: Sequence[tuple[str, str]], choices: Mapping[str, Mapping[str, Any] | None]
) -> list[_RequestedOutcome]:
    """Parse formulas and families, and give every outcome the options that name it."""
    problems: list[str] = []
    attempts = [attempt(lambda t=text, f=of: (parse_formula(t), *family_and_link(f)), problems) for text, of in pairs]
    raise_all(problems)
    requested: dict[str, _RequestedOutcome] = {}
    names: dict[str, str] = {}
    responses: dict[str, str] = {}
    for (text, _), parsed in zip(pairs, attempts, strict=True):
        assert parsed is not None and parsed[0].response is not None
        response = parsed[0].response.value
        name = variable_name(response.text if response.kind == "column" else re.sub(r"\W", "", response.text))
        if name in requested:
            raise InputError(
                f"response {response.text!r} stands in two formulas; an outcome has one formula, with all its terms"
            )
        requested[name], names[response.text] = _RequestedOutcome(name, text, *parsed), name
        responses |= dict.fromkeys(response.columns, name)
    for one in requested.values():
        problems += [
            f"the response {c!r} is a predictor of {one.name!r}: outcomes are tied by their group effects; for the effect of "
            "an earlier value make a column of its own"
            for c in one.formula.predictor_columns
            if c in responses
        ]
    for option, by_response in choices.items():
        if by_response is not None and not isinstance(by_response, Mapping):
            problems.append(
                f"{option} says it by response, such as {option}={{{next(iter(names))!r}: ...}}, not {by_response!r}"
            )
            continue
        for response, value in (by_response or {}).items():
            one = requested.get(names.get(str(response), str(response)))
            if one is None:
                near = did_you_mean(str(response), names) or ";"
                problems.append(f"{option}: no response {response!r}{near} responses: {listing(names)}")
            elif option not in one.family.options and option != one.family.choice:
                problems.append(f"{option}: family {one.family.name!r} of {one.name!r} has none")
            else:
                one.chosen[option] = value
    raise_all(problems)
    return list(requested.values())


def _read_one(
    data: Any, requested: _RequestedOutcome, missing: Missing, clusters: str, columns: Sequence[str]
) -> SingleOutcome:
    family, chosen = requested.family, requested.chosen
    response = requested.formula.response
    if response is not None and response.bounds is not None:
        raise InputError(
            f"trunc() is for models of one outcome, and {requested.name!r} is one of several or a marker; cens() is there for it too"
        )
    single = read_outcome(
        data,
        requested.text,
        family,
        choice=chosen.get(family.choice or ""),
        also={family.options[option]: text for option, text in chosen.items() if option in family.options},
        columns=columns,
        missing=missing,
        clusters=clusters,
        gaps=True,
        partly=True,
    )
    processes = [g.source for p in single.predictors for g in p.formula.groups if g.process]
    if processes:
        raise InputError(
            f"{processes[0]} stands in models of one outcome, such as poisson; with several outcomes, or an event, write a slope of time "
            "by subject or a curve, s(time)"
        )
    return single


def _refuse_one_name_for_two(predictors: Sequence[PredictorDesign], dims: Sequence[str], residual: bool) -> None:
    prefixes = [p.prefix for p in predictors]
    taken = {*dims, *([RESIDUAL] if residual else [])}
    factors = {e.factor.name for p in predictors for e in p.effects}
    twice = {p for p in prefixes if prefixes.count(p) > 1} | (factors & taken)
    raise_all([f"two things would share the name {name!r}; rename a column" for name in sorted(twice)])


def _gaussian_pair(parts: Sequence[PlannedOutcome]) -> tuple[PlannedOutcome, ...]:
    pair = tuple(p for p in parts if p.family.name == "gaussian")
    if len(pair) != 2:
        raise InputError(
            f"residual_correlation ties two Gaussian outcomes; there {'is' if len(pair) == 1 else 'are'} {len(pair)}"
        )
    for part in pair:
        if part.family.bounds is not None:
            raise InputError(
                f"residual_correlation ties outcomes that are seen; leave it out, or the cens() of {part.name!r}"
            )
    if len(np.intersect1d(pair[0].rows, pair[1].rows)) < 3:
        raise InputError(
            f"residual_correlation needs rows with both {pair[0].name!r} and {pair[1].name!r}; fewer than 3 rows have both"
        )
    return pair


def _with_loadings(joint: JointOutcomes) -> JointOutcomes:
    """The effects of one label as one effect, the first outcome's, which the others have times a loading."""
    names = {part.name for part in joint.parts}
    labelled = {p.prefix: e for p in joint.predictors for e in p.effects if any(e.shared)}
    kinds = {(e.factor.name, e.shared, e.labels) for e in labelled.values()}
    if (
        len(labelled) < 2
        or len(kinds) != 1
        or any(e.factor.shares is not None for e in labelled.values())
        or not names.issuperset(labelled)
        or ("Intercept",) not in {k[2] for k in kinds}
    ):
        raise InputError(
            "shared='loading' has one subject effect: write the term (1 |p| id), with the same label and factor, in two "
            "outcomes or more, with no other effect of that factor there"
        )
    first, *others = labelled
    kept = [
        replace(p, effects=tuple(e for e in p.effects if e is not labelled[p.prefix])) if p.prefix in others else p
        for p in joint.predictors
    ]
    return replace(joint, predictors=tuple(kept), loaded={p: labelled[p] for p in others}, anchor=first)


# --------------------------------------------------------------------------------------------------------------- plan


def plan_joint_outcomes(
    builder: str,
    joint: JointOutcomes,
    options: Mapping[str, Any],
    given: Mapping[str, str] | None,
    *,
    findings: Sequence[str] = (),
    extra: Sequence[Parameter] = (),
    more: Mapping[str, Any] | None = None,
) -> Plan:
    """Choose the prior of every parameter and write down what the model is.

    `findings` are what the report looks into beside the estimates, `extra` parameters of other parts of the model, `more` what
    the spec says of those. A key without an outcome's name, `beta` or `alpha`, holds for all outcomes that are given no
    narrower one.
    """
    parts = joint.parts
    units = {
        prefix: (p.outcome.location - offset_level(p.main.offset, p.link), p.outcome.scale)
        for p in parts for prefix in p.predictors
    }  # fmt: skip
    others = {prefixed(p.prefix, name): (at, 1.0) for p in parts for name, at in p.family.locations(p.outcome).items()}
    needed = predictor_parameters(joint.predictors, 0.0, 1.0, {**units, **others})
    for part in parts:
        predicted = [own.name for own in part.family.own if prefixed(part.prefix, own.name) in joint.texts]
        needed += [_with_prefix(p, part.prefix) for p in part.family.parameters(part.outcome, predicted)]
    for name in joint.loaded:
        (default,) = beta_defaults([units[joint.anchor][1]], units[name][1])
        needed.append(parameter(prefixed(name, "loading"), "real", default))
    if joint.residual:
        needed.append(Parameter(f"corr_{RESIDUAL}", "corr", ((f"corr[{RESIDUAL}]", "corr"),), (CORR_DEFAULT,)))
    names = [p.prefix for p in parts]
    described = {
        "formula": "; ".join(joint.texts[p.prefix] for p in parts),
        "formulas": {p: text for p, text in joint.texts.items() if p not in names},
        "options": dict(options),
        "outcomes": {p.prefix: _describe_outcome(p) for p in parts},
        "links": {**joint.links, **{prefix: p.link for p in parts for prefix in p.predictors if prefix != p.prefix}},
        "aspects": list(findings),
        "facts": {
            "means": _covariate_means(joint.predictors),
            "rows": _rows_by_level(joint),
            "loaded": {"effect": joint.effect, "outcomes": list(joint.loaded)},
        },
        "notes": list(joint.notes),
    } | dict(more or {})
    names = sorted((name for p in parts for name in p.predictors), key=len, reverse=True)
    needed = [*(with_keys_for_all(p, names) for p in needed), *extra]
    spec, chosen = write_spec(builder, described, joint.table, joint.predictors, needed, given)
    return Plan(
        spec, joint.table, joint.predictors, chosen, sum(len(p.rows) for p in parts), parts,
        center=options.get("center", True),
        labels={p.outcome.dim: p.rows for p in parts}, scales={p.prefix: p.outcome.scale for p in parts},
        loadings=joint.loaded, loaded_effect=joint.effect, residual_pair=joint.residual,
    )  # fmt: skip


def _describe_outcome(part: PlannedOutcome) -> dict[str, Any]:
    """What the report needs to know of an outcome."""
    return {
        "family": part.family.name,
        "bounds": part.family.described_bounds,
        "link": part.link,
        "response": part.outcome.description,
        "levels": list(part.outcome.levels),
        "latent_variance": part.family.latent_variance(part.link),
    }


def _covariate_means(predictors: Sequence[PredictorDesign]) -> dict[str, dict[str, list[float]]]:
    """Means of the covariates of every predictor's group effects, by factor, in the order of the effects."""
    return {p.prefix: {variable_name(e.factor.name): e.z.mean(axis=0).tolist() for e in p.effects} for p in predictors}


def _rows_by_level(joint: JointOutcomes) -> dict[str, dict[str, list[int]]]:
    """How many rows of an outcome the levels of each factor have."""
    by_predictor: dict[str, dict[str, list[int]]] = {}
    for p in joint.predictors:
        effects = [*p.effects, *(e for name, e in joint.loaded.items() if name == p.prefix)]
        by_predictor[p.prefix] = {variable_name(e.factor.name): e.factor.rows_by_level.tolist() for e in effects}
    return by_predictor


def _with_prefix(parameter: Parameter, name: str) -> Parameter:
    """The parameter of one outcome: `severity_alpha`."""
    keys = tuple(tuple(prefixed(name, key) for key in keys) for keys in parameter.keys)
    return replace(parameter, name=prefixed(name, parameter.name), keys=keys)
