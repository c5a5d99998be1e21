"""The preview against posteriors: of peers, of our own fits, and under changes of units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from data_sets import data_set
from reference_posteriors import JOINT, PRIORS, REFERENCES, Joint, Reference, reference
from scipy import stats
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.errors import FitError
from glmm_zoo.inference import approximation
from glmm_zoo.inference.approximation import approximate

MOST_OF_SDS = 1.5  # posterior sds between a point estimate and the posterior mean
FARTHER = {"ohio_wheeze": 0.8}  # posterior sds of a coefficient; children of four answers, mostly none yes


def worst(preview: pd.DataFrame, posterior: pd.DataFrame) -> tuple[float, float]:
    """The largest |z| of coefficients, and of quantities that are estimated without an sd."""
    shared = preview.index.intersection(posterior.index)
    z = ((preview["mean"] - posterior["mean"]) / posterior["sd"]).loc[shared].abs()
    point = preview.loc[shared, "sd"].isna()
    return float(z[~point].max()) if not point.all() else 0.0, float(z[point].max()) if point.any() else 0.0


@pytest.mark.filterwarnings("ignore:this preview:glmm_zoo.errors.ZooWarning")
@pytest.mark.parametrize(
    "row",
    [row for row in (*REFERENCES, *JOINT) if not {"residual", "impute"} & {*getattr(row, "options", {})}],
    ids=lambda row: row.file,
)
def test_the_preview_is_near_the_peers_posteriors(row: Reference | Joint) -> None:
    if isinstance(row, Joint):
        model = zoo.joint_outcomes(row.data(), row.formulas, center=False, priors=row.priors)
    else:
        priors = {key: prior for key, prior in {**PRIORS, **row.priors}.items() if prior}
        model = getattr(zoo, row.builder)(data_set(row.data), row.formula, center=False, priors=priors, **row.options)
    peer = reference(row.file)["parameters"]
    posterior = pd.DataFrame({ours: peer[theirs] for theirs, ours in row.names.items()}).T[["mean", "sd"]].astype(float)
    z, of_sds = worst(zoo.quick(model), posterior)
    assert z < FARTHER.get(row.file, 0.5) and of_sds < MOST_OF_SDS


def grouped(
    groups: int = 60, rows: int = 8, sd: float = 1.0, slope: float = 0.0, intercept: float = 0.0, seed: int = 1
) -> pd.DataFrame:
    """A covariate x, treatment and levels g; eta = intercept + 0.5 x + treat + (u + v x), u of sd `sd`, v of sd `slope`."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), rows)
    x, treat = rng.normal(size=len(g)), g % 2
    u, v = rng.normal(scale=sd, size=groups)[g], rng.normal(scale=slope, size=groups)[g]
    eta = intercept + 0.5 * x + treat + u + v * x
    return pd.DataFrame({"g": [f"g{i}" for i in g], "x": x, "treat": treat, "eta": eta})


def gaussian(**kinds: Any) -> pd.DataFrame:
    rng, d = np.random.default_rng(2), grouped(**kinds)
    return d.assign(y=d.eta + rng.normal(size=len(d)))


def binary(**kinds: Any) -> pd.DataFrame:
    rng, d = np.random.default_rng(2), grouped(**kinds)
    return d.assign(y=(rng.random(len(d)) < expit(d.eta)).astype(int))


def counts(share_of_zeros: float = 0.0, size: float = np.inf, **kinds: Any) -> pd.DataFrame:
    rng, d = np.random.default_rng(2), grouped(**kinds)
    rate = np.exp(d.eta) * (rng.gamma(size, 1 / size, len(d)) if np.isfinite(size) else 1.0)
    return d.assign(y=rng.poisson(rate) * (rng.random(len(d)) >= share_of_zeros))


def ordered(categories: int, **kinds: Any) -> pd.DataFrame:
    rng, d = np.random.default_rng(2), grouped(**kinds)
    cuts = np.linspace(-2, 2, categories - 1) + d.eta.mean()
    return d.assign(y=1 + (d.eta.to_numpy()[:, None] + rng.logistic(size=(len(d), 1)) > cuts).sum(axis=1))


