"""Formulas taken apart: every notation, every error sentence, and strings that must never be run."""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.formulas.predictor import code_predictor
from glmm_zoo.formulas.terms import Expression, GroupTerm, as_text
from glmm_zoo.formulas.tokens import MAX_DEPTH, MAX_LENGTH
from glmm_zoo.tables.frames import take_columns

# ------------------------------------------------------------------------------------------------------ notations


@pytest.mark.parametrize(
    ("right", "text"),
    [
        ("1", "1"),
        ("0 + x", "0 + x"),
        ("-1 + x", "- 1 + x"),
        ("x - 1", "x - 1"),
        ("+ x", "x"),
        ("a*b", "a * b"),
        ("a:b + a/b", "a:b + a/b"),
        ("(a+b)^2 - a:b", "(a + b)**2 - a:b"),
        ("(a + b):c", "(a + b):c"),
        ("x+\n\tz", "x + z"),
        ("I( x ** 2 )+log( z )", "I(x**2) + log(z)"),
        ("(1 | g)", "1"),
        ("offset(z)", "1"),
        ("x + (1 | g) + offset(z) + a", "x + a"),
    ],
)
def test_population_terms(right, text):
    assert as_text(parse_formula(f"y ~ {right}").population) == text


@pytest.mark.parametrize(
    ("right", "operand"),
    [
        ("x", Expression("column", "x", ("x",), "{0}")),
        ("sepal.length", Expression("column", "sepal.length", ("sepal.length",), "{0}")),
        ("größe", Expression("column", "größe", ("größe",), "{0}")),
        ("`my x`", Expression("column", "my x", ("my x",), "{0}")),
        ("`a + {0}`", Expression("column", "a + {0}", ("a + {0}",), "{0}")),
        ("log", Expression("column", "log", ("log",), "{0}")),
        ("if", Expression("column", "if", ("if",), "{0}")),
    ],
)
def test_operands(right, operand):
    assert parse_formula(f"y ~ {right}").population == (operand,)


@pytest.mark.parametrize(
    ("right", "columns"),
    [
        ("I(x*z/x)", ("x", "z")),
        ("log(log)", ("log",)),
        ("I(`my x` + x.y)", ("my x", "x.y")),
        ("I(x > 0)", ("x",)),
        ("bs(x, df=4, include_intercept=True)", ("x",)),
        ("C(x)", ("x",)),
        ("C(`my x`, ref='b')", ("my x",)),
    ],
)
def test_columns_of_calls(right, columns):
    assert parse_formula(f"y ~ {right}").predictor_columns == columns


@pytest.mark.parametrize(
    ("ref", "level"), [("", None), (', ref="b"', "b"), (", ref='b c'", "b c"), (", ref=2", "2"), (", ref=-2", "-2")]
)
def test_reference_levels(ref, level):
    (operand,) = parse_formula(f"y ~ C(x{ref})").population
    assert isinstance(operand, Expression)
    assert (operand.kind, operand.reference) == ("factor", level)


@pytest.mark.parametrize(
    ("term", "groups"),
    [
        ("(1 | g)", [("1", ("g",), True, None)]),
        ("(1 + x | g)", [("1 + x", ("g",), True, None)]),
        ("(x || g)", [("x", ("g",), False, None)]),
        ("(0 + x | g)", [("0 + x", ("g",), True, None)]),
        ("(x - 1 | g)", [("x - 1", ("g",), True, None)]),
        ("(a*x | g)", [("a * x", ("g",), True, None)]),
        ("(1 | a/b)", [("1", ("a",), True, None), ("1", ("a", "b"), True, None)]),
        ("(x | a/b/c)", [("x", ("a",), True, None), ("x", ("a", "b"), True, None), ("x", ("a", "b", "c"), True, None)]),
        ("(1 | a:b)", [("1", ("a", "b"), True, None)]),
        ("(1 | `my g`/b)", [("1", ("my g",), True, None), ("1", ("my g", "b"), True, None)]),
        ("(1 |p| g)", [("1", ("g",), True, "p")]),
        ("(1 + x |p| a/b)", [("1 + x", ("a",), True, "p"), ("1 + x", ("a", "b"), True, "p")]),
        ("(1 | a) + (1 | b)", [("1", ("a",), True, None), ("1", ("b",), True, None)]),
        ("(1 | g) + (0 + x | g)", [("1", ("g",), True, None), ("0 + x", ("g",), True, None)]),
    ],
)
def test_group_terms(term, groups):
    parsed = parse_formula(f"y ~ x + {term}").groups
    assert [(g.effects_text, g.factor, g.correlated, g.label) for g in parsed] == groups


