"""Meta-analysis: tables of arms, its limits, what wrong input is told, and published fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from data_sets import data_set
from reference_posteriors import reference
from rows import arms
from scipy import integrate, stats
from scipy.special import log_expit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.results.parameter_statistics import STATISTICS, statistics
from glmm_zoo.trials.arms import read_arms
from glmm_zoo.trials.heterogeneity import HETEROGENEITY, heterogeneity_note, heterogeneity_prior

TRIAL = {"study": "trial", "treatment": "drug"}
COUNTS = "ev | trials(size) ~ drug"


def two_arms() -> pd.DataFrame:
    """Eight trials of two arms each: without the third arm of the last."""
    return arms().iloc[:16]


def wide(frame: pd.DataFrame, end: str = "") -> pd.DataFrame:
    """One row for each trial: control is arm 1, treated arm 2."""
    control, treated = frame[frame.drug == 0], frame[frame.drug == 1]
    found = control[["trial", "lat"]].reset_index(drop=True)
    for k, side in ((1, control), (2, treated)):
        for column in ("ev", "size", "years"):
            found[f"{column}{end}{k}"] = side[column].to_numpy()
    return found


def values_at(model, point, *names):
    return row_models.function(model, [*model.replace_rvs_by_values([model[n] for n in names]), model.observedlogp])(
        point
    )


# --------------------------------------------------------------------------------------------------------- the density


@pytest.mark.parametrize("baseline", ["fixed", "random"])
def test_study_effects_are_normal_around_the_regression(baseline):
    frame = arms()
    model = zoo.meta_analysis(frame, f"{COUNTS} + lat", baseline=baseline, **TRIAL)
    d = model["study_effect"]
    point = row_models.random_point(model, 3)
    effect, beta, tau, drawn, plain, full = row_models.function(
        model,
        [
            *model.replace_rvs_by_values([model["effect"], model["beta"], model["tau"], d]),
            *(model.logp(vars=[d], jacobian=j) for j in (False, True)),
        ],
    )(point)
    lat = frame.groupby("trial").lat.first()
    mean = effect + beta[0] * (lat - lat.mean()).to_numpy()  # each trial counts once, whatever its number of arms
    np.testing.assert_allclose(plain, stats.norm(mean, tau).logpdf(drawn).sum(), rtol=1e-10)
    z = model.rvs_to_values[d].name
    run = row_models.function(model, model.replace_rvs_by_values([d]))
    J = row_models.jacobian(lambda x: run({**point, z: x})[0], point[z])
    np.testing.assert_allclose(full - plain, np.linalg.slogdet(J)[1], rtol=1e-6)


@pytest.mark.parametrize(("end", "formula"), [("", "1 + lat"), ("_", "drug + lat")])
def test_wide_equals_long(end, formula):
    frame = two_arms()
    for left, options in (("ev | trials(size)", {}), ("ev", {"exposure": "years"})):
        models = [zoo.meta_analysis(f, f"{left} ~ {formula}", **TRIAL, **options) for f in (frame, wide(frame, end))]
        point = row_models.random_point(models[0], 2)
        one, other = (row_models.function(m, [m.logp()])(point)[0] for m in models)
        assert one == other and models[0].coords == models[1].coords
        assert models[0].spec["facts"]["totals"] == models[1].spec["facts"]["totals"]


def test_the_treatment_may_be_left_out_and_is_found_as_number_label_or_logical():
    frame = arms()
    ways = [
        zoo.meta_analysis(frame, COUNTS, **TRIAL),
        zoo.meta_analysis(frame, "ev | trials(size) ~ 1", **TRIAL),
        zoo.meta_analysis(frame, "ev | trials(size) ~ C(drug)", **TRIAL),
        zoo.meta_analysis(frame.assign(drug=frame.drug == 1), COUNTS, **TRIAL),
        zoo.meta_analysis(frame, "ev | trials(size) ~ arm", study="trial", treatment="arm", control="placebo"),
        zoo.meta_analysis(frame.assign(drug=frame.drug.map({0: 1.0, 1: 2.0})), COUNTS, control=1.0, **TRIAL),
    ]
    point = row_models.random_point(ways[0], 4)
    assert len({float(row_models.function(m, [m.logp()])(point)[0]) for m in ways}) == 1
    assert "treated is 'active', control 'placebo'" in ways[4].spec["notes"]


@pytest.mark.parametrize(
    "control", ["Placebo", "usual_care", "Standard of care", "no drug", "Waiting list", "sham device"]
)
def test_the_control_is_known_by_its_name(control):
    frame = arms().assign(arm=lambda d: d.drug.map({0: control, 1: "Drug"}))
    model = zoo.meta_analysis(frame, "ev | trials(size) ~ arm", study="trial", treatment="arm")
    assert f"treated is 'Drug', control {control!r}" in model.spec["notes"]


def test_a_number_beside_a_name_is_no_order():
    frame = arms().assign(arm=lambda d: d.drug.map({0: "Placebo", 1: "10"}))
    model = zoo.meta_analysis(frame, "ev | trials(size) ~ arm", study="trial", treatment="arm")
    assert "treated is '10', control 'Placebo'" in model.spec["notes"]


@pytest.mark.parametrize("labels", [("Drug A", "Drug B"), ("placebo", "placebo 2")])
def test_the_control_is_asked_for_where_no_label_says_it(labels):
    frame = arms().assign(arm=lambda d: d.drug.map(dict(enumerate(labels))))
    way = f"control={labels[0]!r} or control={labels[1]!r}"
    with pytest.raises(InputError, match=way):
        zoo.meta_analysis(frame, "ev | trials(size) ~ arm", study="trial", treatment="arm")
    zoo.meta_analysis(frame, "ev | trials(size) ~ arm", study="trial", treatment="arm", control=labels[1])


def test_the_layout_of_metafor_is_told_the_way_to_ours():
    names = {"ev2": "ai", "size2": "n1i", "ev1": "ci", "size1": "n2i"}
    frame = wide(two_arms())
    with pytest.raises(InputError, match="rename ai to ev2, n1i to size2, ci to ev1, n2i to size1") as caught:
        zoo.meta_analysis(frame.rename(columns=names), "ev | trials(size) ~ 1", **TRIAL)
    pairs = dict(pair.split(" to ") for pair in str(caught.value).partition("rename ")[2].split(", "))
    zoo.meta_analysis(frame.rename(columns=names).rename(columns=pairs), "ev | trials(size) ~ 1", **TRIAL)


def test_the_other_control_turns_the_sign():
    frame = arms()
    models = [zoo.meta_analysis(frame, COUNTS, coding="half", control=c, **TRIAL) for c in (0, 1)]
    one, other = models
    z = np.linspace(-1, 1, 8)
    point = {"effect": -0.7, "tau_log__": -0.3, "study_effect_z__": z, "study_Intercept": np.ones(8)}
    d, likelihood = values_at(one, point, "study_effect")
    mine = one.rvs_to_transforms[one["study_effect"]]
    turned = {**point, "effect": 0.7, "study_Intercept": np.full(8, 0.3), "study_effect_z__": -z}
    assert np.allclose(mine.estimate, -other.rvs_to_transforms[other["study_effect"]].estimate)
    found, same = values_at(other, turned, "study_effect")
    np.testing.assert_allclose(found, -d, rtol=1e-12)
    np.testing.assert_allclose(same, likelihood, rtol=1e-12)


@pytest.mark.promise("limits")
def test_without_heterogeneity_it_is_logistic_regression_on_trials_and_treatment():
    frame = arms()
    meta = zoo.meta_analysis(frame, COUNTS, **TRIAL)
    with pytest.warns(ZooWarning, match=r"trial\[T3\]"):  # no events there
        logistic = zoo.hierarchical_logistic(frame, "ev | trials(size) ~ 0 + trial + drug")
    baselines = np.linspace(-2.0, 1.0, 8)
    point = {
        "effect": -0.6,
        "tau_log__": -30.0,
        "study_effect_z__": np.linspace(-1, 1, 8),
        "study_Intercept": baselines,
    }
    expected = row_models.function(logistic, [logistic.observedlogp])({"beta": np.array([*baselines, -0.6])})[0]
    np.testing.assert_allclose(values_at(meta, point)[-1], expected, rtol=1e-12)


def test_bivariate_is_the_logistic_model_with_an_effect_for_each_arm():
    frame = arms().assign(ctrl=lambda d: 1 - d.drug)
    meta = zoo.meta_analysis(frame, COUNTS, baseline="bivariate", **TRIAL)
    logistic = zoo.hierarchical_logistic(frame, "ev | trials(size) ~ 0 + ctrl + drug + (0 + ctrl + drug | trial)")
    point = row_models.random_point(meta, 6)
    same = {k: v for k, v in point.items() if k not in ("Intercept", "effect")}
    same["beta"] = np.array([point["Intercept"], point["Intercept"] + point["effect"]])
    sd, corr, tau, d, u, likelihood = values_at(meta, point, "sd_trial", "corr_trial", "tau", "study_effect", "u_trial")
    np.testing.assert_allclose(likelihood, values_at(logistic, same)[-1], rtol=1e-12)
    S = np.outer(sd, sd) * corr
    np.testing.assert_allclose(tau**2, np.array([-1, 1]) @ S @ np.array([-1, 1]), rtol=1e-12)
    np.testing.assert_allclose(d, point["effect"] + u[:, 1] - u[:, 0], rtol=1e-12)


def test_half_coding_splits_the_random_effect_between_the_arms():
    frame = arms()
    plain, half = (zoo.meta_analysis(frame, COUNTS, coding=c, **TRIAL) for c in ("01", "half"))
    point = row_models.random_point(plain, 7)
    d, likelihood = values_at(plain, point, "study_effect")
    there = {**point, "study_Intercept": point["study_Intercept"] + (d - point["effect"]) / 2}
    np.testing.assert_allclose(values_at(half, there)[-1], likelihood, rtol=1e-12)


def test_where_the_sampler_looks_is_near_the_estimates_by_moments():
    """tau^2 of DerSimonian & Laird, written out; and the preview of the card."""
    frame = arms()
    read = read_arms(frame, COUNTS, study="trial", treatment="drug", control=None, exposure=None, missing="drop")
    y, v = read.rough_effects()
    w = 1 / v
    q = sum(w * (y - sum(w * y) / sum(w)) ** 2)
    expected = max((q - (len(y) - 1)) / (sum(w) - sum(w**2) / sum(w)), np.sqrt(2 / sum(w**2)))
    assert read.rough_heterogeneity() == pytest.approx(np.sqrt(expected))
    alike = read_arms(
        frame.assign(ev=frame["size"] // 3), COUNTS, study="trial", treatment="drug", control=None, exposure=None, missing="drop"
    )  # fmt: skip
    w = 1 / alike.rough_effects()[1]
    assert alike.rough_heterogeneity() == pytest.approx(np.sqrt(np.sqrt(2 / sum(w**2))))  # tau^2 itself is 0
    preview, posterior = zoo.quick(zoo.card("bcg").model())["mean"], {"effect": -0.763, "beta[ablat]": -0.032}
    for name, mean in posterior.items():  # Dias et al., TSD 3
        assert preview[name] == pytest.approx(mean, rel=0.1)
    assert 0.1 < preview["tau"] < 0.5


@pytest.mark.parametrize("exposure", [None, "years"])
def test_rough_effects_are_log_ratios_of_counts_with_a_half_added(exposure):
    """Woolf's log odds ratio and variance after Haldane and Anscombe; for rates those of two Poisson counts."""
    read = read_arms(
        two_arms(), "ev ~ drug" if exposure else COUNTS, study="trial", treatment="drug", control=None, exposure=exposure,
        missing="drop",
    )  # fmt: skip
    control, treated = (two_arms()[two_arms().drug == k].reset_index(drop=True) for k in (0, 1))
    a, c = treated.ev + 0.5, control.ev + 0.5
    b, d = treated["size"] - treated.ev + 0.5, control["size"] - control.ev + 0.5
    if exposure:
        expected = np.log(a / treated.years) - np.log(c / control.years), 1 / a + 1 / c
    else:
        expected = np.log(a * d / (b * c)), 1 / a + 1 / b + 1 / c + 1 / d
    np.testing.assert_allclose(read.rough_effects(), expected)


