"""Joint outcomes: limits, rows that are missing separately, names, what the report says, and wrong inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import row_models
from rows import ROWS, gaps
from scipy import stats
from scipy.special import expit, gamma

import glmm_zoo as zoo
from glmm_zoo import cli
from glmm_zoo.errors import InputError
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.results.findings import propensities
from glmm_zoo.results.response_moments import response_of
from glmm_zoo.results.storage import metadata

BY_NAME = {row.name: row for row in ROWS}
SEED = {"infected ~ time + (1 |p| id)": "bernoulli", "severity ~ time + treatment + (1 |p| id)": "negative_binomial"}
TRUTH = {"infected_Intercept": -0.3, "infected_beta[time]": 0.5, "severity_Intercept": 0.5, "severity_beta[time]": 0.2}


def infections(n: int = 80, rho: float = 0.5, seed: int = 1, visits: int = 5) -> pd.DataFrame:
    """The seed case: sds 1 and 0.7 of the effects, alpha 3, outcomes missing separately."""
    rng = np.random.default_rng(seed)
    b = rng.multivariate_normal([0, 0], np.outer([1, 0.7], [1, 0.7]) * [[1, rho], [rho, 1]], n)
    i, time = np.repeat(np.arange(n), visits), np.tile(np.arange(visits) / 2, n)
    treatment = rng.integers(0, 2, n)[i]
    mu = np.exp(0.5 + 0.2 * time - 0.4 * treatment + b[i, 1])
    d = pd.DataFrame({"id": i, "time": time, "treatment": treatment})
    d["infected"] = rng.binomial(1, expit(-0.3 + 0.5 * time + b[i, 0])).astype(float)
    d["severity"] = rng.negative_binomial(3, 3 / (3 + mu)).astype(float)
    return d.mask(
        pd.DataFrame({"infected": rng.random(len(d)) < 0.1, "severity": rng.random(len(d)) < 0.1}).reindex(
            columns=d.columns, fill_value=False
        )
    )


def total(model, point) -> float:
    return float(row_models.function(model, [model.logp()])(point)[0])


# ------------------------------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize("label", ["", "|p"])
@pytest.mark.promise("limits")
def test_outcomes_without_a_common_label_are_the_separate_models(label):
    """The log density of the joint model is the sum of theirs, to rounding."""
    d = infections()
    both = zoo.joint_outcomes(
        d,
        [
            (f"infected ~ time + (1 {label}| id)", "bernoulli"),
            ("severity ~ time + (1 + time | id)", "negative_binomial"),
        ],
    )
    alone = {
        "infected": zoo.hierarchical_logistic(d.dropna(subset="infected"), "infected ~ time + (1 | id)"),
        "severity": zoo.negative_binomial(d.dropna(subset="severity"), "severity ~ time + (1 + time | id)"),
    }
    point = row_models.random_point(both, 1)
    each = {name: {k.removeprefix(f"{name}_"): v for k, v in point.items() if k.startswith(name)} for name in alone}
    assert sum(map(len, each.values())) == len(point)
    np.testing.assert_allclose(total(both, point), sum(total(alone[m], each[m]) for m in alone), rtol=1e-12)
    assert {k.removeprefix("infected_") for k in both.spec["priors"] if k.startswith("infected")} == set(
        alone["infected"].spec["priors"]
    )
    for name, model in alone.items():
        for k, prior in model.spec["priors"].items():
            found = both.spec["priors"][f"{name}_{k}"]
            assert found == prior or list(found.values()) == list(prior.values())


@pytest.mark.promise("limits")
def test_a_correlation_of_zero_is_independence():
    """Partial correlations of 0 leave the prior of the effects a product, as without labels."""
    d, corr = infections(), {"corr": "LKJ(1)"}
    tied = zoo.joint_outcomes(d, SEED, priors=corr)
    free = zoo.joint_outcomes(d, [(f.replace("|p|", "|"), family) for f, family in SEED.items()])
    point = row_models.random_point(tied, 2)
    p = next(name for name in point if name.startswith("pcorr_id"))
    point[p] = np.zeros(1)
    z, sd = (next(name for name in point if name.startswith(lead)) for lead in ("u_id", "sd_id"))
    apart = {k: v for k, v in point.items() if k not in (p, z, sd)}
    for k, name in enumerate(("infected", "severity")):
        apart |= {f"{name}_{z}": point[z][:, [k]], f"{name}_{sd}": point[sd][[k]]}
    uniform = np.log(0.5) + np.log(0.5)  # density of p = 0 under LKJ(1), times its Jacobian: 2 * 1/4
    np.testing.assert_allclose(total(tied, point) - total(free, apart), np.log(0.25), rtol=1e-9)
    assert uniform == np.log(0.25)


def test_a_row_counts_for_the_outcomes_that_it_has():
    """Rows without a response add nothing, wide and stacked tables give the same model."""
    d = infections()
    wide = zoo.joint_outcomes(d, SEED)
    stacked = pd.concat([d.drop(columns="severity"), d.drop(columns="infected")], ignore_index=True)
    stacked.loc[stacked.infected.isna() & stacked.severity.isna(), "time"] = np.nan  # nobody looks at these rows
    stacked.loc[stacked.severity.isna(), "treatment"] = np.nan  # nor at a covariate of the other outcome
    other = zoo.joint_outcomes(stacked, SEED)
    point = row_models.random_point(wide, 3)
    np.testing.assert_allclose(total(other, point), total(wide, point), rtol=1e-12)
    assert list(wide.coords["infected_row"]) == np.flatnonzero(d.infected.notna()).tolist()
    assert any("severity has no value in" in note for note in wide.spec["notes"])


def test_subjects_may_have_one_outcome_only():
    d = infections()
    d.loc[d.id < 20, "severity"] = np.nan
    d.loc[d.id >= 70, "infected"] = np.nan
    model = zoo.joint_outcomes(d, SEED)
    assert len(model.coords["id"]) == 80
    _, counts = (model.spec["facts"]["rows"][m]["id"] for m in ("infected", "severity"))
    assert counts[:20] == [0] * 20


def test_the_order_of_outcomes_does_not_matter():
    d = infections()
    models = [zoo.joint_outcomes(d, pairs) for pairs in (SEED, dict(reversed(SEED.items())))]
    point = row_models.random_point(models[0], 4)
    turned = {k: v[..., ::-1] if k.startswith(("u_id", "sd_id")) else v for k, v in point.items()}
    u, sd, corr = (
        row_models.function(models[0], models[0].replace_rvs_by_values([models[0][n]]))(point)[0]
        for n in ("u_id", "sd_id", "corr_id")
    )
    there = row_models.function(
        models[1], models[1].replace_rvs_by_values([models[1][n] for n in ("sd_id", "corr_id")])
    )(turned)
    np.testing.assert_allclose(there[0], sd[::-1])
    np.testing.assert_allclose(there[1], corr[::-1, ::-1])
    z = next(k for k in point if k.startswith("u_id"))
    L = np.linalg.cholesky(np.outer(sd, sd)[::-1, ::-1] * there[1])
    turned[z] = np.linalg.solve(L, u[:, ::-1].T).T
    densities = [row_models.function(m, [m.observedlogp])(p)[0] for m, p in zip(models, (point, turned), strict=True)]
    np.testing.assert_allclose(*densities, rtol=1e-10)


def test_calls_mean_the_same():
    d, formulas, families = infections(), list(SEED), list(SEED.values())
    ways = [
        zoo.joint_outcomes(d, SEED),
        zoo.mv(d, list(SEED.items())),
        zoo.joint_outcomes(d, formulas, families=families),
        zoo.joint_outcomes(d, formulas, families="bernoulli, nb"),
    ]
    point = row_models.random_point(ways[0], 5)
    assert len({total(m, point) for m in ways}) == 1


def test_priors_by_outcome_and_for_all():
    model = zoo.joint_outcomes(
        infections(), SEED,
        priors={"beta": "Normal(0, 1)", "severity_beta[time]": "Normal(0, 2)", "alpha": "Gamma(2, 1)", "sd[id, severity:Intercept]": "HalfNormal(1)"},
    )  # fmt: skip
    found = model.spec["priors"]
    assert found["infected_beta"] == "Normal(0, 1)" and found["severity_alpha"] == "Gamma(2, 1)"
    assert list(found["severity_beta"].values()) == ["Normal(0, 2)", "Normal(0, 1)"]
    assert found["sd_id"]["sd[id, severity:Intercept]"] == "HalfNormal(1)"


def test_an_expression_names_its_outcome_without_its_marks():
    d = infections().assign(y=lambda d: d.time + 1.5)
    model = zoo.joint_outcomes(
        d, [("log(y) ~ treatment + (1 |p| id)", "gaussian"), ("infected ~ 1 + (1 |p| id)", "bernoulli")]
    )
    assert "logy_sigma" in model.named_vars and list(model.coords["id_effect"]) == [
        "logy:Intercept",
        "infected:Intercept",
    ]


# --------------------------------------------------------------------------------------------------- geometry and sampling


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.builder == "joint_outcomes"])
def test_the_approximation_serves_all_outcomes_and_the_kernel_knows_the_graph(name):
    model = row_models.build(BY_NAME[name])
    model, start = parameterize(model, "auto")
    transforms = [model.rvs_to_transforms[model[u]] for u in model.group_effect_names]
    assert start is not None and all(t.information is not None for t in transforms)
    assert compile_model(model, start).program is not None


@pytest.fixture(scope="module")
def tree():
    return zoo.fit(zoo.joint_outcomes(infections(), SEED), draws=400, seed=2, progress=False)


def test_a_fit_holds_every_outcome_under_its_own_rows(tree, tmp_path):
    d = infections()
    assert int(tree["sample_stats"]["diverging"].sum()) == 0
    for name in ("infected", "severity"):
        rows = d[name].notna()
        for group in ("log_likelihood", "posterior_predictive"):
            assert tree[group][name].dims == ("chain", "draw", f"{name}_row")
        assert tree["observed_data"][name][f"{name}_row"].values.tolist() == np.flatnonzero(rows).tolist()
        assert tree["observed_data"][name].values.tolist() == d[name][rows].tolist()
    zoo.save(tree, tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(zoo.summary(zoo.load(tmp_path / "fit.nc")), zoo.summary(tree))
    text = zoo.write_report(tree, tmp_path / "fit.html").read_text()
    assert "severity" in text and "propensity_correlation" in text


def test_the_report_says_how_outcomes_go_together(tree):
    found = zoo.findings(tree)["propensities"]
    r = tree["posterior"]["corr_id"].sel(id_effect="infected:Intercept", id_effect_bis="severity:Intercept")
    table = found.tables["correlation"].loc["propensity_correlation[id: infected, severity]"]
    np.testing.assert_allclose(table["median"], r.median())
    np.testing.assert_allclose(table["P(> 0)"], (r > 0).mean())
    given = found.tables["given"]["median"]
    assert given["severity given infected low (10 %)"] < given["severity given infected high (90 %)"]
    assert found.tables["subjects_id"].loc["3", "severity rows"] == infections().query("id == 3").severity.notna().sum()
    summary = zoo.summary(tree)
    assert {"infected_odds_ratio[time]", "severity_rate_ratio[time]", "infected_icc[id]"} <= set(summary.index)


def test_moments_of_the_effects_leave_out_the_subjects_only():
    model = zoo.joint_outcomes(infections(30), SEED)
    few = zoo.fit(model, draws=50, tune=50, chains=2, seed=1, progress=False, keep_group_effects="moments")
    found = zoo.findings(few)["propensities"]
    assert {"correlation", "new_subject", "given"} == set(found.tables) and "group_effects" in few


def test_one_effect_with_loadings_is_told_as_such():
    """The outcome that tells most of a subject stands first; a negative loading where the other falls."""
    formulas = [("severity ~ time + (1 |p| id)", "poisson"), ("infected ~ time + (1 |p| id)", "bernoulli")]
    model = zoo.joint_outcomes(infections(60, -0.9), formulas, shared="loading")
    tree = zoo.fit(model, draws=300, seed=1, progress=False)
    found, summary = zoo.findings(tree)["propensities"], zoo.summary(tree)
    assert summary.loc["infected_loading", "upper"] < 0 and summary["r_hat"].notna().all()
    assert "one effect of a subject stands for both; they rise together with probability < 0.01." in found.sentences[0]
    np.testing.assert_allclose(found.tables["new_subject"].loc["P(both high)[id: severity, infected]"], 0, atol=1e-6)


def test_response_scale_equals_simulation():
    """P(both high), corr of responses and conditional means at one point against plain sampling."""
    rng, n, r, sd = np.random.default_rng(3), 400_000, 0.6, np.array([1.2, 0.8])
    tree = zoo.fit(zoo.joint_outcomes(infections(30), SEED), draws=100, tune=100, chains=1, seed=1, progress=False)
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    one, two = (response_of(posterior, spec, name) for name in ("infected", "severity"))
    kept = slice(None), slice(0, 1)
    shape = (1, 100)
    v = rng.multivariate_normal([0, 0], np.outer(sd, sd) * [[1, r], [r, 1]], n)
    p, mu = expit(one.level[0, 0] + v[:, 0]), np.exp(two.level[0, 0] + v[:, 1])
    a = two.parameters["alpha"][0, 0]
    y = rng.binomial(1, p), rng.negative_binomial(a, a / (a + mu))
    pair = propensities.Pair("id", "infected", "severity", *(np.full(shape, value) for value in (*sd, r)))
    corr = propensities.response_correlation(pair, one, two, kept, np.zeros(shape))
    np.testing.assert_allclose(corr, np.corrcoef(*y)[0, 1], atol=0.01)
    z = v / sd
    high = (z > stats.norm.ppf(0.75)).all(axis=1).mean()
    np.testing.assert_allclose(propensities.both_high(np.full(shape, r))[0, 0], high, atol=0.005)
    np.testing.assert_allclose(propensities.both_high(np.zeros(1)), 1 / 16, rtol=1e-4)
    near = np.abs(z[:, 0] - 1.0) < 0.02
    shift = np.full(shape, r * sd[1]), np.full(shape, sd[1] * np.sqrt(1 - r**2))
    np.testing.assert_allclose(two.expected(kept, *shift)[0, 0], mu[near].mean(), rtol=0.03)


def test_correlated_residuals_are_drawn_together():
    """Predictive draws of both outcomes in one row have the correlation of the residuals, in `fit` as in PyMC."""
    rng, n = np.random.default_rng(5), 120
    e = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], n)
    d = pd.DataFrame({"y": e[:, 0], "z": e[:, 1], "x": rng.normal(size=n)})
    model = zoo.joint_outcomes(d, [("y ~ x", "gaussian"), ("z ~ x", "gaussian")], residual_correlation=True)
    tree = zoo.fit(model, draws=200, seed=1, progress=False)
    rho = float(tree["posterior"]["corr_residual"].sel(residual="y", residual_bis="z").mean())
    drawn = tree["posterior_predictive"].dataset.stack(sample=("chain", "draw"))
    found = [np.corrcoef(drawn["y"][i], drawn["z"][i])[0, 1] for i in range(n)]
    assert 0.7 < rho < 0.9 and abs(np.mean(found) - rho) < 0.05


# ------------------------------------------------------------------------------------------------------------ command line


def test_formulas_and_families_in_step_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    infections(30).to_csv("d.csv", index=False)
    formulas = [token for f in SEED for token in ("--formula", f)]
    settings = ["--draws", "100", "--tune", "100", "--seed", "1"]
    for i, families in enumerate(
        (
            ["--option", "families=bernoulli,negative_binomial"],
            ["--option", "family=bernoulli", "--option", "family=nb"],
        )
    ):
        code = cli.run(["fit", "mv", "d.csv", *formulas, *families, *settings, "--out", f"{i}.nc"])
        out, err = capsys.readouterr()
        assert code in (0, 3), err
        assert "propensity_correlation[id: infected, severity]" in out
    for tokens, words in (
        (["fit", "poisson", "d.csv", *formulas], "takes one --formula, not 2"),
        (["fit", "mv", "d.csv", *formulas], "give one family for each formula"),
        (["fit", "mv", "d.csv", *formulas, "--option", "families=bernoulli,tweedie"], "unknown family 'tweedie'"),
    ):
        assert cli.run(tokens) == 2
        assert words in capsys.readouterr().err
    assert not Path("fits").exists() or not list(Path("fits").glob("*.nc"))


# ------------------------------------------------------------------------------------------------------------ wrong inputs

INFECTED, SEVERITY = ((f, family) for f, family in SEED.items())
WRONG = {
    "the same response twice": ([INFECTED, INFECTED], {}, "response 'infected' stands in two formulas"),
    "unknown family": ([INFECTED, ("severity ~ time", "negbin")], {}, "unknown family 'negbin'.*known: gaussian"),
    "unknown link": ([("infected ~ time", "bernoulli(loglog)"), SEVERITY], {}, "unknown link 'loglog'"),
    "a link that the family has not": ([INFECTED, ("severity ~ time", "poisson(logit)")], {}, "family 'poisson' has the log link"),
    "no such factor": ([INFECTED, ("severity ~ time + (1 |p| patient)", "poisson")], {}, "no column 'patient'"),
    "a response as a predictor": ([INFECTED, ("severity ~ infected", "poisson")], {}, "the response 'infected' is a predictor of 'severity'"),
    "too few families": (list(SEED), {"families": "bernoulli"}, "2 formulas and 1 family; give one family for each formula"),
    "families twice": (SEED, {"families": "bernoulli,poisson"}, "keep one"),
    "formulas of another type": (7, {}, "formulas must be text or a list such as .* not 7"),
    "trials of a Bernoulli outcome": ([("infected | trials(1) ~ time", "bernoulli"), SEVERITY], {}, "one trial in each row"),
    "wrong values": ([INFECTED, ("time ~ treatment + (1 |p| id)", "poisson")], {}, "the response 'time' is a predictor of 'infected'"),
    "zi of a family without": (SEED, {"zi": {"severity": "~ time"}}, "zi: family 'negative_binomial' of 'severity' has none"),
    "zi of no outcome": (SEED, {"zi": {"sever": "~ time"}}, "zi: no response 'sever'; did you mean 'severity'"),
    "zi as text": (SEED, {"zi": "~ time"}, "zi must be a dict by name"),
    "residuals of other families": (SEED, {"residual_correlation": True}, "ties two Gaussian outcomes; there are 0"),
    "another sharing": (SEED, {"shared": "copula"}, "shared must be 'correlation' or 'loading'"),
    "loadings without a label": ({f.replace("|p|", "|"): v for f, v in SEED.items()}, {"shared": "loading"}, "write the term"),
    "an unknown prior": (SEED, {"priors": {"severity_sigma": "Exponential(1)"}}, "unknown parameter 'severity_sigma'"),
}  # fmt: skip


@pytest.mark.parametrize(("formulas", "options", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_call_is_told_in_one_sentence(formulas, options, words):
    with pytest.raises(InputError, match=words):
        zoo.joint_outcomes(infections(20), formulas, **options)


def test_a_covariate_may_be_missing_only_where_the_outcome_is():
    d = infections()
    d.loc[d.index[d.severity.notna()][:2], "treatment"] = np.nan
    with pytest.raises(InputError, match="column 'treatment' has 2 missing values"):
        zoo.joint_outcomes(d, SEED)
    model = zoo.joint_outcomes(d, SEED, missing="drop")
    assert model.rows == d.infected.notna().sum() + d.severity.notna().sum() - 2
    d["severity"] = np.nan
    with pytest.raises(InputError, match="'severity' has no value in any row"):
        zoo.joint_outcomes(d, SEED)


def test_a_label_in_one_outcome_is_fine_and_two_labels_are_two_blocks():
    d = gaps()
    alone = zoo.joint_outcomes(d, [("ill ~ x + (1 |p| g)", "bernoulli"), ("c ~ x", "poisson")])
    assert "ill_u_g" in alone.named_vars
    both = row_models.model_of("joint, four families")
    R = row_models.function(both, both.replace_rvs_by_values([both["corr_g"]]))(row_models.random_point(both, 1))[0]
    assert np.all(R[:3, 3:] == 0) and abs(R[0, 1]) > 0.01 and abs(R[3, 4]) > 0.01


# --------------------------------------------------------------------------------------------------------------- recovery


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.5, -0.9])
def test_the_truth_is_found(rho):
    """Coverage of 95 % intervals over 20 simulated data sets."""
    truth = {**TRUTH, "severity_beta[treatment]": -0.4, "corr_id[infected:Intercept, severity:Intercept]": rho}
    inside = []
    for seed in range(20):
        tree = zoo.fit(zoo.joint_outcomes(infections(150, rho, seed), SEED), draws=500, seed=seed, progress=False)
        assert int(tree["sample_stats"]["diverging"].sum()) == 0
        summary = zoo.summary(tree).loc[list(truth)]
        inside.append((summary["lower"] <= list(truth.values())) & (list(truth.values()) <= summary["upper"]))
    coverage = pd.concat(inside, axis=1).mean(axis=1)
    assert (coverage >= 0.75).all() and coverage.mean() > 0.88, coverage


def test_identifiers_keep_their_text_where_outcomes_have_other_rows(tmp_path) -> None:
    """1E5 and 100000 are two subjects, and each outcome's rows are at their own subject's effect."""
    from glmm_zoo.tables.files import read_table

    ids = ["100000", "1E5", "20", "2E1", "33", "44"]
    lines = [f"{ids[i % 6]},{'' if i in (1, 8) else i % 5 / 2 + 0.1},{'' if i in (0, 9) else i % 3}" for i in range(48)]
    path = tmp_path / "ids.csv"
    path.write_text("\n".join(["pid,y,c", *lines]))
    formulas = {"y ~ 1 + (1 |s| pid)": "gaussian", "c ~ 1 + (1 |s| pid)": "poisson"}
    model = zoo.joint_outcomes(read_table(str(path)), formulas)
    (group,) = model.groups
    assert set(group.factor.levels) == set(ids)
    missing = {"y": (1, 8), "c": (0, 9)}
    for prefix, codes in group.codes.items():
        expected = [ids[i % 6] for i in range(48) if i not in missing[prefix]]
        assert [group.factor.levels[k] for k in codes] == expected


@pytest.mark.parametrize("family", ["lognormal", "gamma", "weibull"])
def test_a_time_to_an_event_is_an_outcome(family: str) -> None:
    """Density of the time where the event came, probability of a later one where it is censored, beside a Gaussian outcome."""
    rng, g = np.random.default_rng(3), np.arange(60) % 12
    d = pd.DataFrame({"y": rng.normal(size=60), "years": rng.weibull(1.5, 60), "alive": rng.random(60) < 0.3, "g": g})
    model = zoo.joint_outcomes(d, {"y ~ 1 + (1 |p| g)": "gaussian", "years | cens(alive) ~ 1 + (1 |p| g)": family})
    own = "years_sigma" if family == "lognormal" else "years_shape"
    values = model.replace_rvs_by_values([model["years_Intercept"], model["u_g"], model[own]])
    run = row_models.function(model, [*values, *model.logp(vars=[model["years"]], sum=False)])
    intercept, u, size, found = run(row_models.random_point(model, 2))
    eta = intercept + u[[list(model.coords["g"]).index(str(k)) for k in g], 1]
    law = {
        "lognormal": lambda: stats.lognorm(size, scale=np.exp(eta)),
        "gamma": lambda: stats.gamma(size, scale=np.exp(eta) / size),
        "weibull": lambda: stats.weibull_min(size, scale=np.exp(eta) / gamma(1 + 1 / size)),
    }[family]()
    np.testing.assert_allclose(found, np.where(d.alive, law.logsf(d.years), law.logpdf(d.years)), rtol=1e-9)
    with pytest.raises(InputError, match=r"years \| cens\(censored\) with family weibull, gamma or lognormal"):
        zoo.joint_outcomes(d, {"y ~ 1 + (1 |p| g)": "gaussian", "Surv(years, alive) ~ 1 + (1 |p| g)": family})
