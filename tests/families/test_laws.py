"""Responses between bounds and beyond limits: densities, moments and draws are SciPy's, and graphs have the slopes of differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.gradient import grad
from scipy import integrate, special, stats
from scipy.special import gamma

from glmm_zoo.families.family import Family
from glmm_zoo.families.partly_observed import partly_observed
from glmm_zoo.families.registry import FAMILIES, negative_binomial_family
from glmm_zoo.families.tensors import as_it_stands
from glmm_zoo.formulas.grammar import parse_formula

LAWS: dict[str, tuple[Family, dict[str, float], Any]] = {  # family, own parameters, SciPy's distribution
    "gaussian": (FAMILIES["gaussian"], {"sigma": 0.7}, lambda eta: stats.norm(eta, 0.7)),
    "student_t": (FAMILIES["student_t"], {"sigma": 0.7, "nu": 4.5}, lambda eta: stats.t(4.5, eta, 0.7)),
    "lognormal": (FAMILIES["lognormal"], {"sigma": 0.7}, lambda eta: stats.lognorm(0.7, scale=np.exp(eta))),
    "gamma": (FAMILIES["gamma"], {"shape": 1.7}, lambda eta: stats.gamma(1.7, scale=np.exp(eta) / 1.7)),
    "weibull": (
        FAMILIES["weibull"], {"shape": 1.7}, lambda eta: stats.weibull_min(1.7, scale=np.exp(eta) / gamma(1 + 1 / 1.7)),
    ),
    "poisson": (FAMILIES["poisson"], {}, lambda eta: stats.poisson(np.exp(eta))),
    "nb2": (FAMILIES["negative_binomial"], {"alpha": 1.7}, lambda eta: stats.nbinom(1.7, 1.7 / (1.7 + np.exp(eta)))),
    "nb1": (
        negative_binomial_family("negative_binomial", "nb1"), {"alpha": 1.7},
        lambda eta: stats.nbinom(1.7 * np.exp(eta), 1.7 / 2.7),
    ),
}  # fmt: skip
Y = np.array([1.0, 2.0, 3.0, 5.0])
ETA = np.linspace(-1.5, 3.0, 6)[:, None]


def seen(name: str, left: str) -> Family:
    response = parse_formula(f"{left} ~ 1").response
    assert response is not None
    return partly_observed(LAWS[name][0], response)


def own_of(name: str) -> dict[str, np.ndarray]:
    family, own, _ = LAWS[name]
    return {of.name: of.on_its_scale(np.array([[own[of.name]]])) for of in family.own}


def scipy_mass(law: Any, low: Any, high: Any) -> np.ndarray:
    """log P(low < Y <= high), of the tail that is smaller."""
    below, above = law.cdf(high) - law.cdf(low), law.sf(low) - law.sf(high)
    return np.log(np.where(law.cdf(high) < law.sf(low), below, above))


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("bounds", [(1.0, np.inf), (-np.inf, 6.0), (0.5, 6.0), (1.0, 6.0)])
def test_truncated_density_mean_and_variance(name: str, bounds: tuple[float, float]) -> None:
    family, own, law = seen(name, "y | trunc({}, {})".format(*np.clip(bounds, -1e9, 1e9)) if np.isfinite(bounds).all() else (
        f"y | trunc(lb = {bounds[0]})" if np.isfinite(bounds[0]) else f"y | trunc(ub = {bounds[1]})"
    )), own_of(name), LAWS[name][2](ETA)  # fmt: skip
    counts, (lb, ub) = family.responses == "count", bounds
    log_f = law.logpmf(Y) if counts else law.logpdf(Y)
    log_all = scipy_mass(law, np.ceil(lb) - 1 if counts else lb, ub)
    found = family.log_density(Y, ETA, own, family.links[0], None)
    np.testing.assert_allclose(found, log_f - log_all, rtol=1e-9, atol=1e-9)
    natural = {key: np.array([[value]]) for key, value in LAWS[name][1].items()}
    mean, variance = (m[:, 0] for m in family.moments(ETA, natural, family.links[0]))
    for i, eta in enumerate(ETA[:, 0]):
        one = LAWS[name][2](eta)
        if counts:
            k = np.arange(np.ceil(max(lb, 0)), min(ub, 3000) + 1)
            p = one.pmf(k) / one.pmf(k).sum()
            expected = p @ k, p @ k**2 - (p @ k) ** 2
        else:
            low, high = max(lb, one.support()[0]), ub
            z, m, s = (
                integrate.quad(lambda y, j=j, one=one: y**j * one.pdf(y), low, high, limit=200)[0] for j in range(3)
            )
            expected = m / z, s / z - (m / z) ** 2
        np.testing.assert_allclose((mean[i], variance[i]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LAWS)
def test_censored_density(name: str) -> None:
    family, law = seen(name, "y | cens(c, z)"), LAWS[name][2](ETA)
    trials = np.array([[0, 1.0], [-1, 2.0], [1, 3.0], [2, 7.0]])
    found = family.log_density(Y, ETA, own_of(name), family.links[0], trials)
    f = law.logpmf(Y) if family.responses == "count" else law.logpdf(Y)
    expected = np.column_stack([f[:, 0], law.logcdf(2.0)[:, 0], law.logsf(3.0)[:, 0], scipy_mass(law, 5.0, 7.0)[:, 0]])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


def test_bounds_and_limits_together_are_those_of_what_can_be_seen() -> None:
    family, law = seen("gaussian", "y | trunc(lb = 0, ub = 6) + cens(c)"), LAWS["gaussian"][2](ETA)
    trials = np.array([[0, 1.0], [-1, 2.0], [1, 3.0], [0, 5.0]])
    found = family.log_density(Y, ETA, own_of("gaussian"), "identity", trials) + scipy_mass(law, 0.0, 6.0)
    f = law.logpdf(Y)
    expected = [f[:, 0], scipy_mass(law, 0.0, 2.0)[:, 0], scipy_mass(law, 3.0, 6.0)[:, 0], f[:, 3]]
    np.testing.assert_allclose(found, np.column_stack(expected), rtol=1e-9)


def test_a_poisson_count_truncated_at_one_is_the_count_of_a_hurdle() -> None:
    family = seen("poisson", "y | trunc(lb = 1)")
    hurdle = FAMILIES["hurdle_poisson"].log_density(Y, ETA, {"zi": np.array([[-700.0]])}, "log", None)
    np.testing.assert_allclose(family.log_density(Y, ETA, {}, "log", None), hurdle, rtol=1e-12)


@pytest.mark.parametrize("size", [0.02, 0.3, 1.0, 30.0, 900.0, 5000.0])
def test_tails_far_out(size: float) -> None:
    """Of shapes and degrees of freedom small and large, to where SciPy's own tails lose all digits."""
    log_size = np.array([[np.log(size)]])
    y = np.geomspace(1e-3, 1e3, 25)
    cases = (
        ("gamma", {"shape": log_size}, stats.gamma(size, scale=1 / size), y),
        ("student_t", {"sigma": np.zeros((1, 1)), "nu": np.array([[size]])}, stats.t(size), np.r_[-y, y]),
        ("negative_binomial", {"alpha": log_size}, stats.nbinom(size, size / (size + 3)), np.arange(1.0, 60)),
    )
    for name, own, law, at in cases:
        log_mass, eta = FAMILIES[name].law.log_mass, np.array([[np.log(3.0) if "nom" in name else 0.0]])  # type: ignore[union-attr]
        for found, expected in (
            (log_mass(-np.inf, at, eta, own), law.cdf(at)),
            (log_mass(at, np.inf, eta, own), law.sf(at)),
        ):
            known = expected > 1e-280
            assert np.isfinite(found).all() and known.sum() > 5
            np.testing.assert_allclose(found[0, known], np.log(expected[known]), rtol=2e-9, atol=1e-9)


