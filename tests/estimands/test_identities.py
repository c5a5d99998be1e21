"""Identities of estimands: averages, contrasts, permutations, new levels and observations, slopes, bases, files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytensor
import pytest
import xarray as xr
from hand_made_trees import tree_of, tree_of_prior
from integrated_rows import (
    asked_rows,
    integrated,
    mean,
    own_groups,
    points,
    tree_of_row,
    with_small_sds,
    without_groups,
)
from row_models import build, builder, model_of
from rows import ROWS, Row, visits
from scipy import integrate, special, stats

import glmm_zoo as zoo

LATER = ("stepped_wedge", "meta_analysis", "network_meta_analysis", "joint_survival")
ALL = {row.name: row for row in ROWS if row.builder not in LATER}
every_row = pytest.mark.parametrize("name", ALL)
LOGISTIC, POISSON, CROSSED, SLOPES = "logistic", "poisson, offset", "binomial crossed", "logistic, two labels"


def draws_of(estimates: zoo.Estimates, **where: object) -> np.ndarray:
    """Draws (S, estimates), chain by chain, of the estimates that have these values."""
    chosen = np.ones(len(estimates.table), bool)
    for column, value in where.items():
        chosen &= (estimates.table[column] == value).to_numpy()
    return estimates.draws["value"].values.reshape(-1, len(chosen))[:, chosen]


def one_point(tree: xr.DataTree, draws: int) -> xr.DataTree:
    """Two chains that have the first draw so many times."""
    posterior = tree["posterior"].to_dataset().isel(chain=[0, 0], draw=[0] * draws)
    changed = tree.copy()
    changed["posterior"] = xr.DataTree(posterior.assign_coords(chain=[0, 1], draw=range(draws)))
    return changed


def with_sds(tree: xr.DataTree, factor: float) -> xr.DataTree:
    """The standard deviations of groups multiplied."""
    posterior = tree["posterior"].to_dataset()
    changed = tree.copy()
    sds = [str(v) for v in posterior if str(v).startswith("sd_") or "_sd_" in str(v)]
    changed["posterior"] = xr.DataTree(posterior.assign({sd: factor * posterior[sd] for sd in sds}))
    return changed


def asked_of(name: str) -> dict[str, Any]:
    """What is asked of a kind of model: means, of times to an event survival at a time."""
    return {"scale": "survival", "times": [2.0]} if ALL[name].builder == "survival" else {}


def choices(name: str, *known: str) -> list[str]:
    """Those of the known choices of groups that a model has: values of a process have no new level."""
    return [c for c in known if c != "new" or "ar1(" not in str(ALL[name].formula)]


# ------------------------------------------------------------------------------------------------- for every kind of model


@every_row
def test_the_rows_of_the_fit_as_data_and_a_file_of_the_fit_change_no_bit(name: str, tmp_path: Path) -> None:
    tree, d = tree_of_row(name), ALL[name].data()
    path = zoo.save(tree, tmp_path / "fit.nc")
    several = ALL[name].builder == "joint_outcomes"
    for outcome in [key.removesuffix("_row") for key in ALL[name].rows(d)] if several else [None]:
        rows = d[d[outcome].notna()] if outcome else d
        predictors = rows.drop(columns=["y", "ill", "reply", "k", "c", "rating", "grade", "t"], errors="ignore")
        others = {"population": (tree, predictors), "new": (zoo.load(path),), "observed": (zoo.load(path), predictors)}
        for groups in choices(name, *others):
            other = others[groups]
            found = draws_of(zoo.predictions(tree, groups=groups, outcome=outcome, **asked_of(name)))
            np.testing.assert_array_equal(
                draws_of(zoo.predictions(*other, groups=groups, outcome=outcome, **asked_of(name))), found
            )


@every_row
def test_without_variation_between_groups_population_and_new_are_typical(name: str) -> None:
    tree = with_sds(tree_of_row(name), 0.0)
    typical = draws_of(zoo.predictions(tree, groups="typical", **asked_of(name)))
    for groups in choices(name, "population", "new"):
        np.testing.assert_allclose(
            draws_of(zoo.predictions(tree, groups=groups, **asked_of(name))), typical, rtol=1e-12
        )
    almost = draws_of(zoo.predictions(with_sds(tree_of_row(name), 1e-6), **asked_of(name)))
    np.testing.assert_allclose(almost, typical, rtol=1e-6, atol=1e-300)  # subnormal numbers have few digits


@every_row
def test_permutations_of_rows_only_permute_the_answer(name: str) -> None:
    row = ALL[name]
    tree, d = tree_of_row(name), row.data()
    outcome = next(iter(row.rows(d))).removesuffix("_row") if row.builder == "joint_outcomes" else None
    rng = np.random.default_rng(2)
    orders = [rng.permutation(len(d)) for _ in range(10)]
    for declared in (False, True):  # levels of new data in any declared order
        mixed = pd.concat([d.iloc[order] for order in orders], ignore_index=True)
        for c in ("arm", "sex", "g") if declared else ():
            mixed[c] = pd.Categorical(mixed[c], rng.permutation(mixed[c].unique())) if c in mixed else 0
        for groups in ("population", "observed"):
            found = draws_of(zoo.predictions(tree, d, groups=groups, outcome=outcome, **asked_of(name)))
            other = draws_of(zoo.predictions(tree, mixed, groups=groups, outcome=outcome, **asked_of(name)))
            found, other = (x.reshape(len(x), -1, len(found.T) // len(d)) for x in (found, other))  # by category
            np.testing.assert_allclose(other, found[:, np.concatenate(orders)], rtol=1e-12)
    averages = [
        draws_of(zoo.predictions(tree, data, by=True, outcome=outcome, **asked_of(name))) for data in (d, mixed)
    ]
    np.testing.assert_allclose(*averages, rtol=1e-12)


@pytest.mark.parametrize(
    "name", [LOGISTIC, POISSON, "zinb, shared", "ordinal, nominal", "linear, three effects", "gamm"]
)
def test_the_order_of_rows_and_of_levels_in_the_fit_does_not_matter(name: str) -> None:
    row, rng = ALL[name], np.random.default_rng(5)
    d, tree = row.data(), tree_of_row(name)
    order = rng.permutation(len(d))
    mixed = d.iloc[order].reset_index(drop=True)
    mixed["g"] = pd.Categorical(mixed["g"], rng.permutation(d["g"].unique()))
    model = build(row, mixed)
    posterior = tree["posterior"].to_dataset()
    relabelled = {
        str(k): v.sel({dim: list(model.coords[dim]) for dim in v.dims if dim in model.coords}).values
        for k, v in posterior.items()
    }
    other = tree_of(model, relabelled)
    for groups in ("population", "observed"):
        a, b = (draws_of(zoo.predictions(t, groups=groups)) for t in (tree, other))
        np.testing.assert_allclose(b, a[:, order], rtol=1e-9)


# --------------------------------------------------------------------------------------------------------- closed forms


def test_probit_and_log_have_closed_forms() -> None:
    for name, inverse in (
        ("probit", lambda eta, v: stats.norm.cdf(eta / np.sqrt(1 + v))),
        ("poisson", lambda eta, v: np.exp(eta + v / 2)),
    ):
        row, tree = ALL[name], tree_of_row(name)
        d = asked_rows(row)
        expected = [inverse(row.eta(d, without_groups(p)), p["sd_g"].item() ** 2) for p in points(tree)]
        np.testing.assert_allclose(draws_of(zoo.predictions(tree)), expected, rtol=1e-12)


def test_a_ratio_under_a_log_link_does_not_depend_on_the_sd() -> None:
    tree = tree_of_row("poisson")
    beta = tree["posterior"]["beta"].values.reshape(-1, 1)
    for factor in (0.0, 1.0, 2.0):
        found = zoo.comparisons(with_sds(tree, factor), "x", measures="ratio")
        np.testing.assert_allclose(draws_of(found), np.exp(beta), rtol=1e-12)


def test_correlated_slopes_against_quadrature_over_both_effects() -> None:
    row, tree = ALL[SLOPES], tree_of_row(SLOPES)
    d, p = asked_rows(row), next(points(tree))
    i = int(np.argmax(np.abs(d["x"])))
    x, eta = d["x"][i], row.eta(d, without_groups(p))[i]
    sd = p["sd_g"].values
    u = stats.multivariate_normal(cov=p["corr_g"].values * np.outer(sd, sd))
    a, b = 9 * sd
    expected = integrate.dblquad(
        lambda v, w: special.expit(eta + w + v * x) * u.pdf([w, v]), -a, a, -b, b, epsabs=1e-10
    )[0]
    np.testing.assert_allclose(draws_of(zoo.predictions(tree))[0, i], expected, rtol=1e-7)


def test_nested_factors_are_added() -> None:
    row = Row(**{**ALL["logistic"].__dict__, "formula": "ill ~ x + arm + (1 | a/b)", "Z": ALL["linear nested"].Z})
    tree = with_small_sds(tree_of_prior(build(row), 2))
    expected = [integrated(row, row.data(), p, mean(row)) for p in points(tree)]
    np.testing.assert_allclose(draws_of(zoo.predictions(tree)), expected, rtol=1e-7)
    own = [integrated(row, row.data(), p, mean(row), observed=["a"]) for p in points(tree)]
    for factor in ("b", "a:b"):  # by its last column, or by its whole name
        found = zoo.predictions(tree, groups={"a": "observed", factor: "population"})
        np.testing.assert_allclose(draws_of(found), own, rtol=1e-7)


def test_each_factor_has_the_groups_that_it_is_given() -> None:
    row, tree = ALL[CROSSED], tree_of_row(CROSSED)
    d = asked_rows(row)
    for observed, other in (("g", "h"), ("h", "g")):
        expected = [integrated(row, d, p, mean(row), observed=[observed]) for p in points(tree)]
        for groups in ({observed: "observed"}, {observed: "observed", other: "population"}):
            np.testing.assert_allclose(draws_of(zoo.predictions(tree, groups=groups)), expected, rtol=1e-7)
    typical = [own_groups(row, d, without_groups(p, ["g"]), mean(row)) for p in points(tree)]
    found = zoo.predictions(tree, groups={"g": "observed", "h": "typical"})
    np.testing.assert_allclose(draws_of(found), typical, rtol=1e-12)


# ------------------------------------------------------------------------------------------------------------- averages


def test_averages_are_those_of_a_hand_made_table() -> None:
    tree, d = tree_of_row(LOGISTIC), visits()
    d["size"] = np.arange(len(d)) % 5 + 0.5
    rows = pd.DataFrame(draws_of(zoo.predictions(tree, d)).T)
    every = draws_of(zoo.predictions(tree, d, by=True))[:, 0]
    np.testing.assert_allclose(every, rows.mean(), rtol=1e-12)

    by_arm = zoo.predictions(tree, d, by="arm")
    np.testing.assert_allclose(draws_of(by_arm).T, rows.groupby(d["arm"]).mean(), rtol=1e-12)
    assert by_arm.table["arm"].tolist() == ["low", "mid", "zero"]
    shares = d["arm"].value_counts(normalize=True)[by_arm.table["arm"]].to_numpy()
    np.testing.assert_allclose(draws_of(by_arm) @ shares, every, rtol=1e-12)

    two = zoo.predictions(tree, d, by=["arm", "sex"])
    expected = rows.groupby([d["arm"], d["sex"]]).mean()
    assert list(zip(two.table["arm"], two.table["sex"], strict=True)) == expected.index.tolist()
    np.testing.assert_allclose(draws_of(two).T, expected, rtol=1e-12)

    over = rows.groupby(d["h"]).mean().mean()
    np.testing.assert_allclose(draws_of(zoo.predictions(tree, d, by=True, over="h"))[:, 0], over, rtol=1e-12)
    within = rows.groupby([d["arm"], d["h"]]).mean().groupby(level=0).mean()
    np.testing.assert_allclose(draws_of(zoo.predictions(tree, d, by="arm", over="h")).T, within, rtol=1e-12)

    weighted = np.average(rows, axis=0, weights=d["size"])
    np.testing.assert_allclose(draws_of(zoo.predictions(tree, d, by=True, weights="size"))[:, 0], weighted, rtol=1e-12)
    in_levels = pd.DataFrame(
        {h: np.average(rows[d["h"] == h], axis=0, weights=d["size"][d["h"] == h]) for h in set(d["h"])}
    )
    both = zoo.predictions(tree, d, by=True, over="h", weights="size")
    np.testing.assert_allclose(draws_of(both)[:, 0], in_levels.mean(axis=1), rtol=1e-12)


def test_comparisons_and_slopes_average_as_predictions_do() -> None:
    tree, d = tree_of_row(LOGISTIC), visits().assign(size=np.arange(72) % 5 + 0.5)
    for averaged in ({"by": "sex"}, {"over": "h"}, {"weights": "size"}, {"by": "sex", "over": "h", "weights": "size"}):
        by = averaged.get("by", True)
        sides = [zoo.predictions(tree, d.assign(arm=arm), **{**averaged, "by": by}) for arm in ("zero", "low")]
        found = zoo.comparisons(tree, "arm", d, contrast="zero vs low", **averaged)
        high, low = map(draws_of, sides)
        np.testing.assert_allclose(draws_of(found, measure="difference"), high - low, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(draws_of(found, measure="ratio"), high / low, rtol=1e-10)
        odds = high / (1 - high) * (1 - low) / low
        np.testing.assert_allclose(draws_of(found, measure="odds_ratio"), odds, rtol=1e-8)
        h = 1e-5
        up, down = (draws_of(zoo.predictions(tree, d.assign(x=d["x"] + e), **{**averaged, "by": by})) for e in (h, -h))
        np.testing.assert_allclose(
            draws_of(zoo.slopes(tree, "x", d, **averaged)), (up - down) / (2 * h), rtol=1e-4, atol=1e-9
        )


def test_a_against_b_is_b_against_a_reversed() -> None:
    tree = tree_of_row(LOGISTIC)
    ab, ba = (zoo.comparisons(tree, "arm", contrast=c) for c in (("mid", "zero"), "zero vs mid"))
    assert ab.table["contrast"].unique().tolist() == ["mid vs zero"]
    np.testing.assert_allclose(draws_of(ab, measure="difference"), -draws_of(ba, measure="difference"), rtol=1e-12)
    for measure in ("ratio", "odds_ratio"):
        np.testing.assert_allclose(draws_of(ab, measure=measure), 1 / draws_of(ba, measure=measure), rtol=1e-9)
    arms = {arm: draws_of(zoo.predictions(tree, at={"arm": arm}, by=True)) for arm in ("low", "mid", "zero")}
    for kind, pairs in (
        ("reference", ["mid vs low", "zero vs low"]), ("sequential", ["mid vs low", "zero vs mid"]),
        ("pairwise", ["mid vs low", "zero vs low", "zero vs mid"]),
    ):  # fmt: skip
        found = zoo.comparisons(tree, "arm", contrast=kind, measures="difference")
        assert found.table["contrast"].tolist() == pairs
        for pair in pairs:
            a, b = pair.split(" vs ")
            np.testing.assert_allclose(draws_of(found, contrast=pair), arms[a] - arms[b], rtol=1e-10, atol=1e-15)


def test_values_that_at_sets_are_those_of_a_hand_made_frame() -> None:
    tree, d = tree_of_row(LOGISTIC), visits()
    found = zoo.predictions(tree, d, at={"x": [0.5, 2], "arm": ["mid", "zero"]})
    for x in (0.5, 2):
        for arm in ("mid", "zero"):
            expected = draws_of(zoo.predictions(tree, d.assign(x=x, arm=arm)))
            np.testing.assert_array_equal(draws_of(found, x=x, arm=arm), expected)
    of_g = zoo.predictions(tree, at={"g": "C"}, groups="observed")
    np.testing.assert_array_equal(draws_of(of_g), draws_of(zoo.predictions(tree, d.assign(g="C"), groups="observed")))


@pytest.mark.parametrize(
    "name", ["poisson", POISSON, "negative binomial, nb1", "zip", "hurdle poisson", "gamm, zero part"]
)
def test_counts_are_of_the_exposure_that_is_asked_for(name: str) -> None:
    row, tree = ALL[name], tree_of_row(name)
    for days, asked in ((1.0, {}), (30.0, {"per": 30}), (365.0, {"at": {"days": 365}})):
        d = row.data().assign(days=days)
        expected = [integrated(row, d, p, mean(row)) for p in points(tree)]
        np.testing.assert_allclose(draws_of(zoo.predictions(tree, **asked)), expected, rtol=1e-6)
    unit, thousand = (zoo.comparisons(tree, "x", per=per) for per in (1, 1000))
    if "hurdle" not in name:
        np.testing.assert_allclose(draws_of(thousand, measure="ratio"), draws_of(unit, measure="ratio"), rtol=1e-9)
        difference = draws_of(unit, measure="difference") * 1000
        np.testing.assert_allclose(draws_of(thousand, measure="difference"), difference, rtol=1e-9)


# ------------------------------------------------------------------------------------------------------------------ slopes


def test_slopes_have_closed_forms() -> None:
    found = draws_of(zoo.slopes(tree_of_row("linear"), "x"))
    np.testing.assert_allclose(found[:, 0], tree_of_row("linear")["posterior"]["beta"].values.ravel(), rtol=1e-8)
    row, tree = ALL["probit"], tree_of_row("probit")
    expected = []
    for p in points(tree):
        scale = np.sqrt(1 + p["sd_g"].item() ** 2)
        eta = row.eta(row.data(), without_groups(p)) / scale
        expected.append(np.mean(stats.norm.pdf(eta) * p["beta"].item() / scale))
    np.testing.assert_allclose(draws_of(zoo.slopes(tree, "x"))[:, 0], expected, rtol=1e-5)
    there = [
        np.mean(stats.norm.pdf(row.eta(row.data().assign(x=0.3), without_groups(p)) / s) * p["beta"].item() / s)
        for p, s in ((p, np.sqrt(1 + p["sd_g"].item() ** 2)) for p in points(tree))
    ]
    np.testing.assert_allclose(draws_of(zoo.slopes(tree, "x", at={"x": [0.3, 0.5]}))[:, 0], there, rtol=1e-5)
    row, tree = ALL[POISSON], tree_of_row(POISSON)
    d, expected = asked_rows(row), []
    for p in points(tree):  # d/dx exp(eta + (a^2 + 2 r a b x + b^2 x^2 + c^2) / 2)
        a, b = p["sd_g"].values
        r = p["corr_g"].values[0, 1]
        expected.append(
            np.mean(integrated(row, d, p, mean(row)) * (p["beta"].sel(coef="x").item() + r * a * b + b**2 * d["x"]))
        )
    np.testing.assert_allclose(draws_of(zoo.slopes(tree, "x"))[:, 0], expected, rtol=1e-5)


# ------------------------------------------------------------------------------- smooths, splines and polynomials in other rows

TERMS = [
    "s(x) + (1 | g)", "s(x, by=arm) + arm + (1 | g)", "s(x, by=w) + (1 | g)", "t2(x, w, k=4) + (1 | g)", "s(x) + s(x, g, bs=\"fs\")",
    "bs(x, df=5) + (1 | g)", "cr(x, df=4) + (1 | g)", "poly(x, 3) * arm + (1 | g)", "scale(x) + center(w) + (1 + scale(x) | g)",
    "log(days) + offset(w) + C(arm, ref=\"zero\") + (1 | g)", "I(x**2) + x:sex + (1 | h)",
]  # fmt: skip


def of_free(model: Any, output: Any) -> Callable[[Mapping[str, xr.DataArray]], np.ndarray]:
    """A variable of the graph at values of the free ones."""
    run = pytensor.function(model.free_RVs, output, on_unused_input="ignore")
    return lambda p: run(*[p[v.name].values for v in model.free_RVs])


def parameters_of(variable: Any) -> Any:
    """The parameters of a random variable, in the graph."""
    return variable.owner.op.dist_params(variable.owner)


@pytest.mark.parametrize("terms", TERMS)
def test_bases_are_those_of_the_fit(terms: str) -> None:
    smooth = terms.startswith(("s(", "t2("))
    model = builder("gamm" if smooth else "hierarchical_linear")(visits(), f"y ~ {terms}")
    tree, eta = tree_of_prior(model, 2), of_free(model, parameters_of(model["y"])[0])
    expected = np.array([eta(p) for p in points(tree)])
    found = draws_of(zoo.predictions(tree, groups="observed"))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
    some = visits().iloc[[40, 3, 3, 71]].drop(columns="y")
    np.testing.assert_allclose(
        draws_of(zoo.predictions(tree, some, groups="observed")), expected[:, [40, 3, 3, 71]], rtol=1e-8, atol=1e-9
    )


def test_curves_of_groups_are_integrated_over() -> None:
    """Of a Poisson model the mean is exp(typical + variance / 2), with the variance from the graph's response to each weight."""
    model = builder("gamm")(visits(), 'k ~ s(x, g, bs="fs", k=5) + (1 | h)', family="poisson")
    tree = with_small_sds(tree_of_prior(model, 1))
    p = next(points(tree))
    weights, eta = "s_x:g_weights", of_free(model, parameters_of(model["k"])[0])
    sd = np.tile(p["s_x:g_sd"].values[[0, 1, 2, 2, 2]], 9)  # of each level: a constant, a slope, three bends
    typical = {**p, weights: 0 * p[weights], "u_h": 0 * p["u_h"]}
    variance = np.full(72, p["sd_h"].item() ** 2)
    for j in range(sd.size):
        unit = p[weights].copy(data=np.eye(sd.size)[j])
        variance += ((eta({**typical, weights: unit}) - eta(typical)) * sd[j]) ** 2
    np.testing.assert_allclose(draws_of(zoo.predictions(tree))[0], np.exp(eta(typical) + variance / 2), rtol=1e-8)
    own = eta({**typical, weights: p[weights]})
    found = zoo.predictions(tree, groups={"g": "observed", "h": "typical"})
    np.testing.assert_allclose(draws_of(found)[0], np.exp(own), rtol=1e-8)


