"""mo(x): monotonic effects of ordered covariates, in every kind of linear predictor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import row_models
from rows import doses, patients, ratings, trial
from scipy import stats
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError

LEVELS = ("none", "some", "more", "most")


def scored() -> pd.DataFrame:
    """`doses` by name too, and in an order that is declared."""
    d = doses()
    name = np.array(LEVELS)[d.dose]
    return d.assign(name=name, declared=pd.Categorical(name, LEVELS, ordered=True))


def at_random(model, seed: int = 1):
    """Values of all variables at a random point, and the log-likelihood there by row."""
    variables = [*model.free_RVs, *model.deterministics]
    pointwise = model.logp(vars=model.observed_RVs, sum=False)
    run = row_models.function(model, [*model.replace_rvs_by_values(variables), *pointwise])
    values = run(row_models.random_point(model, seed))
    named = {v.name: row_models.labelled(model, v.name, x) for v, x in zip(variables, values, strict=False)}
    return named, np.concatenate(values[len(variables) :])


def mo(x, shares) -> np.ndarray:
    """D (zeta_1 + ... + zeta_x)."""
    return len(shares) * np.array([sum(shares[:k]) for k in x])


def test_both_parts_of_a_zero_inflated_model_have_steps_of_their_own():
    d = scored()
    model = zoo.zero_inflated_poisson(d, "c ~ mo(dose) * w", zi="~ x + mo(dose)")
    p, found = at_random(model)
    of = {k: v.values for k, v in p.items()}
    main, zi = mo(d.dose, of["simplex_dose"]), mo(d.dose, of["zi_simplex_dose"])
    b, g = of["beta"], of["zi_beta"]
    mu = np.exp(of["Intercept"] + b[0] * main + b[1] * d.w + b[2] * main * d.w)
    share = expit(of["zi_Intercept"] + g[0] * d.x + g[1] * zi)
    expected = np.where(
        d.c == 0, np.log(share + (1 - share) * np.exp(-mu)), np.log1p(-share) + stats.poisson.logpmf(d.c, mu)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert list(p["beta"].coef.values) == ["mo(dose)", "w", "mo(dose):w"]
    assert list(p["simplex_dose"].dose_step.values) == ["0|1", "1|2", "2|3"]


@pytest.mark.parametrize("term", ["mo(declared)", 'mo(name, levels="none,some,more,most")', "mo(dose)"])
def test_the_order_comes_from_numbers_from_the_data_or_from_the_formula(term):
    d = scored()
    model = zoo.hierarchical_linear(d, f"y ~ {term} + (1 | g)", dispersion=f"~ {term}")
    p, found = at_random(model)
    column = "dose" if term == "mo(dose)" else "declared" if "declared" in term else "name"
    x, s = (mo(d.dose, p[f"{lead}simplex_{column}"].values) for lead in ("", "sigma_"))
    eta = p["Intercept"].item() + p["beta"].item() * x + p["u_g"].sel(g=d.g.to_numpy()).values[:, 0]
    sigma = np.exp(p["sigma_Intercept"].item() + p["sigma_beta"].item() * s)
    np.testing.assert_allclose(found, stats.norm.logpdf(d.y, eta, sigma), rtol=1e-9)


def test_with_even_steps_it_is_the_number_and_its_priors_hold_at_the_mean():
    d = scored()
    model, plain = (zoo.hierarchical_linear(d, f"y ~ {x} * w + (1 | g)") for x in ("mo(dose)", "dose"))
    even = row_models.random_point(plain, 2)
    point = {**even, "simplex_dose_simplex__": np.zeros(2)}
    a, b = (
        row_models.function(m, m.logp(vars=m.observed_RVs, sum=False))(p)[0] for m, p in ((model, point), (plain, even))
    )
    np.testing.assert_allclose(a, b, rtol=1e-12)
    for name in ("Intercept", "beta", "sd_g"):
        prior = (
            {k.replace("mo(dose)", "dose"): v for k, v in model.spec["priors"][name].items()}
            if name == "beta"
            else model.spec["priors"][name]
        )
        assert prior == plain.spec["priors"][name]
    assert model.spec["priors"]["simplex_dose"] == "Dirichlet(1)"


def test_steps_within_levels_of_a_factor_and_of_another_reference():
    d = scored()
    model = zoo.hierarchical_logistic(d, "ill ~ 0 + arm + mo(dose):sex")
    p, found = at_random(model)
    x, b = mo(d.dose, p["simplex_dose"].values), p["beta"]
    eta = b.sel(coef=[f"arm[{a}]" for a in d.arm]).values + x * b.sel(coef=[f"mo(dose):sex[{s}]" for s in d.sex]).values
    np.testing.assert_allclose(found, stats.bernoulli.logpmf(d.ill, expit(eta)), rtol=1e-9)


def test_ordered_categories_with_disc_and_cutpoints():
    d = ratings().assign(dose=scored().dose)
    model = zoo.ordinal(d, "rating ~ mo(dose) + w", disc="~ mo(dose)")
    p, found = at_random(model)
    x, s = mo(d.dose, p["simplex_dose"].values), mo(d.dose, p["disc_simplex_dose"].values)
    eta, disc = p["beta"].values @ np.array([x, d.w]), np.exp(p["disc_beta"].item() * s)
    c = np.concatenate([[-np.inf], p["cutpoints"].values, [np.inf]])
    k = d.rating.to_numpy() - 1
    expected = np.log(expit(disc * (c[k + 1] - eta)) - expit(disc * (c[k] - eta)))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("builder", "formula", "options", "simplex"),
    [
        ("gamm", "y ~ s(x, k=5) + mo(dose) + (1 | g)", {}, ["simplex_dose"]),
        ("categorical", "arm ~ mo(dose) + (1 |p| g)", {"reference": "low"}, ["mid_simplex_dose", "zero_simplex_dose"]),
        ("beta_binomial", "k | trials(n) ~ mo(dose)", {"dispersion": "~ mo(dose)"}, ["simplex_dose", "phi_simplex_dose"]),
        ("survival", "Surv(days, ill) ~ mo(dose) + (1 | g)", {}, ["simplex_dose"]),
    ],
)  # fmt: skip
def test_other_builders(builder, formula, options, simplex):
    model = row_models.builder(builder)(scored(), formula, **options)
    named, found = at_random(model)
    assert np.isfinite(found).all() and set(simplex) <= set(named)


def test_a_stepped_wedge():
    t = trial().assign(dose=lambda d: d.c % 3)
    model = zoo.stepped_wedge(t, "ill ~ mo(dose)", cluster="cluster", period="period", treatment="treat")
    assert "simplex_dose" in at_random(model)[0]


def test_several_outcomes_and_the_course_of_a_marker():
    d = scored()
    model = zoo.joint_outcomes(d, {"y ~ mo(dose) + (1 |p| g)": "gaussian", "ill ~ mo(dose) + (1 |p| g)": "bernoulli"})
    p, found = at_random(model)
    etas = [
        p[f"{y}_Intercept"].item() + p[f"{y}_beta"].item() * mo(d.dose, p[f"{y}_simplex_dose"].values)
        + p["u_g"].sel(g=d.g.to_numpy(), g_effect=f"{y}:Intercept").values
        for y in ("y", "ill")
    ]  # fmt: skip
    expected = [stats.norm.logpdf(d.y, etas[0], p["y_sigma"].item()), stats.bernoulli.logpmf(d.ill, expit(etas[1]))]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-9)


def test_the_hazard_follows_a_marker_with_steps():
    """A constant baseline hazard, a course without time: H = h0 exp(assoc eta) years."""
    d = patients()
    d = d.assign(dose=pd.factorize(d.id)[0] % 4)
    one = d.drop_duplicates("id")[["id", "years", "death"]]
    model = zoo.joint_survival(
        d[["id", "y", "time", "dose", "drug"]],
        one,
        "y ~ time + mo(dose) * drug + (1 | id)",
        event="Surv(years, death) ~ 1",
        baseline="piecewise",
        cuts=[],
    )
    p, found = at_random(model, 4)
    by_id = d.drop_duplicates("id").set_index("id").loc[list(p["u_id"].id.values)]
    x, placebo = mo(by_id.dose, p["simplex_dose"].values), (by_id.drug == "placebo").to_numpy(float)
    b = dict(zip(p["beta"].coef.values, p["beta"].values, strict=True))
    at_start = (
        p["Intercept"].item() + x * (b["mo(dose)"] + b["mo(dose):drug[placebo]"] * placebo) + b["drug[placebo]"] * placebo
        + p["u_id"].values[:, 0]
    )  # fmt: skip
    a, slope, T = p["assoc"].item(), b["time"], by_id.years.to_numpy(float)
    log_h0 = p["log_h0"].values.item()
    H = np.exp(log_h0 + a * at_start) * np.expm1(a * slope * T) / (a * slope)
    log_h = log_h0 + a * (at_start + slope * T)
    np.testing.assert_allclose(found[-len(T) :], by_id.death * log_h - H, rtol=1e-7)


# ------------------------------------------------------------------------------------------------------ of a fit


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A short fit, from its file."""
    path = tmp_path_factory.mktemp("monotonic") / "fit.nc"
    model = zoo.hierarchical_logistic(
        scored(), "ill ~ mo(declared) * w + (1 | g)", priors={"simplex[declared]": "Dirichlet(2)"}
    )
    tree = zoo.fit(model, draws=100, tune=150, chains=2, seed=1, progress=False)
    zoo.save(tree, path)
    return zoo.load(path)


