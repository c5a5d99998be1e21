"""What a builder reads and checks before PyMC is imported. Imports the rooms to its left.

A wrong input is told within a second or two, and nothing is compiled for it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np

from glmm_zoo import priors
from glmm_zoo.errors import InputError, ZooWarning, at_rows, attempt, plural, raise_all
from glmm_zoo.families.families import Outcome
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.group_effects import GroupEffects, GroupingFactor
from glmm_zoo.formulas.names import prefixed, variable_name
from glmm_zoo.formulas.population import spread
from glmm_zoo.formulas.predictor import (
    FEW_LEVELS,
    PredictorDesign,
    check_columns,
    check_groups,
    code_predictor,
    few_levels,
)
from glmm_zoo.formulas.smooths.smooth import Smooth
from glmm_zoo.formulas.terms import Expression, Formula, Response, fixed_formula
from glmm_zoo.priors import Parameter, Prior
from glmm_zoo.tables.columns import Table
from glmm_zoo.tables.frames import Missing, take_columns

# ---------------------------------------------------------------------------------------------------- group structure


@dataclass(frozen=True)
class Group:
    """The effects of one factor, over one or more predictors: what `sd_<g>`, `corr_<g>` and `u_<g>` describe.

    Column k of the effects enters predictor `owners[k]` with covariate `z[k]` (n,); `codes` (n,) has the level of each
    of a predictor's rows, by its prefix.
    """

    prefix: str
    factor: GroupingFactor
    labels: tuple[str, ...]
    blocks: tuple[tuple[int, ...], ...]
    owners: tuple[str, ...]
    z: tuple[np.ndarray, ...]
    spreads: tuple[float, ...]
    codes: Mapping[str, np.ndarray]

    @property
    def dim(self) -> str:
        return variable_name(self.factor.name)

    def name(self, what: str) -> str:
        return prefixed(self.prefix, f"{what}_{self.dim}")

    @property
    def effect_dim(self) -> str:
        return prefixed(self.prefix, f"{self.dim}_effect")

    @property
    def correlated(self) -> tuple[tuple[int, ...], ...]:
        return tuple(block for block in self.blocks if len(block) > 1)


def groups_of(predictors: Sequence[PredictorDesign]) -> tuple[Group, ...]:
    """Group effects of all predictors; terms on one factor that share a label, `(1 |p| g)`, become one block."""
    families: list[list[tuple[PredictorDesign, GroupEffects]]] = []
    for predictor in predictors:
        for effects in predictor.effects:
            kin = [family for family in families if any(_share_a_label(effects, other) for _, other in family)]
            families = [family for family in families if family not in kin]
            families.append([member for family in kin for member in family] + [(predictor, effects)])
    tied: dict[
        object, list[tuple[PredictorDesign, GroupEffects]]
    ] = {}  # two labels on one factor: two blocks of its effects
    for i, family in enumerate(families):
        tied.setdefault(family[0][1].factor.name if len(family) > 1 else i, []).extend(family)
    main = {family[0][1].factor.name for family in families if family[0][0].prefix == ""}
    return tuple(_merge(family, main) for family in tied.values())


def _share_a_label(a: GroupEffects, b: GroupEffects) -> bool:
    return a.factor.name == b.factor.name and bool(set(a.shared) & set(b.shared) - {None})


def _merge(mates: Sequence[tuple[PredictorDesign, GroupEffects]], main: Collection[str]) -> Group:
    """One block; it goes without a prefix unless its factor has another block in the main predictor (`main`)."""
    labels: list[str] = []
    owners: list[str] = []
    z: list[np.ndarray] = []
    spreads: list[float] = []
    blocks: dict[object, list[int]] = {}
    for predictor, effects in mates:
        start = len(labels)
        foreign = len(mates) > 1 and predictor.prefix
        labels += [f"{predictor.prefix}:{label}" if foreign else label for label in effects.labels]
        owners += [predictor.prefix] * len(effects.labels)
        z += [effects.z[:, k] for k in range(effects.z.shape[1])]
        spreads += effects.spreads
        for i, (block, label) in enumerate(zip(effects.blocks, effects.shared, strict=True)):
            blocks.setdefault(label or (predictor.prefix, i), []).extend(start + k for k in block)
    first = mates[0][0].prefix
    prefix = first if len(mates) == 1 or mates[0][1].factor.name in main else ""
    joined = tuple(tuple(b) for b in blocks.values())
    codes = {predictor.prefix: effects.factor.codes for predictor, effects in mates}
    return Group(prefix, mates[0][1].factor, tuple(labels), joined, tuple(owners), tuple(z), tuple(spreads), codes)


def smooth_name(predictor: PredictorDesign, smooth: Smooth, what: str) -> str:
    """`s_x_sd`, or `zi_s_x_sd` for a predictor with the prefix "zi"."""
    return prefixed(predictor.prefix, f"s_{variable_name(smooth.name)}_{what}")


# ------------------------------------------------------------------------------------------------------------- priors


def parameters(
    predictors: Sequence[PredictorDesign],
    location: float,
    scale: float,
    others: Mapping[str, tuple[float, float]] | None = None,
) -> list[Parameter]:
    """What needs a prior: intercepts, coefficients, sds and correlations, with defaults in the unit of the link.

    `location` and `scale` are those of the outcome on the link scale of the main predictor, `others` those of further
    outcomes by prefix; the remaining predictors are logits and logarithms, with location 0 and scale 1.
    """
    given = {"": (location, scale), **(others or {})}
    units = {p.prefix: given.get(p.prefix, (0.0, 1.0)) for p in predictors}
    found = []
    for p in predictors:
        if p.population.intercept:
            default = priors.intercept_default(*units[p.prefix])
            found.append(priors.parameter(prefixed(p.prefix, "Intercept"), "real", default))
        if p.population.labels:
            defaults = priors.beta_defaults(p.population.spreads.tolist(), units[p.prefix][1])
            found.append(priors.coefficients(prefixed(p.prefix, "beta"), p.population.labels, defaults))
        found += [parameter for s in p.smooths for parameter in _of_smooth(p, s, units[p.prefix][1])]
    for g in groups_of(predictors):
        sd, corr = prefixed(g.prefix, "sd"), prefixed(g.prefix, "corr")
        keys = tuple((f"{sd}[{g.factor.name}, {label}]", f"{sd}[{g.factor.name}]", sd) for label in g.labels)
        defaults = tuple(
            priors.sd_default(spread, units[owner][1]) for spread, owner in zip(g.spreads, g.owners, strict=True)
        )
        found.append(Parameter(g.name("sd"), "positive", keys, defaults))
        if g.correlated:
            found.append(
                Parameter(g.name("corr"), "corr", ((f"{corr}[{g.factor.name}]", corr),), (priors.CORR_DEFAULT,))
            )
    return found


def _of_smooth(predictor: PredictorDesign, smooth: Smooth, scale: float) -> list[Parameter]:
    """The sd of each curve and the unpenalised coefficients; a prior on `beta` holds for the latter too, as in brms."""

    def keys(what: str, labels: Sequence[str], *more: str) -> tuple[tuple[str, ...], ...]:
        name, general = smooth_name(predictor, smooth, what), (prefixed(predictor.prefix, f"s_{what}"), *more)
        return tuple((*([f"{name}[{label}]"] if len(labels) > 1 else []), name, *general) for label in labels)

    sds = tuple(priors.sd_default(smooth.spread(c), scale) for c in range(len(smooth.sds)))
    found = [Parameter(smooth_name(predictor, smooth, "sd"), "positive", keys("sd", smooth.sds), sds)]
    if smooth.linear.shape[1]:
        spreads = [float(np.std(column[column != 0])) or spread(column) for column in smooth.linear.T]
        found.append(
            Parameter(
                smooth_name(predictor, smooth, "linear"), "real",
                keys("linear", smooth.linear_labels, prefixed(predictor.prefix, "beta")),
                tuple(priors.beta_defaults(spreads, scale)),
            )
        )  # fmt: skip
    return found


# ---------------------------------------------------------------------------------- one outcome and what is said of it


@dataclass(frozen=True)
class Single:
    """A checked outcome and its predictors: what every single-outcome builder starts from.

    `texts` holds the formula of every predictor by its prefix, "" for the main one, which stands first.
    """

    texts: Mapping[str, str]
    table: Table
    outcome: Outcome
    predictors: tuple[PredictorDesign, ...]
    notes: tuple[str, ...]

    @property
    def main(self) -> PredictorDesign:
        return self.predictors[0]


def single(
    data: Any,
    formula: str,
    read_outcome: Callable[[Table, Response], Outcome],
    *,
    one_per_row: Callable[[Outcome], bool],
    code: Callable[[Formula, Table, str], PredictorDesign] = code_predictor,
    also: Mapping[str, str | None] | None = None,
    units: Mapping[str, str] | None = None,
    exposure: str | None = None,
    columns: Sequence[str] = (),
    missing: Missing = "error",
    clusters: str = "random",
    gaps: bool = False,
) -> Single:
    """Read and check everything a single-outcome model needs, before any graph is built.

    Parameters
    ----------
    read_outcome
        The family's check of the response.
    one_per_row
        Whether the family can tell a group effect for every row from its own variation.
    code
        How right sides are coded, where the intercept is another than usual.
    also
        Further predictors by the prefix of their names, as right sides: `{"zi": "~ x + (1 | g)"}`; None for those that
        are not wanted.
    units
        Predictors about subjects, the levels of a column, and not about rows: `{"never": "id"}`. They are coded on one
        row for each subject, in the order of the levels.
    exposure
        A column > 0 whose logarithm is the offset of the main predictor.
    columns
        Columns that the builder reads itself.
    clusters
        "random" keeps group terms as written, with a warning for factors of fewer than 6 levels; "fixed" writes those
        factors as population terms.
    gaps
        Rows without a response are left out instead of refused.

    Raises
    ------
    InputError
        All problems of formula, data and response together.
    """
    if clusters not in ("random", "fixed"):
        raise InputError(f"clusters must be 'random' or 'fixed', not {clusters!r}")
    units = units or {}
    texts = {"": formula, **{p: t for p, t in (also or {}).items() if t is not None}}
    problems: list[str] = []
    attempted = {p: attempt(lambda p=p, t=t: _parse(p, t), problems) for p, t in texts.items()}
    raise_all(problems)
    parsed = {p: f for p, f in attempted.items() if f is not None}
    response = parsed[""].response
    assert response is not None
    for prefix, f in parsed.items():
        again = [c for c in response.value.columns if prefix and c in f.predictor_columns]
        problems += [f"{prefix}: the response {c!r} is also used as a predictor" for c in again]
    if exposure is not None and not isinstance(exposure, str):
        problems.append(f"exposure is the name of a column, such as 'days', not {type(exposure).__name__}")
    raise_all(problems)
    if exposure is not None and parsed[""].offsets:
        raise InputError(
            f"exposure={exposure!r} and offset({parsed[''].offsets[0].source}) in the formula say the same thing twice; "
            "keep one: the offset is the logarithm of the exposure"
        )
    used = [*(c for f in parsed.values() for c in f.columns), *columns, *([] if exposure is None else [exposure])]
    table = take_columns(data, list(dict.fromkeys(used)), missing, problems, response.value.columns if gaps else ())
    outcome = attempt(lambda: read_outcome(table, response), problems)
    offset = attempt(lambda: log_exposure(table, exposure), problems) if exposure is not None else None
    tables = dict.fromkeys(parsed, table)
    for p, f in parsed.items():
        check_columns(f, table, problems)
        if p in units:
            tables[p] = attempt(lambda p=p, f=f: _one_row_each(table, units[p], f, p), problems) or table
    raise_all(problems)
    assert outcome is not None
    dims = {p: variable_name(units[p]) if p in units else "row" for p in parsed}
    coded = {p: replace(code(f, tables[p], p), dim=dims[p]) for p, f in parsed.items()}
    if offset is not None:
        coded[""] = replace(coded[""], offset=offset)
    single_rows = one_per_row(outcome)
    notes = [*table.notes, *(note for p in coded.values() for note in p.notes)]
    for p in coded.values():
        notes += check_groups([p], p.rows, single_rows and p.prefix == "")
    for p in list(coded):
        few = few_levels([coded[p]])
        if not few:
            continue
        instead = fixed_formula(texts[p], parsed[p], [f.name for f in few]).strip()
        counts = " and ".join(f"{f.name!r} has {len(f.levels)} levels" for f in few)
        if clusters == "fixed":
            notes.append(f"grouping factor {counts}: written as population terms, {instead}")
            texts[p] = instead
            again = code(_parse(p, instead), tables[p], p)
            coded[p] = replace(again, offset=coded[p].offset, dim=dims[p])
        else:
            words = (
                f"grouping factor {counts}; from fewer than {FEW_LEVELS} the variance between them is poorly known and its "
                f"posterior rests on the prior of sd. Without partial pooling the formula is {instead!r}; "
                "clusters='fixed' (--option clusters=fixed) builds that"
            )
            notes.append(words)
            warn(words)
    return Single(texts, table, outcome, tuple(coded.values()), tuple(notes))


def _parse(prefix: str, text: str) -> Formula:
    try:
        return parse_formula(text, response=prefix == "")
    except InputError as err:
        if prefix == "":
            raise
        raise InputError(*(f"{prefix}: {p}" for p in err.problems)) from None


def _one_row_each(table: Table, name: str, formula: Formula, prefix: str) -> Table:
    """The first row of every level of column `name`, in the order of the levels: a formula's columns by subject."""
    codes, levels = table[name].codes_and_levels()
    _, first = np.unique(codes, return_index=True)
    problems = [
        f"{prefix}: ({group.effects_text} |{group.label}| {group.name}) is about subjects and cannot share the label "
        f"{group.label!r} with terms about rows; write ({group.effects_text} | {group.name})"
        for group in formula.groups
        if group.label
    ]
    for column in formula.predictor_columns:
        values, known = table[column].codes_and_levels()
        varies = np.flatnonzero(values != values[first][codes])
        if len(varies):
            pair = np.array([first[codes[varies[0]]], varies[0]])
            problems.append(
                f"column {column!r} varies within subject {levels[codes[varies[0]]]!r} "
                f"({', '.join(known[v] for v in values[pair])}; {at_rows(table.row_numbers[pair])}); "
                f"{prefix}= takes covariates that are constant within a subject"
            )
    raise_all(problems)
    columns = {c: table[c].take(first) for c in formula.predictor_columns}
    return replace(table, columns=columns, rows=len(first), row_numbers=table.row_numbers[first])