def test_the_prior_of_log_rates_is_at_the_crude_rate_of_all_arms():
    frame = arms()
    model = zoo.meta_analysis(frame, "ev ~ drug", exposure="years", baseline="fixed", **TRIAL)
    crude = np.log(frame.ev.sum() / frame.years.sum())
    assert model.spec["priors"]["study_Intercept"] == f"Normal({crude:.4g}, 5)"


# -------------------------------------------------------------------------------------------------- trials of no events


@pytest.mark.parametrize(("studies", "few"), [(5, True), (6, False)])
def test_few_studies_are_told(studies, few):
    notes = zoo.meta_analysis(arms()[: 2 * studies], COUNTS, **TRIAL).spec["notes"]
    assert any(n.startswith(f"{studies} studies: from fewer than 6 tau is poorly known") for n in notes) == few


def test_study_covariates_leave_a_study_to_learn_tau_from():
    """Intercept and covariates are one fewer than the studies, at most."""
    three = arms()[:6].assign(late=[0, 0, 1, 1, 0, 0])
    assert len(zoo.meta_analysis(three, f"{COUNTS} + lat", **TRIAL).coords["coef"]) == 1
    with pytest.raises(InputError, match="2 columns of study covariates for 3 studies leave nothing to learn tau from"):
        zoo.meta_analysis(three, f"{COUNTS} + lat + late", **TRIAL)


