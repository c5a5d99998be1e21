"""Events that come again: their likelihood by quadrature, limits, predictive numbers, estimands, a fit from end to end, refusals."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
import row_models
from hand_made_trees import tree_of
from pytensor.graph.replace import clone_replace
from scipy import integrate, stats
from scipy.interpolate import BSpline

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.results.figures.event_numbers import MeanNumber
from glmm_zoo.results.storage import metadata

EVENT, FRAIL = "Surv(start, stop, again) ~ drug", "Surv(start, stop, again) ~ drug + (1 | id)"
END = 5.0
pytestmark = pytest.mark.filterwarnings("ignore:.* events? for:glmm_zoo.errors.ZooWarning")


def tables(n: int = 30, seed: int = 3, gaps: bool = False, late: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visits each year, and rows up to each event and to the end; with `gaps` nobody is at risk for a tenth of a year after an event."""
    rng, visits, rows = np.random.default_rng(seed), [], []
    for i in range(n):
        u, v, drug = rng.normal(0, 0.8), rng.normal(0, 0.6), i % 2
        end = END if i == 0 else rng.uniform(0.5 * END, END)
        t = 0.3 * (i % 3) * late
        visits += [(f"p{i:02d}", s, drug, u + 0.2 * s + rng.normal(0, 0.4)) for s in np.arange(np.ceil(t), end)]
        while True:
            stop = t + rng.exponential(1 / (0.4 * np.exp(0.5 * u - 0.4 * drug + v)))
            rows.append((f"p{i:02d}", t, min(stop, end), int(stop < end), drug))
            t = stop + 0.1 * gaps
            if t >= end:
                break
    return (
        pd.DataFrame(visits, columns=["id", "time", "drug", "y"]),
        pd.DataFrame(rows, columns=["id", "start", "stop", "again", "drug"]),
    )


def model_of(visits: pd.DataFrame, rows: pd.DataFrame, event: str = FRAIL, **options: Any) -> Any:
    options = {"baseline": "exponential", "recurrent": True, **options}
    return zoo.joint_survival(visits, rows, "y ~ time + (1 | id)", event=event, **options)


