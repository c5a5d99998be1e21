"""Links in their tails, codings of binary responses, separation, and rows collapsed to counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytensor
import pytensor.tensor as pt
import pytest
import row_models
from rows import visits
from scipy import stats
from scipy.special import binom, expit, log_expit, log_ndtr, ndtr

from glmm_zoo.errors import InputError
from glmm_zoo.families.binomial import read_binomial, separated
from glmm_zoo.families.gaussian import read_gaussian
from glmm_zoo.families.links import PROBABILITY_LINKS, probability_link
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.tables.frames import take_columns

# ------------------------------------------------------------------------------------------------------------------ links

FAR = {"logit": 700.0, "probit": 1e4, "cloglog": 700.0}
SCIPY = {  # p, log p, log(1 - p); Gompertz minimum for cloglog: p = 1 - exp(-exp(eta))
    "logit": (expit, log_expit, lambda x: log_expit(-x)),
    "probit": (ndtr, log_ndtr, lambda x: log_ndtr(-x)),
    "cloglog": (stats.gumbel_l.cdf, stats.gumbel_l.logcdf, stats.gumbel_l.logsf),
}
LATENT = {"logit": stats.logistic.var(), "probit": stats.norm.var(), "cloglog": stats.gumbel_l.var()}


def etas(name: str) -> np.ndarray:
    near = np.concatenate([np.linspace(-40, 40, 801), [-20.0, np.nextafter(-20, 0), np.nextafter(-20, -30), 20.0, 0.0]])
    return np.concatenate([near, np.linspace(-FAR[name], FAR[name], 401)])


def compiled(name: str, mode: str | None = None):
    x = pt.dvector("x")
    of = PROBABILITY_LINKS[name]
    values = [of.p(x), of.log_p(x), of.log_q(x)]
    return pytensor.function([x], [*values, *(pt.grad(v.sum(), x) for v in values[1:])], mode=mode)


def test_every_link_is_compared():
    assert set(SCIPY) == set(PROBABILITY_LINKS)


@pytest.mark.parametrize("mode", [None, "JAX"])
@pytest.mark.parametrize("name", SCIPY)
def test_links_are_scipys_far_into_the_tails(name, mode):
    eta = etas(name)
    p, log_p, log_q, grad_p, grad_q = (np.asarray(v) for v in compiled(name, mode)(eta))
    expected = [f(eta) for f in SCIPY[name]]
    np.testing.assert_allclose(p, expected[0], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(log_p, expected[1], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(log_q, expected[2], rtol=1e-9, atol=1e-15)
    assert np.isfinite(grad_p).all() and np.isfinite(grad_q).all()
    assert (grad_p >= 0).all() and (grad_q <= 0).all()


@pytest.mark.parametrize("name", SCIPY)
def test_gradients_of_links_are_numerical_ones(name):
    x = np.array([-30.0, -20.5, -19.5, -6.0, -1.0, 0.0, 0.7, 2.0, 3.0])
    *_, grad_p, grad_q = compiled(name)(x)
    h = 1e-5
    for gradient, f in zip((grad_p, grad_q), SCIPY[name][1:], strict=True):
        np.testing.assert_allclose(gradient, (f(x + h) - f(x - h)) / (2 * h), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", SCIPY)
def test_jaxs_own_gradient_of_the_density_is_finite(name):
    """The sampler differentiates by JAX, through both branches of the switch between success and failure."""
    import jax
    from pytensor.compile.mode import get_mode
    from pytensor.graph.fg import FunctionGraph
    from pytensor.link.jax.dispatch import jax_funcify

    jax.config.update("jax_enable_x64", True)
    x, y = pt.dvector("x"), pt.dvector("y")
    of = PROBABILITY_LINKS[name]
    graphs = [pt.switch(y > 0.5, of.log_p(x), of.log_q(x)).sum(), (y * of.log_p(x) + (3 - y) * of.log_q(x)).sum()]
    fgraph = FunctionGraph([x, y], graphs, clone=True)
    get_mode("JAX").optimizer.rewrite(fgraph)
    f = jax_funcify(fgraph)
    eta = etas(name)
    for k in range(2):
        for outcome in (np.zeros_like(eta), np.ones_like(eta)):
            assert np.isfinite(jax.grad(lambda e, o=outcome, k=k: f(e, o)[k])(eta)).all()


@pytest.mark.parametrize("name", SCIPY)
def test_latent_variance_is_that_of_the_error_cut_at_zero(name):
    np.testing.assert_allclose(probability_link(name).latent_variance, LATENT[name])


def test_an_unknown_link_names_the_known_ones():
    with pytest.raises(InputError, match=r"'cauchit'.*logit, probit, cloglog"):
        probability_link("cauchit")


# ---------------------------------------------------------------------------------------------------- codings of responses


def outcome(column, success=None, trials=None) -> Outcome:
    frame = pd.DataFrame({"r": column} | ({} if trials is None else {"n": trials}))
    formula = parse_formula("r ~ 1" if trials is None else "r | trials(n) ~ 1")
    assert formula.response is not None
    return read_binomial(take_columns(frame, formula.columns), formula.response, success)


CODINGS = {
    "0/1": ([0, 1, 1, 0], None, [0, 1, 1, 0]),
    "0.0/1.0": ([0.0, 1.0, 1.0, 0.0], None, [0, 1, 1, 0]),
    "logical": ([False, True, True, False], None, [0, 1, 1, 0]),
    "plainly a success": (["yes", "no", "no", "yes"], None, [1, 0, 0, 1]),
    "declared order": (pd.Categorical(["yes", "no", "no", "yes"], categories=["yes", "no"]), None, [0, 1, 1, 0]),
    "success=label": (["yes", "no", "no", "yes"], "no", [0, 1, 1, 0]),
    "success=1 of 1/2": ([1, 2, 2, 1], 1, [1, 0, 0, 1]),
    "success=2.0 of 1/2": ([1, 2, 2, 1], 2.0, [0, 1, 1, 0]),
    "success=2 of 1.0/2.0": ([1.0, 2.0, 2.0, 1.0], 2, [0, 1, 1, 0]),
    "success=0": ([0, 1, 1, 0], 0, [1, 0, 0, 1]),
    "success=False": ([False, True, True, False], False, [1, 0, 0, 1]),
    "success=1.5": ([1.5, 0.5, 0.5, 1.5], 1.5, [1, 0, 0, 1]),
    "unused level": (pd.Categorical(["b", "a", "a", "b"], categories=["z", "b", "a"]), None, [0, 1, 1, 0]),
}


@pytest.mark.parametrize(("column", "success", "expected"), CODINGS.values(), ids=CODINGS)
def test_codings_of_a_single_trial(column, success, expected):
    found = outcome(column, success)
    assert found.values.tolist() == expected
    assert found.values.dtype == np.float64
    assert found.trials is None


SUCCESSES = [  # the success first
    ("Yes", "No"), ("y", "n"), ("TRUE", "FALSE"), ("positive", "Negative"), ("pos", "neg"), ("Dead", "alive"), ("1", "0"),
    ("present", "absent"), ("Case", "Control"), ("event", "no event"), ("Relapse", "no_relapse"), ("ill", "not ill"),
    ("responder", "non-responder"), ("+", "-"), ("success", "failure"), ("Aware", "Not aware"),
]  # fmt: skip
DOUBTFUL = [
    ("female", "male"), ("f", "m"), ("treated", "control"), ("a", "b"), ("low", "high"), ("yes", "maybe"), ("no", "unknown"),
    ("no pain", "mild"), ("none", "some"), ("no", "never"), ("2", "1"), ("left", "right"), ("better", "worse"),
]  # fmt: skip


@pytest.mark.parametrize("labels", SUCCESSES)
def test_a_label_that_is_plainly_the_success_is_taken_and_said(labels: tuple[str, str]) -> None:
    for column in ([*labels, labels[0]], [labels[1], labels[0], labels[1]]):
        found = outcome(pd.Series(column, dtype=str))
        assert found.values.tolist() == [float(c == labels[0]) for c in column]
        assert found.notes == (
            f"response 'r': {labels[0]!r} is the success and {labels[1]!r} the failure by their names; success= says it otherwise",
        )
        assert outcome(pd.Series(column, dtype=str), labels[1]).notes == ()


@pytest.mark.parametrize("labels", DOUBTFUL)
def test_a_success_is_asked_for_where_it_is_not_plain(labels: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="neither is plainly the success") as refused:
        outcome(pd.Series([*labels], dtype=str))
    assert not any(f"success={label}" in str(refused.value) for label in labels)  # no choice ready to paste
    assert outcome(pd.Series([*labels], dtype=str), labels[1]).values.tolist() == [0, 1]


def test_a_declared_order_and_numbers_need_no_words() -> None:
    assert outcome(pd.Categorical(["b", "a"], categories=["b", "a"])).notes != ()
    assert outcome([0, 1]).notes == outcome([False, True]).notes == ()


def test_counts_of_successes():
    found = outcome([0, 3, 2], trials=[1, 4, 2])
    assert found.trials is not None
    assert (found.values.tolist(), found.trials.tolist()) == ([0, 3, 2], [1, 4, 2])


WRONG = {
    "one value": (([1, 1, 1],), r"'r' has a single value \(1\)"),
    "one label": ((["a", "a"],), r"'r' has a single value \(a\)"),
    "1/2": (
        ([1, 2, 2],),
        r"'r' needs 0/1; found \{1, 2\}; say which is the success: success=LABEL \(--option success=LABEL\)",
    ),
    "labels by the alphabet": (
        (["female", "male"],),
        r"the labels 'female', 'male', of which neither is plainly the success; say which",
    ),
    "sorted categories": ((pd.Categorical(["a", "b"]),), "neither is plainly the success"),
    "counts without trials": (([0, 1, 2],), r"3 values \(0, 1, 2\).*trials\(n\)"),
    "proportions": (([0.25, 1.0, 0.5],), r"2 values are not whole \(rows 1, 3\)"),
    "one fraction": (([0, 0.5, 1],), r"1 value is not whole \(row 2\)"),
    "three labels": ((["a", "b", "c"],), r"3 levels \(a, b, c\).*ordinal"),
    "no such label": ((["a", "b", "a"], "c"), r"no level 'c'.*levels: a, b"),
    "more successes than trials": (([2, 3], None, [2, 2]), r"row 2"),
    "half a success": (([0.5, 1], None, [2, 2]), r"'r' needs whole numbers; 1 value not \(row 1\)"),
    "half a trial": (([1, 1], None, [2, 2.5]), r"'n' needs whole numbers; 1 value not \(row 2\)"),
    "negative successes": (([-1, 1], None, [2, 2]), r"'r' must be >= 0.*row 1"),
    "no trials": (([0, 1], None, [0, 2]), r"trials\(n\) must be >= 1.*row 1"),
    "all successes": (([2, 3], None, [2, 3]), r"single value: nothing but successes"),
    "no successes": (([0, 0], None, [2, 3]), r"single value: no successes"),
    "success= with trials": (([0, 1], 1, [2, 3]), r"success= names a level"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_codings_are_told(arguments, message):
    with pytest.raises(InputError, match=message):
        outcome(*arguments)


@pytest.mark.parametrize("text", ["log(r) ~ 1", "C(r) ~ 1"])
def test_a_binomial_response_is_a_column(text):
    formula = parse_formula(text)
    assert formula.response is not None
    with pytest.raises(InputError, match="is a column"):
        read_binomial(take_columns(pd.DataFrame({"r": [1, 2]}), formula.columns), formula.response)


GAUSSIAN_WRONG = {
    "trials": ("r | trials(n) ~ 1", {"r": [1, 2], "n": [3, 3]}, r"trials\(\) belongs to a binomial"),
    "one value": ("r ~ 1", {"r": [2.5, 2.5]}, r"single value \(2.5\)"),
    "factor": ("C(r) ~ 1", {"r": [1, 2]}, "numeric"),
    "log of zero": ("log(r) ~ 1", {"r": [1.0, 0.0]}, r"log\(r\).*row 2"),
}


@pytest.mark.parametrize(("text", "columns", "message"), GAUSSIAN_WRONG.values(), ids=GAUSSIAN_WRONG)
def test_wrong_gaussian_responses_are_told(text, columns, message):
    formula = parse_formula(text)
    assert formula.response is not None
    with pytest.raises(InputError, match=message):
        read_gaussian(take_columns(pd.DataFrame(columns), formula.columns), formula.response)


# ---------------------------------------------------------------------------------------------------------------- separation

Y = np.array([0, 0, 0, 0, 1, 1, 1, 1], float)
COLUMNS = {  # column, whether it separates, words
    "overlap": ([0, 1, 2, 5, 4, 6, 7, 8], None),
    "split": ([0, 1, 2, 3, 4, 5, 6, 7], "all successes lie on one side"),
    "split downwards": ([7, 6, 5, 4, 3, 2, 1, 0], "all successes lie on one side"),
    "at the edge": ([0, 1, 2, 4, 4, 5, 6, 7], "all successes lie on one side"),
    "two values, mixed": ([0, 1, 0, 1, 0, 1, 0, 1], None),
    "two values, one empty cell": ([0, 0, 0, 0, 0, 0, 1, 1], "nothing but successes in 2 rows where it is 1"),
    "two values, failures": ([2, 2, 5, 5, 5, 5, 5, 5], "nothing but failures in 2 rows where it is 2"),
    "constant": ([3] * 8, None),
}


@pytest.mark.parametrize(("column", "words"), COLUMNS.values(), ids=COLUMNS)
def test_separated_columns_are_named(column, words):
    columns = np.column_stack([COLUMNS["overlap"][0], column]).astype(float)
    found = separated(Outcome("y", Y), columns, ("fine", "planted"))
    if words is None:
        assert found == []
    else:
        (sentence,) = found
        assert "'planted'" in sentence and words in sentence


def test_counts_separate_only_without_any_failure():
    x = np.array([0.0, 0, 1, 1])[:, None]
    full = Outcome("y", np.array([1.0, 0, 4, 5]), np.array([3.0, 2, 4, 5]))
    mixed = Outcome("y", np.array([1.0, 0, 3, 5]), np.array([3.0, 2, 4, 5]))
    assert len(separated(full, x, ("x",))) == 1
    assert separated(mixed, x, ("x",)) == []


# ------------------------------------------------------------------------------------------------------------------ collapse


def repeated() -> pd.DataFrame:
    """300 rows of a coarse design, far from balanced, so that means of rows and of cells differ."""
    rng, base = np.random.default_rng(4), visits()
    frame = base.iloc[np.minimum(rng.geometric(0.05, 300), len(base)) - 1].reset_index(drop=True)
    return frame.assign(dose=np.round(frame.x), ill=rng.integers(0, 2, 300))


COLLAPSED = {
    "centred": ("ill ~ dose + arm + (1 + dose | g)", {}),
    "not centred": ("ill ~ dose + (dose || g)", {"center": False}),
    "offset, probit": ("ill ~ dose + offset(v) + (1 | g) + (1 | h)", {"link": "probit"}),
    "groups only": ("ill ~ 1 + (1 | g)", {}),
}


@pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")
@pytest.mark.parametrize(("formula", "options"), COLLAPSED.values(), ids=COLLAPSED)
def test_collapsed_rows_have_the_same_posterior(formula, options):
    frame, logistic = repeated(), row_models.builder("hierarchical_logistic")
    rows, cells = (logistic(frame, formula, collapse=c, **options) for c in (False, True))
    columns = [c for c in ("dose", "arm", "g", "h", "v") if c in formula]
    counts = frame.groupby(columns).ill.agg(["sum", "size"])
    assert len(cells.coords["row"]) == len(counts) < len(frame) / 3
    constant = np.log(binom(counts["size"], counts["sum"])).sum()
    densities = [row_models.function(m, [m.logp()]) for m in (rows, cells)]
    for seed in range(3):
        point = row_models.random_point(rows, seed)
        one, other = (f(point)[0] for f in densities)
        np.testing.assert_allclose(other - one, constant, rtol=1e-8)
    assert rows.spec["priors"] == cells.spec["priors"]


def test_collapse_refuses_counts():
    with pytest.raises(InputError, match=r"already has trials\(n\)"):
        row_models.builder("hierarchical_logistic")(visits(), "k | trials(n) ~ x + (1 | g)", collapse=True)
