"""Stepped wedges and meta-analyses: risks and effects against formulas written out here and integrals by SciPy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from hand_made_trees import tree_of
from rows import arms, trial
from scipy import integrate, stats
from scipy.special import expit, logit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError

DRAWS = 3


def values(estimates: zoo.Estimates, **where: object) -> np.ndarray:
    """Draws (S, estimates) of the rows of the table that are of this."""
    table = estimates.table
    chosen = np.logical_and.reduce([np.ones(len(table), bool), *(table[name] == v for name, v in where.items())])
    drawn = estimates.draws["value"].values
    return drawn.reshape(-1, drawn.shape[-1])[:, np.flatnonzero(chosen)]


def mean_risks(eta: Any, sd: Any) -> np.ndarray:
    """E inverse logit(eta + sd z) by adaptive quadrature, for arrays."""
    return integrate.quad_vec(lambda z: expit(eta + sd * z) * stats.norm.pdf(z), -12, 12, epsabs=1e-13)[0]


def drawn(model: Any, **given: object) -> dict[str, np.ndarray]:
    """Draws (1, DRAWS, ...) of every variable of a model that a posterior has; those that are given stand as they are."""
    rng = np.random.default_rng(4)
    found: dict[str, np.ndarray] = {}
    for name in sorted({v.name for v in (*model.free_RVs, *model.deterministics)} - set(model.auxiliary)):
        shape = tuple(len(model.coords[d]) for d in model.named_vars_to_dims.get(name) or ())
        found[name] = rng.normal(0.0, 0.5, (1, DRAWS, *shape))
        if name.startswith(("sd_", "tau", "alpha", "sigma")):
            found[name] = rng.uniform(0.3, 1.5, (1, DRAWS, *shape))
        if name.startswith("corr_"):
            r = rng.uniform(-0.8, 0.8, (1, DRAWS, 1, 1))
            found[name] = np.where(np.eye(2) == 1, 1.0, r)
    return found | {name: np.asarray(v, float) for name, v in given.items()}


def of_draw(d: dict[str, np.ndarray], s: int) -> dict[str, np.ndarray]:
    return {name: array[0, s] for name, array in d.items()}


# ---------------------------------------------------------------------------------------------------------- stepped wedge


@cache
def wedge(
    formula: str = "k | trials(n) ~ x", **options: Any
) -> tuple[pd.DataFrame, xr.DataTree, dict[str, np.ndarray]]:
    data = trial().assign(arm=lambda d: d.treat.map({0: "usual care", 1: "coaching"}))
    model = row_models.builder("stepped_wedge")(data, formula, **options)
    found = drawn(model)
    return data, tree_of(model, found), found


def linear(data: pd.DataFrame, p: dict[str, np.ndarray]) -> np.ndarray:
    """The predictor of control rows without group effects: periods 1 to 3, then x where the model has it."""
    eta = p["Intercept"] + np.append(0.0, p["beta"][:3])[data.period.to_numpy()]
    return eta + (p["beta"][3] * data.x.to_numpy() if len(p["beta"]) > 3 else 0.0)


def compared(p1: float, p0: float) -> dict[str, float]:
    return {
        "difference": p1 - p0,
        "ratio": p1 / p0,
        "odds_ratio": p1 / (1 - p1) / (p0 / (1 - p0)),
        "nnt": 1 / abs(p1 - p0),
    }


@pytest.mark.parametrize("correlation", ["exchangeable", "nested_exchangeable", "decay"])
def test_the_effect_of_treatment_averages_rows_and_integrates_clusters_and_periods(correlation: str) -> None:
    data, tree, found = wedge(correlation=correlation)
    effects = zoo.comparisons(tree, "treat")
    assert list(effects.table["measure"]) == ["difference", "ratio", "odds_ratio", "nnt"]
    typical = zoo.comparisons(tree, "treat", groups="typical", measures="difference")
    for s in range(DRAWS):
        p = of_draw(found, s)
        sd = np.sqrt(sum(np.sum(p[name] ** 2) for name in p if name.startswith("sd_")))
        eta = linear(data, p)
        expected = compared(*(float(np.mean(mean_risks(eta + e, sd))) for e in (p["effect"], 0.0)))
        for measure, value in expected.items():
            np.testing.assert_allclose(values(effects, measure=measure)[s], value, rtol=1e-7)
        np.testing.assert_allclose(values(typical)[s], np.mean(expit(eta + p["effect"]) - expit(eta)), rtol=1e-10)
    assert "cluster drawn from the population of clusters" in effects.sentence or correlation == "decay"


def test_the_order_of_a_contrast_turns_its_sign_and_labels_are_those_of_the_data() -> None:
    _, tree, _ = wedge(treatment="arm")
    effects = zoo.comparisons(tree, "arm", measures="difference")
    assert effects.table["contrast"].tolist() == ["coaching vs usual care"]
    turned = zoo.comparisons(tree, "arm", contrast=("usual care", "coaching"), measures="difference")
    np.testing.assert_allclose(values(turned), -values(effects), rtol=1e-12)
    _, with_numbers, _ = wedge()
    np.testing.assert_array_equal(
        values(effects), values(zoo.comparisons(with_numbers, "treat", measures="difference"))
    )
    with pytest.raises(InputError, match=r"level 'usual' of 'arm' .* levels: usual care, coaching"):
        zoo.predictions(tree, at={"arm": "usual"})


def test_the_first_treated_period_of_clusters_makes_the_column_treat() -> None:
    data, tree, found = wedge(crossover="first")
    np.testing.assert_array_equal(values(zoo.comparisons(tree, "treat")), values(zoo.comparisons(wedge()[1], "treat")))
    np.testing.assert_array_equal(
        values(zoo.predictions(tree, data.drop(columns="first"))), values(zoo.predictions(tree))
    )
    with pytest.raises(InputError, match="the data lack column 'treat'"):
        zoo.predictions(tree, data.drop(columns="treat"))
    assert found["effect"].shape == (1, DRAWS)


@pytest.mark.parametrize("exposure_time", ["categorical", "monotone"])
def test_effects_by_exposure_time_their_plain_average_and_the_last(exposure_time: str) -> None:
    """The average is of what is expected of treated rows, each exposure time alike however many rows the data have of it."""
    data, tree, found = wedge(exposure_time=exposure_time)
    effects = zoo.comparisons(tree, "treat")
    labels = [
        "1 vs 0, average of exposure times 1 to 3 (TATE)",
        *(f"1 vs 0, exposure time {e}" for e in (1, 2, 3)),
        "1 vs 0, long-term (exposure time 3)",
    ]
    assert list(dict.fromkeys(effects.table["contrast"])) == labels
    times = effects.table.drop_duplicates("contrast")["exposure_time"]
    np.testing.assert_array_equal(times, [np.nan, 1, 2, 3, 3])
    for s in range(DRAWS):
        p = of_draw(found, s)
        eta, sd = linear(data, p), p["sd_cluster"].item()
        p0 = float(np.mean(mean_risks(eta, sd)))
        at = [float(np.mean(mean_risks(eta + e, sd))) for e in p["effect"]]
        for label, p1 in zip(labels, [float(np.mean(at)), *at, at[2]], strict=True):
            for measure, value in compared(p1, p0).items():
                np.testing.assert_allclose(values(effects, contrast=label, measure=measure)[s], value, rtol=1e-7)
    own = zoo.predictions(tree, groups="typical")
    assert own.table["exposure_time"].tolist() == data.since.tolist()
    by_row = linear(data, of_draw(found, 0)) + np.append(0.0, found["effect"][0, 0])[data.since.to_numpy()]
    np.testing.assert_allclose(values(own)[0], expit(by_row), rtol=1e-10)


def test_ratios_of_rates_by_exposure_time_in_closed_form() -> None:
    _, tree, found = wedge("c ~ 1", family="negative_binomial", exposure_time="categorical")
    effects = zoo.comparisons(tree, "treat", measures="ratio")
    ratios = np.exp(found["effect"][0])
    expected = np.column_stack([ratios.mean(axis=1), ratios, ratios[:, 2]])
    np.testing.assert_allclose(values(effects), expected, rtol=1e-12)
    second = zoo.comparisons(tree, "treat", measures="ratio", at={"exposure_time": 2})
    assert second.table["contrast"].tolist() == ["1 vs 0"]
    np.testing.assert_allclose(values(second)[:, 0], ratios[:, 1], rtol=1e-12)


def test_a_treated_row_needs_an_exposure_time_of_the_fit() -> None:
    data, tree, found = wedge("c ~ 1", family="negative_binomial", exposure_time="categorical")
    new = pd.DataFrame({"period": [0, 3], "treat": [0, 1]})
    with pytest.raises(InputError, match=r"treated rows need 'exposure_time'.*the data lack it.*of the fit: 1, 2, 3"):
        zoo.predictions(tree, new)
    with pytest.raises(InputError, match=r"one of the fit, 1, 2, 3, not 5 \(row 2\)"):
        zoo.predictions(tree, new.assign(exposure_time=[0, 5]))
    with pytest.raises(InputError, match="not 0"):
        zoo.predictions(tree, at={"treat": 1})
    of_rows = zoo.predictions(tree, new.assign(exposure_time=[0, 2]), scale="linear")
    eta = found["Intercept"][0] + found["beta"][0, :, 2] + found["effect"][0, :, 1]
    np.testing.assert_allclose(values(of_rows), np.column_stack([found["Intercept"][0], eta]), rtol=1e-12)
    control = zoo.predictions(tree, new, at={"treat": 0}, scale="linear")
    np.testing.assert_allclose(values(control)[:, 0], found["Intercept"][0], rtol=1e-12)
    np.testing.assert_allclose(
        values(zoo.comparisons(tree, "treat", new, measures="ratio")),
        values(zoo.comparisons(tree, "treat", measures="ratio")),
        rtol=1e-12,
    )
    assert set(data.since) == {0, 1, 2, 3}


@pytest.mark.parametrize("correlation", ["exchangeable", "decay"])
def test_clusters_that_differ_in_their_effect_vary_more_or_less_under_treatment(correlation: str) -> None:
    """With a log link E = exp(eta + v / 2), v = s_0^2 + t (2 r s_0 s_1 + s_1^2); counts are for 7 days, or for those of the rows."""
    data, tree, found = wedge(
        "c ~ 1", family="poisson", exposure="days", treatment_effect="random", correlation=correlation
    )
    arms_of_period = zoo.predictions(tree, at={"treat": [0, 1], "period": 2}, by=True, per=7)
    of_month = zoo.predictions(tree, at={"treat": [0, 1], "period": 2, "days": 30}, by=True)
    own = zoo.predictions(tree, groups="observed", scale="linear")
    for s in range(DRAWS):
        p = of_draw(found, s)
        sd, more = p["sd_cluster"], p.get("sd_cluster:period", np.zeros(1))[0]
        both = 2 * p["corr_cluster"][0, 1] * sd[0] * sd[1] if correlation == "exchangeable" else 0.0
        always = sd[0] ** 2 if correlation == "exchangeable" else more**2
        variances = np.array([always, always + both + sd[-1] ** 2])
        eta = p["Intercept"] + p["beta"][1] + np.array([0.0, p["effect"]])
        np.testing.assert_allclose(values(arms_of_period)[s], 7 * np.exp(eta + variances / 2), rtol=1e-12)
        np.testing.assert_allclose(values(of_month)[s], 30 * np.exp(eta + variances / 2), rtol=1e-12)
        u = p["u_cluster"][data.cluster.str[1:].astype(int) - 1]
        varying = u[:, -1] * data.treat.to_numpy()
        if correlation == "exchangeable":
            varying = varying + u[:, 0]
        else:
            cells = tree["posterior"].dataset["cluster:period"].values.tolist()
            places = [cells.index(f"{c}:{t}") for c, t in zip(data.cluster, data.period, strict=True)]
            varying = varying + p["u_cluster:period"][places, 0]
        expected = linear(data, p) + p["effect"] * data.treat.to_numpy() + varying
        np.testing.assert_allclose(values(own)[s], expected, rtol=1e-10)


@pytest.mark.parametrize("exposure_time", ["constant", "categorical"])
def test_a_dispersion_with_the_treatment_is_that_of_the_arm_asked_about(exposure_time: str) -> None:
    data, tree, found = wedge(
        "c ~ x",
        family="negative_binomial",
        treatment="arm",
        dispersion="~ arm + (1 |p| cluster)",
        exposure_time=exposure_time,
    )
    asked = {
        "arm": ["usual care", "coaching"],
        "period": 2,
        **({"exposure_time": 2} if exposure_time != "constant" else {}),
    }
    none = zoo.predictions(tree, at=asked, scale="zero", groups="typical", by=True)
    mean = zoo.predictions(tree, at=asked, groups="typical", by=True)
    for s in range(DRAWS):
        p = of_draw(found, s)
        effect = p["effect"] if exposure_time == "constant" else p["effect"][1]
        eta = linear(data.assign(period=2), p) + np.array([[0.0], [effect]])
        # coaching stands before usual care in the alphabet, so that it is the reference of the dispersion
        size = np.exp(p["alpha_Intercept"] + np.array([[p["alpha_beta"][0]], [0.0]]))
        np.testing.assert_allclose(values(mean)[s], np.exp(eta).mean(axis=1), rtol=1e-10)
        expected = stats.nbinom.pmf(0, size, size / (size + np.exp(eta))).mean(axis=1)
        np.testing.assert_allclose(values(none)[s], expected, rtol=1e-10)


def test_a_residual_sd_by_formula_has_no_one_icc() -> None:
    _, plain, _ = wedge("y ~ x", family="gaussian")
    _, tree, found = wedge("y ~ x", family="gaussian", dispersion="~ treat", treatment_effect="random")
    assert "icc_within_period" in zoo.findings(plain)["wedge_effects"].quantities
    assert "icc_within_period" not in zoo.findings(tree)["wedge_effects"].quantities
    effect = values(zoo.comparisons(tree, "treat"))[:, 0]
    np.testing.assert_allclose(effect, found["effect"][0], rtol=1e-10)


def test_periods_that_the_fit_lacks_are_told() -> None:
    data, tree, _ = wedge()
    with pytest.raises(InputError, match=r"level '9' of 'period' \(row 1\)"):
        zoo.predictions(tree, data.head(1).assign(period=9))


# ---------------------------------------------------------------------------------------------------------- meta-analysis

BASELINES = [("fixed", "01"), ("fixed", "half"), ("random", "01"), ("random", "half"), ("bivariate", "01")]
OPTIONS = {"study": "trial", "treatment": "drug"}


@cache
def meta(
    baseline: str = "fixed", coding: str = "01", formula: str = "ev | trials(size) ~ drug + lat", **more: Any
) -> tuple[pd.DataFrame, xr.DataTree, dict[str, np.ndarray]]:
    model = row_models.builder("meta_analysis")(arms(), formula, baseline=baseline, coding=coding, **OPTIONS, **more)
    found = drawn(model)
    found |= {"beta": found["beta"] / 20} if "beta" in found else {}  # lat goes from 13 to 55
    return arms(), tree_of(model, found), found


def of_arms(data: pd.DataFrame, p: dict[str, np.ndarray], baseline: str, coding: str) -> tuple[np.ndarray, ...]:
    """The predictor of each arm at its baseline without effects of studies, the variance of these, and the study's own ones."""
    t, study = data["drug"].to_numpy(), data["trial"].str[1:].astype(int).to_numpy() - 1
    lat = data.groupby("trial")["lat"].first()
    m = p["effect"] + (p["beta"][0] * (data["lat"] - lat.mean()).to_numpy() if "beta" in p else 0.0)
    b = p["study_Intercept"][study] if baseline == "fixed" else p["Intercept"]
    if baseline == "bivariate":
        return b + t * m, p["sd_trial"][t] ** 2, p["u_trial"][study, t]
    s = t - (0.5 if coding == "half" else 0.0)
    own, variance = s * (p["study_effect"][study] - m), s**2 * p["tau"] ** 2
    if baseline == "random":
        own, variance = own + p["u_trial"][study, 0], variance + p["sd_trial"][0] ** 2
    return b + t * m, variance, own