F = "y ~ x + treat + (1 | g)"
GRID: dict[str, Callable[[], Any]] = {
    "gaussian": lambda: zoo.lmm(gaussian(), F),
    "gaussian, slopes": lambda: zoo.lmm(gaussian(slope=0.5), "y ~ x + treat + (1 + x | g)"),
    "gaussian, sd 1e4": lambda: zoo.lmm(gaussian().assign(y=lambda d: 1e4 * d.y), F),
    "gaussian, sd 1e-4": lambda: zoo.lmm(gaussian().assign(y=lambda d: 1e-4 * d.y), F),
    "gaussian, small group sd": lambda: zoo.lmm(gaussian(sd=0.05), F),
    "binary, 2 %": lambda: zoo.logistic(binary(intercept=-5.3, groups=150), F),
    "binary, 50 %": lambda: zoo.logistic(binary(intercept=-0.5), F),
    "binary, 98 %": lambda: zoo.logistic(binary(intercept=4.5, groups=150), F),
    "binary, sd 4": lambda: zoo.logistic(binary(sd=4.0, groups=200), F),
    "binary, slopes": lambda: zoo.logistic(binary(slope=0.8, groups=150), "y ~ x + treat + (1 + x | g)"),
    "binary, pairs": lambda: zoo.logistic(binary(groups=200, rows=2, sd=1.5), F),
    "binary, probit": lambda: zoo.logistic(binary(), F, link="probit"),
    "binary, cloglog": lambda: zoo.logistic(binary(intercept=-2.0), F, link="cloglog"),
    "binary, separated": lambda: zoo.logistic(binary().assign(x=lambda d: 3 * (d.y - 0.5) + 0.1 * d.x), F),
    "binary, covariate of 1e5": lambda: zoo.logistic(binary().assign(x=lambda d: 1e5 * d.x), F),
    "binary, covariate of 1e-3": lambda: zoo.logistic(binary().assign(x=lambda d: 1e-3 * d.x), F),
    "counts of 0.2": lambda: zoo.poisson(counts(intercept=-2.8), F),
    "counts of 200": lambda: zoo.poisson(counts(intercept=4.3), F),
    "counts, sd 2": lambda: zoo.poisson(counts(sd=2.0), F),
    "negative binomial": lambda: zoo.nb(counts(size=1.5, intercept=1.0), F),
    "negative binomial, dispersion": lambda: zoo.nb(counts(size=1.5, intercept=1.0), F, dispersion="~ treat"),
    "zero-inflated": lambda: zoo.zip(counts(share_of_zeros=0.3, intercept=0.5), F),
    "zero-inflated, zi": lambda: zoo.zip(counts(share_of_zeros=0.3, intercept=0.5), F, zi="~ treat + (1 | g)"),
    "zero-inflated nb": lambda: zoo.zinb(counts(share_of_zeros=0.3, size=3.0, intercept=1.5), F),
    "hurdle": lambda: zoo.hurdle_poisson(counts(share_of_zeros=0.3, intercept=0.5), F, zi="~ x + (1 | g)"),
    "hurdle nb": lambda: zoo.hurdle_negative_binomial(counts(share_of_zeros=0.3, size=3.0, intercept=1.5), F),
    "ordinal, 3": lambda: zoo.ordinal(ordered(3), F),
    "ordinal, 7": lambda: zoo.ordinal(ordered(7), F),
    "ordinal, sd 3": lambda: zoo.ordinal(ordered(4, sd=3.0), F),
    "stopping ratio": lambda: zoo.ordinal(ordered(4), F, family="sratio"),
    "adjacent categories": lambda: zoo.ordinal(ordered(4), F, family="acat"),
    "joint outcomes": lambda: zoo.joint_outcomes(
        binary().assign(c=counts().y), {"y ~ x + (1 |p| g)": "bernoulli", "c ~ x + (1 |p| g)": "poisson"}
    ),
    "smooth": lambda: zoo.gamm(counts(), "y ~ s(x, k=8) + treat + (1 | g)", family="poisson"),
    "stepped wedge": lambda: zoo.card("wedge_trial").model(),
    "meta-analysis": lambda: zoo.card("bcg").model(),
    "never at risk": lambda: zoo.card("absent_or_rare").model(),
    "joint survival": lambda: zoo.card("pbc").model(),
}
FURTHER_OFF = {"never at risk": 2.5, "joint survival": 1.75}  # as a warning says


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # odds ratios for a unit of 1000 sds
@pytest.mark.filterwarnings("ignore:invalid:RuntimeWarning", "ignore::glmm_zoo.errors.ZooWarning")
@pytest.mark.parametrize("name", GRID)
def test_the_preview_is_near_the_fit(name: str) -> None:
    model = GRID[name]()
    preview = zoo.quick(model)
    summary = zoo.summary(zoo.fit(model, draws=500, chains=4, seed=1, progress=False))
    z, of_sds = worst(preview, summary)
    print(f"\n{name:32s} coefficients |z| {z:.2f}, point estimates {of_sds:.2f}")
    assert z < FURTHER_OFF.get(name, 1.0)
    assert of_sds < MOST_OF_SDS


