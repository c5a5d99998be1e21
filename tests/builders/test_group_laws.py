"""Group effects with covariances by a column, gr(g, by=arm), and with Student-t tails, gr(g, dist="student")."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import row_models
from rows import patients, visits
from scipy import stats
from scipy.integrate import quad
from scipy.special import expit, stdtrit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.estimands.leave_one_out import left_out_levels
from glmm_zoo.estimands.level_likelihood import level_likelihood
from glmm_zoo.estimands.student_mixture import drawn_mixture, mixture, variance_ratio
from glmm_zoo.graph.group_effects import _student_logp
from glmm_zoo.inference.quick import quick
from glmm_zoo.report.answer import Answer
from glmm_zoo.report.methods import methods
from glmm_zoo.report.model_words import model_words
from glmm_zoo.report.parts import read_parts
from glmm_zoo.results.about import about_of
from glmm_zoo.results.figures.caterpillar import caterpillar
from glmm_zoo.results.figures.group_estimates import group_estimates

BY = "ill ~ x + (1 + x | gr(a:b, by=a))"
STUDENT = 'ill ~ x + (1 | gr(g, dist="student"))'


def many() -> pd.DataFrame:
    """`visits` with more rows: 24 levels of g in two arms, whose effects have sds 0.3 and 2."""
    rng, n = np.random.default_rng(3), 24 * 12
    g = np.repeat(np.arange(24), 12)
    u = np.where(np.arange(24) % 2, 2.0, 0.3) * rng.normal(size=24)
    x = rng.normal(size=n)
    arm = np.where(g % 2, "drug", "none")
    ill = (rng.random(n) < expit(0.3 * x + u[g])).astype(int)
    return pd.DataFrame(
        {"ill": ill, "x": x, "g": [f"g{i:02d}" for i in g], "arm": arm, "y": x + u[g] + rng.normal(size=n)}
    )


@pytest.fixture(scope="module")
def by_arm():
    return zoo.fit(
        zoo.hierarchical_logistic(many(), "ill ~ x + arm + (1 | gr(g, by=arm))"), draws=200, chains=2, seed=1
    )


@pytest.fixture(scope="module")
def with_tails():
    """With heavy tails, so that a normal distribution in their place would be seen."""
    model = zoo.hierarchical_logistic(many(), STUDENT, priors={"df": "Uniform(1.5, 3)"})
    return zoo.fit(model, draws=200, chains=2, seed=1)


# ------------------------------------------------------------------------------------------------------------- density


@pytest.mark.parametrize("form", ["auto", "noncentered"])
def test_each_level_has_the_covariance_of_its_stratum(form):
    """u of a level is normal with the sds and correlation of its own a; whatever the sampler moves has the Jacobian beside it."""
    from glmm_zoo.inference.parameterization import parameterize

    model, _ = parameterize(zoo.hierarchical_logistic(visits(), BY), form)
    names = ["u_a:b_at_means", "sd_a:b_at_means", "corr_a:b_at_means", "u_a:b", "sd_a:b", "corr_a:b"]
    plain = model.logp(vars=[model[names[0]]], jacobian=False)
    point = row_models.random_point(model, 3)
    u, sd, corr, u_0, sd_0, corr_0, logp = row_models.function(
        model, [*model.replace_rvs_by_values([model[n] for n in names]), plain]
    )(point)
    S, S_0 = (s[:, :, None] * r * s[:, None, :] for s, r in ((sd, corr), (sd_0, corr_0)))
    of_level = [int(level[1]) for level in model.coords["a:b"]]
    assert len(set(np.round(sd[:, 0], 6))) == 6
    expected = [stats.multivariate_normal(cov=S[a]).logpdf(x) for a, x in zip(of_level, u, strict=True)]
    np.testing.assert_allclose(logp, np.sum(expected), rtol=1e-9)
    T = np.array(model.groups[0].to_zero)
    np.testing.assert_allclose(u_0, u @ T.T, rtol=1e-9)
    np.testing.assert_allclose(S_0, T @ S @ T.T, rtol=1e-9)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("df", [0.7, 4.0, 900.0, 1e7])
def test_density_of_t_effects(k, df):
    """SciPy's multivariate t; its limit is the normal density."""
    rng = np.random.default_rng(k)
    L = np.tril(rng.normal(size=(k, k)))
    L[np.diag_indices(k)] = np.abs(np.diag(L)) + 0.3
    u = rng.normal(size=(5, k))
    import pytensor.tensor as pt

    packed = pt.constant(L[np.tril_indices(k)])
    value = np.asarray(_student_logp(pt.constant(u), packed, pt.constant(np.array(df))).eval())
    np.testing.assert_allclose(value, stats.multivariate_t(shape=L @ L.T, df=df).logpdf(u), rtol=1e-8)
    if df > 1e6:
        np.testing.assert_allclose(value, stats.multivariate_normal(cov=L @ L.T).logpdf(u), rtol=1e-5)


