"""Ordered categories: responses and their order, thresholds and their prior, densities in the tails, limit cases."""

from __future__ import annotations

import ast
import io
import shlex

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import row_models
from pytensor.graph.traversal import ancestors
from rows import ratings
from scipy import special, stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.families import ordered_categories, ordinal
from glmm_zoo.families.links import PROBABILITY_LINKS
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.registry import builders
from glmm_zoo.tables.files import RawTable
from glmm_zoo.tables.frames import take_columns

LAWS = {"logit": stats.logistic, "probit": stats.norm, "cloglog": stats.gumbel_l}
KINDS = [("cumulative", "logit"), ("cumulative", "probit"), ("cumulative", "cloglog"),
         ("sratio", "logit"), ("sratio", "probit"), ("sratio", "cloglog"), ("acat", "logit")]  # fmt: skip
every_kind = pytest.mark.parametrize(("family", "link"), KINDS)
every_link = pytest.mark.parametrize("link", LAWS)

# ------------------------------------------------------------------------------------------------------------ responses

THRESHOLD_FAMILIES = {
    "cumulative": ordinal.CUMULATIVE,
    "sratio": ordinal.STOPPING_RATIO,
    "acat": ordinal.ADJACENT_CATEGORY,
}


def outcome(column, levels=None, formula: str = "r ~ 1") -> Outcome:
    frame = column if isinstance(column, RawTable) else pd.DataFrame({"r": column, "n": 3})
    parsed = parse_formula(formula)
    assert parsed.response is not None
    return ordered_categories.read_ordered(
        take_columns(frame, ["r"]), parsed.response, ordered_categories.level_names(levels)
    )


SCALE = ["mild", "none", "severe", "mild"]
IN_ORDER = ["none", "mild", "severe"]
CODES = [1, 0, 2, 1]


def _parquet(frame: pd.DataFrame) -> pa.Table:
    file = io.BytesIO()
    frame.to_parquet(file)
    return pq.read_table(io.BytesIO(file.getvalue()))


PANDAS = pd.DataFrame({"r": pd.Categorical(SCALE, categories=IN_ORDER, ordered=True)})
DECLARED = {
    "pandas": PANDAS,
    "polars": pl.DataFrame({"r": pl.Series(SCALE, dtype=pl.Enum(IN_ORDER))}),
    "arrow": pa.table({"r": pa.DictionaryArray.from_arrays(CODES, IN_ORDER, ordered=True)}),
    "parquet": RawTable(_parquet(PANDAS), "a.parquet"),
}


@pytest.mark.parametrize("frame", DECLARED.values(), ids=list(DECLARED))
def test_a_declared_order_survives(frame):
    column = take_columns(frame, ["r"])["r"]
    assert column.ordered and column.levels == tuple(IN_ORDER)
    found = ordered_categories.read_ordered(take_columns(frame, ["r"]), parse_formula("r ~ 1").response)  # type: ignore[arg-type]
    assert found.levels == tuple(IN_ORDER)
    assert found.values.tolist() == CODES
    assert "none < mild < severe" in found.description


def test_order_is_kept_when_rows_are_dropped():
    frame = pd.DataFrame({"r": pd.Categorical([*SCALE, None], categories=IN_ORDER, ordered=True)})
    assert take_columns(frame, ["r"], "drop")["r"].ordered


CODINGS = {
    "integers": ([2, 1, 3, 2], None, ("1", "2", "3")),
    "from 0, as floats": ([1.0, 0.0, 2.0, 1.0], None, ("0", "1", "2")),
    "negative": ([0, -1, 1, 0], None, ("-1", "0", "1")),
    "integers as text": (["10", "9", "11", "10"], None, ("9", "10", "11")),
    "integers as category": (pd.Categorical([10, 9, 11, 10]), None, ("9", "10", "11")),
    "two": ([1, 0, 1, 1], None, ("0", "1")),
    "labels in a list": (SCALE, IN_ORDER, tuple(IN_ORDER)),
    "labels in a text": (SCALE, "none, mild,severe", tuple(IN_ORDER)),
    "levels of a gap": ([2, 1, 4, 2], [1, 2, 4], ("1", "2", "4")),
    "never seen": ([2, 1, 3, 2], [1, 2, 3, 4], ("1", "2", "3", "4")),
    "never seen at an end": (SCALE, "none,mild,severe,fatal", (*IN_ORDER, "fatal")),
    "with a comma": (["b, c", "a", "d", "b, c"], ["a", "b, c", "d"], ("a", "b, c", "d")),
    "levels of a gap in text": ([2, 1, 4, 2], "1,2.0,4", ("1", "2", "4")),
    "halves": ([1.5, 1, 2, 1.5], [1, 1.5, 2], ("1", "1.5", "2")),
    "reversed": ([2, 3, 1, 2], np.array([3, 2, 1]), ("3", "2", "1")),
    "against the declared order": (pd.Categorical(SCALE, categories=IN_ORDER[::-1], ordered=True), IN_ORDER, tuple(IN_ORDER)),
}  # fmt: skip


