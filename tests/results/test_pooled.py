"""What a report says of a meta-analysis: pooled and new-trial ratios, each study, absolute effects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from rows import arms
from scipy import stats
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.report import terminal
from glmm_zoo.results import storage
from glmm_zoo.results.findings import pooled

TRIAL = {"study": "trial", "treatment": "drug"}
COUNTS = "ev | trials(size) ~ drug"
BCG = "events | trials(n) ~ treat"


@pytest.fixture(scope="module")
def bcg() -> pd.DataFrame:
    return pd.read_csv(Path(__file__).parents[2] / "models" / "bcg" / "data.csv")


def tree_of(effect, tau, model) -> xr.DataTree:
    """A fit of these draws (chain, draw), in which every study has the pooled effect."""
    effect, tau = np.atleast_2d(effect), np.atleast_2d(tau)
    dims = ("chain", "draw")
    levels = list(model.coords["trial"])
    each = np.repeat(effect[..., None], len(levels), axis=-1)
    data = {"effect": (dims, effect), "tau": (dims, tau), "study_effect": ((*dims, "trial"), each)}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(data, {"trial": levels})})
    storage.write_metadata(tree, {"spec": model.spec, "sampling": {"seed": 5}})
    return tree


def test_studies_own_odds_ratios_are_those_of_two_by_two_tables(bcg):
    model = zoo.meta_analysis(bcg, BCG, study="trial")
    table = pooled.find(tree_of(np.zeros((1, 9)), np.ones((1, 9)), model), 0.95).tables["studies"]
    assert list(table.index) == [str(k) for k in range(1, 14)]
    first = table.loc["1"]
    log_or, error = np.log(4 * 128 / (119 * 11)), 1.959964 * np.sqrt(1 / 4 + 1 / 119 + 1 / 11 + 1 / 128)
    assert (first["treated"], first["control"]) == ("4/123", "11/139")
    np.testing.assert_allclose(
        np.log(first[["own", "own lower", "own upper"]].astype(float)), log_or + np.array([0, -error, error]), rtol=1e-6
    )


def test_studies_with_an_empty_or_full_arm_have_no_ratio_of_their_own():
    frame = arms().assign(ev=lambda d: np.where(d.index == 1, d["size"], d.ev))  # the treated arm of T1 is full
    draws = np.random.default_rng(1).normal(size=(2, 50))
    risks = pooled.find(tree_of(draws, np.ones((2, 50)), zoo.meta_analysis(frame, COUNTS, **TRIAL)), 0.95)
    rates = pooled.find(
        tree_of(draws, np.ones((2, 50)), zoo.meta_analysis(frame, "ev ~ drug", exposure="years", **TRIAL)), 0.95
    )
    for finding, blank in ((risks, ["T1", "T3"]), (rates, ["T3"])):
        table = finding.tables["studies"]
        assert list(table.index[table["own"].isna()]) == blank
        np.testing.assert_allclose(table["median"].astype(float), np.exp(np.median(draws)), rtol=0.05)
    own = rates.tables["studies"].loc["T1"]
    one, two = frame.iloc[0], frame.iloc[1]
    assert own["own"] == pytest.approx((two.ev / two.years) / (one.ev / one.years))
    error = 1.959964 * np.sqrt(1 / two.ev + 1 / one.ev)
    assert own["own upper"] / own["own"] == pytest.approx(np.exp(error), rel=1e-6)
    assert {"rate_ratio", "rate_ratio_new", "rate_difference"} == set(rates.quantities)


def test_prediction_interval_is_that_of_the_normal_and_follows_the_seed():
    model = zoo.meta_analysis(arms(), COUNTS, **TRIAL)
    tree = tree_of(np.full((4, 20_000), -0.5), np.full((4, 20_000), 0.3), model)
    one, again = (pooled.find(tree, 0.9) for _ in range(2))
    new = np.log(one.quantities["odds_ratio_new"])
    assert np.array_equal(new, np.log(again.quantities["odds_ratio_new"]))
    assert stats.kstest(new.ravel(), stats.norm(-0.5, 0.3).cdf).pvalue > 0.001
    low, high = one.tables["pooled"].loc["odds ratio in a new trial", ["lower", "upper"]]
    np.testing.assert_allclose(np.log([low, high]), stats.norm(-0.5, 0.3).interval(0.9), atol=0.01)
    share = stats.norm(-0.5, 0.3).cdf(0)
    told = float(one.sentences[0].split("below 1 with probability ")[1].split(",")[0])
    assert told == pytest.approx(share, abs=0.004) and "fewer events with '1' than with '0'" in one.sentences[0]


def test_new_trials_are_drawn_anew_in_every_chain_draw_and_seed():
    model = zoo.meta_analysis(arms(), COUNTS, **TRIAL)
    tree, other = (tree_of(np.full((3, 40), -0.5), np.ones((3, 40)), model) for _ in range(2))
    storage.write_metadata(other, {"spec": model.spec, "sampling": {"seed": 6}})
    new, of_other = (pooled.find(t, 0.9).quantities["odds_ratio_new"] for t in (tree, other))
    assert len(np.unique([new, of_other])) == new.size + of_other.size


@pytest.mark.parametrize(("prob", "tail"), [(0.9, 0.05), (0.95, 0.025)])
@pytest.mark.parametrize("exposure", [None, "years"])
def test_every_study_has_its_own_draws_and_intervals(prob, tail, exposure):
    frame, rng = arms(), np.random.default_rng(7)
    model = zoo.meta_analysis(frame, "ev ~ drug" if exposure else COUNTS, exposure=exposure, **TRIAL)
    effect = rng.normal(-0.5, 0.4, (2, 60))
    tree = tree_of(effect, np.full((2, 60), 0.3), model)
    k = tree["posterior"].sizes["trial"]
    each = rng.normal(np.linspace(-1, 1, k), 0.3, (2, 60, k))
    tree["posterior"] = xr.DataTree(
        tree["posterior"].to_dataset().assign(study_effect=(("chain", "draw", "trial"), each))
    )
    finding = pooled.find(tree, prob)
    table = finding.tables["studies"]
    np.testing.assert_allclose(
        table[["median", "lower", "upper"]].astype(float),
        np.quantile(np.exp(each), [0.5, tail, 1 - tail], axis=(0, 1)).T,
    )
    one, two = frame.iloc[0], frame.iloc[1]
    assert (one.drug, two.drug) == (0, 1) and table.loc["T1", "treated"].startswith(f"{two.ev:g}/")
    squares = 1 / one.ev + 1 / two.ev
    squares += 0 if exposure else 1 / (one["size"] - one.ev) + 1 / (two["size"] - two.ev)
    width = stats.norm.isf(tail) * np.sqrt(squares)
    np.testing.assert_allclose(np.log(table.loc["T1", "own upper"] / table.loc["T1", "own"]), width)
    np.testing.assert_allclose(np.log(table.loc["T1", "own"] / table.loc["T1", "own lower"]), width)
    words = "rate ratio" if exposure else "odds ratio"
    expected = np.quantile(np.exp(effect), [0.5, tail, 1 - tail])
    np.testing.assert_allclose(finding.tables["pooled"].loc[f"pooled {words}"].astype(float), expected)
    np.testing.assert_allclose(finding.quantities[words.replace(" ", "_")], np.exp(effect))
    below = f"the pooled one with probability {(effect < 0).mean():.2f}: fewer events with '1' than with '0'."
    assert finding.sentences[0].endswith(below)


@pytest.mark.parametrize(("exposure", "sign"), [(None, -1), (None, 1), ("years", -1)])
def test_absolute_sentences_say_medians_and_intervals(exposure, sign):
    """Of risks and of rates, fewer events and more."""
    model = zoo.meta_analysis(
        arms(), "ev ~ drug" if exposure else COUNTS, exposure=exposure, baseline_risk=0.2, **TRIAL
    )
    effect = sign * np.random.default_rng(3).uniform(0.5, 1.5, (4, 50))
    finding = pooled.find(tree_of(effect, np.ones((4, 50)), model), 0.8)
    p1 = 0.2 * np.exp(effect) if exposure else 0.25 * np.exp(effect) / (1 + 0.25 * np.exp(effect))
    low, middle, high = np.quantile(p1 - 0.2, [0.1, 0.5, 0.9])
    amount = "rate" if exposure else "risk"
    unit = " per unit of years" if exposure else ""
    first, rest = ("0.200", f"{middle:.3f}, {low:.3f} to {high:.3f}")
    if not exposure:
        first = "20.0\u00a0%"
        rest = f"{100 * middle:.1f} percentage points, {100 * low:.1f} to {100 * high:.1f}"
    assert finding.sentences[1] == (
        f"At a {amount} of {first}{unit} without treatment (as given) the {amount} difference is "
        f"{rest} (80\u00a0%).".replace("-", "−")
    )
    np.testing.assert_allclose(
        finding.tables["absolute"].loc[f"{amount} with treatment"], np.quantile(p1, [0.5, 0.1, 0.9])
    )
    np.testing.assert_allclose(finding.quantities[f"{amount}_difference"], p1 - 0.2)
    if exposure:
        assert len(finding.sentences) == 2 and "nnt" not in finding.quantities
        return
    fewest, most = sorted(1 / abs(np.array([low, high])))
    nnt = finding.tables["absolute"].loc["number needed to treat"]
    np.testing.assert_allclose(nnt.astype(float), [1 / abs(middle), fewest, most])
    assert finding.sentences[2] == (
        f"One event {'fewer' if sign < 0 else 'more'} for every {1 / abs(middle):.0f} treated "
        f"({fewest:.0f} to {most:.0f})."
    )


def test_a_new_trial_differs_by_the_tau_of_its_own_draw():
    model = zoo.meta_analysis(arms(), COUNTS, **TRIAL)
    tau = np.tile([0.0, 0.5, 2.0], (2, 6000))
    new = np.log(pooled.find(tree_of(np.full(tau.shape, -0.5), tau, model), 0.9).quantities["odds_ratio_new"])
    for s in (0.0, 0.5, 2.0):
        at = new[tau == s]
        assert at.mean() == pytest.approx(-0.5, abs=0.05 * s + 1e-12) and at.std() == pytest.approx(s, rel=0.03)


def test_absolute_effect_at_a_stated_and_at_the_crude_risk():
    frame = arms()
    crude = frame[frame.drug == 0].ev.sum() / frame[frame.drug == 0]["size"].sum()
    for risk, words in ((0.2, "as given"), (None, "the crude one of all control arms")):
        model = zoo.meta_analysis(frame, COUNTS, baseline_risk=risk, **TRIAL)
        finding = pooled.find(tree_of(np.linspace(-1.2, -0.8, 101), np.ones(101), model), 0.95)
        p0 = risk or crude
        p1 = expit(np.log(p0 / (1 - p0)) + np.linspace(-1.2, -0.8, 101))
        np.testing.assert_allclose(finding.quantities["risk_difference"][0], p1 - p0, rtol=1e-12)
        np.testing.assert_allclose(finding.quantities["nnt"][0], 1 / (p0 - p1), rtol=1e-12)
        assert words in finding.sentences[1] and "One event fewer for every" in finding.sentences[2]
        nnt = finding.tables["absolute"].loc["number needed to treat"]
        assert nnt["median"] == pytest.approx(1 / (p0 - np.median(p1))) and nnt["lower"] < nnt["median"] < nnt["upper"]


def test_nnt_of_an_interval_around_zero_runs_through_infinity():
    model = zoo.meta_analysis(arms(), COUNTS, baseline_risk=0.2, **TRIAL)
    effect = np.linspace(-0.5, 0.1, 1001)
    finding = pooled.find(tree_of(effect, np.ones(1001), model), 0.95)
    assert "nnt" not in finding.quantities and "number needed to treat" not in finding.tables["absolute"].index
    low, high = np.quantile(expit(np.log(0.25) + effect) - 0.2, [0.025, 0.975])
    assert f"{-1 / low:.0f} or more for one to have no event (NNTB)" in finding.sentences[2]
    assert f"to {1 / high:.0f} or more for one to have one (NNTH)" in finding.sentences[2]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (np.zeros(101), "infinite"),
        (np.append(np.zeros(41), np.full(60, -1.0)), "9 or more for one to have no event (NNTB)"),
        (np.append(np.zeros(41), np.full(60, 1.0)), "5 or more for one to have one (NNTH)"),
    ],
    ids=["no effect", "none or fewer events", "none or more events"],
)
def test_a_limit_of_zero_is_an_infinite_number_needed_to_treat(effect, words):
    """Odds of 1 in 4 times 1 / e are a risk lower by 0.1158, times e one higher by 0.2046."""
    model = zoo.meta_analysis(arms(), COUNTS, baseline_risk=0.2, **TRIAL)
    finding = pooled.find(tree_of(effect, np.zeros(101), model), 0.9)
    assert finding.sentences[2] == f"That includes 0: the number needed to treat is {words}."
    assert "nnt" not in finding.quantities and "number needed to treat" not in finding.tables["absolute"].index


@pytest.mark.filterwarnings("error")
def test_a_single_draw_of_zero_has_a_number_needed_to_treat():
    model = zoo.meta_analysis(arms(), COUNTS, baseline_risk=0.2, **TRIAL)
    finding = pooled.find(tree_of(np.append(0.0, np.full(100, -1.0)), np.zeros(101), model), 0.9)
    nnt = finding.quantities["nnt"][0]
    assert 1e15 < nnt[0] < np.inf and finding.sentences[2] == "One event fewer for every 9 treated (9 to 9)."


@pytest.mark.filterwarnings("ignore:column 'drug' separates:glmm_zoo.ZooWarning")
def test_without_events_under_control_there_is_no_crude_risk():
    frame = arms().assign(ev=lambda d: d.ev * d.drug)
    finding = pooled.find(tree_of(np.zeros(9), np.ones(9), zoo.meta_analysis(frame, COUNTS, **TRIAL)), 0.95)
    assert "risk_difference" not in finding.quantities and "baseline_risk= gives" in finding.sentences[-1]


@pytest.fixture(scope="module")
def fitted(bcg) -> xr.DataTree:
    model = zoo.meta_analysis(bcg, f"{BCG} + ablat", study="trial")
    return zoo.fit(model, draws=300, tune=400, chains=2, seed=2, progress=False)


def test_a_fit_reaches_summary_file_and_reports(fitted, tmp_path):
    loaded = zoo.load(zoo.save(fitted, tmp_path / "fit.nc"))
    found, p = zoo.summary(loaded), fitted["posterior"].dataset
    pd.testing.assert_frame_equal(found, zoo.summary(fitted))
    assert found.loc["odds_ratio", "mean"] == pytest.approx(np.exp(p["effect"].values).mean())
    assert {"odds_ratio[ablat]", "odds_ratio_new", "risk_difference", "study_effect[8]"} <= set(found.index)
    assert found.loc["effect", "mean"] == pytest.approx(-0.76, abs=0.1)  # Dias et al., TSD 3: -0.763
    assert found.loc["beta[ablat]", "mean"] == pytest.approx(-0.032, abs=0.006)
    here = zoo.findings(fitted)["pooled"]
    assert here.sentences == zoo.findings(loaded)["pooled"].sentences
    assert json.loads(loaded["report/pooled"].attrs["sentences"]) == list(here.sentences)
    assert loaded["report/pooled/studies"].dataset.sizes["study"] == 13
    lines = "\n".join(str(line) for line in terminal.full_report(loaded))
    html = zoo.write_report(loaded, tmp_path / "fit.html").read_text()
    assert here.sentences[0] in lines and "odds ratio in a new trial" in html and "4/123" in html