@pytest.mark.parametrize(("baseline", "coding"), BASELINES)
def test_risks_of_the_arms_of_trials(baseline: str, coding: str) -> None:
    data, tree, found = meta(baseline, coding)
    predicted = {g: values(zoo.predictions(tree, groups=g)) for g in ("population", "typical", "observed")}
    for s in range(DRAWS):
        eta, variance, own = of_arms(data, of_draw(found, s), baseline, coding)
        np.testing.assert_allclose(predicted["population"][s], mean_risks(eta, np.sqrt(variance)), rtol=1e-8)
        np.testing.assert_allclose(predicted["typical"][s], expit(eta), rtol=1e-10)
        np.testing.assert_allclose(predicted["observed"][s], expit(eta + own), rtol=1e-10)


@pytest.mark.parametrize(("baseline", "coding"), BASELINES)
def test_absolute_effects_at_a_control_risk(baseline: str, coding: str) -> None:
    """Control arms have the risk that is given; effects vary with tau between trials, whatever the model of baselines."""
    _, tree, found = meta(baseline, coding)
    at = {"baseline": [0.1, 0.4], "lat": 20}
    risks = zoo.predictions(tree, at={**at, "drug": [0, 1]}, by=True)
    effects = {g: zoo.comparisons(tree, "drug", at=at, groups=g) for g in ("population", "typical")}
    mean_lat = arms().groupby("trial")["lat"].first().mean()
    for s in range(DRAWS):
        p = of_draw(found, s)
        m = p["effect"] + p["beta"][0] * (20 - mean_lat)
        tau = p["tau"]
        if baseline == "bivariate":
            sd = p["sd_trial"]
            tau = np.sqrt(sd @ sd - 2 * p["corr_trial"][0, 1] * sd[0] * sd[1])
        for b in (0.1, 0.4):
            treated = {"population": mean_risks(logit(b) + m, tau), "typical": expit(logit(b) + m)}
            found_here = [values(risks, baseline=b, drug=t)[s, 0] for t in (0, 1)]
            np.testing.assert_allclose(found_here, [b, treated["population"]], rtol=1e-8)
            for groups, of_groups in effects.items():
                for measure, value in compared(treated[groups], b).items():
                    found_here = values(of_groups, baseline=b, measure=measure)[s]
                    np.testing.assert_allclose(found_here, value, rtol=1e-6)
    assert "in a trial drawn from the population of trials" in effects["population"].sentence
    assert "baseline = 0.1, 0.4" in effects["population"].sentence


