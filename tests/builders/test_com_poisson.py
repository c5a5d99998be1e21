"""Conway-Maxwell-Poisson counts: the sums of the distribution, its limits, draws, and glmmTMB's likelihood."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import row_models
from reference_posteriors import reference
from rows import visits
from scipy import stats
from scipy.special import gammaln

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.families import com_poisson
from glmm_zoo.families.conway_maxwell import MANY_ROWS, Sums, conway_maxwell, possible
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.kernel import machine
from glmm_zoo.inference.kernel.density import GraphCompiler

GRID = [
    (mu, nu)
    for nu in (0.15, 0.5, 1.0, 1.7, 5.0, 30.0, 300.0)
    for mu in (0.003, 0.3, 1.01, 2.5, 9.0, 45.0, 60.0, 301.0, 700.0)
    if nu >= 0.5 or mu < 100
]


def exact(mu: float, nu: float) -> list[float]:
    """The sums in extended precision, over all counts that have any weight, with lambda by bisection."""
    j = np.arange(int(mu + 60 * np.sqrt(mu / nu) + 60 / nu + 200), dtype=np.longdouble)
    f = np.concatenate([[0], np.cumsum(np.log(j[1:]))])

    def weights(rate):
        w = np.exp(rate * j - nu * f - np.max(rate * j - nu * f))
        return w / w.sum()

    low, high = (np.longdouble(x) for x in (np.log(mu) - 5 - 5 * nu, max(nu, 1) * (np.log(mu + 1) + 5)))
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (middle, high) if weights(middle) @ j < mu else (low, middle)
    p = weights(low)
    most = np.max(low * j - nu * f)
    log_norm = np.log(np.exp(low * j - nu * f - most).sum()) + most
    return [float(x) for x in (low, log_norm, p @ (j - mu) ** 2, p @ f, p @ ((j - mu) * (f - p @ f)))]


def by_kernel(eta: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """The five sums (5, n) in machine code."""
    import pytensor.tensor as pt

    of, _ = com_poisson._operations()
    x, y = pt.vector("eta", shape=(len(eta),)), pt.vector("nu", shape=(len(eta),))
    run, _ = GraphCompiler([x, y], [(len(eta),)] * 2).outputs([of(name)(x, y, y) for name in Sums._fields])
    out = np.zeros(5 * len(eta))
    run(np.concatenate([eta, nu]), out)
    return out.reshape(5, -1)


def test_sums_are_those_over_all_counts():
    mu, nu = np.array(GRID).T
    expected = np.array([exact(*pair) for pair in GRID]).T
    each = np.array([conway_maxwell(np.log(m), n) for m, n in GRID]).T  # alone, and all at once
    rtol = np.array([1e-10, 1e-10, 1e-6, 1e-10, 1e-6])[:, None]
    for found in (
        each,
        np.array(conway_maxwell(np.log(mu), nu)),
        by_kernel(np.log(mu), nu),
        by_kernel(np.log(mu[:5]), nu[:5]),
    ):
        wanted = expected[:, : found.shape[1]]
        assert (np.abs(found - wanted) < rtol * np.maximum(np.abs(wanted), 1.0)).all()


def not_interpolated(eta: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """The sums (5, n), of nu of which no two neighbours are the same."""
    nu = nu * (1 + 4e-16 * (np.arange(len(eta)) % 2))
    return np.array(conway_maxwell(eta, possible(eta, nu)))


@pytest.mark.slow
def test_numpys_sums_of_many_draws_and_rows_are_interpolated():
    rng = np.random.default_rng(1)
    for log_nu in (-4.0, -1.0, 0.0, 1.0, 1.45, 3.0):
        eta, nu = rng.uniform(-7.0, 7.0, (30, 300)), np.exp(log_nu + rng.normal(0, 0.05, (30, 1)))
        found = np.array(conway_maxwell(eta, possible(eta, nu))).reshape(5, -1)
        expected = not_interpolated(eta.ravel()[:3000], np.repeat(nu, 300)[:3000])
        error = np.abs(found[:, :3000] - expected) / np.maximum(np.abs(expected), 0.1)
        assert (error.max(axis=1) < [1e-8, 1e-8, 1e-7, 1e-7, 1e-6]).all()


def test_sums_with_a_common_nu_are_interpolated():
    """In a table that is used for one nu after another, beyond its ends, and where it is not smooth enough."""
    import pytensor.tensor as pt

    of, _ = com_poisson._operations()
    eta = np.random.default_rng(0).permutation(np.linspace(-7.0, 8.5, MANY_ROWS + 103))
    x, y = pt.vector("eta", shape=eta.shape), pt.vector("nu", shape=(1,))
    sums = [of(name)(x, possible(x, y[0]), y[0]) for name in Sums._fields]
    compiler = GraphCompiler([x, y], [eta.shape, (1,)])
    assert len(compiler.translate(sums[0]).items.item().args) == 3
    run, _ = compiler.outputs(sums)
    for nu in (0.03, 0.4, 1.0, 2.2, 4.4, 4.6, 17.0, 300.0, 1.0):
        out = np.zeros(5 * len(eta))
        run(np.append(eta, nu), out)
        expected = not_interpolated(eta, np.full(len(eta), nu))
        error = np.abs(out.reshape(5, -1) - expected) / np.maximum(np.abs(expected), 1e-3)
        assert (error.max(axis=1) < [1e-10, 1e-10, 1e-8, 1e-9, 1e-8]).all()


@pytest.mark.parametrize("lanes", [8, 4, 2])
def test_sums_with_a_nu_for_each_row_are_interpolated(lanes, monkeypatch):
    """Within the table, whose cells are filled by points beside those that are asked for, and beyond its ends."""
    monkeypatch.setattr(machine, "_lanes", lambda: lanes)
    rng, n = np.random.default_rng(2), 2003
    eta, nu = rng.uniform(-6.5, 6.0, n), np.exp(rng.uniform(np.log(0.05), np.log(20.0), n))
    eta[: n // 2], nu[: n // 2] = rng.uniform(-2.0, 2.0, n // 2), rng.uniform(3.5, 4.6, n // 2)  # where least smooth
    nu = possible(eta, nu)
    order = np.lexsort((eta, nu))  # so that lanes are within the table together
    found, expected = by_kernel(eta[order], nu[order]), not_interpolated(eta[order], nu[order])
    error = np.abs(found - expected) / np.maximum(np.abs(expected), 0.1)
    assert (error.max(axis=1) < [1e-10, 2e-10, 3e-8, 1e-9, 5e-8]).all()


def test_far_out_the_code_agrees_with_numpy_and_is_a_number():
    eta, log_nu = map(
        np.ravel,
        np.meshgrid([-600.0, -45.0, -39.0, 0.4, 3.0, 5.5, 8.3, 12.0, 290.0], [-300.0, -5.0, -3.0, 0.0, 3.0, 9.0]),
    )
    nu = possible(eta, np.exp(log_nu))
    ours, code = np.array(conway_maxwell(eta, nu)), by_kernel(eta, nu)
    assert np.isfinite(ours).all() and np.isfinite(code).all()
    np.testing.assert_allclose(code[:2], ours[:2], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("mu", "log_nu"), [(100.0, -300.0), (300.0, -300.0), (4400.0, -4.0), (1e6, -300.0)])
def test_counts_of_extreme_overdispersion_are_of_one_distribution(mu, log_nu):
    """With the least nu that is possible: draws have the moments of the density, which sums to 1."""
    eta = np.log(mu)
    nu = possible(eta, np.exp(log_nu))
    found = conway_maxwell(eta, nu)
    y = com_poisson.quantile((np.arange(4000) + 0.5) / 4000, eta, np.exp(log_nu))
    assert y.mean() == pytest.approx(mu, rel=2e-3) and y.std() == pytest.approx(np.sqrt(found.variance), rel=1e-2)
    at = np.arange(mu + 40 * min(np.sqrt(found.variance), mu)) if mu < 1e4 else np.quantile(y, [0.02, 0.5, 0.98])

    def log_f(log_nu, eta=eta):
        return com_poisson.COM_POISSON.log_density(at, np.full(len(at), eta), {"nu": np.array(log_nu)}, "log", None)

    if mu < 1e4:
        below = np.cumsum(np.exp(log_f(log_nu)))
        assert below[-1] == pytest.approx(1.0, abs=1e-8)
        np.testing.assert_allclose(
            np.searchsorted(below, [0.1, 0.5, 0.9]), np.quantile(y, [0.1, 0.5, 0.9]), rtol=3e-3, atol=1
        )
    np.testing.assert_array_equal(log_f(log_nu), log_f(log_nu - 1))


def test_nu_of_one_is_poisson_and_a_large_one_the_two_nearest_counts():
    y, mu = np.arange(60.0), 3.3

    def log_f(nu):
        return com_poisson.COM_POISSON.log_density(y, np.full(60, np.log(mu)), {"nu": np.log(nu)}, "log", None)

    np.testing.assert_allclose(log_f(1.0), stats.poisson.logpmf(y, mu), rtol=1e-11)
    np.testing.assert_allclose(np.exp(log_f(400.0))[[3, 4]], [0.7, 0.3], atol=1e-9)
    for nu in (0.4, 2.5):
        f = np.exp(log_f(nu))
        assert f.sum() == pytest.approx(1.0, abs=1e-9) and f @ y == pytest.approx(mu, abs=1e-7)
        assert (f @ (y - mu) ** 2 < mu) == (nu > 1)


def test_zeros_and_moments_are_those_of_the_sums():
    for mu, nu in GRID[9:27]:
        _, log_norm, variance, *_ = exact(mu, nu)
        mean, square, above = com_poisson._count_alone(np.array([np.log(mu)]), {"nu": np.array(nu)})
        np.testing.assert_allclose([mean[0], square[0] - mu**2], [mu, variance], rtol=1e-6)
        assert above[0] == pytest.approx(-np.expm1(-log_norm), rel=1e-9)


@pytest.mark.parametrize(("mu", "nu"), [(0.2, 3.0), (4.0, 0.4), (4.0, 6.0), (900.0, 2.0)])
def test_draws_are_of_the_distribution(mu, nu):
    y = com_poisson.quantile((np.arange(20000) + 0.5) / 20000, np.log(mu), nu)
    assert (np.diff(y) >= 0).all() and (y == np.round(y)).all()
    sd = np.sqrt(conway_maxwell(np.log(mu), np.array(nu)).variance)
    assert y.mean() == pytest.approx(mu, abs=2e-3 * sd) and y.std() == pytest.approx(sd, rel=3e-3)
    if mu < 100:
        at = np.arange(4.0)
        f = np.exp(at * conway_maxwell(np.log(mu), np.array(nu)).log_rate - nu * gammaln(at + 1))
        np.testing.assert_allclose(
            [np.mean(y == k) for k in at], f / np.exp(conway_maxwell(np.log(mu), np.array(nu)).log_norm), atol=2e-4
        )


def test_likelihood_is_glmmtmbs_at_its_maximum():
    """compois of glmmTMB: the same mean, 1 / nu its dispersion."""
    card, peer = zoo.card("nitrofen"), reference("nitrofen_maximum")
    *beta, log_phi = (p["estimate"] for p in peer["parameters"].values())
    model = zoo.com_poisson(pd.read_csv(card.data_path), "young ~ C(brood) * C(conc)", center=False)
    values = {"Intercept": beta[0], "beta": np.array(beta[1:]), "nu_log__": -log_phi}
    (found,) = row_models.function(model, [model.observedlogp])({k: np.array(v) for k, v in values.items()})
    assert found == pytest.approx(peer["log_likelihood"], abs=1e-6)


def test_it_is_a_family_of_other_builders_in_machine_code():
    frame = visits().assign(c=lambda d: np.minimum(d.c, 6))
    models = [
        zoo.gamm(frame, "c ~ s(x, k=4) + (1 | g)", family="com_poisson", dispersion="~ x", zi="~ w", exposure="days"),
        zoo.joint_outcomes(frame, {"ill ~ x + (1 |p| g)": "bernoulli", "c ~ x + (1 |p| g)": "compois"}),
        row_models.survival_model(families="com_poisson"),
    ]
    for model in models:
        compiled = compile_model(model)
        value, gradient = compiled.value_and_gradient(compiled.start)
        assert compiled.program is not None and np.isfinite(value) and np.isfinite(gradient).all()
        of = compiled.value_and_gradient
        numerical = row_models.jacobian(lambda x, of=of: np.array([of(x)[0]]), compiled.start)[0]
        np.testing.assert_allclose(gradient, numerical, rtol=1e-4, atol=1e-4)


def test_wrong_input_is_told():
    for formula, options, words in (
        ("y ~ x", {}, "needs whole numbers"),
        ("c ~ x", {"priors": {"alpha": "Exponential(1)"}}, "unknown parameter 'alpha'"),
        ("c ~ x", {"priors": {"nu": "Normal(0, 1)"}}, "nu is a number > 0|nu .*positive"),
        ("c ~ x", {"dispersion": "~ z"}, "no column 'z'"),
    ):
        with pytest.raises(InputError, match=words):
            zoo.com_poisson(visits(), formula, **options)
