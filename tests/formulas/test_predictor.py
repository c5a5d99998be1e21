"""Linear predictors: group effects compared with columns computed by hand, what is refused, factors as fixed, cells of equal rows."""

import time

import numpy as np
import pandas as pd
import pytest
from coding import DATA, ONE, RNG, A, B, G, H, K, N, X, Z, code

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.population import aliased
from glmm_zoo.formulas.predictor import check_columns, check_groups, code_predictor, collapse_rows, few_levels
from glmm_zoo.formulas.terms import fixed_formula
from glmm_zoo.tables.frames import take_columns

# ----------------------------------------------------------------------------------------------------- group effects


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("(1 | g)", [("g", ["Intercept"], [[0]])]),
        ("(x | g)", [("g", ["Intercept", "x"], [[0, 1]])]),
        ("(1 + x | g)", [("g", ["Intercept", "x"], [[0, 1]])]),
        ("(x || g)", [("g", ["Intercept", "x"], [[0], [1]])]),
        ("(0 + x | g)", [("g", ["x"], [[0]])]),
        ("(x - 1 | g)", [("g", ["x"], [[0]])]),
        ("(1 | g) + (0 + x | g)", [("g", ["Intercept", "x"], [[0], [1]])]),
        ("(x | g) + (0 + z | g) + (1 | h)", [("g", ["Intercept", "x", "z"], [[0, 1], [2]]), ("h", ["Intercept"], [[0]])]),
        ("(a | g)", [("g", ["Intercept", "a[q]", "a[r]"], [[0, 1, 2]])]),
        ("(0 + a | g)", [("g", ["a[p]", "a[q]", "a[r]"], [[0, 1, 2]])]),
        ("(a || g)", [("g", ["Intercept", "a[q]", "a[r]"], [[0], [1], [2]])]),
        ("(I(x**2) | g)", [("g", ["Intercept", "I(x**2)"], [[0, 1]])]),
        ("(1 | g/h)", [("g", ["Intercept"], [[0]]), ("g:h", ["Intercept"], [[0]])]),
        ("(x | g:h)", [("g:h", ["Intercept", "x"], [[0, 1]])]),
        ("(1 | flag)", [("flag", ["Intercept"], [[0]])]),
    ],
)  # fmt: skip
def test_group_structure(terms, expected):
    coded = code(f"y ~ z + {terms}").effects
    assert [(e.factor.name, list(e.labels), [list(b) for b in e.blocks]) for e in coded] == expected
    by_hand = {"Intercept": ONE, "x": X, "z": Z, "I(x**2)": X**2, **{f"a[{v}]": v == A for v in "pqr"}}
    for effects in coded:
        np.testing.assert_allclose(effects.z, np.column_stack([by_hand[label] for label in effects.labels]))
        np.testing.assert_allclose(effects.spreads, [X.std() if s == "x" else (X**2).std() if "**" in s else Z.std() if s == "z" else 1 for s in effects.labels])  # fmt: skip


def test_group_codes_and_levels():
    g, gh = (e.factor for e in code("y ~ (1 | g/h)").effects)
    assert g.levels == tuple(sorted(set(G)))
    np.testing.assert_array_equal(np.array(g.levels)[g.codes], G)
    np.testing.assert_array_equal(np.array(gh.levels)[gh.codes], [f"{a}:{b}" for a, b in zip(G, H, strict=True)])
    assert len(gh.levels) == len(set(zip(G, H, strict=True)))  # only what occurs
    assert gh.codes.dtype == np.int64


def test_an_interaction_of_few_and_many_levels_keeps_its_cells_apart():
    outer, inner = np.repeat(["a", "b"], 15), np.tile([f"{i:02d}" for i in range(15)], 2)
    data = pd.DataFrame({"y": 0.0, "s": outer, "t": inner})
    for columns in (["s", "t"], ["t", "s"]):
        (cell,) = code(f"y ~ (1 | {':'.join(columns)})", data).effects
        assert len(cell.factor.levels) == 30
        np.testing.assert_array_equal(
            np.array(cell.factor.levels)[cell.factor.codes], data[columns].agg(":".join, axis=1)
        )


def test_levels_of_a_group_keep_their_order_and_drop_what_never_occurs():
    coded = code("y ~ (1 | cat)")
    assert coded.effects[0].factor.levels == ("r", "q", "p")
    assert coded.notes == ("1 level of 'cat' never occurs and is dropped: unused",)
    assert code("y ~ (1 | h)").effects[0].factor.levels == ("1", "2", "3", "4", "5", "6")


