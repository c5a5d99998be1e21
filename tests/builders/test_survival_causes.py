"""Competing causes in survival: the sum of separate fits, what is refused, and a fit from its formula to its page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from data_sets import data_set
from reference_posteriors import reference
from row_models import function
from rows import lives
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.joint.risk_curves import aalen_johansen

FORMULA = "Surv(t, how) ~ x + (1 | g)"


def ends() -> pd.DataFrame:
    return lives().assign(how=lambda d: np.select([d.dead == 0, d.index % 3 == 0], ["alive", "moved"], "died"))


def pointwise(model: pm.Model, **values: float) -> np.ndarray:
    """The log-likelihood of each row at these values of the unconstrained variables, 0.2 where none is said."""
    start = {name: np.full(np.shape(x), 0.2) for name, x in model.initial_point().items()}
    (found,) = function(model, model.logp(vars=model.observed_RVs, sum=False))({**start, **values})
    return found


@pytest.mark.parametrize(
    "options",
    [{}, {"baseline": "piecewise"}, {"baseline": "exponential"}, {"distribution": "lognormal"}],
    ids=str,
)
@pytest.mark.parametrize("start", ["", "entry, "], ids=["", "late entry"])
def test_causes_are_separate_fits_with_the_others_censored(options: dict, start: str) -> None:
    d = ends()
    both = zoo.survival(d, f"Surv({start}t, how) ~ x + offset(w) + (1 | g)", **options)
    of_one = [
        zoo.survival(d, f"Surv({start}t, how == '{c}') ~ x + offset(w) + (1 | g)", **options) for c in ("died", "moved")
    ]
    np.testing.assert_allclose(pointwise(both), sum(map(pointwise, of_one)), rtol=1e-12)
    for cause, one in zip(("died", "moved"), of_one, strict=True):  # their priors too
        assert {both.spec["priors"][f"{cause}_{name}"] for name in ("Intercept", "beta")} == {
            one.spec["priors"][name] for name in ("Intercept", "beta")
        }


def test_a_declared_cause_alone_is_an_event() -> None:
    d = ends().assign(how=lambda d: d.how.where(d.how != "moved", "alive"))
    one = zoo.survival(d, FORMULA, causes=["died"])
    np.testing.assert_allclose(pointwise(one), pointwise(zoo.survival(d, "Surv(t, how == 'died') ~ x + (1 | g)")))


def test_effects_without_a_label_are_independent_and_a_prior_without_a_cause_is_of_all() -> None:
    model = zoo.survival(
        ends(), FORMULA, baseline="weibull", priors={"shape": "LogNormal(0, 0.2)", "died_sd": "Exponential(3)"}
    )
    priors = model.spec["priors"]
    assert (
        "corr_g" not in priors and priors["died_sd_g"] == "Exponential(3)" and priors["moved_sd_g"] == "Exponential(1)"
    )
    assert priors["died_shape"] == priors["moved_shape"] == "LogNormal(0, 0.2)"


BAD = {
    "never": ({}, {"causes": ["died", "moved", "fled"]}, "cause 'fled' never occurs; leave it out of the causes, or correct its name"),
    "others": ({}, {"causes": ["died"]}, "'how' has values 'moved' beside the declared causes died and 'alive' for censored"),
    "once": ({5: "fled"}, {}, "'how' is 'fled' in one row only \\(row 6\\), which is too few for a cause of its own"),
    "no word": ({}, {"censored": "gone"}, "'how' has no value 'gone' for censored; values: alive, died, moved"),
    "one name": ({5: "a/b", 6: "a/b", 7: "a_b", 8: "a_b"}, {}, "causes 'a/b' and 'a_b' would share the name 'a_b'; rename one"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "options", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_told(changed: dict, options: dict, message: str) -> None:
    d = ends()
    for row, cause in changed.items():
        d.loc[row, "how"] = cause
    with pytest.raises(InputError, match=message):
        zoo.survival(d, FORMULA, **options)


def test_few_events_of_a_cause_are_told() -> None:
    d = ends().assign(how=lambda d: d.how.where((d.how != "moved") | (d.arm != "low"), "died"))
    with pytest.warns(ZooWarning) as told:
        zoo.survival(d, "Surv(t, how) ~ x + arm")
    words = " ".join(str(w.message) for w in told)
    assert "events of cause 'moved' for 3 coefficients: fewer than 10 for each" in words
    assert "no event of cause 'moved' in the" in words and "arm is 'low'" in words


def test_times_may_be_gaps_between_events() -> None:
    """Of events that come again: time since the last one is a difference in the formula."""
    d = lives().assign(entry=lambda d: 0.5 * d.t)
    gaps = zoo.survival(d, "Surv(t - entry, dead) ~ x + (1 | g)", baseline="weibull")
    np.testing.assert_allclose(
        pointwise(gaps),
        pointwise(zoo.survival(d.assign(t=d.t - d.entry), "Surv(t, dead) ~ x + (1 | g)", baseline="weibull")),
    )


def relapses(n: int = 40) -> pd.DataFrame:
    """Rows (start, stop] of patients: one up to each relapse, and one to death or the end of follow-up."""
    rng, rows = np.random.default_rng(8), []
    for i in range(n):
        x, start, end = rng.normal(), 0.0, rng.uniform(1.0, 4.0)
        while (t := start + rng.exponential(1.2)) < end and len(rows) < 400:
            rows.append((f"p{i}", x, start, t, "relapse"))
            start = t
        rows.append((f"p{i}", x, start, end, "death" if i % 3 else "none"))
    return pd.DataFrame(rows, columns=["id", "x", "start", "stop", "how"])


def test_events_that_come_again_and_a_death_that_ends_them_are_a_joint_frailty_model() -> None:
    """log p_i = sum log h_r(t_ij) + d_i log h_d(T_i) - H_r(T_i) - H_d(T_i), each hazard with its frailty: Weibull, by SciPy."""
    d = relapses()
    model = zoo.survival(
        d, "Surv(start, stop, how) ~ x + (1 |p| id)", baseline="weibull", censored="none", center=False
    )
    values = {"relapse": (0.3, 0.4, 1.3), "death": (-0.7, -0.2, 0.8)}  # Intercept, beta, shape
    u = np.random.default_rng(1).normal(size=(40, 2))
    point = {f"{c}_Intercept": a for c, (a, _, _) in values.items()} | {
        f"{c}_beta": [b] for c, (_, b, _) in values.items()
    }
    point |= {f"{c}_shape_log__": np.log(k) for c, (_, _, k) in values.items()}
    (rv,) = [v for v in model.free_RVs if "u_id" in v.name]
    plain = model.with_transforms({rv.name: None})
    order = [list(model.coords["id"]).index(f"p{i}") for i in range(40)]
    columns = [label.split(":")[0] for label in model.coords["id_effect"]]
    effects = np.empty((40, 2))
    effects[order] = u[:, [list(values).index(c) for c in columns]]
    start = {name: np.full(np.shape(x), 0.2) for name, x in plain.initial_point().items()}
    (found,) = function(plain, plain.logp(vars=plain.observed_RVs, sum=False))({**start, **point, rv.name: effects})
    expected = np.zeros(40)
    for i, (_, rows) in enumerate(d.groupby("id", sort=False)):
        for j, (cause, (a, b, k)) in enumerate(values.items()):
            unit = model.spec["facts"]["event_times"]["causes"][cause]["unit"]
            rate = np.exp(a + b * rows["x"].iloc[0] + u[i, j])
            law = stats.weibull_min(k, scale=unit * (rate * unit) ** (-1 / k))
            t = rows["stop"][rows["how"] == cause]
            expected[i] += (law.logpdf(t) - law.logsf(t)).sum() + law.logsf(rows["stop"].max())
    np.testing.assert_allclose(pd.Series(found).groupby(d["id"], sort=False).sum(), expected, rtol=1e-9)


# ------------------------------------------------------------------------------------------------- against Aalen-Johansen


def test_observed_incidences_are_those_of_survfit() -> None:
    d, of = data_set("sim_causes.csv"), reference("causes_aalen_johansen")["parameters"]
    for i, (arm, t) in enumerate(zip(of["arm"], of["time"], strict=True)):
        rows = d[d.arm == arm]
        for k, cause in enumerate(("death", "relapse"), start=1):
            status = rows.status.map({"censored": 0, "death": 1, "relapse": 2})
            np.testing.assert_allclose(aalen_johansen(rows.time, status, k).at(t)[0], of[cause][i], rtol=1e-9)


@pytest.mark.slow
def test_incidences_of_a_fit_are_those_of_survfit(tmp_path: Path) -> None:
    """Of a model that leaves the arms free, within two standard errors of the data; the page has both."""
    d, of = data_set("sim_causes.csv"), reference("causes_aalen_johansen")["parameters"]
    model = zoo.survival(d, "Surv(time, status) ~ arm + (1 |p| centre)", baseline="piecewise")
    fit = zoo.fit(model, draws=150, tune=300, chains=2, seed=1, progress=False)
    zoo.save(fit, tmp_path / "fit.nc")
    tree = zoo.load(tmp_path / "fit.nc")
    found = zoo.predictions(tree, scale="incidence", times=[1, 3, 6], at={"arm": ["control", "treated"]}, by=True).table
    expected = pd.DataFrame(of).melt(["arm", "time"], ["death", "relapse"], "cause", "observed")
    se = pd.DataFrame(of).melt(["arm", "time"], ["se_death", "se_relapse"], "cause", "se")["se"]
    compared = found.merge(expected.assign(se=se), on=["arm", "time", "cause"])
    assert len(compared) == 12
    assert (abs(compared["median"] - compared["observed"]) < 2 * compared["se"]).all()
    lost = zoo.predictions(tree, scale="rmtl", times=[6], by=True).table["mean"].sum()
    free = zoo.predictions(tree, scale="rmst", times=[6], by=True).table["mean"].sum()
    assert lost + free == pytest.approx(6, rel=1e-6)
    again = zoo.model_of(tree)
    assert float(again.compile_logp()(model.initial_point())) == pytest.approx(
        float(model.compile_logp()(model.initial_point())), rel=1e-12
    )
    ratios = zoo.comparisons(tree, "arm", scale="linear", measures="hazard_ratio").table.set_index("cause")["median"]
    of_summary = zoo.summary(tree)["median"]
    for cause in ("death", "relapse"):
        assert ratios[cause] == pytest.approx(of_summary[f"{cause}_hazard_ratio[arm[treated]]"], rel=1e-6)
    page = zoo.write_report(tree, tmp_path / "fit.html").read_text()
    for words in (
        "Aalen–Johansen", "The causes of the event, death and relapse, compete", "the difference in the cumulative incidence of relapse at time",
        "Between centres the standard deviations of the log hazard were", "correlated between the causes",
    ):  # fmt: skip
        assert words in page
    assert "risk difference" not in page
    with pytest.raises(InputError, match="r2 is not there for times to an event"):
        zoo.r2(tree)
    with pytest.raises(
        InputError, match="scale='mean' is none of 'time', a time to an event; scales: survival, incidence, rmst, rmtl"
    ):
        zoo.predictions(tree)
