"""The compiler behind the sampler: its functions against SciPy, its gradients against PyTensor's own."""

from __future__ import annotations

import threading

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
import row_models
from pytensor import function
from pytensor.gradient import grad
from rows import ROWS, visits
from scipy import special

import glmm_zoo as zoo
from glmm_zoo.families.rising import rising_slope
from glmm_zoo.graph.recurrences import back, onward, predicted
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.compile_jax import _jax, _lower
from glmm_zoo.inference.kernel import expression, machine
from glmm_zoo.inference.kernel.density import GraphCompiler
from glmm_zoo.inference.kernel.emit import Store, emit
from glmm_zoo.inference.kernel.expression import SPARSE, Expressions, UnsupportedError
from glmm_zoo.inference.kernel.machine import InCoordinates, Program
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.results.storage import metadata

MACHINE_FUNCTIONS = {
    "exp": (np.exp, [(-708, 709), (-1, 1), (-1e-3, 1e-3)]),
    "expm1": (np.expm1, [(-40, 300), (-1, 1), (-1e-3, 1e-3)]),
    "log": (np.log, [(0, 2), (0, 1e300), (0, 1e-300)]),
    "log1p": (np.log1p, [(-1, 1), (0, 1e300)]),
    "lgamma": (special.gammaln, [(1e-6, 30), (0, 1e6)]),
    "digamma": (special.psi, [(1e-6, 30), (0, 1e6)]),
    "erfc": (special.erfc, [(-5, 5), (0, 20)]),
    "sqrt": (np.sqrt, [(0, 1e300)]),
}


def shapes_of(model):
    point = model.initial_point()
    return [np.shape(point[v.name]) for v in model.value_vars]


def flat(model, point) -> np.ndarray:
    return np.concatenate([np.ravel(point[v.name]) for v in model.value_vars]).astype(float)


@pytest.mark.parametrize("name", list(MACHINE_FUNCTIONS))
@pytest.mark.promise("kernel")
def test_functions_equal_scipy(name):
    peer, ranges = MACHINE_FUNCTIONS[name]
    n = 1003  # a length that leaves a remainder
    E = Expressions()
    program = Program(E, [Store(E(name, E.load(0, 1, 0, n)), 0, 0, 1, n)], None, [0], [0])
    for low, high in ranges:
        x, out = np.random.default_rng(1).uniform(low, high, n), np.zeros(n)
        program(x, out)
        np.testing.assert_allclose(out, peer(x), rtol=2e-14, atol=5e-15)
    if name in ("expm1", "log1p"):  # small values keep their digits
        x = np.random.default_rng(2).uniform(-1e-9, 1e-9, n)
        program(x, out)
        np.testing.assert_allclose(out, peer(x), rtol=1e-15, atol=0)


