"""Times to events that calibration draws into tables, against SciPy's distributions at the truth; joint models among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.interpolate import BSpline

import glmm_zoo as zoo
from glmm_zoo.calibration.calibrate import calibrate
from glmm_zoo.calibration.data_sets import DrawnDataSet, draw_data_set
from glmm_zoo.calibration.event_data import seen, write_events
from glmm_zoo.errors import InputError
from glmm_zoo.families.event_times import RowsFollowed, follow_up, read_event_time
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.results.storage import stored_table
from glmm_zoo.tables.frames import take_columns_with_gaps

PRIORS = {"beta": "Normal(0, 0.3)", "sd": "HalfNormal(0.3)", "Intercept": "Normal(0, 0.3)"}
pytestmark = pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")


def patients() -> pd.DataFrame:
    """Late entries, censoring, what stands for death in words, and causes of it."""
    rng, n = np.random.default_rng(4), 60
    d = pd.DataFrame({"x": rng.normal(size=n), "g": np.repeat(list("abcdef"), 10), "entry": rng.uniform(0, 0.5, n)})
    d["years"] = d.entry + np.minimum(rng.exponential(1 + 0.2 * d.x.abs()), rng.uniform(0.5, 3, n))
    d["state"] = np.where(rng.uniform(size=n) < 0.7, "dead", "alive")
    return d.assign(
        cause=lambda d: np.where(d.state == "dead", np.where(rng.uniform(size=n) < 0.5, "heart", "other"), "alive")
    )


def drawn_sets(model: Any, n: int) -> list[DrawnDataSet]:
    return [found for seed in range(2 * n) if (found := draw_data_set(model, seed)) is not None][:n]


def values(found: DrawnDataSet) -> Any:
    return found.truth["posterior"].dataset.isel(chain=0, draw=0)


def predictor(p: Any, d: pd.DataFrame) -> np.ndarray:
    return (
        p["Intercept"].item() + p["beta"].values[0] * d["x"] + p["u_g"].sel(g=d["g"].values).values[:, 0]
    ).to_numpy()


def cumulative_h0(p: Any, learnt: dict) -> Callable[[Any], np.ndarray]:
    """H0(t) by hand, with what the design's own data said of knots, unit and centre."""
    kind, fine = learnt["baseline"], np.linspace(0, learnt["horizon"], 20001)
    if kind == "exponential":
        return lambda t: t
    if kind == "weibull":
        return lambda t: learnt["unit"] * (t / learnt["unit"]) ** p["shape"].item()
    if kind == "piecewise":
        ratio = np.append(0.0, p["log_h0_ratio"].values)
        log_h0 = ratio[np.searchsorted(learnt["cuts"], fine)] - ratio @ learnt["centre"]
    else:
        knots = learnt["origin"] + (learnt["horizon"] - learnt["origin"]) / 9 * np.arange(-2, 12)
        walk = np.linalg.pinv(np.diff(np.eye(11), 2, axis=0)) @ p["h0_steps"].values / np.sqrt(p["h0_precision"].item())
        weights = p["h0_trend"].item() * np.linspace(-1, 1, 11) + walk
        log_h0 = BSpline(knots, weights, 2)(np.clip(fine, learnt["origin"], None)) - weights @ learnt["centre"]
    H = np.append(0.0, np.cumsum((np.exp(log_h0)[1:] + np.exp(log_h0)[:-1]) / 2 * np.diff(fine)))
    return lambda t: np.interp(t, fine, H)


