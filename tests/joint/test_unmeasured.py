"""Subjects with an event and no measurement inform the hazard, with effects from the distribution of all."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import row_models
from pytensor.graph.replace import clone_replace
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.errors import ZooWarning

pytestmark = pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")
EVENT = "Surv(years, death) ~ drug"
UNMEASURED = ["p03", "p04", "p08"]


def tables(n: int = 12) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three visits each of n subjects in three clinics, of whom every fourth is censored."""
    rng = np.random.default_rng(3)
    k, years = np.arange(n), rng.uniform(2.0, 5.0, n)
    subjects = pd.DataFrame(
        {"id": [f"p{i:02d}" for i in k], "years": years, "death": (k % 4 > 0).astype(int), "drug": k % 2, "clinic": np.array(list("uvw"))[k % 3]}
    )  # fmt: skip
    i, time = np.repeat(k, 3), (years[:, None] * [0.0, 0.3, 0.6]).ravel()
    y = rng.normal(1.0, 1.0, n)[i] + 0.2 * time + rng.normal(0.0, 0.5, 3 * n)
    return subjects.loc[i, ["id", "drug", "clinic"]].reset_index(drop=True).assign(time=time, y=y), subjects


def without(visits: pd.DataFrame, ids: list[str]) -> pd.DataFrame:
    return visits[~visits.id.isin(ids)]


def model(visits: pd.DataFrame, subjects: pd.DataFrame, formula: str = "y ~ time + drug:time + (1 + time | id)") -> Any:
    return zoo.joint_survival(
        visits,
        subjects,
        formula,
        event=EVENT,
        baseline="exponential",
        center=False,
        priors={"surv_Intercept": "Normal(-2, 3)"},
    )


NAMED = {
    "Intercept": 0.8,
    "beta": [0.15, -0.3],
    "sigma": 0.6,
    "surv_beta": [0.4],
    "assoc": [0.7],
    "surv_Intercept": -2.5,
}


def densities(m: Any, named: Mapping[str, Any]) -> np.ndarray:
    """Pointwise log-likelihood (n,) of the event at these values of variables."""
    fixed = {m[name]: pt.constant(np.asarray(x, float)) for name, x in named.items()}
    term = clone_replace(pm.logp(m["event"], m.rvs_to_values[m["event"]]), fixed)
    return pytensor.function([], term)()


def density(r: Any, u: np.ndarray) -> float:
    """log h(T) - H(T), log h linear in t."""
    at_zero = NAMED["surv_Intercept"] + 0.4 * r.drug + 0.7 * (0.8 + u[0])
    slope = 0.7 * (0.15 - 0.3 * r.drug + u[1])
    return float(r.death * (at_zero + slope * r.years) - np.exp(at_zero) * np.expm1(slope * r.years) / slope)


@pytest.mark.parametrize("kept", ["no row", "rows without a value"])
def test_they_add_the_density_of_their_event_and_of_their_effects(kept: str) -> None:
    visits, subjects = tables()
    gone = visits.id.isin(UNMEASURED)
    given = visits[~gone] if kept == "no row" else visits.assign(y=visits.y.where(~gone))
    m = model(given, subjects)
    by_level = subjects.set_index("id", drop=False).loc[list(m.coords["id"])]
    assert list(by_level.id[-3:]) == UNMEASURED
    u = np.random.default_rng(1).normal(size=(12, 2))
    expected = [density(r, x) for r, x in zip(by_level.itertuples(), u, strict=True)]
    np.testing.assert_allclose(densities(m, {**NAMED, "u_id": u}), expected, rtol=1e-9)
    some = model(visits[~gone], subjects[~subjects.id.isin(UNMEASURED)])
    point = row_models.random_point(m, 1)
    fewer = point | {"u_id_z__": point["u_id_z__"][:9]}
    whole, part = (row_models.function(x, [x.logp(jacobian=False)])(p)[0] for x, p in ((m, point), (some, fewer)))
    variables = m.replace_rvs_by_values([m["u_id"], m["sd_id"], m["corr_id"]])
    u, sd, corr, events = row_models.function(m, [*variables, m.logp(vars=[m["event"]], sum=False)[0]])(point)
    events_of_some = row_models.function(some, some.logp(vars=[some["event"]], sum=False))(fewer)[0]
    np.testing.assert_allclose(events_of_some, events[:9], rtol=1e-12)
    of_effects = stats.multivariate_normal(np.zeros(2), np.outer(sd, sd) * corr).logpdf(u[9:])
    assert whole - part == pytest.approx(events[9:].sum() + of_effects.sum(), rel=1e-9)