def test_a_trial_without_events_says_nothing_of_the_effect_at_its_best_baseline():
    """T3 has no events: whatever its effect, its likelihood rises to 1 as its baseline falls; that of others does not."""
    model = zoo.meta_analysis(arms(), COUNTS, **TRIAL)
    assert any("1 of 8 studies have no events" in n and "(T3)" in n for n in model.spec["notes"])
    full = arms().assign(ev=lambda d: np.where(d.trial == "T5", d["size"], d.ev))
    notes = zoo.meta_analysis(full, COUNTS, **TRIAL).spec["notes"]
    assert any("2 of 8 studies have no events, or nothing but events" in n and "(T3, T5)" in n for n in notes)
    pointwise = row_models.function(model, model.logp(vars=model.observed_RVs, sum=False))
    rows = (arms().trial == "T3").to_numpy()
    for effect in (-2.0, 0.0, 3.0):
        point = {
            "effect": effect,
            "tau_log__": -30.0,
            "study_effect_z__": np.zeros(8),
            "study_Intercept": np.full(8, -40.0),
        }
        at = pointwise(point)[0]
        np.testing.assert_allclose(at[rows], 0.0, atol=1e-10)
        assert at[~rows].max() < -30


def test_under_a_prior_on_its_baseline_such_a_trial_says_the_less_the_wider_the_prior():
    def log_evidence(d: float, scale: float) -> float:
        def f(b: float) -> float:
            return float(np.exp(60 * log_expit(-b) + 50 * log_expit(-b - d)) * stats.t.pdf(b, 3, 0, scale))

        return float(np.log(integrate.quad(f, -60 * scale, 10, points=[-12, -6, -3, 0], limit=400)[0]))

    ratios = [log_evidence(-1.0, s) - log_evidence(0.0, s) for s in (2.5, 10.0, 100.0)]
    assert ratios[0] > ratios[1] > ratios[2] > 0
    assert ratios[0] < 0.35 and ratios[2] < 0.01  # nats for log odds ratio -1 against 0


