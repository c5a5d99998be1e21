"""What a report says of a stepped-wedge trial."""

from __future__ import annotations

from typing import Any

import numpy as np

import glmm_zoo as zoo


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
