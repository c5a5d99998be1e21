"""Three verdicts: false alarms of true models, alarms of wrong ones, limits just below and just above, words with their numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.results.design_limits import design_limits
from glmm_zoo.results.diagnostics import Problem, Verdict
from glmm_zoo.results.fit_checks import fit_checks
from glmm_zoo.results.fit_checks.binary import calibration
from glmm_zoo.results.fit_checks.fit_check import FitCheck, usual_number
from glmm_zoo.results.fit_checks.spread import judged_spread
from glmm_zoo.results.predicted_rows import predicted_rows, rows_alike
from glmm_zoo.results.storage import metadata, write_metadata
from glmm_zoo.results.studies import studies_apart
from glmm_zoo.results.verdicts import _fit, verdicts
from tests.predicted_trees import common_rate, group_of, predicted_tree, shares_of_groups, straight_line

SOUND = Verdict(
    True, (), pd.DataFrame({"r_hat": [1.0012], "ess_bulk": [2500.0], "ess_tail": [2345.0]}, pd.Index(["Intercept"]))
)


def named(tree: xr.DataTree, name: str):
    """The check of that name, the worst where there are several."""
    found = [check for check in fit_checks(tree) if check.name == name]
    return min(found, key=lambda check: check.p)


# -------------------------------------------------------------------------------------------------------- false alarms


def line(rng: np.random.Generator) -> xr.DataTree:
    x = rng.uniform(0, 10, 120)
    return straight_line(x, 2 + 0.3 * x + rng.normal(size=120), rng)


def rate(rng: np.random.Generator) -> xr.DataTree:
    return common_rate(rng.poisson(2.0, 80), rng)


def binary(rng: np.random.Generator) -> xr.DataTree:
    group = np.repeat(np.arange(20), 10)
    return shares_of_groups(rng.binomial(1, rng.beta(2, 2, 20)[group]), group, rng)


def binomial(rng: np.random.Generator) -> xr.DataTree:
    group = np.repeat(np.arange(12), 5)
    return shares_of_groups(rng.binomial(12, rng.beta(2, 2, 12)[group]), group, rng, trials=12)


@pytest.mark.parametrize("simulate", [line, rate, binary, binomial])
def test_true_models_are_seldom_doubted_and_never_called_unsound(simulate):
    """At most one in ten; of 60 data sets ten or fewer, which a rate of one in ten exceeds with probability 0.03."""
    rng = np.random.default_rng(1)
    states = [{check.state for check in fit_checks(simulate(rng))} for _ in range(60)]
    assert sum("caution" in found for found in states) <= 10
    assert not any("unsound" in found for found in states)


# -------------------------------------------------------------------------------------------------------------- spread


@pytest.mark.parametrize(
    ("far", "ratio", "state"),
    [
        (51, 1.5, "sound"),
        (49, 1.5, "caution"),
        (11, 1.5, "caution"),
        (1, 3.0, "caution"),
        (0, 1.9, "caution"),
        (0, 2.1, "unsound"),
    ],
)
def test_limits_of_the_spread(far, ratio, state):
    """Of 1000 predicted data sets so many vary as much as observed; the observed spread is `ratio` times the mean one."""
    expected = np.full(1000, 1.0)
    expected[:far] = ratio + 1e-9
    found = judged_spread("y", "binomial", "hierarchical_logistic", ratio * expected.mean(), np.minimum(expected, 1e9))
    expected[:far] = 10.0
    found = judged_spread("y", "binomial", "hierarchical_logistic", ratio * expected.mean(), expected)
    assert found.state == state
    assert found.p == far / 1000 and found.ratio == pytest.approx(ratio)
    assert found.sentences[0].startswith(f"Residuals vary {ratio:.1f} times as much as expected (P ")
    assert ("(1 | row)" in found.sentences[0]) == (state != "sound")


@pytest.mark.parametrize(("close", "state"), [(9, "caution"), (11, "sound")])
def test_less_spread_is_a_doubt_from_one_in_a_hundred_on(close, state):
    expected = np.full(1000, 1.0)
    expected[:close] = 0.1
    found = judged_spread("y", "count", "poisson", 0.5, expected)
    assert found.state == state and ("wider than need be" in found.sentences[0]) == (state == "caution")


def test_spread_of_binomial_counts_by_leaving_rows_out_exactly():
    """Rows with shares of their own under Beta(4, 4): without row i its share has that prior again."""
    rng = np.random.default_rng(2)
    y = rng.binomial(3, rng.beta(4, 4, 150))
    share = rng.beta(4 + y, 4 + 3 - y, (1000, 150))
    tree = predicted_tree(
        y, rng.binomial(3, share), link="logit", log_p=stats.binom.logpmf(y, 3, share), builder="hierarchical_logistic"
    )
    exact = stats.betabinom(3, 4, 4)
    assert named(tree, "spread").ratio == pytest.approx(np.mean((y - exact.mean()) ** 2 / exact.var()), rel=0.1)


def test_more_spread_is_said_in_the_title_with_what_to_do():
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(12), 5)
    y = rng.binomial(12, rng.beta(1, 1, 60))
    found = verdicts(shares_of_groups(y, group, rng, trials=12), SOUND).fit
    assert found.state == "unsound" and "of more spread than a binomial allows" in found.title
    assert (
        "intervals are too narrow. Fit beta_binomial, or add a column that numbers the rows and the term (1 | row), and compare."
        in found.sentences[0]
    )


def test_binary_rows_that_are_alike_are_added_up():
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(20), 10)
    tree = shares_of_groups(rng.binomial(1, 0.5, 200), group, rng)
    (rows,) = predicted_rows(tree)
    sums = rows_alike(tree, rows)
    assert sums is not None
    np.testing.assert_array_equal(sums.y, np.bincount(group, rows.y))
    np.testing.assert_array_equal(sums.drawn[:, 3], rows.drawn[:, group == 3].sum(axis=1))
    log_p = tree["log_likelihood"].dataset["y"].values[0][:, group == 3].sum(axis=1)
    weights = np.exp(-log_p - (-log_p).max())
    weights = np.minimum(weights, np.sqrt(len(weights)) * weights.mean())
    np.testing.assert_allclose(sums.weights[:, 3], weights / weights.sum(), rtol=1e-6)


def test_with_an_effect_for_every_row_those_drawn_anew_count():
    rng = np.random.default_rng(5)
    y = np.concatenate([np.full(78, 3), [40, 41]])
    groups = {"obs": group_of(80, "obs")}
    anew = rng.poisson(3.0, (200, 80))
    tree = predicted_tree(y, np.tile(y, (50, 1)), link="log", builder="poisson", groups=groups, new_groups=anew)
    assert "was not judged" in named(tree, "spread").sentences[0]
    assert named(tree, "outside").sentences[0] == (
        "2 of 80 rows lie outside the 95\xa0% interval predicted for them with effects drawn anew (at most 7 would be usual)."
    )


@pytest.mark.parametrize("of", [13, 56, 600])
def test_the_usual_number_outside(of):
    assert usual_number(of, 0.05) == stats.binom(of, 0.05).ppf(0.95)


def test_counts_of_another_shape():
    rng = np.random.default_rng(6)
    y = rng.permutation(np.repeat([0, 4], 60))
    found = named(common_rate(y, rng), "distribution")
    assert found.state == "caution" and re.search("60 rows have [04], and", found.sentences[0])


# ---------------------------------------------------------------------------------------------------------- covariates


def test_a_bend_is_seen_where_it_is_and_named():
    rng = np.random.default_rng(7)
    x = np.sort(rng.uniform(0, 10, 150))
    y = 0.12 * (x - 5) ** 2 + rng.normal(size=150)
    found = verdicts(straight_line(x, y, rng), SOUND).fit
    assert found.state == "caution" and found.title.endswith("of a bend along x.")
    first = found.sentences[0]
    line = np.polynomial.Polynomial.fit(x, y, 1)
    (low, high), (away, way) = _read(first)
    inside = (x >= low - 0.005) & (x <= high + 0.005)
    mean = (y - line(x))[inside].mean()
    assert away == pytest.approx(abs(mean), rel=0.1) and way == ("above" if mean > 0 else "below")
    assert found.sentences[1] == "Add a bend, I(x**2), and compare."


def _read(words: str) -> tuple[tuple[float, float], tuple[float, str]]:
    """The first stretch of the sentence on a pattern, and how far the mean is off there."""
    parts = words.split("from ")[1].split()
    number, way = words.split(" is ")[1].split()[:2]
    return (float(parts[0]), float(parts[2])), (float(number), way)


def test_categories_out_of_place():
    rng = np.random.default_rng(8)
    x = np.repeat(["a", "b"], 60)
    y = np.where(x == "a", rng.integers(0, 3, 120), 1)  # b has the middle one only
    drawn = rng.integers(0, 3, (500, 120))
    tree = predicted_tree(y, drawn, link="logit", columns={"x": x}, builder="ordinal", family="ordinal")
    found = named(tree, "categories")
    assert found.state == "caution" and "nominal='~ x'" in found.sentences[1]
    drawn = np.where(x == "a", drawn, 1)
    assert (
        named(
            predicted_tree(y, drawn, link="logit", columns={"x": x}, builder="ordinal", family="ordinal"), "categories"
        ).state
        == "sound"
    )


# ---------------------------------------------------------------------------------------------- binary and continuous


def test_calibration_by_bins():
    """Under each draw: rows sorted by their shares, 40 in a bin."""
    rng = np.random.default_rng(9)
    group = np.repeat(np.arange(40), 10)
    y = rng.binomial(1, rng.beta(2, 2, 40)[group])
    tree = shares_of_groups(y, group, rng)
    (rows,) = predicted_rows(tree)
    found = calibration(rows)
    assert found is not None
    log_p = tree["log_likelihood"].dataset["y"].values[0][::10]
    expected, observed, p = [], [], []
    for one in np.where(y == 1, np.exp(log_p), 1 - np.exp(log_p)):
        bins = np.argsort(one).reshape(10, 40)
        expected.append(one[bins].mean(axis=1))
        observed.append(y[bins].mean(axis=1))
        variance = (one * (1 - one))[bins].sum(axis=1)
        p.append(stats.chi2.sf(((y[bins] - one[bins]).sum(axis=1) ** 2 / variance).sum(), 10))
    np.testing.assert_allclose(found.expected, np.mean(expected, axis=0))
    np.testing.assert_allclose(found.observed, np.mean(observed, axis=0), atol=0.02)  # ties within groups
    assert found.p == pytest.approx(np.mean(p), abs=0.05)


def test_predictions_out_of_line():
    """Predicted with certainty that is too large."""
    rng = np.random.default_rng(10)
    x = rng.normal(size=400)
    share = 1 / (1 + np.exp(-3 * x))
    y = rng.binomial(1, 0.5 + (share - 0.5) / 2)
    log_p = np.tile(np.log(np.where(y == 1, share, 1 - share)), (200, 1))
    tree = predicted_tree(
        y, rng.binomial(1, share, (200, 400)), link="logit", log_p=log_p, builder="hierarchical_logistic"
    )
    found = named(tree, "calibration")
    assert found.state == "caution" and "Predictions are out of line with the data (P < 0.01)" in found.sentences[0]


def test_a_density_of_a_subject_is_not_that_of_its_rows():
    """What `never_at_risk` stores is the density of all visits of a subject; shares of single visits do not follow from it."""
    rng = np.random.default_rng(12)
    subject = np.repeat(np.arange(100), 5)
    y = rng.binomial(1, rng.beta(2, 2, 100)[subject])
    tree = shares_of_groups(y, subject, rng)
    of_rows = tree["log_likelihood"].dataset["y"].values
    of_subjects = np.add.reduceat(of_rows, np.arange(0, 500, 5), axis=2)
    tree["log_likelihood"] = xr.DataTree(
        xr.Dataset({"y": (("chain", "draw", "g"), of_subjects)}, {"g": np.arange(100).astype(str)})
    )
    (rows,) = predicted_rows(tree)
    assert rows.log_p is None and calibration(rows) is None
    weights = np.exp(-of_subjects[0] + of_subjects[0].min(axis=0))
    weights = np.minimum(weights, np.sqrt(1000) * weights.mean(axis=0))
    np.testing.assert_allclose(rows.weights, (weights / weights.sum(axis=0))[:, subject])


def test_a_response_in_backticks_is_no_covariate():
    rng = np.random.default_rng(13)
    tree = straight_line(np.arange(60.0), rng.normal(size=60), rng)
    constant = tree["constant_data"].dataset
    constant["y"].attrs["column"], constant["x"].attrs["column"] = "log UPCR (g)", "visit no"
    known = metadata(tree)
    write_metadata(tree, {**known, "spec": {**known["spec"], "formula": "`log UPCR (g)` ~ `visit no`"}})
    (rows,) = predicted_rows(tree)
    assert list(rows.covariates) == ["visit no"]


def test_values_far_off_are_named():
    rng = np.random.default_rng(11)
    x, y = np.arange(100.0), rng.normal(size=100)
    y[[7, 40]] = 9.0, -11.0
    found = named(straight_line(x, y, rng), "tails")
    assert found.state == "caution"
    assert "2 of 100 values lie outside the 99.8\xa0% interval" in found.sentences[0] and re.search(
        "rows (8, 41|41, 8)", found.sentences[0]
    )


def test_studies_against_what_is_expected_of_them():
    """The ends of the interval by the distribution function of the mixture over the draws."""
    from tests.hand_made_trees import tree_of

    n = np.array([40, 300, 80, 150, 60])
    events = np.array([[8, 4], [60, 30], [16, 9], [30, 31], [3, 0]])
    data = pd.DataFrame(
        {"s": np.repeat(list("abcde"), 2), "treat": [0, 1] * 5, "n": np.repeat(n, 2), "y": events.ravel()}
    )
    model = zoo.meta_analysis(data, "y | trials(n) ~ treat", study="s", treatment="treat")
    rng = np.random.default_rng(12)
    effect, tau = rng.normal(-0.6, 0.1, (1, 4000)), np.abs(rng.normal(0, 0.3, (1, 4000)))
    study = {"study_effect": np.zeros((1, 4000, 5)), "study_Intercept": np.zeros((1, 4000, 5))}
    found = studies_apart(tree_of(model, {"effect": effect, "tau": tau, **study}))
    control, treated = events.T
    odds = [np.log(e[:4]) - np.log((n - e)[:4]) for e in (treated, control)]
    np.testing.assert_allclose(found.own[:4], odds[0] - odds[1])
    assert found.own[4] == pytest.approx(np.log(0.5 / 60.5) - np.log(3.5 / 57.5))
    treated, control, n = treated[:4], control[:4], n[:4]
    error = np.sqrt(1 / treated + 1 / (n - treated) + 1 / control + 1 / (n - control))
    for k in range(4):
        spread = np.hypot(tau[0], error[k])
        assert stats.norm.cdf(found.lower[k], effect[0], spread).mean() == pytest.approx(0.025, abs=0.01)
        assert stats.norm.cdf(found.upper[k], effect[0], spread).mean() == pytest.approx(0.975, abs=0.01)


# -------------------------------------------------------------------------------------------------- sampling and design


def test_sampling_in_words():
    tree = line(np.random.default_rng(13))
    found = verdicts(tree, SOUND).sampling
    assert str(found) == (
        "Sampling: sound. The four chains agree (R-hat at most 1.001), the estimates rest on at least 2345 effective draws, there were no "
        "divergences. Another seed would move an estimate by about 2\xa0% of its standard deviation."
    )
    problem = Problem("rhat", "R-hat is 1.3 for x", "The chains do not agree.", "Try more draws.")
    bad = verdicts(tree, Verdict(False, (problem,), SOUND.table)).sampling
    assert (bad.state, bad.title, bad.sentences) == ("unsound", "Sampling: not to be trusted yet.", (str(problem),))
    few = Problem("divergences", "1 divergent transition", "All else is in order.", "Try target_accept=0.95.")
    remarked = verdicts(tree, Verdict(True, (), SOUND.table, (few,))).sampling
    assert remarked.state == "caution" and remarked.title == "Sampling: sound, with 1 remark."
    assert "no divergences" not in str(remarked) and str(few) in remarked.sentences
    retried = Problem("retried", "1 run abandoned", "Only the last run counts.", "Give target_accept.")
    assert verdicts(tree, Verdict(True, (), SOUND.table, (retried,))).sampling.state == "sound"


def test_checks_of_several_outcomes_name_them():
    checks = [FitCheck("pattern", name, "sound", ("Along week, no pattern.", "More.")) for name in ("SBP", "log UPCR")]
    assert _fit(checks).sentences[::2] == ("SBP: along week, no pattern.", "log UPCR: along week, no pattern.")
    assert _fit(checks[:1]).sentences == ("Along week, no pattern.", "More.")


def changed(tree: xr.DataTree, **spec) -> xr.DataTree:
    content = metadata(tree)
    copy = tree.copy()
    write_metadata(copy, {**content, "spec": {**content["spec"], **spec}})
    return copy


@pytest.mark.parametrize(("levels", "grave"), [(4, True), (5, False)])
def test_few_levels(levels, grave):
    tree = changed(
        line(np.random.default_rng(1)),
        groups={"site": group_of(levels, "site")},
        priors={"sd_site": "Exponential(1)"},
    )
    found = verdicts(tree, SOUND).design
    assert (found.state == "caution") == grave
    assert any("rests on its prior, Exponential(1)" in sentence for sentence in found.sentences) == grave


@pytest.mark.parametrize(("dropped", "grave"), [(13, False), (14, True)])
def test_rows_left_out(dropped, grave):
    """Of 120 rows and those dropped a tenth is 13.3 and 13.4."""
    tree = changed(line(np.random.default_rng(1)), data={"rows": 120, "dropped": dropped})
    (limit,) = design_limits(tree)
    assert limit.sentence.startswith(f"{dropped} of {120 + dropped} rows were left out") and limit.grave == grave


@pytest.mark.parametrize(("share", "said"), [(100, False), (101, True)])
def test_a_group_with_most_of_the_rows(share, said):
    rng = np.random.default_rng(1)
    group = np.where(np.arange(200) < share, 0, 1 + np.arange(200) % 9)
    found = list(design_limits(shares_of_groups(rng.binomial(1, 0.5, 200), group, rng)))
    assert any("of the rows are of one g, 0" in limit.sentence for limit in found) == said


def test_what_a_stepped_wedge_cannot_tell():
    design = {"periods": ["0", "1", "2"], "treated": [["0", "1", "1"], ["0", "0", "1"]]}
    tree = changed(
        line(np.random.default_rng(1)),
        builder="stepped_wedge",
        facts={"map": design},
        options={"exposure_time": "constant"},
    )
    found = verdicts(tree, SOUND).design
    assert found.title == "Design."
    assert found.sentences == (
        "In period 0 no cluster was treated and in period 2 every cluster was treated: these periods alone say nothing of the effect.",
        "The effect rests on the model of time in period 1, in which both conditions were seen.",
        "The effect is taken to be the same however long a cluster was exposed; exposure_time='categorical' does without.",
    )


# ------------------------------------------------------------------------------------------------------------ the file


def test_a_fresh_fit_a_loaded_one_and_the_file_say_the_same(tree, tmp_path: Path):
    loaded = zoo.load(zoo.save(tree, tmp_path / "fit.nc"))
    fresh = zoo.verdicts(tree)
    assert str(zoo.verdicts(loaded)) == str(fresh) and len(str(fresh).splitlines()) == 3
    stored = loaded["report/verdicts"].dataset
    for name in ("sampling", "fit", "design"):
        judged = getattr(fresh, name)
        kept = json.loads(stored.attrs[name])
        assert (kept["state"], kept["title"], tuple(kept["sentences"])) == (
            judged.state,
            judged.title,
            judged.sentences,
        )
    assert stored["check"].values.tolist() == [check.name for check in fresh.checks]
    np.testing.assert_array_equal(stored["p"], [check.p for check in fresh.checks])


def test_a_fit_of_an_older_version(tree):
    """Without log-likelihood, table and family, all is judged that can be."""
    older = tree.copy()
    del older["log_likelihood"], older["constant_data"]
    content = metadata(older)
    del content["spec"]["family"]
    write_metadata(older, content)
    found = zoo.verdicts(older, zoo.check(tree))
    assert found.fit.state == "sound" and found.sampling.title == zoo.verdicts(tree).sampling.title