# --------------------------------------------------------------------------------------------------------------- priors


TURNER = """
                                     all-cause mortality   semi-objective   subjective
pharmacological vs placebo               -4.06 1.45          -3.02 1.85     -2.13 1.58
pharmacological vs pharmacological       -4.27 1.48          -3.23 1.88     -2.34 1.62
non-pharmacological                      -3.93 1.51          -2.89 1.91     -2.01 1.64
"""  # Turner et al. (2012), table IV, as R's gemtc has it too (mtc.hy.empirical.lor); below their "general healthcare setting"
OUTCOMES = ("all-cause mortality", "semi-objective", "subjective")
PUBLISHED = {"general": (-2.56, 1.74)} | {
    f"{outcome}, {line[:36].strip()}": tuple(map(float, line[36:].split()[2 * k : 2 * k + 2]))
    for line in TURNER.splitlines()[2:]
    for k, outcome in enumerate(OUTCOMES)
}


@pytest.mark.parametrize(("name", "moments"), PUBLISHED.items())
def test_heterogeneity_priors_are_those_published(name, moments):
    m, s = moments
    assert HETEROGENEITY[name] == moments and len(HETEROGENEITY) == len(PUBLISHED) == 10
    note = heterogeneity_note(name)
    assert f"tau^2 ~ LogNormal({m}, {s}), {name} (Turner et al. 2012)" in note
    prior = heterogeneity_prior(name)  # written with four digits
    variance = stats.lognorm(s, scale=np.exp(m))
    tau = stats.lognorm(prior.arguments["sigma"], scale=np.exp(prior.arguments["mu"]))
    for q in (0.025, 0.5, 0.975):
        np.testing.assert_allclose(tau.ppf(q) ** 2, variance.ppf(q), rtol=1e-3)