def test_a_fit_says_who_they_are_and_has_them_in_its_hazard_and_predictions(tmp_path: Path) -> None:
    """Without association the posterior of a constant hazard is nearly Gamma(events, person-time): long follow-up lowers it."""
    visits, subjects = tables(40)
    ids = [f"p{i:02d}" for i in range(0, 40, 4)]  # all of them censored
    subjects = subjects.assign(years=subjects.years.where(~subjects.id.isin(ids), 30.0))
    formula = "y ~ time + (1 | id) + (1 | clinic)"
    given = without(visits, ids)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        m = zoo.joint_survival(
            given, subjects, formula, event="Surv(years, death) ~ 1", baseline="exponential", priors={"assoc": "Normal(0, 0.000001)"}
        )  # fmt: skip
    note = "10 subjects of the event data have no measurement (id 'p00', 'p04', 'p08', 'p12', 'p16'"
    assert any(str(w.message).startswith(note) and w.category is ZooWarning for w in caught)
    zoo.save(
        zoo.fit(m, draws=200, tune=200, chains=2, seed=1, thin=1, target_accept=0.9, progress=False), tmp_path / "f.nc"
    )
    fit = zoo.load(tmp_path / "f.nc")
    log_h = fit["posterior"]["surv_Intercept"].values
    events, time = subjects.death.sum(), subjects.years.sum()
    assert np.mean(log_h) == pytest.approx(np.log(events / time), abs=4 / np.sqrt(events * 50))
    assert np.log(events / time) < np.log(events / subjects.years[~subjects.id.isin(ids)].sum()) - 1
    assert list(fit["observed_data"]["id"].values) == [*[i for i in subjects.id if i not in ids], *ids]
    survival = zoo.dynamic_prediction(fit, landmark=1.0, times=[3.0], ids=["p04", "p01"], draws=50).survival.squeeze()
    np.testing.assert_allclose(survival, np.exp(-2 * events / time), atol=0.03)


def test_columns_that_nobody_has_are_named() -> None:
    visits, subjects = tables()
    visits = without(visits, UNMEASURED)
    with pytest.raises(zoo.InputError) as refused:
        model(visits, subjects.drop(columns="clinic"), "y ~ time + drug:time + (1 | id) + (1 | clinic)")
    assert str(refused.value) == (
        "3 subjects of the event data have no measurement (id 'p03', 'p04', 'p08'), and the course of the marker needs a value of "
        "'clinic'; add it to the event data, drop these subjects there, or correct the ids"
    )
    model(visits, subjects, "y ~ time + drug:time + (1 | id) + (1 | clinic)")
    lacking = subjects.assign(clinic=subjects.clinic.where(subjects.id != "p04"))
    with pytest.raises(zoo.InputError, match=r"needs a value of 'clinic'"):
        model(visits, lacking, "y ~ time + (1 | id) + (1 | clinic)")
    measured_lacking = subjects.assign(clinic=subjects.clinic.where(subjects.id != "p05"))
    model(visits, measured_lacking, "y ~ time + (1 | id) + (1 | clinic)")


LOST = ["p03", "p08"]


def of_lost(column: pd.Series, ids: pd.Series) -> pd.Series:
    """The column without the values of these two subjects."""
    return column.astype(object).where(~ids.isin(LOST))


def as_one_table(visits: pd.DataFrame, subjects: pd.DataFrame) -> pd.DataFrame:
    return visits.merge(subjects[["id", "years", "death"]], on="id")


def in_both(visits, subjects):
    return (visits.assign(clinic=of_lost(visits.clinic, visits.id)), subjects.drop(columns="clinic")), "clinic", 2


def in_event_rows(visits, subjects):
    return (without(visits, LOST), subjects.assign(clinic=of_lost(subjects.clinic, subjects.id))), "clinic", 2


def in_one_table(visits, subjects):
    return (as_one_table(visits.assign(clinic=of_lost(visits.clinic, visits.id)), subjects), None), "clinic", 6


def in_one_table_of_the_event(visits, subjects):
    return (as_one_table(visits.assign(drug=of_lost(visits.drug, visits.id)), subjects), None), "drug", 6


INTERVAL = "Surv(years, later, type='interval2') ~ drug"