@pytest.mark.parametrize(
    ("factor", "term", "source"),
    [
        ("gr(g)", GroupTerm((), ("g",)), "g"),
        ("gr(a:b, by = arm)", GroupTerm((), ("a", "b"), by="arm"), "gr(a:b, by=arm)"),
        ("gr(g, cov = A)", GroupTerm((), ("g",), cov="A"), "gr(g, cov=A)"),
        ("gr(g, dist = 'student')", GroupTerm((), ("g",), dist="student"), 'gr(g, dist="student")'),
        ('gr(g, dist="gaussian")', GroupTerm((), ("g",)), "g"),
        ("gr(`my g`, by=`my arm`)", GroupTerm((), ("my g",), by="my arm"), "gr(`my g`, by=`my arm`)"),
        ("mm(g1, g2)", GroupTerm((), ("g1", "g2"), members=True), "mm(g1, g2)"),
        (
            "mm(g1, g2, weights = cbind(w1, w2))",
            GroupTerm((), ("g1", "g2"), members=True, weights=("w1", "w2")),
            "mm(g1, g2, weights=cbind(w1, w2))",
        ),
    ],
)
def test_what_a_group_term_says_of_its_factor(factor, term, source):
    """Read as brms reads it, and written so that it is read the same again."""
    for text in (factor, source):
        (parsed,) = parse_formula(f"y ~ x + (1 + x |p| {text})").groups
        assert replace(parsed, effects=(), label=None) == term
        assert parsed.factor_source == source
    assert parse_formula(f"y ~ (1 | {factor})").predictor_columns == term.columns


@pytest.mark.parametrize(
    ("left", "value", "trials"),
    [
        ("y", "y", None),
        ("`my y`", "my y", None),
        ("log(y)", "log(y)", None),
        ("I(y / 2)", "I(y/2)", None),
        ("s | trials(n)", "s", "n"),
        ("s | trials(n + m)", "s", "n+m"),
    ],
)
def test_responses(left, value, trials):
    response = parse_formula(f"{left} ~ x").response
    assert response is not None
    assert response.value.text == value
    assert (response.trials.text if response.trials else None) == trials


def test_offsets_and_columns():
    formula = parse_formula("s | trials(n) ~ x + offset(log(t)) + offset(`my o`) + (z | a/b)")
    assert [o.text for o in formula.offsets] == ["log(t)", "my o"]
    assert formula.columns == ("s", "n", "x", "t", "my o", "z", "a", "b")
    assert formula.predictor_columns == formula.columns[2:]


def test_a_right_side_alone():
    for text in ("~ x + (1 | g)", "x + (1 | g)"):
        formula = parse_formula(text, response=False)
        assert formula.response is None
        assert formula.columns == ("x", "g")