@pytest.mark.parametrize("name", ["all-cause mortality, pharmacological vs placebo", "general"])
def test_heterogeneity_priors_are_log_normal_in_the_variance(name):
    m, s = PUBLISHED[name]
    model = zoo.meta_analysis(arms(), COUNTS, heterogeneity=name, **TRIAL)
    for log_tau in (-3.0, -1.0, 0.5):
        (density,) = row_models.function(model, [model.logp(vars=[model["tau"]])])(
            {**model.initial_point(), "tau_log__": np.array(log_tau)}
        )
        np.testing.assert_allclose(density, stats.norm(m, s).logpdf(2 * log_tau) + np.log(2), rtol=1e-10)
    assert any(f"tau^2 ~ LogNormal({m}, {s})" in n and name in n and "Turner" in n for n in model.spec["notes"])


def test_the_unit_of_person_time_does_not_matter():
    frame = arms()
    years, days = (
        zoo.meta_analysis(f, "ev ~ drug", exposure="years", **TRIAL)
        for f in (frame, frame.assign(years=frame.years * 365))
    )
    point = row_models.random_point(years, 8)
    there = {**point, "study_Intercept": point["study_Intercept"] - np.log(365)}
    one, other = (row_models.function(m, [m.logp()])(p)[0] for m, p in ((years, point), (days, there)))
    np.testing.assert_allclose(one, other, rtol=2e-5)  # priors are written with four digits


# ---------------------------------------------------------------------------------------------------------- wrong input

