"""What a report says of a stepped-wedge trial."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo.results import storage
from glmm_zoo.results.findings import wedge_effects

DRAW = ("chain", "draw")
RNG = np.random.default_rng(4)
SD = {name: RNG.lognormal(-0.5, 0.5, (2, 25)) for name in ("cluster", "cluster:period", "subject")}
SIGMA = RNG.lognormal(0.0, 0.3, (2, 25))
EFFECT = RNG.normal(np.array([-0.1, 0.5, 1.4]), 0.4, (2, 25, 3))
MAP = {"clusters": ["a", "b"], "periods": ["0", "1"], "treated": [["0", "1"], ["0", ""]], "rows": [[4, 5], [6, 0]]}


def made_up(link: str, factors: tuple[str, ...], times: bool = False, rho: bool = False, **facts: Any) -> xr.DataTree:
    """Two chains of 25 draws of a trial that has effects of these factors."""
    data = {f"sd_{g}": ((*DRAW, f"{g}_effect"), np.stack([SD[g], 9 + SD[g]], -1)) for g in factors}
    data["effect"] = ((*DRAW, "exposure_time"), EFFECT) if times else (DRAW, EFFECT[..., 0])
    if link == "identity":
        data["sigma"] = (DRAW, SIGMA)
    if rho:
        data["rho"] = (DRAW, 1 / (1 + SIGMA))
    coords = {
        **{f"{g}_effect": ["Intercept", "treat"] for g in factors},
        **({"exposure_time": [1, 2, 3]} if times else {}),
    }
    known = {
        "cluster": "cluster", "cell": "cluster:period", "subject": "subject", "correlation": "exchangeable",
        "predictor": "period", "exposure_time": "categorical" if times else "constant", "longest_exposure": 3, "map": MAP,
    }  # fmt: skip
    groups = {g: {"sd": f"sd_{g}", "effects": ["Intercept", "treat"], "effect_dim": f"{g}_effect"} for g in factors}
    spec = {
        "link": link, "latent_variance": np.pi**2 / 3 if link == "logit" else None, "facts": known | facts, "groups": groups,
        "aspects": ["wedge_effects"],
    }  # fmt: skip
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(data, coords)})
    storage.write_metadata(tree, {"spec": spec})
    return tree


def short_fit(model: Any) -> Any:
    return zoo.fit(model, draws=60, tune=60, chains=2, seed=1, progress=False)


def test_report_of_a_cohort_has_icc_and_autocorrelations(tmp_path):
    frame = zoo.simulate_design(
        clusters=8, periods=4, size=4, family="gaussian", sd_cluster=1.0, sd_subject=1.0, seed=5
    )
    tree = short_fit(
        zoo.stepped_wedge(frame, "y ~ 1", family="gaussian", correlation="nested_exchangeable", subject="subject")
    )
    zoo.save(tree, tmp_path / "fit.nc")
    loaded = zoo.load(tmp_path / "fit.nc")
    finding = zoo.findings(loaded)["wedge_effects"]
    p = loaded["posterior"].dataset
    C, B, S = (
        p[f"sd_{g}"].sel({f"{g}_effect": "Intercept"}).values ** 2 for g in ("cluster", "cluster:period", "subject")
    )
    v = p["sigma"].values ** 2
    expected = {
        "icc_within_period": (C + B) / (C + B + S + v), "icc_between_period": C / (C + B + S + v), "cac": C / (C + B), "iac": S / (S + v)
    }  # fmt: skip
    assert finding.quantities.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(finding.quantities[name], values)
    assert set(expected) <= set(zoo.summary(loaded).index)
    assert finding.tables["design"].loc["1"].tolist() == ["0", "1", "1", "1"]
    assert finding.tables["rows"].loc["1"].tolist() == [4, 4, 4, 4]
    stored = loaded["report/wedge_effects/design"].dataset.to_dataframe()
    assert stored.loc["1"].tolist() == ["0", "1", "1", "1"]


def test_report_of_effects_by_exposure_time_has_their_average_and_the_last():
    frame = zoo.simulate_design(clusters=8, periods=4, size=20, effect=(0.2, 0.5, 1.0), sd_cluster=0.4, seed=6)
    tree = short_fit(zoo.stepped_wedge(frame, "y | trials(n) ~ 1", exposure_time="monotone", correlation="decay"))
    finding, effect = zoo.findings(tree)["wedge_effects"], tree["posterior"]["effect"]
    average = effect.mean("exposure_time").values
    np.testing.assert_allclose(finding.quantities["time_averaged_effect"], average)
    np.testing.assert_allclose(finding.quantities["odds_ratio[time_averaged_effect]"], np.exp(average))
    assert "long_term_effect" not in finding.quantities  # a parameter of this model
    summary = zoo.summary(tree)
    assert {"effect[1]", "odds_ratio[effect[3]]", "odds_ratio[long_term_effect]", "rho", "icc_within_period"} <= set(
        summary.index
    )
    np.testing.assert_allclose(summary.loc["effect[3]", "mean"], summary.loc["long_term_effect", "mean"])
    assert finding.tables["effects"].index[0] == "effect[1]" and "rho" in finding.tables["correlation"].index
    assert "Time-averaged effect" in finding.sentences[1]


C, B, S = (SD[name] ** 2 for name in ("cluster", "cluster:period", "subject"))
V, LOGISTIC = SIGMA**2, np.pi**2 / 3
NESTED = {"correlation": "nested_exchangeable"}
CORRELATIONS = {  # link, factors, facts: each by the formulas of Hooper et al. (2016)
    "exchangeable": ("logit", ("cluster",), {}, {"icc_within_period": C / (C + LOGISTIC)}),
    "decay": ("logit", ("cluster:period",), {}, {"icc_within_period": B / (B + LOGISTIC)}),
    "nested": (
        "logit", ("cluster", "cluster:period"), NESTED,
        {"icc_within_period": (C + B) / (C + B + LOGISTIC), "icc_between_period": C / (C + B + LOGISTIC), "cac": C / (C + B)},
    ),
    "cohort": (
        "identity", ("cluster", "subject"), {}, {"icc_within_period": C / (C + S + V), "iac": S / (S + V)},
    ),
    "nested cohort": (
        "identity", ("cluster", "cluster:period", "subject"), NESTED,
        {"icc_within_period": (C + B) / (C + B + S + V), "icc_between_period": C / (C + B + S + V), "cac": C / (C + B),
         "iac": S / (S + V)},
    ),
    "counts": ("log", ("cluster", "cluster:period"), NESTED, {"cac": C / (C + B)}),
    "counts of a cohort": ("log", ("cluster", "subject"), {}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("link", "factors", "facts", "expected"), CORRELATIONS.values(), ids=CORRELATIONS)
def test_correlations_of_every_design_by_hand(link, factors, facts, expected):
    finding = wedge_effects.find(made_up(link, factors, **facts), 0.9)
    found = {name: draws for name, draws in finding.quantities.items() if name in wedge_effects.MEANINGS}
    assert found.keys() == expected.keys()
    for name, draws in expected.items():
        np.testing.assert_allclose(found[name], draws)
        np.testing.assert_allclose(finding.tables["correlation"].loc[name], np.quantile(draws, [0.5, 0.05, 0.95]))


def test_icc_is_the_correlation_of_two_individuals():
    """Same cluster and period, same cluster in two periods, and the same individual in a period of its own cluster's mean."""
    rng, n = np.random.default_rng(2), 400_000
    c, b, s, v = (float(np.sqrt(x[0, 0])) for x in (C, B, S, V))
    cluster, here, there, one, two = rng.normal(size=(5, n)) * np.array([c, b, b, s, s])[:, None]

    def seen(cell: np.ndarray, subject: np.ndarray) -> np.ndarray:
        return cluster + cell + subject + v * rng.normal(size=n)

    found = wedge_effects.find(made_up("identity", tuple(SD), **NESTED), 0.9).quantities
    within = np.corrcoef(seen(here, one), seen(here, two))[0, 1]
    between = np.corrcoef(seen(here, one), seen(there, two))[0, 1]
    stays = np.corrcoef(*(one + v * rng.normal(size=(2, n))))[0, 1]
    for name, expected in (("icc_within_period", within), ("icc_between_period", between), ("iac", stays)):
        assert found[name][0, 0] == pytest.approx(expected, abs=0.006)
    assert found["cac"][0, 0] == pytest.approx(between / within, abs=0.02)