# ------------------------------------------------------------------------------------------------- new levels, new observations


@pytest.mark.parametrize("name", [LOGISTIC, SLOPES, POISSON, "ordinal", "zinb, shared", CROSSED])
def test_the_mean_over_new_levels_is_that_of_the_population(name: str) -> None:
    tree = one_point(tree_of_row(name), 2000)
    few = ALL[name].data().head(3)
    values = draws_of(zoo.predictions(tree, few, groups="new", draws=4000))
    expected = draws_of(zoo.predictions(tree, few))[0]
    p = stats.ttest_1samp(values, expected).pvalue
    assert values.std(axis=0).min() > 0 and p.min() > 1e-3, p


def test_levels_that_the_fit_does_not_have() -> None:
    row, tree = ALL[LOGISTIC], one_point(tree_of_row(LOGISTIC), 2000)
    d = visits().head(4).assign(g=["Y", "Y", "Z", "C"], x=1.0, arm="low")
    with pytest.raises(zoo.InputError, match=r"g 'Y', 'Z' \(rows 1, 2, 3\) was not in the data of the fit"):
        zoo.predictions(tree, d, groups="observed")
    population, own = (
        draws_of(zoo.predictions(tree, d, groups=g, unseen="population"))[0] for g in ("population", "observed")
    )
    np.testing.assert_array_equal(own[:3], population[:3])
    p = next(points(tree))
    np.testing.assert_allclose(own[3], own_groups(row, d.assign(g="C"), p, mean(row))[3])
    drawn = draws_of(zoo.predictions(tree, d, groups="observed", unseen="new", draws=4000))
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])  # a level is drawn once
    np.testing.assert_allclose(drawn[:, 3], own[3])
    assert abs(stats.pearsonr(drawn[:, 0], drawn[:, 2]).statistic) < 0.06  # levels are independent
    u = (special.logit(drawn[:, [0, 2]]) - row.eta(d.assign(g="C"), without_groups(p))[0]) / p["sd_g"].item()
    assert stats.kstest(u.ravel(), "norm").pvalue > 1e-3  # not resampled from nine fitted levels