ONE_ARM = arms().iloc[1:]
VARIES = arms().assign(lat=lambda d: d.lat + (d.index == 4))
WRONG = {
    "one arm": (ONE_ARM, COUNTS, {}, "study 'T1' has one arm only, none with '0' (row 1)"),
    "one arm in the user's rows": (
        pd.concat([arms().iloc[[0]].assign(ev=np.nan), ONE_ARM]), COUNTS, {"missing": "drop"},
        "study 'T1' has one arm only, none with '0' (row 2)",
    ),
    "varies": (VARIES, f"{COUNTS} + lat", {}, "column 'lat' varies within study 'T3' (rows 5, 6)"),
    "more events": (arms().assign(ev=99), COUNTS, {}, "more successes than trials (ev > size: rows 1, 2, 3, ...)"),
    "negative": (arms().replace({"ev": {0: -1}}), COUNTS, {}, "column 'ev' must be >= 0"),
    "fraction": (arms().assign(size=lambda d: d["size"] + 0.5), COUNTS, {}, "column 'size' needs whole numbers"),
    "three values": (arms().assign(drug=range(17)), COUNTS, {}, "treatment 'drug' has 17 values"),
    "one value": (arms().assign(drug=1), COUNTS, {}, "treatment 'drug' has 1 value (1) where two are expected"),
    "one study": (arms().iloc[:2], COUNTS, {}, "'trial' has one study ('T1'); a meta-analysis needs at least two"),
    "group term": (arms(), f"{COUNTS} + (1 | trial)", {}, "leave (1 | trial) out and choose baseline="),
    "offset": (arms(), "ev ~ drug + offset(log(years))", {"exposure": "years"}, "exposure='column' instead of offset()"),
    "interaction": (arms(), "ev | trials(size) ~ drug * lat", {}, "'drug' is the treatment and stands for itself"),
    "no intercept": (arms(), "ev | trials(size) ~ 0 + drug", {}, "drop the 0"),
    "study in formula": (arms(), f"{COUNTS} + trial", {}, "'trial' names the studies"),
    "no trials": (arms(), "ev ~ drug", {}, "ev | trials(n) for risks"),
    "both": (arms(), COUNTS, {"exposure": "years"}, "trials() gives risks and exposure= gives rates"),
    "too many covariates": (arms(), f"{COUNTS} + C(lat) + years", {}, "varies within"),
    "baseline": (arms(), COUNTS, {"baseline": "mixed"}, "unknown baseline 'mixed'; known: fixed, random, bivariate"),
    "coding": (arms(), COUNTS, {"coding": "-1"}, "unknown coding '-1'; known: 01, half"),
    "heterogeneity": (arms(), COUNTS, {"heterogeneity": "mortality"}, "all-cause mortality, pharmacological vs placebo"),
    "two priors": (
        arms(), COUNTS, {"heterogeneity": "general", "priors": {"tau": "HalfNormal(1)"}}, "keep one of them",
    ),
    "prior of rates": (arms(), "ev ~ drug", {"exposure": "years", "heterogeneity": "general"}, "log rate ratios"),
    "bivariate prior": (arms(), COUNTS, {"baseline": "bivariate", "heterogeneity": "general"}, "sd and corr determine"),
    "bivariate tau": (arms(), COUNTS, {"baseline": "bivariate", "priors": {"tau": "HalfNormal(1)"}}, "unknown parameter 'tau'"),
    "risk": (arms(), COUNTS, {"baseline_risk": 12}, "baseline_risk must be a risk between 0 and 1, not 12"),
    "control": (arms(), COUNTS, {"control": "placebo"}, "treatment 'drug' has no value 'placebo' to be the control"),
    "no events": (arms().assign(ev=0), COUNTS, {}, "response 'ev' has a single value: no events in every arm"),
    "wide column": (wide(arms()[:16]).assign(ev2=-1.0), COUNTS, {}, "column 'ev2' must be >= 0"),
    "wide missing": (wide(arms()[:16]).drop(columns="size2"), COUNTS, {}, "no column 'size2'"),
    "wide control": (wide(arms()[:16]), COUNTS, {"control": 0}, "in a wide one arm 1 is the control"),
    "wide twice": (wide(arms()[:16]).assign(trial="T1"), COUNTS, {}, "a wide table has one row for each study"),
    "neither": (arms().drop(columns="ev"), COUNTS, {}, "no column 'ev'"),
}  # fmt: skip