@pytest.mark.parametrize(
    ("options", "response"),
    [
        ({"distribution": "weibull"}, "Surv(years, state)"),
        ({"distribution": "lognormal"}, "Surv(entry, years, state == 'dead')"),
        ({"baseline": "exponential"}, "Surv(years, state)"),
        ({"baseline": "weibull"}, "Surv(entry, years, state)"),
        ({"baseline": "piecewise", "cuts": 2}, "Surv(years, state)"),
        ({}, "Surv(entry, years, state)"),
    ],
)
def test_times_are_drawn_from_entry_to_the_end_of_follow_up(options: dict, response: str) -> None:
    """Events less the cumulative hazards until the ends of the rows, by SciPy at the truth, are a martingale: 0 but for chance."""
    d = patients()
    priors = PRIORS | ({} if options else {"h0_trend": "Normal(0, 0.7)"})
    model = zoo.survival(d, f"{response} ~ x + (1 | g)", priors=priors, **options)
    learnt = model.spec["facts"]["event_times"]
    until, events, hazards = np.where(d["state"] == "dead", d["years"].max(), d["years"]), 0, 0.0
    for found in drawn_sets(model, 4):
        assert found.model.spec["facts"]["event_times"] == learnt
        table, p = stored_table(found.truth), values(found)
        dead = (table["state"] == "dead").to_numpy()
        assert (table["years"] <= until).all() and (dead == (table["years"] < until)).all()
        eta = predictor(p, d)
        if "baseline" in learnt:
            H0, ratio = cumulative_h0(p, learnt), np.exp(eta)
        else:
            weibull = options["distribution"] == "weibull"
            law = (
                stats.weibull_min(p["shape"].item(), scale=np.exp(eta))
                if weibull
                else stats.lognorm(p["sigma"].item(), scale=np.exp(eta))
            )
            H0, ratio = lambda t, law=law: -law.logsf(t), 1.0
        entry = table.get("entry", np.zeros(len(d)))
        assert (table["years"] > entry).all()
        events += dead.sum()
        hazards += (ratio * (H0(table["years"]) - H0(entry))).sum()
    assert 70 < events < 220 and abs(events - hazards) < 4 * np.sqrt(hazards)


def test_each_cause_comes_as_its_hazard_has_it() -> None:
    """Hazards of two shapes, so that one cause comes early and the other late: each a martingale."""
    d = patients()
    priors = PRIORS | {"heart_shape": "LogNormal(-0.7, 0.1)", "other_shape": "LogNormal(0.9, 0.1)"}
    model = zoo.survival(
        d, "Surv(years, cause) ~ x + (1 | g)", baseline="weibull", censored="alive", causes=["heart", "other"],
        priors={k if k[0] in "ho" or k == "sd" else f"{c}_{k}": v for c in ("heart", "other") for k, v in priors.items()},
    )  # fmt: skip
    learnt, left, variance = model.spec["facts"]["event_times"]["causes"], np.zeros(4), np.zeros(4)
    for found in drawn_sets(model, 4):
        table, p = stored_table(found.truth), values(found)
        t = table["years"].to_numpy()
        for k, cause in enumerate(("heart", "other")):
            eta = p[f"{cause}_Intercept"].item() + p[f"{cause}_beta"].values[0] * d["x"].to_numpy()
            eta = eta + p[f"{cause}_u_g"].sel(g=d["g"].values).values[:, 0]
            H = np.exp(eta) * learnt[cause]["unit"] * (t / learnt[cause]["unit"]) ** p[f"{cause}_shape"].item()
            came = (table["cause"] == cause).to_numpy()
            for j, x in enumerate((np.ones(len(t)), t < 0.5)):
                left[2 * j + k] += (
                    (x * (came - H)).sum()
                    if not j
                    else (came & (t < 0.5)).sum()
                    - np.exp(eta)
                    @ (
                        learnt[cause]["unit"]
                        * (np.minimum(t, 0.5) / learnt[cause]["unit"]) ** p[f"{cause}_shape"].item()
                    )
                )
                variance[2 * j + k] += H.sum()
    assert (np.abs(left) < 4 * np.sqrt(variance)).all()


# each row: what the data say of it, when the event comes, and what is seen of it: left, stop, status
SEEN = {
    "interval2": [
        ((1, 2, 1), 0.5, (0, 1, 1)), ((1, 2, 1), 1.5, (1, 2, 1)), ((1, 2, 1), 2.5, (2, 2, 0)), ((0, 2, 1), 0.1, (0, 2, 1)),
        ((3, 3, 0), 2.9, (0, 3, 1)), ((3, 3, 0), 3.1, (3, 3, 0)), ((1, 1, 1), 1.7, (1.7, 1.7, 1)), ((1, 1, 1), 9.0, (3, 3, 0)),
    ],
    "left": [((0, 2, 1), 1.0, (0, 2, 1)), ((0, 2, 1), 2.5, (2.5, 2.5, 1)), ((1, 1, 1), 7.0, (7, 7, 1))],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["interval2", "interval", "left"])
