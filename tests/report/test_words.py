"""What a report says of models: in words, as formulas, of priors, how to fit again, and the checklist; for every row of models."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import xml.etree.ElementTree as ET
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from row_models import builder, model_of
from rows import ROWS, Row
from scipy import integrate

import glmm_zoo as zoo
from glmm_zoo.cli.commands import app_of
from glmm_zoo.cli.fit import read_request
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.inference.datatree import data_groups
from glmm_zoo.inference.settings import Settings
from glmm_zoo.priors import DISTRIBUTIONS, parse
from glmm_zoo.report.checklist import Item, checklist
from glmm_zoo.report.model_text import model_text
from glmm_zoo.report.parts import read_parts, terms_of
from glmm_zoo.report.prior_quantiles import correlation_quantile, prior_quantile
from glmm_zoo.report.prior_text import prior_text
from glmm_zoo.report.reproduce import reproduce
from glmm_zoo.results.about import About, stored_about
from glmm_zoo.results.storage import metadata, write_metadata

SAMPLING = {
    "sampler": "NUTS",
    "draws": 6,
    "tune": 500,
    "chains": 2,
    "seed": 7,
    "thin": 1,
    "target_accept": 0.8,
    "finished": [6, 6],
}
NOT_WORDS = re.compile(r"\b(?:None|nan|inf|True|False|dict|list)\b|[{}]|_at_means|\bIntercept\b|  |\.\.| \.|,,|<|>")


def described(model: Any, about: About | None = None, **more: Any) -> xr.DataTree:
    """The file of a fit of a model, without draws."""
    tree = xr.DataTree.from_dict(data_groups(model))
    content = {
        "spec": {**model.spec, "auxiliary": sorted(model.auxiliary)}, "sampling": {**SAMPLING, **more}, "seconds": {"all": 1.0, "sample": 0.5},
        "created": "2026-01-01T00:00:00+00:00", "versions": {"glmm-zoo": "0"}, "machine": "m", "about": stored_about(about or About()),
    }  # fmt: skip
    write_metadata(tree, content)
    return tree


def rows(*builders: str) -> Any:
    return pytest.mark.parametrize(
        "row", [r for r in ROWS if not builders or r.builder in builders], ids=lambda r: r.name
    )


# --------------------------------------------------------------------------------------------------------------- model


@rows()
def test_models_are_told_in_words_and_as_well_formed_formulas(row: Row) -> None:
    model = model_of(row.name)
    told = model_text(described(model))
    assert told.words.endswith(".") and not NOT_WORDS.search(told.words), told.words
    root = ET.fromstring(told.mathml)
    lines = root.findall(".//mtr")
    assert len(lines) >= 2 and all(len(line.findall("mtd")) == 3 for line in lines)
    said = told.words + "".join(root.itertext())
    parts = read_parts(described(model))
    for outcome in parts.outcomes:
        for column in {
            e.columns[0] for part in (outcome.main, *outcome.others.values()) for term in part.terms for e in term
        }:
            assert column in said
    assert model.spec["builder"] in dict(told.formula_lines)["builder"]


@rows()
def test_effects_that_the_model_correlates_stand_in_one_line(row: Row) -> None:
    """Each matrix of correlations has a vector of effects, and each effect stands once among the distributions."""
    if row.builder == "meta_analysis":
        return
    model = model_of(row.name)
    lines = ["".join(line.itertext()) for line in ET.fromstring(model_text(described(model)).mathml).findall(".//mtr")]
    vectors = [line for line in lines if line.startswith("(") and "MultivariateNormal" in line]
    matrices = [v.name for v in model.free_RVs if "pcorr_" in v.name and "residual" not in v.name]
    one_line = {re.sub("^(bus|car)_", "", name) for name in matrices}  # categories have theirs in one, with the index k
    assert len(vectors) == len(one_line)
    left = [
        line.split("∼")[0]
        for line in lines
        if re.match(r"[(uvw].*∼(?:Multivariate)?(?:Normal\(|StudentT\(ν[^,]*,)0,", line)
    ]
    names = [n for text in left for n in re.findall(r"[uvw](?:[\dk,]*)[a-z][\w:]*", text)]
    effects = {
        f"{name.removeprefix('car_').removeprefix('bus_')}:{e}"
        for name, g in model.spec["groups"].items()
        for e in g["effects"]
    }
    assert len(names) == len(set(names)) == len(effects)


def test_words_of_the_user_stand_in_place_of_columns() -> None:
    frame = pd.DataFrame({"y": [1, 0, 2, 1] * 4, "n": 3, "q": ["a", "b"] * 8, "h": np.arange(16) // 2})
    about = About(
        outcome="new case",
        an_outcome="a new case",
        individual="animal",
        names={"q": "quarter", "h": "herd"},
        levels={"q": {"a": "spring", "b": "autumn"}},
    )
    model = zoo.hierarchical_logistic(frame, "y | trials(n) ~ q + (1 | h)")
    told = model_text(described(model, about))
    assert told.words == (
        "In each row, y of n animals had the event (new case); this number is binomial with probability p. The log odds of a new case has a level "
        "α, a shift β for autumn against spring and a shift u for each herd. The shifts of herds come from a normal distribution "
        "around 0 with standard deviation σ."
    )
    assert "quarter" in told.mathml and dict(told.formula_lines)["data"] == "16 rows, 8 herds; no row dropped"


@pytest.mark.parametrize(
    ("said", "told"), [("bilirubin", "log(bilirubin)"), ("log bilirubin", "log bilirubin"), ("", "log(y)")]
)
def test_a_response_that_is_transformed_is_told_as_such(said: str, told: str) -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0, 0.5, 3.0, 2.0, 1.0], "x": range(6)})
    words = model_text(described(zoo.lmm(frame, "log(y) ~ x"), About(outcome=said, unit="mg"))).words
    assert f"The mean μ of {told} has" in words


def test_long_lines_of_formulas_go_on_below_themselves() -> None:
    """A printed page cannot be scrolled: a sum is broken before a plus sign, and nothing of it is lost."""
    names = [f"covariate{k}" for k in range(6)]
    frame = pd.DataFrame({"y": range(16), **{n: np.random.default_rng(k).normal(size=16) for k, n in enumerate(names)}})
    root = ET.fromstring(model_text(described(zoo.lmm(frame, "y ~ " + " + ".join(names)))).mathml)
    lines = [["".join(cell.itertext()) for cell in line] for line in root.findall(".//mtr")]
    start = next(i for i, (_, _, right) in enumerate(lines) if right.startswith("α"))
    own = [lines[start], *(line for line in lines[start + 1 :] if line[:2] == ["", ""])]
    assert len(own) > 1 and all(len("".join(line)) <= 62 for line in own)
    assert all(line[2].startswith("+") for line in own[1:])
    assert "".join(line[2] for line in own) == "α" + "".join(f"+β{n}{n}i" for n in names)


def test_names_are_escaped_in_formulas() -> None:
    name = "<b>&"
    frame = pd.DataFrame({"y": [1.0, 2.0, 0.5, 3.0, 2.0, 1.0], name: [0.0, 1.0, 2.0, 3.0, 4.0, 7.0]})
    mathml = model_text(described(zoo.lmm(frame, f"y ~ `{name}`"))).mathml
    assert name not in mathml and name in "".join(ET.fromstring(mathml).itertext())


@pytest.mark.parametrize(
    ("formula", "terms"),
    [
        ("~ a * b", ["a", "b", "a:b"]), ("~ b + a:b + a", ["b", "a", "b:a"]), ("~ (a + b)^2 - a:b", ["a", "b"]), ("~ 0 + a", ["a"]),
        ("~ 1", []), ("~ a*b*c - a:b:c", ["a", "b", "c", "a:b", "a:c", "b:c"]),
    ],
)  # fmt: skip
def test_terms_of_a_formula(formula: str, terms: list[str]) -> None:
    found = terms_of(parse_formula(formula, response=False).population)
    assert [":".join(e.text for e in term) for term in found] == terms


# -------------------------------------------------------------------------------------------------------------- priors

EXAMPLES = [
    "Normal(1, 2)", "Normal(mu=1, tau=4)", "StudentT(3, 1, 2)", "Cauchy(1, 2)", "Laplace(1, 2)", "Logistic(1, 2)", "SkewNormal(1, 2, 3)",
    "Uniform(-1, 3)", "Exponential(2)", "Exponential(scale=2)", "HalfNormal(2)", "HalfCauchy(2)", "HalfStudentT(3, 2)", "Gamma(2, 3)",
    "Gamma(mu=2, sigma=3)", "InverseGamma(3, 2)", "InverseGamma(mu=2, sigma=3)", "LogNormal(1, 0.5)", "Weibull(2, 3)", "Beta(2, 3)",
    "Beta(mu=0.3, sigma=0.1)",
]  # fmt: skip


def test_there_is_an_example_of_every_distribution_of_one_number() -> None:
    assert {parse(text).distribution for text in EXAMPLES} == set(DISTRIBUTIONS) - {"LKJ", "Dirichlet"}


@pytest.mark.parametrize("text", EXAMPLES)
def test_quantiles_are_those_of_the_distribution_that_is_sampled(text: str) -> None:
    prior = parse(text)
    drawn = pm.draw(getattr(pm, prior.distribution).dist(**prior.arguments), 20_000, random_seed=1)
    for q in (0.1, 0.5, 0.9):
        below = np.mean(drawn < prior_quantile(prior, q))
        assert abs(below - q) < 5 * np.sqrt(q * (1 - q) / len(drawn))


def test_quantiles_of_correlations() -> None:
    """The density of the matrix is its determinant where eta is 2."""
    assert integrate.quad(lambda r: 0.75 * (1 - r**2), -1, correlation_quantile(parse("LKJ(2)"), 2, 0.8))[
        0
    ] == pytest.approx(0.8)
    r = (np.arange(200) + 0.5) / 100 - 1
    a, b, c = r[:, None, None], r[None, :, None], r[None, None, :]
    marginal = np.maximum(1 + 2 * a * b * c - a**2 - b**2 - c**2, 0).sum((1, 2))
    below = np.interp(correlation_quantile(parse("LKJ(2)"), 3, 0.8), r + 0.005, marginal.cumsum() / marginal.sum())
    assert below == pytest.approx(0.8, abs=1e-3)


@rows()
def test_every_prior_is_told_by_name_with_what_it_allows(row: Row) -> None:
    model = model_of(row.name)
    told = prior_text(described(model))
    assert [t.prior for t in told] == [
        p for prior in model.spec["priors"].values() for p in ([prior] if isinstance(prior, str) else prior.values())
    ]
    for t in told:
        assert t.allows.endswith(".") and not re.search(r"nan|None|[{}]|  ", t.allows), t
        assert t.origin in ("default", "yours") and (t.why == "" if t.origin == "yours" else t.why.endswith(".")), t


def test_which_priors_are_yours() -> None:
    frame = pd.DataFrame({"y": [0, 1, 1, 0] * 4, "x": range(16), "w": [3, 1, 2] * 5 + [1], "g": [*range(8)] * 2})
    given = {"beta[x]": "Normal(0, 9)", "sd": "Exponential(3)"}
    told = {
        t.parameter: t
        for t in prior_text(described(zoo.hierarchical_logistic(frame, "y ~ x + w + (1 + x | g)", priors=given)))
    }
    yours = {name for name, t in told.items() if t.origin == "yours"}
    assert yours == {"beta[x]", "sd_g"} and told["Intercept"].origin == "default"
    assert (
        told["beta[x]"].allows
        == "Odds ratios from below 0.001 to above 1000 (95\N{NO-BREAK SPACE}%) for one unit of x."
    )
    tree = described(zoo.hierarchical_logistic(frame, "y ~ x"))
    content = metadata(tree)
    del content["spec"]["given"]
    write_metadata(tree, content)
    assert {t.origin for t in prior_text(tree)} == {""}


def test_what_defaults_allow_in_natural_units() -> None:
    frame = pd.DataFrame({"y": [1, 0, 2, 1] * 4, "n": 3, "q": ["a", "b"] * 8, "h": np.arange(16) // 2})
    told = {
        t.parameter: t.allows
        for t in prior_text(described(zoo.hierarchical_logistic(frame, "y | trials(n) ~ q + (1 | h)")))
    }
    assert (
        told["beta"].replace("\N{NO-BREAK SPACE}", " ") == "Odds ratios from 0.0074 to 130 (95 %)."
    )  # exp(1.96 x 2.5) is 134.3, 1 / 134.3 is 0.00745
    assert told["sd_h"].replace("\N{NO-BREAK SPACE}", " ") == (
        "Median 0.69, 95 % below 3.0: hs from alike to odds 350 times the average."  # log 2, log 20, exp(1.96 log 20)
    )
    frame["x"] = np.arange(16.0)
    told = {t.parameter: t.allows for t in prior_text(described(zoo.poisson(frame, "y ~ q * x + offset(log(n))")))}
    assert told["Intercept"].startswith("Median rate per unit of n ")
    assert told["beta[q[b]:x]"].startswith("Ratios of rate ratios from ")
    assert told["beta[q[b]:x]"].endswith(" for one unit of x.") and " for " not in told["beta[q[b]]"]


def test_risks_of_priors_are_told() -> None:
    frame = pd.DataFrame({"y": [1, 0, 2, 1] * 4, "n": 3, "q": ["a", "b"] * 8})
    told = {t.parameter: t.allows for t in prior_text(described(zoo.hierarchical_logistic(frame, "y | trials(n) ~ q")))}
    assert "from below 0.1" in told["Intercept"] and "Median risk 50\N{NO-BREAK SPACE}%" in told["Intercept"]


# ----------------------------------------------------------------------------------------------------------- reproduce


@rows()
def test_the_command_asks_for_the_same_fit(row: Row) -> None:
    model = model_of(row.name)
    tree = described(model, asked={**asdict(Settings()), "draws": 700, "thin": 2, "target_accept": 0.9})
    command = reproduce(tree, "a b.nc").command.split("\nglmm-zoo report")[0]
    tokens = shlex.split(command.replace("\\\n", " "))
    assert tokens[:2] == ["glmm-zoo", "fit"] and tokens[-1] == "a b.nc"
    _, bound, _ = app_of().parse_args(tokens[1:], exit_on_error=False, print_error=False)
    model_name, data, *_ = bound.args
    keywords = bound.kwargs
    request = read_request(
        model_name, data, keywords["specification"], keywords["sampler"], keywords.get("missing"), 0.95
    )
    spec = model.spec
    assert request.builder.name == spec["builder"]
    assert (request.formula if isinstance(request.formula, str) else "; ".join(request.formula)) == spec["formula"]
    assert {name: str(parse(text)) for name, text in request.priors.items()} == {
        n: str(parse(t)) for n, t in spec["given"].items()
    }
    settings = {k: v for k, v in asdict(request.settings).items() if v != asdict(Settings())[k]}
    assert settings == {"draws": 700, "thin": 2, "target_accept": 0.9, "seed": 7}
    usual = inspect.signature(builder(spec["builder"])).parameters
    for name, value in spec["options"].items():
        asked = request.options.get(name, usual[name].default)
        if not (name == "families" and value is None):  # they were given with the formulas
            assert json.loads(json.dumps(asked)) == json.loads(json.dumps(value)), name


# ----------------------------------------------------------------------------------------------------------- checklist

SHOWN = {
    "answer",
    "verdict",
    "model",
    "priors",
    "methods",
    "reproduce",
    "predictive_check",
    "comparisons",
    "prior_predictive",
    "sensitivity",
}


def items(tree: xr.DataTree, shown: set[str] = SHOWN) -> dict[str, Item]:
    return {item.item: item for item in checklist(tree, shown, "x.nc")}


@pytest.fixture(scope="module")
def trial() -> xr.DataTree:
    row = next(r for r in ROWS if r.builder == "stepped_wedge")
    tree = described(model_of(row.name), About(question="Does it help?", outcome="event"), thin=4)
    empty = xr.Dataset()
    return tree.assign(report=xr.DataTree.from_dict({"diagnostics": empty}), posterior_predictive=xr.DataTree(empty))


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ("Question stated", "answer"), ("Priors stated", "priors"), ("Priors justified", "priors"),
        ("Likelihood, link and linear predictor stated", "model"), ("Prior predictive check", "prior_predictive"),
        ("Sensitivity to the priors", "sensitivity"), ("Convergence of the chains", "verdict"), ("Effective number of draws", "verdict"),
        ("Posterior predictive check", "predictive_check"), ("Point estimates and intervals, with their scale", "comparisons"),
        ("Code, data, seed and versions", "reproduce"), ("Absolute and relative effects", "comparisons"),
        ("How change over time is allowed for", "model"),
    ],
)  # fmt: skip
def test_nothing_is_done_unless_the_page_shows_it(trial: xr.DataTree, item: str, shown: str) -> None:
    assert items(trial)[item].state == "done"
    without = items(trial, SHOWN - {shown})[item]
    assert without.state == "not done" and without.where


def test_states_are_those_of_the_file(trial: xr.DataTree) -> None:
    def after(**changed: Any) -> dict[str, Item]:
        tree, content = trial.copy(), metadata(trial)
        for part, values in changed.items():
            content[part] = {**content[part], **values}
        write_metadata(tree, content)
        return items(tree)

    assert after(about={"question": ""})["Question stated"].state == "not done"
    assert after(sampling={"chains": 1})["Convergence of the chains"].where == "`glmm-zoo update x.nc --chains 4`"
    assert "Thinning told: of 4 draws the last is kept" in items(trial)
    assert not [name for name in after(sampling={"thin": 1}) if name.startswith("Thinning")]
    assert after(sampling={"seed": None})["Code, data, seed and versions"].state == "not done"
    assert items(trial)["Missing values reported"].state == "not applicable"
    data = metadata(trial)["spec"]["data"]
    assert after(spec={"data": {**data, "dropped": 3}})["Missing values reported"].state == "done"
    for group, item in (
        ("report", "Convergence of the chains"),
        ("posterior_predictive", "Posterior predictive check"),
    ):
        assert items(trial.drop_nodes(group))[item].state == "not done"


def test_a_refit_halves_the_scale_that_the_prior_has() -> None:
    """The prior that the checklist names is of the model's own scale, and a builder takes it."""
    frame = pd.DataFrame({"y": np.arange(16.0) * 37, "x": [0.0, 1.0] * 8, "h": np.arange(16) // 2})
    tree = described(zoo.hierarchical_linear(frame, "y ~ x + (1 + x | h)"))
    where = items(tree, SHOWN - {"sensitivity"})["Sensitivity to the priors"].where
    said = re.search(r"--prior '(.+?)=(.+?)'", where)
    assert said is not None
    texts = metadata(tree)["spec"]["priors"]["sd_h"]
    own = texts if isinstance(texts, str) else texts["sd[h, Intercept]"]
    assert parse(said[2]) == parse(own).scaled(0.5) and parse(own) != parse("Exponential(1)")
    zoo.hierarchical_linear(frame, "y ~ x + (1 + x | h)", priors={said[1]: said[2]})


def test_priors_without_a_reason_are_not_justified() -> None:
    frame = pd.DataFrame({"y": [0, 1, 1, 0] * 4, "x": range(16)})
    tree = described(zoo.hierarchical_logistic(frame, "y ~ x", priors={"beta": "Normal(0, 9)"}))
    assert items(tree)["Priors justified"].where == "Give your reasons for the priors of beta"


def test_what_is_not_done_says_a_command_that_there_is(trial: xr.DataTree) -> None:
    """Each command of the command line that the checklists of all builders name is parsed by it."""
    first = {row.builder: row for row in ROWS}
    for row in first.values():
        for item in checklist(described(model_of(row.name)), set(), "x.nc"):
            for command in re.findall(r"`glmm-zoo (.*?)`", item.where):
                tokens = shlex.split(command)
                if tokens[0] in app_of():
                    app_of().parse_args(tokens, exit_on_error=False, print_error=False)
                else:
                    assert tokens[0] in ("sensitivity", "prior", "plot"), command


def test_the_items_of_a_design_are_those_of_its_guideline() -> None:
    first = {row.builder: row for row in ROWS}
    guidelines = {
        name: {g for i in checklist(described(model_of(row.name)), set()) for g in i.guideline.split(", ")}
        for name, row in first.items()
    }
    for name, found in guidelines.items():
        assert {"BARG", "ROBUST"} <= found
        assert ("CONSORT for stepped wedges" in found) == (name == "stepped_wedge")
        assert ({"PRISMA", "GRADE"} <= found) == (name in ("meta_analysis", "network_meta_analysis"))