def draws(tree, name: str) -> np.ndarray:
    return tree["posterior"][name].values.reshape(-1, *tree["posterior"][name].shape[2:])


def test_predictions_are_on_the_curve(fitted):
    new = pd.DataFrame({"declared": LEVELS, "w": [-1.0, 0.0, 0.5, 2.0]})
    found = zoo.predictions(fitted, new, groups="typical", draws=200).draws["value"].values.reshape(-1, 4)
    x = np.array([mo(range(4), s) for s in draws(fitted, "simplex_declared")])
    b, w = draws(fitted, "beta"), new.w.to_numpy()
    eta = draws(fitted, "Intercept")[:, None] + (b[:, [0]] + b[:, [2]] * w) * x + b[:, [1]] * w
    np.testing.assert_allclose(found, expit(eta), rtol=1e-10)
    contrasts = zoo.comparisons(fitted, "declared", groups="typical").table["contrast"]
    assert list(dict.fromkeys(contrasts)) == ["some vs none", "more vs none", "most vs none"]
    with pytest.raises(InputError, match="'declared' is a factor, which has no slope"):
        zoo.slopes(fitted, "declared")
    with pytest.raises(InputError, match=r"level 'all' of 'declared' \(row 3\) was not in the data of the fit"):
        zoo.predictions(fitted, new.assign(declared=["none", "some", "all", "most"]))


