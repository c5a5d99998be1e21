"""Accuracy of risks predicted at a landmark: R, double loops, the limit without censoring, simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from glmm_zoo.errors import InputError
from glmm_zoo.joint.prediction.accuracy_measures import Accuracy, accuracy
from glmm_zoo.joint.risk_curves import StepCurve, aalen_johansen, kaplan_meier

I = np.arange(1, 61)  # noqa: E741
TIME, EVENT, RISK = 37 * I % 61 / 5, I % 3, 23 * I % 59 / 60
ESTIMATES = ("auc", "brier", "scaled", "observed", "ratio", "in_the_large")


def estimates(a: Accuracy) -> np.ndarray:
    """Value and standard error of each (6, 2)."""
    return np.array([(e.value, e.se) for e in (getattr(a, name) for name in ESTIMATES)])


def rough(seed: int, n: int = 80) -> tuple[np.ndarray, ...]:
    """Risks and times that tie, two causes, some at the landmark 2 and at the horizon 6."""
    rng = np.random.default_rng(seed)
    time, event = np.ceil(2 * rng.exponential(3, n)) / 2, rng.integers(0, 3, n)
    time[:8], event[:8] = (2, 2, 6, 6, 6, 6, 6, 6), (0, 1, 0, 0, 1, 1, 2, 2)
    return np.round(rng.uniform(size=n), 1), time, event


# ------------------------------------------------------------------------------------------------------ curves against R

# R 4.2.2, survival 3.5-3:
#   i <- 1:60; d <- data.frame(time = (37 * i) %% 61 / 5, event = i %% 3); tied <- transform(d, time = ceiling(time))
#   summary(survfit(Surv(time, event > 0) ~ 1, x, conf.type = "log-log"), times = c(2, 5, 9))
#   summary(survfit(Surv(time, factor(event)) ~ 1, x), times = c(2, 5, 9))[c("pstate", "std.err")]
SURVFIT = {
    "once": {
        "surv": [0.8794371602, 0.6949317869, 0.4017563985],
        "std.err": [0.04276580126, 0.06202732477, 0.07235172067],
        "lower": [0.7635510283, 0.5551274431, 0.2610812491],
        "upper": [0.9406521621, 0.7984781952, 0.5383587882],
        "pstate": [[0.05148704829, 0.14260650961, 0.32046293176], [0.06907579149, 0.16246170352, 0.27778066975]],
        "pstate se": [[0.02896149845, 0.04678750931, 0.06733830853], [0.03333997608, 0.04973303080, 0.06431188865]],
    },
    "tied": {
        "surv": [0.8824242424, 0.7008801616, 0.4060138701],
        "std.err": [0.04175859797, 0.06107271336, 0.07255015353],
        "lower": [0.7690784640, 0.5628841723, 0.2646439236],
        "upper": [0.9421525124, 0.8026692085, 0.5427183347],
        "pstate": [[0.0503030303, 0.1415260875, 0.3211863706], [0.06727272727, 0.15759375084, 0.27279975927]],
        "pstate se": [[0.02830652621, 0.04650089995, 0.06753153879], [0.03249147274, 0.04834340312, 0.06361928227]],
    },
}


def rows_at(curve: StepCurve, times: list[float]) -> np.ndarray:
    return np.searchsorted(curve.time, times, "right") - 1


@pytest.mark.parametrize("name", list(SURVFIT))
def test_curves_equal_survfit(name):
    r, time = SURVFIT[name], TIME if name == "once" else np.ceil(TIME)
    S = kaplan_meier(time, EVENT)
    np.testing.assert_allclose(S.at([2, 5, 9]), [r["surv"], r["lower"], r["upper"]], rtol=1e-9)
    np.testing.assert_allclose(S.se[rows_at(S, [2, 5, 9])], r["std.err"], rtol=1e-9)
    for cause in (1, 2):
        F = aalen_johansen(time, EVENT, cause)
        np.testing.assert_allclose(F.at([2, 5, 9])[0], r["pstate"][cause - 1], rtol=1e-9)
        np.testing.assert_allclose(F.se[rows_at(F, [2, 5, 9])], r["pstate se"][cause - 1], rtol=1e-9)


def test_counts_of_a_curve():
    S = kaplan_meier([1, 2, 2, 2, 3], [0, 1, 2, 0, 0])
    assert S.time.tolist() == [0, 1, 2, 3] and S.at_risk.tolist() == [5, 5, 4, 1]
    assert S.events.tolist() == [0, 0, 2, 0] and S.censored.tolist() == [0, 1, 1, 1]
    np.testing.assert_allclose(S.at([-1, 0, 1.9, 2, 3, 3.1])[0], [1, 1, 1, 0.5, 0.5, np.nan])
    assert np.isnan(S.at(1.0)[1:]).all()
    assert kaplan_meier([1, 2], [0, 1]).at(9)[0] == 0  # the last one died: known for ever


def test_one_cause_is_one_minus_kaplan_meier():
    _, time, event = rough(1)
    for T, d in ((time, event > 0), (TIME, np.ones(60))):
        S, F = kaplan_meier(T, d), aalen_johansen(T, d)
        np.testing.assert_allclose(F.value, 1 - S.value, atol=1e-14)
        np.testing.assert_allclose(F.se, S.se, atol=1e-7)
        inside = S.value > 0
        np.testing.assert_allclose(F.lower[inside], 1 - S.upper[inside], atol=1e-9)
        np.testing.assert_allclose(F.upper[inside], 1 - S.lower[inside], atol=1e-9)


def test_causes_and_survival_sum_to_one():
    _, time, event = rough(2)
    total = sum(aalen_johansen(time, event, k).value for k in (1, 2)) + kaplan_meier(time, event).value
    np.testing.assert_allclose(total, 1, rtol=1e-14)


# --------------------------------------------------------------------------------------------- accuracy against R and loops

# R, riskRegression 2022.11.28, with d as above and risk = (23 * i) %% 59 / 60; `single` has event == 1 only:
#   Score(list(m = x$risk), f, subset(x, time > 2), times = 7.1, cause = 1, summary = "ipa", conf.int = TRUE)
#   with f = Hist(time, event) ~ 1 or Surv(time, event) ~ 1. Its errors have n - 1 where ours have n; what remains,
#   1e-6 for the AUC and 1e-4 for the Brier score, is its: ours are the numerical derivatives below.
SCORE = {
    "competing": {
        "auc": (0.6749974353, 0.08033020539),
        "brier": (0.2447770506, 0.04619015841),
        "scaled": -0.5483425103,
    },
    "single": {"auc": (0.7387765374, 0.08668215401), "brier": (0.2364181834, 0.05446676523), "scaled": -0.3855701609},
}


@pytest.mark.parametrize("name", list(SCORE))
def test_equals_risk_regression(name):
    event = EVENT if name == "competing" else EVENT == 1
    a, r = accuracy(RISK, TIME, event, landmark=2, horizon=7.1), SCORE[name]
    assert a.at_risk == 50
    np.testing.assert_allclose((a.auc.value, a.brier.value), (r["auc"][0], r["brier"][0]), rtol=1e-9)
    np.testing.assert_allclose(a.scaled.value, r["scaled"], rtol=1e-9)
    np.testing.assert_allclose(a.auc.se * np.sqrt(50 / 49), r["auc"][1], rtol=1e-5)
    np.testing.assert_allclose(a.brier.se * np.sqrt(50 / 49), r["brier"][1], rtol=1e-4)


def by_loops(p, risk, time, event, landmark, horizon, completed=None) -> np.ndarray:
    """The estimates (6,) of subjects that count p times (n,), by their definitions and without sorting."""
    who = [i for i in range(len(time)) if time[i] > landmark]

    def not_censored(before: float) -> float:
        G = 1.0
        for u in {time[i] for i in who if time[i] < before}:
            gone = sum(p[i] for i in who if time[i] == u and event[i] == 0)
            G *= 1 - gone / sum(p[i] for i in who if time[i] > u or (time[i] == u and event[i] == 0)) if gone else 1
        return G

    cases, controls = {}, {}  # weights
    for i in who:
        if completed is not None:
            case = completed[i] if event[i] == 0 and time[i] < horizon else float(event[i] == 1 and time[i] <= horizon)
            cases[i], controls[i] = p[i] * case, p[i] * (1 - case)
        elif event[i] == 1 and time[i] <= horizon:
            cases[i] = p[i] / not_censored(time[i])
        elif event[i] > 0 or time[i] >= horizon:
            controls[i] = p[i] / not_censored(min(time[i], horizon))
    pairs = [(cases[i] * controls[j], risk[i], risk[j]) for i in cases for j in controls]
    auc = sum(w * ((a > b) + (a == b) / 2) for w, a, b in pairs) / sum(w for w, _, _ in pairs)
    total = sum(p[i] for i in who)
    observed = sum(cases.values()) / total
    brier = sum(w * (1 - risk[i]) ** 2 for i, w in cases.items()) + sum(w * risk[i] ** 2 for i, w in controls.items())
    null = sum(cases.values()) * (1 - observed) ** 2 + sum(controls.values()) * observed**2
    expected = sum(p[i] * risk[i] for i in who) / total
    return np.array([auc, brier / total, 1 - brier / null, observed, observed / expected, observed - expected])


@pytest.mark.parametrize("completed", [False, True])
@pytest.mark.parametrize("seed", [3, 4])
def test_equals_double_loops_and_numerical_derivatives(seed, completed):
    risk, time, event = rough(seed)
    pi = np.random.default_rng(seed).uniform(size=len(time)) if completed else None
    data = (risk, time, event, 2, 6, pi)
    value, se = estimates(accuracy(risk, time, event, landmark=2, horizon=6, completed=pi)).T
    np.testing.assert_allclose(value, by_loops(np.ones(len(time)), *data), rtol=1e-12)
    U, step = np.zeros((len(time), len(ESTIMATES))), 1e-4
    for j in range(len(time)):
        e = step * (np.arange(len(time)) == j)
        U[j] = (by_loops(1 + e, *data) - by_loops(1 - e, *data)) / (2 * step)
    np.testing.assert_allclose(se, np.sqrt((U**2).sum(axis=0)), rtol=1e-6)


def test_without_censoring_it_is_the_plain_auc_and_brier_score():
    risk, time, event = rough(5)
    event = np.maximum(event, 1)
    here = time > 2
    p, y = risk[here], ((event == 1) & (time <= 6))[here]
    a = accuracy(risk, time, event, landmark=2, horizon=6)
    rank = mannwhitneyu(p[y], p[~y]).statistic / (y.sum() * (~y).sum())
    assert a.auc.value == pytest.approx(rank, rel=1e-12)
    assert a.brier.value == pytest.approx(np.mean((y - p) ** 2), rel=1e-12)
    assert a.brier.se == pytest.approx(np.std((y - p) ** 2) / np.sqrt(len(p)), rel=1e-12)
    assert a.scaled.value == pytest.approx(1 - np.mean((y - p) ** 2) / np.var(y), rel=1e-12)
    assert (a.observed.value, a.expected) == pytest.approx((y.mean(), p.mean()))
    wins = (p[y][:, None] > p[~y]) + 0.5 * (p[y][:, None] == p[~y])  # DeLong, DeLong & Clarke-Pearson (1988)
    delong = wins.mean(axis=1).var() / y.sum() + wins.mean(axis=0).var() / (~y).sum()
    assert a.auc.se == pytest.approx(np.sqrt(delong), rel=1e-12)


@pytest.mark.parametrize("seed", [6, 7])
def test_observed_risk_is_aalen_johansen_with_its_error(seed):
    risk, time, event = rough(seed)
    here = time > 2
    for d in (event, event > 0):
        a, F = accuracy(risk, time, d, landmark=2, horizon=6), aalen_johansen(time[here], d[here])
        assert a.observed.value == pytest.approx(F.at(6)[0], rel=1e-12)
        assert a.observed.se == pytest.approx(F.se[rows_at(F, [6])[0]], rel=1e-9)


def test_subjects_out_of_the_question_do_not_matter():
    risk, time, event = rough(8)
    a = accuracy(risk, time, event, landmark=2, horizon=6)
    here = time > 2
    assert_same(a, accuracy(np.where(here, risk, np.nan), time, event, landmark=2, horizon=6))
    moved = accuracy(risk[here], time[here] - 2, event[here], landmark=0, horizon=4)
    assert_same(a, replace(moved, landmark=2, horizon=6))
    later = np.where(time > 6, time + 7, time), np.where(time > 6, 2, event)
    assert_same(a, accuracy(risk, *later, landmark=2, horizon=6))
    order = np.random.default_rng(0).permutation(len(time))
    assert_same(a, accuracy(risk[order], time[order], event[order], landmark=2, horizon=6))


def assert_same(a: Accuracy, b: Accuracy) -> None:
    np.testing.assert_allclose(estimates(a), estimates(b), rtol=1e-9)
    for one, other in zip(vars(a.calibration).values(), vars(b.calibration).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    counts = ("landmark", "horizon", "cause", "at_risk", "events", "competing", "censored")
    assert [getattr(a, c) for c in counts] == [getattr(b, c) for c in counts]


def test_causes_can_be_renamed_and_another_cause_is_no_censoring():
    risk, time, event = rough(9)
    a = accuracy(risk, time, event, landmark=2, horizon=6)
    swapped = accuracy(risk, time, np.array([0, 2, 1])[event], landmark=2, horizon=6, cause=2)
    assert_same(a, replace(swapped, cause=1))
    ignored = accuracy(risk, time, event == 1, landmark=2, horizon=6)
    assert ignored.observed.value > a.observed.value


def test_the_truth_about_the_censored_completes_the_data():
    risk, time, event = rough(10)
    lost = (time > 2) & (time < 6) & (event == 0)
    truth = np.where(lost, np.random.default_rng(1).integers(0, 2, len(time)), np.nan)
    known = accuracy(risk, np.where(truth == 0, 7.0, time), np.where(truth == 1, 1, event), landmark=2, horizon=6)
    assert_close = np.testing.assert_allclose
    assert_close(
        estimates(accuracy(risk, time, event, landmark=2, horizon=6, completed=truth)), estimates(known), rtol=1e-12
    )


# --------------------------------------------------------------------------------------------------------------- simulation


def follow(rng, n: int = 300) -> tuple[np.ndarray, ...]:
    """Two causes with rates a exp(x) and b, so that risks are known: x, event times, causes, censoring times.

    Two thirds of those who would be free of events at time 1 are censored before.
    """
    x = rng.normal(size=n)
    rate = np.stack([0.3 * np.exp(x), np.full(n, 0.3)])
    T = rng.exponential(1 / rate.sum(axis=0))
    return x, T, np.where(rng.uniform(size=n) < rate[0] / rate.sum(axis=0), 1, 2), rng.exponential(0.9, n)


def true_risk(x: np.ndarray, window: np.ndarray | float) -> np.ndarray:
    rate = 0.3 * np.exp(x)
    return rate / (rate + 0.3) * -np.expm1(-(rate + 0.3) * window)


def test_weighting_and_completing_are_unbiased_under_heavy_censoring():
    """300 replications: against the same subjects without censoring; leaving out the censored instead is seen."""
    rng, found = np.random.default_rng(11), []
    at = {"landmark": 0.0, "horizon": 1.0, "groups": 1}
    for _ in range(300):
        x, T, cause, C = follow(rng)
        risk = true_risk(x, 1.0) ** 0.8  # neither right nor useless
        time, event = np.minimum(T, C), np.where(T <= C, cause, 0)
        pi, known = true_risk(x, np.maximum(1 - time, 0)), (T <= C) | (time >= 1)
        found.append(
            [
                estimates(accuracy(risk, T, cause, **at)),
                estimates(accuracy(risk, time, event, **at)),
                estimates(accuracy(risk, time, event, completed=pi, **at)),
                estimates(accuracy(risk[known], time[known], event[known], **at)),
            ]
        )
    value, se = np.moveaxis(np.array(found), -1, 0)  # (replications, ways, estimates)
    z = [(d.mean(axis=0) / (d.std(axis=0) / np.sqrt(len(d)))) for d in (value[:, k] - value[:, 0] for k in (1, 2, 3))]
    auc_brier_observed = [0, 1, 3, 4, 5]  # the scaled score is a ratio with a bias of order 1 / n
    assert np.abs(z[0][auc_brier_observed]).max() < 3.5, z[0]
    assert np.abs(z[1][auc_brier_observed]).max() < 3.5, z[1]
    assert np.abs(z[2][[1, 3, 4, 5]]).min() > 10, z[2]
    ratio = se[:, 1].mean(axis=0) / value[:, 1].std(axis=0)
    assert np.all((ratio > 0.9) & (ratio < 1.1)), ratio
    covered = np.abs(value[:, 1] - value[:, 0].mean(axis=0)) < 1.96 * se[:, 1]
    assert np.all(covered.mean(axis=0) > 0.91), covered.mean(axis=0)


def test_calibration_table():
    rng = np.random.default_rng(12)
    x, T, cause, C = follow(rng, 4000)
    time, event = np.minimum(T, C), np.where(T <= C, cause, 0)
    risk = true_risk(x, 1.0)
    a = accuracy(risk, time, event, landmark=0, horizon=1)
    table = a.calibration
    assert len(table.predicted) == 10 and table.at_risk.tolist() == [400] * 10
    assert (table.events.sum(), table.censored.sum()) == (a.events, a.censored)
    assert np.all(np.diff(table.predicted) > 0) and table.predicted.mean() == pytest.approx(a.expected)
    assert np.sum((table.lower < table.predicted) & (table.predicted < table.upper)) >= 8
    top = np.argsort(risk)[-400:]
    np.testing.assert_allclose(
        [table.observed[-1], table.lower[-1], table.upper[-1]], aalen_johansen(time[top], event[top]).at(1.0)
    )
    assert a.ratio.lower < 1 < a.ratio.upper and a.in_the_large.lower < 0 < a.in_the_large.upper
    wrong = accuracy(risk / 2, time, event, landmark=0, horizon=1)
    assert wrong.ratio.lower > 1.8 and np.sum(wrong.calibration.lower > wrong.calibration.predicted) >= 9


def test_groups_are_fewer_with_few_subjects_ties_or_by_wish():
    def sizes(risk, **kwargs):
        return accuracy(risk, TIME, EVENT, landmark=2, horizon=7, **kwargs).calibration.at_risk.tolist()

    assert sizes(RISK) == [25, 25] and sizes(RISK, groups=1) == [50]
    assert sizes(np.full(60, 0.3)) == [50]
    low = I <= 30  # all censored before the horizon
    time, event = np.where(low, 3 + I / 10, I / 5), np.where(low, 0, I % 2)
    table = accuracy(np.where(low, I / 100, I / 60), time, event, landmark=2, horizon=7).calibration
    assert np.isnan(table.observed[0]) and np.isfinite(table.observed[1])
    risk, time, event = rough(13)
    table = accuracy(risk, time, event, landmark=2, horizon=6).calibration  # groups of unequal size
    low = (time > 2) & (risk <= np.quantile(risk[time > 2], 0.5))
    assert table.at_risk.tolist() == [low.sum(), ((time > 2) & ~low).sum()] and np.ptp(table.at_risk) > 0
    np.testing.assert_allclose(table.predicted, [risk[low].mean(), risk[(time > 2) & ~low].mean()])


# ------------------------------------------------------------------------------------------------------------------- errors

LATE = np.where((EVENT == 1) & (TIME > 2), 9.0, TIME)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"risk": RISK[:5]}, r"risk \(5,\), time \(60,\).*expected \(n,\) for each"),
        ({"completed": [0.5]}, r"completed \(1,\)"),
        ({"time": TIME[:, None]}, r"time \(60, 1\)"),
        ({"time": np.where(I == 3, -1, TIME)}, "time: got -1 in row 3; expected a number >= 0"),
        ({"time": np.where(I == 4, np.nan, TIME)}, "time: got nan in row 4"),
        ({"event": np.where(I == 2, 0.5, EVENT)}, "event: got 0.5 in row 2; expected 0 "),
        ({"event": np.where(I == 2, np.nan, EVENT)}, "event: got nan in row 2"),
        ({"event": np.where(I == 2, np.inf, EVENT)}, "event: got inf in row 2"),
        ({"horizon": 2}, "horizon must be after the landmark 2; got 2"),
        ({"horizon": np.nan}, "horizon must be after the landmark 2; got nan"),
        ({"landmark": 12, "horizon": 13}, "nobody is at risk after the landmark 12; times end at 12"),
        ({"horizon": 12.5}, "follow-up ends at 12, before the horizon 12.5"),
        ({"time": LATE}, r"none of 50 subjects at risk has an event of cause 1 in \(2, 7\]"),
        ({"cause": 3}, r"cause 3 in \(2, 7\]"),
        ({"event": np.where(TIME >= 7, 1, EVENT == 1), "time": np.minimum(TIME, 7)}, "no controls"),
        ({"risk": np.where(I == 1, 1.2, RISK)}, "risk: got 1.2 in row 1; expected a probability"),
        ({"risk": np.where(I == 1, np.nan, RISK)}, "risk: got nan in row 1"),
        ({"completed": np.full(60, -0.1)}, "completed: got -0.1 in rows 9, 12, 24"),
    ],
)
def test_errors(change, says):
    given = {"risk": RISK, "time": TIME, "event": EVENT, "landmark": 2, "horizon": 7, **change}
    with pytest.raises(InputError, match=says):
        accuracy(given.pop("risk"), given.pop("time"), given.pop("event"), **given)