# ------------------------------------------------------------------------------------------------- error sentences


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (3, "a formula is text"),
        ("", "write the response, '~' and the predictors"),
        ("y", "write the response, '~' and the predictors"),
        ("~ x", "write the response, '~' and the predictors"),
        ("y ~", "nothing follows '~'; write 1"),
        ("y ~ x ~ z", "more than one '~' at position 7"),
        ("y ~ x +", "the formula ends after '\\+' at position 7"),
        ("y ~ x:", "the formula ends after ':'"),
        ("y ~ x + + z", "two operators in a row before '\\+' at position 9"),
        ("y ~ *x", "'\\*' is not expected at position 5"),
        ("y ~ x + (+ | g)", "a term is missing at position 10"),
        ("y ~ (+) + x", "a term is missing"),
        ("cbind(y | x) ~ z", "after '|' only trials"),
        ("I(y ~ x) + z", "an operator is missing before"),
        ("y ~ (f( | ) | g)", "unmatched '\\('"),
        ("y ~ x z", "an operator is missing before 'z'"),
        ("y ~ x, z", "an operator is missing before ','"),
        ("y ~ 2x", "only 0 or 1 .* may stand alone; for arithmetic write I"),
        ("y ~ x + 2", "only 0 or 1 .* may stand alone"),
        ("y ~ ()", "empty brackets"),
        ("y ~ x + (1|g))", r"unmatched '\)' at position 14"),
        ("y ~ x + (1|g", r"unmatched '\(' at position 9"),
        ("y ~ `x", "unclosed quote at position 5"),
        ("y ~ 'x", "unclosed quote"),
        ("y ~ 'x'", "\"'x'\" is not expected"),
        ("y ~ .", "'.' is not allowed at position 5"),
        ("ill? ~ x", "'?' is not allowed; a column whose name has such a character stands in backquotes, such as `age in %`, at position 4"),
        ("y ~ x | g", r"write group terms in parentheses: \(x \| g\) at position 7"),
        ("y ~ x %in% a", "'%in%' is not supported; use a:x"),
        ("y ~ x^2", r"'\^' means interaction; for a square write I\(x\*\*2\)"),
        ("y ~ x**2", r"'\*\*' means interaction"),
        ("y ~ I(x^2)", r"for a power write x\*\*2"),
        ("y ~ (a + b)^9", "whole number from 1 to 5"),
        ("y ~ (a + b)^b", "whole number from 1 to 5"),
        ("y ~ y", "response 'y' is also used as a predictor"),
        ("log(y) ~ x + y", "response 'y' is also used as a predictor"),
        ("y ~ (1 | y)", "response 'y' is also used as a predictor"),
        ("y ~ (1|g) + (x|g)", "group 'g' has two intercept terms"),
        ("y ~ (1|g) + (1|g)", "group 'g' has two intercept terms"),
        ("y ~ (1|g)*x", "a group term stands alone"),
        ("y ~ x:(1|g)", "a group term stands alone"),
        ("y ~ x - (1|g)", "a group term cannot be subtracted"),
        ("y ~ (|g)", "no effects before '|'"),
        ("y ~ (1|)", "no grouping factor after '|'"),
        ("y ~ (1 | a*b)", "a grouping factor is a column, a:b or a/b"),
        ("y ~ (1 | 1)", "a grouping factor is a column"),
        ("y ~ (1 | C(g))", "a grouping factor is a column"),
        ("y ~ (1 | gr())", r"gr\(\) takes one grouping factor"),
        ("y ~ (1 | gr(a/b))", r"gr\(\) takes one grouping factor"),
        ("y ~ (1 | gr(gr(g)))", r"gr\(\) takes one grouping factor"),
        ("y ~ (1 | gr(g)/h)", r"stands alone in gr\(g, by=f\) or mm\(g1, g2\)"),
        ("y ~ (1 | gr(g, h))", r"'h' is not expected; gr\(\) is written gr\(g, by=f"),
        ("y ~ (1 | gr(g, by=C(f)))", r"by of gr\(\) is a column"),
        ("y ~ (1 | gr(g, by=f, by=f))", r"by of gr\(\) is given twice"),
        ("y ~ (1 | gr(g, cov='A'))", r"cov of gr\(\) is the name of a table"),
        ("y ~ (1 | gr(g, dist=student))", r"dist of gr\(\) is \"gaussian\" or \"student\""),
        ("y ~ (1 | gr(g, dist='cauchy'))", r"dist of gr\(\) is \"gaussian\" or \"student\""),
        ("y ~ (1 | gr(g, cor=FALSE))", r"write \(x \|\| g\) for effects that are not correlated"),
        ("y ~ (1 | mm(g))", r"mm\(\) takes two or more different columns"),
        ("y ~ (1 | mm(g, g))", r"mm\(\) takes two or more different columns"),
        ("y ~ (1 | mm(g, h, weights=w))", r"weights of mm\(\) are 2 columns, one for each member"),
        ("y ~ (1 | mm(g, h, weights=cbind(w)))", r"weights of mm\(\) are 2 columns"),
        ("y ~ (1 | mm(g, h, scale=FALSE))", "weights of mm.. are always divided by their sum in each row"),
        ("y ~ (1 | gr(y))", "response 'y' is also used as a predictor"),
        ("y ~ (1 | p | g | h)", "a group term is"),
        ("y ~ (1 ||p| g)", "a group term is"),
        ("y ~ (offset(x) | g)", r"offset\(\) stands alone"),
        ("y ~ offset(x):z", r"offset\(\) stands alone"),
        ("y ~ -offset(x)", r"offset\(\) cannot be subtracted"),
        ("y ~ offset()", r"offset\(\) is empty"),
        ("s | trials() ~ x", r"trials\(\)"),
        ("s | weights(w) ~ x", r"after .\|. only trials\(n\), trunc\(lb, ub\) and cens\(c\) are known; weights of the likelihood are the option"),
        ("s | trials(n) + x ~ x", r"after .\|. only trials\(n\), trunc\(lb, ub\) and cens\(c\) are known"),
        (" | trials(n) ~ x", "the response is missing|write the response"),
        ("cbind(s, f) ~ x", r"write s \| trials\(s \+ f\) ~"),
        ("y ~ z:t2(x)", r"t2\(\) stands alone"),
        ("y ~ foo(x)", "unknown function 'foo'; allowed: .*log1p"),
        ("y ~ lgo(x)", "unknown function 'lgo'; did you mean 'log'"),
        ("y ~ factor(x)", r"write C\(x\)"),
        ("y ~ C(x + z)", r"C\(x, ref=\"b\"\)"),
        ("y ~ C(x, z)", r"a function takes|C\(x, ref=\"b\"\)"),
        ("y ~ I(C(x))", r"C\(\) stands alone"),
        ("y ~ log()", r"log\(\) takes one expression"),
        ("y ~ I(2)", r"'I\(2\)' names no column"),
        ("y ~ I(x = 2)", r"I\(\) takes one expression"),
        ("y ~ I(a:b)", "':' is not allowed inside an expression"),
        ("y ~ I(x == 'b')", r"text \('b'\) is not allowed here"),
        ("y ~ I(x // 2)", "FloorDiv is not allowed|'/' is not allowed"),
        ("y ~ I((x, z))", "Tuple is not allowed"),
        ("y ~ I(*x)", "Starred is not allowed"),
        ("y ~ I(x**11)", "an exponent is a number of at most 10"),
        ("y ~ I(x**-11)", "an exponent is a number of at most 10"),
        ("y ~ I(x z)", "is not an expression|operator is missing"),
        ("y ~ I(x* *2)", "is not an expression|not allowed"),
        ("y ~ ``", "empty|has no name|not allowed|quote"),
        ("y ~ " + "x+" * MAX_LENGTH + "x", f"at most {MAX_LENGTH} are allowed"),
        ("y ~ " + "(" * (MAX_DEPTH + 1) + "x" + ")" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} nested brackets"),
    ],
)  # fmt: skip
def test_what_is_said(text, words):
    with pytest.raises(InputError, match=words):
        parse_formula(text)


