"""Pictures of joint survival models: what is drawn are the numbers that were given, and Kaplan-Meier as worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
from checked_pictures import checked, circles, segments, words

from glmm_zoo.joint.prediction.accuracy_measures import accuracy
from glmm_zoo.joint.risk_curves import kaplan_meier
from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates, summarised
from glmm_zoo.results.figures.hazard import ObservedEnds, hazard
from glmm_zoo.results.figures.landmark import landmark
from glmm_zoo.results.figures.marker_hazard import MarkerAxis, MarkerRisks, level_series, marker_hazard
from glmm_zoo.results.figures.patients import PatientCourse, patients
from glmm_zoo.results.figures.picture import BANDS, NARROW, WIDE
from glmm_zoo.results.figures.survival_curves import survival_curves

ABOUT = About(
    event="death", time_unit="years", individual="patient", names={"arm": "drug"}, levels={"arm": {"a": "active"}}
)
PLAIN = About()


def estimates(of: dict, middle: np.ndarray, spread: float = 0.1, seed: int = 0) -> Estimates:
    """Estimates whose draws are a middle (n,) times log-normal noise."""
    noise = np.random.default_rng(seed).normal(0, spread, (2, 100, len(middle)))
    return summarised(pd.DataFrame(of), middle * np.exp(noise), "")


def quantiles(found: Estimates) -> np.ndarray:
    draws = found.draws["value"].values
    return np.quantile(draws.reshape(-1, draws.shape[-1]), BANDS, axis=0)


def lines(axis) -> list[np.ndarray]:
    """The solid curves of an axis, y only."""
    return [
        np.asarray(x.get_ydata(), float) for x in axis.lines if x.get_linestyle() == "-" and x.get_marker() == "None"
    ]


def test_a_hazard_has_its_medians_in_round_units_and_who_was_followed() -> None:
    times = np.linspace(0.5, 10, 20)
    of = {"line": np.repeat(["1 mg/dl", "5 mg/dl"], 20), "time": np.tile(times, 2), "measure": "hazard"}
    curves = estimates(of, np.repeat([0.01, 0.05], 20))
    followed = ObservedEnds(np.zeros(4), np.array([1.0, 3, 6, 10]), np.array([1, 0, 1, 0]))
    for about in (ABOUT, PLAIN):
        picture = hazard(curves, followed, "At the mean of age.", about)
        figures = checked(picture)
        axis = figures[WIDE].axes[0]
        for y, q in zip(lines(axis), np.split(quantiles(curves)[2], 2), strict=True):
            np.testing.assert_allclose(y, 100 * q)
        seen = words(figures[WIDE])
        np.testing.assert_allclose(axis.get_xticks(), np.arange(0, 11, 2))
        counts = [a.get_text() for a in axis.texts if a.get_text().isdecimal()]
        assert counts == ["4", "3", "2", "1", "1", "0"]  # after 1, 3, 6 and 10
        assert "1 mg/dl" in seen and "At the mean of age." in picture.caption
    assert "per 100 patient-years" in hazard(curves, followed, "", ABOUT).alt
    once = estimates({"line": [""] * 20, "time": times, "measure": "hazard"}, np.full(20, 3.0))
    assert "Events per unit of time" in hazard(once, followed, "", PLAIN).alt


def test_survival_stands_beside_kaplan_meier_by_hand() -> None:
    """Ends at 1 (event), 2 (censored), 3 (event), 4 (censored): 3/4 after 1, then 3/4 1/2 after 3."""
    times = np.linspace(1, 4, 4)
    of = {"arm": np.repeat(["p", "a"], 4), "time": np.tile(times, 2), "measure": "survival"}
    curves = estimates(of, np.repeat([0.6, 0.4], 4), 0.02)
    observed = {"p": kaplan_meier([1, 2, 3, 4], [1, 0, 1, 0]), "a": kaplan_meier([2, 2, 4], [0, 1, 0])}
    picture = survival_curves(curves, "arm", observed, ABOUT, "100 draws.")
    figures = checked(picture)
    axis = figures[WIDE].axes[0]
    steps = [x for x in axis.lines if x.get_drawstyle() == "steps-post"]
    np.testing.assert_allclose(
        np.asarray(steps[0].get_xydata()), [(0, 1), (1, 0.75), (2, 0.75), (3, 0.375), (4, 0.375), (4, 0.375)]
    )
    np.testing.assert_allclose(np.asarray(steps[1].get_xydata()), [(0, 1), (2, 2 / 3), (4, 2 / 3), (4, 2 / 3)])
    drawn = [y for y in lines(axis) if len(y) == 5]
    np.testing.assert_allclose(drawn, np.column_stack([[1, 1], np.split(quantiles(curves)[2], 2)]))
    counts = [a.get_text() for a in axis.texts if a.get_text().isdecimal()]
    assert counts == [*"444332211", *"333331111"]  # just before 0, 0.5, ..., 4
    assert "active" in words(figures[NARROW]) and "observed 37.5 %" in picture.alt.replace("\u00a0", " ")
    everybody = summarised(curves.table.iloc[:4][["time", "measure"]], curves.draws["value"].values[..., :4], "")
    checked(survival_curves(everybody, "", {"": observed["p"]}, PLAIN))


def test_a_marker_has_its_ratios_the_step_and_the_risks() -> None:
    x = np.geomspace(0.5, 20, 30)
    axis_of = MarkerAxis("bilirubin", "mg/dl", True, np.geomspace(0.4, 25, 500), 1.0)
    ratios = estimates({"line": "", "marker": x, "measure": "ratio"}, x**1.2)
    step = estimates({"line": [""], "step": ["twice as high"], "measure": ["ratio"]}, np.array([2.4]))
    of_risks = estimates({"marker": [1.0, 2, 5], "measure": "risk"}, np.array([0.01, 0.03, 0.1]))
    risks = MarkerRisks(of_risks, "Death within a year, from 5 years", "on placebo")
    picture = marker_hazard(ratios, axis_of, step, ABOUT, risks)
    figures = checked(picture)
    first, second = figures[WIDE].axes
    np.testing.assert_allclose(lines(first)[0], quantiles(ratios)[2])
    np.testing.assert_allclose(circles(second)[:, 0], quantiles(of_risks)[2])
    np.testing.assert_allclose(segments(second, 1.8)[:, :, 0], quantiles(of_risks)[[0, 4]].T)
    median = float(np.median(step.draws["value"]))
    assert f"twice as high: × {median:.2f}" in words(figures[WIDE]) and f"× {median:.2f}" in picture.alt
    linear = MarkerAxis("pressure", "", False, np.linspace(-3, 4, 50), 0.5)
    x = np.linspace(-3, 4, 20)
    several = {"line": np.repeat(["dead", "moved"], 20), "marker": np.tile(x, 2), "measure": "ratio"}
    steps = estimates({"line": ["dead", "moved"], "step": "2 more", "measure": "ratio"}, np.array([1.3, 0.8]))
    picture = marker_hazard(estimates(several, np.exp(np.outer([0.3, -0.2], x - 0.5)).ravel()), linear, steps, PLAIN)
    assert {"dead", "moved"} <= set(words(checked(picture)[NARROW])) and "one standard deviation" in picture.caption


def test_the_series_of_levels_is_1_2_5() -> None:
    np.testing.assert_allclose(level_series(0.2, 20), [0.2, 0.5, 1, 2, 5, 10, 20])


def test_patients_have_their_measurements_courses_and_ends() -> None:
    times = np.linspace(0, 10, 21)
    alive = np.where(times >= 5, np.exp(-0.1 * (times - 5)), np.nan)
    courses = [
        PatientCourse(
            name, word, np.array([0.0, 2, 6]), level * np.array([1.0, 1.2, 1.5]), times,
            level * np.exp(np.array([[-0.2], [0], [0.2]]) + 0.05 * times), np.stack([0.8 * alive, alive, 0.5 + alive / 2]), end, event,
        )
        for name, word, level, end, event in (("7", "low", 0.5, 8.0, False), ("9", "middle", 1.0, 12.0, False), ("3", "high", 5.0, 7.0, True))
    ]  # fmt: skip
    for log, about in ((True, ABOUT), (False, PLAIN)):
        picture = patients(courses, 5.0, "bilirubin, mg/dl", log, about, "100 draws.")
        figures = checked(picture)
        for i, course in enumerate(courses):
            upper, lower = figures[WIDE].axes[i], figures[WIDE].axes[i + 3]
            np.testing.assert_allclose(circles(upper), np.column_stack([course.visits, course.values]))
            np.testing.assert_allclose(lines(lower)[0], alive[times >= 5])
            assert (circles(lower, "X") if course.event else circles(lower))[0, 0] == min(course.end, 10)
            assert figures[NARROW].axes[2 * i].get_xlim() == (0, 10)
    assert "3 (high) 60.7 % (48.5 % to 80.3 %), event at time 7" in picture.alt.replace("\u00a0", " ")


def test_a_landmark_has_calibration_and_auc() -> None:
    rng = np.random.default_rng(3)
    risk = rng.uniform(0.05, 0.9, 200)
    end = 5 + rng.exponential(3 / risk)
    found = [accuracy(risk, np.minimum(end, 14), end <= 14, landmark=5.0, horizon=h) for h in (7.0, 9.0)]
    for about in (ABOUT, PLAIN):
        picture = landmark(found, about, "Of others.")
        first, second = checked(picture)[WIDE].axes
        groups = found[-1].calibration
        np.testing.assert_allclose(circles(first), np.column_stack([groups.predicted, groups.observed]))
        np.testing.assert_allclose(circles(second), [(a.horizon, a.auc.value) for a in found])
        np.testing.assert_allclose(
            segments(second, 1.8)[:, :, 1], np.clip([(a.auc.lower, a.auc.upper) for a in found], 0, 1)
        )
    assert f"AUC {found[-1].auc.value:.2f}" in picture.alt