def test_draws_of_t_effects_have_their_quantiles():
    """One chi-square for both effects of a level: the smaller of two absolute values has fatter tails than of independent ones."""
    model = zoo.hierarchical_linear(
        many(),
        'y ~ x + (1 + x | gr(g, dist="student"))',
        center=False,
        priors={"df": "Uniform(3.9, 4.1)", "sd": "Uniform(0.99, 1.01)"},
    )
    import pymc as pm

    with model:
        u = pm.draw(model["u_g"], 3000, random_seed=1).reshape(-1, 2)
    at = [0.01, 0.1, 0.5, 0.9, 0.99]
    for k in (0, 1):
        np.testing.assert_allclose(stats.t(4).cdf(np.quantile(u[:, k], at)), at, atol=0.004)
    both = np.mean(np.abs(u).min(axis=1) > 3)
    assert both > 3 * (2 * stats.t(4).sf(3)) ** 2


# ------------------------------------------------------------------------------------------------------ names and priors


def test_names_and_priors_of_strata():
    model = zoo.hierarchical_logistic(
        many(),
        "ill ~ x + (x || gr(g, by=arm))",
        priors={"sd[g, drug, Intercept]": "Exponential(3)", "sd[g, x]": "Exponential(4)"},
    )
    assert model.named_vars_to_dims["sd_g"] == ("arm", "g_effect")
    assert model.spec["priors"]["sd_g"] == {
        "sd[g, drug, Intercept]": "Exponential(3)", "sd[g, drug, x]": "Exponential(4)",
        "sd[g, none, Intercept]": "Exponential(1)", "sd[g, none, x]": "Exponential(4)",
    }  # fmt: skip
    assert model.spec["groups"]["g"]["by"] == {
        "column": "arm",
        "dim": "arm",
        "levels": ["drug", "none"],
        "sizes": [12, 12],
    }


def test_a_number_may_give_the_strata():
    found = quick(zoo.hierarchical_linear(many().assign(arm=lambda d: d.arm == "drug"), "y ~ x + (1 | gr(g, by=arm))"))
    text = quick(zoo.hierarchical_linear(many(), "y ~ x + (1 | gr(g, by=arm))"))
    np.testing.assert_allclose(found.loc[["sd_g[True, Intercept]", "sd_g[False, Intercept]"], "mean"],
                               text.loc[["sd_g[drug, Intercept]", "sd_g[none, Intercept]"], "mean"])  # fmt: skip


def test_the_approximation_finds_the_sd_of_each_stratum():
    """That of two factors with rows of their own, each alone."""
    d = many()
    found = quick(
        zoo.hierarchical_linear(
            d,
            "y ~ 0 + x + (1 | gr(g, by=arm))",
            priors={"sigma": "Uniform(0.99, 1.01)", "beta": "Normal(1, 0.0001)", "sd": "Exponential(1)"},
        )
    )
    for arm in ("drug", "none"):
        alone = quick(
            zoo.hierarchical_linear(
                d[d.arm == arm],
                "y ~ 0 + x + (1 | g)",
                priors={"sigma": "Uniform(0.99, 1.01)", "beta": "Normal(1, 0.0001)", "sd": "Exponential(1)"},
            )
        )
        np.testing.assert_allclose(
            found.loc[f"sd_g[{arm}, Intercept]", "mean"], alone.loc["sd_g[Intercept]", "mean"], rtol=0.02
        )


@pytest.mark.parametrize(
    ("builder", "formula", "options", "words"),
    [
        ("hierarchical_linear", "y ~ x + (1 | gr(g, by=sex))", {}, r"gr\(g, by=sex\): g 'A' has sex 'f', 'm' \(rows \d+, \d+\); each g must lie in one level of sex"),
        ("hierarchical_linear", "y ~ x + (1 | gr(a:b, by=a)) + (0 + x | a:b)", {}, r"'a:b' stands as gr\(a:b, by=a\) and as a:b; write its factor alike"),
        ("hierarchical_linear", "y ~ x + (1 |p| gr(a:b, by=a))", {"dispersion": "~ (1 |p| gr(a:b, by=a))"}, "effects that share a label are normal with one covariance"),
        ("hierarchical_linear", "y ~ x + (1 | gr(a:b, by=a, cov=A))", {}, r"known covariance are normal with one covariance; leave by= or cov= out"),
        ("hierarchical_linear", 'y ~ x + (1 | gr(g, cov=A, dist="student"))', {}, r"leave dist= or cov= out"),
        ("hierarchical_linear", 'y ~ x + (1 | gr(g, dist="student")) + (1 | gr(h, dist="student"))', {}, "available for one factor in one predictor, and this model has them 2 times"),
        ("hierarchical_linear", "y ~ x", {"dispersion": '~ (1 | gr(g, dist="student"))'}, "available in the main predictor, not in that of sigma"),
        ("poisson", 'c ~ x + (1 | gr(g, dist="student"))', {}, r"not available with a log link: E exp\(u\) is infinite"),
    ],
)  # fmt: skip
def test_what_is_refused(builder, formula, options, words):
    with pytest.raises(InputError, match=words):
        getattr(zoo, builder)(visits(), formula, **options)


