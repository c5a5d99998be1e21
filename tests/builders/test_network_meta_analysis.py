"""Network meta-analysis: its density and limits, what wrong input is told, simulated data, and published fits."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from data_sets import data_set
from reference_posteriors import reference
from rows import networked, networked_by_latitude
from scipy import stats
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.calibration.data_sets import draw_data_set
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.results.networks import deviance, network_of
from glmm_zoo.results.parameter_statistics import STATISTICS, statistics
from glmm_zoo.trials.network import read_network

TRIAL = {"study": "trial", "treatment": "drug"}
COUNTS = "ev | trials(size) ~ drug"
SMOKING = "events | trials(n) ~ treat"


def values_at(model, point, *names):
    return row_models.function(model, [*model.replace_rvs_by_values([model[n] for n in names]), model.observedlogp])(
        point
    )


def two_arms() -> pd.DataFrame:
    """Trials of A against B."""
    d = networked()
    return d[d.trial.isin(["N1", "N2", "N8"]) & d.drug.isin(["A", "B"])]


# --------------------------------------------------------------------------------------------------------- the density


@pytest.mark.parametrize("consistency", ["consistency", "ume"])
def test_effects_of_a_study_have_correlation_a_half(consistency):
    model = zoo.network_meta_analysis(networked(), COUNTS, reference="A", consistency=consistency, **TRIAL)
    d = model["study_effect"]
    point = row_models.random_point(model, 3)
    effect, tau, drawn, plain, full = row_models.function(
        model,
        [
            *model.replace_rvs_by_values([model["effect"], model["tau"], d]),
            *(model.logp(vars=[d], jacobian=j) for j in (False, True)),
        ],
    )(point)
    of = (
        {"A": {"B": 0, "C": 1, "D": 2}}
        if consistency == "consistency"
        else {"A": {"B": 0, "C": 1, "D": 2}, "B": {"C": 3, "D": 4}}
    )
    labels = [label.split(":") for label in model.coords["trial:drug"]]
    base = networked().groupby("trial").drug.min()

    def mean(a: str, b: str) -> float:
        if b in of and a in of[b]:
            return effect[of[b][a]]
        return effect[of["A"][a]] - effect[of["A"][b]]

    m = np.array([mean(drug, base[trial]) for trial, drug in labels])
    same = np.array([[s == t for t, _ in labels] for s, _ in labels])
    S = tau**2 * (0.5 * same + 0.5 * np.eye(len(m)))
    np.testing.assert_allclose(plain, stats.multivariate_normal(m, S).logpdf(drawn), rtol=1e-10)
    z = model.rvs_to_values[d].name
    run = row_models.function(model, model.replace_rvs_by_values([d]))
    J = row_models.jacobian(lambda x: run({**point, z: x})[0], point[z])
    np.testing.assert_allclose(full - plain, np.linalg.slogdet(J)[1], rtol=1e-6)


@pytest.mark.parametrize("baseline", ["fixed", "random"])
def test_of_two_treatments_in_two_arms_it_is_the_meta_analysis(baseline):
    frame = two_arms()
    network = zoo.network_meta_analysis(frame, COUNTS, reference="A", baseline=baseline, **TRIAL)
    meta = zoo.meta_analysis(frame, COUNTS, control="A", baseline=baseline, **TRIAL)
    there = row_models.random_point(meta, 4)
    here = {**there, "effect": there["effect"][None]}
    d, likelihood = values_at(meta, there, "study_effect")
    mine, same = values_at(network, here, "study_effect")
    np.testing.assert_allclose(mine, d, rtol=1e-12)
    np.testing.assert_allclose(same, likelihood, rtol=1e-12)
    densities = [row_models.function(m, [m.logp()])(p)[0] for m, p in ((meta, there), (network, here))]
    np.testing.assert_allclose(
        densities[1], densities[0], rtol=1e-9
    )  # that of two arms writes log(2 pi) with fewer digits


def test_of_two_treatments_slopes_are_those_of_the_meta_analysis():
    frame = two_arms().pipe(lambda d: pd.concat([d, d.assign(trial=d.trial + "x", ev=d.ev // 2 + 1)])).assign(
        lat=lambda d: d.trial.str[1].astype(float) + d.trial.str.len(), w=lambda d: d.lat**2 % 5
    )  # fmt: skip
    formula = f"{COUNTS} + lat * w"
    network = zoo.network_meta_analysis(frame, formula, reference="A", **TRIAL)
    meta = zoo.meta_analysis(frame, formula, control="A", **TRIAL)
    there = row_models.random_point(meta, 4)
    densities = [
        row_models.function(m, [m.logp()])(p)[0]
        for m, p in ((meta, there), (network, {**there, "effect": there["effect"][None]}))
    ]
    np.testing.assert_allclose(densities[1], densities[0], rtol=1e-9)


@pytest.mark.parametrize("interactions", ["common", "exchangeable"])
def test_random_effects_lie_around_lines_in_covariates_and_levels(interactions):
    """N3, N5 and N7 have no A: their levels are still those under A, and their first arms have its effect."""
    frame = networked_by_latitude()
    model = zoo.network_meta_analysis(
        frame, f"{COUNTS} + lat", reference="A", interactions=interactions, baseline_regression=True, **TRIAL
    )
    point = row_models.random_point(model, 3)
    names = ["effect", "beta", "tau", "study_effect", "study_Intercept"]
    d = model["study_effect"]
    *values, plain = row_models.function(
        model, [*model.replace_rvs_by_values([model[n] for n in names]), model.logp(vars=[d], jacobian=False)]
    )(point)
    effect, beta, tau, drawn, mu = values
    level = model.spec["facts"]["reference_level"]
    lat, base = frame.groupby("trial").lat.first(), frame.groupby("trial").drug.min()

    def at(trial: str, drug: str) -> float:
        if drug == "A":
            return 0.0
        k = "BCD".index(drug)
        slope, over_level = (beta[0], beta[1]) if interactions == "common" else (beta[k], beta[3 + k])
        return effect[k] + slope * (lat[trial] - lat.mean()) + over_level * (mu[list(lat.index).index(trial)] - level)

    labels = [label.split(":") for label in model.coords["trial:drug"]]
    m = [at(trial, drug) - at(trial, base[trial]) for trial, drug in labels]
    same = np.array([[s == t for t, _ in labels] for s, _ in labels])
    S = tau**2 * (0.5 * same + 0.5 * np.eye(len(m)))
    np.testing.assert_allclose(plain, stats.multivariate_normal(m, S).logpdf(drawn), rtol=1e-10)
    eta = np.array(
        [
            mu[list(lat.index).index(trial)] + at(trial, base[trial]) + dict(zip(map(":".join, labels), drawn, strict=True)).get(f"{trial}:{drug}", 0.0)
            for trial, drug in zip(frame.trial, frame.drug, strict=True)
        ]
    )  # fmt: skip
    (likelihood,) = row_models.function(model, [model.observedlogp])(point)
    np.testing.assert_allclose(likelihood, stats.binom(frame["size"], expit(eta)).logpmf(frame.ev).sum(), rtol=1e-9)


def test_exchangeable_slopes_are_normal_around_their_mean():
    model = zoo.network_meta_analysis(
        networked_by_latitude(), f"{COUNTS} + lat", reference="A", interactions="exchangeable", **TRIAL
    )
    point = row_models.random_point(model, 3)
    beta = model["beta"]
    mean, sd, drawn, plain = row_models.function(
        model,
        [
            *model.replace_rvs_by_values([model["beta_mean"], model["beta_sd"], beta]),
            model.logp(vars=[beta], jacobian=False),
        ],
    )(point)
    np.testing.assert_allclose(plain, stats.norm(mean, sd).logpdf(drawn).sum(), rtol=1e-10)


def test_effects_are_told_at_one_level_in_data_that_are_drawn_from_the_model():
    model = zoo.network_meta_analysis(networked(), COUNTS, reference="A", baseline_regression=True, **TRIAL)
    level = model.spec["facts"]["reference_level"]
    drawn = next(found for seed in range(9) if (found := draw_data_set(model, seed)) is not None)
    assert drawn.model.spec["facts"]["reference_level"] == pytest.approx(level, rel=1e-12)
    of = zoo.network_meta_analysis(networked(), COUNTS, reference="A", baseline_regression=0.2, **TRIAL)
    assert of.spec["facts"]["reference_level"] == pytest.approx(np.log(0.25))


def test_slopes_that_no_studies_tell_are_named():
    d = networked_by_latitude()
    d = d.assign(lat=np.where(d.trial.isin(["N5", "N6", "N7"]), 2.0, d.lat))  # all that have D

    def notes(frame: pd.DataFrame, interactions: str) -> str:
        return " ".join(
            zoo.network_meta_analysis(frame, f"{COUNTS} + lat", reference="A", interactions=interactions, **TRIAL).spec[
                "notes"
            ]
        )

    told = "no comparison of studies that differ in it tells the slope of lat:drug[D]: known from its prior alone"
    assert told in notes(d, "independent")
    assert "tells the slope" not in notes(networked_by_latitude(), "independent") + notes(d, "common")
    d = d.assign(lat=np.where(d.trial.isin(["N3", "N5", "N7"]), d.lat, 1.0))  # all others have A
    assert "the slope of lat is known from its prior alone: it is the same in all studies with the reference" in notes(
        d, "common"
    )


def test_the_sampler_starts_from_what_each_study_says_alone():
    """The covariance of rough contrasts, and their values, in the independent coordinates of studies of several arms."""
    model = zoo.network_meta_analysis(networked(), COUNTS, reference="A", **TRIAL)
    network = read_network(networked(), COUNTS, reference="A", exposure=None, missing="error", **TRIAL)
    estimate, own, base = network.rough_contrasts()
    same = network.contrasts[:, None, 0] == network.contrasts[None, :, 0]
    inverse = np.linalg.inv(np.linalg.cholesky((same + np.eye(len(own))) / 2))
    transform = model.rvs_to_transforms[model["study_effect"]]
    np.testing.assert_allclose(transform.estimate, inverse @ estimate, rtol=1e-12)
    np.testing.assert_allclose(
        transform.variance, np.diag(inverse @ (np.diag(own) + same * base) @ inverse.T), rtol=1e-12
    )


def test_without_heterogeneity_it_has_fixed_effects():
    frame = networked()
    random, fixed = (zoo.network_meta_analysis(frame, COUNTS, trt_effects=e, **TRIAL) for e in ("random", "fixed"))
    point = row_models.random_point(fixed, 2)
    near = {**row_models.random_point(random, 2), **point, "tau_log__": -30.0}
    np.testing.assert_allclose(values_at(random, near)[-1], values_at(fixed, point)[-1], rtol=1e-12)


def test_the_prior_draws_effects_of_a_study_together():
    import pymc as pm

    priors = {"effect": "Normal(0, 0.001)", "tau": "LogNormal(0, 0.001)"}
    model = zoo.network_meta_analysis(networked(), COUNTS, reference="A", priors=priors, **TRIAL)
    drawn = pm.sample_prior_predictive(4000, model=model, random_seed=1).prior["study_effect"].isel(chain=0)
    found = np.cov(drawn.values.T)
    same = np.array([[a[:2] == b[:2] for b in drawn["trial:drug"].values] for a in drawn["trial:drug"].values])
    np.testing.assert_allclose(found, 0.5 * same + 0.5 * np.eye(len(found)), atol=0.08)


# ------------------------------------------------------------------------------------------------------------- the data


@pytest.mark.parametrize(
    ("labels", "reference"),
    [("ABCD", "B"), (["x", "y", "placebo", "z"], "placebo"), ([3, 2, 1, 4], "1")],  # B is in most studies
)
def test_the_usual_reference(labels, reference):
    frame = networked()
    frame["drug"] = frame.drug.map(dict(zip("ABCD", labels, strict=True)))
    model = zoo.network_meta_analysis(frame, COUNTS, **TRIAL)
    assert all(label.endswith(f" vs {reference}") for label in model.coords["contrast"])
    assert f"the reference is '{reference}', reference= names another" in model.spec["notes"][0]


def test_a_declared_order_says_the_reference_and_the_baselines_of_studies():
    frame = networked()
    frame["drug"] = pd.Categorical(frame.drug, ["D", "C", "B", "A"], ordered=True)
    model = zoo.network_meta_analysis(frame, COUNTS, consistency="ume", **TRIAL)
    assert model.coords["contrast"] == ("A vs D", "B vs D", "A vs C", "B vs C", "A vs B") or set(
        model.coords["contrast"]
    ) == {"A vs D", "B vs D", "C vs D", "B vs C", "A vs C", "A vs B"}


def test_treatments_without_events_are_told():
    frame = networked()
    frame.loc[frame.drug == "D", "ev"] = 0
    with pytest.warns(ZooWarning, match=r"drug\[D\]"):
        notes = zoo.network_meta_analysis(frame, COUNTS, **TRIAL).spec["notes"]
    assert any("treatment 'D' has no events in any of its 3 arms" in note for note in notes)


WRONG = {
    "two parts": (
        networked()[networked().trial.isin(["N1", "N8"])].pipe(
            lambda d: pd.concat([d, d.assign(trial=d.trial + "x", drug=d.drug.map({"A": "C", "B": "D"}))])
        ),
        COUNTS, {}, "the network falls into 2 parts that no study connects: ('A', 'B'); ('C', 'D')",
    ),
    "one arm": (networked().drop(index=networked().index[(networked().trial == "N1") & (networked().drug == "A")]), COUNTS, {},
                "study 'N1' has 'B' alone (row"),
    "one study": (networked()[networked().trial == "N2"], COUNTS, {}, "'trial' has one study ('N2')"),
    "one treatment": (networked().assign(drug="A"), COUNTS, {}, "treatment 'drug' has one value (A)"),
    "no such reference": (networked(), COUNTS, {"reference": "E"}, "treatment 'drug' has no value 'E' to be the reference"),
    "covariate": (networked(), f"{COUNTS} + years", {}, "column 'years' varies within studies 'N1' (rows 6, 17)"),
    "many covariates": (networked_by_latitude(), f"{COUNTS} + lat + I(lat**2) + I(lat**3) + I(lat**4) + I(lat**5)", {},
                        "5 columns of study covariates for 8 studies of 4 treatments leave nothing"),
    "ume, covariate": (networked_by_latitude(), f"{COUNTS} + lat", {"consistency": "ume"}, "use consistency='consistency', or leave the covariates out"),
    "ume, level": (networked(), COUNTS, {"consistency": "ume", "baseline_regression": True}, "use consistency='consistency'"),
    "level, random": (networked(), COUNTS, {"baseline": "random", "baseline_regression": True}, "'random' draws the levels together: use baseline='fixed'"),
    "slopes of nothing": (networked(), COUNTS, {"interactions": "exchangeable"}, "and the model has none: add a study covariate"),
    "slopes": (networked(), COUNTS, {"interactions": "shared"}, "unknown interactions 'shared'; known: common, exchangeable, independent"),
    "no level": (networked(), COUNTS, {"baseline_regression": 1.5}, "must be True, or a risk between 0 and 1 under the reference"),
    "level 0": (networked(), COUNTS, {"baseline_regression": 0.0, "consistency": "ume"}, "use consistency='consistency'"),
    "called baseline": (networked_by_latitude().rename(columns={"lat": "baseline"}), f"{COUNTS} + baseline", {"baseline_regression": True}, "rename the column"),
    "products": (networked_by_latitude().assign(w=lambda d: d.lat**2 % 7), f"{COUNTS} + lat * w", {"interactions": "independent"},
                 "products of covariates have one slope for all treatments"),
    "option": (networked(), COUNTS, {"consistency": "nodesplit"}, "unknown consistency 'nodesplit'; known: consistency, ume"),
    "ume, random": (networked(), COUNTS, {"consistency": "ume", "baseline": "random"}, "use baseline='fixed'"),
    "tau of fixed": (networked(), COUNTS, {"trt_effects": "fixed", "heterogeneity": "general"}, "fixed effects have none"),
    "prior of tau of fixed": (networked(), COUNTS, {"trt_effects": "fixed", "priors": {"tau": "HalfNormal(1)"}}, "tau"),
    "more events": (networked().assign(size=5), COUNTS, {}, "row"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_wrong_input_is_told(name):
    frame, formula, options, told = WRONG[name]
    with pytest.raises(InputError, match=re.escape(told)):
        zoo.network_meta_analysis(frame, formula, **{**TRIAL, **options})


# ----------------------------------------------------------------------------------------------------------- simulation


def simulated(seed: int) -> pd.DataFrame:
    """60 studies of two or three of four treatments: effects 0.5, 1 and -0.5 against A, tau 0.3, baselines around -1."""
    rng = np.random.default_rng(seed)
    rows = []
    for study in range(60):
        drugs = np.sort(rng.choice(4, rng.integers(2, 4), replace=False))
        w = rng.normal(0, 0.3 / np.sqrt(2), 4)
        eta = rng.normal(-1, 0.5) + np.array([0.0, 0.5, 1.0, -0.5])[drugs] + w[drugs]
        rows += [
            (f"s{study:02d}", "ABCD"[k], rng.binomial(200, expit(e)), 200) for k, e in zip(drugs, eta, strict=True)
        ]
    return pd.DataFrame(rows, columns=["study", "treat", "events", "n"])


@pytest.fixture(scope="module")
def fitted() -> xr.DataTree:
    model = zoo.network_meta_analysis(simulated(1), SMOKING, reference="A")
    return zoo.fit(
        model, draws=500, seed=1, progress=False, about={"outcome": "death", "good": "lower", "individual": "patient"}
    )


def test_simulated_effects_are_found(fitted):
    p = fitted["posterior"].dataset
    z = (p["effect"].mean(("chain", "draw")) - [0.5, 1.0, -0.5]) / p["effect"].std(("chain", "draw"))
    assert float(abs(z).max()) < 3
    assert abs(float(p["tau"].mean()) - 0.3) < 3 * float(p["tau"].std())
    assert zoo.check(fitted).sound


# ------------------------------------------------------------------------------------------ published fits, with a sampler

VAGUE = {"effect": "Normal(0, 100)", "study_Intercept": "Normal(0, 100)", "tau": "Uniform(0, 5)"}
ORDER = ["no_contact", "self_help", "ind_counseling", "grp_counseling"]  # A to D of the document
THROMBOLYTICS = ["SK", "t-PA", "Acc t-PA", "SK + t-PA", "r-PA", "TNK", "PTCA", "UK", "ASPAC"]
SHORT = dict(zip("ABCD", ORDER, strict=True))


@pytest.fixture(scope="module")
def smoking() -> pd.DataFrame:
    d = pd.read_csv(Path(__file__).parents[2] / "models" / "smoking" / "data.csv")
    return d.assign(treat=pd.Categorical(d.treat, ORDER, ordered=True))


def fit(model, **settings) -> xr.DataTree:
    tree = zoo.fit(model, seed=20, progress=False, **{"draws": 4000, **settings})
    assert zoo.check(tree).sound, str(zoo.check(tree))
    return tree


def effect(p: xr.Dataset, treatment: str, base: str) -> xr.DataArray:
    """Of a pair, whichever way the model has it, or as a difference of two against the reference."""
    labels = list(p["contrast"].values)
    if f"{treatment} vs {base}" in labels:
        return p["effect"].sel(contrast=f"{treatment} vs {base}")
    reference = labels[0].split(" vs ")[1]
    return effect(p, treatment, reference) - effect(p, base, reference)


def agree(name: str, ours: xr.DataArray, peer: dict[str, float]) -> None:
    s = dict(zip(STATISTICS, statistics(ours.transpose("chain", "draw").values[:, :, None])[0], strict=True))
    z = (s["mean"] - peer["mean"]) / np.hypot(s["mcse_mean"], peer["mcse_mean"])
    assert abs(z) < 4, f"{name}: mean {s['mean']:.4f}, peer {peer['mean']:.4f}, z {z:.1f}"
    assert s["sd"] == pytest.approx(peer["sd"], rel=0.05), name


@pytest.mark.slow
@pytest.mark.parametrize("consistency", ["consistency", "ume"])
def test_smoking_cessation_agrees_with_stan(smoking, consistency):
    peer = reference("smoking_stan")["parameters"][consistency]
    p = fit(zoo.network_meta_analysis(smoking, SMOKING, consistency=consistency))["posterior"].dataset
    for name, found in peer.items():
        agree(name, p["tau"] if name == "tau" else effect(p, *name.split(" vs ")), found)


@pytest.mark.slow
@pytest.mark.parametrize("consistency", ["consistency", "ume"])
@pytest.mark.parametrize("data", ["smoking", "thrombolytics"])
def test_networks_agree_with_the_technical_support_document(smoking, data, consistency):
    """Dias et al., NICE DSU Technical Support Document 4: 24 trials with random effects, 50 with fixed ones."""
    published = reference({"smoking": "smoking_tsd4", "thrombolytics": "thrombolytics_tsd4"}[data])["parameters"][
        consistency
    ]
    table, options, priors = smoking, {}, VAGUE
    if data == "thrombolytics":
        table, options = data_set("multinma_thrombolytics.csv"), {"trt_effects": "fixed"}
        table["treat"] = pd.Categorical(table.treat, THROMBOLYTICS, ordered=True)
        priors = {name: prior for name, prior in VAGUE.items() if name != "tau"}
    tree = fit(zoo.network_meta_analysis(table, SMOKING, consistency=consistency, priors=priors, **options))
    p = tree["posterior"].dataset
    for pair, (mean, sd) in published["effects"].items():
        treatment, base = pair.split(" vs ") if " vs " in pair else (SHORT[pair[1]], SHORT[pair[0]])
        ours = effect(p, treatment, base)
        assert float(ours.mean()) == pytest.approx(mean, abs=0.05 * sd + 0.0051), pair
        assert float(ours.std()) == pytest.approx(sd, rel=0.05, abs=0.0051), pair
    if "tau" in published:
        assert float(p["tau"].median()) == pytest.approx(published["tau"], abs=0.015)
    found = deviance(tree, network_of(tree))
    assert found is not None
    for ours, name in ((found.mean, "residual deviance"), (found.effective, "pD"), (found.dic, "DIC")):
        assert ours == pytest.approx(published[name], abs=1.0), name  # the error of the published draws is not known


@pytest.mark.slow
@pytest.mark.parametrize("over", ["baseline", "duration"])
def test_rheumatoid_arthritis_agrees_with_stan(over):
    peer = reference("certolizumab_stan")["parameters"][over]
    formula, options, priors = SMOKING, {"baseline_regression": True}, {"beta": "Normal(0, 2)"}
    names = {"slope": "beta"}
    if over == "duration":
        formula, options = f"{SMOKING} + duration", {"interactions": "exchangeable"}
        priors = {"beta_mean": "Normal(0, 1)", "beta_sd": "HalfNormal(0.3)"}
        names = {"slope": "beta_mean", "sd of slopes": "beta_sd"}
    data = data_set("gemtc_certolizumab.csv")
    model = zoo.network_meta_analysis(data, formula, reference="Placebo", priors=priors, **options)
    p = fit(model, target_accept=0.99)["posterior"].dataset
    for name, found in peer.items():
        if " vs " in name:
            agree(name, effect(p, *name.split(" vs ")), found)
        else:
            ours = p[names.get(name, name)]
            agree(name, ours.squeeze([d for d in ours.dims if d not in ("chain", "draw")]), found)


@pytest.mark.slow
def test_baseline_risk_regression_agrees_with_the_technical_support_document():
    """Dias et al., NICE DSU Technical Support Document 3: -0.93 (sd 0.09) with fixed effects, -0.95 with random ones, levels with sd 100.

    Where a placebo arm has no events a level far below all others and a slope of -1 fit ever better, so that the mean depends on how far
    chains go; here random effects, with which ours go everywhere.
    """
    priors = {**VAGUE, "beta": "Normal(0, 100)"}
    data = data_set("gemtc_certolizumab.csv")
    model = zoo.network_meta_analysis(data, SMOKING, reference="Placebo", baseline_regression=True, priors=priors)
    p = zoo.fit(model, seed=20, progress=False, draws=4000, target_accept=0.99)["posterior"].dataset
    assert float(p["beta"].mean()) == pytest.approx(-0.95, abs=0.03)


def test_the_network_is_read_as_the_document_has_it(smoking):
    network = read_network(
        smoking, SMOKING, study="study", treatment="treat", reference=None, exposure=None, missing="error"
    )
    assert network.labels == tuple(ORDER) and len(network.contrasts) == 26
    assert len(network.pairs) == 6
