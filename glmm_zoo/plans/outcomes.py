"""Several outcomes of one model, each with a family, a formula and rows of its own. Imports the rooms to its left;
PyTensor and PyMC when a graph is built.

Outcome m has y_mi ~ F_m(eta_mi), i over the rows that have a value of it, and

    eta_mi = Intercept_m + x_mi' beta_m + sum_g z_mgi' u_mg[level of row i]

Terms on factor g with the same label, (1 |p| g), have effects u_g[level] = (u_1g, u_2g, ...) ~ Normal(0, S_g), all
correlated; other effects are independent between outcomes. Given the effects the outcomes are independent, but for two
Gaussian ones with correlated residuals. Every variable of outcome m is prefixed with its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError, attempt, did_you_mean, listing, raise_all
from glmm_zoo.families import counts, families, ordinal
from glmm_zoo.families.families import Outcome, Tensor
from glmm_zoo.formulas.design import Columns, Effects, Predictor, factor
from glmm_zoo.formulas.design import predictor as code_predictor
from glmm_zoo.formulas.grammar import Formula, Response, parse
from glmm_zoo.plans import intake
from glmm_zoo.plans.intake import Plan, Single, named, safe
from glmm_zoo.priors import CORR_DEFAULT, Parameter, beta_defaults, parameter, sd_default
from glmm_zoo.tables.data import Missing, Table, joined

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

RESIDUAL = "residual"  # what corr_residual is named after


# ------------------------------------------------------------------------------------------------------------ families


@dataclass(frozen=True)
class Family:
    """One family of the zoo as an outcome of several.

    `read(table, response, choice)` checks the response, `choice` what the user said of it beside the formula; `own` are
    the family's parameters; `parts` the predictors it may have beside the main one, with their links; `observe(model,
    part, etas, center)` adds the likelihood; `doubts` are sentences to know before trusting the fit. `choices` names the
    options that concern it.
    """

    link: str
    read: Callable[[Table, Response, Any], Outcome]
    observe: Callable[[Model, Part, Mapping[str, Tensor], bool], None]
    own: Callable[[Outcome], Sequence[Parameter]] = lambda _: ()
    parts: Mapping[str, str] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    code: Callable[..., Predictor] = code_predictor
    one_per_row: Callable[[Outcome], bool] = lambda _: False
    doubts: Callable[[Outcome, Columns], Sequence[str]] = lambda _, __: ()
    latent: bool = False  # whether a latent variable is cut, whose variance is the link's


@dataclass(frozen=True)
class Part:
    """One outcome, checked: its name, the prefix of its variables, and its main predictor.

    The prefix is its name, or "" for an only outcome whose variables have none. `rows` (n,) are the numbers of its rows in
    the data, from 0.
    """

    name: str
    prefix: str
    family: Family
    family_name: str
    link: str
    outcome: Outcome
    main: Predictor
    rows: np.ndarray


def _observe_gaussian(model: Model, part: Part, etas: Mapping[str, Tensor], _: bool) -> None:
    from glmm_zoo.graph.variables import variable

    sigma = variable(model, named(part.prefix, "sigma"))
    families.gaussian(part.name, etas[part.prefix], sigma, part.outcome)


def _observe_binomial(_: Model, part: Part, etas: Mapping[str, Tensor], __: bool) -> None:
    families.binomial(part.name, etas[part.prefix], part.outcome, families.link(part.link))


def _read_bernoulli(table: Table, response: Response, success: Any) -> Outcome:
    if response.trials is not None:
        raise InputError("family 'bernoulli' has one trial in each row; with trials(n) it is 'binomial'")
    return families.binomial_outcome(table, response, success)


def _many_trials(outcome: Outcome) -> bool:
    return outcome.trials is not None and bool((outcome.trials > 1).any())


def _read_count(table: Table, response: Response, _: Any) -> Outcome:
    return counts.count_outcome(table, response)


def _counts(count: counts.Count, observe: Callable[..., None] = counts.observe) -> Family:
    sized = count is counts.NEGATIVE_BINOMIAL
    zeros = observe is not counts.observe

    def add(model: Model, part: Part, etas: Mapping[str, Tensor], _: bool) -> None:
        from glmm_zoo.graph.variables import log_positive, logit_share

        share = [logit_share(model, named(part.prefix, "zi"), etas)] if zeros else []
        size = [log_positive(model, named(part.prefix, "alpha"), etas)] if sized else []
        observe(part.name, count, part.outcome, *share, etas[part.prefix], *size)

    own = [*([counts.probability("zi")] if zeros else []), *([counts.ALPHA] if sized else [])]
    return Family(
        "log",
        _read_count,
        add,
        own=lambda _: own,
        parts={**({"zi": "logit"} if zeros else {}), **({"alpha": "log"} if sized else {})},
        one_per_row=lambda _: True,
        doubts=lambda outcome, _: counts.without_zeros(outcome) if zeros else (),
    )


def _ordered(name: str) -> Family:
    def read(table: Table, response: Response, levels: Any) -> Outcome:
        return ordinal.ordered_outcome(table, response, ordinal.level_names(levels))

    def add(model: Model, part: Part, etas: Mapping[str, Tensor], center: bool) -> None:
        kind, outcome = ordinal.family(name, part.link), part.outcome
        start = ordinal.start(outcome) if kind.cumulative else None
        labels = [f"{a}|{b}" for a, b in pairwise(outcome.levels)]
        from glmm_zoo.graph.cutpoints import cutpoints as thresholds

        cutpoints = thresholds(model, part.main, labels, start, center=center)
        pattern = np.zeros(len(outcome.values), int)
        ordinal.observe(
            part.name, kind, outcome, families.link(part.link), etas[part.prefix], ordinal.steps(cutpoints), pattern
        )

    return Family(
        "logit", read, add, own=lambda _: [ordinal.CUTPOINTS], choices=("levels",), code=ordinal.predictor,
        latent=ordinal.FAMILIES[name].cumulative,
    )  # fmt: skip


def _binary(read: Callable[[Table, Response, Any], Outcome]) -> Family:
    return Family(
        "logit", read, _observe_binomial, choices=("success",), one_per_row=_many_trials, latent=True,
        doubts=lambda outcome, columns: families.separated(outcome, columns.values, columns.labels),
    )  # fmt: skip


FAMILIES: Mapping[str, Family] = {
    "gaussian": Family(
        "identity",
        lambda table, response, _: families.gaussian_outcome(table, response),
        _observe_gaussian,
        own=lambda outcome: [parameter("sigma", "positive", sd_default(1.0, outcome.scale))],
    ),
    "bernoulli": _binary(_read_bernoulli),
    "binomial": _binary(families.binomial_outcome),
    "poisson": _counts(counts.POISSON),
    "negative_binomial": _counts(counts.NEGATIVE_BINOMIAL),
    "zero_inflated_poisson": _counts(counts.POISSON, counts.observe_zero_inflated),
    "zero_inflated_negative_binomial": _counts(counts.NEGATIVE_BINOMIAL, counts.observe_zero_inflated),
    "hurdle_poisson": _counts(counts.POISSON, counts.observe_hurdle),
    "hurdle_negative_binomial": _counts(counts.NEGATIVE_BINOMIAL, counts.observe_hurdle),
    "ordinal": _ordered("cumulative"),
    "sratio": _ordered("sratio"),
    "acat": _ordered("acat"),
}
SHORT = {
    "nb": "negative_binomial", "zip": "zero_inflated_poisson", "zinb": "zero_inflated_negative_binomial",
    "cumulative": "ordinal",
}  # fmt: skip
OPTIONS = {"zi": "zi", "dispersion": "alpha"}  # whose values are right sides, and the predictors they write


def family(text: str) -> tuple[str, Family, str]:
    """Name, family and link of text such as "poisson" or "bernoulli(probit)".

    Raises
    ------
    InputError
        Unknown families and links.
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:\(\s*(?:link\s*=\s*)?['\"]?(\w+)['\"]?\s*\))?\s*", str(text))
    name = SHORT.get(match[1], match[1]) if match else str(text)
    if match is None or name not in FAMILIES:
        raise InputError(f"unknown family {text!r}{did_you_mean(name, FAMILIES) or ';'} known: {listing(FAMILIES, 99)}")
    found, link = FAMILIES[name], match[2] or FAMILIES[name].link
    if link != found.link and found.link != "logit":
        raise InputError(f"family {name!r} has the {found.link} link, not {link!r}")
    if found.link == "logit":
        families.link(link)
        if name == "acat":
            ordinal.family(name, link)
    return name, found, link


# ------------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Joint:
    """The outcomes of a model, checked, with all their predictors.

    `texts` holds the formula of every predictor by its prefix, `links` the links of those beside the main ones. `loaded`
    has the term of each outcome that has the effects of the outcome `anchor` times a loading in its place.
    """

    parts: tuple[Part, ...]
    predictors: tuple[Predictor, ...]
    texts: Mapping[str, str]
    links: Mapping[str, str]
    table: Table
    notes: tuple[str, ...]
    residual: tuple[Part, ...] = ()
    loaded: Mapping[str, Effects] = field(default_factory=dict)
    anchor: str = ""

    @property
    def effect(self) -> str:
        """The variable of the effects that are loaded."""
        return next((named(self.anchor, f"u_{safe(e.factor.name)}") for e in self.loaded.values()), "")


def in_pairs(formulas: Any, families: Any = None) -> list[tuple[str, str]]:
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
        given = families.split(",") if isinstance(families, str) else list(families or [])
    if len(given) != len(formulas) or not given:
        raise InputError(
            f"{len(formulas)} formula{'s' * (len(formulas) != 1)} and {len(given)} famil{'y' if len(given) == 1 else 'ies'}; "
            "give one family for each formula, in their order: --option families=bernoulli,negative_binomial"
        )
    return list(zip(formulas, given, strict=True))


def read(
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
) -> Joint:
    """Read and check all outcomes before any graph is built.

    Parameters
    ----------
    pairs
        (formula, family) of every outcome.
    choices
        By option, "zi", "dispersion", "success", "levels", what is said of an outcome, by the name of its response.
    residual_correlation
        Whether the residuals of two Gaussian outcomes are correlated.
    shared
        "correlation": effects with one label correlate; "loading": they are one effect times a loading.
    missing, clusters, columns
        As in `intake.single`; a missing response is no fault, it leaves the row out for that outcome.
    bare
        Whether the variables of an only outcome go without its name.

    Raises
    ------
    InputError
        All problems of one outcome's formula and response, or of all outcomes' data, together.
    """
    if shared not in ("correlation", "loading"):
        raise InputError(f"shared must be 'correlation' or 'loading', not {shared!r}")
    asked = _asked(pairs, choices or {})
    problems: list[str] = []
    attempts = [attempt(lambda one=one: _single(data, one, missing, clusters, columns), problems) for one in asked]
    raise_all(problems)
    singles = [single for single in attempts if single]
    parts, formulas, links = [], {}, {}
    predictors: list[tuple[Predictor, Table]] = []
    for one, single in zip(asked, singles, strict=True):
        prefix, dim = ("", "row") if bare and len(asked) == 1 else (one.name, f"{one.name}_row")
        own = [replace(p, prefix=_prefix(prefix, p.prefix), dim=dim) for p in single.predictors]
        predictors += [(p, single.table) for p in own]
        formulas |= {_prefix(prefix, p): text for p, text in single.texts.items()}
        links |= {named(prefix, p): link for p, link in one.kind.parts.items() if p in single.texts}
        outcome = replace(single.outcome, dim=dim)
        rows = single.table.row_numbers
        parts.append(Part(one.name, prefix, one.kind, one.family, one.link, outcome, own[0], rows))
    _refuse_one_name_for_two([p for p, _ in predictors], [p.outcome.dim for p in parts], residual_correlation)
    notes = dict.fromkeys(note for single in singles for note in single.notes)
    joint = Joint(
        tuple(parts), _with_all_levels(predictors), formulas, links, joined([s.table for s in singles]), tuple(notes),
        _gaussian_pair(parts) if residual_correlation else (),
    )  # fmt: skip
    return _loading(joint) if shared == "loading" else joint


@dataclass(frozen=True)
class _Asked:
    """What a user asked of one outcome; `chosen` by option."""

    name: str
    text: str
    formula: Formula
    family: str
    kind: Family
    link: str
    chosen: dict[str, Any] = field(default_factory=dict)


def _asked(pairs: Sequence[tuple[str, str]], choices: Mapping[str, Mapping[str, Any] | None]) -> list[_Asked]:
    """Formulas and families taken apart, with everything that is wrong between them."""
    problems: list[str] = []
    attempts = [attempt(lambda t=text, f=of: (parse(t), *family(f)), problems) for text, of in pairs]
    raise_all(problems)
    asked: dict[str, _Asked] = {}
    names: dict[str, str] = {}
    responses: dict[str, str] = {}
    for (text, _), found in zip(pairs, attempts, strict=True):
        assert found is not None and found[0].response is not None
        response = found[0].response.value
        name = safe(response.text if response.kind == "column" else re.sub(r"\W", "", response.text))
        if name in asked:
            raise InputError(
                f"response {response.text!r} stands in two formulas; an outcome has one formula, with all its terms"
            )
        asked[name], names[response.text] = _Asked(name, text, *found), name
        responses |= dict.fromkeys(response.columns, name)
    for one in asked.values():
        problems += [
            f"the response {c!r} is a predictor of {one.name!r}: outcomes are tied by their group effects; for the effect of "
            "an earlier value make a column of its own"
            for c in one.formula.predictor_columns
            if c in responses
        ]
    for option, said in choices.items():
        if said is not None and not isinstance(said, Mapping):
            problems.append(
                f"{option} says it by response, such as {option}={{{next(iter(names))!r}: ...}}, not {said!r}"
            )
            continue
        for response, value in (said or {}).items():
            one = asked.get(names.get(str(response), str(response)))
            if one is None:
                near = did_you_mean(str(response), names) or ";"
                problems.append(f"{option}: no response {response!r}{near} responses: {listing(names)}")
            elif OPTIONS.get(option) not in one.kind.parts and option not in one.kind.choices:
                problems.append(f"{option}: family {one.family!r} of {one.name!r} has none")
            else:
                one.chosen[option] = value
    raise_all(problems)
    return list(asked.values())


def _prefix(outcome: str, part: str) -> str:
    return named(outcome, part) if part else outcome


def _single(data: Any, asked: _Asked, missing: Missing, clusters: str, columns: Sequence[str]) -> Single:
    kind, chosen = asked.kind, asked.chosen
    choice = next((chosen[c] for c in kind.choices if c in chosen), None)
    one = intake.single(
        data,
        asked.text,
        lambda table, response: kind.read(table, response, choice),
        one_per_row=kind.one_per_row,
        code=kind.code,
        also={OPTIONS[option]: text for option, text in chosen.items() if option in OPTIONS},
        columns=columns,
        missing=missing,
        clusters=clusters,
        gaps=True,
    )
    return intake.remark(one, kind.doubts(one.outcome, one.main.population))


def _refuse_one_name_for_two(predictors: Sequence[Predictor], dims: Sequence[str], residual: bool) -> None:
    prefixes = [p.prefix for p in predictors]
    taken = {*dims, *([RESIDUAL] if residual else [])}
    factors = {e.factor.name for p in predictors for e in p.effects}
    twice = {p for p in prefixes if prefixes.count(p) > 1} | (factors & taken)
    raise_all([f"two things would share the name {name!r}; rename a column" for name in sorted(twice)])


def _with_all_levels(predictors: Sequence[tuple[Predictor, Table]]) -> tuple[Predictor, ...]:
    """Levels of a factor become those of all outcomes' rows, so that a level is the same place in each of them."""
    found = [p for p, _ in predictors]
    factors = {
        e.factor.name: g.factor for p in found for e in p.effects for g in p.formula.groups if g.name == e.factor.name
    }
    for name, columns in factors.items():
        users = [i for i, p in enumerate(found) if name in [e.factor.name for e in p.effects]]
        tables = [predictors[i][1] for i in users]
        rows = [t.rows for t in tables]
        stacked = {c: replace(tables[0][c], values=np.concatenate([t[c].values for t in tables])) for c in columns}
        whole = factor(columns, Table(stacked, sum(rows), ""))
        for i, codes in zip(users, np.split(whole.codes, np.cumsum(rows)[:-1]), strict=True):
            own = replace(whole, codes=codes)
            effects = tuple(replace(e, factor=own) if e.factor.name == name else e for e in found[i].effects)
            found[i] = replace(found[i], effects=effects)
    return tuple(found)


def _gaussian_pair(parts: Sequence[Part]) -> tuple[Part, ...]:
    pair = tuple(p for p in parts if p.family_name == "gaussian")
    if len(pair) != 2:
        raise InputError(
            f"residual_correlation ties two Gaussian outcomes; there {'is' if len(pair) == 1 else 'are'} {len(pair)}"
        )
    if len(np.intersect1d(pair[0].rows, pair[1].rows)) < 3:
        raise InputError(
            f"residual_correlation needs rows with both {pair[0].name!r} and {pair[1].name!r}; fewer than 3 rows have both"
        )
    return pair


def _loading(joint: Joint) -> Joint:
    """The effects of one label as one effect, the first outcome's, which the others have times a loading."""
    names = {part.name for part in joint.parts}
    labelled = {p.prefix: e for p in joint.predictors for e in p.effects if any(e.shared)}
    kinds = {(e.factor.name, e.shared, e.labels) for e in labelled.values()}
    if (
        len(labelled) < 2
        or len(kinds) != 1
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


# ------------------------------------------------------------------------------------------------- plan and likelihood


def plan(
    builder: str,
    joint: Joint,
    options: Mapping[str, Any],
    given: Mapping[str, str] | None,
    *,
    aspects: Sequence[str] = (),
    extra: Sequence[Parameter] = (),
    more: Mapping[str, Any] | None = None,
) -> Plan:
    """Choose the prior of every parameter and write down what the model is.

    `extra` are parameters of other parts of the model, `more` what the spec says of them. A key without an outcome's name, `beta` or `alpha`, holds for all outcomes that are given no narrower one.
    """
    parts = joint.parts
    units = {
        p.prefix: (p.outcome.location - intake.offset_level(p.main.offset, p.link), p.outcome.scale) for p in parts
    }
    needed = intake.parameters(joint.predictors, 0.0, 1.0, units)
    for part in parts:
        own = [_renamed(p, part.prefix) for p in part.family.own(part.outcome)]
        needed += [p for p in own if p.name not in joint.texts]
    for name in joint.loaded:
        (default,) = beta_defaults([units[joint.anchor][1]], units[name][1])
        needed.append(parameter(named(name, "loading"), "real", default))
    if joint.residual:
        needed.append(Parameter(f"corr_{RESIDUAL}", "corr", ((f"corr[{RESIDUAL}]", "corr"),), (CORR_DEFAULT,)))
    names = sorted((p.prefix for p in parts), key=len, reverse=True)
    described = {
        "formula": "; ".join(joint.texts[p.prefix] for p in parts),
        "formulas": {p: text for p, text in joint.texts.items() if p not in names},
        "options": dict(options),
        "outcomes": {p.prefix: _described(p) for p in parts},
        "links": dict(joint.links),
        "aspects": list(aspects),
        "facts": {
            "means": _means(joint.predictors),
            "rows": _rows(joint),
            "loaded": {"effect": joint.effect, "outcomes": list(joint.loaded)},
        },
        "notes": list(joint.notes),
    } | dict(more or {})
    needed = [*(_for_all(p, names) for p in needed), *extra]
    spec, chosen = intake.specify(builder, described, joint.table, joint.predictors, needed, given)
    return Plan(
        spec, joint.table, joint.predictors, chosen, sum(len(p.rows) for p in parts),
        labels={p.outcome.dim: p.rows for p in parts}, scales={p.prefix: p.outcome.scale for p in parts},
    )  # fmt: skip


def _described(part: Part) -> dict[str, Any]:
    """What the report needs to know of an outcome."""
    return {
        "family": part.family_name,
        "link": part.link,
        "response": part.outcome.description,
        "latent_variance": families.link(part.link).latent_variance if part.family.latent else None,
    }


def _means(predictors: Sequence[Predictor]) -> dict[str, dict[str, list[float]]]:
    """Means of the covariates of every predictor's group effects, by factor, in the order of the effects."""
    return {p.prefix: {safe(e.factor.name): e.z.mean(axis=0).tolist() for e in p.effects} for p in predictors}


def _rows(joint: Joint) -> dict[str, dict[str, list[int]]]:
    """How many rows of an outcome the levels of each factor have."""
    found: dict[str, dict[str, list[int]]] = {}
    for p in joint.predictors:
        effects = [*p.effects, *(e for name, e in joint.loaded.items() if name == p.prefix)]
        found[p.prefix] = {
            safe(e.factor.name): np.bincount(e.factor.codes, minlength=len(e.factor.levels)).tolist() for e in effects
        }
    return found


def _renamed(parameter: Parameter, name: str) -> Parameter:
    """The parameter of one outcome: `severity_alpha`."""
    keys = tuple(tuple(named(name, key) for key in keys) for keys in parameter.keys)
    return replace(parameter, name=named(name, parameter.name), keys=keys)


def _for_all(parameter: Parameter, names: Sequence[str]) -> Parameter:
    """The parameter with keys for all outcomes added to its own: `alpha` after `severity_alpha`."""
    lead = next((f"{name}_" for name in names if name and parameter.name.startswith(f"{name}_")), None)
    if lead is None:
        return parameter
    return replace(parameter, keys=tuple((*keys, *(k.removeprefix(lead) for k in keys)) for keys in parameter.keys))


def observe(model: Model, joint: Joint, *, center: bool = True) -> dict[str, Tensor]:
    """Add predictors and likelihood of all outcomes to a model; eta (n,) of every predictor, by prefix."""
    import pymc as pm

    from glmm_zoo.graph.predictors import linear_predictors
    from glmm_zoo.graph.variables import variable

    etas = linear_predictors(model, center=center)
    for name, effects in joint.loaded.items():
        level = pm.Data(f"_{name}_loaded_level", effects.factor.codes, dims=f"{name}_row")
        etas[name] = etas[name] + variable(model, named(name, "loading")) * model[joint.effect][level, 0]
        model.linear[name] = replace(model.linear[name], eta=etas[name])
    for part in joint.parts:
        if joint.residual and part is joint.residual[1]:
            _observe_second(model, joint.residual[0], part, etas)
        else:
            part.family.observe(model, part, etas, center)
    return etas


def _observe_second(model: Model, first: Part, second: Part, etas: Mapping[str, Tensor]) -> None:
    """y_2 given y_1, whose residuals have correlation rho in the rows that have both, w = rho there and 0 elsewhere:

    y_2 ~ Normal(eta_2 + sigma_2 w (y_1 - eta_1) / sigma_1, sigma_2 sqrt(1 - w^2))
    """
    import pymc as pm
    import pytensor.tensor as pt

    from glmm_zoo.graph.correlation import correlation_factor
    from glmm_zoo.graph.variables import variable

    names = [first.name, second.name]
    model.add_coord(RESIDUAL, names)
    model.add_coord(f"{RESIDUAL}_bis", names)
    model.auxiliary.add(f"pcorr_{RESIDUAL}")
    eta = model.chosen[f"corr_{RESIDUAL}"][0].arguments["eta"]
    _, (rho, _) = correlation_factor(model, f"pcorr_{RESIDUAL}", names, eta)
    one = pt.constant(1.0)
    matrix = pt.stack([pt.stack([one, rho]), pt.stack([rho, one])])
    pm.Deterministic(f"corr_{RESIDUAL}", matrix, dims=(RESIDUAL, f"{RESIDUAL}_bis"))
    y_1, sigma_1 = model[first.name], model[named(first.name, "sigma")]
    sigma_2 = variable(model, named(second.name, "sigma"))
    both = np.isin(second.rows, first.rows)
    at = np.where(both, np.searchsorted(first.rows, second.rows), 0)
    w: Any = rho * both.astype(float)
    mean = etas[second.name] + sigma_2 * w * ((y_1 - etas[first.name]) / sigma_1)[at]
    families.gaussian(second.name, mean, sigma_2 * pt.sqrt(1.0 - w * w), second.outcome)