@pytest.mark.parametrize(("link", "ratio"), [("logit", "odds_ratio"), ("log", "rate_ratio"), ("identity", None)])
@pytest.mark.parametrize(("prob", "tail", "words"), [(0.9, 0.05, "90\u00a0%"), (0.95, 0.025, "95\u00a0%")])
def test_effects_ratios_and_their_sentence(link, ratio, prob, tail, words):
    def said(draws: np.ndarray) -> str:
        low, middle, high = np.quantile(draws, [tail, 0.5, 1 - tail])
        return f"{middle:.2f} ({low:.2f} to {high:.2f})".replace("-", "−")

    for times, name, draws in ((False, "effect", EFFECT[..., 0]), (True, "time_averaged_effect", EFFECT.mean(-1))):
        finding = wedge_effects.find(made_up(link, ("cluster",), times), prob)
        np.testing.assert_allclose(
            finding.tables["effects"].loc[name], np.quantile(draws, [0.5, tail, 1 - tail]), rtol=1e-12
        )
        scale = f" on the {link} scale, {ratio.replace('_', ' ')} {said(np.exp(draws))}" if ratio else ""
        title = "Time-averaged effect" if times else "Effect"
        expected = f"{title} {said(draws)}{scale} (median, {words} interval), at equal effects of clusters."
        assert finding.sentences[1] == expected
        if ratio:
            np.testing.assert_allclose(finding.quantities[f"{ratio}[{name}]"], np.exp(draws))
        else:
            assert not any("ratio" in q for q in finding.quantities)
        assert any("may mislead" in sentence for sentence in finding.sentences) != times
    effects = {f"effect[{k + 1}]": EFFECT[..., k] for k in range(3)} | {"long_term_effect": EFFECT[..., 2]}
    for name, draws in effects.items():
        assert finding.tables["effects"].loc[name, "median"] == pytest.approx(np.median(draws))
    np.testing.assert_allclose(finding.quantities["long_term_effect"], EFFECT[..., 2])


def test_one_period_of_exposure_has_no_average_that_could_mislead():
    for longest, warned in ((1, False), (2, True)):
        sentences = wedge_effects.find(made_up("logit", ("cluster",), longest_exposure=longest), 0.95).sentences
        assert any(f"1 to {longest} periods of exposure" in s for s in sentences) == warned


def test_rho_and_the_map_are_shown_as_they_are():
    finding = wedge_effects.find(made_up("logit", ("cluster:period",), rho=True), 0.9)
    rho = np.quantile(1 / (1 + SIGMA), [0.5, 0.05, 0.95])
    np.testing.assert_allclose(finding.tables["correlation"].loc["rho"], rho)
    assert finding.tables["design"].loc["a"].tolist() == ["0", "1"] and finding.tables["design"].loc["b", "1"] == ""
    assert finding.tables["rows"].loc["b"].tolist() == [6, 0] and finding.tables["rows"].loc["a", "1"] == 5
