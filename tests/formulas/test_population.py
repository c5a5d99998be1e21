"""Design matrices, compared with the same columns computed by hand, NumPy and SciPy."""

import json

import numpy as np
import pandas as pd
import pytest
from coding import DATA, FLAG, ONE, RNG, A, B, K, N, X, Y, Z, code, indicators, indicators_of_all
from scipy.interpolate import BSpline

from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.tables.frames import take_columns

# ------------------------------------------------------------------------------------------------ population columns


@pytest.mark.parametrize(
    ("right", "labels", "columns", "intercept"),
    [
        ("1", [], [], True),
        ("0", [], [], False),
        ("1 + 0", [], [], False),
        ("1 - 1", [], [], False),
        ("x", ["x"], [X], True),
        ("x + x", ["x"], [X], True),
        ("k", ["k"], [K], True),
        ("a", ["a[q]", "a[r]"], indicators(A, "q", "r"), True),
        ("flag", ["flag[True]"], [FLAG], True),
        ("cat", ["cat[q]", "cat[p]"], indicators(A, "q", "p"), True),
        ("C(k)", ["k[1]", "k[2]", "k[3]"], indicators(K, 1, 2, 3), True),
        ("C(k, ref=2)", ["k[0]", "k[1]", "k[3]"], indicators(K, 0, 1, 3), True),
        ("C(a, ref='q')", ["a[p]", "a[r]"], indicators(A, "p", "r"), True),
        ("C(cat, ref='q')", ["cat[r]", "cat[p]"], indicators(A, "r", "p"), True),
        ("0 + a", ["a[p]", "a[q]", "a[r]"], indicators_of_all(A), False),
        ("a - 1", ["a[p]", "a[q]", "a[r]"], indicators_of_all(A), False),
        ("-1 + a", ["a[p]", "a[q]", "a[r]"], indicators_of_all(A), False),
        ("a + 0", ["a[p]", "a[q]", "a[r]"], indicators_of_all(A), False),
        ("0 + a + b", ["a[p]", "a[q]", "a[r]", "b[yes]"], [*indicators_of_all(A), B == "yes"], False),
        ("x*z", ["x", "z", "x:z"], [X, Z, X * Z], True),
        ("a*x", ["a[q]", "a[r]", "x", "a[q]:x", "a[r]:x"], [*indicators(A, "q", "r"), X, *(X * c for c in indicators(A, "q", "r"))], True),
        ("a:x", ["a[p]:x", "a[q]:x", "a[r]:x"], [X * c for c in indicators_of_all(A)], True),
        ("a*b", ["a[q]", "a[r]", "b[yes]", "a[q]:b[yes]", "a[r]:b[yes]"],
         [*indicators(A, "q", "r"), B == "yes", *(c * (B == "yes") for c in indicators(A, "q", "r"))], True),
        ("b/x", ["b[yes]", "b[no]:x", "b[yes]:x"], [B == "yes", X * (B == "no"), X * (B == "yes")], True),
        ("(x + z + k)^2 - x:z", ["x", "z", "k", "x:k", "z:k"], [X, Z, K, X * K, Z * K], True),
        ("I(x**2)", ["I(x**2)"], [X**2], True),
        ("I((x + z) / 2 - 1)", None, [(X + Z) / 2 - 1], True),
        ("I(x > 0)", ["I(x>0)"], [X > 0], True),
        ("I(k == 2):x", ["I(k==2):x"], [(K == 2) * X], True),
        ("I(flag * 2)", ["I(flag*2)"], [FLAG * 2], True),
        ("log(z) + exp(x) + sqrt(z) + abs(x)", ["log(z)", "exp(x)", "sqrt(z)", "abs(x)"], [np.log(Z), np.exp(X), np.sqrt(Z), abs(X)], True),
        ("log1p(z)", ["log1p(z)"], [np.log1p(Z)], True),
        ("log2(z) + expm1(x)", ["log2(z)", "expm1(x)"], [np.log2(Z), np.expm1(X)], True),
        ("log10(I(z * 3))", ["log10(I(z*3))"], [np.log10(3 * Z)], True),
        ("scale(x)", ["scale(x)"], [(X - X.mean()) / X.std(ddof=1)], True),
        ("standardize(x)", ["standardize(x)"], [(X - X.mean()) / X.std()], True),
        ("center(log(z))", ["center(log(z))"], [np.log(Z) - np.log(Z).mean()], True),
    ],
)  # fmt: skip
def test_coding_by_hand(right, labels, columns, intercept):
    matrix = code(f"y ~ {right}").population
    assert matrix.intercept is intercept
    assert labels is None or list(matrix.labels) == labels
    expected = np.column_stack([*columns, np.empty((N, 0))]).astype(float)
    np.testing.assert_allclose(matrix.values, expected, rtol=1e-12, atol=1e-12)
    assert matrix.values.flags.f_contiguous
    np.testing.assert_allclose(matrix.means, expected.mean(axis=0), atol=1e-12)


