"""Survival: limit cases, rows that are split, what is refused, and a fit from its formula to its page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from row_models import function
from rows import lives
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning

BASELINES = ({"baseline": "exponential"}, {"baseline": "weibull"}, {"baseline": "piecewise", "cuts": [1.5, 3.0]}, {})
DISTRIBUTIONS = tuple({"distribution": d} for d in ("weibull", "lognormal", "loglogistic"))
FORMULA = "Surv(t, dead) ~ x + (1 | g)"


def pointwise(model: pm.Model, **values: float) -> np.ndarray:
    """The log-likelihood of each row at these values of the unconstrained variables, 0.2 where none is said."""
    start = {name: np.full(np.shape(x), 0.2) for name, x in model.initial_point().items()}
    (found,) = function(model, model.logp(vars=model.observed_RVs, sum=False))({**start, **values})
    return found


def test_a_weibull_hazard_of_shape_one_is_constant() -> None:
    weibull, constant = (zoo.survival(lives(), FORMULA, baseline=b) for b in ("weibull", "exponential"))
    np.testing.assert_allclose(pointwise(weibull, shape_log__=0.0), pointwise(constant), rtol=1e-12)


def test_pieces_of_one_hazard_are_constant() -> None:
    pieces = zoo.survival(lives(), FORMULA, baseline="piecewise", cuts=[1.5, 3.0])
    constant = zoo.survival(lives(), FORMULA, baseline="exponential")
    np.testing.assert_allclose(pointwise(pieces, log_h0_ratio=np.zeros(2)), pointwise(constant), rtol=1e-12)


def test_a_flat_spline_is_constant() -> None:
    spline, constant = zoo.survival(lives(), FORMULA), zoo.survival(lives(), FORMULA, baseline="exponential")
    flat = pointwise(spline, h0_trend=0.0, h0_steps=np.zeros(9))
    np.testing.assert_allclose(flat, pointwise(constant), rtol=1e-10)


@pytest.mark.parametrize("formula", ["Surv(entry, t, dead) ~ x", 'Surv(low, high, type="interval2") ~ x'])
def test_weibull_times_are_a_weibull_hazard(formula: str) -> None:
    """log T = a + b x + z / k has the hazard e^eta k (t / unit)^(k - 1), eta = -k (a + b x) + (k - 1) log unit."""
    d, k, a, b = lives(), 1.7, 1.1, np.array([0.4])
    times = zoo.survival(d, formula, distribution="weibull", center=False)
    hazard = zoo.survival(d, formula, baseline="weibull", center=False)
    unit = hazard.spec["facts"]["event_times"]["unit"]
    accelerated = pointwise(times, shape_log__=np.log(k), Intercept=a, beta=b)
    eta = -k * a + (k - 1) * np.log(unit)
    np.testing.assert_allclose(
        accelerated, pointwise(hazard, shape_log__=np.log(k), Intercept=eta, beta=-k * b), rtol=1e-10
    )


def test_times_of_all_kinds_are_scipys() -> None:
    """R's codes: 0 right, 1 event, 2 left, 3 interval; log-logistic times are SciPy's fisk."""
    d = lives().assign(code=np.arange(72) % 4, later=lambda d: d.t * 1.5)
    model = zoo.survival(d, 'Surv(t, later, code, type="interval") ~ 1', distribution="loglogistic")
    T = stats.fisk(c=np.exp(0.3), scale=np.exp(1.2))
    expected = np.select(
        [d.code == 0, d.code == 1, d.code == 2], [T.logsf(d.t), T.logpdf(d.t), T.logcdf(d.t)],
        np.log(T.cdf(d.later) - T.cdf(d.t)),
    )  # fmt: skip
    np.testing.assert_allclose(pointwise(model, Intercept=1.2, shape_log__=0.3), expected, rtol=1e-10)
    left = zoo.survival(d.assign(code=d.code % 2), 'Surv(t, code, type="left") ~ 1', distribution="loglogistic")
    expected = np.where(d.code % 2 == 1, T.logpdf(d.t), T.logcdf(d.t))
    np.testing.assert_allclose(pointwise(left, Intercept=1.2, shape_log__=0.3), expected, rtol=1e-10)


@pytest.mark.parametrize("options", [*BASELINES, *DISTRIBUTIONS], ids=str)
def test_a_subject_may_be_split_into_rows(options: dict) -> None:
    """Rows (start, stop] of a subject that follow each other tell as much as one row does."""
    d = lives()
    first = d.assign(entry=0.0, t=0.4 * d.t, dead=0)
    split = pd.concat([first, d.assign(entry=first.t)], ignore_index=True)
    if options.get("baseline") == "weibull" or not options:  # learnt from the times of events alone
        assert (
            zoo.survival(d, FORMULA, **options).spec["facts"]["event_times"]
            == (zoo.survival(split, "Surv(entry, t, dead) ~ x + (1 | g)", **options).spec["facts"]["event_times"])
        )
    whole = pointwise(zoo.survival(d, FORMULA, **options))
    parts = pointwise(zoo.survival(split, "Surv(entry, t, dead) ~ x + (1 | g)", **options)).reshape(2, -1).sum(axis=0)
    np.testing.assert_allclose(parts, whole, rtol=1e-9)


BAD = {
    "negative time": (lambda d: d.assign(t=d.t.where(d.index != 3, -1.0)), FORMULA, {}, "times must be > 0: column 't' is -1 in row 4"),
    "entry after exit": (
        lambda d: d.assign(entry=d.entry.where(d.index != 3, 50.0)), "Surv(entry, t, dead) ~ x", {}, "entry must be before exit, .*row 4 has 50 and",
    ),
    "entry before 0": (lambda d: d.assign(entry=-1.0), "Surv(entry, t, dead) ~ x", {}, "times must be >= 0, the origin of time; rows 1"),
    "no events": (lambda d: d.assign(dead=0), FORMULA, {}, "no events: 'dead' is censored in all 72 rows"),
    "interval": (
        lambda d: d.assign(low=5.0, high=4.0), 'Surv(low, high, type="interval2") ~ x', {}, "ends before it begins \\(5 > 4\\)",
    ),
    "not Surv": (lambda d: d, "t ~ x", {}, "the response of survival is Surv\\(time, event\\), .* not 't'"),
    "own time": (lambda d: d, "Surv(t, dead) ~ t", {}, "the response 't' is also used as a predictor"),
    "distribution": (lambda d: d, FORMULA, {"distribution": "weibul"}, "did you mean 'weibull'"),
    "baseline": (lambda d: d, FORMULA, {"baseline": "cox"}, "unknown baseline 'cox'"),
    "cuts": (lambda d: d, FORMULA, {"cuts": 3}, "cuts belong to baseline='piecewise', not to 'bspline'"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "formula", "options", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_told(change, formula: str, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        zoo.survival(change(lives()), formula, **options)


def test_other_models_refuse_surv() -> None:
    with pytest.raises(InputError, match="Surv\\(\\) is the response of survival models, not of poisson; use survival"):
        zoo.poisson(lives(), FORMULA)


def test_few_events_and_levels_without_one_are_told() -> None:
    d = lives().assign(dead=lambda d: ((d.index < 12) & (d.arm != "low")).astype(int))
    with pytest.warns(ZooWarning) as told:
        zoo.survival(d, "Surv(t, dead) ~ x + arm + (1 | g)")
    words = " ".join(str(w.message) for w in told)
    assert "for 3 coefficients: fewer than 10 for each, so their priors matter" in words
    assert "event: no event in the" in words and "arm is 'low'" in words


@pytest.mark.parametrize("options", [{}], ids=["spline"])
def test_a_fit_goes_from_formula_to_page(options: dict, tmp_path) -> None:
    d = lives()
    model = zoo.survival(d, "Surv(entry, t, dead) ~ arm + s(x, k=4) + (1 | g)", **options)
    zoo.save(zoo.fit(model, draws=40, tune=200, chains=2, seed=1, progress=False), tmp_path / "fit.nc")
    tree = zoo.load(tmp_path / "fit.nc")
    assert (tree.posterior_predictive["t"].values > d.entry.to_numpy()).all()
    survival = zoo.predictions(tree, scale="survival", times=[1, 2, 4], at={"arm": ["low", "mid"]}, by=True).table
    for _, of in survival.groupby("arm"):
        assert of["median"].is_monotonic_decreasing and of["median"].between(0, 1).all()
    ratio = "time_ratio" if "distribution" in options else "hazard_ratio"
    compared = zoo.comparisons(tree, "arm", scale="linear").table
    of_summary = zoo.summary(tree).loc[[f"{ratio}[arm[mid]]", f"{ratio}[arm[zero]]"], "median"]
    found = compared.loc[compared["measure"] == ratio, "median"]
    np.testing.assert_allclose(found, of_summary, rtol=1e-6)
    page = zoo.write_report(tree, tmp_path / "fit.html").read_text()
    assert "Cox–Snell" in page and "The data have no simple curve" in page
    again = zoo.model_of(tree)
    point = model.initial_point()
    assert float(again.compile_logp()(point)) == pytest.approx(float(model.compile_logp()(point)), rel=1e-12)
    assert len(zoo.loo(tree, level="g").table) == 9
