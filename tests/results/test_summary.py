"""The posterior summary against the draws."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import integrate, stats

import glmm_zoo as zoo
from glmm_zoo.results import storage, summary
from tests.predicted_trees import FAMILY


def test_summary_numbers(tree: xr.DataTree) -> None:
    found = zoo.summary(tree, prob=0.8)
    beta = tree["posterior"]["beta"].sel(coef="x").values
    sd = tree["posterior"]["sd_site_at_means"].sel(site_effect="Intercept").values
    np.testing.assert_allclose(found.loc["beta[x]", ["lower", "upper"]].astype(float), np.quantile(beta, [0.1, 0.9]))
    assert found.loc["odds_ratio[x]", "mean"] == pytest.approx(np.exp(beta).mean())
    assert found.loc["icc[site]", "median"] == pytest.approx(np.median(sd**2 / (sd**2 + np.pi**2 / 3)))
    # Larsen & Merlo 2005: a variance of 1 between clusters is a median odds ratio of 2.60
    assert np.exp(np.sqrt(2) * summary._NORMAL_UPPER_QUARTILE) == pytest.approx(2.596, abs=1e-3)
    assert {"sd_site[Intercept]", "sd_site_at_means[Intercept]"} <= set(found.index)
    assert "corr_site[Intercept, x]" in found.index and "corr_site[Intercept, Intercept]" not in found.index
    assert not any(name.startswith("u_") for name in found.index)
    assert "u_site[s3, x]" in zoo.summary(tree, group_effects=True).index


def test_a_correlation_is_listed_once_where_nothing_is_derived(tree: xr.DataTree) -> None:
    content = storage.metadata(tree)
    spec = {**content["spec"], "link": "probit", "latent_variance": None}  # no ratio, no ICC
    plain = tree.copy()
    storage.write_metadata(plain, {**content, "spec": spec})
    assert not summary.derived_quantities(plain)
    found = zoo.summary(plain)
    assert [name for name in found.index if name.startswith("corr_")] == [
        "corr_site_at_means[Intercept, x]",
        "corr_site[Intercept, x]",
    ]


# -------------------------------------------------------------------------------------- between levels, on made-up posteriors

SDS = {"site": np.array([[0.3, 0.9, 1.5, 2.0], [0.2, 0.5, 0.8, 1.1]]), "rater": np.array([[0.1, 0.4, 1.2, 0.7]] * 2)}
SIGMA = np.array([[0.5, 1.0, 2.0, 3.0], [0.6, 0.7, 0.8, 0.9]])
BETA = np.array([[[-0.4, 2.0], [0.3, -1.0], [0.9, 0.1], [0.0, 0.2]]] * 2)
LATENT = {"logit": stats.logistic.var(), "probit": 1.0, "cloglog": stats.gumbel_r.var()}


def made_up(link: str, prefix: str = "", factors: tuple[str, ...] = ("site", "rater"), **spec: object) -> xr.DataTree:
    """Two chains of four draws with varying intercepts of these factors, of one outcome or of that with the prefix."""
    lead = f"{prefix}_" if prefix else ""
    data = {f"sd_{g}": (("chain", "draw", f"{g}_effect"), SDS[g][..., None]) for g in factors}
    data[f"{lead}beta"] = (("chain", "draw", f"{lead}coef"), BETA)
    if link == "identity":
        data[f"{lead}sigma"] = (("chain", "draw"), SIGMA)
    label = f"{prefix}:Intercept" if prefix else "Intercept"
    coords = {**{f"{g}_effect": [label] for g in factors}, f"{lead}coef": ["x", "w"]}
    groups = {
        g: {"sd": f"sd_{g}", "u": f"u_{g}", "effects": [label], "effect_dim": f"{g}_effect", "predictors": [prefix]}
        for g in factors
    }
    outcome = {"link": link, "family": FAMILY[link], "latent_variance": LATENT.get(link)}
    described = {"outcomes": {prefix: outcome}} if prefix else outcome
    known = {"links": {}, "groups": groups, "aspects": [], "auxiliary": [], "smooths": [], **described}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(data, coords)})
    storage.write_metadata(tree, {"spec": {**known, **spec}})
    return tree


@pytest.mark.parametrize("prefix", ["", "y"])
def test_icc_of_a_gaussian_is_the_share_of_all_variances(prefix: str) -> None:
    draws, lead = summary.derived_quantities(made_up("identity", prefix)), f"{prefix}_" if prefix else ""
    total = SDS["site"] ** 2 + SDS["rater"] ** 2 + SIGMA**2
    assert set(draws) == {f"{lead}icc[site]", f"{lead}icc[rater]"}
    for g, sd in SDS.items():
        np.testing.assert_allclose(draws[f"{lead}icc[{g}]"], sd**2 / total)


@pytest.mark.parametrize("link", LATENT)
def test_icc_of_a_binary_outcome_has_the_variance_of_the_latent_error(link: str) -> None:
    draws = summary.derived_quantities(made_up(link))
    for g, sd in SDS.items():
        total = SDS["site"] ** 2 + SDS["rater"] ** 2 + LATENT[link]
        np.testing.assert_allclose(draws[f"icc[{g}]"], sd**2 / total)
    np.testing.assert_allclose(
        summary.derived_quantities(made_up(link, factors=("site",)))["icc[site]"],
        SDS["site"] ** 2 / (SDS["site"] ** 2 + LATENT[link]),
    )


def test_icc_is_the_correlation_of_two_rows_of_one_level() -> None:
    """y = u_site + v_rater + e, simulated: rows alike in the site only."""
    rng, n = np.random.default_rng(1), 400_000
    site, one, two = (SDS["site"][0, 1] * rng.normal(size=n), *SDS["rater"][0, 1] * rng.normal(size=(2, n)))
    y = site + one + SIGMA[0, 1] * rng.normal(size=n), site + two + SIGMA[0, 1] * rng.normal(size=n)
    icc = summary.derived_quantities(made_up("identity"))["icc[site]"][0, 1]
    assert icc == pytest.approx(np.corrcoef(*y)[0, 1], abs=0.005)


@pytest.mark.parametrize(("link", "name"), [("logit", "median_odds_ratio"), ("log", "median_rate_ratio")])
def test_median_ratio_is_the_median_over_pairs_of_levels(link: str, name: str) -> None:
    """P(exp |u_1 - u_2| < MOR) = 1/2 with u_1 - u_2 ~ Normal(0, 2 sd^2), by quadrature."""
    draws = summary.derived_quantities(made_up(link))
    for g, sd in SDS.items():
        for ratio, s in zip(draws[f"{name}[{g}]"].ravel(), sd.ravel(), strict=True):
            inside = integrate.quad(
                lambda u, s=s, r=ratio: (
                    stats.norm.pdf(u, 0, s) * (stats.norm.cdf(u + np.log(r), 0, s) - stats.norm.cdf(u - np.log(r), 0, s))
                ), -9 * s, 9 * s, points=[0.0],
            )[0]  # fmt: skip
            assert inside == pytest.approx(0.5, abs=1e-7)
    assert link == "logit" or not any(q.startswith("icc") for q in draws)
    assert not any(q.startswith("median") for q in summary.derived_quantities(made_up("probit")))


@pytest.mark.parametrize(
    ("link", "ratio"), [("logit", "odds_ratio"), ("log", "rate_ratio"), ("cloglog", "hazard_ratio"), ("identity", None)]
)
def test_ratios_are_exponentials_of_their_own_coefficient(link: str, ratio: str | None) -> None:
    for prefix, lead in (("", ""), ("y", "y_")):
        draws = summary.derived_quantities(made_up(link, prefix))
        assert ratio is not None or not any("ratio" in name for name in draws)
        for j, coef in enumerate(("x", "w") if ratio else ()):
            np.testing.assert_allclose(draws[f"{lead}{ratio}[{coef}]"], np.exp(BETA[..., j]))


def test_a_cumulative_model_has_the_ratio_of_the_hazard_of_stopping() -> None:
    """P(Y <= k) = F(c_k - eta) with F of the smallest extreme value: its hazard -log(1 - F) falls with eta."""
    tree = made_up("cloglog")
    cuts = xr.Dataset({"cutpoints": (("chain", "draw", "cutpoint"), np.zeros((2, 4, 2)))}, {"cutpoint": ["1|2", "2|3"]})
    tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().merge(cuts))
    more, now = (-stats.gumbel_l.logsf(0.3 - eta) for eta in (0.7 + BETA, 0.7))
    draws = summary.derived_quantities(tree)
    for j, coef in enumerate(("x", "w")):
        np.testing.assert_allclose(draws[f"hazard_ratio[{coef}]"], (more / now)[..., j])


def test_a_factor_of_another_predictor_is_no_level_of_the_outcome() -> None:
    """(1 | rater) in the part zi only: it adds nothing to the variance of the outcome."""
    tree = made_up("logit")
    content = storage.metadata(tree)
    content["spec"]["groups"]["rater"]["predictors"] = ["zi"]
    storage.write_metadata(tree, content)
    draws = summary.derived_quantities(tree)
    assert {name for name in draws if "[rater]" in name} == set()
    np.testing.assert_allclose(draws["icc[site]"], SDS["site"] ** 2 / (SDS["site"] ** 2 + LATENT["logit"]))


def test_a_part_without_an_outcome_has_plain_ratios() -> None:
    """exp of a coefficient of a log shape is not a ratio of rates; that of a share of zeros is an odds ratio."""
    tree = made_up("log", links={"alpha": "log", "zi": "logit"})
    more = {f"{part}_beta": (("chain", "draw", f"{part}_coef"), k * BETA) for part, k in (("alpha", 2), ("zi", 3))}
    coords = {"alpha_coef": ["x", "w"], "zi_coef": ["x", "w"]}
    tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().merge(xr.Dataset(more, coords)))
    draws = summary.derived_quantities(tree)
    np.testing.assert_allclose(draws["alpha_ratio[w]"], np.exp(2 * BETA[..., 1]))
    np.testing.assert_allclose(draws["zi_odds_ratio[w]"], np.exp(3 * BETA[..., 1]))
    assert not any(name.startswith("alpha_rate") for name in draws)


@pytest.mark.parametrize("prob", [0.5, 0.9, 0.95])
def test_rows_of_the_summary_are_statistics_of_all_draws(tree: xr.DataTree, prob: float) -> None:
    found, tail = zoo.summary(tree, prob=prob), (1 - prob) / 2
    for name, draws in (
        ("beta[x]", tree["posterior"]["beta"].values[..., 0]),
        ("odds_ratio[x]", np.exp(tree["posterior"]["beta"].values[..., 0])),
    ):
        row = found.loc[name]
        expected = [draws.mean(), np.median(draws), draws.std(ddof=1), *np.quantile(draws, [tail, 1 - tail])]
        np.testing.assert_allclose(row[["mean", "median", "sd", "lower", "upper"]].astype(float), expected, rtol=1e-9)
    np.testing.assert_allclose(found.loc["beta[x]", ["lower", "upper"]].astype(float), np.quantile(
        tree["posterior"]["beta"].values, [tail, 1 - tail]), rtol=1e-10)  # fmt: skip