@pytest.mark.parametrize("name", ["binary, sd 4", "counts of 0.2"])
def test_the_preview_is_near_a_small_fit(name: str) -> None:
    model = GRID[name]()
    tree = zoo.fit(model, draws=200, tune=200, chains=2, seed=1, thin=1, progress=False)
    z, of_sds = worst(zoo.quick(model), zoo.summary(tree))
    assert z < 1 and of_sds < 2


@pytest.mark.parametrize("of_y", [1e-6, 1e-4, 1e4, 1e6])
@pytest.mark.parametrize("of_x", [1e-3, 1.0, 1e5])
def test_units_of_response_and_covariate_change_units_only(of_y: float, of_x: float) -> None:
    frame = gaussian(slope=0.5, groups=30)
    formula = "y ~ x + treat + (1 + x | g)"
    plain = zoo.quick(zoo.lmm(frame, formula))
    scaled = zoo.quick(zoo.lmm(frame.assign(y=of_y * frame.y, x=of_x * frame.x), formula))
    unit = pd.Series(of_y, plain.index).where(~plain.index.str.contains(r"\[x\]"), of_y / of_x)
    # default priors are rounded to four digits
    np.testing.assert_allclose(scaled["mean"] / unit, plain["mean"], rtol=0.02, atol=0.02)
    np.testing.assert_allclose(scaled["sd"] / unit, plain["sd"], rtol=0.02)


@pytest.mark.parametrize("of_x", [1e-3, 1e5])
@pytest.mark.parametrize("make, build", [(binary, "logistic"), (counts, "poisson")])
def test_units_of_a_covariate_change_units_only(make: Callable[..., pd.DataFrame], build: str, of_x: float) -> None:
    frame = make(slope=0.5, groups=100)
    formula = "y ~ x + treat + (1 + x | g)"
    plain, scaled = (zoo.quick(getattr(zoo, build)(d, formula)) for d in (frame, frame.assign(x=of_x * frame.x)))
    unit = pd.Series(1.0, plain.index).where(~plain.index.str.contains(r"\[x\]"), 1 / of_x)
    np.testing.assert_allclose(scaled["mean"] / unit, plain["mean"], rtol=0.02, atol=0.02)
    np.testing.assert_allclose(scaled["sd"] / unit, plain["sd"], rtol=0.02)


def test_a_response_in_millions_is_near_what_made_it() -> None:
    rng = np.random.default_rng(4)
    g, x = np.repeat(np.arange(12), 20), 1e6 * rng.normal(size=240)
    y = 1e6 + 2 * x + 1e6 * (rng.normal(size=12)[g] + rng.normal(size=240))
    found = zoo.quick(zoo.lmm(pd.DataFrame({"g": [f"g{i}" for i in g], "x": x, "y": y}), "y ~ x + (1 | g)"))["mean"]
    assert found["beta[x]"] == pytest.approx(2, abs=0.25)
    assert found["sigma"] == pytest.approx(1e6, rel=0.15)
    assert found["sd_g[Intercept]"] == pytest.approx(1e6, rel=0.5)


def test_a_preview_that_leaves_subjects_out_says_so() -> None:
    card = zoo.card("absent_or_rare")
    with pytest.warns(
        zoo.ZooWarning,
        match=r"^this preview leaves out 58 of 161 subjects of 'pop', those with zeros only: its coefficients may be two "
        r"posterior standard deviations off, and its standard deviations too small; sample with fit before using them$",
    ):
        zoo.quick(card.model())


def test_a_preview_of_subjects_who_are_all_at_risk_is_silent() -> None:
    frame = counts(intercept=2.0)
    with pytest.warns(zoo.ZooWarning, match="all were at risk"):
        model = zoo.never_at_risk(frame, F, subject="g")
    zoo.quick(model)  # warnings are errors here


def test_a_preview_of_an_association_says_that_it_is_too_near_zero() -> None:
    with pytest.warns(
        zoo.ZooWarning,
        match=r"^this preview regresses the event on estimates of the markers: its rows assoc\[\.\.\.\] may be too near 0 by more "
        r"than a posterior standard deviation; sample with fit before using them$",
    ):
        zoo.quick(zoo.card("pbc").model())


STATIONARY: dict[str, Callable[..., np.ndarray]] = {
    "binary, sd 4": lambda y, eta: -np.logaddexp(0, np.where(y == 1, -eta, eta)),
    "counts, sd 2": lambda y, eta: stats.poisson.logpmf(y, np.exp(eta)),
    "zero-inflated, zi": lambda y, eta, zi: (
        np.where(y == 0, np.logaddexp(zi, -np.exp(eta)), stats.poisson.logpmf(y, np.exp(eta))) - np.logaddexp(0, zi)
    ),
}