def test_joint_survival_refuses_them():
    with pytest.raises(InputError, match=r"gr\(id, by=drug\) are not available in joint_survival"):
        zoo.joint_survival(patients(), None, "y ~ time + (1 | gr(id, by=drug))", event="Surv(years, death) ~ drug")


# ------------------------------------------------------------------------------------------------------------ estimands


def test_the_mixture_has_the_moments_of_t():
    df = np.array([1.0, 2.5, 5.0, 40.0, 500.0])
    w, p = mixture(df)
    np.testing.assert_allclose(p.sum(axis=0), 1.0)
    for j, d in enumerate(df):
        for c in (0.3, 1.0, 4.0):
            found = np.sum(p[:, j] * stats.norm.cdf(c / np.sqrt(w[:, j])))
            np.testing.assert_allclose(found, stats.t(d).cdf(c), atol=1e-4)
    np.testing.assert_allclose(np.sum(p * w, axis=0)[2:], variance_ratio(df)[2:], rtol=1e-2)
    drawn = drawn_mixture(np.full(2, 5.0), 20000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(), 5 / 3, rtol=0.05)


def _draws(tree, name):
    return tree["posterior"][name].values.reshape(-1, *tree["posterior"][name].shape[2:])


def _mean_risk(eta, sd, law) -> np.ndarray:
    """E expit(eta + sd u) for each draw, by a fine sum over the distribution function of u."""
    p = (np.arange(2000) + 0.5) / 2000
    return np.mean(expit(eta[:, None] + sd[:, None] * law(p)), axis=1)


def test_averages_integrate_over_the_sd_of_the_rows_own_stratum(by_arm):
    found = zoo.predictions(by_arm, many().head(1), at={"arm": ["drug", "none"], "x": [0.5]}).table
    sd, beta, alpha = _draws(by_arm, "sd_g"), _draws(by_arm, "beta"), _draws(by_arm, "Intercept")
    for place, arm in enumerate(("drug", "none")):
        exact = _mean_risk(alpha + 0.5 * beta[:, 0] + place * beta[:, 1], sd[:, place, 0], stats.norm.ppf)
        np.testing.assert_allclose(found.loc[found["arm"] == arm, "median"], np.median(exact), atol=5e-4)
    assert "of the row's own arm" in zoo.predictions(by_arm, many().head(1)).sentence


def test_own_effects_are_known_in_their_own_stratum_only(by_arm):
    d = many().head(3)
    zoo.predictions(by_arm, d, groups="observed")
    with pytest.raises(InputError, match="g 'g00' had arm 'none' in the fit and has 'drug' here"):
        zoo.predictions(by_arm, d.assign(arm="drug"), groups="observed")
    with pytest.raises(InputError, match=r"level 'other' of 'arm' .rows 1, 2, 3. was not in the data"):
        zoo.predictions(by_arm, d.assign(arm="other"))
    with pytest.raises(InputError, match="lack column 'arm'"):
        zoo.predictions(by_arm, d.drop(columns="arm"))


def test_summary_and_loo_of_strata(by_arm):
    table = zoo.summary(by_arm)
    sd = _draws(by_arm, "sd_g")[:, :, 0]
    for k, arm in enumerate(("drug", "none")):
        icc = sd[:, k] ** 2 / (sd[:, k] ** 2 + np.pi**2 / 3)
        np.testing.assert_allclose(table.loc[f"icc[g, {arm}]", "mean"], icc.mean(), rtol=1e-9)
        ratio = np.exp(np.sqrt(2) * sd[:, k] * stats.norm.ppf(0.75))
        np.testing.assert_allclose(table.loc[f"median_odds_ratio[g, {arm}]", "mean"], ratio.mean(), rtol=1e-9)
    assert set(zoo.loo(by_arm, level="g").table.columns) >= {"g", "elpd"}
    assert 0 < zoo.r2(by_arm).loc["Nakagawa conditional R2", "mean"] < 1


def test_averages_integrate_over_the_tails(with_tails):
    found = zoo.predictions(with_tails, many().head(1), at={"x": [1.0]}).table["median"]
    eta = _draws(with_tails, "Intercept") + _draws(with_tails, "beta")[:, 0]
    sd, df = _draws(with_tails, "sd_g")[:, 0], _draws(with_tails, "df_g")
    exact = _mean_risk(eta, sd, lambda p: stdtrit(df[:, None], p))
    np.testing.assert_allclose(found, np.median(exact), atol=5e-4)