def test_shared_labels():
    assert code("y ~ (1 |p| g) + (0 + x | g)").effects[0].shared == ("p", None)


# ------------------------------------------------------------------------------------------------------ bad designs


@pytest.mark.parametrize(
    ("right", "words"),
    [
        ("x + I(2 * x)", r"rank deficient: 'I\(2\*x\)' is a linear combination of 'x'"),
        ("x + z + I(x - 2 * z)", "is a linear combination of 'x', 'z'"),
        ("a + b + I(flag * 0 + 3)", r"'I\(flag\*0\+3\)' is a linear combination of 'Intercept'"),
        ("k + C(k)", "'k' is a linear combination of|'k\\[3\\]' is a linear combination"),
        ("poly(k, 4)", "rank deficient"),
        ("one", "factor 'one' has one level \\('u'\\)"),
        ("C(const)", "factor 'const' has one level"),
        ("const", "'const' is a linear combination of 'Intercept'"),
        ("zero", "'zero' is zero in every row"),
        ("empty:b", "no rows with empty .p. and b .no.(?!.*write)"),
        ("(1 | one)", r"grouping factor 'one' has one level \('u'\); leave \(1 \| one\) out"),
        ("(x | g) + (0 + x | g)", "group 'g' has the effect 'x' twice"),
        ("(0 | g)", r"\(0 \| g\) has no effects"),
        ("(1 + 0 | g)", "has no effects"),
        ("(1 - 1 | g)", "has no effects"),
        ("log(x)", r"'log\(x\)' is not finite in rows? \d"),
        ("sqrt(x)", "is not finite in row"),
        ("I(1 / k)", "is not finite in row"),
        ("log(a)", r"column 'a' is text \(p, q, r\) and 'log\(a\)' needs numbers"),
        ("I(num + 1)", "column 'num'"),
        ("day", "column 'day' holds dates"),
        ("offset(a)", r"column 'a' is text \(p, q, r\)"),
        ("offset(poly(x, 2))", "gives 2 columns where one is expected"),
        ("C(a, ref='P')", r"C\(a\): no level 'P'; did you mean 'p'\? levels: p, q, r"),
        ("bs(x, df=2)", r"'bs\(x, df=2\)' cannot be computed: Invalid value for `df`"),
        ("bs(x, foo=2)", "cannot be computed|foo"),
    ],
)  # fmt: skip
def test_bad_designs(right, words):
    data = DATA.assign(
        one="u", const=3, zero=0.0, num=K.astype(str), day=pd.Timestamp(2020, 1, 1), empty=np.where(B == "no", "s", A)
    )
    with pytest.raises(InputError, match=words):
        code(f"y ~ {right}", data)


def test_no_escape_codes_in_a_message():
    for right in ("offset(bs(x, df=2))", "bs(x, df=2):a", "x + cr(z)"):
        with pytest.raises(InputError) as err:
            code(f"y ~ {right}")
        assert "\x1b" not in str(err.value)


def test_rows_in_messages_are_rows_of_the_source():
    data = DATA.assign(x=[None, None, *X[2:]], z=[*Z[:4], -1.0, *Z[5:]])
    parsed = parse_formula("y ~ log(z) + x")
    with pytest.raises(InputError, match="row 5;"):
        code_predictor(parsed, take_columns(data, parsed.columns, "drop"))


def test_more_columns_than_rows():
    with pytest.raises(InputError, match=r"for 3 rows|rank deficient"):
        code("y ~ x + z + I(x**2) + I(z**2)", DATA[:3])


def test_as_many_columns_as_rows_are_no_alias():
    assert aliased(code("y ~ x + z", DATA[:3]).population) is None
    with pytest.raises(InputError, match="rank deficient"):
        code("y ~ x + z", DATA[:2])


def test_aliased_is_relative_to_the_scale_of_a_column():
    assert aliased(code("y ~ tiny + huge", DATA.assign(tiny=X * 1e-9, huge=Z * 1e9 + 1e12)).population) is None


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError) as err:
        code("y ~ log(a) + C(b, ref='zz') + (1 | one) + offset(a)", DATA.assign(one="u"))
    assert len(err.value.problems) == 4