def test_what_is_seen_of_a_time_stands_in_the_table(kind: str) -> None:
    """The columns are read again as what is seen."""
    rows = SEEN.get(kind, SEEN["interval2"])
    (left, stop, status), times, expected = (np.array(x, float).T for x in zip(*rows, strict=True))
    surv = {
        "interval2": "Surv(low, high, type='interval2')", "interval": "Surv(low, high, code, type='interval')",
        "left": "Surv(high, code, type='left')",
    }[kind]  # fmt: skip
    response = parse_formula(f"{surv} ~ 1").response
    assert response is not None and response.event is not None
    table = pd.DataFrame({"low": left, "high": stop, "code": 1})
    now = seen(response.event, RowsFollowed(0 * left, left, stop, status), times, np.ones(len(times), int))
    np.testing.assert_array_equal([now.left, now.stop, now.status], expected)
    write_events(table, response.event, now, now)
    again = follow_up(read_event_time(take_columns_with_gaps(table, list(response.event.columns)), response, None))
    here = again.status > 0
    np.testing.assert_array_equal([again.stop, again.status], expected[1:])
    np.testing.assert_array_equal(again.left[here], expected[0][here])


def test_intervals_hold_the_events_that_are_expected() -> None:
    d = patients().assign(low=lambda d: 0.6 * d.years, high=lambda d: d.years.where(d.state == "dead"))
    model = zoo.survival(d, "Surv(low, high, type='interval2') ~ x + (1 | g)", baseline="exponential", priors=PRIORS)
    counts, expected, n = np.zeros(2), np.zeros(2), 0
    for found in drawn_sets(model, 4):
        table, rate = stored_table(found.truth), np.exp(predictor(values(found), d))
        n += len(table)
        counts += [table["low"].isna().sum(), table["high"].isna().sum()]
        last = d["high"].fillna(d["low"])
        expected += [-np.expm1(-rate * d["low"]).sum(), np.exp(-rate * last).sum()]
    assert (np.abs(counts - expected) < 4 * np.sqrt(n / 4)).all() and (counts > 40).all()


# ---------------------------------------------------------------------------------------------------------- joint models