def at_a_point(model: Any, **fixed: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Variables at a random point, labelled, and the pointwise log-likelihood by observed variable."""
    variables = [*model.free_RVs, *model.deterministics]
    wanted = [*model.replace_rvs_by_values(variables), *model.logp(vars=model.observed_RVs, sum=False)]
    point = row_models.random_point(model, 1, 0.4) | {k: np.asarray(v, float) for k, v in fixed.items()}
    found = row_models.function(model, wanted)(point)
    named = {v.name: row_models.labelled(model, v.name, x) for v, x in zip(variables, found, strict=False)}
    return named, dict(zip([rv.name for rv in model.observed_RVs], found[len(variables) :], strict=True))


def baseline_of(p: dict[str, Any], kind: str) -> Any:
    if kind == "bspline":
        return BSpline(END / 9 * np.arange(-2, 12), p["h0_weights"].values, 2)
    if kind == "piecewise":
        values = p["log_h0"].values
        return lambda t: values[np.searchsorted([1.5, 3.0], t)]
    level = p["surv_Intercept"].item()
    shape = p["weibull_shape"].item() if kind == "weibull" else 1.0
    return lambda t: level + np.log(shape) + (shape - 1) * np.log(t)


@pytest.mark.parametrize("kind", ["exponential", "weibull", "piecewise", "bspline"])
def test_the_likelihood_is_that_of_a_poisson_process_while_at_risk(kind: str) -> None:
    visits, rows = tables(gaps=True, late=True)
    with pytest.warns(ZooWarning, match=r"rows leave time out \(id 'p.*\): they count as not at risk then"):
        model = model_of(visits, rows, baseline=kind, **({"cuts": [1.5, 3.0]} if kind == "piecewise" else {}))
    p, terms = at_a_point(model)
    u, v = (p[name].to_pandas()["Intercept"] for name in ("u_id", "frailty"))
    log_h0 = baseline_of(p, kind)

    def log_h(t: float, i: str, drug: int) -> float:
        eta = p["Intercept"].item() + p["beta"].item() * t + u[i]
        return float(log_h0(t)) + p["surv_beta"].item() * drug + p["assoc"].item() * eta + v[i]

    tol = 5e-3 if kind == "bspline" else 1e-5  # whose third derivatives jump at the knots
    expected = dict.fromkeys(u.index, 0.0)
    for row in rows.itertuples():
        breaks = [b for b in (1.5, 3.0, *(END / 9 * np.arange(1, 9))) if row.start < b < row.stop]
        edges = np.cbrt([row.start, *breaks, row.stop])
        of_row = lambda s: 3 * s * s * np.exp(log_h(s**3, row.id, row.drug)) if s else 0.0  # noqa: B023, E731
        H = sum(integrate.quad(of_row, a, b, epsabs=1e-12, limit=200)[0] for a, b in itertools.pairwise(edges))
        expected[row.id] += (log_h(row.stop, row.id, row.drug) if row.again else 0.0) - H
    np.testing.assert_allclose(terms["event"], [expected[i] for i in model.coords["id"]], rtol=tol, atol=tol)


def test_without_an_association_the_parts_are_those_of_two_models() -> None:
    visits, rows = tables()
    p, terms = at_a_point(model_of(visits, rows, center=False), assoc=[0.0])
    alone = zoo.survival(rows, "Surv(start, stop, again) ~ drug + (1 | id)", baseline="exponential", center=False)
    marker = zoo.hierarchical_linear(visits, "y ~ time + (1 | id)", center=False)

    def log_p(of: Any, values: dict[str, Any], name: str) -> np.ndarray:
        given = {of[k]: np.asarray(x, float) for k, x in values.items()}

        term = pm.logp(of[name], of.rvs_to_values[of[name]])
        return clone_replace(term, {k: pt.constant(x) for k, x in given.items()}).eval(mode="FAST_COMPILE")

    of_rows = {"Intercept": p["surv_Intercept"], "beta": p["surv_beta"], "u_id": p["frailty"]}
    by_row = pd.Series(log_p(alone, of_rows, "stop")).groupby(rows.id).sum()
    np.testing.assert_allclose(terms["event"], by_row, rtol=1e-9)
    of_visits = {k: p[k] for k in ("Intercept", "beta", "u_id", "sigma")}
    np.testing.assert_allclose(terms["y"], log_p(marker, of_visits, "y"), rtol=1e-9)


@pytest.mark.parametrize("baseline", ["weibull", "piecewise", "bspline"])
def test_one_event_for_each_subject_is_the_present_model(baseline: str) -> None:
    visits, rows = tables()
    first = rows.groupby("id").head(1)
    visits = visits[visits.time <= visits.id.map(first.set_index("id").stop)]
    once, again = (model_of(visits, first, EVENT, baseline=baseline, recurrent=r) for r in (False, True))
    assert [v.name for v in once.free_RVs] == [v.name for v in again.free_RVs]
    for a, b in zip(at_a_point(once)[1].values(), at_a_point(again)[1].values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_mean_numbers_by_hand() -> None:
    """Two from 0 on, one of them with events at 1 and 2 and the end at 3; the other until 2; a third from 1.5 until 3."""
    start, stop = np.array([0, 1, 2, 0, 1.5]), np.array([1, 2, 3, 2, 3.0])
    curve = MeanNumber.of(start, stop, np.array([1, 1, 0, 0, 0.0]))
    assert curve.time.tolist() == [0, 1, 2, 3]
    assert curve.at_risk.tolist() == [0, 2, 3, 2]
    np.testing.assert_allclose(curve.value, [0, 1 / 2, 1 / 2 + 1 / 3, 5 / 6])


# ---------------------------------------------------------------------------------------------------------- estimands

POSTERIOR: dict[str, Any] = {
    "Intercept": [1.0, 0.7, 1.2], "beta": [[0.3], [0.25], [0.35]], "sigma": [0.4, 0.5, 0.3], "sd_id": [[0.8], [1.2], [0.5]],
    "surv_Intercept": [-2.0, -2.3, -1.6], "surv_beta": [[-0.4], [-0.1], [-0.6]], "assoc": [[0.6], [0.9], [-0.4]], "frailty_sd": [0.5, 0.9, 0.2],
}  # fmt: skip


def tree(**also: Any) -> Any:
    n = 30
    effects = {"u_id": np.zeros((3, n, 1)), "frailty": 0.1 * np.arange(3 * n).reshape(3, n, 1) / n}
    return tree_of(
        model_of(*tables()), {k: np.asarray(v, float)[None] for k, v in (POSTERIOR | effects | also).items()}
    )


def test_the_expected_number_is_the_mean_over_effects_and_frailty() -> None:
    found = zoo.predictions(tree(), at={"drug": [0, 1]}, by=True, scale="events", times=[1, 4])
    z, w = np.polynomial.hermite_e.hermegauss(40)
    w = w / w.sum()
    expected = []
    for drug in (0, 1):
        for t in (1, 4):
            for d in range(3):
                at = {k: np.ravel(v[d]) for k, v in POSTERIOR.items()}
                both = at["assoc"] * at["sd_id"] * z[:, None] + at["frailty_sd"] * z[None, :]

                def mean_hazard(s: float, at=at, both=both, drug=drug) -> float:
                    level = (
                        at["surv_Intercept"] + at["surv_beta"] * drug + at["assoc"] * (at["Intercept"] + at["beta"] * s)
                    )
                    return float(w @ np.exp(level + both) @ w)

                expected.append(integrate.quad(mean_hazard, 0, t)[0])
    draws = found.draws["value"].values[0]  # (draws, rows), rows by drug and time
    np.testing.assert_allclose(draws.T.ravel(), expected, rtol=1e-7)
    assert "Expected number of events (again) up to 1, 4" in found.sentence
    assert "in an id drawn from the population of ids" in found.sentence


def test_whose_frailty_it_is() -> None:
    asked: dict[str, Any] = {"scale": "events", "times": [2]}
    by = {
        g: zoo.predictions(tree(), groups=g, **asked).draws["value"].values[0]
        for g in ("typical", "population", "observed")
    }
    sd, alpha, sd_u = (np.ravel(POSTERIOR[k]) for k in ("frailty_sd", "assoc", "sd_id"))
    np.testing.assert_allclose(
        by["population"] / by["typical"], np.exp(0.5 * (sd**2 + (alpha * sd_u) ** 2))[:, None] * np.ones(30)
    )
    frailty = 0.1 * np.arange(90).reshape(3, 30) / 30
    np.testing.assert_allclose(by["observed"] / by["typical"], np.exp(frailty))
    new = zoo.predictions(tree(), groups="new", **asked).draws["value"].values[0] / by["typical"]
    assert np.ptp(new, axis=1).max() < 1e-9 and (np.abs(np.log(new[:, 0])) > 0.01).all()


def test_numbers_are_compared_and_one_event_is_not_predicted() -> None:
    found = zoo.comparisons(tree(), "drug", scale="events", times=[2])
    assert set(found.table["measure"]) == {"difference", "ratio"}
    assert found.sentence.startswith(
        "Difference of the expected number of events and ratio of the expected number of events (again) up to 2"
    )
    np.testing.assert_allclose(
        found.draws["value"].values[0][:, found.table["measure"].tolist().index("ratio")],
        np.exp(np.ravel(POSTERIOR["surv_beta"])),
    )
    for call in (
        lambda: zoo.predictions(tree(), scale="survival", times=[1]),
        lambda: zoo.comparisons(tree(), "drug", scale="rmst", times=[1]),
    ):
        with pytest.raises(InputError, match="here events come again; ask for how many are expected, scale='events'"):
            call()
    with pytest.raises(InputError, match="dynamic prediction is of an event that ends the follow-up"):
        zoo.dynamic_prediction(tree(), landmark=1, times=[2])
    with pytest.raises(InputError, match="accuracy at a landmark is of an event that ends the follow-up"):
        zoo.landmark_accuracy(tree(), landmark=1, horizon=2)
    visits, rows = tables()
    counts = visits.assign(c=np.arange(len(visits)) % 4)
    model = zoo.joint_survival(
        counts,
        rows,
        "c ~ time + (1 | id)",
        event=EVENT,
        families="poisson",
        association_scale="mean",
        baseline="exponential",
        recurrent=True,
    )
    of_counts = {k: np.asarray(v, float)[None] for k, v in POSTERIOR.items() if k not in ("sigma", "frailty_sd")}
    with pytest.raises(InputError, match=r"mean of exp\(exp\(u\)\) over normal effects u is infinite"):
        zoo.predictions(tree_of(model, of_counts | {"u_id": np.zeros((1, 3, 30, 1))}), scale="events", times=[1])


def test_one_event_has_no_expected_number() -> None:
    visits, rows = tables()
    first = rows.groupby("id").head(1)
    visits = visits[visits.time <= visits.id.map(first.set_index("id").stop)]
    model = model_of(visits, first, EVENT, recurrent=False)
    values = {k: np.asarray(v, float)[None] for k, v in POSTERIOR.items() if k != "frailty_sd"}
    with pytest.raises(
        InputError, match=r"of events that come again \(recurrent=True\), and here an event ends the follow-up"
    ):
        zoo.predictions(tree_of(model, values | {"u_id": np.zeros((1, 3, 30, 1))}), scale="events", times=[1])


# -------------------------------------------------------------------------------------------------------------- a fit


def test_a_fit_goes_all_the_way(tmp_path: Path) -> None:
    visits, rows = tables(60, seed=5)
    fit = zoo.fit(model_of(visits, rows), draws=300, tune=300, chains=2, seed=1, cores=1)
    assert "kernel" in metadata(fit)["sampling"]["sampler"]
    counts = rows.groupby("id").again.sum()
    assert fit["observed_data"]["event"].values.tolist() == counts.tolist()
    drawn = fit["posterior_predictive"]["event"].values.reshape(-1, len(counts))
    assert abs(drawn.mean() - counts.mean()) < 4 * np.sqrt(counts.mean() / len(counts))
    zoo.save(fit, tmp_path / "fit.nc")
    again = zoo.load(tmp_path / "fit.nc")
    same = zoo.model_of(again)
    assert [v.name for v in same.free_RVs] == [v.name for v in model_of(visits, rows).free_RVs]
    page = tmp_path / "page.html"
    zoo.write_report(again, page)
    text = page.read_text()
    for words in (
        "Recurrent events were a Poisson process", "frailty v, which varies normally", "one standard deviation more of the frailty",
        "Numbers of events and the data", "An event is taken to leave the risk of the next as it was", "the standard deviation of the frailty",
    ):  # fmt: skip
        assert words in text
    for words in ("count as censored", "Survival and the data", "Predictions at a landmark", "Three patients"):
        assert words not in text
    checks = zoo.verdicts(again).checks
    assert "event" in {check.outcome for check in checks}


# ----------------------------------------------------------------------------------------------------------- refusals

WRONG: dict[str, tuple[dict[str, Any], Any, str]] = {
    "not asked for": ({"recurrent": False, "event": EVENT}, None, "an event ends the follow-up, unless events come again, recurrent=True"),
    "frailty of one event": ({"recurrent": False}, None, r"a frailty, \(1 \| id\), is of events that come again, recurrent=True"),
    "of another factor": ({"event": EVENT + " + (1 | drug)"}, None, r"a frailty of the subject, \(1 \| id\), not \(1 \| drug\)"),
    "with a slope": ({"event": EVENT + " + (1 + stop | id)"}, None, r"a frailty of the subject, \(1 \| id\), not"),
    "with a label": ({"event": EVENT + " + (1 |p| id)"}, None, r"a frailty of the subject, \(1 \| id\), not"),
    "smooth": ({"event": EVENT + " + s(stop)"}, None, r"population terms; s\(\) is not there"),
    "no rows": ({"event": "Surv(stop, again) ~ drug"}, None, r"recurrent=True needs rows \(start, stop\]"),
    "overlap": ({}, lambda r: r.assign(start=np.where(np.arange(len(r)) == 1, 0.1, r.start)), "without overlap; not so for id 'p00'"),
    "twice the same": ({}, lambda r: pd.concat([r, r.iloc[:1]]), "without overlap; not so for id 'p00'"),
    "backwards": ({}, lambda r: r.assign(start=np.where(np.arange(len(r)) == 1, 9.0, r.start)), "start < stop; not so for id 'p00' .row 2."),
    "causes": ({}, lambda r: r.assign(again=r.again * (1 + np.arange(len(r)) % 2)), "for events of one kind, and 'again' has 2 causes"),
    "none": ({}, lambda r: r.assign(again=0), "no events: 'again' is censored"),
    "not a switch": ({"recurrent": "calendar"}, None, "recurrent must be true, false, yes or no, not 'calendar'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_what_cannot_be_is_refused(fault: str) -> None:
    options, change, sentence = WRONG[fault]
    visits, rows = tables()
    with pytest.raises(InputError, match=sentence):
        model_of(visits, rows if change is None else change(rows), **options)


def test_a_frailty_that_nothing_tells_of_is_remarked() -> None:
    visits, rows = tables()
    first = rows.groupby("id").head(1)
    visits = visits[visits.time <= visits.id.map(first.set_index("id").stop)]
    with pytest.warns(ZooWarning, match="nobody has two events"):
        model_of(visits, first)


def test_visits_after_the_last_row_are_refused() -> None:
    visits, rows = tables()
    with pytest.raises(InputError, match="come after their subject's event or censoring"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)
        model_of(visits.assign(time=visits.time + 3 * (visits.id == "p02")), rows)


def test_draws_are_poisson_numbers() -> None:
    visits, rows = tables(6)
    model = model_of(visits, rows, EVENT)
    values = {"Intercept": 0.0, "assoc": [0.0], "surv_beta": [0.0], "surv_Intercept": 0.3, "u_id": np.zeros((6, 1))}
    event = clone_replace(model["event"], {model[k]: pt.constant(np.asarray(v, float)) for k, v in values.items()})
    drawn = pm.draw(event, draws=3000, random_seed=1, mode="FAST_COMPILE")
    H = np.exp(0.3) * (rows.stop - rows.start).groupby(rows.id).sum().to_numpy()
    for of_subject, mean in zip(drawn.T, H, strict=True):
        k = np.arange(stats.poisson.ppf(0.995, mean) + 1)
        share = np.array([(of_subject == x).mean() for x in k])
        np.testing.assert_allclose(share, stats.poisson.pmf(k, mean), atol=0.035)