def test_what_is_just_within_the_limits_is_read():
    long, deep = f"{'y ~ x':<{MAX_LENGTH}}", "y ~ " + "(" * MAX_DEPTH + "x" + ")" * MAX_DEPTH
    for text in (long, deep, "y ~ I(x**10)", "y ~ I(x**-10)"):
        assert parse_formula(text).predictor_columns == ("x",)
    with pytest.raises(InputError, match=f"{MAX_LENGTH + 1} characters"):
        parse_formula(long + " ")


def test_a_right_side_must_stand_alone():
    for text, words in (("y ~ x", "only a right side"), ("", "empty"), ("~", "nothing follows")):
        with pytest.raises(InputError, match=words):
            parse_formula(text, response=False)


def test_the_place_is_marked():
    with pytest.raises(InputError) as err:
        parse_formula("y ~ x + foo(z)")
    _, line, pointer = str(err.value).split("\n")
    assert line[pointer.index("^")] == "f"


# --------------------------------------------------------------------------------------------------------- attacks

ATTACKS = [
    "__import__('os').system('touch OWNED')",
    "I(__import__('os').system('touch OWNED'))",
    "os.system('touch OWNED')",
    "np.save('OWNED', x)",
    "I(np.save('OWNED', x))",
    "open('OWNED', 'w')",
    "I(open(`OWNED`))",
    "eval('x')",
    "exec(x)",
    "getattr(x, 'a')",
    "I(x).to_csv('OWNED')",
    "I(x.to_csv('OWNED'))",
    "x.to_csv(z)",
    "I(x.values)",
    "I(x[0])",
    "x[0]",
    "{x}",
    "I({x: 1})",
    "I([i for i in x])",
    "I(lambda: x)",
    "I((lambda v: v)(x))",
    "I(f'{x}')",
    "I(x := 2)",
    "I(x if z else x)",
    "I(x and z)",
    "I(not x)",
    "I(x, *z)",
    "I(**x)",
    "I(*x)",
    "I(await x)",
    "I(x; z)",
    "x; z",
    "x # y",
    "I(x # )\n)",
    "I(x\\\n)",
    "I('touch OWNED')",
    "log('OWNED')",
    "C(x, ref=__import__)",
    "C(x, ref=f'{x}')",
    "C(x, levels='OWNED')",
    "bs(x, df='4')",
    "__class__",
    "x.__class__",
    "I(x.__class__)",
    "`x.__class__`",
    "I(`x.__class__`)",
    "`__import__('os')`",
    "I(`x`.`y`)",
    "`x`(z)",
    "I(`log`(x))",
    "{0}",
    "I({0})",
    "{0.__class__}",
    "`{0.__class__}`",
    "I(`{0.__class__}` + x)",
    "I(x)(z)",
    "I(log)(x)",
    "log(z, x)",  # NumPy would write into x
    "sqrt(z, out=x)",
    "exp(x, where=x)",
    "scale(z, x)",
    "abs(x, z)",
    "ｅｖａｌ(x)",
    "ｌｏｇ(z)",  # Python reads fullwidth letters as ASCII
    "I(＿＿import＿＿)",
    "＿＿import＿＿('os')",
    "x.＿＿class＿＿",
    "I(x, ＿＿class＿＿=1)",
    "ｘ",
    "I(x\u200b)",
    "I(x\u202e)",
    "x\0",
    "I(9**9**9**9 * x)",
    "I(x * (9**9)**9**9)",
    "I(x**(9**9))",
    "I(x**99999)",
    "I(x**-99999)",
    "I(" + "9" * 1900 + "**9 * x)",
    "I(" + "-" * 1900 + "x)",
    "I(" + "x**" * 600 + "x)",
    "I(" + "x+" * 900 + "x)",
    "I(" * 200 + "x" + ")" * 200,
    "(" * 900 + "x" + ")" * 900,
    "I(x" * 3000,
    "bs(x, df=1000000000)",
    "poly(x, 1000000000)",
    "cr(x, df=1e12)",
    "cc(z, df=100000)",
    "bs(x, df=-1)",
    "bs(x, degree=1000000000)",
]  # fmt: skip
PARSE_ONLY = {a for a in ATTACKS if "00000" in a}  # would ask for all memory if they went on


