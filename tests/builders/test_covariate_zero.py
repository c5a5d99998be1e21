"""Nothing depends on where a covariate's zero lies, nor on its unit, but the unit of its own coefficients.

With x' = a (x + c) the model is the same at coefficients, sds and effects of x divided by a: every prior and the likelihood have
the density that they had before, up to the Jacobian of the units.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
import row_models
from rows import ROWS, Row, visits

SHIFT, SCALE = 2000.0, 0.001
# responses, times, offsets and exposures are no covariates
OTHERS = {"y", "t", "days", "time", "start", "stop", "years"}


def moved_columns(row: Row) -> list[str]:
    """The covariates of numbers that the row's model has."""
    text = f"{row.formula} {row.options}"
    return [c for c, kind in row.columns.items() if kind == "number" and c not in OTHERS and f"offset({c})" not in text]


def keeps_its_meaning(row: Row) -> bool:
    """Not without centring, nor where numbers are given in units of x, nor with slopes through zero, (0 + x | g)."""
    return row.options.get("center", True) is True and "priors" not in row.options and "(0 + x" not in str(row.formula)


# builder, formula, options, covariates moved: what the rows have not
MORE = {
    "products that vary": ("hierarchical_linear", "y ~ x * w * v + (1 + x * w | g)", {}, ["x", "w", "v"]),
    "products that vary, apart": ("poisson", "k ~ arm / x + (1 | g) + (0 + w | g) + (sex * v || h)", {}, ["x", "w", "v"]),
    "a square": ("hierarchical_logistic", "ill ~ x + I(x**2) + w:x + w + (x + I(x**2) | g)", {}, ["x", "w"]),
    "dispersion": ("negative_binomial", "c ~ x + (x | g)", {"dispersion": "~ w * sex + (w || g)"}, ["x", "w"]),
    "zi, one block": (
        "zero_inflated_negative_binomial", "c ~ x + (x |p| g)", {"zi": "~ w + (w |p| g)", "dispersion": "~ v + (v | h)"},
        ["x", "w", "v"],
    ),
    "outcomes": (
        "joint_outcomes", ["y ~ x * w + (1 + x |p| g)", "k ~ w + (1 + w + v |p| g) + (v | h)"],
        {"families": "gaussian, poisson"}, ["x", "w", "v"],
    ),
}  # fmt: skip
INVARIANT = {
    **{row.name: (row.builder, row.formula, row.options, moved_columns(row), row.data, row.tables)
       for row in ROWS if keeps_its_meaning(row) and moved_columns(row)},
    **{name: (*case, visits, ()) for name, case in MORE.items()},
}  # fmt: skip


def density(model):
    """From values of the free variables to the log density of each variable, without Jacobians."""
    free = model.with_transforms({rv.name: None for rv in model.free_RVs})
    run = row_models.function(free, free.logp(jacobian=False, sum=False))
    names = [rv.name for rv in free.basic_RVs]
    return lambda point: {name: float(np.sum(v)) for name, v in zip(names, run(point), strict=True)}


def power_of(label: str, columns: list[str]) -> int:
    return sum(part in columns for part in re.sub(r"I\((\w+)\*\*2\)", r"\1:\1", str(label)).split(":"))


def mapped(model, name: str, value: np.ndarray, columns: list[str]) -> tuple[np.ndarray, float]:
    """The variable after the change of units, and the logarithm of how much smaller its elements became together."""
    powers = np.zeros(np.shape(value))
    for axis, dim in enumerate(model.named_vars_to_dims.get(name, ())):
        if dim.endswith(("coef", "effect")):
            of_labels = np.array([power_of(label, columns) for label in model.coords[dim]], float)
            powers = powers + of_labels.reshape([-1 if a == axis else 1 for a in range(np.ndim(value))])
    return value * SCALE**-powers, float(powers.sum() * np.log(SCALE))


@pytest.mark.parametrize(("builder", "formula", "options", "columns", "data", "tables"), INVARIANT.values(), ids=INVARIANT)
def test_priors_and_likelihood_stay_when_covariates_are_shifted_and_rescaled(
    builder, formula, options, columns, data, tables
):
    def move(table):
        return table.assign(**{c: (table[c] + SHIFT) * SCALE for c in columns if c in table})

    before = row_models.builder(builder)(data(), *tables, formula, **options)
    after = row_models.builder(builder)(
        move(data()), *(t if t is None else move(t) for t in tables), formula, **options
    )
    density_before, density_after = density(before), density(after)
    point = row_models.random_point(before, 5)
    names = [rv.name for rv in before.free_RVs]
    values = row_models.function(before, before.replace_rvs_by_values(before.free_RVs))(point)
    there = {name: mapped(before, name, value, columns) for name, value in zip(names, values, strict=True)}
    found = density_after({name: value for name, (value, _) in there.items()})
    for name, expected in density_before(dict(zip(names, values, strict=True))).items():
        jacobian = there[name][1] if name in there else 0.0
        assert found[name] == pytest.approx(expected + jacobian, rel=1e-6, abs=1e-6), name