@pytest.mark.parametrize(("column", "levels", "expected"), CODINGS.values(), ids=list(CODINGS))
def test_codings(column, levels, expected):
    found = outcome(column, levels)
    assert found.levels == expected
    assert found.values.tolist() == (CODES if len(expected) > 2 else [1, 0, 1, 1])


WRONG = {
    "text": (["b", "a", "c"], None, r"'r' has text levels without an order \('a', 'b', 'c'\); list all of them from lowest to highest(?!.*a,b,c)"),
    "text with commas": (["b", "a, or d", "c"], None, r"levels=\[\"lowest\", .*; on the command line, as labels have commas, --option levels='\[\"lowest\", "),
    "numbered text": (["Grade 10", "Grade 2", "Grade 1"], None, r'if they are in this order, say so.*--option levels="Grade 1,Grade 2,Grade 10"'),
    "unordered category": (pd.Categorical(SCALE), None, r"text levels without an order \('mild', 'none', 'severe'\)"),
    "numbers with a slip": (["1", "2", "1,5o"], None, r"'1,5o', row 3"),
    "gap": ([1, 2, 4, 1], None, r"1, 2, 4 but level 3 never occurs; .*--option levels=\"1,2,4\"; if it is one, .*levels=\"1,2,3,4\""),
    "never seen": (pd.Categorical(["a", "c"], categories=list("abc"), ordered=True), None, r"'b' never occurs.*levels=\['a', 'c'\]"),
    "not in levels": (SCALE, "none,mild", r"'severe' \(row 3\), not one of levels=none, mild"),
    "number not in levels": ([1, 2, 4], [1, 2], r"'4' \(row 3\)"),
    "one value": ([3, 3, 3], None, r"single value \(3\) in every row"),
    "one level": (["a", "a"], ["a"], r"single value \(a\)"),
    "fractions": ([1, 2, 2.5, 1.5], None, r"2 values not whole \(2.5, rows 3, 4\).*hierarchical_linear"),
    "many": (range(30), None, r"30 values \(0 to 29\).*poisson"),
    "logical": ([True, False], None, r"logicals.*hierarchical_logistic"),
    "dates": (pd.to_datetime(["2024-01-01", "2024-02-01"]), None, "dates"),
    "levels twice": (SCALE, "none,mild,none", "'none' twice"),
    "levels empty": (SCALE, "", "empty name"),
    "no levels": (SCALE, [], "empty name"),
    "levels a number": ([1, 2], 2, "levels is a list .* not 2"),
}  # fmt: skip