def test_orthogonal_polynomials():
    """R's poly(): orthonormal, orthogonal to 1, of rising degree, each with a positive leading coefficient."""
    matrix = code("y ~ poly(x, 3)").population
    assert matrix.labels == ("poly(x, 3)[1]", "poly(x, 3)[2]", "poly(x, 3)[3]")
    q, r = np.linalg.qr(np.vander(X, 4, increasing=True))
    np.testing.assert_allclose(matrix.values, (q * np.sign(np.diag(r)))[:, 1:], atol=1e-10)


def test_b_splines():
    """R's bs(x, df=5): cubic, knots at quantiles, the first function left out."""
    matrix = code("y ~ bs(x, df=5)").population
    knots = np.r_[[X.min()] * 4, np.quantile(X, [1 / 3, 2 / 3]), [X.max()] * 4]
    np.testing.assert_allclose(matrix.values, BSpline.design_matrix(X, knots, 3).toarray()[:, 1:], atol=1e-10)
    assert len(matrix.labels) == 5


@pytest.mark.parametrize("spline", ["cr", "cs", "cc"])
@pytest.mark.parametrize("inside", ["x", "log(z)", "I(x * 2)"])
def test_cubic_splines(spline, inside):
    """df columns that do not repeat the intercept; natural ones hold straight lines, cyclic ones meet at the ends."""
    matrix = code(f"y ~ {spline}({inside}, df=5)").population
    assert matrix.values.shape == (N, 5)
    assert matrix.labels[0] == f"{spline}({inside.replace(' ', '')}, df=5)[1]"
    v = {"x": X, "log(z)": np.log(Z), "I(x * 2)": 2 * X}[inside]
    if spline == "cc":
        np.testing.assert_allclose(matrix.values[v.argmin()], matrix.values[v.argmax()], atol=1e-10)
    else:
        basis = np.column_stack([ONE, matrix.values])
        np.testing.assert_allclose(basis @ np.linalg.lstsq(basis, v)[0], v, atol=1e-8)


def test_what_the_transforms_learnt_is_plain_data():
    learnt = code("y ~ scale(x) + bs(z, df=4) + a + C(k, ref=2)").population.learnt
    assert json.loads(json.dumps(learnt)) == learnt
    assert learnt["transforms"]["scale(x)"]["center"] == pytest.approx(X.mean())
    assert learnt["levels"] == {"a": ["p", "q", "r"], "k": ["2", "0", "1", "3"]}


def test_spreads_are_distances_of_two_values_else_sds():
    matrix = code("y ~ x + b + I(flag * 5)").population
    np.testing.assert_allclose(matrix.spreads, [X.std(), 1, 5])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("z", Z), ("log(z)", np.log(Z)), ("-z", -Z), ("z + 1", Z + 1), ("1 + z", 1 + Z), ("z - x", Z - X), ("2*z", 2 * Z),
        ("z*2", 2 * Z), ("z*x", Z * X), ("z/x", Z / X), ("z/100", Z / 100), ("z**2", Z**2), ("(z + x)/2", (Z + X) / 2),
        ("log(z) + 1", np.log(Z) + 1), ("log(z) - log(100*z)", np.log(Z) - np.log(100 * Z)), ("I(z/2)", Z / 2), ("z > 1.5", Z > 1.5),
        ("scale(z)", (Z - Z.mean()) / Z.std(ddof=1)), ("flag", FLAG), ("k", K),
    ],
)  # fmt: skip
def test_arithmetic_of_responses_and_offsets(expression, expected):
    """Left of '~' and inside offset() and trials(), operators are arithmetic, as in R."""
    np.testing.assert_allclose(code(f"y ~ x + offset({expression})").offset, expected, rtol=1e-12)
    response = parse_formula(f"{expression} ~ a").response
    np.testing.assert_allclose(
        evaluate_expression(response.value, take_columns(DATA, response.value.columns)), expected, rtol=1e-12
    )
    trials = parse_formula(f"y | trials({expression}) ~ a").response.trials
    np.testing.assert_allclose(evaluate_expression(trials, take_columns(DATA, trials.columns)), expected, rtol=1e-12)