def log_exposure(table: Table, name: str) -> np.ndarray:
    """log of a column that must be > 0 (n,)."""
    days = table[name].numbers("exposure")
    bad = np.flatnonzero(~(days > 0))
    if len(bad):
        row = at_rows(table.row_numbers[bad])
        raise InputError(
            f"column {name!r} must be > 0 (exposure); {row} has {days[bad[0]]:g}"
            if len(bad) == 1
            else f"column {name!r} must be > 0 (exposure); {plural(len(bad), 'value')} not ({row}: {days[bad[0]]:g}, ...)",
        )
    return np.log(days)


def remark(part: Single, sentences: Sequence[str]) -> Single:
    """The same with more notes, each of which the user is warned of."""
    for sentence in sentences:
        warn(sentence)
    return replace(part, notes=(*part.notes, *sentences))


def warn(sentence: str) -> None:
    """Tell the user of a builder something to know before trusting the fit."""
    warnings.warn(sentence, ZooWarning, stacklevel=4)


@dataclass(frozen=True)
class Plan:
    """All that a model's graph is built from: every check of the input has been passed.

    `chosen` holds the prior of every element of every parameter, `rows` the number of rows of the likelihood. `unit` is
    the factor of the subjects where the likelihood has one term for each of them and not for each row. `labels` name the
    rows of each outcome by dimension, where there are several outcomes with rows of their own. `scales` are the units
    of the link by prefix, where they are not 1. `also` holds the tables beside the main one by the dimension of their rows.
    """

    spec: Mapping[str, Any]
    table: Table
    predictors: tuple[PredictorDesign, ...]
    chosen: Mapping[str, tuple[Prior, ...]]
    rows: int
    unit: GroupingFactor | None = None
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    also: Mapping[str, Table] = field(default_factory=dict)


