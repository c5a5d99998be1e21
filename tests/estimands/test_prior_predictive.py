"""What priors say before the data, against PyMC's own draws, closed forms, and numbers read back from the sentences."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import row_models
from matplotlib.text import Text
from rows import ROWS
from scipy import special, stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.estimands.prior_predictive import PriorPredictive
from glmm_zoo.inference.prior_draws import prior_as_fit
from glmm_zoo.results.figures.svg import Stylesheet
from glmm_zoo.results.numbers import rough

pytestmark = pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")
FAST = (
    "hierarchical_logistic",
    "gamma",
    "ordinal",
    "zero_inflated_poisson",
    "meta_analysis",
    "joint_outcomes",
    "joint_survival",
)
ONE_OF_EACH = list({row.builder: row for row in reversed(ROWS)}.values())


def frame(rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"x": np.tile([0.0, 1.0], rows // 2), "w": rng.normal(size=rows), "g": np.arange(rows) % 8})
    return d.assign(
        g=d.g.map("g{}".format), y=rng.integers(0, 2, rows), n=rng.poisson(3, rows), z=rng.normal(2, 1, rows)
    )


def row_of(found: PriorPredictive, **of: str) -> pd.Series:
    table = found.table
    for column, value in of.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize("name", ["linear", "zip", "wedge"])
def test_draws_are_those_of_pymc(name: str) -> None:
    row = next(r for r in ROWS if r.name.startswith(name))
    model = row_models.model_of(row.name)
    ours = prior_as_fit(model, 600, 1)["posterior"].dataset.isel(chain=0)
    names = [v.name for v in model.unobserved_RVs]
    theirs = pm.sample_prior_predictive(600, model, var_names=names, random_seed=2)["prior"].dataset.isel(chain=0)
    p = []
    for variable in names:
        a, b = (d[variable].transpose("draw", ...).values.reshape(600, -1)[:, :3] for d in (ours, theirs))
        p += [stats.ks_2samp(x, y).pvalue for x, y in zip(a.T, b.T, strict=True) if np.ptp(x)]
    assert min(p) > 0.01 / len(p)
    assert ours[names[0]].dims == ("draw", *(model.named_vars_to_dims.get(names[0]) or ()))
    assert ours.equals(prior_as_fit(model, 600, 1)["posterior"].dataset.isel(chain=0))


def test_a_risk_has_the_distribution_of_its_prior() -> None:
    found = zoo.prior_predictive(zoo.hierarchical_logistic(frame(), "y ~ x"), draws=4000, seed=1)
    ours = row_of(found, of="row at the means")
    intercept = stats.t(3, 0, 2.5)
    assert ours["below"] == pytest.approx(intercept.cdf(special.logit(0.01)), abs=0.015)
    np.testing.assert_allclose(
        ours[["lower", "median", "upper"]].astype(float), special.expit(intercept.ppf([0.025, 0.5, 0.975])), atol=0.03
    )


def test_rows_differences_and_group_effects_are_those_of_a_simulation() -> None:
    priors = {"Intercept": "Normal(-1, 1)", "beta": "Normal(0.5, 1)", "sd": "HalfNormal(1)"}
    model = zoo.hierarchical_logistic(frame(), "y ~ x + (1 | g)", priors=priors)
    found = zoo.prior_predictive(model, draws=4000, seed=1)
    rng = np.random.default_rng(9)
    a, b, sd = rng.normal(-1, 1, 40000), rng.normal(0.5, 1, 40000), np.abs(rng.normal(size=40000))
    u = sd * rng.normal(size=(8, 40000))
    x = rng.integers(0, 2, 40000)
    one_row = special.expit(a + b * (x - 0.5) + u[0])
    sides = [special.expit(a + b * (v - 0.5) + u).mean(0) for v in (0, 1)]
    draws = found.draws["value"].values
    for i, expected in enumerate([special.expit(a + u[0]), one_row, sides[1] - sides[0], sides[1] / sides[0]]):
        assert stats.ks_2samp(draws[:, i], expected).pvalue > 0.001
    assert list(found.table["measure"]) == ["risk", "risk", "difference", "ratio"]


def test_counts_span_orders_of_magnitude() -> None:
    priors = {"Intercept": "Normal(1, 1)"}
    narrow = zoo.prior_predictive(zoo.poisson(frame(), "n ~ 1", priors=priors), draws=4000)
    ours = row_of(narrow, of="rows")
    np.testing.assert_allclose(
        np.log(ours[["lower", "upper"]].astype(float)), stats.norm(1, 1).ppf([0.025, 0.975]), atol=0.15
    )
    assert "2 orders of magnitude apart." in narrow.sentences[2]
    wide = zoo.prior_predictive(zoo.poisson(frame(), "n ~ 1", priors={"Intercept": "Normal(1, 4)"}), draws=1000)
    assert re.search(
        r"7 orders of magnitude apart, wider than counts that could be believed; most of it comes from Intercept \(Normal\(1, 4\)\)",
        wide.sentences[2],
    )


@pytest.mark.parametrize(
    ("priors", "culprit"),
    [
        ({"Intercept": "Normal(0, 20)"}, "Intercept (Normal(0, 20))"),
        ({"beta": "Normal(0, 40)", "Intercept": "Normal(0, 1)"}, "beta (Normal(0, 40))"),
        ({"sd": "Exponential(0.02)", "Intercept": "Normal(0, 1)"}, "sd_g (Exponential(0.02))"),
    ],
)
def test_half_the_prior_on_certain_risks_is_told_with_what_to_change(priors: dict[str, str], culprit: str) -> None:
    found = zoo.prior_predictive(zoo.hierarchical_logistic(frame(), "y ~ x + (1 | g)", priors=priors))
    ours = row_of(found, of="rows", measure="risk")
    assert ours["below"] + ours["above"] > 0.5
    assert f"{100 * (ours['below'] + ours['above']):.1f}" in found.sentences[2]
    assert (
        f"which calls nearly everything certain before the data; most of it comes from {culprit}" in found.sentences[2]
    )


@pytest.mark.parametrize(("share", "told"), [(0.44, False), (0.56, True)])
def test_the_half_is_a_half(share: float, told: bool) -> None:
    sigma = special.logit(0.99) / stats.norm.ppf(1 - share / 2)
    model = zoo.hierarchical_logistic(frame(), "y ~ 1", priors={"Intercept": f"Normal(0, {sigma:.4f})"})
    assert ("nearly everything certain" in zoo.prior_predictive(model, draws=2000).sentences[2]) == told


@pytest.mark.parametrize(("sigma", "told"), [(3, False), (60, True)])
def test_a_mean_is_held_against_the_range_of_the_data(sigma: float, told: bool) -> None:
    d = frame()
    found = zoo.prior_predictive(zoo.hierarchical_linear(d, "z ~ 1", priors={"Intercept": f"Normal(0, {sigma})"}))
    words = found.sentences[2]
    assert f"the data between {rough(d.z.min())} and {rough(d.z.max())}" in words
    assert ("more than 10 times as wide" in words) == told


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.builder, marks=[] if row.builder in FAST else pytest.mark.slow) for row in ONE_OF_EACH],
)
def test_every_builder_has_words_and_a_picture(row) -> None:
    found = zoo.prior_predictive(row_models.model_of(row.name), draws=100)
    assert len(found.sentences) >= 3 and all(s.endswith(".") and "nan" not in s for s in found.sentences)
    assert found.table[["median", "lower", "upper"]].notna().all(axis=None)
    assert (found.table["lower"] <= found.table["median"]).all() and (
        found.table["median"] <= found.table["upper"]
    ).all()
    if row.builder == "joint_survival":
        assert "Hazard ratios of the event" in found.sentences[-1]
    for width in (720, 343):
        figure = found.picture.figure(width)
        figure.canvas.draw()
        texts = [t.get_window_extent() for t in figure.findobj(Text) if t.get_text()]
        assert all(box.x0 >= -1 and box.x1 <= width + 1 for box in texts)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0003042, "0.00030"), (4012.0, "4000"), (12345.0, "12\N{NARROW NO-BREAK SPACE}000"), (0.0, "0.0"), (-2.345, "−2.3"), (0.996, "1.00"),
     (3e9, "> 1\N{NARROW NO-BREAK SPACE}000\N{NARROW NO-BREAK SPACE}000"), (2e-9, "< 0.000001"), (-3e9, "< −1\N{NARROW NO-BREAK SPACE}000\N{NARROW NO-BREAK SPACE}000"),
     (-2e-9, "> −0.000001"), (np.inf, "> 1\N{NARROW NO-BREAK SPACE}000\N{NARROW NO-BREAK SPACE}000")],
)  # fmt: skip
def test_rough_numbers(value: float, text: str) -> None:
    assert rough(value) == text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"draws": 10}, "draws must be a whole number >= 100, not 10"),
        ({"seed": -1}, "seed must be"),
        ({"prob": 1.0}, "prob must be between 0 and 1"),
        ({"variable": "xx"}, "no variable 'xx' in the model; did you mean 'x'"),
    ],
)
def test_what_is_refused(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        zoo.prior_predictive(zoo.hierarchical_logistic(frame(), "y ~ x"), **arguments)
    with pytest.raises(InputError, match="prior_predictive takes a model, not a DataFrame; a builder makes one"):
        zoo.prior_predictive(frame())


def test_words_that_were_said_are_in_sentences_and_picture() -> None:
    """The variable asked about is told, against its control; the table keeps the names of columns."""
    data = frame().assign(arm=lambda d: np.resize(["a", "b", "c"], len(d)))
    about = {
        "of": "arm", "control": "b", "outcome": "relapse", "an_outcome": "a relapse", "names": {"g": "clinic"},
        "levels": {"arm": {"a": "drug A", "b": "placebo"}},
    }  # fmt: skip
    model = zoo.hierarchical_logistic(data, "y ~ x + arm + (1 | g)")
    found, bare = zoo.prior_predictive(model, draws=100, about=about), zoo.prior_predictive(model, draws=100)
    assert found.sentences[1].startswith("The risk of a relapse is ") and " in a new clinic, " in found.sentences[1]
    assert found.sentences[3].startswith("relapse, drug A against placebo: difference ")
    assert bare.sentences[1].startswith("The risk of y is ") and " in new groups, " in bare.sentences[1]
    assert (
        found.sentences[1].partition(" is ")[2].replace("a new clinic", "new groups")
        == bare.sentences[1].partition(" is ")[2]
    )
    assert bare.sentences[3].startswith("y, x 1 against 0: ") and set(found.table["of"]) >= {"arm a vs b", "arm c vs b"}
    drawn = found.picture.inline_svg(720, Stylesheet())
    assert ">Risk of a relapse in a row<" in drawn and ">drug A vs placebo<" in drawn
    with pytest.raises(InputError, match="'arm' has no level 'z'"):
        zoo.prior_predictive(model, draws=100, about={**about, "control": "z"})


def test_the_prior_of_a_joint_model_is_told_in_words() -> None:
    found = zoo.prior_predictive(zoo.card("pbc").model(), draws=100)
    assert found.sentences[1].startswith("The mean log(bilirubin) is ")
    assert found.sentences[-2].startswith("bilirubin, D-penicillamine against placebo: difference ")
    assert found.sentences[-1].startswith("Hazard ratios of death, ") and "; value of bilirubin " in found.sentences[-1]