@pytest.mark.parametrize("size", [0.03, 1.0, 100.0, 200_000.0])
@pytest.mark.parametrize("name", ["gamma", "student_t"])
def test_of_one_shape_for_all_rows_tails_are_interpolated(name: str, size: float) -> None:
    """Values against SciPy, and slopes against those of integrals with a shape for each row."""
    steps = np.linspace(-8, 8, 81)
    near = (1 + steps / np.sqrt(size))[steps > -0.9 * np.sqrt(size)] if name == "gamma" else steps
    y = np.concatenate([near, np.geomspace(1e-3, 1e3, 61), *([] if name == "gamma" else [-np.geomspace(8, 1e4, 40)])])
    law = stats.gamma(size, scale=1 / size) if name == "gamma" else stats.t(size)
    eta, shape = pt.vector("eta"), pt.scalar("shape")
    given = np.log(size) if name == "gamma" else size
    for low, high, of_scipy in ((y, np.inf, law.sf(y)), (-np.inf, y, law.cdf(y))):
        known = (of_scipy > 1e-250) & (y > 0 if name == "gamma" else True)
        found = []
        for of_rows in (shape, shape + 0.0 * eta):
            own = {"shape": of_rows} if name == "gamma" else {"sigma": pt.constant(0.0), "nu": of_rows}
            ends = [np.asarray(x)[known] if np.ndim(x) else x for x in (low, high)]
            log_p = FAMILIES[name].law.log_mass(*ends, eta, own)  # type: ignore[union-attr]
            outputs = [log_p, *grad(log_p.sum(), [eta, shape])]
            run = pytensor.function([eta, shape], outputs, mode=as_it_stands(), on_unused_input="ignore")
            found.append(run(np.zeros(known.sum()), given))
        (value, by_eta, by_shape), (_, eta_again, shape_again) = found
        np.testing.assert_allclose(value, np.log(of_scipy[known]), rtol=2e-10, atol=1e-13)
        np.testing.assert_allclose(by_eta, eta_again, rtol=5e-10, atol=1e-250)
        np.testing.assert_allclose(by_shape, shape_again, rtol=1e-10)


