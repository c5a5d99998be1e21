"""What a report says of counts: dispersion, zeros and rates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.report import terminal
from glmm_zoo.results import storage
from glmm_zoo.results.figures.raw_data import raw_data
from glmm_zoo.results.findings import dispersion, rates, zeros


def tree_of(y: np.ndarray, drawn: np.ndarray, builder: str, log_p: np.ndarray | None = None, **spec) -> xr.DataTree:
    """As little of a fit as an aspect looks at: y (n,), drawn and log_p (draws, n)."""
    posterior = xr.Dataset(
        {"Intercept": (("chain", "draw"), [[0.0, 1.0, 2.0]]), "beta": (("chain", "draw", "coef"), [[[1.0, 2.0]] * 3])},
        {"chain": [0], "draw": [0, 1, 2], "coef": ["x", "w"]},
    )
    groups = {
        "posterior": posterior,
        "posterior_predictive": xr.Dataset({"y": (("chain", "draw", "row"), drawn[None])}),
        "log_likelihood": xr.Dataset(
            {"y": (("chain", "draw", "row"), (drawn * 0.0 if log_p is None else log_p)[None])}
        ),
        "observed_data": xr.Dataset({"y": ("row", y)}),
    }
    known = {
        "builder": builder,
        "outcome": "y",
        "aspects": ["dispersion", "zeros"],
        "groups": {},
        "data": {"rows": len(y)},
    }
    tree = xr.DataTree.from_dict(groups)
    storage.write_metadata(tree, {"spec": {**known, **spec}})
    return tree


def simulated(kind: str) -> np.ndarray:
    """Counts of mean 3, as the observed or as what a model predicts (draws, n)."""
    rng, shape = np.random.default_rng(8), (400, 150)
    return {
        "poisson": lambda: rng.poisson(3.0, shape),
        "negative binomial": lambda: rng.negative_binomial(1.0, 0.25, shape),
        "inflated": lambda: rng.poisson(5.0, shape) * (rng.random(shape) < 0.6),
        "constant": lambda: 3 + (np.arange(60_000).reshape(shape) % 2),
        "positive": lambda: 1 + rng.poisson(2.0, shape),
    }[kind]()


SAID = {  # data, model, builder: words on dispersion, words on zeros
    "poisson": ("poisson", "poisson", "poisson", None, None),
    "negative binomial, by poisson": (
        "negative binomial", "poisson", "poisson", "vary more than the model allows.*Try negative_binomial, or an effect for every row",
        "more zeros than.*try negative_binomial before zero_inflated_poisson or hurdle_poisson",
    ),
    "negative binomial": ("negative binomial", "negative binomial", "negative_binomial", None, None),
    "inflated, by zip": ("inflated", "inflated", "zero_inflated_poisson", None, None),
    "negative binomial, by zip": (
        "negative binomial", "poisson", "zero_inflated_poisson", "Try zero_inflated_negative_binomial, or",
        "Let their share depend on covariates or groups: zi=",
    ),
    "inflated, by nb": (
        "inflated", "poisson", "negative_binomial", "dispersion='~ x'",
        "Try zero_inflated_negative_binomial or hurdle_negative_binomial",
    ),
    "constant, by com_poisson": ("constant", "poisson", "com_poisson", "Try dispersion='~ x'", "fewer zeros.*Try dispersion"),
    "inflated, by com_poisson": ("inflated", "poisson", "com_poisson", "dispersion='~ x'", "more zeros.*Try zi='~ 1'"),
    "constant, by poisson": ("constant", "poisson", "poisson", "less than the model says.*Try com_poisson, whose", "fewer zeros.*Try hurdle_poisson"),
    "positive, by zip": ("positive", "poisson", "zero_inflated_poisson", "less than", "fewer zeros.*Try hurdle_poisson"),
    "positive, by hurdle": ("positive", "poisson", "hurdle_poisson", "less than", "fewer zeros.*Let their share depend"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "predicted", "builder", "spread", "none"), SAID.values(), ids=SAID)
def test_dispersion_and_zeros_are_judged_against_the_predicted(data, predicted, builder, spread, none):
    tree = tree_of(simulated(data)[7], simulated(predicted), builder)
    found = zoo.findings(tree)
    for name, words in (("dispersion", spread), ("zeros", none)):
        first, *advice = found[name].sentences
        assert first.endswith(".") and "(95\u00a0%)" in first
        if words is None:
            assert advice == [], advice
        else:
            assert pd.Series(advice).str.contains(words).tolist() == [True], advice


def test_numbers_of_the_checks():
    y, drawn = simulated("negative binomial")[7], simulated("poisson")
    tree = tree_of(y, drawn, "poisson")
    row = dispersion.find(tree, 0.9).tables["check"].loc["Pearson dispersion"]
    assert row["observed"] == pytest.approx(np.mean((y - drawn.mean(0)) ** 2 / drawn.var(0)))
    assert row["lower"] < 1 < row["upper"] and row["p"] == 0
    row = zeros.find(tree, 0.9).tables["check"].loc["zeros"]
    assert row["observed"] == (y == 0).sum() and row["p"] == 0
    assert row["expected"] == pytest.approx(150 * np.exp(-3), abs=1)
    np.testing.assert_allclose(row[["lower", "upper"]], np.quantile((drawn == 0).sum(axis=1), [0.05, 0.95]))


def test_a_count_that_was_never_predicted_is_seen():
    y, drawn = np.zeros(50), np.zeros((200, 50))
    drawn[::2, 0] = 1
    y[7] = 3
    (_, advice) = dispersion.find(tree_of(y, drawn, "poisson"), 0.95).sentences
    assert "vary more" in advice


def test_dispersion_is_judged_by_what_the_other_rows_predict():
    """Every row with a rate of its own under Gamma(20, 5): without row i nothing is known of its rate but the prior."""
    rng, n = np.random.default_rng(3), 150
    y = rng.negative_binomial(20, 5 / 6, n)
    rate = rng.gamma(20 + y, 1 / 6, (4000, n))
    tree = tree_of(y, rng.poisson(rate), "poisson", stats.poisson.logpmf(y, rate))
    exact = np.mean((y - 4.0) ** 2 / (4.0 * 6 / 5))
    row = dispersion.find(tree, 0.95).tables["check"].loc["Pearson dispersion"]
    assert row["observed"] == pytest.approx(exact, rel=0.03)
    unweighted = tree_of(y, tree["posterior_predictive"].dataset["y"].values[0], "poisson")
    assert dispersion.find(unweighted, 0.95).tables["check"]["observed"].item() < 0.8 * exact


def test_an_effect_for_every_row_is_not_judged():
    y = simulated("constant")[7]
    tree = tree_of(y, simulated("poisson"), "poisson", groups={"obs": {"levels": 150}})
    (_, words) = dispersion.find(tree, 0.95).sentences
    assert "this check cannot judge it" in words


@pytest.mark.parametrize(("levels", "judged"), [(75, True), (76, False)])
def test_effects_for_more_than_half_of_the_rows_are_too_many(levels, judged):
    tree = tree_of(simulated("constant")[7], simulated("poisson"), "poisson", groups={"obs": {"levels": levels}})
    assert ("cannot judge it" in " ".join(dispersion.find(tree, 0.95).sentences)) != judged


@pytest.mark.parametrize(("far", "said"), [(9, True), (10, False), (11, False)])
@pytest.mark.parametrize(("zeros_there", "word"), [(2, "more"), (18, "fewer")])
def test_zeros_are_told_from_one_in_a_hundred_data_sets_on(far, said, zeros_there, word):
    """Of 1000 predicted data sets of 20 rows, `far` have as many zeros as the data, which have ten; the others fewer or more."""
    number = np.where(np.arange(1000) < far, 10, zeros_there)
    drawn = (np.arange(20) >= number[:, None]).astype(int)
    found = zeros.find(tree_of((np.arange(20) >= 10).astype(int), drawn, "poisson"), 0.9)
    assert (f"There are {word} zeros than the model predicts." in " ".join(found.sentences)) == said
    assert found.tables["check"].loc["zeros", "p"] == pytest.approx(far / 1000 if word == "more" else 1.0)
    low = high = zeros_there
    assert (
        f"10 of 20 counts are zero; data predicted by the model have {low} to {high} zeros (90\u00a0%), median {low}."
        in found.sentences
    )


@pytest.mark.parametrize(("share", "word"), [(0.009, "more than"), (0.011, None), (0.989, None), (0.991, "less than")])
def test_dispersion_is_told_from_one_in_a_hundred_data_sets_on(share, word):
    """Counts as far from their means, in sds, as that share of predicted data sets is or farther."""
    drawn = simulated("poisson")[:, :40].astype(float)
    drawn = np.tile(drawn, (5, 1)) + np.repeat(np.arange(5), 400)[:, None] / 100  # 2000 different ones
    mean, sd = drawn.mean(axis=0), drawn.std(axis=0)
    predicted = np.sort(np.mean(((drawn - mean) / sd) ** 2, axis=1))[::-1]
    k = round(2000 * share)
    observed = (predicted[k - 1] + predicted[k]) / 2
    y = mean + np.where(np.arange(40) % 2, 1, -1) * np.sqrt(observed) * sd
    found = dispersion.find(tree_of(y, drawn, "poisson"), 0.8)
    row = found.tables["check"].loc["Pearson dispersion"]
    np.testing.assert_allclose(row.to_numpy(), [observed, *np.quantile(predicted, [0.1, 0.9]), share], rtol=1e-9)
    assert (
        f"is {observed:.2f}, each" in found.sentences[0]
        and f"as large as this in {100 * share:.1f}\u00a0%." in found.sentences[0]
    )
    assert len(found.sentences) == (1 if word is None else 2)
    assert word is None or f"The counts vary {word} the model" in found.sentences[1]


def test_weights_of_the_other_rows_are_truncated():
    """1 / p(y_i) of every draw, but at most sqrt(draws) times their mean (Ionides 2008)."""
    rng = np.random.default_rng(5)
    y, drawn = rng.poisson(3.0, 30).astype(float), simulated("poisson")[:, :30].astype(float)
    log_p = -3 * rng.exponential(size=(400, 30)) ** 2
    mean, variance = [], []
    for i in range(30):
        w = np.exp(-log_p[:, i])
        w = np.minimum(w, 20 * w.mean())
        w = w / w.sum()
        mean.append(w @ drawn[:, i])
        variance.append(max(w @ (drawn[:, i] - mean[-1]) ** 2, 1 / 400))
    row = dispersion.find(tree_of(y, drawn, "poisson", log_p), 0.9).tables["check"].loc["Pearson dispersion"]
    assert row["observed"] == pytest.approx(np.mean((y - mean) ** 2 / np.array(variance)))


def test_counts_that_vary_exactly_as_predicted_vary_neither_more_nor_less():
    drawn = np.tile([[0, 2], [2, 0]], (32, 10))
    found = dispersion.find(tree_of(drawn[0], drawn, "poisson"), 0.9)
    assert len(found.sentences) == 1 and found.tables["check"]["p"].item() == 1


def test_only_draws_with_prediction_and_density_count():
    """Files that keep every second draw of one and every third of the other."""
    rng, y = np.random.default_rng(6), simulated("poisson")[7]
    drawn, log_p = simulated("poisson")[:300], -rng.exponential(size=(300, 150))
    tree = tree_of(y, drawn, "poisson", log_p)
    for group, step in (("posterior_predictive", 2), ("log_likelihood", 3)):
        kept = tree[group].to_dataset().assign_coords(chain=[0], draw=np.arange(300))
        tree[group] = xr.DataTree(kept.isel(draw=slice(None, None, step)))
    both = dispersion.find(tree_of(y, drawn[::6], "poisson", log_p[::6]), 0.9).tables["check"]
    pd.testing.assert_frame_equal(dispersion.find(tree, 0.9).tables["check"], both)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "alarms"), [(None, 0), (4.0, 1)], ids=["poisson", "overdispersed"])
def test_group_effects_of_few_rows_do_not_hide_overdispersion(size, alarms):
    """60 groups of 5 rows; without weights the dispersion of both data sets is well below 1."""
    rng, n = np.random.default_rng(0), 300
    x, g = rng.normal(size=n), np.arange(n) % 60
    mu = np.exp(0.8 + 0.3 * x + rng.normal(0, 0.6, 60)[g])
    y = rng.poisson(mu if size is None else mu * rng.gamma(size, 1 / size, n))
    tree = zoo.fit(zoo.poisson(pd.DataFrame({"y": y, "x": x, "g": g}), "y ~ x + (1 | g)"), seed=1, progress=False)
    sentences = zoo.findings(tree)["dispersion"].sentences
    assert len(sentences) == 1 + alarms, sentences


UNITS = {
    "row": ({"exposure": None, "per": 1.0}, "per row"),
    "rows": ({"exposure": None, "per": 100.0}, "per 100 rows"),
    "unit of exposure": ({"exposure": "days", "per": 1.0}, "per unit of days"),
    "units of exposure": ({"exposure": "days", "per": 1000.0}, "per 1000 units of days"),
}


@pytest.mark.parametrize(("facts", "words"), UNITS.values(), ids=UNITS)
def test_rates_at_zero_and_at_the_means(facts, words):
    spec = {"facts": {**facts, "of": "expected count"}, "learnt": {"": {"means": [0.5, -1.0]}}}
    found = rates.find(tree_of(np.ones(2), np.ones((3, 2)), "poisson", **spec), 0.95)
    per = facts["per"]
    np.testing.assert_allclose(found.quantities["rate[covariates at zero]"], per * np.exp([[0.0, 1.0, 2.0]]))
    np.testing.assert_allclose(found.quantities["rate[covariates at means]"], per * np.exp([[-1.5, -0.5, 0.5]]))
    assert found.meanings["rate"].startswith(f"expected count {words}") and "group" not in found.meanings["rate"]
    grouped = rates.find(tree_of(np.ones(2), np.ones((3, 2)), "poisson", **spec, groups={"g": {}}), 0.95)
    assert grouped.meanings["rate"].startswith(f"expected count {words}, at group effects of zero")


@pytest.fixture(scope="module")
def fitted() -> xr.DataTree:
    """Overdispersed counts of 0.02 a day, fitted by Poisson."""
    rng, n = np.random.default_rng(5), 200
    days = rng.uniform(50, 400, n)
    x = rng.normal(size=n)
    mu = 0.02 * days * np.exp(0.4 * x)
    frame = pd.DataFrame(
        {"falls": rng.negative_binomial(1.0, 1 / (1 + mu)), "x": x, "days": days, "ward": np.arange(n) % 8}
    )
    model = zoo.poisson(frame, "falls ~ x + (1 | ward)", exposure="days", per=365.25)
    return zoo.fit(model, draws=250, tune=300, chains=2, seed=2, progress=False)


def test_summary_has_ratios_and_rates(fitted):
    found, p = zoo.summary(fitted), fitted["posterior"].dataset
    beta = p["beta"].sel(coef="x").values
    assert found.loc["rate_ratio[x]", "mean"] == pytest.approx(np.exp(beta).mean())
    yearly = 365.25 * np.exp(p["Intercept"].values)
    assert found.loc["rate[covariates at zero]", "median"] == pytest.approx(np.median(yearly))
    assert 3 < yearly.mean() < 13
    at_means = 365.25 * np.exp(p["Intercept_at_means"].values)
    assert found.loc["rate[covariates at means]", "mean"] == pytest.approx(at_means.mean(), rel=1e-9)
    assert "median_rate_ratio[ward]" in found.index


def test_answers_and_figures_have_the_units_of_rates_that_the_builder_was_told(fitted):
    asked, daily = zoo.predictions(fitted, by=True), zoo.predictions(fitted, by=True, per=1)
    assert "per 365.25 units of days" in asked.sentence
    np.testing.assert_allclose(asked.draws["value"], 365.25 * daily.draws["value"], rtol=1e-12)
    zeros = (zoo.predictions(fitted, by=True, scale="zero", **per).draws["value"] for per in ({}, {"per": 1}))
    np.testing.assert_array_equal(*zeros)
    title = f"rate of falls per {365.25:g} units of days"
    assert title in zoo.paragraphs(fitted)["results"]
    assert title.capitalize() in set(zoo.table(fitted).data["heading"])
    data, seen = storage.stored_table(fitted), raw_data(fitted)
    np.testing.assert_allclose(seen.values / seen.sizes, 365.25 * data["falls"] / data["days"])


def test_overdispersion_reaches_file_and_reports(fitted, tmp_path: Path):
    loaded = zoo.load(zoo.save(fitted, tmp_path / "fit.nc"))
    pd.testing.assert_frame_equal(zoo.summary(loaded), zoo.summary(fitted))
    here, there = zoo.findings(fitted), zoo.findings(loaded)
    assert {n: f.sentences for n, f in here.items()} == {n: f.sentences for n, f in there.items()}
    advice = here["dispersion"].sentences[1]
    assert "vary more than the model allows" in advice and "negative_binomial" in advice
    assert json.loads(loaded["report/dispersion"].attrs["sentences"]) == list(here["dispersion"].sentences)
    stored = loaded["report/zeros/check"].dataset
    assert stored["observed"].item() == (fitted["observed_data"]["falls"].values == 0).sum()
    lines = "\n".join(str(line) for line in terminal.full_report(loaded))
    html = zoo.write_report(loaded, tmp_path / "fit.html").read_text()
    for name in ("dispersion", "zeros"):
        assert here[name].sentences[0] in lines
        assert here[name].sentences[0] in html
    assert advice in lines and "covariates at zero" in html and "per 365.25 units of days" in html
