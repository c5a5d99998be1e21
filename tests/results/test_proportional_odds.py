"""What a report says of ordinal models: effects at each threshold, whether they are equal, and the direction of ratios."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from scipy import special

import glmm_zoo as zoo
from glmm_zoo.report import terminal
from glmm_zoo.results import storage, summary
from glmm_zoo.results.findings import findings


def tree_of(gamma: np.ndarray, link: str = "logit", **spec) -> xr.DataTree:
    """A fit whose draws of gamma (draws, 2) are given; x is 0 or 1, of mean 0.25, and 4 categories."""
    rng, n = np.random.default_rng(1), len(gamma)
    cutpoints = np.cumsum(np.exp(rng.normal(0, 0.1, (n, 3))), axis=1) - 2
    posterior = xr.Dataset(
        {
            "beta": (("chain", "draw", "coef"), rng.normal(1.0, 0.1, (1, n, 1))),
            "cutpoints": (("chain", "draw", "cutpoint"), cutpoints[None]),
            "nominal_beta": (("chain", "draw", "nominal_coef"), gamma[None]),
        },
        {"coef": ["x"], "cutpoint": ["1|2", "2|3", "3|4"], "nominal_coef": ["x: 2|3", "x: 3|4"]},
    )
    tree = xr.DataTree.from_dict({"posterior": posterior})
    facts = {"nominal": {"x": {"mean": 0.25, "low": 0.0, "high": 1.0}}}
    usual = {
        "link": link,
        "family": "ordinal",
        "links": {},
        "groups": {},
        "latent_variance": None,
        "aspects": ["proportional_odds"],
    }
    storage.write_metadata(tree, {"spec": {**usual, "facts": facts, **spec}})
    return tree


def test_effects_at_thresholds_are_differences_of_log_odds():
    gamma = np.random.default_rng(2).normal(0.4, 0.2, (500, 2))
    tree = tree_of(gamma)
    p = tree["posterior"].dataset.isel(chain=0)
    odds = []
    for x in (0.0, 1.0):
        factor = np.exp((x - 0.25) * gamma)
        c = np.cumsum(np.column_stack([p.cutpoints[:, 0], np.diff(p.cutpoints) * factor]), axis=1)
        above = special.expit(p.beta.values * x - c)
        odds.append(np.log(above / (1 - above)))
    table = findings(tree, 0.9)["proportional_odds"].tables["effects"]
    assert list(table.index) == ["x at 1|2", "x at 2|3", "x at 3|4"]
    expected = np.quantile(odds[1] - odds[0], [0.5, 0.05, 0.95], axis=0).T
    np.testing.assert_allclose(table.to_numpy(), expected, rtol=1e-10)


def test_effects_of_covariates_that_are_multiplied_are_at_the_means_of_the_others():
    """c(x, w) from coefficients at zero, w at its mean; the columns are balanced, so that (x - 2000.5)(w - 3) has the mean 0."""
    balanced = pd.DataFrame([(x, w) for x in (2000.0, 2001.0) for w in (1.0, 3.0, 5.0)] * 4, columns=["x", "w"])
    data = balanced.assign(rating=np.arange(24) // 2 % 4 + 1, g=np.arange(24) // 4)
    model = zoo.ordinal(data, "rating ~ x * w + (1 | g)", nominal="~ x * w")
    variables = [*model.free_RVs, *model.deterministics]
    run = row_models.function(model, model.replace_rvs_by_values(variables))
    points = (zip(variables, run(row_models.random_point(model, seed)), strict=True) for seed in range(40))
    draws = [xr.Dataset({v.name: row_models.labelled(model, v.name, x) for v, x in point}) for point in points]
    posterior = xr.concat(draws, "draw").expand_dims("chain")
    tree = xr.DataTree.from_dict({"posterior": posterior})
    storage.write_metadata(tree, {"spec": model.spec})
    p = posterior.isel(chain=0)
    effects = []
    for x in (2000.0, 2001.0):
        columns = np.array([x, 3.0, 3.0 * x])
        less_means = (columns - [2000.5, 3.0, 2000.5 * 3.0]) @ p.nominal_beta.values.reshape(-1, 3, 2)
        steps = np.diff(p.cutpoints) * np.exp(less_means)
        c = np.cumsum(np.column_stack([p.cutpoints[:, 0], steps]), axis=1)
        effects.append((p.beta.values @ columns)[:, None] - c)
    table = findings(tree, 0.9)["proportional_odds"].tables["effects"].filter(like="x at", axis=0)
    expected = np.quantile(effects[1] - effects[0], [0.5, 0.05, 0.95], axis=0).T
    np.testing.assert_allclose(table.to_numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(("prob", "tail"), [(0.8, 0.1), (0.95, 0.025)])
def test_the_sentence_says_first_and_last_effect_and_their_difference(prob, tail):
    """x from 1 to 3 around a mean of 1.5: one unit more is half of the way."""
    gamma = np.random.default_rng(2).normal([0.8, -0.3], 0.2, (500, 2))
    facts = {"nominal": {"x": {"mean": 1.5, "low": 1.0, "high": 3.0}}}
    tree = tree_of(gamma, facts=facts)
    p = tree["posterior"].dataset.isel(chain=0)
    steps = np.diff(p.cutpoints.values)
    low, high = (np.sum(steps * np.exp((x - 1.5) * gamma), axis=1) for x in (1.0, 3.0))
    first, last = p.beta.values[:, 0], p.beta.values[:, 0] - (high - low) / 2
    low, middle, high = np.quantile(last - first, [tail, 0.5, 1 - tail])
    found = findings(tree, prob)["proportional_odds"]
    assert found.sentences[0].startswith(
        f"x: the effect goes from {np.median(first):.2f} at 1|2 to {np.median(last):.2f} at 3|4, a change of {middle:.2f} "
        f"({low:.2f} to {high:.2f}, {100 * prob:g}\u00a0%).".replace("-", "−")
    )
    np.testing.assert_allclose(found.tables["effects"].loc["x at 3|4", "median"], np.median(last))


@pytest.mark.parametrize(("prob", "share"), [(0.8, 0.79), (0.8, 0.81), (0.95, 0.945), (0.95, 0.955)])
def test_equal_effects_are_judged_by_the_share_of_draws_that_are_nearer_to_the_middle(prob, share):
    """A ring of draws for every radius: those within the radius of 0 are `share` of all."""
    m = 200
    radius, angle = np.meshgrid(np.sqrt((np.arange(m) + 0.5) / m), np.linspace(0, 2 * np.pi, m, endpoint=False))
    ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).reshape(-1, 2)
    gamma = ring * [0.2, 0.1] + [0.2 * np.sqrt(share), 0.0]
    (sentence,) = findings(tree_of(gamma), prob)["proportional_odds"].sentences
    assert ("The data speak against equal effects" in sentence) == (share > prob)
    told = float(sentence.split("region of the posterior (")[1].split("\u00a0%")[0])
    assert told == pytest.approx(100 * share, abs=0.3) and f"the {100 * prob:g}\u00a0% region" in sentence


@pytest.mark.parametrize(
    ("mean", "correlation", "against"),
    [((0.0, 0.0), 0.0, False), ((0.3, -0.2), 0.0, False), ((0.0, 0.9), 0.0, True), ((0.45, 0.45), 0.0, True),
     ((0.25, -0.25), 0.9, True), ((0.25, 0.25), 0.9, False)],
)  # fmt: skip
def test_the_verdict_looks_at_all_steps_together(mean, correlation, against):
    """sd 0.2 each: (0.45, 0.45) lies at 10.1 > 5.99, the 95 % point of chi-squared, although each is 2.25 sd away."""
    covariance = 0.04 * np.array([[1.0, correlation], [correlation, 1.0]])
    gamma = np.random.default_rng(3).multivariate_normal(mean, covariance, 4000)
    (sentence,) = findings(tree_of(gamma))["proportional_odds"].sentences
    assert ("The data speak against equal effects" in sentence) == against
    assert ("do not speak against" in sentence) != against


def test_ratios_have_the_right_direction():
    gamma = np.zeros((50, 2)) + np.random.default_rng(1).normal(0, 0.1, (50, 2))
    draws = {
        link: summary.derived_quantities(tree_of(gamma, link, aspects=[])) for link in ("logit", "probit", "cloglog")
    }
    beta = tree_of(gamma)["posterior"]["beta"].values[..., 0]
    np.testing.assert_allclose(draws["logit"]["odds_ratio[x]"], np.exp(beta))
    np.testing.assert_allclose(draws["cloglog"]["hazard_ratio[x]"], np.exp(-beta))  # P(Y <= k) = 1 - exp(-e^(c - eta))
    assert draws["probit"] == {}


def violation(n: int, strength: float) -> pd.DataFrame:
    """Four categories; x moves the first threshold by 1, the others by 1 + strength and 1 + 2 strength."""
    rng = np.random.default_rng(5)
    x, g = rng.integers(0, 2, n), rng.integers(0, 20, n)
    z = rng.logistic(size=n) + rng.normal(0, 0.5, 20)[g]
    c = np.array([-1.0, 0.2, 1.4]) - x[:, None] * (1 + strength * np.arange(3))
    return pd.DataFrame({"y": (z[:, None] > c).sum(axis=1) + 1, "x": x, "g": g})


@pytest.mark.slow
@pytest.mark.parametrize("strength", [0.0, 0.4])
def test_unequal_effects_are_found_and_equal_ones_are_not(strength):
    model = zoo.ordinal(violation(1500, strength), "y ~ x + (1 | g)", nominal="~ x")
    tree = zoo.fit(model, draws=500, seed=3, progress=False)
    finding = findings(tree)["proportional_odds"]
    assert ("The data speak against" in finding.sentences[0]) == (strength > 0)
    truth = 1 + strength * np.arange(3)
    assert ((finding.tables["effects"]["lower"] < truth) & (truth < finding.tables["effects"]["upper"])).all()
    assert any("proportional odds" in str(line) for line in terminal.full_report(tree))