def plan(
    builder: str,
    part: Single,
    options: Mapping[str, Any],
    given: Mapping[str, str] | None,
    *,
    link: str,
    links: Mapping[str, str] | None = None,
    latent_variance: float | None = None,
    extra: Sequence[Parameter] = (),
    aspects: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    unit: GroupingFactor | None = None,
) -> Plan:
    """Choose the prior of every parameter and write down what the model is.

    Parameters
    ----------
    link, links
        The main predictor's link, and those of the other predictors by prefix.
    latent_variance
        Variance of the latent error of a binary outcome, for the ICC.
    extra
        The family's own parameters; one that has a predictor, `alpha` beside `alpha_Intercept`, is left out.
    aspects
        What the report looks into beside the estimates: files of `glmm_zoo/aspects`.
    facts
        What those files need to know of the model, JSON-able.
    unit
        The subjects, where the rows of one are independent of each other's only given something that is summed out.
    """
    location = part.outcome.location - offset_level(part.main.offset, link)
    own = [p for p in extra if p.name not in part.texts]
    described = {
        "formula": part.texts[""],
        "formulas": {p: text for p, text in part.texts.items() if p},
        "options": dict(options),
        "outcome": variable_name(part.outcome.name),
        "response": part.outcome.description,
        "link": link,
        "links": {p: of for p, of in (links or {}).items() if p in part.texts},
        "latent_variance": latent_variance,
        "aspects": list(aspects),
        "facts": dict(facts or {}),
        "notes": list(part.notes),
    }
    needed = [*parameters(part.predictors, location, part.outcome.scale), *own]
    spec, chosen = specify(builder, described, part.table, part.predictors, needed, given)
    scales = {"": part.outcome.scale}
    return Plan(spec, part.table, part.predictors, chosen, len(part.outcome.values), unit, scales=scales)