@pytest.mark.parametrize(
    ("right", "words"),
    [
        ("one", "factor 'one' has one level"),
        ("yes", "factor 'yes' has one level"),
        ("(1 | one)", "grouping factor 'one' has one level"),
        ("day", "dates"),
        ("log(a)", "column 'a' is text"),
        ("dots", "column 'dots' should be numeric"),
        ("(dots | g)", "column 'dots' should be numeric"),
    ],
)
def test_columns_are_checked_before_coding(right, words):
    data = DATA.assign(one="u", yes=True, day=pd.Timestamp(2020, 1, 1), dots=[*map(str, range(N - 1)), "."])
    parsed, problems = parse_formula(f"y ~ {right}"), []
    check_columns(parsed, take_columns(data, parsed.columns), problems)
    with pytest.raises(InputError, match=words):
        raise InputError(*problems)


@pytest.mark.parametrize(
    "right", ["a + b + x + flag + log(z)", "(1 | g)", "(1 | const)", "C(k)", "(1 | dots)", "C(dots)"]
)
def test_sound_columns_pass(right):
    """As a grouping factor, or with C() written, text of numbers is meant as labels."""
    parsed, problems = parse_formula(f"y ~ {right}"), []
    data = DATA.assign(const=3, dots=[*map(str, range(N - 1)), "."])
    check_columns(parsed, take_columns(data, parsed.columns), problems)
    assert not problems