@pytest.mark.parametrize("name", STATIONARY)
def test_it_is_the_stationary_point_of_the_variational_fit(name: str) -> None:
    """Mean, covariance and sds solve their equations, with scores and curvatures by the trapezoid rule of densities in SciPy."""
    model = GRID[name]()
    y = np.asarray(model.frame["y"].values, float)
    found = approximate(model)
    assert found is not None
    for prefix, q in found.predictors.items():
        others = [other for p, other in found.predictors.items() if p != prefix]
        score, curvature = dense(lambda *etas, p=prefix: STATIONARY[name](y, *(etas[::-1] if p else etas)), q, others)
        data, (u,), (V,), (S,) = q.data, q.u, q.V, q.S
        X = np.hstack([data.D, np.eye(len(u))[data.codes[0]] * data.z[0]])
        prior = np.append(data.precision, np.full(len(u), 1 / S[0, 0]))
        slope = X.T @ score - prior * np.append(q.b, u[:, 0]) + np.append(data.score, np.zeros(len(u)))
        C = np.linalg.inv((X * np.maximum(curvature, 0)[:, None]).T @ X + np.diag(prior))
        assert np.max(np.abs(C @ slope) / np.sqrt(np.diag(C))) < 0.05
        np.testing.assert_allclose(np.diag(q.covariance), np.diag(C)[: len(q.b)], rtol=0.05)
        np.testing.assert_allclose(V[:, 0, 0], np.diag(C)[len(q.b) :], rtol=0.05)
        sd, known = np.sqrt(S[0, 0]), 1 - V[:, 0, 0] / S[0, 0]
        slope_of_log_sd = np.sum(u[:, 0] ** 2 / S[0, 0] - known) + 1 - sd  # its prior is Exponential(1)
        assert abs(slope_of_log_sd) < 0.05 * np.sum(known)


def dense(density: Callable[..., np.ndarray], q: Any, others: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Scores and curvatures (n,) of a predictor, averaged over it and the other one."""
    h = np.linspace(-6, 6, 97)
    weights = stats.norm.pdf(h) / stats.norm.pdf(h).sum()
    sd, aside = np.sqrt(q.variance), [[]]
    score, curvature = np.zeros(len(sd)), np.zeros(len(sd))
    if others:
        aside = [[others[0].mean + k * np.sqrt(others[0].variance)] for k in h]
    for beside, weight in zip(aside, weights if others else [1.0], strict=True):
        f = np.array([density(q.mean + k * sd, *beside) for k in h])
        score += weight * (weights * h @ f) / sd
        curvature -= weight * (weights * (h**2 - 1) @ f) / sd**2
    return score, curvature


def test_a_preview_that_has_not_settled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximation, "ROUNDS", 5)
    with pytest.raises(zoo.FitError, match="did not converge for this model; sample it with fit"):
        zoo.quick(GRID["binary, sd 4"]())


@pytest.mark.parametrize(("prob", "z"), [(0.95, 1.959964), (0.5, 0.6744898)])
def test_intervals_of_many_rows_are_those_of_least_squares(prob: float, z: float) -> None:
    """Of the intercept at zero of a covariate far from it, too, where it is known a hundred times less well than at the mean."""
    rng, n = np.random.default_rng(6), 2000
    x = 50 + rng.normal(size=n)
    d = pd.DataFrame({"x": x, "y": 1 + 0.5 * x + 2 * rng.normal(size=n)})
    X = np.column_stack([np.ones(n), x])
    b = np.linalg.lstsq(X, d.y, rcond=None)[0]
    sd = np.sqrt(np.diag(np.linalg.inv(X.T @ X)) * ((d.y - X @ b) ** 2).sum() / (n - 2))
    found = zoo.quick(zoo.lmm(d, "y ~ x"), prob=prob)
    for k, name in enumerate(("Intercept", "beta[x]")):
        row = found.loc[name]
        assert abs(row["mean"] - b[k]) < 0.1 * sd[k] and row["sd"] == pytest.approx(sd[k], rel=0.02)
        np.testing.assert_allclose((row["upper"] - row["mean"], row["mean"] - row["lower"]), z * row["sd"], rtol=1e-6)


def test_correlated_residuals_have_no_preview() -> None:
    row = next(row for row in REFERENCES if row.file == "beat_the_blues_ar1")
    model = zoo.hierarchical_linear(data_set(row.data), row.formula, **row.options)
    with pytest.raises(
        FitError,
        match=r"^quick takes rows as independent, and the residuals of one subject are correlated here; sample",
    ):
        zoo.quick(model)
