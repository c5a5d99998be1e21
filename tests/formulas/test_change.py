"""Formulas changed as R's update() changes them; the results were worked out by hand from `?update.formula`."""

import pytest

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.change import changed_formula

CHANGES = [
    ("y ~ x + (1 | g)", ". ~ . + age", "y ~ x + (1 | g) + age"),
    ("k | trials(n) ~ x + (1 | g)", ". ~ . - x", "k | trials(n) ~ (1 | g)"),
    ("k | trials(n) ~ x", "~ . + w", "k | trials(n) ~ x + w"),
    ("k | trials(n) ~ x", ". | trials(m) ~ .", "k | trials(m) ~ x"),
    ("y ~ x", "log(.) ~ .", "log(y) ~ x"),
    ("y ~ x", "log(. + 1) ~ . + z", "log(y + 1) ~ x + z"),
    ("y ~ x + z", ". ~ w", "y ~ w"),
    ("y ~ x", "z ~ w", "z ~ w"),
    ("y ~ x + (1|g)", ". ~ . - (1 | g)", "y ~ x"),
    ("y ~ x + (1 | g)", ". ~ . - (1 | g) + (1 + x | g)", "y ~ x + (1 + x | g)"),
    ("y ~ x + (1 | a/b)", ". ~ . - (1 | a / b)", "y ~ x"),
    ("y ~ x * z", ". ~ . - x:z", "y ~ x * z - x:z"),
    ("y ~ x * z - x:z", ". ~ . + x:z", "y ~ x * z"),
    ("y ~ (x + z)^2", ". ~ . - x:z", "y ~ (x + z)^2 - x:z"),
    ("y ~ x", ". ~ . - x", "y ~ 1"),
    ("y ~ x", ". ~ . - 1", "y ~ x - 1"),
    ("y ~ 0 + x", ". ~ . + 1", "y ~ x"),
    ("y ~ x", ". ~ . + x", "y ~ x"),
    ("y ~ x", ". ~ z + .", "y ~ z + x"),
    ("y ~ s(x) + offset(log(t))", ". ~ . - s(x) + s(x, k=5)", "y ~ offset(log(t)) + s(x, k=5)"),
    ("y ~ `a. b` + x.1 + .5 * 0", ". ~ `c . d`", "y ~ `c . d`"),
    ("~ x", "~ . + w", "~ x + w"),
    ('Surv(years, status == "dead") ~ drug', ". ~ . + sex", 'Surv(years, status == "dead") ~ drug + sex'),
]


@pytest.mark.parametrize(("former", "change", "expected"), CHANGES)
def test_a_changed_formula_is_the_one_that_r_makes(former: str, change: str, expected: str) -> None:
    assert changed_formula(former, change) == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (". ~ . - w", r"there is no w to take out of 'y ~ x \+ \(1 \| g\)'; it has x, \(1 \| g\)"),
        (". ~ . - (1 | h)", r"no \(1 \| h\) to take out"),
        (". ~ . - x:z", "no x:z to take out"),
        (". ~ . * z", r"on the right '\.' stands alone"),
        (". ~ (1 + . | g)", r"on the right '\.' stands alone"),
        (". ~ . - .", r"'\.' cannot be taken out"),
        (". + z", "write what becomes of the response"),
        (". ~", "write what becomes of the response"),
        (". ~ x ~ .", "more than one '~'"),
        (". ~ . + (1 | g", r"unmatched|write"),
    ],
)
def test_changes_that_cannot_be_made(change: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        changed_formula("y ~ x + (1 | g)", change)


def test_a_point_is_a_word_of_changes_only() -> None:
    with pytest.raises(InputError, match=r"'\.' is not allowed"):
        changed_formula("y ~ .", ". ~ . + x")