@pytest.mark.parametrize(
    ("lacking", "event"),
    [
        (in_both, EVENT),
        (in_event_rows, EVENT),
        (in_one_table, EVENT),
        (in_one_table_of_the_event, EVENT),
        (in_both, INTERVAL),
        (in_event_rows, INTERVAL),
    ],
)
def test_subjects_who_lose_all_rows_of_a_table_for_a_covariate_leave_the_other(lacking: Any, event: str) -> None:
    visits, subjects = tables()
    subjects = subjects.assign(later=(subjects.years + 0.3).where(subjects.death == 1))
    (given_visits, given_subjects), column, rows = lacking(visits, subjects)

    def build(visits: Any, subjects: Any, missing: Any) -> Any:
        formula = "y ~ time + (1 | id) + (1 | clinic)"
        return zoo.joint_survival(visits, subjects, formula, event=event, baseline="exponential", missing=missing)

    m = build(given_visits, given_subjects, "drop")
    other = (
        "event data: dropped from the visits"
        if column == "drug"
        else "visits or event data: dropped from the event data"
    )
    note = f"id 'p03', 'p08' without a value of {column} in {'the ' * (column == 'drug')}{other} too, {rows} rows"
    assert note in m.spec["notes"] and not [n for n in m.spec["notes"] if "never occur" in n or "no measurement" in n]
    expected = build(without(visits, LOST), without(subjects, LOST), "error")
    assert m.coords["id"] == expected.coords["id"]
    point = row_models.random_point(expected, 3)
    found, right = (row_models.function(x, [x.logp()])(point)[0] for x in (m, expected))
    np.testing.assert_array_equal(found, right)
    with pytest.raises(zoo.InputError, match=rf"needs a value of 'clinic'|'{column}' has 6 missing values"):
        build(given_visits, given_subjects, "error")


def test_who_has_a_value_of_the_covariate_elsewhere_stays() -> None:
    visits, subjects = tables()
    lacking = visits.assign(clinic=of_lost(visits.clinic, visits.id))
    formula = "y ~ time + (1 | id) + (1 | clinic)"
    m = zoo.joint_survival(lacking, subjects, formula, event=EVENT, baseline="exponential", missing="drop")
    assert list(m.coords["id"])[-2:] == LOST


def test_of_subjects_without_a_marker_no_note_says_that_they_are_dropped() -> None:
    visits, subjects = tables()
    m = model(visits.assign(y=visits.y.where(~visits.id.isin(LOST))), subjects)
    assert [n for n in m.spec["notes"] if "no measurement (id 'p03', 'p08')" in n]
    assert not [n for n in m.spec["notes"] if "dropped" in n]
    outcomes = visits.assign(z=visits.y + visits.time, y=visits.y.where(~visits.id.isin(LOST)))
    both = zoo.joint_outcomes(outcomes, {f"{y} ~ time + (1 |p| id)": "gaussian" for y in "yz"})
    assert set(LOST) < set(both.coords["id"]) and not [n for n in both.spec["notes"] if "dropped" in n]


def test_rows_of_an_event_whose_covariate_changes_are_refused_or_carried_forward() -> None:
    """A covariate of the marker that changes from row to row of the event: its steps are those of its value."""
    visits, subjects = tables()
    first = subjects.assign(start=0.0, stop=subjects.years / 2, came=0, drug=0)
    rows = pd.concat([first, subjects.assign(start=subjects.years / 2, stop=subjects.years, came=subjects.death)])
    visits = without(visits.assign(drug=visits.id.eq("p00").astype(int)), UNMEASURED)
    options = {"event": "Surv(start, stop, came) ~ 1", "baseline": "exponential"}
    with pytest.raises(zoo.InputError, match=r"'drug' of the longitudinal formula varies within id 'p03'"):
        zoo.joint_survival(visits, rows, "y ~ drug + (1 | id)", **options)
    m = zoo.joint_survival(visits, rows, "y ~ drug + (1 | id)", carry_forward=True, **options)
    named = {"Intercept": 0.8, "beta": [0.5], "assoc": [0.7], "surv_Intercept": -2.5, "u_id": np.zeros((12, 1))}
    r = subjects.set_index("id").loc["p03"]
    log_h = [-2.5 + 0.7 * (0.8 + 0.5 * drug) for drug in (0, r.drug)]
    expected = r.death * log_h[1] - r.years / 2 * np.exp(log_h).sum()
    assert densities(m, named)[list(m.coords["id"]).index("p03")] == pytest.approx(expected, rel=1e-9)
