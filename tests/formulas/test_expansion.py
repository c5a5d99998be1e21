"""How many terms a formula stands for: counted as formulaic does, and refused before formulaic tries."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from formulaic import Formula

import glmm_zoo as zoo
from glmm_zoo.formulas import population
from glmm_zoo.formulas.expansion import TooManyTermsError, expanded
from glmm_zoo.formulas.grammar import parse_formula

RIGHT_SIDES = [
    "1",
    "0 + a",
    "a",
    "a + b + a",
    "a * b",
    "a * b * c",
    "a : b",
    "(a + b) : (c + d)",
    "(a + b) * (c + d)",
    "(a + b + c)^2",
    "(a + b + c)^3 + d",
    "(a + b) * c : d",
    "a * b : c * d",
    "a / b",
    "(a + b) / c",
    "a / (b + c)",
    "a / b / c",
    "a * a * a",
    "(a * b)^2",
    "a : (b + c)^2",
    "-1 + a * b",
]


@pytest.mark.parametrize("right", RIGHT_SIDES)
def test_terms_are_those_of_formulaic(right: str) -> None:
    counted = expanded(parse_formula(f"~ {right}", response=False).population, 1000) - {frozenset()}
    terms = [t for t in Formula(right.replace("^", "**")) if str(t) != "1"]
    assert {frozenset(e.text for e in term) for term in counted} == {frozenset(map(str, t.factors)) for t in terms}


@pytest.mark.parametrize("right", ["a * b * c", "(a + b + c)^3", "(a + b + c + d) : (a + b)"])
def test_the_most_is_a_bound(right: str) -> None:
    symbols = parse_formula(f"~ {right}", response=False).population
    count = len(expanded(symbols, 7))
    assert expanded(symbols, count)
    with pytest.raises(TooManyTermsError):
        expanded(symbols, count - 1)


def crossed(count: int, by: str = "*") -> str:
    return by.join(f"I(x + {i})" for i in range(count))


EXPLOSIONS = {
    "product": crossed(30),
    "product of sums": "*".join(f"(x{i} + z{i})" for i in range(30)),
    "interaction of sums": ":".join(f"(x{i} + z{i})" for i in range(30)),
    "powers": "*".join(f"(a{i} + b{i} + c{i})^5" for i in range(8)),
    "power of a power": "((a + b + c + d + e)^5 * f * g)^5",
    "nested": "/".join(f"(x{i} + z{i})" for i in range(30)) + "*" + crossed(30),
    "nine": crossed(9),
    "subtracted": f"x - {crossed(30)}",
    "in brackets": f"z:({crossed(30)})",
}


@pytest.mark.parametrize("case", EXPLOSIONS)
@pytest.mark.parametrize("form", ["y ~ {}", "y ~ (1 + {} | g)"])
def test_an_explosion_is_refused_at_once(case: str, form: str) -> None:
    with pytest.raises(zoo.InputError, match=r"products in it stand for more than 500 terms|make too many columns"):
        parse_formula(form.format(EXPLOSIONS[case]))


def test_what_does_not_explode_is_taken() -> None:
    assert parse_formula(f"y ~ {crossed(8)}")  # 255 terms
    pairs = map("".join, itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=2))
    assert parse_formula(
        "Y ~ " + "+".join([p for p in pairs if p not in ("if", "in", "is", "or", "as")][:600])
    )  # a sum


def test_factors_that_would_have_more_columns_than_rows_are_refused_before_they_are_coded() -> None:
    names = list("abcdefg")
    data = pd.DataFrame({c: [f"{c}{i % 20}" for i in np.random.default_rng(0).permutation(60)] for c in names})
    data["y"] = np.arange(60) % 7 * 1.0
    with pytest.raises(zoo.InputError, match=r"formula: 'a .* g' makes at least 1279999999 columns of 60 rows;"):
        zoo.hierarchical_linear(data, f"y ~ {'*'.join(names)}")


def test_columns_that_do_not_fit_in_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pd.DataFrame({"y": np.arange(60) % 7 * 1.0, "x": np.arange(60) % 5 * 1.0, "z": np.arange(60) % 3 * 1.0})
    two_copies = 2 * 60 * 2 * 8  # two columns of 60 rows of 8 bytes
    monkeypatch.setattr(population, "available_memory", lambda: two_copies)
    zoo.hierarchical_linear(data, "y ~ x + z")
    monkeypatch.setattr(population, "available_memory", lambda: two_copies - 1)
    with pytest.raises(zoo.InputError, match=r"'x \+ z' makes at least 2 columns of 60 rows;"):
        zoo.hierarchical_linear(data, "y ~ x + z")