def test_what_a_page_says(fitted, tmp_path):
    zoo.write_report(fitted, tmp_path / "fit.html")
    page = (tmp_path / "fit.html").read_text()
    for words in (
        "a monotonic effect of declared, β for each step of it on average, in which each step has a share s of the whole change",
        "declared (monotonic, Bürkner and Charpentier 2020)", "Shares of the whole change along declared that each step has; together 1.",
        "for one mean step of declared", "Dirichlet (2) for the shares of the steps of monotonic effects", "declared (mean step)",
    ):  # fmt: skip
        assert words in page, words


def test_it_is_fitted_again_scaled_and_left_out(fitted):
    again = zoo.model_of(fitted)
    assert again.spec == zoo.hierarchical_logistic(
        scored(), "ill ~ mo(declared) * w + (1 | g)", priors={"simplex[declared]": "Dirichlet(2)"}
    ).spec | {"data": again.spec["data"]}
    assert "simplex_declared" in str(zoo.sensitivity(fitted, targets=["beta"]))
    assert np.isfinite(zoo.loo(fitted, level="g").elpd)
    assert {"risk", "difference"} <= set(zoo.prior_predictive(again).table["measure"])
    updated = zoo.update(fitted, formula=". ~ . - mo(declared):w", draws=20, tune=50, chains=2, progress=False)
    assert list(updated["posterior"].coef.values) == ["mo(declared)", "w"]


REFUSED = {
    "hazard": lambda: zoo.joint_survival(
        patients(), patients().drop_duplicates("id").assign(stage=lambda d: np.arange(len(d)) % 3)[["id", "years", "death", "stage"]],
        "y ~ time + (1 | id)", event="Surv(years, death) ~ mo(stage)",
    ),
    "nominal": lambda: zoo.ordinal(ratings().assign(dose=doses().dose), "rating ~ mo(dose)", nominal="~ mo(dose)"),
    "simplex of a coefficient": lambda: zoo.poisson(scored(), "c ~ mo(dose)", priors={"simplex[dose]": "Normal(0, 1)"}),
    "prior of another column": lambda: zoo.poisson(scored(), "c ~ mo(dose)", priors={"simplex[x]": "Dirichlet(1)"}),
}  # fmt: skip
WORDS = {
    "hazard": r"mo\(stage\) is not available here; write C\(stage\)",
    "nominal": r"without group terms, s\(\), mo\(\), mi\(\) and offset\(\)",
    "simplex of a coefficient": r"shares that sum to one take Dirichlet\(a\)",
    "prior of another column": r"unknown parameter 'simplex\[x\]'; did you mean 'simplex'",
}


@pytest.mark.parametrize("case", REFUSED)
def test_where_it_is_not(case):
    with pytest.raises(InputError, match=WORDS[case]):
        REFUSED[case]()