@pytest.mark.parametrize("most", [3, 40, 60, 3000])  # all products, some, and Stirling's series
@pytest.mark.parametrize("log_a", [(-700.0, -30.0), (-30.0, 3.0), (1.5, 2.7), (-3.0, 30.0), (6.0, 8.0)])
def test_rising_factorials_and_their_slopes_are_sums_of_logarithms(most, log_a):
    n, rng, E = 1003, np.random.default_rng(1), Expressions()
    y, a = rng.integers(0, most + 1, n).astype(float), rng.uniform(*log_a, n)
    known = E.constant(y)
    log_a = E.load(0, 1, 0, n)
    nodes = [E(name, known, log_a, E("exp", log_a)) for name in ("log_rising", "rising_slope")]
    program = Program(E, [Store(node, 0, k * n, 1, n) for k, node in enumerate(nodes)], None, [0], [0])
    out = np.zeros(2 * n)
    program(a, out)
    j = np.arange(1, most)
    counts, ratio = j < y[:, None], j / np.exp(a)[:, None]
    value = (np.log1p(ratio) * counts).sum(axis=1)
    slope = -(np.where(np.isinf(ratio), 1.0, ratio / (1 + ratio)) * counts).sum(axis=1)
    value = np.where(a < -300, ((np.log(j) - a[:, None]) * counts).sum(axis=1), value)
    np.testing.assert_allclose(out[:n], value, rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(out[n:], slope, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        rising_slope(y, np.maximum(a, -30.0)), np.where(a < -30, np.minimum(1 - y, 0), slope), rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize(
    ("name", "x", "value"),
    [
        ("exp", -800.0, 0.0), ("exp", 800.0, np.inf), ("exp", np.nan, np.nan), ("exp", -np.inf, 0.0),
        ("log", 0.0, -np.inf), ("log", -1.0, np.nan), ("log", np.inf, np.inf), ("log", 5e-324, np.log(5e-324)),
        ("log1p", -1.0, -np.inf), ("log1p", np.inf, np.inf), ("log1p", 1e-300, 1e-300), ("expm1", -800.0, -1.0),
    ],
)  # fmt: skip
def test_functions_at_their_ends(name, x, value):
    E = Expressions()
    program = Program(E, [Store(E(name, E.load(0, 1, 0, 9)), 0, 0, 1, 9)], None, [0], [0])
    out = np.zeros(9)
    program(np.full(9, x), out)
    np.testing.assert_array_equal(out, value)


@pytest.mark.parametrize("name", [row.name for row in ROWS])
@pytest.mark.promise("kernel")
def test_density_gradient_and_variables_equal_pytensors(name):
    model, _ = parameterize(row_models.build(next(row for row in ROWS if row.name == name)), "auto")
    density = model.logp()
    outputs = [*model.replace_rvs_by_values(model.unobserved_RVs), *model.logp(vars=model.observed_RVs, sum=False)]
    compiled = GraphCompiler(model.value_vars, shapes_of(model))
    whole, (variables, shapes) = compiled.with_gradient(density), compiled.outputs(outputs)
    options = {"on_unused_input": "ignore"}
    peer = function(model.value_vars, [density, *grad(density, model.value_vars), *outputs], **options)
    for seed in (1, 2):
        point = row_models.random_point(model, seed)
        x = flat(model, point)
        value, *rest = peer(*(point[v.name] for v in model.value_vars))
        gradient, found = np.full(len(x), np.nan), np.zeros(sum(int(np.prod(s)) for s in shapes))
        np.testing.assert_allclose(whole(x, gradient), value, rtol=1e-11)
        k = len(model.value_vars)
        np.testing.assert_allclose(gradient, np.concatenate([np.ravel(g) for g in rest[:k]]), rtol=1e-8, atol=1e-9)
        variables(x, found)
        assert [np.shape(v) for v in rest[k:]] == shapes
        np.testing.assert_allclose(found, np.concatenate([np.ravel(v) for v in rest[k:]]), rtol=1e-10, atol=1e-12)


def test_the_slope_of_softplus_keeps_its_digits_and_is_right_at_zero():
    x = pt.vector("x", shape=(24,))
    at = np.repeat([-700.0, -27.0, 0.0, 0.0, 27.0, 700.0], 4)
    for density, slope in ((pt.softplus(x), special.expit(at)), (pt.softplus(-x), -special.expit(-at))):
        gradient = np.zeros(24)
        GraphCompiler([x], [(24,)]).with_gradient(pt.sum(density))(at, gradient)
        np.testing.assert_allclose(gradient, slope, rtol=1e-14)


LONG = np.arange(40) % 23
GRAPHS = {
    "cumulative sums, joined": lambda x, y: pt.sum(pt.cumsum(y) * pt.concatenate([y[:3], y[3:]])),
    "gather of a gather": lambda x, y: pt.sum(pt.exp(x[LONG])[LONG[::-1]] * y[LONG % 5]),
    "scatter": lambda x, y: pt.sum(pt.zeros(7)[LONG % 7].inc(pt.sin(0.0) + x[LONG] ** 2) ** 3),
    "a long vector joined": lambda x, y: pt.sum(pt.concatenate([x, pt.exp(x), y]) ** 2),
    "elements": lambda x, y: x[3] * pt.exp(x)[5] + pt.sum(x[2:9]) * y[-1],
    "reductions": lambda x, y: pt.logsumexp(y) + pt.max(y) + pt.sum(pt.sum(y[:, None] * x[None, :], axis=0) ** 2),
    "predicates": lambda x, y: pt.sum(pt.switch((x > 0.1) & ~(x > 0.5), x**2, -(x**3))) + pt.sum(pt.clip(y, -0.2, 0.3)),
    "set elements": lambda x, y: pt.sum(pt.set_subtensor(y[1:3], pt.exp(y[3:5])) ** 2 * 1.5),
    "one row of a matrix": lambda x, y: (
        pt.exp((np.ones((1, 80)) @ pt.concatenate([x[LONG], x[LONG] ** 2]))[0] / 90) * y[0]
    ),
    "powers": lambda x, y: (
        pt.sum(pt.abs(x) ** 2.5 + pt.sqrt(x**2 + 1) + 1 / (2 + x**4)) + pt.sum(pt.sigmoid(x) * pt.erf(x))
    ),
}


@pytest.mark.parametrize("name", list(GRAPHS))
@pytest.mark.promise("kernel")
def test_gradients_of_graphs_equal_pytensors(name):
    x, y = pt.vector("x", shape=(23,)), pt.vector("y", shape=(5,))
    density = GRAPHS[name](x, y)
    compiled = GraphCompiler([x, y], [(23,), (5,)]).with_gradient(density)
    value = np.random.default_rng(2).normal(size=28)
    gradient = np.zeros(28)
    peer = function(
        [x, y],
        [density, *grad(density, [x, y], disconnected_inputs="ignore")],
        on_unused_input="ignore",
    )
    expected, *rest = peer(value[:23], value[23:])
    np.testing.assert_allclose(compiled(value, gradient), expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, np.concatenate(rest), rtol=1e-10, atol=1e-12)


def test_other_rows_of_the_same_model_share_the_code():
    frame = visits()

    def code(rows: int) -> str:
        model = zoo.poisson(
            frame.assign(n=1 + frame.index % 4).iloc[:rows], "n ~ x + (1 | g)", priors={"beta": "Normal(0, 1)"}
        )
        model, _ = parameterize(model, "auto")
        made = GraphCompiler(model.value_vars, shapes_of(model))
        value = made.translate(model.logp()).items.item()
        return emit(made.E, [Store(value, 0, 0, 1, None)], None, 4).text

    assert code(60) == code(72)


def test_compiled_code_is_kept_for_the_next_process(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []
    compile_code = machine._machine_code
    monkeypatch.setattr(machine, "_machine_code", lambda *args: asked.append(1) or compile_code(*args))
    x = pt.vector("x", shape=(30,))
    for _ in range(2):
        made = GraphCompiler([x], [(30,)]).with_gradient(pt.sum(pt.exp(x)))
        np.testing.assert_allclose(made(np.zeros(30), np.zeros(30)), 30.0)
    assert len(asked) == 1
    (tmp_path / "glmm_zoo" / "native").chmod(0o500)
    GraphCompiler([x], [(30,)]).with_gradient(pt.sum(pt.log1p(x)))  # a folder that cannot be written is no obstacle


def test_many_rows_are_read_in_order_of_their_levels(monkeypatch):
    """The same density and gradient; a domain that the argument or a result lies along keeps its order."""
    rng = np.random.default_rng(3)
    codes, x = rng.integers(0, 30, 500), pt.vector("x", shape=(30,))
    z = pt.constant(rng.normal(size=500))
    density = pt.sum(pt.exp(x[codes] * z)) + pt.sum(pt.log1p(x[codes[::-1] % 7] ** 2) * z)
    value, both = rng.normal(size=30), []
    for large in (10**9, 100):
        monkeypatch.setattr(expression, "LARGE", large)
        made = GraphCompiler([x], [(30,)])
        gradient = np.zeros(30)
        both.append((made.with_gradient(density)(value, gradient), gradient))
    order = expression.rows_in_order(made.E, [made.translate(density).items.item()])
    assert list(order) == [500] and (np.diff(codes[order[500]]) >= 0).all()
    np.testing.assert_allclose(both[0][0], both[1][0], rtol=1e-13)
    np.testing.assert_allclose(both[0][1], both[1][1], rtol=1e-11)


@pytest.mark.parametrize("share", [0.0, 0.02, 1 / SPARSE, 1 / SPARSE + 0.01, 1.0])
def test_products_with_matrices_leave_their_zeros_out(share, monkeypatch):
    """A matrix as NumPy has it, whose numbers keep their order even where a domain has as many that are read in another."""
    monkeypatch.setattr(expression, "LARGE", 100)
    rng = np.random.default_rng(5)
    n, m = 60, 50
    M = np.zeros(n * m)
    M[: round(share * n * m)] = rng.normal(size=round(share * n * m))
    M = rng.permutation(M).reshape(n, m)
    M[7], kept = 0.0, np.count_nonzero(M)
    domain = max(np.count_nonzero(M), 3 * m) if share < 1 else n * m
    codes, z = rng.integers(0, m, domain), rng.normal(size=domain)
    x, w = pt.vector("x", shape=(m,)), rng.normal(size=n)
    density = pt.sum(pt.exp(0.1 * (pt.constant(M) @ x)) * w) + pt.sum(pt.exp(x[codes] / 5) * z)
    made, value, gradient = GraphCompiler([x], [(m,)]), rng.normal(size=m), np.zeros(m)
    found = made.with_gradient(density)(value, gradient)
    eta = M @ value
    np.testing.assert_allclose(found, np.exp(0.1 * eta) @ w + np.exp(value[codes] / 5) @ z, rtol=1e-12)
    of_codes = np.bincount(codes, z, m) * np.exp(value / 5) / 5
    np.testing.assert_allclose(gradient, M.T @ (0.1 * w * np.exp(0.1 * eta)) + of_codes, rtol=1e-10, atol=1e-12)
    held = {len(array) for array in made.E.data}
    assert (n * m in held) == (kept > n * m / SPARSE)


def test_columns_about_their_means_are_kept_by_what_is_unusual_in_them():
    """A factor of many levels; the fit of one whose intercept is at the means of them all."""
    levels = np.repeat(np.arange(60), 3)
    M = (levels[:, None] == np.arange(1, 60)).astype(float)
    M -= M.mean(axis=0)
    x, value, gradient = pt.vector("x", shape=(59,)), np.linspace(-1, 1, 59), np.zeros(59)
    made = GraphCompiler([x], [(59,)])
    found = made.with_gradient(pt.sum(pt.exp(pt.constant(M) @ x)))(value, gradient)
    assert found == pytest.approx(np.exp(M @ value).sum(), rel=1e-13)
    np.testing.assert_allclose(gradient, M.T @ np.exp(M @ value), rtol=1e-11, atol=1e-12)
    assert max(len(array) for array in made.E.data) < M.size / SPARSE
    frame = pd.DataFrame({"y": levels % 5 + 1, "c": [f"c{i}" for i in levels]})
    tree = zoo.fit(zoo.poisson(frame, "y ~ c"), draws=20, tune=20, chains=1, seed=1, progress=False)
    assert "glmm_zoo.kernel" in metadata(tree)["sampling"]["sampler"]


@pytest.mark.parametrize("m", [1, 4, 9])
def test_a_density_in_coordinates(m):
    rng = np.random.default_rng(m)
    v = pt.vector("v", shape=(9,))
    density = GraphCompiler([v], [(9,)]).with_gradient(pt.sum(pt.exp(v) * np.arange(9.0)) + pt.exp(pt.sum(v[2:5])))
    index, mean, root = rng.permutation(9)[:m], rng.normal(size=m), np.tril(rng.normal(size=(m, m)))
    moved = InCoordinates(density, index, mean, root)
    z, by_x, by_z = rng.normal(size=9), np.zeros(9), np.zeros(9)
    x = z.copy()
    x[index] = mean + root @ z[index]
    np.testing.assert_allclose(moved(z, by_z), density(x, by_x), rtol=1e-14)
    by_x[index] = root.T @ by_x[index]
    np.testing.assert_allclose(by_z, by_x, rtol=1e-13)


def test_threads_do_not_meet():
    """Scratch memory is one for each call that runs."""
    model = row_models.build(next(row for row in ROWS if row.name == "binomial crossed"))
    program = GraphCompiler(model.value_vars, shapes_of(model)).with_gradient(model.logp())
    points = [flat(model, row_models.random_point(model, seed)) for seed in range(8)]
    alone = [program(x, np.zeros(len(x))) for x in points]
    wrong = []

    def repeat(x, expected):
        gradient = np.zeros(len(x))
        wrong.extend(1 for _ in range(300) if program(x, gradient) != expected)

    threads = [threading.Thread(target=repeat, args=pair) for pair in zip(points, alone, strict=True)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_graph_that_is_not_known_goes_to_jax(caplog):
    with pm.Model() as model:
        x = pm.Normal("x", shape=30)
        pm.Normal("y", mu=pt.sin(x), observed=np.zeros(30))
    with pytest.raises(UnsupportedError, match="sin"):
        GraphCompiler(model.value_vars, [(30,)]).with_gradient(model.logp())
    with caplog.at_level("INFO", "glmm_zoo"):
        compiled = compile_model(model)
    assert compiled.program is None and "JAX" in caplog.text
    value, gradient = compiled.value_and_gradient(np.full(30, 0.5))
    np.testing.assert_allclose(value, model.compile_logp()({"x": np.full(30, 0.5)}), rtol=1e-10)
    np.testing.assert_allclose(gradient, model.compile_dlogp()({"x": np.full(30, 0.5)}), rtol=1e-8)


# ------------------------------------------------------------------------------------------------------------ recurrences


@pytest.mark.parametrize("n", [2, 40])
def test_recurrences_and_their_gradients_are_those_of_numpy_and_of_finite_differences(n):
    """Elements made one after another: by the kernel, by PyTensor's own evaluation, and by JAX."""
    rng = np.random.default_rng(n)
    x, y, s = pt.vector("x", shape=(n,)), pt.vector("y", shape=(n,)), pt.scalar("s")
    information = rng.uniform(0.0, 2.0, n)
    p = predicted(pt.exp(x), pt.sigmoid(y) * s, information)
    m = onward(pt.sigmoid(y) * s, x * y)
    u = back(m / p, p * x)
    density = (u**2).sum() / n + pt.log(p).sum() + (m * u).sum() / n
    at = np.concatenate([rng.normal(size=2 * n), [0.3]])

    def by_hand(at: np.ndarray) -> float:
        x, y, s = at[:n], at[n:-1], at[-1]
        c, p, m, u = s / (1 + np.exp(-y)), np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1)
        for i in range(n):
            p[i] = np.exp(x[i]) + c[i] * p[i - 1] / (1 + information[i] * p[i - 1])
            m[i] = x[i] * y[i] + c[i] * m[i - 1]
        for i in reversed(range(n)):
            u[i] = p[i] * x[i] + m[i] / p[i] * u[i + 1]
        p, m, u = p[:n], m[:n], u[:n]
        return (u**2).sum() / n + np.log(p).sum() + (m * u).sum() / n

    gradient = np.zeros(2 * n + 1)
    value = GraphCompiler([x, y, s], [(n,), (n,), ()]).with_gradient(density)(at, gradient)
    assert value == pytest.approx(by_hand(at), rel=1e-12)
    places = [0, n - 1, n, 2 * n - 1, 2 * n]
    steps = 1e-6 * np.eye(2 * n + 1)[places]
    expected = [(by_hand(at + step) - by_hand(at - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(gradient[places], expected, rtol=2e-5, atol=1e-6)
    run = function([x, y, s], grad(density, [x, y, s]), mode="FAST_COMPILE")
    np.testing.assert_allclose(np.hstack(run(at[:n], at[n:-1], at[-1])), gradient, rtol=1e-9)
    _jax()
    lowered, data = _lower([density], [x, y, s], [(n,), (n,), ()])
    np.testing.assert_allclose(float(lowered(at[:n], at[n:-1], at[-1], *data)[0]), value, rtol=1e-9)