def test_a_trials_own_effect_at_a_control_risk() -> None:
    data, tree, found = meta("fixed", "half")
    own = zoo.comparisons(tree, "drug", at={"baseline": 0.1}, groups="observed", by="trial", measures="odds_ratio")
    np.testing.assert_allclose(values(own), np.exp(found["study_effect"][0]), rtol=1e-9)
    new = pd.DataFrame({"trial": ["T2", "T99"], "drug": [1, 1], "lat": [30.0, 30.0]})
    with pytest.raises(InputError, match=r"trial 'T99' \(row 2\) was not in the data of the fit"):
        zoo.predictions(tree, new, at={"baseline": 0.1}, groups="observed")
    of_new = zoo.predictions(tree, new, at={"baseline": 0.1}, groups="observed", unseen="population")
    alone = zoo.predictions(tree, new.drop(columns="trial"), at={"baseline": 0.1})
    np.testing.assert_array_equal(values(of_new)[:, 1], values(alone)[:, 1])
    assert set(data["trial"]) >= {"T2"}


def test_without_heterogeneity_the_population_is_the_mean_trial() -> None:
    model = row_models.builder("meta_analysis")(arms(), "ev | trials(size) ~ drug", **OPTIONS)
    found = drawn(model, tau=np.zeros((1, DRAWS)))
    tree, at = tree_of(model, found), {"baseline": 0.2, "drug": 1}
    expected = expit(logit(0.2) + found["effect"][0])
    for groups in ("population", "typical", "new"):
        np.testing.assert_allclose(
            values(zoo.predictions(tree, at=at, by=True, groups=groups))[:, 0], expected, rtol=1e-10
        )


