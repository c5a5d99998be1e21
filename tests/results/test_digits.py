"""Numbers as they are written for people: each expectation by hand, and read back as far as the last digit."""

import itertools
import math

import numpy as np
import pytest

from glmm_zoo.results import numbers

NAN, INF = math.nan, math.inf

WRITTEN = [
    (0.4651, 2, "0.47"), (-15.62, 1, "−15.6"), (0.0, 2, "0.00"), (-0.0, 2, "0.00"), (-0.001, 2, "0.00"), (208.4, 0, "208"),
    (1883.2, 0, "1883"), (9999.4, 0, "9999"), (9999.6, 0, "10\u202f000"), (-357347.0, 0, "−357\u202f347"),
    (12345.678, 2, "12\u202f345.68"), (1e-9, 2, "0.00"), (1e-9, 10, "0.0000000010"), (1e12, 0, "1\u202f000\u202f000\u202f000\u202f000"),
    (1e300, 0, "> 1\u202f000\u202f000\u202f000\u202f000\u202f000"), (-1e300, 2, "< −1\u202f000\u202f000\u202f000\u202f000\u202f000"),
    (INF, 2, "∞"), (-INF, 0, "−∞"), (NAN, 2, "–"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "decimals", "text"), WRITTEN)
def test_a_number_with_so_many_decimals(value, decimals, text):
    assert numbers.written(value, decimals) == text


ESTIMATES = [
    # median, lower, upper, scale, mcse
    ((0.4651, 0.3571, 0.5889, "ratio", 0.001), "0.47 (0.36 to 0.59)"),
    ((0.2201, 0.1539, 0.3112, "risk", 0.0005), "22.0\u00a0% (15.4 to 31.1\u00a0%)"),
    ((-0.1562, -0.2363, -0.0861, "points", 0.0005), "−15.6 percentage points (−23.6 to −8.6)"),
    ((0.0748, 0.0431, 0.1339, "icc", 0.0), "0.075 (0.043 to 0.134)"),
    ((-0.0312, -0.9961, 0.8, "correlation", 0.0), "−0.03 (< −0.99 to 0.80)"),
    ((208.3, 171.6, 266.7, "nnt", 0.0), "208 (172 to 267)"),
    ((1.0004, 1.0002, 1.0006, "ratio", 0.0), "1.0004 (1.0002 to 1.0006)"),  # two decimals would say 1.00 three times
    ((3.42, 1.12, 12.93, "ratio", 0.0), "3.4 (1.1 to 12.9)"),
    ((4.02, 0.123, 90.3, "ratio", 0.3), "4 (0.1 to 90)"),  # a ratio below 1 has a digit of its own
    ((2.14, 0.036, 41.2, "ratio", 0.0), "2.1 (0.04 to 41.2)"),
    ((1450.0, 3.2, 98000.0, "ratio", 0.0), "1450 (3 to 98\u202f000)"),
    ((0.0002, 0.0001, 0.0004, "risk", 0.0), "0.02\u00a0% (0.01 to 0.04\u00a0%)"),
    ((0.0001, 0.00002, 0.012, "risk", 0.0), "< 0.1\u00a0% (< 0.1 to 1.2\u00a0%)"),
    ((0.9999, 0.98, 0.99999, "risk", 0.0), "> 99.9\u00a0% (98.0 to > 99.9\u00a0%)"),
    ((0.7013, 0.3842, 1.2149, "number", 0.004), "0.70 (0.38 to 1.21)"),
    ((102.31, 100.64, 104.02, "number", 0.03), "102.3 (100.6 to 104.0)"),
    ((102.31, 100.64, 104.02, "number", 0.3), "102 (101 to 104)"),  # the error supports no decimal
    ((0.2201, 0.1539, 0.3112, "risk", 0.004), "22\u00a0% (15 to 31\u00a0%)"),
    ((-0.02041, -0.03513, -0.00569, "number", 0.0), "−0.0204 (−0.0351 to −0.0057)"),
    ((81234.0, 60111.0, 99999.0, "number", 0.0), "81\u202f234 (60\u202f111 to 99\u202f999)"),
    ((2.5, 2.5, 2.5, "number", 0.0), "2.50 (2.50 to 2.50)"),
    ((0.0, 0.0, 0.0, "number", 0.0), "0 (0 to 0)"),
    ((1.23, 0.98, INF, "number", 0.0), "1.230 (0.980 to ∞)"),
    ((NAN, NAN, NAN, "nnt", NAN), "– (–)"),
]