@pytest.mark.parametrize(("column", "levels", "words"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_response_is_told(column, levels, words):
    with pytest.raises(InputError, match=words):
        outcome(column, levels)


@pytest.mark.parametrize(
    ("formula", "words"), [("r | trials(n) ~ 1", "trials"), ("log(r) ~ 1", "make the column first")]
)
def test_a_response_that_is_no_column_is_told(formula, words):
    with pytest.raises(InputError, match=words):
        outcome([1, 2, 3], formula=formula)


BUILDS = {
    "nominal not in the formula": ("rating ~ x + (1 | g)", {"nominal": "~ x + arm"}, r"'arm\[mid\]', 'arm\[zero\]' must be in the formula"),
    "nominal with groups": ("rating ~ x + (1 | g)", {"nominal": "~ x + (1 | g)"}, "without group terms"),
    "nominal of nothing": ("rating ~ x + (1 | g)", {"nominal": "~ 1"}, "names no column"),
    "nominal of two levels": ("reply ~ x + (1 | g)", {"nominal": "~ x", "levels": "no,yes"}, "at least 3 levels"),
    "nominal of another family": ("rating ~ x + (1 | g)", {"nominal": "~ x", "family": "sratio"}, "family 'cumulative'"),
    "link": ("rating ~ x", {"link": "log"}, "unknown link 'log'"),
    "family": ("rating ~ x", {"family": "adjacent"}, "unknown family 'adjacent'; known: cumulative, sratio, acat"),
    "link of acat": ("rating ~ x", {"family": "acat", "link": "probit"}, "acat.*logit"),
    "prior of an intercept": ("rating ~ x", {"priors": {"Intercept": "Normal(0, 1)"}}, r"unknown parameter 'Intercept'.*cutpoints"),
    "effect for every row": ("rating ~ x + (1 | row)", {}, "72 levels for 72 rows"),
    "constant column": ("rating ~ x + I(x - x)", {}, "zero in every row"),
}  # fmt: skip


@pytest.mark.parametrize(("formula", "options", "words"), BUILDS.values(), ids=list(BUILDS))
def test_a_wrong_model_is_told(formula, options, words):
    with pytest.raises(InputError, match=words):
        zoo.ordinal(ratings().assign(row=range(72)), formula, **options)


# ------------------------------------------------------------------------------------------------------------- densities


def log_mass(link: str, a: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """log of the integral of the density from a to a + gap by Gauss-Legendre, on the log scale throughout."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    x = a[..., None] + gap[..., None] * (nodes + 1) / 2
    return special.logsumexp(LAWS[link].logpdf(x) + np.log(weights / 2), axis=-1) + np.log(gap)


def compiled(inputs, value, wrt, mode: str | None):
    """The value and the gradients of its sum; for JAX by its own differentiation, as the sampler has it."""
    if mode is None:
        return pytensor.function(inputs, [value, *pt.grad(value.sum(), wrt)])
    import jax
    from pytensor.compile.mode import get_mode
    from pytensor.graph.fg import FunctionGraph
    from pytensor.link.jax.dispatch import jax_funcify

    jax.config.update("jax_enable_x64", True)
    fgraph = FunctionGraph(inputs, [value], clone=True)
    get_mode("JAX").optimizer.rewrite(fgraph)
    f = jax_funcify(fgraph)
    gradient = jax.grad(lambda *x: f(*x)[0].sum(), argnums=[inputs.index(v) for v in wrt])
    return lambda *x: [f(*x)[0], *gradient(*x)]


REACH = {"logit": 600.0, "probit": 60.0, "cloglog": 4.0}  # the quadrature's, above


@pytest.mark.parametrize("mode", [None, "JAX"])
@every_link
def test_the_mass_between_two_points_is_that_of_quadrature(link, mode):
    a, gap = (
        v.ravel()
        for v in np.meshgrid(np.linspace(-min(600.0, REACH[link] * 150), REACH[link], 81), np.geomspace(1e-12, 2.0, 40))
    )
    if link == "probit":
        a = a / 150
    x, g = (pt.tensor(name, shape=a.shape, dtype="float64") for name in ("x", "g"))
    run = compiled([x, g], PROBABILITY_LINKS[link].log_between(x, x + g, g), [x, g], mode)
    value, da, dgap = (np.asarray(v) for v in run(a, gap))
    np.testing.assert_allclose(value, log_mass(link, a, gap), rtol=1e-10, atol=1e-10)
    h = 1e-5 * np.maximum(1.0, abs(a))
    expected = (log_mass(link, a + h, gap) - log_mass(link, a - h, gap)) / (2 * h)
    np.testing.assert_allclose(da, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(dgap[gap < 1e-3] * gap[gap < 1e-3], 1.0, rtol=1e-1)


@pytest.mark.parametrize(("family", "link", "mode"), [*((*k, None) for k in KINDS), *((*k, "JAX") for k in KINDS[:3])])
def test_density_and_gradient_are_finite_at_extreme_predictors(family, link, mode):
    top, of = 4, THRESHOLD_FAMILIES[family]
    y, eta, c = (pt.tensor(name, shape=(size,), dtype="float64") for name, size in (("y", 25), ("eta", 25), ("c", 4)))
    value = of.log_f(PROBABILITY_LINKS[link], y, eta, ordinal.threshold_steps(c), pt.zeros_like(y, dtype="int64"), top)
    run = compiled([y, eta, c], value, [eta, c], mode)
    levels, at = (v.ravel() for v in np.meshgrid(np.arange(5.0), [-500.0, -40.0, 0.0, 40.0, 500.0]))
    for cutpoints in (np.array([-2.0, -1.0, 0.5, 2.0]), np.array([-1e-6, 0.0, 1e-9, 1.0])):
        for found in run(levels, at, cutpoints):
            assert np.isfinite(np.asarray(found)).all()


@every_kind
def test_probabilities_are_positive_and_sum_to_one(family, link):
    top, n, rng = 5, 400, np.random.default_rng(1)
    wide = 3.0 if link == "cloglog" else 30.0  # e^e^x leaves the floating-point numbers soon
    cutpoints = np.sort(rng.normal(0, wide, top)) if family == "cumulative" else rng.normal(0, wide, top)
    eta = rng.normal(0, wide, n)
    log_p = _log_probabilities(
        family, link, eta, ordinal.threshold_steps(pt.as_tensor(cutpoints)), np.zeros(n, int), top
    )
    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(np.exp(log_p).sum(axis=0), 1.0, rtol=1e-10)


@every_link
def test_probabilities_under_nominal_effects_are_positive_and_sum_to_one(link):
    top, n, rng = 5, 300, np.random.default_rng(2)
    patterns, pattern = rng.normal(size=(40, 2)), rng.integers(0, 40, n)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        cutpoints = np.sort(rng.normal(0, 1.0, top))
        gamma = rng.normal(0, 1.5 if link == "cloglog" else 6.0, 8)  # steps e^-30 to e^30 times as long
        steps = ordinal.threshold_steps(pt.as_tensor(cutpoints), pt.as_tensor(patterns), pt.as_tensor(gamma))
        assert (steps[:, 1:].eval() > 0).all()
        log_p = _log_probabilities("cumulative", link, np.clip(rng.normal(0, 2, n), -4, 4), steps, pattern, top)
        if link == "cloglog":  # beyond: P(Y > k) = exp(-e^710)
            log_p = log_p[:, (np.cumsum(steps.eval(), axis=1).max(axis=1) < 600)[pattern]]
        assert log_p.shape[1] > 100 and np.isfinite(log_p).all()
        np.testing.assert_allclose(np.exp(log_p).sum(axis=0), 1.0, rtol=1e-9)


def _log_probabilities(family, link, eta, steps, pattern, top) -> np.ndarray:
    y = pt.dvector("y")
    value = THRESHOLD_FAMILIES[family].log_f(
        PROBABILITY_LINKS[link], y, pt.as_tensor(eta), steps, pt.as_tensor(pattern), top
    )
    run = pytensor.function([y], value)
    return np.stack([run(np.full(len(eta), float(k))) for k in range(top + 1)])


def test_no_matrix_of_rows_by_categories_is_made():
    y, eta, c = pt.dvector("y"), pt.dvector("eta"), pt.dvector("c")
    value = THRESHOLD_FAMILIES["cumulative"].log_f(
        PROBABILITY_LINKS["logit"], y, eta, ordinal.threshold_steps(c), pt.zeros_like(y, dtype="int64"), 6
    )
    matrices = [v for v in ancestors([value]) if getattr(v.type, "ndim", 0) > 1]
    assert matrices and not any({y, eta} & set(ancestors([v])) for v in matrices)


# ------------------------------------------------------------------------------------------------------------ limit cases


@pytest.mark.parametrize(
    ("family", "link", "center"),
    [
        ("cumulative", "logit", True),
        ("cumulative", "probit", False),
        ("sratio", "probit", True),
        ("acat", "logit", False),
    ],
)
@pytest.mark.promise("limits")
def test_two_categories_are_logistic(family, link, center):
    d, formula, prior = ratings(), "ill ~ x + arm + (1 | g)", "StudentT(3, 0, 2.5)"
    yes = zoo.ordinal(d, formula, family=family, link=link, center=center, priors={"cutpoints": prior})
    no = zoo.logistic(d, formula, link=link, center=center, priors={"Intercept": prior})
    ours, theirs = ("cutpoints_at_means", "Intercept_at_means") if center else ("cutpoints", "Intercept")
    point = row_models.random_point(no, 3)
    there = dict(point)
    value = yes.rvs_to_values[yes[ours]].name
    there[value] = np.array([-there.pop(theirs)])
    reported = row_models.function(yes, yes.replace_rvs_by_values([yes["cutpoints"]]))(there)[0]
    intercept = row_models.function(no, no.replace_rvs_by_values([no["Intercept"]]))(point)[0]
    np.testing.assert_allclose(reported, [-intercept], rtol=1e-12)
    pointwise = [
        row_models.function(m, m.logp(vars=m.observed_RVs, sum=False))(p)[0] for m, p in ((yes, there), (no, point))
    ]
    np.testing.assert_allclose(*pointwise, rtol=1e-12)
    total = [row_models.function(m, [m.logp()])(p)[0] for m, p in ((yes, there), (no, point))]
    np.testing.assert_allclose(*total, rtol=1e-9)


@pytest.mark.parametrize(("family", "link"), [("cumulative", "logit"), ("cumulative", "probit"), ("acat", "logit")])
def test_the_scale_turned_round_changes_signs_only(family, link):
    d, formula = ratings(), "rating ~ x + (1 | g)"
    one = zoo.ordinal(d, formula, family=family, link=link, center=False)
    other = zoo.ordinal(d, formula, family=family, link=link, center=False, levels=[4, 3, 2, 1])
    assert list(other.coords["cutpoint"]) == ["4|3", "3|2", "2|1"]
    rng = np.random.default_rng(2)
    c, beta, u = np.sort(rng.normal(size=3)), rng.normal(size=1), rng.normal(size=(9, 1))
    first = natural(one, cutpoints=c, beta=beta, u_g=u)
    second = natural(other, cutpoints=-c[::-1], beta=-beta, u_g=-u)
    np.testing.assert_allclose(first, second, rtol=1e-10)


def natural(model, **values: np.ndarray) -> np.ndarray:
    """Pointwise log-likelihood at values of the variables themselves, whatever their transforms."""
    from pymc.logprob.basic import conditional_logp

    known = {rv: rv.type() for rv in model.free_RVs}
    (observed,) = model.observed_RVs
    terms = conditional_logp({**known, observed: model.rvs_to_values[observed]})
    pointwise = terms[model.rvs_to_values[observed]]
    given = [np.asarray(values.get(rv.name, np.ones(tuple(rv.shape.eval())))) for rv in known]
    return pytensor.function(list(known.values()), pointwise, on_unused_input="ignore")(*given)


def test_nominal_effects_of_zero_are_proportional_odds():
    d, formula = ratings(), "rating ~ x + v + (1 | g)"
    plain, varying = zoo.ordinal(d, formula), zoo.ordinal(d, formula, nominal="~ x + v")
    rng = np.random.default_rng(4)
    values = {
        "cutpoints_at_means": np.sort(rng.normal(size=3)),
        "beta": rng.normal(size=2),
        "u_g": rng.normal(size=(9, 1)),
    }
    expected = natural(plain, **values)
    np.testing.assert_allclose(natural(varying, **values, nominal_beta=np.zeros(4)), expected, rtol=1e-12)
    assert abs(natural(varying, **values, nominal_beta=np.full(4, 0.3)) - expected).max() > 0.01


@pytest.mark.parametrize("formula", ["rating ~ 0 + arm + x + (1 | g)", "rating ~ arm + x - 1 + (1 | g)"])
def test_the_intercept_may_be_left_out_in_words(formula):
    plain = zoo.ordinal(ratings(), "rating ~ arm + x + (1 | g)", nominal="~ arm")
    without = zoo.ordinal(ratings(), formula, nominal="~ 0 + arm")
    assert without.coords == plain.coords and "Intercept" not in without.named_vars
    point = row_models.random_point(plain, 1)
    a, b = (row_models.function(m, [m.logp()])(point)[0] for m in (plain, without))
    assert a == b


def test_cutpoints_alone_are_a_model():
    model = zoo.ordinal(ratings(), "rating ~ 1")
    assert [v.name for v in model.free_RVs] == ["cutpoints"]
    c, d = np.array([-1.0, 0.2, 1.5]), ratings()
    shares = np.diff(np.concatenate([[0.0], special.expit(c), [1.0]]))
    np.testing.assert_allclose(natural(model, cutpoints=c), np.log(shares[d.rating - 1]), rtol=1e-12)


# -------------------------------------------------------------------------------------------------- prior of the cutpoints

PRIOR_CASES = {
    "StudentT(3, 0, 2.5)": stats.t(3, 0, 2.5),
    "Normal(1, 0.5)": stats.norm(1, 0.5),
    "Uniform(-3, 4)": stats.uniform(-3, 7),
    "Exponential(0.5)": stats.expon(scale=2),
}


@pytest.mark.parametrize("text", PRIOR_CASES)
def test_each_cutpoint_has_the_priors_density_in_order(text):
    model = zoo.ordinal(ratings(), "rating ~ x + (1 | g)", center=False, priors={"cutpoints": text})
    c = model["cutpoints"]
    value = model.rvs_to_values[c].name
    run = row_models.function(
        model, [*model.replace_rvs_by_values([c]), *(model.logp(vars=[c], jacobian=j) for j in (False, True))]
    )
    for seed in range(3):
        point = row_models.random_point(model, seed, scale=1.0)
        cutpoints, plain, with_jacobian = run(point)
        assert (np.diff(cutpoints) > 0).all()
        np.testing.assert_allclose(plain, PRIOR_CASES[text].logpdf(cutpoints).sum(), rtol=1e-10)
        J = row_models.jacobian(lambda x: run({**point, value: x})[0], point[value])  # noqa: B023
        np.testing.assert_allclose(with_jacobian - plain, np.linalg.slogdet(J)[1], rtol=1e-6, atol=1e-7)
    start = row_models.function(model, [*model.replace_rvs_by_values([c]), model.logp()])(model.initial_point())
    assert (np.diff(start[0]) > 0).all() and np.isfinite(start[1])


@pytest.mark.parametrize("text", ["StudentT(3, 0, 2.5)", "Exponential(0.5)"])
def test_prior_draws_are_sorted_independent_draws(text):
    model = zoo.ordinal(ratings(), "rating ~ x + (1 | g)", center=False, priors={"cutpoints": text})
    drawn = pm.draw(model["cutpoints"], draws=2000, random_seed=3)
    assert (np.diff(drawn) > 0).all()
    for k in range(3):  # the k-th of three in order, Beta(k + 1, 3 - k) on the scale of the distribution function
        assert stats.kstest(PRIOR_CASES[text].cdf(drawn[:, k]), stats.beta(k + 1, 3 - k).cdf).pvalue > 1e-3


def test_sampling_starts_at_the_observed_shares():
    model = zoo.ordinal(ratings(), "rating ~ x + (1 | g)")
    c = row_models.function(model, model.replace_rvs_by_values([model["cutpoints_at_means"]]))(model.initial_point())[0]
    np.testing.assert_allclose(
        special.expit(c), ratings().rating.value_counts(normalize=True).sort_index().cumsum()[:-1]
    )


@pytest.mark.parametrize("family", ["cumulative", "sratio"])
def test_centring_moves_only_the_prior_of_the_cutpoints(family):
    d, formula = ratings(), "rating ~ x + arm + (1 | g)"
    yes, no = (zoo.ordinal(d, formula, family=family, center=center) for center in (True, False))
    rng = np.random.default_rng(7)
    at_means, beta, u = np.sort(rng.normal(size=3)), rng.normal(size=3), rng.normal(size=(9, 1))
    means = np.array([d.x.mean(), (d.arm == "mid").mean(), (d.arm == "zero").mean()])
    shifted = at_means + means @ beta
    a = natural(yes, cutpoints_at_means=at_means, beta=beta, u_g=u)
    np.testing.assert_allclose(natural(no, cutpoints=shifted, beta=beta, u_g=u), a, rtol=1e-11)
    point = row_models.random_point(yes, 1)
    values = row_models.function(
        yes, yes.replace_rvs_by_values([yes[v] for v in ("cutpoints_at_means", "cutpoints", "beta")])
    )
    free, reported, b = values(point)
    np.testing.assert_allclose(reported, free + means @ b, rtol=1e-12)


@pytest.mark.parametrize("labels", [("Agree", "Disagree, a bit", 'it\'s "bad"'), ("0", "1", "3"), (" a", "b", "c")])
def test_orders_in_messages_are_right_when_pasted(labels):
    text = ordered_categories.order_option("levels", labels)
    python, _, command = text.partition(", on the command line --option ")
    python = python.removeprefix("levels=")
    assert ordered_categories.level_names(ast.literal_eval(python)) == labels
    (pasted,) = shlex.split(command)
    name, _, value = pasted.partition("=")
    assert ordered_categories.level_names(builders()["ordinal"].read_options({name: value}, [])["levels"]) == labels