def specify(
    builder: str,
    described: Mapping[str, Any],
    table: Table,
    predictors: tuple[PredictorDesign, ...],
    needed: Sequence[Parameter],
    given: Mapping[str, str] | None,
) -> tuple[dict[str, Any], dict[str, tuple[Prior, ...]]]:
    """The spec of a model, with what is `described` of it, and the prior of every parameter that is `needed`."""
    _refuse_one_name_for_two(predictors)
    chosen = priors.choose(needed, given)
    spec = {
        "builder": builder,
        **described,
        "priors": {p.name: _prior_text(p, chosen[p.name]) for p in needed},
        "groups": {
            prefixed(g.prefix, g.dim): {
                "levels": len(g.factor.levels),
                "effects": list(g.labels),
                "sd": g.name("sd"),
                "u": g.name("u"),
                "effect_dim": g.effect_dim,
                "predictors": list(dict.fromkeys(g.owners)),
            }
            for g in groups_of(predictors)
        },
        "smooths": [_told(p, s) for p in predictors for s in p.smooths],
        "aspects": [*described["aspects"], *(["smooths"] if any(p.smooths for p in predictors) else [])],
        "learnt": {p.prefix: {**p.population.learnt, "means": p.population.means.tolist()} for p in predictors},
        "data": {
            "source": table.source,
            "rows": table.rows,
            "dropped": table.dropped,
            "columns": list(table.columns),
            "sha256": table.sha256(),
        },
    }
    return spec, chosen