@pytest.mark.parametrize(("estimate", "text"), ESTIMATES)
def test_an_estimate_and_its_interval(estimate, text):
    assert numbers.estimate_text(*estimate) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.9, "0.90"), (0.9951, "> 0.99"), (1.0, "> 0.99"), (0.9949, "0.99"), (0.0049, "< 0.01"), (0.0, "< 0.01"), (0.0051, "0.01"), (NAN, "–")],
)  # fmt: skip
def test_a_probability_is_never_0_or_1(p, text):
    assert numbers.probability(p) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.22, "22.0"), (0.0, "0.0"), (1.0, "100.0"), (0.0002, "< 0.1"), (0.99996, "> 99.9"), (NAN, "–")],
)
def test_a_share_that_is_not_0_is_not_written_as_0(share, text):
    assert numbers.percent(share) == f"{text}\u00a0%"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.14159, "3.14"),
        (0.012345, "0.0123"),
        (12345.6, "12\u202f346"),
        (100.0, "100"),
        (0.0, "0"),
        (-1e-9, "−0.00000000100"),
        (1.0, "1.00"),
    ],
)
def test_a_number_of_unknown_uncertainty(value, text):
    assert numbers.alone(value) == text


def test_a_column_shares_decimals_unless_its_numbers_differ_by_orders_of_magnitude():
    assert numbers.column_decimals("number", [(0.7, 0.2, 1.3), (0.3, 0.1, 0.5)]) == [2, 2]
    assert numbers.column_decimals("number", [(0.7, 0.2, 1.3), (0.3, 0.1, 0.5)], [0.09, 0.001]) == [1, 2]
    assert numbers.column_decimals("number", [(0.7, 0.2, 1.3), (4000.0, 1000.0, 9000.0)], [0.01, 50.0]) == [2, 0]
    assert numbers.column_decimals("number", [(0.07, 0.02, 0.13), (4000.0, 1000.0, 9000.0)]) == [3, 0]
    assert numbers.column_decimals("ratio", []) == []


def read(text: str) -> float:
    return float(text.replace("−", "-").replace("\u202f", "").replace("∞", "inf"))


@pytest.mark.parametrize("scale", ["risk", "points", "ratio", "probability", "icc", "number"])
def test_what_is_read_back_is_the_number_up_to_half_a_unit_and_no_digit_lies_below_the_monte_carlo_error(scale):
    rng = np.random.default_rng(1)
    factor = 100 if scale in ("risk", "points") else 1
    for size, share in itertools.product(10.0 ** np.arange(-6, 7), (0.5, 0.05, 0.002)):
        low, median, high = np.sort(rng.normal(size, share * size, 3))
        if scale in ("risk", "probability", "icc"):
            low, median, high = (x / (1 + x) for x in (low, median, high))
        low, median, high = (abs(x) if scale == "ratio" else x for x in (low, median, high))
        mcse = (high - low) / rng.choice([20, 200, 2000])
        d = numbers.decimals(scale, (median, low, high), mcse)
        assert 10.0**-d >= factor * mcse / 2 * (1 - 1e-9) or d == 0
        for value in (low, median, high):
            text = numbers.on_scale(value, scale, d)
            assert "e" not in text
            half = 0.5 * 10.0**-d
            if text[0] in "<>":
                assert (factor * value < read(text[2:])) == (text[0] == "<")
            else:
                assert abs(read(text) - factor * value) <= half * (1 + 1e-6)
                assert text.partition(".")[2] == "" or len(text.partition(".")[2]) == d


def test_an_interval_of_two_different_ends_shows_them_different_unless_the_error_hides_it():
    rng = np.random.default_rng(2)
    for size in 10.0 ** np.arange(-4, 1):
        low, high = np.sort(rng.uniform(0.4, 0.6, 2)) * size
        d = numbers.decimals("ratio", ((low + high) / 2, low, high))
        assert numbers.on_scale(low, "ratio", d) != numbers.on_scale(high, "ratio", d)