def test_offsets_add_up():
    assert code("y ~ x").offset is None
    np.testing.assert_allclose(code("y ~ x + offset(z) + offset(log(z))").offset, Z + np.log(Z))


# ------------------------------------------------------------------------------------------------------------ names

ODD_NAMES = [
    "my x", "a/b", "a:b", "q[1]", "é", "w{0}", "x.y", "log", "C", "v0", "v1", "T", "chain", "draw", "Intercept", "if", "None", "1st",
    "a\nb", ".x", "x ", "100%", "f(a)", "poly(x, 2)", "a - b", "a**b", "'", '"', "\\", "#", "T.a", "constraints='center'",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_names(name):
    levels = np.array(["v0", "T.v1", "a:b", "c]", "d - e", "é [1]"])
    data = pd.DataFrame({"y": Y, "x": X, name: Z, f"{name}!": levels[RNG.integers(0, 6, N)], "v2": A})
    number, factor = f"`{name}`", f"`{name}!`"
    predictor = code(
        f"y ~ {number} + {factor} + v2 + x:{number} + {factor}:x + I({number}**2) + ({number} | {factor})", data
    )
    order = np.unique(levels)
    labels = [name, *(f"{name}![{v}]" for v in order[1:]), "v2[q]", "v2[r]", f"x:{name}"]
    labels += [f"{name}![{v}]:x" for v in order]
    assert set(predictor.population.labels) == {*labels, f"I({name}**2)"}
    by_name = dict(zip(predictor.population.labels, predictor.population.values.T, strict=True))
    np.testing.assert_allclose(by_name[name], Z)
    np.testing.assert_allclose(by_name[f"x:{name}"], X * Z)
    np.testing.assert_allclose(by_name[f"I({name}**2)"], Z**2)
    for v in order[1:]:
        np.testing.assert_array_equal(by_name[f"{name}![{v}]"], data[f"{name}!"] == v)
    assert predictor.population.intercept
    assert predictor.effects[0].labels == ("Intercept", name)
    assert predictor.effects[0].factor.levels == tuple(order)


def test_a_column_called_intercept_is_not_the_intercept():
    matrix = code("y ~ 0 + Intercept", DATA.assign(Intercept=X)).population
    assert (matrix.labels, matrix.intercept) == (("Intercept",), False)


def test_labels_are_unique():
    """Two codings of one factor, nested levels that run together: nothing may share a name in the posterior."""
    labels = code("y ~ a + C(a, ref='q'):x").population.labels
    assert len(set(labels)) == len(labels)
    data = pd.DataFrame({"y": range(4), "a": ["1", "1:2"] * 2, "b": ["2:3", "3"] * 2})
    factor = code("y ~ (1 | a:b)", data).effects[0].factor
    assert len(set(factor.levels)) == len(factor.levels) == 2


def test_a_factor_with_two_references_has_each_where_it_is_asked_for():
    coded = code("y ~ C(a, ref='q') + C(a, ref='r'):x").population
    columns = [*indicators(A, "p", "r"), *(X * (level == A) for level in "pqr")]
    assert sorted(coded.labels) == sorted(["a[p]", "a[r]", "a[p]:x", "a[q]:x", "a[r]:x"])
    by_label = dict(zip(["a[p]", "a[r]", "a[p]:x", "a[q]:x", "a[r]:x"], columns, strict=True))
    for label, values in zip(coded.labels, coded.values.T, strict=True):
        np.testing.assert_allclose(values, by_label[label], err_msg=label)
    contrasts = code("y ~ x + C(a, ref='q') + x:C(b, ref='yes') + C(b, ref='no')").population
    assert {"a[p]", "a[r]", "x:b[no]", "b[yes]"} <= set(contrasts.labels)


def test_other_rows_have_the_levels_of_the_fit():
    """Two of three levels in another order: their codes there are not those of the fit."""
    coded = code("y ~ a + x:cat").population
    other = pd.DataFrame({"a": ["r", "q", "r"], "x": [2.0, 3.0, 5.0], "cat": pd.Categorical(["p", "q", "p"])})
    by_label = dict(zip(coded.labels, coded.code_new_rows(take_columns(other, ["a", "x", "cat"])).T, strict=True))
    expected = {"a[q]": [0, 1, 0], "a[r]": [1, 0, 1], "x:cat[p]": [2, 0, 5], "x:cat[q]": [0, 3, 0], "x:cat[r]": [0] * 3}
    assert by_label.keys() == expected.keys()
    for label, values in expected.items():
        np.testing.assert_array_equal(by_label[label], values, err_msg=label)