def places(attack):
    """Where a right side takes an expression."""
    return [
        f"y ~ {attack}",
        f"y ~ z + offset({attack})",
        f"y ~ ({attack} | g)",
        f"{attack} ~ z",
        f"y | trials({attack}) ~ z",
    ]


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: ascii(a[:40]))
@pytest.mark.promise("attacks")
def test_attacks(attack, empty_folder):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"y": rng.normal(size=40), "x": rng.normal(size=40), "z": rng.uniform(1, 2, 40), "g": ["a", "b"] * 20}
    )
    kept = frame.copy()
    for text in places(attack):
        with pytest.raises(InputError):
            formula = parse_formula(text)
            assert attack not in PARSE_ONLY, "must be refused before anything is computed"
            table = take_columns(frame, formula.columns)
            code_predictor(formula, table)
            for expression in (formula.response.value, formula.response.trials):
                if expression is not None:
                    evaluate_expression(expression, table)
    pd.testing.assert_frame_equal(frame, kept)
    assert os.listdir(empty_folder) == []


@pytest.mark.parametrize(
    "name", ["x.__class__", "{0}", "{0.__class__}", "__import__('os')", "I(x)", "a; b", "x # y", "v0"]
)
def test_such_names_are_only_names(name, empty_folder):
    """A column may have any name; in backticks it is a column and nothing else."""
    x = np.arange(20.0) ** 2
    frame = pd.DataFrame({"y": x, name: x + 1, "x": np.arange(20.0)})
    formula = parse_formula(f"y ~ I(`{name}` * 2) + x")
    population = code_predictor(formula, take_columns(frame, formula.columns)).population
    np.testing.assert_allclose(population.values, np.column_stack([2 * (x + 1), np.arange(20.0)]))
    assert os.listdir(empty_folder) == []