def test_groups_the_data_cannot_support():
    each_row = code("y ~ (1 | id)", DATA.assign(id=range(N)))
    with pytest.raises(InputError, match=f"grouping factor 'id' has {N} levels for {N} rows"):
        check_groups([each_row], N, one_per_row=False)
    assert check_groups([each_row], N, one_per_row=True) == []
    one_pair = code("y ~ (1 | id)", DATA.assign(id=[0, *range(N - 1)]))
    assert check_groups([one_pair], N, one_per_row=False) == []
    pairs = code("y ~ (x | pair)", DATA.assign(pair=np.arange(N) // 2))
    assert "60 in all, for 60 rows" in check_groups([pairs], N, one_per_row=False)[0]
    assert check_groups([code("y ~ (x | g)")], N, one_per_row=False) == []


def test_few_levels():
    assert [f.name for f in few_levels([code("y ~ (1 | a) + (1 | g) + (1 | h)")])] == ["a"]  # 3, 8 and 6 levels


# ---------------------------------------------------------------------------------------- factors as fixed, collapsing


@pytest.mark.parametrize(
    ("formula", "same_as"),
    [
        ("y ~ x + (1 | b)", "x + b"),
        ("y ~ 0 + x + (1 | b)", "0 + x + b"),
        ("y ~ x - 1 + (1 | b)", "x - 1 + b"),
        ("y ~ C(k) + (1 | b)", "C(k) + b"),
        ("y ~ C(a, ref='q') + (1 | b)", "C(a, ref='q') + b"),
        ("y ~ a*x - a + (1 | b)", "a*x - a + b"),
        ("y ~ (a + x)^2 + (1 | b)", "(a + x)^2 + b"),
        ("y ~ `my x` + (1 | b)", "`my x` + b"),
        ("y ~ I(`my x`**2) + (1 | b)", "I(`my x`**2) + b"),
        ("y ~ x + offset(`my x` + 1) + (1 | b)", "x + b + offset(`my x` + 1)"),
        ("y ~ x + (x | b)", "x + b + b:x"),
        ("y ~ x + (x || b)", "x + b + b:x"),
        ("y ~ x + (0 + x | b)", "x + b:x"),
        ("y ~ x + (x - 1 | b)", "x + b:x"),
        ("y ~ x + (x*z | b)", "x + b + b:x + b:z + b:x:z"),
        ("y ~ (I(x + 1) | b)", "b + b:I(x + 1)"),
        ("y ~ (C(k) | b)", "b + b:C(k)"),
        ("y ~ (`my x` | b)", "b + b:`my x`"),
        ("y ~ (poly(x, 2) | b)", "b + b:poly(x, 2)"),
        ("y ~ x + (1 | b/flag)", "x + b + b:flag"),
        ("y ~ (1 | b) + (1 | `my b`)", "b + `my b`"),
        ("`my x` ~ x + (1 | b)", "x + b"),
        ("y ~ x + (1 | b) + (1 + `my x` | g)", "x + b + (1 + `my x` | g)"),
        ("y ~ x + (1 | b) + (C(k) || `my g`)", "x + b + (C(k) || `my g`)"),
        ("y ~ x + (1 | b) + (x |p| g/h)", "x + b + (x |p| g/h)"),
    ],
)
def test_few_level_factors_written_as_population_terms(formula, same_as):
    data = DATA.assign(**{"my x": X + Z, "my b": RNG.choice(["s", "t"], N), "my g": G})
    parsed = parse_formula(formula)
    names = {g.name for g in parsed.groups} & {"b", "b:flag", "my b"}
    text = fixed_formula(formula, parsed, names)
    assert parse_formula(text).response == parsed.response
    coded, expected = code(text, data), code(f"y ~ {same_as}", data)
    assert coded.population.intercept == expected.population.intercept
    rank = np.linalg.matrix_rank(np.column_stack([coded.population.values, expected.population.values, ONE]))
    assert rank == np.linalg.matrix_rank(np.column_stack([expected.population.values, ONE]))
    assert coded.population.values.shape == expected.population.values.shape
    np.testing.assert_equal(coded.offset, expected.offset)
    describe = [(e.factor.name, e.labels, e.blocks, e.shared) for e in expected.effects]
    assert [(e.factor.name, e.labels, e.blocks, e.shared) for e in coded.effects] == describe


@pytest.mark.parametrize("right", ["1", "b", "a*b + (1 | g)", "b + k + offset(k) + (k | h) + (1 | h:b)", "0 + x"])
def test_collapsing_keeps_every_row_and_its_predictor(right):
    whole = code(f"y ~ {right}")
    cells, cell, counts = collapse_rows(whole)
    assert counts.sum() == N
    np.testing.assert_array_equal(np.bincount(cell), counts)
    np.testing.assert_array_equal(cells.population.values[cell], whole.population.values)
    assert cells.population.values.flags.f_contiguous
    np.testing.assert_array_equal(cells.population.means, whole.population.means)
    np.testing.assert_array_equal(cells.population.spreads, whole.population.spreads)
    if whole.offset is not None:
        np.testing.assert_array_equal(cells.offset[cell], whole.offset)
    for few, all_ in zip(cells.effects, whole.effects, strict=True):
        np.testing.assert_array_equal(few.z[cell], all_.z)
        np.testing.assert_array_equal(few.factor.codes[cell], all_.factor.codes)
        assert few.factor.levels == all_.factor.levels
    rows = np.column_stack([cells.population.values, *(e.z for e in cells.effects), *(e.factor.codes for e in cells.effects), ONE[: len(counts)]])  # fmt: skip
    assert cells.offset is not None or len(np.unique(rows, axis=0)) == len(counts)


# --------------------------------------------------------------------------------------------------------- invariance


def test_row_order_does_not_matter():
    formula = "y ~ scale(x) + poly(z, 2):b + bs(w, df=4) + a*flag + offset(log(z)) + (x | g/h) + (a || h)"
    data, order = DATA.assign(w=RNG.normal(size=N)), RNG.permutation(N)
    one, other = code(formula, data), code(formula, data.iloc[order])
    assert one.population.labels == other.population.labels
    np.testing.assert_allclose(one.population.values[order], other.population.values, atol=1e-12)
    np.testing.assert_allclose(one.offset[order], other.offset)
    for e, f in zip(one.effects, other.effects, strict=True):
        assert (e.labels, e.factor.levels) == (f.labels, f.factor.levels)
        np.testing.assert_array_equal(e.factor.codes[order], f.factor.codes)
        np.testing.assert_allclose(e.z[order], f.z)


def test_the_callers_frame_is_never_changed():
    data = DATA.copy()
    code("y ~ scale(x) + C(a, ref='q')*flag + z:cat + (x | g)", data)
    pd.testing.assert_frame_equal(data, DATA)


@pytest.mark.slow
def test_a_million_rows_and_a_hundred_thousand_groups():
    n = 1_000_000
    data = pd.DataFrame(
        {
            "y": RNG.normal(size=n),
            "x": RNG.normal(size=n),
            "a": RNG.choice(list("pqr"), n),
            "g": RNG.permutation(n) % 100_000,
        }
    )
    start = time.perf_counter()
    coded = code("y ~ x + a + (1 + x | g/a)", data)
    assert time.perf_counter() - start < 20
    assert len(coded.effects[0].factor.levels) == 100_000
    held = coded.population.values.nbytes + sum(e.z.nbytes + e.factor.codes.nbytes for e in coded.effects)
    assert held <= 10 * 8 * n  # 3 population columns, 2 x (2 effects + codes): nothing of rows by groups