@pytest.mark.parametrize("most", [10, 24, 40, 60])
@pytest.mark.parametrize("size", [0.001, 0.3, 3.0, 100.0])
def test_few_counts_are_summed_and_many_are_tails(size: float, most: int) -> None:
    """P(Y < n) and P(Y >= n) of n up to where sums end and beyond, of means from 3e-4 to 8e3, to where SciPy's lose their digits."""
    n, eta = np.unique(np.r_[1.0, 2.0, 3.0, most // 2, most - 1, most]), np.linspace(-8, 9, 35)[:, None]
    mu = np.exp(eta)
    for name, own, law in (
        ("poisson", {}, stats.poisson(mu)),
        ("negative_binomial", {"alpha": np.full((1, 1), np.log(size))}, stats.nbinom(size, size / (size + mu))),
    ):
        log_mass = FAMILIES[name].law.log_mass  # type: ignore[union-attr]
        for found, expected in (
            (log_mass(-np.inf, n - 1, eta, own), law.cdf(n - 1)),
            (log_mass(n - 1, np.inf, eta, own), law.sf(n - 1)),
        ):
            known = expected > 1e-250
            assert np.isfinite(found).all() and known.sum() > 50
            np.testing.assert_allclose(found[known], np.log(expected[known]), rtol=5e-9, atol=5e-9)


@pytest.mark.parametrize("n", [41.0, 300.0, 20_000.0])
def test_poisson_tails_from_one_limit_on_are_interpolated(n: float) -> None:
    """Values against SciPy; the slope of log P(Y >= n) in eta is n f(n) / P(Y >= n)."""
    at = np.log(n) + np.concatenate([np.linspace(-8, 8, 61) / np.sqrt(n), np.linspace(-6, 2, 41)])
    eta, law = pt.vector("eta"), stats.poisson(np.exp(at))
    log_mass = FAMILIES["poisson"].law.log_mass  # type: ignore[union-attr]
    ends, none = np.full(len(at), n - 1), np.full(len(at), np.inf)
    for low, high, of_scipy, sign in ((ends, none, law.sf(n - 1), 1.0), (-none, ends, law.cdf(n - 1), -1.0)):
        log_p = log_mass(low, high, eta, {})
        run = pytensor.function([eta], [log_p, grad(log_p.sum(), eta)], mode=as_it_stands())
        (value, slope), known = run(at), (of_scipy > 1e-200) & (law.pmf(n) > 1e-250)
        assert known.sum() > 60
        np.testing.assert_allclose(value[known], np.log(of_scipy[known]), rtol=2e-9, atol=1e-12)
        np.testing.assert_allclose(slope[known], sign * n * law.pmf(n)[known] / of_scipy[known], rtol=2e-8, atol=1e-200)


@pytest.mark.parametrize("n", [[1.0, 2.0, 10.0], [2.0, 15.0, 24.0], [3.0, 30.0, 60.0]])
def test_slopes_of_probabilities_of_counts(n: list[float]) -> None:
    """Through both sides of every switch, and far out."""
    import pytensor.tensor as pt

    from glmm_zoo.inference.kernel.density import GraphCompiler

    law, at_least = FAMILIES["negative_binomial"].law, np.array(n) - 1
    assert law is not None
    v = pt.vector("x", shape=(2,))
    graph = pt.sum(law.log_mass(at_least, np.inf, v[0] + pt.zeros(3), {"alpha": v[1]}))
    density, slope = GraphCompiler([v], [(2,)]).with_gradient(graph), np.zeros(2)

    def of_numpy(x: np.ndarray) -> float:
        return float(law.log_mass(at_least, np.inf, np.full((1, 3), x[0]), {"alpha": np.full((1, 1), x[1])}).sum())

    for x in ([-9.0, 0.3], [-2.0, 0.5], [0.4, 1.5], [2.5, -1.0], [3.5, 6.0], [-1.0, -5.0], [60.0, 0.0]):
        np.testing.assert_allclose(density(np.array(x), slope), of_numpy(np.array(x)), rtol=1e-10, atol=1e-12)
        h = 1e-5 * np.eye(2)
        expected = [(of_numpy(x + e) - of_numpy(x - e)) / 2e-5 for e in h]
        np.testing.assert_allclose(slope, expected, rtol=2e-6, atol=1e-6)


def score_beyond(n: float, eta: float, size: float, at_least: bool) -> tuple[float, float, float]:
    """log P(Y >= n) or log P(Y < n), and what the slopes of log f(Y) in eta and log a are on average there: sums over the counts, or of
    what is not small those of the others, of which all slopes add up to 0."""
    mu, a = np.exp(eta), min(size, 1e15)
    law = stats.nbinom(size, size / (size + mu)) if np.isfinite(size) else stats.poisson(mu)
    others = at_least and law.sf(n - 1) > 1e-3
    k = np.arange(n, n + 80 * (1 + mu / size) + 10 * np.sqrt(n)) if at_least and not others else np.arange(n)
    log_sum = special.logsumexp(law.logpmf(k))
    share = np.exp(law.logpmf(k) - log_sum)
    by_size = a * (special.digamma(k + a) - special.digamma(a) - np.log1p(mu / a) - (k - mu) / (a + mu))
    slopes = np.array([share @ ((k - mu) / (1 + mu / size)), share @ by_size])
    if others:
        return np.log(law.sf(n - 1)), *(slopes * -np.exp(log_sum) / law.sf(n - 1))
    return log_sum, *slopes


@pytest.mark.parametrize("size", [0.05, 2.0, 40.0, 900.0, np.inf])
@pytest.mark.parametrize("shared", [True, False], ids=["one size", "a size for each row"])
def test_tails_of_counts_in_machine_code_are_sums_with_the_score_as_slope(size: float, shared: bool) -> None:
    """Limits that differ between rows, to 2,000 counts: of few, sums; of many or far out, continued fractions; and sums by a table of 500
    rows or more."""
    from glmm_zoo.inference.kernel.density import GraphCompiler

    n = np.repeat([1.0, 2.0, 7.0, 33.0, 60.0, 250.0, 690.0, 2000.0], 9)
    near = np.linspace(-4, 4, 9) * np.sqrt(1 / n + 1 / size).reshape(-1, 9)
    eta = np.clip(np.log(n).reshape(-1, 9) + near, -6, 7.5).ravel()
    rows = 8 if shared else 1  # times each
    v = pt.vector("x", shape=(rows * len(n) + 1,))
    many, log_a = v[:-1], v[-1] if shared else v[-1] + 0.0 * v[:-1]
    name, own = ("poisson", {}) if np.isinf(size) else ("negative_binomial", {"alpha": log_a})
    weight, x = (
        np.random.default_rng(1).uniform(0, 1, len(n)),
        np.r_[np.tile(eta, rows), 0.0 if np.isinf(size) else np.log(size)],
    )
    for at_least in (True, False):
        ends = (np.tile(n - 1, rows), np.inf) if at_least else (-np.inf, np.tile(n - 1, rows))
        log_p = FAMILIES[name].law.log_mass(*ends, many, own)  # type: ignore[union-attr]
        whole, slope = (
            GraphCompiler([v], [x.shape]).with_gradient(pt.sum(np.tile(weight, rows) * log_p)),
            np.zeros(len(x)),
        )
        found = whole(x, slope)
        log_p, by_eta, by_size = np.array([score_beyond(k, e, size, at_least) for k, e in zip(n, eta, strict=True)]).T
        np.testing.assert_allclose(found, rows * weight @ log_p, rtol=1e-9)
        np.testing.assert_allclose(slope[:-1], np.tile(weight * by_eta, rows), rtol=2e-8, atol=1e-10)
        if own:
            np.testing.assert_allclose(slope[-1], rows * weight @ by_size, rtol=2e-8, atol=1e-7)


@pytest.mark.parametrize("name", LAWS)
def test_slopes_of_graphs_are_those_of_differences(name: str) -> None:
    """The kernel knows all of it, and its rows are those of NumPy."""
    import pytensor.tensor as pt

    from glmm_zoo.inference.kernel.density import GraphCompiler

    law, own = LAWS[name][0].law, own_of(name)
    assert law is not None
    x = np.array([0.4, *(value.item() for value in own.values())])
    low, high = np.array([-np.inf, 2.0, 1.0]), np.array([1.0, np.inf, 4.0])
    v = pt.vector("x", shape=(len(x),))
    graph = pt.sum(law.log_mass(low, high, v[0] + pt.constant(np.array([0.1, -0.4, 0.9])), {
        key: v[1 + j] for j, key in enumerate(own)
    }))  # fmt: skip
    density = GraphCompiler([v], [x.shape]).with_gradient(graph)

    def of_numpy(x: np.ndarray) -> float:
        return float(law.log_mass(low, high, x[0] + np.array([[0.1, -0.4, 0.9]]), {
            key: x[1 + j].reshape(1, 1) for j, key in enumerate(own)
        }).sum())  # type: ignore[union-attr]  # fmt: skip

    slope = np.zeros(len(x))
    np.testing.assert_allclose(density(x, slope), of_numpy(x), rtol=1e-12)
    h = 1e-5
    expected = [(of_numpy(x + h * e) - of_numpy(x - h * e)) / (2 * h) for e in np.eye(len(x))]
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("left", ["y | trunc(1, 4)", "y | trunc(lb = 12)"])
def test_draws_obey_the_bounds_and_have_the_mean(name: str, left: str) -> None:
    family, rng = seen(name, left), np.random.default_rng(1)
    own = {key: np.array([[value]]) for key, value in LAWS[name][1].items()}
    eta = np.full((1, 4000), 0.8)
    y = family.draw(rng, eta, own, family.links[0])  # type: ignore[misc]
    assert family.bounds is not None and y.min() >= family.bounds[0] and y.max() <= family.bounds[1]
    mean, variance = (m.item(0) for m in family.moments(eta[:, :1], own, family.links[0]))
    assert abs(y.mean() - mean) < 5 * np.sqrt(variance / y.size) + 1e-9 * mean
