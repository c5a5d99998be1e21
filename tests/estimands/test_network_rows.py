"""Network meta-analyses: risks and effects against formulas written out here and integrals by SciPy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from hand_made_trees import tree_of
from rows import networked, networked_by_latitude
from scipy import integrate, stats
from scipy.special import expit, logit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.results.storage import metadata

DRAWS = 3
EFFECTS = {"A": None, "B": 0, "C": 1, "D": 2}


@cache
def network(
    draws: int = DRAWS, formula: str = "ev | trials(size) ~ drug", **options: Any
) -> tuple[xr.DataTree, dict[str, np.ndarray]]:
    """A hand-made posterior: `draws` different points, or one that is repeated."""
    model = row_models.builder("network_meta_analysis")(
        networked_by_latitude(), formula, study="trial", treatment="drug", reference="A", **options
    )
    rng = np.random.default_rng(4)
    found = {}
    for name in sorted({v.name for v in (*model.free_RVs, *model.deterministics)} - set(model.auxiliary)):
        shape = tuple(len(model.coords[d]) for d in model.named_vars_to_dims.get(name) or ())
        positive = name.startswith(("sd_", "tau"))
        found[name] = rng.uniform(0.3, 1.5, (1, DRAWS, *shape)) if positive else rng.normal(0, 0.5, (1, DRAWS, *shape))
        if draws != DRAWS:
            found[name] = np.repeat(found[name][:, :1], draws, axis=1)
    return tree_of(model, found), found


def drawn(estimates: zoo.Estimates, **where: object) -> np.ndarray:
    """Draws (S, estimates) of the rows of the table that are of this."""
    chosen = np.logical_and.reduce(
        [np.ones(len(estimates.table), bool), *(estimates.table[k] == v for k, v in where.items())]
    )
    values = estimates.draws["value"].values
    return values.reshape(-1, values.shape[-1])[:, chosen]


def effect(p: dict[str, np.ndarray], s: int, drug: str) -> float:
    return 0.0 if drug == "A" else float(p["effect"][0, s, EFFECTS[drug]])


def mean_risk(eta: float, sd: float) -> float:
    return integrate.quad(lambda z: expit(eta + sd * z) * stats.norm.pdf(z), -12, 12, epsabs=1e-13)[0]


@pytest.mark.parametrize("baseline", ["fixed", "random"])
@pytest.mark.parametrize("trt_effects", ["fixed", "random"])
def test_arms_have_the_risks_of_their_own_studies(baseline: str, trt_effects: str) -> None:
    tree, p = network(baseline=baseline, trt_effects=trt_effects)
    found = drawn(zoo.predictions(tree, groups="observed"))
    frame, trials = networked(), sorted(networked().trial.unique())
    base = frame.groupby("trial").drug.min()
    places = [str(v) for v in tree["posterior"].dataset.get("trial:drug", xr.DataArray([])).values]
    for s in range(DRAWS):
        for k, (trial, drug) in enumerate(zip(frame.trial, frame.drug, strict=True)):
            i, first = trials.index(trial), base[trial]
            if baseline == "fixed":
                eta = p["study_Intercept"][0, s, i]
            else:
                eta = p["Intercept"][0, s] + p["u_trial"][0, s, i, 0] + effect(p, s, first)
            if drug != first and trt_effects == "random":
                eta += p["study_effect"][0, s, places.index(f"{trial}:{drug}")]
            elif drug != first:
                eta += effect(p, s, drug) - effect(p, s, first)
            assert found[s, k] == pytest.approx(expit(eta), rel=1e-9)


@pytest.mark.parametrize("baseline", ["fixed", "random"])
def test_absolute_effects_at_a_risk_under_the_reference(baseline: str) -> None:
    tree, p = network(baseline=baseline)
    at = {"drug": ["A", "C"], "baseline": [0.1, 0.4]}
    population, typical = (zoo.predictions(tree, at=at, by=True, groups=g) for g in ("population", "typical"))
    for s in range(DRAWS):
        for b in (0.1, 0.4):
            eta = logit(b) + effect(p, s, "C")
            assert drawn(population, drug="A", baseline=b)[s, 0] == pytest.approx(b, rel=1e-9)
            assert drawn(typical, drug="C", baseline=b)[s, 0] == pytest.approx(expit(eta), rel=1e-9)
            assert drawn(population, drug="C", baseline=b)[s, 0] == pytest.approx(
                mean_risk(eta, p["tau"][0, s]), rel=1e-7
            )


def test_pairs_are_compared_in_the_mean_study_and_in_each_study() -> None:
    tree, p = network()
    asked: dict[str, Any] = {"contrast": "pairwise", "measures": "odds_ratio", "at": {"baseline": 0.2}}
    mean = zoo.comparisons(tree, "drug", groups="typical", **asked)
    own = zoo.comparisons(tree, "drug", groups="observed", by="trial", **asked)
    places = [str(v) for v in tree["posterior"].dataset["trial:drug"].values]
    for s in range(DRAWS):
        ratio = np.exp(effect(p, s, "D") - effect(p, s, "B"))
        assert drawn(mean, contrast="D vs B")[s, 0] == pytest.approx(ratio, rel=1e-8)
        delta = p["study_effect"][0, s]
        within = np.exp(delta[places.index("N5:D")] - delta[places.index("N5:C")])
        assert drawn(own, contrast="D vs C", trial="N5")[s, 0] == pytest.approx(within, rel=1e-8)


def test_a_treatment_that_a_study_did_not_have_is_drawn_given_those_that_it_had() -> None:
    """D in N3, which had B and C: its W are exchangeable, Normal(0, tau^2 / 2), and contrasts with B those that are known."""
    tree, p = network(4000)
    predicted = zoo.predictions(tree, at={"drug": "D"}, by="trial", groups="observed", draws=4000)
    eta = logit(drawn(predicted, trial="N3")[:, 0])
    places = [str(v) for v in tree["posterior"].dataset["trial:drug"].values]
    w = p["study_effect"][0, 0, places.index("N3:C")] - (effect(p, 0, "C") - effect(p, 0, "B"))
    tau, known = p["tau"][0, 0], np.array([[1.0, 0.5], [0.5, 1.0]])  # correlation of contrasts with B: of C and D
    mean = known[1, 0] * w
    sd = tau * np.sqrt(known[1, 1] - known[1, 0] ** 2)
    mean += p["study_Intercept"][0, 0, 2] + effect(p, 0, "D") - effect(p, 0, "B")
    assert eta.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(4000))
    assert eta.std() == pytest.approx(sd, rel=0.05)


def sloped(**options: Any) -> tuple[xr.DataTree, dict[str, np.ndarray]]:
    return network(formula="ev | trials(size) ~ drug + lat", baseline_regression=True, **options)


def slopes_at(p: dict[str, np.ndarray], s: int, drug: str, lat: float, level: float, independent: bool) -> float:
    """D of a drug where latitude and log odds under A are so far from their middles."""
    if drug == "A":
        return 0.0
    k = EFFECTS[drug]
    b = p["beta"][0, s]
    return effect(p, s, drug) + (b[k] * lat + b[3 + k] * level if independent else b[0] * lat + b[1] * level)


@pytest.mark.parametrize("interactions", ["common", "independent"])
def test_effects_change_with_covariates_and_the_risk_under_the_reference(interactions: str) -> None:
    tree, p = sloped(interactions=interactions)
    middle = metadata(tree)["spec"]["facts"]["reference_level"]
    lat = networked_by_latitude().groupby("trial").lat.first()
    asked: dict[str, Any] = {"at": {"lat": 4.0, "baseline": 0.2}}
    typical = drawn(zoo.predictions(tree, at={**asked["at"], "drug": "C"}, by=True, groups="typical"))
    compared = zoo.comparisons(tree, "drug", contrast="pairwise", measures="odds_ratio", groups="typical", **asked)
    league = zoo.table(tree, "league", at=asked["at"]).data.set_index("pair")
    own = drawn(zoo.predictions(tree, groups="observed"))
    frame, places = networked_by_latitude(), [str(v) for v in tree["posterior"].dataset["trial:drug"].values]
    base = frame.groupby("trial").drug.min()
    ratios = []
    for s in range(DRAWS):
        there = {
            d: slopes_at(p, s, d, 4.0 - lat.mean(), logit(0.2) - middle, interactions == "independent") for d in "ABCD"
        }
        assert typical[s, 0] == pytest.approx(expit(logit(0.2) + there["C"]), rel=1e-9)
        ratios.append(np.exp(there["D"] - there["B"]))
        assert drawn(compared, contrast="D vs B")[s, 0] == pytest.approx(ratios[-1], rel=1e-8)
        for k, (trial, drug) in enumerate(zip(frame.trial, frame.drug, strict=True)):
            mu = p["study_Intercept"][0, s, list(lat.index).index(trial)]
            first = slopes_at(p, s, base[trial], lat[trial] - lat.mean(), mu - middle, interactions == "independent")
            delta = 0.0 if drug == base[trial] else p["study_effect"][0, s, places.index(f"{trial}:{drug}")]
            assert own[s, k] == pytest.approx(expit(mu + first + delta), rel=1e-9)
    assert league.loc["D vs B", "median"] == pytest.approx(np.median(ratios), rel=1e-9)


def test_levels_of_the_reference_without_regression_over_them() -> None:
    """A in N3, which had B and C: at N3's own latitude."""
    tree, p = network(4000, formula="ev | trials(size) ~ drug + lat")
    eta = logit(
        drawn(zoo.predictions(tree, at={"drug": "A"}, by="trial", groups="observed", draws=4000), trial="N3")[:, 0]
    )
    lat = networked_by_latitude().groupby("trial").lat.first()
    places = [str(v) for v in tree["posterior"].dataset["trial:drug"].values]
    w = p["study_effect"][0, 0, places.index("N3:C")] - (effect(p, 0, "C") - effect(p, 0, "B"))
    of_b = effect(p, 0, "B") + p["beta"][0, 0, 0] * (lat["N3"] - lat.mean())
    mean = p["study_Intercept"][0, 0, 2] - of_b + w / 2
    sd = p["tau"][0, 0] * np.sqrt(0.75)
    assert eta.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(4000))
    assert eta.std() == pytest.approx(sd, rel=0.05)


def test_unrelated_mean_effects_are_of_compared_pairs_alone() -> None:
    tree, p = network(consistency="ume")
    observed = drawn(zoo.predictions(tree, groups="observed"))
    places = [str(v) for v in tree["posterior"].dataset["trial:drug"].values]
    k = int(np.flatnonzero((networked().trial == "N5") & (networked().drug == "D"))[0])
    eta = p["study_Intercept"][0, :, 4] + p["study_effect"][0, :, places.index("N5:D")]
    np.testing.assert_allclose(observed[:, k], expit(eta), rtol=1e-9)
    with pytest.raises(InputError, match="'A' was compared with 'B', the baseline of trial 'N3', in no study"):
        zoo.predictions(tree, at={"drug": "A"})
    assert zoo.predictions(tree, pd.DataFrame({"trial": ["N5"], "drug": ["D"]})) is not None


def test_a_new_study_needs_a_risk_under_the_reference() -> None:
    tree, _ = network()
    new = pd.DataFrame({"drug": ["B"], "trial": ["N99"]})
    with pytest.raises(InputError, match=r"trial 'N99' \(row 1\) was not in the data of the fit"):
        zoo.predictions(tree, new)
    assert zoo.predictions(tree, new, at={"baseline": 0.1}) is not None