def test_level_likelihood_integrates_over_the_tails(with_tails):
    """One level's rows, by SciPy's quadrature over its t effect."""
    asked = left_out_levels(with_tails, "g")
    of_one = asked.rows.take(np.flatnonzero(asked.rows.labels["g"] == "g03"))
    likelihood, draws = level_likelihood(asked.model, of_one, "g", ()), asked.model.draws
    d = many()
    rows = d[d.g == "g03"]
    sign = 2 * rows.ill.to_numpy() - 1
    for s in (0, draws.size // 2):
        alpha, beta = draws["Intercept"][s], draws["beta"][s, 0]
        sd, df = draws["sd_g"][s, 0], draws["df_g"][s]
        eta = alpha + beta * rows.x.to_numpy()
        value = quad(
            lambda u, e=eta, c=sd, f=df: np.prod(expit(sign * (e + u))) * stats.t(f, 0, c).pdf(u),
            -60, 60, points=[-3, 0, 3], limit=400,
        )[0]  # fmt: skip
        np.testing.assert_allclose(likelihood.values[s, 0], np.log(value), atol=1e-2)


def test_what_is_told_of_tails(with_tails):
    table = zoo.summary(with_tails)
    assert "df_g" in table.index
    assert not [name for name in table.index if name.startswith("median_odds_ratio")]
    sd, df = _draws(with_tails, "sd_g")[:, 0], _draws(with_tails, "df_g")
    variance = np.where(df > 2, sd**2 * df / (df - 2), np.inf)
    np.testing.assert_allclose(
        table.loc["icc[g]", "mean"], np.mean(1 - (np.pi**2 / 3) / (variance + np.pi**2 / 3)), rtol=1e-6
    )
    assert zoo.r2(with_tails).loc["Nakagawa conditional R2"].between(0, 1).all()
    for groups in ("population", "typical", "observed", "new"):
        assert len(zoo.predictions(with_tails, many().head(2), groups=groups).table) == 2
    assert zoo.predictions(with_tails, many().head(2), scale="response").table["median"].isin([0, 0.5, 1]).all()


@pytest.mark.slow
def test_page_and_file(with_tails, tmp_path):
    zoo.save(with_tails, tmp_path / "fit.nc")
    tree = zoo.load(tmp_path / "fit.nc")
    zoo.write_report(tree, tmp_path / "fit.html")
    page = (tmp_path / "fit.html").read_text()
    for words in (
        "come from a Student-t distribution of ν degrees of freedom",
        "Student-t distributed random intercept",
    ):
        assert words in page
    assert zoo.model_of(tree).spec["formula"] == STUDENT


def test_the_words_of_strata(by_arm):
    """Text of the model, of methods and results, and the picture of groups, whose band is that of both arms together."""
    assert "Each level of arm has a standard deviation of its own for the shifts of its gs" in model_words(
        read_parts(by_arm)
    )
    told = " ".join(methods(by_arm, Answer(None)))
    assert "with variances of its own in each level of arm" in told
    assert re.search(
        r"etween gs the standard deviations of the log odds were [\d.]+ \(.*?\) in drug and [\d.]+ \(.*?\) in none",
        told,
    )
    assert "intraclass correlation of gs in drug was" in told
    found = group_estimates(by_arm, "g", "Intercept", about_of(by_arm))
    assert found.strata == "arm"
    assert (
        "each level of arm with a standard deviation of its own" in caterpillar(by_arm, "g", about_of(by_arm)).caption
    )
    sd = _draws(by_arm, "sd_g")[:, :, 0]
    level = (
        _draws(by_arm, "Intercept")
        + many().x.mean() * _draws(by_arm, "beta")[:, 0]
        + 0.5 * _draws(by_arm, "beta")[:, 1]
    )
    u = stats.norm.ppf((np.arange(200) + 0.5) / 200)
    of_both = [expit(level[:, None] + s[:, None] * u) for s in sd.T]
    np.testing.assert_allclose(found.population, np.quantile(of_both, [0.025, 0.25, 0.5, 0.75, 0.975]), atol=0.01)


def test_covariances_by_a_column_of_which_an_outcome_has_some_levels():
    d = visits().assign(
        by=lambda d: pd.Categorical(d.g.map(dict(zip("ABCDEFGHI", "pqrpqrpqr", strict=True))), list("pqr"))
    )
    d["t"] = d.w.mask(d.by == "r")
    model = zoo.joint_outcomes(d, {"y ~ x": "gaussian", "t ~ x + (1 | gr(g, by=by))": "gaussian"})
    assert model.coords["by"] == ("p", "q") and model.spec["groups"]["t_g"]["by"]["sizes"] == [3, 3]