def followed(n: int, late: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visits at 0, 0.5, ... since entry; every second subject died in the data, every second entered at `late`."""
    rng, k = np.random.default_rng(3), np.arange(n)
    entry = np.where(k % 2, late, 0.0)
    events = pd.DataFrame(
        {"id": k, "entry": entry, "years": entry + rng.uniform(1, 4, n), "death": k % 4 < 2, "w": rng.normal(size=n)}
    )
    visits = pd.DataFrame(
        [(i, entry[i] + t) for i in k for t in (0.0, 0.5, 1.0, 1.5) if entry[i] + t < events.years[i]],
        columns=["id", "time"],
    )
    return visits.assign(y=rng.normal(size=len(visits))), events


def joint(tables: tuple[pd.DataFrame, pd.DataFrame], event: str, **options: Any) -> Any:
    of_w = {"surv_beta": "Normal(0, 0.3)"} if "~ w" in event else {}
    priors = {"surv_Intercept": "Normal(-0.5, 0.2)", **of_w, **options.pop("priors", {})}
    return zoo.joint_survival(*tables, "y ~ time + (1 | id)", event=event, center=False, priors=priors, **options)


def of_subjects(found: DrawnDataSet) -> tuple[pd.DataFrame, np.ndarray, Any]:
    """The rows of the event by subject, the subjects' effects, and the parameters."""
    p = values(found)
    events = stored_table(found.truth, "event_row").sort_values("id")
    return (
        events,
        p["u_id"].to_pandas()["Intercept"].set_axis(p["id"].values.astype(int)).loc[events["id"]].to_numpy(),
        p,
    )


def uniform_until(cdf: Callable[[np.ndarray], np.ndarray], events: pd.DataFrame, was: pd.DataFrame) -> np.ndarray:
    """F at the events given that they come between entry and the end of follow-up: uniform."""
    until = np.where(was["death"], was["years"].max(), was["years"])
    low, high, at = cdf(was["entry"].to_numpy()), cdf(until), cdf(events["years"].to_numpy())
    dead = events["death"].to_numpy(bool)
    assert np.array_equal(dead, events["years"] < until)
    return ((at - low) / (high - low))[dead]


def test_times_are_those_of_a_growing_marker() -> None:
    """h = lambda e^(alpha (a + b t)) is that of SciPy's Gompertz distribution; visits end with the event."""
    tables = followed(300)
    model = joint(tables, "Surv(years, death) ~ w", baseline="exponential")
    fixed = {"beta": np.array([0.8]), "assoc": np.array([0.9]), "sd_id": np.array([0.7])}
    found = draw_data_set(model, 1, fixed)
    assert found is not None
    events, u, p = of_subjects(found)
    a = 0.9 * 0.8
    rate = np.exp(
        p["surv_Intercept"].item() + p["surv_beta"].values[0] * events["w"] + 0.9 * (p["Intercept"].item() + u)
    )
    law = stats.gompertz(rate / a, scale=1 / a)
    assert stats.kstest(uniform_until(law.cdf, events, tables[1]), "uniform").pvalue > 0.01
    visits, end = stored_table(found.truth), events.set_index("id")["years"]
    assert (visits["time"] <= visits["id"].map(end)).all() and 0 < len(visits) < len(tables[0])
    kept = tables[0][tables[0]["time"] <= tables[0]["id"].map(end)]
    assert len(kept) == len(visits)


def test_who_entered_late_survived_until_then() -> None:
    """Weibull times given the effect, from the entry on; effects of late entrants have the density phi(u) S(entry | u) / E S."""
    tables = followed(400, late=1.2)
    model = joint(tables, "Surv(entry, years, death) ~ 1", baseline="weibull", association="shared_effects")
    fixed = {
        "assoc": np.array([1.5]),
        "sd_id": np.array([1.0]),
        "surv_Intercept": np.array(0.0),
        "weibull_shape": np.array(1.4),
    }
    found = draw_data_set(model, 2, fixed)
    assert found is not None
    events, u, _ = of_subjects(found)
    law = stats.weibull_min(1.4, scale=np.exp(-1.5 * u / 1.4))
    assert stats.kstest(uniform_until(law.cdf, events, tables[1]), "uniform").pvalue > 0.01
    grid = np.linspace(-6, 6, 4001)
    density = np.exp(-(grid**2) / 2 - np.exp(1.5 * grid) * 1.2**1.4)
    cdf = lambda x: np.interp(x, grid, np.cumsum(density) / density.sum())  # noqa: E731
    late = events["entry"].to_numpy() > 0
    assert stats.kstest(u[late], cdf).pvalue > 0.01 and stats.kstest(u[~late], stats.norm.cdf).pvalue > 0.01
    assert stats.kstest(u[late], stats.norm.cdf).pvalue < 1e-6  # that of all would be seen


def test_causes_and_events_that_come_again() -> None:
    """Constant hazards: numbers against time at risk times the rate."""
    visits, events = followed(150)
    events["cause"] = np.where(events["death"], np.where(events.id % 8 < 4, "heart", "other"), "alive")
    rates = {"surv_Intercept[heart]": "Normal(-1.5, 0.2)", "surv_Intercept[other]": "Normal(-0.2, 0.2)"}
    model = zoo.joint_survival(
        visits, events, "y ~ time + (1 | id)", event="Surv(years, cause) ~ 1", baseline="exponential", censored="alive",
        association="shared_effects", center=False, priors={**rates, "assoc": "Normal(0, 0.3)", "sd": "HalfNormal(0.5)"},
    )  # fmt: skip
    for found in drawn_sets(model, 2):
        rows, u, p = of_subjects(found)
        for cause in ("heart", "other"):
            rate = np.exp(p["surv_Intercept"].sel(cause=cause).item() + p["assoc"].sel(cause=cause).item() * u)
            H = (rate * rows["years"]).sum()
            assert abs((rows["cause"] == cause).sum() - H) < 4 * np.sqrt(H)
    model = joint((visits, events), "Surv(entry, years, death) ~ w + (1 | id)", baseline="exponential", recurrent=True)
    fixed = {"assoc": np.array([0.0]), "frailty_sd": np.array(0.6), "surv_Intercept": np.array(0.3)}
    found = draw_data_set(model, 4, fixed)
    assert found is not None
    rows, p = stored_table(found.truth, "event_row"), values(found)
    frailty = p["frailty"].to_pandas()["Intercept"].set_axis(p["id"].values.astype(int)).loc[rows["id"]].to_numpy()
    H = (np.exp(0.3 + frailty + p["surv_beta"].values[0] * rows["w"]) * (rows["years"] - rows["entry"])).sum()
    assert abs(rows["death"].sum() - H) < 4 * np.sqrt(H) and rows["death"].sum() > 150
    np.testing.assert_allclose(rows.groupby("id")["years"].max(), events["years"])  # an event ends no follow-up


def test_who_loses_all_visits_comes_last_with_the_effect_that_was_drawn() -> None:
    visits, events = followed(40)
    visits["time"] = visits["time"] + 0.4
    visits = visits[visits["time"] < visits["id"].map(events["years"])]
    model = joint(
        (visits, events),
        "Surv(years, death) ~ 1",
        baseline="exponential",
        priors={"surv_Intercept": "Normal(0.3, 0.1)"},
    )
    found = drawn_sets(model, 1)[0]
    names = list(found.model.coords["id"])
    measured = set(stored_table(found.truth)["id"].astype(str))
    assert 0 < len(measured) < 40 and names != list(model.coords["id"]) and set(names[: len(measured)]) == measured
    assert list(found.truth["posterior"].dataset["id"].values) == names


def test_what_cannot_be_drawn_is_refused() -> None:
    d = patients()
    with pytest.raises(InputError, match=r"'years\*365' is none"):
        calibrate(zoo.survival(d, "Surv(years * 365, state) ~ x", distribution="weibull"), 1)
    visits, events = followed(20)
    with pytest.raises(InputError, match="center=False"):
        calibrate(zoo.joint_survival(visits, events, "y ~ time + (1 | id)", event="Surv(years, death) ~ 1"), 1)
    with pytest.raises(InputError, match="all have one"):
        calibrate(joint((visits, events.assign(death=1)), "Surv(years, death) ~ 1", baseline="exponential"), 1)


def test_a_baseline_is_that_of_another_fit() -> None:
    d, later = patients(), patients().assign(years=lambda d: d.entry + 0.9 * (d.years - d.entry))
    formula = "Surv(entry, years, state) ~ x"
    learnt = zoo.survival(d, formula).spec["facts"]["event_times"]
    assert zoo.survival(later, formula).spec["facts"]["event_times"] != learnt
    assert zoo.survival(later, formula, cuts=learnt).spec["facts"]["event_times"] == learnt
    for cuts, said in (
        (learnt | {"baseline": "piecewise"}, "of baseline='piecewise'"),
        ({"x": 1}, "with 'baseline', 'cuts'"),
    ):
        with pytest.raises(InputError, match=said):
            zoo.survival(later, formula, cuts=cuts)


@pytest.mark.slow
def test_a_joint_model_is_calibrated() -> None:
    model = joint(
        followed(24, late=0.6), "Surv(entry, years, death) ~ w", baseline="weibull",
        priors={"Intercept": "Normal(0, 1)", "beta": "Normal(0, 0.5)", "sd": "HalfNormal(1)", "sigma": "HalfNormal(1)",
                "assoc": "Normal(0, 0.7)", "weibull_shape": "LogNormal(0, 0.4)"},
    )  # fmt: skip
    found = calibrate(model, 40, draws=150, tune=250, chains=2, cores=1)
    assert len(found.ranks) == 40 and "assoc[value]" in found.ranks and found.calibrated, found.sentence