def test_new_trials_have_on_average_the_risk_of_their_population() -> None:
    model = row_models.builder("meta_analysis")(arms(), "ev | trials(size) ~ drug", baseline="bivariate", **OPTIONS)
    one = {name: array[:, :1] for name, array in drawn(model).items()}
    tree = tree_of(model, {name: np.repeat(array, 8000, axis=1) for name, array in one.items()})
    for at in ({"drug": [0, 1]}, {"drug": [0, 1], "baseline": 0.3}):
        new, population = (
            zoo.predictions(tree, at=at, by=True, groups=g, draws=8000).table for g in ("new", "population")
        )
        error = np.maximum(new["sd"] / np.sqrt(8000), 1e-12)
        assert np.all(np.abs(new["mean"] - population["mean"]) < 4 * error)


def test_rates_are_for_the_exposure_asked_for() -> None:
    data, tree, found = meta(formula="ev ~ drug", exposure="years")
    rates = zoo.predictions(tree, at={"drug": [0, 1], "baseline": 0.02}, by=True, per=1000)
    treated = 20 * np.exp(found["effect"][0] + found["tau"][0] ** 2 / 2)
    np.testing.assert_allclose(values(rates), np.column_stack([np.full(DRAWS, 20.0), treated]), rtol=1e-12)
    in_five = zoo.predictions(tree, at={"drug": [0, 1], "baseline": 0.02, "years": 5}, by=True)
    np.testing.assert_allclose(values(in_five), values(rates) / 200, rtol=1e-12)
    assert "of ev per 1000 units of years" in rates.sentence
    for s in range(DRAWS):
        eta, variance, _ = of_arms(data, of_draw(found, s), "fixed", "01")
        np.testing.assert_allclose(values(zoo.predictions(tree))[s], np.exp(eta + variance / 2), rtol=1e-12)