@pytest.mark.parametrize("name", ["linear", LOGISTIC, "poisson", "negative binomial", "negative binomial, nb1", "zip", "hurdle poisson",
                                  "hurdle negative binomial", "ordinal", "never at risk, negative binomial"])  # fmt: skip
def test_new_observations_have_the_moments_of_their_family(name: str) -> None:
    row = ALL[name]
    tree = tree_of_row(name)
    posterior = tree["posterior"].to_dataset()
    tree = tree.copy()
    tree["posterior"] = xr.DataTree(
        posterior.assign({b: 0.1 * posterior[b] for b in map(str, posterior) if b.endswith(("beta", "Intercept"))})
    )
    tree = one_point(tree, 3000)
    d = asked_rows(row).head(12)
    p = next(points(tree))
    y = draws_of(zoo.predictions(tree, d, scale="response", groups="observed", draws=6000))
    m, sd = row.mean_and_sd(d, p)
    m = m + (row.builder == "ordinal")
    z = (y.mean(axis=0) - m) / (sd / np.sqrt(len(y)))
    assert stats.chi2.sf(np.sum(z**2), len(z)) > 1e-3, z
    error = np.std((y - m) ** 2, axis=0) / np.sqrt(len(y))
    z = (np.mean((y - m) ** 2, axis=0) - sd**2) / error
    assert np.max(np.abs(z)) < 5, z
    of_population = draws_of(zoo.predictions(tree, d, scale="response", draws=6000))
    expected = draws_of(zoo.predictions(tree, d))[0]
    assert stats.ttest_1samp(of_population, expected).pvalue.min() > 1e-3


def test_few_draws_are_taken_from_every_chain() -> None:
    tree = tree_of_prior(model_of(LOGISTIC), 6)
    every, some = (zoo.predictions(tree, draws=n).draws["value"].values for n in (12, 6))
    assert every.shape[:2] == (2, 6) and some.shape[:2] == (2, 3)
    np.testing.assert_array_equal(some, every[:, [0, 2, 4]])
