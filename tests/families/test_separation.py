"""Coefficients that nothing but their prior bounds are named before sampling, in families beside the binary ones."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.families.ordinal import separated_categories
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.population import DesignMatrix

LEVELS = ("a", "b", "c")
Y = np.repeat([0.0, 1.0, 2.0], 4)


def grows_without_end(y: np.ndarray, x: np.ndarray) -> bool:
    """Whether the maximum over the cutpoints of the cumulative logit likelihood still grows where the coefficient of x is large."""
    x, k = (x - x.mean()) / x.std(), y.astype(int)

    def loss(v, b):
        cuts = np.array([-np.inf, v[0], v[0] + np.exp(v[1]), np.inf])
        p = expit(cuts[k + 1] - b * x) - expit(cuts[k] - b * x)
        return -np.log(np.maximum(p, 1e-300)).sum()

    profile = {}
    for sign in (-1, 1):
        at = np.array([-1.0, 0.5])
        for b in np.arange(0.0, 21.0):
            found = optimize.minimize(loss, at, sign * b, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
            at, profile[sign * b] = found.x, found.fun
    return abs(min(profile, key=profile.__getitem__)) > 6


COLUMNS = {
    "mixed": ([0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0], False),
    "one value has the highest category only": ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], True),
    "one value has the lower two, the other the upper two": ([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1], True),
    "and one row of the lowest": ([0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1], False),
    "sorted": ([1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 9.5], True),
    "sorted downwards": ([-1, -2, -3, -4, -4, -5, -6, -7, -7, -8, -9, -10], True),
    "sorted but for one": ([1, 2, 3, 5, 4, 5.5, 6, 7, 7.1, 8, 9, 10], False),
}


@pytest.mark.parametrize(("column", "told"), COLUMNS.values(), ids=COLUMNS)
def test_ordered_categories(column, told):
    x = np.array(column, float)
    found = separated_categories(Outcome("y", Y, levels=LEVELS), DesignMatrix(x[:, None], ("x",), False))
    assert len(found) == told and all("its coefficient rests on its prior" in s and "x" in s for s in found)
    assert grows_without_end(Y, x) == told


def warned(build, *args, **options) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build(*args, **options)
    return "\n".join(str(w.message) for w in caught)


def table() -> pd.DataFrame:
    k = np.arange(60)
    d = pd.DataFrame({"g": k % 10, "arm": np.array(["A", "B", "C"])[k % 3], "c": np.where(k % 2, 0, 1 + k % 4)})
    return d.assign(grade=np.array(["low", "mid", "high"])[(k * 7 % 11) % 3])


def test_the_builder_of_ordered_categories_tells():
    d = table()
    d.loc[d.arm == "A", "grade"] = "low"
    options = {"levels": ["low", "mid", "high"]}
    words = "arm separates the categories of 'grade': no category above 'low' in the 20 rows where arm is 'A'"
    assert words in warned(zoo.ordinal, d, "grade ~ arm + (1 | g)", **options)
    d.loc[d.index[d.arm == "A"][0], "grade"] = "mid"
    d.loc[d.index[d.arm == "A"][1], "grade"] = "high"
    assert "separates" not in warned(zoo.ordinal, d, "grade ~ arm + (1 | g)", **options)


@pytest.mark.parametrize("builder", ["zero_inflated_poisson", "hurdle_poisson", "hurdle_negative_binomial"])
def test_the_share_of_zeros(builder):
    d = table()
    d.loc[d.arm == "A", "c"] = 1 + d.g
    words = "zi: no zeros of 'c' in the 20 rows where arm is 'A'; what zi says of arm there rests on its prior"
    assert words in warned(getattr(zoo, builder), d, "c ~ 1 + (1 | g)", zi="~ arm")
    d.loc[d.index[d.arm == "A"][0], "c"] = 0
    assert "zi:" not in warned(getattr(zoo, builder), d, "c ~ 1 + (1 | g)", zi="~ arm")
    d.loc[d.arm == "A", "c"] = 0
    assert "zi: nothing but zeros of 'c' in the 20 rows where arm is 'A'" in warned(
        getattr(zoo, builder), d, "c ~ 1 + (1 | g)", zi="~ arm"
    )