def test_a_wide_table_has_a_row_for_each_arm() -> None:
    long = arms().iloc[:16]
    control, treated = long[long.drug == 0], long[long.drug == 1]
    wide = control[["trial", "lat"]].reset_index(drop=True)
    for k, side in ((1, control), (2, treated)):
        wide = wide.assign(**{f"{c}{k}": side[c].to_numpy() for c in ("ev", "size", "years")})
    for formula, more in (("ev | trials(size) ~ lat", {}), ("ev ~ lat", {"exposure": "years"})):
        models = [row_models.builder("meta_analysis")(d, formula, **OPTIONS, **more) for d in (long, wide)]
        found = drawn(models[0])
        of_long, of_wide = (tree_of(m, found) for m in models)
        np.testing.assert_array_equal(values(zoo.predictions(of_wide)), values(zoo.predictions(of_long)))
        named = zoo.comparisons(of_wide, "drug")
        assert set(named.table["contrast"]) == {"arm 2 vs arm 1"}
        np.testing.assert_array_equal(values(named), values(zoo.comparisons(of_long, "drug")))
        exposed = zoo.predictions(of_wide, at={"years": 3.0} if more else {"drug": "arm 2"}, by=True)
        assert len(exposed.table) == 1


def test_slopes_of_a_study_covariate() -> None:
    _, tree, found = meta()
    slope = values(zoo.slopes(tree, "lat", at={"baseline": 0.1, "drug": 1}, scale="linear"))
    np.testing.assert_allclose(slope[:, 0], found["beta"][0, :, 0], rtol=1e-6)