@pytest.mark.parametrize(("frame", "formula", "options", "words"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_told(frame, formula, options, words):
    with pytest.raises(InputError) as caught:
        zoo.meta_analysis(frame, formula, **{**TRIAL, **options})
    assert words in str(caught.value), str(caught.value)


def test_all_problems_are_told_together():
    frame = VARIES.iloc[1:]
    with pytest.raises(InputError) as caught:
        zoo.meta_analysis(frame, f"{COUNTS} + lat", **TRIAL)
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError) as caught:
        zoo.meta_analysis(frame, f"{COUNTS} + (1 | trial)", exposure="years", **TRIAL)
    assert len(caught.value.problems) == 2


# ------------------------------------------------------------------------------------------ published fits, with a sampler

VAGUE = {"effect": "Normal(0, 100)", "study_Intercept": "Normal(0, 100)", "tau": "Uniform(0, 5)"}
BCG = "events | trials(n) ~ treat"


@pytest.fixture(scope="module")
def bcg() -> pd.DataFrame:
    return pd.read_csv(Path(__file__).parents[2] / "models" / "bcg" / "data.csv")


def fit(model, **settings) -> xr.Dataset:
    tree = zoo.fit(model, seed=20, progress=False, **{"draws": 4000, **settings})
    assert zoo.check(tree).sound, str(zoo.check(tree))
    return tree["posterior"].dataset


def agree(name: str, ours: xr.DataArray, peer: dict[str, float]) -> None:
    s = dict(zip(STATISTICS, statistics(ours.transpose("chain", "draw").values[:, :, None])[0], strict=True))
    z = (s["mean"] - peer["mean"]) / np.hypot(s["mcse_mean"], peer["mcse_mean"])
    print(f"{name}: mean {s['mean']:.4f}, peer {peer['mean']:.4f}, z {z:.2f}; sd {s['sd']:.4f}, peer {peer['sd']:.4f}")
    assert abs(z) < 4, f"{name}: mean {s['mean']:.4f}, peer {peer['mean']:.4f}, z {z:.1f}"
    allowed = 0.05 * peer["sd"] + 2 * np.hypot(s["mcse_sd"], peer["mcse_sd"])
    assert abs(s["sd"] - peer["sd"]) < allowed, f"{name}: sd {s['sd']:.4f}, peer {peer['sd']:.4f}"


@pytest.mark.slow
def test_fixed_baselines_agree_with_brms(bcg):
    peer = reference("bcg_meta_fixed_study")["parameters"]
    priors = {"study_Intercept": "Normal(0, 5)", "effect": "Normal(0, 2.5)", "tau": "Exponential(1)"}
    p = fit(zoo.meta_analysis(bcg, BCG, study="trial", coding="half", priors=priors))
    agree("effect", p["effect"], peer["b_treat"])
    agree("tau", p["tau"], peer["sd_study__tc"])
    for k in range(1, 14):
        agree(f"study_Intercept[{k}]", p["study_Intercept"].sel(trial=str(k)), peer[f"b_study{k}"])


@pytest.mark.slow
def test_bivariate_agrees_with_brms(bcg):
    """brms has Normal(0, 5) on the mean of each arm: given that of controls near -4.08, Normal(4.08, 5) on the effect."""
    peer = reference("bcg_meta_bivariate")["parameters"]
    priors = {"Intercept": "Normal(0, 5)", "effect": "Normal(4.08, 5)", "sd": "Exponential(1)", "corr": "LKJ(2)"}
    p = fit(zoo.meta_analysis(bcg, BCG, study="trial", baseline="bivariate", priors=priors), target_accept=0.95)
    agree("control", p["Intercept"], peer["b_ctrl"])
    agree("treatment", p["Intercept"] + p["effect"], peer["b_treat"])
    for arm, name in (("control", "ctrl"), ("treatment", "treat")):
        agree(f"sd of {arm}", p["sd_trial"].sel(trial_effect=arm), peer[f"sd_study__{name}"])
    both = {"trial_effect": "control", "trial_effect_bis": "treatment"}
    agree("corr", p["corr_trial"].sel(both), peer["cor_study__ctrl__treat"])


def near(ours: xr.DataArray, mean: float, sd: float, digits: int) -> None:
    """A published mean, rounded to `digits`, and standard deviation, of a fit whose Monte Carlo error is not known."""
    assert float(ours.mean()) == pytest.approx(mean, abs=0.05 * sd + 0.5 * 10**-digits)
    assert float(ours.std()) == pytest.approx(sd, rel=0.07)


@pytest.mark.slow
def test_bcg_agrees_with_the_technical_support_document(bcg):
    """Dias et al., NICE DSU Technical Support Document 3: fixed baselines, Normal(0, 100) and Uniform(0, 5)."""
    published = reference("bcg_tsd3")["parameters"]
    plain = fit(zoo.meta_analysis(bcg, BCG, study="trial", priors=VAGUE))
    near(plain["effect"], **published["effect"], digits=3)
    tau = published["tau"]
    assert plain["tau"].median() == pytest.approx(tau["median"], abs=0.015)
    np.testing.assert_allclose(plain["tau"].quantile([0.025, 0.975]), [tau["q2.5"], tau["q97.5"]], rtol=0.05)
    latitude = zoo.meta_analysis(bcg, f"{BCG} + ablat", study="trial", priors={**VAGUE, "beta": "Normal(0, 100)"})
    p = fit(latitude)
    near(p["effect"], **published["effect at mean latitude"], digits=3)
    slope = published["slope of latitude"]
    assert p["beta"].mean() == pytest.approx(slope["mean"], abs=0.001)
    assert p["beta"].std() == pytest.approx(slope["sd"], abs=0.001)
    assert p["tau"].median() == pytest.approx(published["tau given latitude"]["median"], abs=0.02)


@pytest.mark.slow
def test_beta_blockers_agree_with_the_technical_support_document():
    """Dias et al., NICE DSU Technical Support Document 2: 22 trials after a heart attack."""
    published = reference("blocker_tsd2")["parameters"]
    d = data_set("bugs_blocker.csv")
    table = pd.DataFrame({"study": d.study, "r_1": d.rc, "n_1": d.nc, "r_2": d.rt, "n_2": d.nt})
    p = fit(zoo.meta_analysis(table, "r | trials(n) ~ 1", priors=VAGUE))
    for name in ("effect", "tau"):
        near(p[name], **published[name], digits=2)


@pytest.mark.slow
def test_truth_is_found_again_in_simulated_rates():
    rng = np.random.default_rng(12)
    S = 60
    x, time = rng.normal(size=S), rng.uniform(200, 900, (S, 2))
    log_rate, d = rng.normal(-2.5, 0.5, S), rng.normal(-0.4 + 0.3 * (x - x.mean()), 0.25)
    table = pd.DataFrame(
        {
            "centre": np.arange(S), "x": x, "t1": time[:, 0], "t2": time[:, 1],
            "y1": rng.poisson(time[:, 0] * np.exp(log_rate)), "y2": rng.poisson(time[:, 1] * np.exp(log_rate + d)),
        }
    )  # fmt: skip
    p = fit(zoo.meta_analysis(table, "y ~ x", study="centre", exposure="t"), draws=1000)
    for name, truth in (("effect", -0.4), ("tau", 0.25), ("beta", 0.3)):
        assert abs(p[name].mean() - truth) < 2.5 * p[name].std()
    inside = abs(p["study_effect"].mean(("chain", "draw")).values - d) < 1.96 * p["study_effect"].std(("chain", "draw"))
    assert inside.mean() > 0.85