def _told(predictor: PredictorDesign, smooth: Smooth) -> dict[str, Any]:
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


def offset_level(offset: np.ndarray | None, link: str) -> float:
    """How much of the outcome's location is due to the offset, so that its unit does not enter the intercept's prior."""
    if offset is None or link not in ("log", "identity"):
        return 0.0
    return float(np.logaddexp.reduce(offset) - np.log(len(offset)) if link == "log" else np.mean(offset))


def _refuse_one_name_for_two(predictors: Sequence[PredictorDesign]) -> None:
    names: dict[str, str] = {}
    for p in predictors:
        for s in p.smooths:
            other = names.setdefault(smooth_name(p, s, "sd"), s.label)
            if other != s.label:
                raise InputError(
                    f"smooths {other} and {s.label} would share the name {smooth_name(p, s, 'sd')!r}; leave one out"
                )
    for group in groups_of(predictors):
        for name in (group.name("u"), group.effect_dim):
            other = names.setdefault(name, group.factor.name)
            if other != group.factor.name:
                raise InputError(
                    f"grouping factors {other!r} and {group.factor.name!r} would share the name {name!r}; rename one"
                )


def _prior_text(parameter: Parameter, chosen: Sequence[Prior]) -> str | dict[str, str]:
    if len(parameter.keys) == 1 or len({str(p) for p in chosen}) == 1:
        return str(chosen[0])
    return {keys[0]: str(prior) for keys, prior in zip(parameter.keys, chosen, strict=True)}
