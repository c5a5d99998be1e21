"""Time that begins long before anybody is seen, such as age: with one entry of all it is time since entry; without, it is told."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_models

import glmm_zoo as zoo

pytestmark = pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")


def tables(shift: float = 0.0, n: int = 15) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three visits each of n subjects who entered at `shift`, in a time that began 0 then."""
    rng = np.random.default_rng(2)
    k, years = np.arange(n), rng.uniform(2.0, 5.0, n)
    since = (years[:, None] * [0.0, 0.3, 0.6]).ravel()
    i = np.repeat(k, 3)
    visits = pd.DataFrame(
        {"id": i, "time": shift + since, "y": rng.normal(1.0, 1.0, n)[i] + rng.normal(0.2 * since, 0.5)}
    )
    status = (k % 4 > 0) * (1 + k % 2)
    return visits, pd.DataFrame({"id": k, "entry": shift, "years": shift + years, "cause": status, "drug": k % 3})


def model(shift: float, event: str, **options: Any) -> Any:
    visits, subjects = tables(shift)
    formula = f"y ~ I(time - {shift}) + (1 + I(time - {shift}) | id)"
    return zoo.joint_survival(visits, subjects, formula, event=event, **options)


@pytest.mark.parametrize("baseline", ["bspline", "weibull", "piecewise", "exponential"])
@pytest.mark.parametrize("association", ["value + area", "slope + area(1.5)"])
@pytest.mark.parametrize("entry", [50.0, 2000.0])
def test_entry_of_all_at_one_age_is_the_usual_model_of_time_since_entry(baseline, association, entry):
    options = {"baseline": baseline, "association": association}
    usual = model(0.0, "Surv(years, cause) ~ drug", **options)
    late = model(entry, "Surv(entry, years, cause) ~ drug", **options)
    point = row_models.random_point(usual, 1)
    (*expected, expected_spreads), (*found, spreads) = (
        row_models.function(m, [*m.logp(sum=False), *m.replace_rvs_by_values([m["assoc_sd"]])])(point)
        for m in (usual, late)
    )
    event = [*usual.free_RVs, *usual.observed_RVs].index(usual["event"])
    np.testing.assert_allclose(found[event], expected[event], rtol=1e-7, atol=1e-7)
    assert sum(map(np.sum, found)) == pytest.approx(sum(map(np.sum, expected)), rel=1e-7)
    assert late.spec["event"]["entered_late"] == 0
    np.testing.assert_allclose(spreads, expected_spreads, rtol=1e-5)
    np.testing.assert_allclose(late.coords["surv_time"], entry + np.array(usual.coords["surv_time"]), rtol=1e-12)


def test_time_begins_at_the_first_entry_and_later_ones_are_late():
    visits, subjects = tables(50.0)
    late = subjects.assign(entry=np.where(subjects.index % 2, 50.4, 50.0))
    visits = visits[visits.time >= late.entry[visits.id].to_numpy()]
    moved = [visits.assign(time=visits.time - 50), late.assign(entry=late.entry - 50, years=late.years - 50)]
    models = [
        zoo.joint_survival(
            v, s, f"y ~ I(time - {shift}) + (1 | id)", event="Surv(entry, years, cause) ~ 1", baseline="weibull"
        )
        for (v, s), shift in (((visits, late), 50), (moved, 0))
    ]
    point = row_models.random_point(models[0], 1)
    a, b = (row_models.function(m, m.logp(vars=[m["event"]], sum=False))(point)[0] for m in models)
    np.testing.assert_allclose(a, b, rtol=1e-8)
    assert models[0].spec["event"]["entered_late"] == 7


def test_a_late_beginning_is_told_from_half_the_usual_follow_up_on():
    def told(first: float) -> bool:
        visits, subjects = tables()
        half = subjects.years.median() / 2
        visits = visits.assign(time=visits.time.clip(lower=first * half))
        visits = visits[visits.time < subjects.years[visits.id].to_numpy()]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            zoo.joint_survival(
                visits,
                subjects[subjects.id.isin(visits.id)],
                "y ~ time + (1 | id)",
                event="Surv(years, cause > 0) ~ 1",
                baseline="exponential",
            )
        return any("nobody is observed before 'time'" in str(w.message) for w in caught)

    assert told(1.01) and not told(0.99)