def test_products_of_study_covariates_are_less_their_means_over_studies() -> None:
    data = arms().assign(kind=lambda d: np.where(d["trial"].isin(["T1", "T4", "T6"]), "a", "b"))
    model = row_models.builder("meta_analysis")(data, "ev | trials(size) ~ drug + lat * kind", **OPTIONS)
    found = drawn(model)
    found["beta"] = found["beta"] / 20
    effects = zoo.comparisons(tree_of(model, found), "drug", by="trial", groups="typical", scale="linear")
    first = data.drop_duplicates("trial")
    b = np.array(first["kind"] == "b", float)
    columns = {"lat": first["lat"], "kind[b]": b, "lat:kind[b]": first["lat"] * b}
    X = np.column_stack([columns[label] for label in model.coords["coef"]])
    expected = found["effect"][0][:, None] + found["beta"][0] @ (X - X.mean(axis=0)).T
    np.testing.assert_allclose(values(effects), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({"baseline": 1.2}, r"^'baseline' must be a risk under control, between 0 and 1, not 1.2$"),
        ({"baseline": 0}, "between 0 and 1, not 0"),
        ({"baseline": "low"}, "'baseline' is a number in the fit and cannot be 'low'"),
        ({"drug": 3}, r"level '3' of 'drug'.*levels: 0, 1"),
        ({"base": 0.1}, "at: the model has no column 'base'"),
    ],
)
def test_values_that_cannot_be_set_are_told(at: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        zoo.predictions(meta()[1], at=at)


def test_fixed_baselines_are_those_of_the_trials_of_the_fit() -> None:
    tree = meta()[1]
    new = pd.DataFrame({"trial": ["T2", "T22"], "drug": [0, 1], "lat": [30.0, 30.0]})
    with pytest.raises(InputError, match=r"trial 'T22' \(row 2\) was not in the data of the fit.*at={'baseline': 0.1}"):
        zoo.predictions(tree, new)
    with pytest.raises(InputError, match=r"^the data lack 'trial', and with baseline='fixed'.*at={'baseline': 0.1}"):
        zoo.predictions(tree, new.drop(columns="trial"))
    zoo.predictions(tree, new, at={"baseline": 0.1})
    zoo.predictions(meta("random")[1], new.drop(columns="trial"))
    assert "at each row's own baseline" in zoo.predictions(tree).sentence
    assert "own baseline" not in zoo.predictions(tree, at={"baseline": 0.1}).sentence
