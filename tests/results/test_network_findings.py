"""What a network meta-analysis says, against numbers made here from the draws and the counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from hand_made_trees import tree_of
from rows import networked, networked_by_latitude
from scipy import stats
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.report.catalogue import Catalogue
from glmm_zoo.results.about import KEY, about_of
from glmm_zoo.results.figures.treatment_slopes import sloped_covariate, treatment_slopes
from glmm_zoo.results.findings import findings
from glmm_zoo.results.networks import deviance, network_of
from glmm_zoo.results.report import stored
from glmm_zoo.results.storage import metadata, write_metadata
from glmm_zoo.results.studies import studies_apart


def fit(good: str | None = None, formula: str = "ev | trials(size) ~ drug", **options) -> xr.DataTree:
    """Two chains of 200 hand-made draws: effects near 0.5, 1 and -0.5, tau near 0.4."""
    model = row_models.builder("network_meta_analysis")(
        networked_by_latitude(), formula, study="trial", treatment="drug", reference="A", **options
    )
    rng, values = np.random.default_rng(2), {}
    for name in (v.name for v in model.free_RVs):
        shape = (2, 200, *(len(model.coords[d]) for d in model.named_vars_to_dims.get(name) or ()))
        values[name] = rng.normal(-0.8 if name == "study_Intercept" else 0.0, 0.3, shape)
        if name == "effect":
            values[name] += np.array([0.5, 1.0, -0.5, 0.5, -1.0])[: shape[-1]]
        if name == "tau" or name.startswith("sd_"):
            values[name] = rng.uniform(0.3, 0.5, shape)
    tree = tree_of(model, values)
    if good:
        write_metadata(
            tree, {**metadata(tree), KEY: {"outcome": "death", "good": good, "levels": {"drug": {"B": "drug B"}}}}
        )
    return tree


def test_every_pair_has_its_ratio_and_its_studies() -> None:
    tree = fit()
    pairs, league = (findings(tree)["network"].tables[name] for name in ("pairs", "league"))
    d = tree["posterior"].dataset["effect"].values.reshape(-1, 3)
    assert list(pairs.index) == ["B vs A", "C vs A", "D vs A", "C vs B", "D vs B", "D vs C"]
    assert list(pairs["studies"]) == [3, 2, 1, 3, 2, 1]  # N2 and N5 have three pairs each
    expected = np.quantile(np.exp(d[:, 2] - d[:, 0]), [0.5, 0.025, 0.975])
    np.testing.assert_allclose(pairs.loc["D vs B", ["median", "lower", "upper"]].to_numpy(float), expected, rtol=1e-12)
    assert pairs.loc["D vs B", "P(above 1)"] == np.mean(d[:, 2] > d[:, 0])
    new = pairs.loc["D vs B", ["new study, lower", "new study, upper"]].to_numpy(float)
    tau = tree["posterior"].dataset["tau"].values.ravel()
    sd = np.sqrt(np.var(d[:, 2] - d[:, 0]) + np.mean(tau**2))
    np.testing.assert_allclose(np.log(new), np.mean(d[:, 2] - d[:, 0]) + 1.96 * sd * np.array([-1, 1]), atol=0.25)
    assert league.loc["D", "B"].startswith(f"{expected[0]:.2f} (") and league.loc["B", "B"] == "–"
    assert list(league.columns) == list(league.index) == list("ABCD")


def test_a_treatment_with_a_slash_is_kept_in_the_file() -> None:
    """gurusamy2011 of metadat has "Control/Placebo", a column of the league table: its slash would name a group of the file."""
    tree = fit()
    write_metadata(tree, {**metadata(tree), KEY: {"levels": {"drug": {"A": "Control/Placebo"}}}})
    kept = stored._dataset(findings(tree)["network"].tables["league"])
    assert list(xr.DataTree(kept).data_vars) == ["Control_Placebo", "B", "C", "D"]
    assert kept["row against column"].values[0] == "Control/Placebo"


@pytest.mark.parametrize("good", [None, "lower", "higher"])
def test_ranks_and_their_uncertainty(good: str | None) -> None:
    tree = fit(good)
    found = findings(tree)["network"]
    effect = np.column_stack([np.zeros(400), tree["posterior"].dataset["effect"].values.reshape(-1, 3)])
    ranks = stats.rankdata(effect if good == "lower" else -effect, axis=1)
    table, names = found.tables["ranks"], ["A", "drug B" if good else "B", "C", "D"]
    for k, name in enumerate(names):
        assert table.loc[name, "mean rank"] == pytest.approx(ranks[:, k].mean())
        assert table.loc[name, "SUCRA"] == pytest.approx(np.mean([np.mean(ranks[:, k] <= r) for r in (1, 2, 3)]))
        for r in range(1, 5):
            assert table.loc[name, f"P(rank {r})"] == np.mean(ranks[:, k] == r)
    assert table.index[0] == ("D" if good == "lower" else "C")
    words = " ".join(found.sentences)
    assert ("Whether events are good or bad was not said" in words) == (good is None)
    assert (
        f"rank 1 is the treatment with the {'fewest' if good == 'lower' else 'most'} {'deaths' if good else 'events'}"
        in words
    )


@pytest.mark.parametrize("options", [{}, {"exposure": "years"}, {"trt_effects": "fixed"}, {"consistency": "ume"}])
def test_the_deviance_is_twice_the_distance_from_the_saturated_model(options: dict) -> None:
    frame = networked()
    if "exposure" in options:
        model = row_models.builder("network_meta_analysis")(
            frame, "ev ~ drug", study="trial", treatment="drug", reference="A", **options
        )
        rng = np.random.default_rng(3)
        tree = tree_of(
            model,
            {
                v.name: abs(
                    rng.normal(
                        0, 0.3, (1, 50, *(len(model.coords[d]) for d in model.named_vars_to_dims.get(v.name) or ()))
                    )
                )
                for v in model.free_RVs
            },
        )
    else:
        tree = fit(**options)
    p, trials, base = tree["posterior"].dataset, sorted(frame.trial.unique()), frame.groupby("trial").drug.min()
    eta = []
    for trial, drug in zip(frame.trial, frame.drug, strict=True):
        value = p["study_Intercept"].sel(trial=trial).values.ravel()
        if drug != base[trial] and "study_effect" in p:
            value = value + p["study_effect"].sel({"trial:drug": f"{trial}:{drug}"}).values.ravel()
        elif drug != base[trial]:
            of = {"A": 0.0, **{k: p["effect"].sel(contrast=f"{k} vs A").values.ravel() for k in "BCD"}}
            value = value + of[drug] - of[base[trial]]
        eta.append(value)
    eta, y, n = np.array(eta).T, frame.ev.to_numpy(), frame["size"].to_numpy()
    assert len(trials) == 8

    def distance(eta: np.ndarray) -> np.ndarray:
        if "exposure" in options:
            law, full = stats.poisson(np.exp(eta) * frame.years.to_numpy()), stats.poisson(y)
        else:
            law, full = stats.binom(n, expit(eta)), stats.binom(n, y / n)
        return 2 * (full.logpmf(y) - law.logpmf(y)).sum(axis=-1)

    found = deviance(tree, network_of(tree))
    assert found is not None and found.arms == len(frame)
    mean = distance(eta).mean()
    assert found.mean == pytest.approx(mean, rel=1e-9)
    assert found.effective == pytest.approx(mean - distance(eta.mean(axis=0)), rel=1e-7)
    assert found.dic == pytest.approx(found.mean + found.effective)


def test_loops_of_unrelated_mean_effects_tell_direct_from_indirect() -> None:
    tree = fit(consistency="ume")
    found, p = findings(tree)["network"], tree["posterior"].dataset["effect"]
    d = {str(label): p.sel(contrast=label).values.ravel() for label in p["contrast"].values}
    loops = found.tables["loops"]
    assert list(loops.index) == ["A, B, C", "A, B, D"]
    ratio = np.exp(d["B vs A"] + d["C vs B"] - d["C vs A"])
    np.testing.assert_allclose(
        loops.loc["A, B, C", ["median", "lower", "upper"]].to_numpy(float), np.quantile(ratio, [0.5, 0.025, 0.975])
    )
    assert list(found.tables["direct"]["studies"]) == [3, 2, 1, 2, 2]
    assert "consistency='consistency'" in found.sentences[-1] and "league" not in found.tables
    with pytest.raises(InputError, match="unrelated mean effects have no league table"):
        zoo.table(tree, "league")


def test_effects_and_ranks_are_told_where_they_hold() -> None:
    tree = fit(formula="ev | trials(size) ~ drug + lat", baseline_regression=True)
    found, beta = findings(tree)["network"], tree["posterior"].dataset["beta"].values.reshape(-1, 2)
    words = " ".join(found.sentences)
    lat = networked_by_latitude().groupby("trial").lat.first().mean()
    level = metadata(tree)["spec"]["facts"]["reference_level"]
    assert f"are those at lat {lat:.2f}, the mean of the studies, and a risk of {100 * expit(level):.1f}" in words
    assert "For one more of log odds under A every log ratio against A changes by" in words
    assert "By moments the standard deviation of effects between studies is" in words
    assert found.tables["slopes"].loc["lat", "median"] == pytest.approx(np.median(np.exp(beta[:, 0])))
    ranks = zoo.table(tree, "ranks", at={"lat": 600.0}).data.set_index("treatment")  # slopes alone decide
    sign = (beta[:, 0] > 0).mean()
    assert ranks.loc["A", "P(rank 4)"] == pytest.approx(sign, abs=0.02)
    assert ranks.loc["A", "P(rank 1)"] == pytest.approx(1 - sign, abs=0.02)
    for at, told in (
        ({"latt": 1}, "did you mean 'lat'"), ({"baseline": 1.5}, "'baseline' must be a risk between 0 and 1 under the reference"),
        ({"lat": "north"}, "at= of 'lat' must be one number, not 'north'"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=told):
            zoo.table(tree, "league", at=at)
    with pytest.raises(InputError, match="at= is of the tables league, ranks"):
        zoo.table(tree, "priors", at={"lat": 1})
    network = network_of(tree)
    assert sloped_covariate(network) == "lat"
    picture = treatment_slopes(tree, about_of(tree))
    assert "Each treatment’s odds ratio against A in the mean study at that lat" in picture.caption
    assert len(picture.figure(720).axes) == 3


def test_a_covariate_of_several_terms_has_no_place_in_a_table() -> None:
    tree = fit(formula="ev | trials(size) ~ drug + lat + sqrt(lat)")
    assert "the mean of sqrt(lat) over the studies" in " ".join(findings(tree)["network"].sentences)
    with pytest.raises(InputError, match="in one term: none; ask for comparisons"):
        zoo.table(tree, "league", at={"lat": 4})


def test_without_slopes_there_is_no_place_to_name() -> None:
    tree = fit()
    assert "slopes" not in findings(tree)["network"].tables and sloped_covariate(network_of(tree)) is None
    with pytest.raises(InputError, match="columns of numbers in one term: none"):
        zoo.table(tree, "league", at={"lat": 1})


def test_a_chain_of_comparisons_has_nothing_to_judge_consistency_by() -> None:
    frame = networked()
    frame = frame[frame.trial.isin(["N1", "N3", "N7", "N8"])]
    model = row_models.builder("network_meta_analysis")(
        frame, "ev | trials(size) ~ drug", study="trial", treatment="drug"
    )
    values = {
        v.name: np.full((1, 4, *(len(model.coords[d]) for d in model.named_vars_to_dims.get(v.name) or ())), 0.3)
        for v in model.free_RVs
    }
    words = findings(tree_of(model, values))["network"].sentences[-1]
    assert (
        words
        == "Each effect has one path of comparisons: nothing in these data can show that direct and indirect evidence disagree."
    )


def test_own_contrasts_stand_beside_what_is_expected_of_them() -> None:
    apart = studies_apart(fit())
    assert apart.labels[0] == "N1: B vs A" and len(apart.own) == 10 and apart.what == "contrasts of studies"
    frame = networked().set_index(["trial", "drug"])
    (y1, n1), (y0, n0) = ((frame.loc[("N1", k), "ev"] + 0.5, frame.loc[("N1", k), "size"] + 1) for k in "BA")
    assert apart.own[0] == pytest.approx(np.log(y1 / (n1 - y1)) - np.log(y0 / (n0 - y0)))


def test_the_pictures_say_what_they_show() -> None:

    catalogue = Catalogue(fit("lower"))
    net, forest = catalogue.picture("network"), catalogue.picture("forest")
    assert "4 treatments in 8 studies, 6 of 6 pairs compared: A and drug B 3 comparisons" in net.alt
    assert "2 studies of more than two treatments have a line for each pair" in net.caption
    assert "drug B" in forest.alt and "Each treatment against A, the reference." in forest.caption
    for picture in (net, forest):
        for width in (720, 343):
            assert picture.figure(width) is not None


def test_a_league_table_is_a_table_of_a_paper() -> None:
    made = zoo.table(fit(), "league")
    assert isinstance(made.data, pd.DataFrame) and len(made.data) == 6
    assert "row against column" in str(made)
    meta = tree_of(
        model := row_models.builder("meta_analysis")(networked().query("trial in ('N1', 'N8')"), "ev | trials(size) ~ drug", study="trial", treatment="drug", control="A"),
        {v.name: np.full((1, 4, *(len(model.coords[d]) for d in model.named_vars_to_dims.get(v.name) or ())), 0.3) for v in model.free_RVs},
    )  # fmt: skip
    with pytest.raises(InputError, match="a league table is of a network_meta_analysis"):
        zoo.table(meta, "league")
