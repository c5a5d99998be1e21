"""Coefficients that nothing but their prior bounds are named before sampling, in families beside the binary ones."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from rows import arms
from scipy import optimize
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.families.ordered_categories import separated_categories
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
    words = "zi: no zeros of 'c' among the 20 rows where arm is 'A'; what zi says of arm there rests on its prior"
    assert words in warned(getattr(zoo, builder), d, "c ~ 1 + (1 | g)", zi="~ arm")
    d.loc[d.index[d.arm == "A"][0], "c"] = 0
    assert "zi:" not in warned(getattr(zoo, builder), d, "c ~ 1 + (1 | g)", zi="~ arm")
    d.loc[d.arm == "A", "c"] = 0
    assert "zi: nothing but zeros of 'c' among the 20 rows where arm is 'A'" in warned(
        getattr(zoo, builder), d, "c ~ 1 + (1 | g)", zi="~ arm"
    )


@pytest.mark.parametrize("builder", ["hurdle_poisson", "hurdle_negative_binomial"])
def test_positive_counts_that_are_all_one(builder):
    """The mean of a truncated count has no lower end where all are 1: log f(1) = eta - e^eta - log(1 - e^(-e^eta)) tends to 0."""
    d = table()
    d.loc[d.arm == "A", "c"] = np.minimum(d.c, 1)
    words = "all positive counts of 'c' are 1 in the 10 rows where arm is 'A'; what the model says of arm there rests on its prior"
    assert words in warned(getattr(zoo, builder), d, "c ~ arm + (1 | g)")
    assert words not in warned(zoo.poisson, d, "c ~ arm + (1 | g)")
    d.loc[d.index[(d.arm == "A") & (d.c == 1)][0], "c"] = 2
    assert "are 1 in" not in warned(getattr(zoo, builder), d, "c ~ arm + (1 | g)")
    at = np.array([-5.0, -10.0, -20.0])
    log_f = at - np.exp(at) - np.log(-np.expm1(-np.exp(at)))
    assert np.all(np.diff(log_f) > 0) and log_f[-1] == pytest.approx(0, abs=1e-8)


def test_nominal_levels_that_lack_a_category():
    """A level has thresholds of its own, at the logits of its shares at or below each category: equal or infinite without a row of one."""
    d = table().assign(x=lambda d: np.arange(len(d)) % 4 // 2)
    options = {"levels": ["low", "mid", "high"], "nominal": "~ arm"}
    assert "nominal:" not in warned(zoo.ordinal, d, "grade ~ arm + x + (1 | g)", **options)
    for lacking, instead in (("mid", "low"), ("high", "mid"), ("low", "high")):
        lacks = d.assign(grade=d.grade.where((d.arm != "A") | (d.grade != lacking), instead))
        shares = (
            lacks[lacks.arm == "A"].grade.value_counts().reindex(options["levels"], fill_value=0).cumsum().to_numpy()
            / 20
        )
        with np.errstate(divide="ignore"):
            steps = np.diff(np.log(shares[:-1] / (1 - shares[:-1])))
        assert not np.all(np.isfinite(steps) & (steps > 0))
        words = f"nominal: no row of '{lacking}' among the 20 rows where arm is 'A'; what nominal says of arm there rests on its prior"
        assert words in warned(zoo.ordinal, lacks, "grade ~ arm + x + (1 | g)", **options)
        assert "nominal:" not in warned(
            zoo.ordinal, lacks, "grade ~ arm + x + (1 | g)", **{**options, "nominal": "~ x"}
        )


@pytest.mark.parametrize(
    ("all_zero", "words"),
    [
        ([0, 1], None),
        ([1], "never: no subjects with zeros only among the 5 subjects where arm is 'A'; what never says of arm there rests on its prior"),
        ([0, 2, 4, 6, 8, 1], "never: nothing but subjects with zeros only among the 5 subjects where arm is 'A'; what never says of arm"),
    ],
)  # fmt: skip
def test_the_probability_of_never_being_at_risk(all_zero, words):
    d = table().assign(
        arm=lambda d: np.array(["A", "B"])[d.g % 2], c=lambda d: np.where(d.g.isin(all_zero), 0, 1 + d.g % 3)
    )
    told = warned(zoo.never_at_risk, d, "c ~ 1 + (1 | g)", subject="g", never="~ arm")
    assert words in told if words else "never:" not in told


def wedge() -> pd.DataFrame:
    cells = [(c, t, int(t > 1 + c // 2), k) for c in range(8) for t in range(1, 6) for k in range(3)]
    d = pd.DataFrame(cells, columns=["cluster", "period", "treat", "k"])
    return d.assign(y=d.k % 2, since=np.maximum(d.period - 1 - d.cluster // 2, 0), first=2 + d.cluster // 2)


@pytest.mark.parametrize(
    ("options", "one", "words"),
    [
        (
            {"family": "binomial"},
            {1},
            "column 'treat' separates the outcome: nothing but successes in 60 rows where it is 1",
        ),
        (
            {"family": "binomial", "treatment": None, "crossover": "first"},
            {1},
            "column 'after first' separates the outcome",
        ),
        ({"family": "poisson"}, {0}, "all counts of 'y' are 0 in the 60 rows where treat is 1"),
        ({"family": "binomial", "exposure_time": "categorical"}, {1}, "column 'exposure time 2' separates the outcome"),
    ],
)
def test_a_wedges_treatment(options, one, words):
    d = wedge()
    separated = d.assign(y=d.y.mask(d.treat == 1, min(one)))
    mixed = separated.assign(y=lambda d: d.y.mask((d.treat == 1) & (d.k == 0), 1 - min(one)))
    assert words in warned(zoo.stepped_wedge, separated, "y ~ 1", **{"treatment": "treat", **options})
    assert "rests on its prior" not in warned(zoo.stepped_wedge, mixed, "y ~ 1", **{"treatment": "treat", **options})


@pytest.mark.parametrize(
    ("drug", "words"),
    [(1, "nothing but failures in 9 rows where it is 1"), (0, "nothing but failures in 8 rows where it is 0")],
)
def test_an_arm_of_a_meta_analysis(drug, words):
    d = arms()
    separated = d.assign(ev=d.ev.mask(d.drug == drug, 0))
    mixed = separated.assign(ev=lambda d: d.ev.mask((d.drug == drug) & (d.trial == "T1"), 1))
    options = {"study": "trial", "treatment": "drug"}
    told = f"column 'drug' separates the outcome: {words}; its coefficient rests on its prior"
    assert told in warned(zoo.meta_analysis, separated, "ev | trials(size) ~ 1", **options)
    assert "separates" not in warned(zoo.meta_analysis, mixed, "ev | trials(size) ~ 1", **options)
