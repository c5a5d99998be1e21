"""Stepped-wedge trials: designs that cannot be analysed, effects that decay, limits, simulated trials, published numbers."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_models
from data_sets import data_set
from reference_posteriors import reference
from rows import trial
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.trials.stepped_wedge import WedgeDesign, read_stepped_wedge
from glmm_zoo.trials.wedge_columns import TrialColumns

FORMULA = "k | trials(n) ~ 1"


def build(frame: pd.DataFrame, formula: str = FORMULA, **options: Any) -> Any:
    return row_models.builder("stepped_wedge")(frame, formula, **options)


def design(frame: pd.DataFrame, **roles: str | None) -> WedgeDesign:
    found = {
        "cluster": "cluster",
        "period": "period",
        "treatment": "treat",
        "crossover": None,
        "subject": None,
        **roles,
    }
    return read_stepped_wedge(frame, "x ~ 1", TrialColumns(**found), lambda table, response: None)  # type: ignore[arg-type, return-value]


# ----------------------------------------------------------------------------------------------------- effects that decay


def test_decaying_effects_are_normal_with_correlation_rho_to_the_distance():
    """Clusters c3 and c6 were not seen in some periods, so that distances of 2 and 3 follow the first level."""
    model = row_models.model_of("wedge, decay")
    u, sd, rho = (model[name] for name in ("u_cluster:period", "sd_cluster:period", "rho"))
    z = model.rvs_to_values[u].name
    run = row_models.function(
        model,
        [*model.replace_rvs_by_values([u, sd, rho]), *(model.logp(vars=[u], jacobian=j) for j in (False, True))],
    )
    cluster, period = np.array([label.split(":") for label in model.coords["cluster:period"]]).T
    apart = np.abs(np.subtract.outer(period.astype(int), period.astype(int)))
    assert {2, 3} <= set(apart[cluster[:, None] == cluster].ravel().tolist())
    for seed in range(3):
        point = row_models.random_point(model, seed)
        effects, scale, r, plain, with_jacobian = run(point)
        S = np.where(cluster[:, None] == cluster, scale**2 * r**apart, 0.0)
        np.testing.assert_allclose(plain, stats.multivariate_normal(cov=S).logpdf(effects[:, 0]), rtol=1e-9)
        J = row_models.jacobian(lambda x: run({**point, z: x[:, None]})[0].ravel(), point[z].ravel())  # noqa: B023
        np.testing.assert_allclose(with_jacobian - plain, np.linalg.slogdet(J)[1], rtol=1e-6, atol=1e-7)
        transform = model.rvs_to_transforms[u]
        again = transform.forward(u, *u.owner.inputs)
        np.testing.assert_allclose(again.eval({u: effects, rho: r, sd: scale}), point[z], rtol=1e-6)


def test_prior_draws_of_decaying_effects_have_that_correlation():
    import pymc as pm

    frame = zoo.simulate_design(clusters=200, periods=4, size=5, seed=1)
    model = build(frame, "y | trials(n) ~ 1", correlation="decay")
    fixed = pm.do(model, {"rho": 0.6, "sd_cluster:period": np.array([0.8])})
    u = pm.draw(fixed["u_cluster:period"], draws=20, random_seed=2)[..., 0].reshape(-1, 4)
    S = 0.8**2 * 0.6 ** np.abs(np.subtract.outer(range(4), range(4)))
    np.testing.assert_allclose(np.cov(u.T), S, atol=5 * 0.8**2 * np.sqrt(2 / len(u)))


def likelihood(model: Any, point: dict[str, Any]) -> np.ndarray:
    return row_models.function(model, model.logp(vars=model.observed_RVs, sum=False))(point)[0]


def common(model: Any, seed: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "Intercept_at_means": rng.normal(),
        "beta": rng.normal(size=len(model.coords["coef"])),
        "effect": rng.normal(),
    }


@pytest.mark.promise("limits")
def test_decay_with_rho_one_is_exchangeable():
    frame, rng = trial(), np.random.default_rng(3)
    decay, plain = build(frame, correlation="decay"), build(frame)
    z = rng.normal(size=(8, 1))
    cells = np.array([label.split(":")[0] for label in decay.coords["cluster:period"]])
    first = ~pd.Series(cells).duplicated().values
    values = common(plain)
    logit = 60.0  # rho = 1 - 1e-26, which is 1: no innovation after the first period
    at = {**values, "sd_cluster:period_log__": np.log([0.7]), "rho_logodds__": logit}
    moving = np.where(first, z[np.searchsorted(list(plain.coords["cluster"]), cells), 0], rng.normal(size=len(cells)))
    limit = likelihood(decay, {**at, "u_cluster:period_z__": moving[:, None]})
    exact = likelihood(plain, {**values, "sd_cluster_log__": np.log([0.7]), "u_cluster_z__": z})
    np.testing.assert_allclose(limit, exact, rtol=1e-12)


@pytest.mark.promise("limits")
def test_nested_exchangeable_without_variance_between_periods_is_exchangeable():
    frame, rng = trial(), np.random.default_rng(5)
    nested, plain = build(frame, correlation="nested_exchangeable"), build(frame)
    values = {**common(plain), "sd_cluster_log__": np.log([0.7]), "u_cluster_z__": rng.normal(size=(8, 1))}
    cells = rng.normal(size=(len(nested.coords["cluster:period"]), 1))
    limit = likelihood(nested, {**values, "sd_cluster:period_log__": np.array([-40.0]), "u_cluster:period_z__": cells})
    np.testing.assert_allclose(limit, likelihood(plain, values), rtol=1e-12)


@pytest.mark.promise("limits")
def test_monotone_with_one_exposure_time_is_constant():
    frame = trial().query("period < 2")
    constant, monotone = (build(frame, exposure_time=e) for e in ("constant", "monotone"))
    assert monotone.coords["exposure_time"] == ("1",) and "exposure_shares" not in monotone.named_vars
    point = row_models.random_point(constant, 2)
    renamed = {"long_term_effect" if name == "effect" else name: value for name, value in point.items()}
    (here,), (there,) = (row_models.function(m, [m.logp()])(p) for m, p in ((constant, point), (monotone, renamed)))
    assert here == pytest.approx(there, rel=1e-12)


def test_monotone_effects_rise_by_their_shares_under_dirichlet():
    model = build(
        trial(),
        exposure_time="monotone",
        priors={"exposure_shares": "Dirichlet(2.5)", "long_term_effect": "Normal(1, 2)"},
    )
    names = ["effect", "long_term_effect", "exposure_shares"]
    rest = [model["long_term_effect"], model["exposure_shares"]]
    run = row_models.function(
        model, [*model.replace_rvs_by_values([model[n] for n in names]), model.logp(vars=rest, jacobian=False)]
    )
    effect, last, shares, density = run(row_models.random_point(model, 6))
    np.testing.assert_allclose(effect, last * np.cumsum(shares))
    expected = stats.norm(1, 2).logpdf(last) + stats.dirichlet(np.full(3, 2.5)).logpdf(shares)
    np.testing.assert_allclose(density, expected)


# ------------------------------------------------------------------------------------------------- periods and treatment


@pytest.mark.parametrize(
    ("labels", "order", "steps"),
    [
        ({0: "10", 1: "2", 2: "3", 3: "11"}, ("2", "3", "10", "11"), (0, 1, 8, 9)),  # by value although text
        (
            {0: "2.1.2020", 1: "15.1.2020", 2: "1.2.2020", 3: "1.1.2021"},
            ("2.1.2020", "15.1.2020", "1.2.2020", "1.1.2021"),
            (0, 1, 2, 3),
        ),
        ({0: "2", 1: "10", 2: "3", 3: "1"}, ("1", "2", "3", "10"), (0, 1, 2, 9)),
        ({0: 0, 1: 3, 2: 6, 3: 12}, ("0", "3", "6", "12"), (0, 1, 2, 4)),
        ({0: 0, 1: 6, 2: 9, 3: 12}, ("0", "6", "9", "12"), (0, 2, 3, 4)),
        ({0: 0.0, 1: 1.0, 2: 1.7, 3: 9.0}, ("0.0", "1.0", "1.7", "9.0"), (0, 1, 2, 3)),
    ],
    ids=["numbers as text", "text in another order", "dates", "months", "a gap first", "no grid"],
)
def test_periods_are_in_time_order_and_count_steps(labels, order, steps):
    frame = trial()
    frame["period"] = frame.period.map(labels)
    frame["treat"] = (
        frame.period.map(order.index if isinstance(labels[0], str) else float).rank(method="dense") > 2
    ) * 1
    frame.loc[frame.cluster == "c8", "treat"] = 0
    found = design(frame)
    assert found.periods == order and tuple(found.steps) == steps
    assert [found.periods[i] for i in found.period] == frame.period.astype(str).tolist()
    model = build(frame)
    assert model.coords["coef"][0].startswith("period[") and f"period[{order[0]}]" not in model.coords["coef"]
    assert set(model.coords["coef"]) == {f"period[{p}]" for p in order[1:]}


def seen(*clusters: str, periods: tuple[float, ...] = (0, 1, 2, 3, 4, 5, 6)) -> pd.DataFrame:
    """A row for each cluster c1, c2, ... in each period, from "0" under control, "1" treated and "." not seen."""
    rows = [
        (f"c{c}", period, int(mark))
        for c, marks in enumerate(clusters, 1)
        for period, mark in zip(periods, marks, strict=False)
        if mark != "."
    ]
    return pd.DataFrame(rows, columns=["cluster", "period", "treat"]).assign(x=0.0, k=1, n=2)


def test_exposure_counts_the_periods_in_which_nobody_was_seen():
    """Periods 0, 1, 3, 4, 8: from crossing over in 3, period 4 is the second and 8 the sixth."""
    found = design(seen("00111", "01111", "00001", periods=(0, 1, 3, 4, 8)))
    assert found.exposure.tolist() == [0, 0, 1, 2, 6, 0, 1, 3, 4, 8, 0, 0, 0, 0, 1]


def test_periods_and_clusters_that_compare_nothing_are_told():
    def told(*clusters: str) -> str:
        return " ".join(design(seen(*clusters)).notes)

    alone = "such a period alone says nothing of the effect"
    assert f"every cluster is treated in period 3 and no cluster is treated in period 0: {alone}" in told(
        "0001", "0111"
    )
    assert f"every cluster is treated in periods 1, 2, 3: {alone}" in told("0.11", "1111")
    assert alone not in told("0011", "1111", "0000") and "between clusters" not in told("0011", "1111", "0000")
    assert "no cluster is seen both under control and treated" in told("1111", "0000")


def test_clusters_whose_crossing_over_was_not_seen_are_told():
    """One that was treated when first seen, one not seen in the period before; of others nothing is said."""
    for clusters, late in (
        (("0011", "0111"), None),
        (("1111", "0011"), "1 cluster not seen .*c1"),
        (("0.11", "0001"), "1 cluster not seen .*c1"),
        (("1111", "0.11", "0111"), "2 clusters not seen .*c1, c2"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ZooWarning)  # few clusters
            notes = " ".join(build(seen(*clusters), exposure_time="categorical").spec["notes"])
        assert bool(re.search(late or "not seen under control", notes)) == (late is not None), notes


@pytest.mark.parametrize(("clusters", "few"), [(5, True), (6, False)])
def test_few_clusters_are_told_where_they_have_no_effect_of_their_own(clusters, few):
    frame = seen(*["0001", "0011", "0111"] * 2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = build(frame[frame.cluster.isin([f"c{i + 1}" for i in range(clusters)])], correlation="decay")
    words = [str(w.message) for w in told] + list(model.spec["notes"])
    assert any(f"{clusters} clusters; from fewer than 6" in w for w in words) == few


@pytest.mark.parametrize(("periods", "enough"), [(4, False), (5, True)])
def test_smooth_periods_need_five(periods, enough):
    frame = seen(*["0000111", "0001111", "0011111", "0111111"] * 2)
    frame = frame[frame.period < periods]
    if enough:
        assert len(build(frame, period_effects="smooth").coords["coef"]) == 3
    else:
        with pytest.raises(InputError, match="needs a numeric column of 5 periods or more; 'period' has 4 periods"):
            build(frame, period_effects="smooth")


def test_the_order_of_text_periods_is_asked_for():
    frame = trial()
    for names, words in (
        (["Month 2", "Month 9", "Month 10", "Month 11"], 'period_order="Month 2,Month 9,Month 10,Month 11"'),
        (["Q3 2020", "Q4 2020", "Q1 2021", "Q2 2021"], 'period_order="Q3 2020,Q4 2020,Q1 2021,Q2 2021"'),
        (
            ["spring", "summer", "autumn", "winter"],
            r"list all of them from first to last: period_order=\[\"first\", \"...\", \"last\"\](?!.*autumn,)",
        ),
        (["1/2/2020", "1/3/2020", "1/4/2020", "1/5/2020"], "list all of them"),
    ):
        text = frame.assign(period=frame.period.map(dict(enumerate(names))))
        with pytest.raises(InputError, match=words):
            design(text)
        ordered = design(text, period_order=tuple(names))
        assert ordered.periods == tuple(names)
        np.testing.assert_array_equal(ordered.exposure, frame.since)
        assert set(build(text, period_order=names).coords["coef"]) == {f"period[{p}]" for p in names[1:]}
    with pytest.raises(InputError, match="'1/5/2020', which period_order does not name"):
        design(text, period_order=tuple(names[:3]))


def test_the_control_of_text_labels_is_known_by_name_or_asked_for():
    frame = trial()
    text = frame.assign(treat=frame.treat.map({0: "usual care", 1: "education"}))
    np.testing.assert_array_equal(design(text).treat, frame.treat)
    with pytest.raises(InputError, match=r"\('A', 'B'\)|'A', 'B', of which neither is plainly the control"):
        design(frame.assign(treat=frame.treat.map({0: "B", 1: "A"})))


def test_declared_order_of_periods_is_kept_and_told():
    frame = trial()
    names = ["spring", "summer", "autumn", "winter"]
    frame["period"] = pd.Categorical(frame.period.map(dict(enumerate(names))), categories=names)
    model = build(frame)
    assert model.coords["coef"] == ("period[summer]", "period[autumn]", "period[winter]")
    assert any("in the order spring, summer, autumn, winter" in note for note in model.spec["notes"])
    np.testing.assert_array_equal(design(frame).exposure, trial().since)


def test_exposure_time_counts_periods_since_crossing_over():
    frame = trial()
    np.testing.assert_array_equal(design(frame).exposure, frame.since)
    by_month = frame.assign(period=3 * frame.period + 1)
    np.testing.assert_array_equal(design(by_month).exposure, frame.since)
    np.testing.assert_array_equal(design(frame, treatment=None, crossover="first").exposure, frame.since)


@pytest.mark.parametrize(
    "treat",
    [lambda t: t == 1, lambda t: t.map({0: "control", 1: "new"}), lambda t: t.astype(float)],
    ids=["logical", "labels", "float"],
)
def test_treatment_may_be_logical_or_labels(treat):
    frame = trial()
    found = design(frame.assign(treat=treat(frame.treat)))
    np.testing.assert_array_equal(found.treat, frame.treat)
    assert found.design_map == design(frame).design_map


def test_crossover_is_the_same_as_treatment():
    frame = trial()
    one, other = (
        build(frame),
        build(frame.assign(first=frame["first"].astype(str).replace("9", "never")), crossover="first"),
    )
    point = row_models.random_point(one, 3)
    assert row_models.function(one, [one.logp()])(point)[0] == row_models.function(other, [other.logp()])(point)[0]


def test_design_map_has_every_cluster_and_period():
    found = design(trial()).design_map
    table = pd.DataFrame(found["treated"], found["clusters"], found["periods"])
    assert list(table.loc["c3"]) == ["0", "", "1", "1"] and list(table.loc["c8"]) == ["0"] * 4
    assert found["rows"][2] == [3, 0, 3, 3]


# -------------------------------------------------------------------------------------------- designs that cannot be used


def _with(where: str, **values: Any) -> pd.DataFrame:
    frame = trial()
    for column, value in values.items():
        frame.loc[frame.eval(where), column] = value
    return frame


BAD_DESIGNS = {
    "back to control": (_with("cluster == 'c1' and period == 3", treat=0), {},
                        r"1 cluster going back to control \(cluster 'c1': treated in period 2, control in period 3\)"),
    "labels exchanged": (trial().assign(treat=lambda d: 1 - d.treat), {}, "7 clusters going back .*exchange its labels"),
    "varies": (_with("id == 'c4-1' and period == 1", treat=1), {}, r"varies within 1 cluster-period \(cluster 'c4' in period 1\)"),
    "one cluster": (trial().query("cluster == 'c1'"), {}, r"'cluster' has one cluster \('c1'\)"),
    "one period": (trial().query("period == 2"), {}, r"'period' has one period \('2'\)"),
    "never": (trial().assign(treat=0), {}, r"'treat' has a single value \(0\): no row is treated"),
    "always": (trial().assign(treat=1), {}, r"'treat' has a single value \(1\): every row is treated"),
    "all at once": (trial().assign(treat=lambda d: (d.period >= 2) * 1), {},
                    r"treatment and time cannot be told apart: in every period with treatment \(2, 3\) all clusters"),
    "moving crossover": (_with("cluster == 'c2' and period == 3", first=2), {"crossover": "first"},
                         r"'first' must have one value for each cluster; 1 cluster with several \('c2' has 1, 2\)"),
    "no such crossover": (_with("cluster == 'c2'", first=-1), {"crossover": "first"}, "'first' holds -1, which is none of the periods"),
    "all never": (trial().assign(first=9), {"crossover": "first"}, "'first': every cluster is never treated"),
    "two at once": (trial(), {"crossover": "first", "treatment": "treat"}, "say the same thing twice"),
    "wandering": (_with("id == 'c4-1' and period == 1", id="c5-1"), {"subject": "id"},
                  r"1 subject of 'id' in several \('c5-1' in c4, c5\)"),
    "three arms": (_with("cluster == 'c1'", treat=2), {}, r"must be 0 \(control\) or 1 \(treated\); 12 values not \(2, row"),
    "same column": (trial(), {"subject": "cluster"}, "column 'cluster' is given for two of"),
    "exposure": (trial(), {"exposure": "days"}, "exposure= is for counts"),
    "unknown": (trial(), {"correlation": "ar1", "family": "beta"}, "(?s)2 problems.*unknown family 'beta'.*unknown correlation 'ar1'"),
    "smooth of text": (trial().assign(period=lambda d: d.period.map(dict(enumerate("abcd")))), {"period_effects": "smooth", "period_order": "a,b,c,d"},
                       "needs a numeric column of 5 periods or more"),
    "prior": (trial(), {"exposure_time": "monotone", "priors": {"exposure_shares": "Beta(1, 1)"}}, r"take Dirichlet\(a\)"),
}  # fmt: skip


@pytest.mark.parametrize(("frame", "options", "words"), BAD_DESIGNS.values(), ids=BAD_DESIGNS)
def test_a_design_that_cannot_be_analysed_is_told_in_words(frame, options, words):
    with pytest.raises(InputError, match=words):
        build(frame, **options)


BAD_FORMULAS = {
    "treatment": ("k | trials(n) ~ treat", "'treat' comes into the model by treatment="),
    "cluster": ("k | trials(n) ~ C(cluster)", "'cluster' comes into the model by cluster= and correlation="),
    "group": ("k | trials(n) ~ 1 + (1 | cluster)", r"\(1 \| cluster\) is not written here"),
    "cells": ("k | trials(n) ~ 1 + (1 | cluster:period)", r"\(1 \| cluster:period\) is not written here"),
    "no intercept": ("k | trials(n) ~ 0 + x", "write 1, not 0"),
    "period": ("k | trials(n) ~ period", "'period' is a linear combination"),
    "copy": ("k | trials(n) ~ I(since > 0)", "'effect' is a linear combination of 'I(since>0)'"),
    "trials": ("k | trials(n) ~ 1", "with trials\\(n\\) it is 'binomial'"),
}


@pytest.mark.parametrize(("formula", "words"), BAD_FORMULAS.values(), ids=BAD_FORMULAS)
def test_a_formula_that_says_what_the_options_say_is_refused(formula, words):
    with pytest.raises(InputError, match=words.replace("(since>0)", r"\(since>0\)")):
        build(trial(), formula, family="bernoulli" if "with trials" in words else "binomial")


def with_copies(frame: pd.DataFrame) -> pd.DataFrame:
    """With columns that are the treatment by another name, and with some that are not."""
    in_order = frame.period.map({t: k for k, t in enumerate(sorted(frame.period.unique()))})
    return frame.assign(
        same=frame.treat,
        yes=frame.treat == 1,
        label=np.where(frame.treat == 1, "on", "off"),
        image=3 - 2.5 * frame.treat,
        in_period=10 * in_order + frame.treat,
        moving=in_order**2 + frame.treat * (1 + in_order),
        phase=frame.period.astype(str) + np.where(frame.treat == 1, "b", "a"),
        dose=frame.treat * np.where(frame.cluster.isin(["c1", "c3", "c5"]), 2, 1),
        city=frame.cluster.isin(["c2", "c3", "c6"]).astype(int),
        season=in_order % 2,
    )


COPIES = [
    "same",
    "label",
    "yes",
    "C(image)",
    "x + image",
    "in_period",
    "log(in_period + 1)",
    "moving",
    "x:moving",
    "phase",
]
COPIES += ["(1 | label)", "(1 | phase)", "(1 | period:label)", "s(moving, k=4)"]


@pytest.mark.parametrize("term", COPIES)
@pytest.mark.parametrize("exposure_time", ["constant", "monotone"])
def test_the_treatment_by_another_name_is_no_covariate(term, exposure_time):
    with pytest.raises(
        InputError, match=r"^formula: '.*' is the treatment by another name, which comes into the model by"
    ):
        build(with_copies(trial()), f"k | trials(n) ~ {term}", exposure_time=exposure_time)


def test_the_treatment_by_another_name_is_told_with_its_values():
    words = (
        r"^formula: 'label' is the treatment by another name, which comes into the model by treatment=treat \(in period \d it is 'off' in "
        r"every row under control and 'on' in every treated row\): leave it out$"
    )
    with pytest.raises(InputError, match=words):
        build(with_copies(trial()), "k | trials(n) ~ x + label")


def test_exposure_time_by_another_name_is_no_covariate_of_an_effect_of_exposure_time():
    frame = with_copies(trial())
    frame["weeks"] = 2.0 * design(frame).exposure
    build(frame, "k | trials(n) ~ weeks")
    with pytest.raises(InputError, match="'weeks' is the treatment by another name"):
        build(frame, "k | trials(n) ~ weeks", exposure_time="monotone")


@pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")
@pytest.mark.parametrize(
    "term", ["dose", "x", "city", "dose:city", "offset(same)", "(1 | same:cluster)", "(0 + same | city)"]
)
def test_covariates_that_are_more_than_the_treatment_stand(term):
    frame = with_copies(trial()).assign(city=lambda d: d.city.map({0: "a", 1: "b"}) if "|" in term else d.city)
    build(frame, f"k | trials(n) ~ {'1 + ' if '(' in term else ''}{term}")


DISPERSIONS = {
    "bernoulli": ({"family": "bernoulli"}, "~ x", "dispersion= is for families gaussian, negative_binomial, not for 'bernoulli'"),
    "poisson": ({"family": "poisson"}, "~ x", "dispersion= is for families gaussian, negative_binomial, not for 'poisson'"),
    "another name": ({}, "~ x + label", r"sigma: 'label' is the treatment by another name.*: to use it here, give it as treatment=$"),
    "first periods": ({"crossover": "first", "treatment": None}, "~ treat", "'treat' is the treatment by another name.*by crossover=first"),
    "decay": ({"correlation": "decay"}, "~ (1 |p| cluster)", r"sigma: \(1 \|p\| cluster\) shares the label 'p' with nothing.*write \(1 \| cluster\)"),
    "the response": ({}, "~ y", "sigma: the response 'y' is also used as a predictor"),
    "a gap": ({}, "~ gap", "'gap'.*row 3"),
    "not a formula": ({}, "~ (1 | ", "sigma: formula: unmatched"),
}  # fmt: skip


@pytest.mark.parametrize("case", DISPERSIONS)
def test_a_dispersion_that_cannot_be(case):
    options, text, words = DISPERSIONS[case]
    frame = with_copies(trial()).assign(gap=lambda d: d.x.mask(d.index == 2))
    formula = {"bernoulli": "ill ~ 1", "poisson": "c ~ 1"}.get(case, "y ~ 1")
    with pytest.raises(InputError, match=f"(?s){words}"):
        build(frame, formula, **{"family": "gaussian", "dispersion": text, **options})


def test_a_dispersion_without_effects_is_the_plain_model():
    plain = build(trial(), "c ~ x", family="negative_binomial")
    modelled = build(trial(), "c ~ x", family="negative_binomial", dispersion="~ x")
    there = row_models.random_point(modelled, 3) | {"alpha_beta": np.zeros(1)}
    log_alpha = there["alpha_Intercept_at_means"]
    forward = plain.rvs_to_transforms[plain["alpha"]].forward(np.exp(log_alpha), *plain["alpha"].owner.inputs).eval()
    here = {v.name: there.get(v.name, forward) for v in plain.value_vars}
    found = row_models.function(modelled, modelled.logp(vars=modelled.observed_RVs, sum=False))(there)
    expected = row_models.function(plain, plain.logp(vars=plain.observed_RVs, sum=False))(here)
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), rtol=1e-12)


def test_effects_on_the_dispersion_are_independent_where_those_on_the_mean_decay():
    model = build(trial(), "y ~ 1", family="gaussian", correlation="decay", dispersion="~ (1 | cluster:period)")
    u, sd = model["sigma_u_cluster:period"], model["sigma_sd_cluster:period"]
    asked = [*model.replace_rvs_by_values([u, sd]), model.logp(vars=[u], jacobian=False)]
    u_at, sd_at, density = row_models.function(model, asked)(row_models.random_point(model, 1))
    np.testing.assert_allclose(density, stats.norm.logpdf(u_at, 0, sd_at).sum(), rtol=1e-9)


def test_all_problems_are_told_together():
    frame = _with("cluster == 'c1' and period == 3", treat=0)
    frame.loc[3, "k"] = 99
    with pytest.raises(InputError, match=r"(?s)2 problems:.*row 4.*going back to control"):
        build(frame)


def test_rows_that_are_dropped_are_dropped_from_the_design_too():
    frame = trial().assign(x=lambda d: d.x.where(d.index % 7 > 0))
    here, there = build(frame, "k | trials(n) ~ x", missing="drop"), build(frame.dropna(), "k | trials(n) ~ x")
    point = row_models.random_point(there, 1)
    assert row_models.function(here, [here.logp()])(point)[0] == row_models.function(there, [there.logp()])(point)[0]


def test_few_clusters_are_warned_of():
    few = trial().query("cluster in ['c1', 'c3', 'c5', 'c8']")
    with pytest.warns(ZooWarning, match="grouping factor 'cluster' has 4 levels"):
        build(few)
    with pytest.warns(ZooWarning, match="4 clusters; from fewer than 6"):
        build(few, correlation="decay")
    fixed = build(few, clusters="fixed")
    assert "u_cluster" not in fixed.named_vars and "cluster[c3]" in fixed.coords["coef"]


def test_other_group_terms_may_stand():
    model = build(trial().assign(nurse=lambda d: d.id.str[-1] + d.cluster.str[-1].isin(["1", "2"]).map({True: "a", False: "b"})),
                  "k | trials(n) ~ x + (1 | nurse)")  # fmt: skip
    assert {"u_cluster", "u_nurse"} <= set(model.named_vars)


def test_smooth_periods_are_a_spline():
    frame = zoo.simulate_design(clusters=12, periods=8, size=5, seed=1)
    model = build(frame, "y | trials(n) ~ 1", period_effects="smooth")
    assert model.coords["coef"] == tuple(f"cr(period, df=4)[{k}]" for k in (1, 2, 3, 4))


# ------------------------------------------------------------------------------------------------------------ simulation


def test_simulated_trial_has_the_design_asked_for():
    frame = zoo.simulate_design(clusters=7, periods=4, size=3, family="gaussian", sd_subject=1.0, seed=1)
    assert list(frame.columns) == ["cluster", "period", "treat", "subject", "y"]
    assert len(frame) == 7 * 4 * 3 and frame.subject.nunique() == 21
    assert (frame.groupby("subject").cluster.nunique() == 1).all()
    first = frame[frame.treat == 1].groupby("cluster").period.min()
    assert list(first) == [1, 1, 1, 2, 2, 3, 3]
    pd.testing.assert_frame_equal(
        frame, zoo.simulate_design(clusters=7, periods=4, size=3, family="gaussian", sd_subject=1.0, seed=1)
    )
    size = np.array([[5, 0], [2, 1]])
    cells = zoo.simulate_design(clusters=2, periods=2, size=size, crossover=[1, 2], seed=1)
    assert cells[["cluster", "period", "n", "treat"]].values.tolist() == [[1, 0, 5, 0], [2, 0, 2, 0], [2, 1, 1, 0]]


@pytest.mark.parametrize(
    ("sequences", "starts"), [(1, [1] * 4), (2, [1, 1, 3, 3]), (4, [1, 2, 3, 4]), (3, [1, 1, 2, 3])]
)
def test_simulated_sequences_are_spread_over_the_periods(sequences, starts):
    frame = zoo.simulate_design(clusters=4, periods=5, sequences=sequences, seed=1)
    assert list(frame[frame.treat == 1].groupby("cluster").period.min()) == starts


def test_simulated_cluster_periods_are_independent_without_rho():
    frame = zoo.simulate_design(
        clusters=2000, periods=3, size=1, family="gaussian", sd_cluster_period=1.0, sigma=0.1, seed=2
    )
    y = frame.pivot(index="cluster", columns="period", values="y")
    np.testing.assert_allclose(y.cov(), 1.01 * np.eye(3), atol=5 * 1.01 * np.sqrt(2 / 2000))


def test_simulated_values_have_their_moments():
    """Gaussian cells: the covariance of cluster-period means is that of the model; means follow periods and exposure."""
    many: dict[str, Any] = {
        "clusters": 3000,
        "periods": 4,
        "family": "gaussian",
        "intercept": 1.0,
        "period_effects": (0.5, 0.2, -0.3),
    }
    sds: dict[str, Any] = {"sd_cluster": 0.6, "sd_cluster_period": 0.8, "rho": 0.7, "sd_subject": 0.9, "sigma": 0.4}
    frame = zoo.simulate_design(**many, **sds, size=5, effect=(1.0, 1.5, 2.5), seed=3)
    exposure = (
        frame.period - frame[frame.treat == 1].groupby("cluster").period.min().reindex(frame.cluster).values + 1
    ).clip(0)
    mean = 1.0 + np.array([0, 0.5, 0.2, -0.3])[frame.period] + np.array([0, 1.0, 1.5, 2.5])[exposure.astype(int)]
    cells = (frame.y - mean).groupby([frame.cluster, frame.period]).mean().unstack()
    assert np.abs(cells.mean()).max() < 5 * np.sqrt(1.5 / 3000)
    apart = np.abs(np.subtract.outer(range(4), range(4)))
    expected = 0.6**2 + 0.8**2 * 0.7**apart + 0.9**2 / 5 + np.eye(4) * 0.4**2 / 5
    np.testing.assert_allclose(cells.cov(), expected, atol=5 * 1.5 * np.sqrt(2 / 3000))


def test_simulated_deviations_of_the_treatment_belong_to_the_cluster():
    """y = u_c + (effect + r_c) treat: of a cluster in all of its treated periods, in none under control, apart from u."""
    clusters, u, r = 6000, 0.7, 1.3
    frame = zoo.simulate_design(
        clusters=clusters, periods=5, size=1, family="gaussian", crossover=[2] * clusters, effect=0.5, sd_cluster=u,
        sd_treatment=r, sigma=1e-6, seed=5,
    )  # fmt: skip
    y = frame.pivot(index="cluster", columns="period", values="y").to_numpy()
    treated = np.arange(5) >= 2
    expected = u**2 + r**2 * np.outer(treated, treated)
    np.testing.assert_allclose(np.cov(y.T), expected, atol=5 * (u**2 + r**2) * np.sqrt(2 / clusters))
    np.testing.assert_allclose(y.mean(axis=0), 0.5 * treated, atol=5 * np.sqrt((u**2 + r**2) / clusters))
    np.testing.assert_allclose(np.ptp(y[:, treated], axis=1), 0, atol=1e-4)
    assert np.ptp(y[:, 2] - y[:, 1]) > r  # and not of the period


def test_simulated_individuals_of_a_cohort_stay_themselves():
    frame = zoo.simulate_design(
        clusters=500, periods=3, size=6, family="gaussian", sd_cluster=0.4, sd_subject=1.2, sigma=0.5, seed=5
    )
    y = frame.pivot(index="subject", columns="period", values="y").to_numpy()
    expected = 0.4**2 + 1.2**2 + 0.5**2 * np.eye(3)
    np.testing.assert_allclose(np.cov(y.T), expected, atol=0.2)


@pytest.mark.parametrize(
    ("family", "mean", "variance"),
    [
        ("binomial", 4 * expit(0.3), 4 * expit(0.3) * expit(-0.3)),
        ("bernoulli", expit(0.3), expit(0.3) * expit(-0.3)),
        ("poisson", np.exp(0.3), np.exp(0.3)),
        ("negative_binomial", np.exp(0.3), np.exp(0.3) + np.exp(0.6) / 2.0),
        ("gaussian", 0.3, 1.7**2),
    ],
)
def test_simulated_families_have_their_moments(family, mean, variance):
    y = zoo.simulate_design(
        clusters=2000, periods=3, size=4, family=family, intercept=0.3, alpha=2.0, sigma=1.7, seed=4
    ).y
    assert abs(y.mean() - mean) < 5 * np.sqrt(variance / len(y))
    assert abs(y.var() / variance - 1) < 0.1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clusters": 1}, "clusters must be a whole number of at least 2, not 1"),
        ({"periods": 1}, "periods must be a whole number of at least 2, not 1"),
        ({"family": "beta"}, "unknown family 'beta'"),
        ({"sequences": 9}, "sequences must be from 1 to periods - 1 = 4"),
        ({"crossover": [1, 2]}, "crossover has one period from 0 to 5 for each of the 12 clusters"),
        ({"period_effects": [1.0]}, "period_effects has 4 values, one for each period but the first, not 1"),
        ({"effect": [1.0, 2.0]}, "effect has 2 values; the longest exposure is 4 periods"),
        ({"sd_cluster": -1, "rho": 1.0}, r"(?s)2 problems.*sd_cluster must be a number >= 0, not -1.*rho must be between"),
        ({"sd_subject": 1.0}, "not family='binomial'"),
        ({"size": 0}, "size is a whole number > 0"),
    ],
)  # fmt: skip
def test_a_trial_that_cannot_be_simulated_is_told(options, words):
    with pytest.raises(InputError, match=words):
        zoo.simulate_design(**options)


# ------------------------------------------------------------------------------------------------ recovery and numbers


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_decay_recovers_a_simulated_trial(seed):
    truth = {"effect": 0.8, "rho": 0.7, "sd_cluster:period": 0.9, "Intercept": -0.5}
    frame = zoo.simulate_design(
        clusters=120, periods=6, size=20, intercept=-0.5, period_effects=(0.1, 0.2, 0.2, 0.1, 0.0), effect=0.8,
        sd_cluster_period=0.9, rho=0.7, seed=seed,
    )  # fmt: skip
    summary = zoo.summary(
        zoo.fit(build(frame, "y | trials(n) ~ 1", correlation="decay"), seed=1, progress=False), prob=0.998
    )
    for name, value in truth.items():
        row = summary.loc["sd_cluster:period[Intercept]" if name.startswith("sd") else name]
        assert row["lower"] < value < row["upper"], (name, value, row)


@pytest.mark.slow
def test_monotone_and_random_effects_recover_a_simulated_trial():
    by_time = (0.3, 0.6, 0.8, 0.9, 0.9)
    frame = zoo.simulate_design(
        clusters=60,
        periods=6,
        size=12,
        family="poisson",
        intercept=0.2,
        effect=by_time,
        sd_cluster=0.5,
        sd_treatment=0.3,
        seed=3,
    )
    model = build(frame, "y ~ 1", family="poisson", exposure_time="monotone", treatment_effect="random")
    summary = zoo.summary(zoo.fit(model, seed=1, progress=False), prob=0.998)
    truth = {f"effect[{e}]": value for e, value in enumerate(by_time, 1)}
    truth |= {"sd_cluster[Intercept]": 0.5, "sd_cluster[treatment]": 0.3, "time_averaged_effect": np.mean(by_time)}
    for name, value in truth.items():
        assert summary.loc[name, "lower"] < value < summary.loc[name, "upper"], (name, value, summary.loc[name])


HIV_PRIORS = {"Intercept": "Normal(0, 10)", "beta": "Normal(0, 10)", "effect": "Normal(0, 10)", "sd": "HalfNormal(1)"}


def hiv_frame() -> pd.DataFrame:
    """The closed cohort of Tang et al. 2018: 1219 men in 8 cities, 4 periods, two cities treated throughout."""
    return data_set("sw_hivtesting.csv")


def hiv_testing(priors: dict[str, str], **options: Any) -> pd.DataFrame:
    """Summary of a fit."""
    model = build(
        hiv_frame(), "hivt ~ 1", cluster="clusternum", period="time", treatment="intervention", subject="ID",
        family="bernoulli", priors={**HIV_PRIORS, **priors}, center=False, **options,
    )  # fmt: skip
    return zoo.summary(zoo.fit(model, draws=600, tune=500, seed=2, target_accept=0.8, progress=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "names"),
    [
        (
            {"exposure_time": "categorical"},
            {
                "exposure time 1": "effect[1]", "exposure time 2": "effect[2]", "exposure time 3": "effect[3]",
                "exposure time 4": "effect[4]", "time-averaged": "time_averaged_effect",
            },
        ),
        ({"correlation": "nested_exchangeable"}, {"constant, city by period": "effect"}),
    ],
    ids=["exposure time", "city by period"],
)  # fmt: skip
def test_hiv_testing_is_as_published(options, names) -> None:
    """The published sd between cities is 0 in both; the prior keeps it there, since 8 cities would not."""
    published = reference("hivtesting_published")["parameters"]
    summary = hiv_testing({"sd[clusternum]": "HalfNormal(0.02)"}, **options)
    for theirs, name in names.items():
        value, se = published[theirs]["estimate"], published[theirs]["se"]
        assert abs(summary.loc[name, "mean"] - value) < 0.3 * se, (name, summary.loc[name, "mean"], value)


@pytest.mark.slow
def test_hiv_testing_is_near_maximum_likelihood() -> None:
    """The published .7507 and sd 1.185 come from a Laplace approximation, which shrinks both with 4 yes/no answers a man.

    Maximum likelihood with both integrals by Gauss-Hermite quadrature, no sampler and nothing of the zoo.
    """
    d = hiv_frame()
    X = np.column_stack([np.ones(len(d)), *(d.time == t for t in (2, 3, 4)), d.intervention])
    man, city = pd.factorize(d.ID)[0], pd.factorize(d.clusternum)[0]
    city_of = pd.Series(city).groupby(man).first().values
    nodes, weights = np.polynomial.hermite_e.hermegauss(25)
    log_w, sign = np.log(weights / weights.sum()), 2 * d.hivt.values - 1

    def minus_log_likelihood(at: np.ndarray) -> float:
        fixed, sd_man, sd_city = X @ at[:5], *np.exp(at[5:])
        total = np.empty((8, 25))
        for j, z in enumerate(nodes):
            each = log_expit(sign[:, None] * (fixed[:, None] + sd_city * z + sd_man * nodes))
            of_man = np.zeros((len(city_of), 25))
            np.add.at(of_man, man, each)
            total[:, j] = np.bincount(city_of, logsumexp(of_man + log_w, axis=1), 8)
        return -logsumexp(total + log_w, axis=1).sum()

    start = np.array([-1.95, 0.5, 0.5, 0.65, 0.75, np.log(1.2), np.log(0.25)])
    ml = minimize(minus_log_likelihood, start, method="BFGS", options={"gtol": 1e-2, "eps": 1e-4})
    summary, se = hiv_testing({}), np.sqrt(np.diag(ml.hess_inv))
    for k, name in enumerate(["Intercept", "beta[time[2]]", "beta[time[3]]", "beta[time[4]]", "effect"]):
        assert abs(summary.loc[name, "mean"] - ml.x[k]) < 0.3 * se[k], (name, summary.loc[name, "mean"], ml.x[k])
    assert abs(summary.loc["sd_ID[Intercept]", "mean"] / np.exp(ml.x[5]) - 1) < 0.05
    for name, published in (("effect", 0.7507), ("sd_ID[Intercept]", 1.185)):  # known; if gone, it fails too
        assert abs(summary.loc[name, "mean"] - published) > 0.03, name
