"""Hypotheses on a made-up posterior, against NumPy on its draws."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo.results import storage
from glmm_zoo.results.hypothesis_text import parse_hypothesis

CHAINS, DRAWS = 3, 40
COEFFICIENTS = ["trt[drug]", "age", "period[2]", "period[3]", "trt[drug]:age", "I(day/365.25)", "my col"]
CATALOGUE = np.random.default_rng(7)
BETA = CATALOGUE.normal([0.4, -0.2, 0.1, 0.3, 0.0, 1.0, 2.0], [0.5, 0.3, 0.4, 0.4, 1.0, 0.2, 1.0], (CHAINS, DRAWS, 7))
SD = np.exp(CATALOGUE.normal(0, 0.5, (CHAINS, DRAWS, 2)))
U = CATALOGUE.normal(0, 1, (CHAINS, DRAWS, 3, 2))
ANGLE = CATALOGUE.uniform(-0.9, 0.9, (CHAINS, DRAWS))
CORR = np.stack([np.stack([np.ones_like(ANGLE), ANGLE], -1), np.stack([ANGLE, np.ones_like(ANGLE)], -1)], -2)
CUTS = np.sort(CATALOGUE.normal(0, 2, (CHAINS, DRAWS, 2)), axis=-1)
DRUG, AGE, PERIOD_2, PERIOD_3, _, DAY, MINE = np.moveaxis(BETA, -1, 0)


def made_up(moments_only: bool = False, finished: int = DRAWS) -> xr.DataTree:
    """A logistic model of coefficients, two correlated effects of `a:b`, and names with whatever names may have."""
    effects, levels = ["Intercept", "age"], ["1:x", "2 [old]", "it's"]
    u = xr.Dataset({"u_a:b": (("chain", "draw", "a:b", "a:b_effect"), U)}, {"a:b": levels, "a:b_effect": effects})
    data = {
        "beta": (("chain", "draw", "coef"), BETA),
        "sd_a:b": (("chain", "draw", "a:b_effect"), SD),
        "corr_a:b": (("chain", "draw", "a:b_effect", "a:b_effect2"), CORR),
        "cutpoints": (("chain", "draw", "cut"), CUTS),
    }
    coords = {"coef": COEFFICIENTS, "a:b_effect": effects, "a:b_effect2": effects, "cut": ["1|2", "2|3"]}
    groups = {"a:b": {"sd": "sd_a:b", "u": "u_a:b", "effects": effects, "effect_dim": "a:b_effect", "predictors": [""]}}
    spec = {
        "link": "logit", "family": "ordinal", "latent_variance": np.pi**2 / 3, "links": {}, "groups": groups, "aspects": [], "auxiliary": [], "smooths": [],
    }  # fmt: skip
    sampling = {"draws": DRAWS, "chains": CHAINS, "finished": [finished] * CHAINS}
    posterior = xr.Dataset(data, coords)
    nodes = {"posterior": posterior if moments_only else posterior.merge(u)}
    if moments_only:
        kept = [u.mean(("chain", "draw")), u.std(("chain", "draw"))]
        nodes["group_effects"] = xr.concat(kept, xr.Variable("statistic", ["mean", "sd"]))
    tree = xr.DataTree.from_dict(nodes)
    storage.write_metadata(tree, {"spec": spec, "sampling": sampling})
    return tree


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return made_up()


def test_a_number_on_one_side_leaves_the_other_as_the_estimate(tree: xr.DataTree) -> None:
    found = zoo.hypotheses(tree, ["odds_ratio[trt] > 1", "beta[age] < -0.1", "0.5 <= exp(beta[age])"], prob=0.8)
    assert list(found.table) == [
        "hypothesis", "measure", "mean", "median", "sd", "lower", "upper", "p_positive", "mcse", "ess", "p", "posterior_odds",
    ]  # fmt: skip
    assert list(found.table["measure"]) == ["ratio", "value", "value"]
    holds = [np.exp(DRUG) > 1, AGE < -0.1, np.exp(AGE) >= 0.5]
    for i, (draws, null) in enumerate([(np.exp(DRUG), 1), (AGE, 0), (np.exp(AGE), 0)]):
        row, p = found.table.iloc[i], holds[i].mean()
        expected = [
            draws.mean(), np.median(draws), draws.std(ddof=1), *np.quantile(draws, [0.1, 0.9]), (draws > null).mean(), p, p / (1 - p),
        ]  # fmt: skip
        names = ["mean", "median", "sd", "lower", "upper", "p_positive", "p", "posterior_odds"]
        np.testing.assert_allclose(row[names].astype(float), expected)
        np.testing.assert_array_equal(found.draws["value"].values[..., i], draws)
    assert list(found.draws["hypothesis"].values) == list(found.table["hypothesis"])
    p = holds[0].mean()
    assert found.sentence.startswith(
        f"odds_ratio[trt[drug]] > 1 has probability {p:.2f} and posterior odds {p / (1 - p):.1f}:1; odds_ratio[trt[drug]] is "
        f"{np.median(np.exp(DRUG)):.1f} ({np.quantile(np.exp(DRUG), 0.1):.1f} to {np.quantile(np.exp(DRUG), 0.9):.1f}). "
    )
    assert found.sentence.endswith(f". Medians of {CHAINS * DRAWS} draws, 80\u00a0% intervals.")


def test_two_sides_with_parameters_are_a_difference(tree: xr.DataTree) -> None:
    found = zoo.hypotheses(tree, "beta[period[2]] >= beta[period[3]] - 0.1").table.iloc[0]
    assert found["measure"] == "difference" and found["p"] == (PERIOD_2 >= PERIOD_3 - 0.1).mean()
    assert found["mean"] == pytest.approx((PERIOD_2 - PERIOD_3 + 0.1).mean())
    less = zoo.hypotheses(tree, ["beta[period[2]] < beta[period[3]]", "odds_ratio[period[2]] < odds_ratio[period[3]]"])
    assert list(less.table["p"]) == [(PERIOD_2 < PERIOD_3).mean()] * 2
    assert less.sentence.count("1:") + less.sentence.count(":1") == 2
    assert list(less.table["measure"]) == ["difference"] * 2


def test_a_chain_has_its_quantity_in_the_middle(tree: xr.DataTree) -> None:
    inside, down = zoo.hypotheses(tree, ["-1 < beta[age] <= -0.1", "0.2 > beta[age] > -0.3"]).table.itertuples()
    assert inside.p == ((AGE > -1) & (AGE <= -0.1)).mean() and inside.mean == pytest.approx(AGE.mean())
    assert down.p == ((AGE < 0.2) & (AGE > -0.3)).mean() and inside.measure == "value"


def test_without_comparison_it_is_estimated(tree: xr.DataTree) -> None:
    texts = [
        "beta[age]",
        "beta[period[2]] - beta[period[3]]",
        "sd_a:b[Intercept] / sd_a:b[age]",
        "odds_ratio[age]",
        "2 / sd_a:b[age]",
    ]
    found = zoo.hypotheses(tree, texts)
    assert list(found.table["measure"]) == ["value", "difference", "ratio", "ratio", "value"]
    draws = [AGE, PERIOD_2 - PERIOD_3, SD[..., 0] / SD[..., 1], np.exp(AGE), 2 / SD[..., 1]]
    nulls = [0, 0, 1, 1, 0]
    np.testing.assert_allclose(found.table["p_positive"], [(d > n).mean() for d, n in zip(draws, nulls, strict=True)])
    assert found.table[["p", "posterior_odds"]].isna().all(axis=None) and "p_rope" not in found.table
    assert f"sd_a:b[Intercept] / sd_a:b[age] is {np.median(draws[2]):.1f} (" in found.sentence
    assert f"above 1 with probability {(draws[2] > 1).mean():.2f}" in found.sentence


def test_an_equality_is_a_region(tree: xr.DataTree) -> None:
    regions = {"difference": (-0.3, 0.2), "ratio": (0.8, 1.25), "value": 0.4}
    texts = [
        "beta[period[2]] = beta[period[3]]", "odds_ratio[period[2]] / odds_ratio[period[3]] == 1", "odds_ratio[age] = 1", "beta[age] = 0",
        "beta[age] = 0.5", "odds_ratio[age] = 2", "beta[age] < 0",
    ]  # fmt: skip
    found = zoo.hypotheses(tree, texts, rope=regions)
    ratio, odds = np.exp(PERIOD_2) / np.exp(PERIOD_3), np.exp(AGE)
    expected = [
        (d >= low) & (d <= high)
        for d, low, high in [
            (PERIOD_2 - PERIOD_3, -0.3, 0.2), (ratio, 0.8, 1.25), (odds, 0.8, 1.25), (AGE, -0.4, 0.4), (AGE - 0.5, -0.3, 0.2),
            (odds - 2, -0.3, 0.2), (AGE, -0.4, 0.4),
        ]
    ]  # fmt: skip
    np.testing.assert_allclose(found.table["p_rope"], [e.mean() for e in expected])
    np.testing.assert_allclose(found.table["p"], [*(e.mean() for e in expected[:-1]), (AGE < 0).mean()])
    assert list(found.table["measure"]) == [
        "difference",
        "ratio",
        "ratio",
        "value",
        "difference",
        "difference",
        "value",
    ]
    assert "beta[period[2]] = beta[period[3]] within (-0.3, 0.2) has probability" in found.sentence


@pytest.mark.parametrize(
    ("text", "rope", "told"),
    [
        ("beta[age] = 0", None, r"never exactly true.*region around 0 of the value beta\[age\]: rope=\(-0.1, 0.1\)"),
        ("odds_ratio[age] = 1", None, r"region around 1 of the ratio odds_ratio\[age\]: rope=\(0.9, 1.1\)"),
        ("odds_ratio[age] = 1", (-0.1, 0.1), r"region around 1.*, not \(-0.1, 0.1\)"),
        (
            "beta[age] = beta[trt]",
            {"ratio": (0.9, 1.1)},
            "rope names 'ratio', which is not estimated; measures: difference",
        ),
        ("beta[age] = 0", (0.1, -0.1), "rope is"),
    ],
)
def test_an_equality_without_a_region_is_told(tree: xr.DataTree, text: str, rope: object, told: str) -> None:
    with pytest.raises(zoo.InputError, match=told):
        zoo.hypotheses(tree, text, rope=rope)  # pyright: ignore[reportArgumentType]


def test_what_holds_in_all_draws_or_in_none(tree: xr.DataTree) -> None:
    found = zoo.hypotheses(tree, ["sd_a:b[age] > 0", "sd_a:b[age] < 0"])
    assert list(found.table["p"]) == [1, 0] and list(found.table["posterior_odds"]) == [np.inf, 0]
    n = CHAINS * DRAWS
    assert f"posterior odds more than {n}:1, as many draws as there are" in found.sentence
    assert f"posterior odds less than 1:{n}, as many draws as there are" in found.sentence


NAMES = {
    "beta[trt[drug]]": DRUG,
    "beta[trt]": DRUG,
    "beta[ trt ]": DRUG,
    "`beta[trt[drug]]`": DRUG,
    "beta[trt:age]": BETA[..., 4],
    "beta[I(day/365.25)]": DAY,
    "beta[I(day / 365.25)]": DAY,
    "beta[my col]": MINE,
    "beta[`my col`]": MINE,
    "sd_a:b[Intercept]": SD[..., 0],
    "corr_a:b[Intercept, age]": ANGLE,
    "corr_a:b[Intercept,age]": ANGLE,
    "corr_a:b": ANGLE,
    "cutpoints[1|2]": CUTS[..., 0],
    "u_a:b[1:x, Intercept]": U[..., 0, 0],
    "u_a:b[2 [old], age]": U[..., 1, 1],
    "u_a:b[it's, age]": U[..., 2, 1],
    "icc[a:b]": SD[..., 0] ** 2 / (SD[..., 0] ** 2 + np.pi**2 / 3),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_the_summary(tree: xr.DataTree, name: str) -> None:
    for text, expected in ((name, NAMES[name]), (f"1-{name}*2", 1 - NAMES[name] * 2)):
        np.testing.assert_allclose(zoo.hypotheses(tree, text).draws["value"].values[..., 0], expected, rtol=1e-12)


def test_every_name_of_the_summary_is_known(tree: xr.DataTree) -> None:
    summary = zoo.summary(tree, group_effects=True)
    found = zoo.hypotheses(tree, list(summary.index)).table
    np.testing.assert_allclose(found["mean"], summary["mean"])
    for other in ("corr_a:b[age, Intercept]", "corr_a:b[age, age]"):
        with pytest.raises(zoo.InputError, match=r"did you mean 'corr_a:b\[Intercept, age\]'"):
            zoo.hypotheses(tree, other)


def test_the_longest_name_that_stands_there_is_meant() -> None:
    names = ["tau", "tau a", "tau a - b", "tau[a]b]", "tau[a]"]
    for text in ("tau a - b - tau a", "tau a - b-tau", "tau - tau a", "tau[a]b] - tau[a]", "tau-tau a - b"):
        (side,) = parse_hypothesis(text, names).sides
        assert side.text == text and len(side.tokens) == 3


LONG = 10**6
ATTACKS = {
    "__import__('os').system('true')": "unknown function '__import__'.*allowed: exp, log, sqrt, abs",
    "beta[age].__class__ > 0": "not allowed",
    "beta.values > 0": r"no parameter is called 'beta\.values'",
    "eval(beta[age])": "unknown function 'eval'",
    "lambda: 0": "no parameter is called 'lambda:'",
    "exp": "no parameter is called 'exp'",
    "exp()": "expected before '\\)'",
    "exp(beta[age], 2)": "',' at position 14 is not allowed",
    "beta[age](2)": "an operator is expected before '\\('",
    "beta[age] ** 1000000000": "at most 10",
    "9 ** 9 ** 9 ** 9": "at most 10",
    "beta[age] ** -1e9": "at most 10",
    "beta[age] ^ 2": r"write x\*\*2",
    "beta[age] > 1e999": "too large",
    "exp(exp(exp(exp(beta[my col]))))": r"not a finite number in \d+ of 120 draws",
    "log(beta[age]) > 0": r"not a finite number in \d+ of 120 draws",
    "beta[age] / 0": "in 120 of 120 draws",
    "beta[age] > log(0)": "'log\\(0\\)': not a finite number, such as",
    f"{'(' * 21}beta[age]{')' * 21}": "more than 20 nested brackets",
    f"{'(' * LONG}": "1000000 characters; at most 2000",
    "(beta[age]": "unmatched '\\(' at position 1",
    "beta[age])": "unmatched '\\)' at position 10",
    "beta[age": "unmatched '\\[' at position 5",
    "beta[age] +": "expected after '\\+' at position 11",
    "* beta[age]": "expected before '\\*' at position 1",
    "beta[age] beta[trt]": "operator is expected before 'beta\\[trt\\[drug\\]\\]' at position 11",
    "2beta[age]": "operator is expected",
    "> 1": "on each side",
    "beta[age] >": "on each side",
    "": "expected",
    "beta[age] = > 1": "one comparison|on each side",
    "(beta[age] > 1)": "stands in brackets",
    "beta[age] != 1": "'!' at position 11",
    "1 > 0": "no parameter",
    "2": "no parameter",
    "1 < beta[age] > 0": "one comparison, or two in one direction",
    "1 < beta[age] < 2 < 3": "one comparison, or two in one direction",
    "0 = beta[age] = 0": "one comparison, or two in one direction",
    "beta[age] < beta[trt] < 2": "numbers at both ends",
    "beta[ag]": r"did you mean 'beta\[age\]'\?",
    "xyz > 0": "zoo.summary",
    "beta[period] > 0": r"may be beta\[period\[2\]\], beta\[period\[3\]\]; write which",
    "beta > 0": r"may be beta\[trt\[drug\]\], .*\(7 in all\); write which",
    "beta[age] > 'a'": '"\'" at position 13',
    "\x00": "not allowed",
    "beta[age]\n;import os": "not allowed",
}


@pytest.mark.parametrize("text", ATTACKS, ids=lambda t: t[:40])
def test_what_is_no_hypothesis_ends_in_one_sentence(tree: xr.DataTree, text: str) -> None:
    with pytest.raises(zoo.InputError, match=ATTACKS[text]) as told:
        zoo.hypotheses(tree, text)
    assert len(told.value.problems) == 1 and "\n" not in str(told.value) and len(str(told.value)) < 400


@pytest.mark.parametrize("given", [5, None, b"beta", ["beta"]])
def test_what_is_not_text_is_told(tree: xr.DataTree, given: object) -> None:
    with pytest.raises(zoo.InputError, match="a hypothesis is text such as"):
        zoo.hypotheses(tree, [given])  # pyright: ignore[reportArgumentType]


def test_all_problems_are_told_at_once(tree: xr.DataTree) -> None:
    with pytest.raises(zoo.InputError) as told:
        zoo.hypotheses(tree, ["beta[age] > 0", "beta[agee] > 0", "beta[age] = 0", "2"])
    assert len(told.value.problems) == 3
    with pytest.raises(zoo.InputError, match="no hypothesis was given"):
        zoo.hypotheses(tree, [])
    with pytest.raises(zoo.InputError, match="between 0 and 1, not 95"):
        zoo.hypotheses(tree, "beta[age]", prob=95)


def test_signs_without_end_are_no_problem(tree: xr.DataTree) -> None:
    for minus, sign in (("-" * 1000, 1), ("-" * 1001, -1)):
        np.testing.assert_array_equal(
            zoo.hypotheses(tree, f"{minus}beta[age]").draws["value"].values[..., 0], sign * AGE
        )
    powers = "**".join(["1"] * 600)
    np.testing.assert_array_equal(zoo.hypotheses(tree, f"beta[age]**{powers}").draws["value"].values[..., 0], AGE)


def expression(rng: np.random.Generator, depth: int) -> str:
    """A random expression of `x` and `y`, in Python's notation and ours."""
    if depth == 0 or rng.random() < 0.1:
        return str(rng.choice(["x", "y", f"{rng.uniform(0.5, 3):.2f}", str(rng.integers(1, 9)), "2.5e-1"]))
    kind = rng.integers(5)
    left = expression(rng, depth - 1)
    if kind == 0:
        return f"({left})"
    if kind == 1:
        return f"{rng.choice(['exp', 'log', 'sqrt', 'abs'])}({left})"
    if kind == 2:
        return f"{rng.choice(['-', '+', '- -'])}{left}"
    operator = rng.choice(["+", "-", "*", "/", "**"])
    return f"{left}{rng.choice(['', ' '])}{operator}{rng.choice(['', ' '])}{expression(rng, depth - 1)}"


def test_random_expressions_are_computed_as_by_python() -> None:
    rng = np.random.default_rng(3)
    draws = {"x": rng.uniform(0.2, 2, (2, 5)), "y": rng.normal(size=(2, 5))}
    python = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "__builtins__": {}}
    compared = 0
    while compared < 500:
        text = expression(rng, 5)
        try:
            (side,) = parse_hypothesis(text, draws).sides
            value, _ = side.computed(draws)
        except zoo.InputError as err:
            assert "exponent" in str(err), text
            continue
        numbers = re.sub(r"(?<![\w.])(\d[\d.]*(?:e-\d)?)", r"f(\1)", text)  # Python's whole numbers know no infinity
        with np.errstate(all="ignore"):
            expected = eval(numbers, {**python, **draws, "f": np.float64})
        np.testing.assert_array_equal(value, expected, err_msg=text)
        compared += np.ndim(value) > 0


def test_moments_are_no_draws() -> None:
    tree = made_up(moments_only=True)
    assert zoo.hypotheses(tree, "beta[age] > 0").table["p"].item() == (AGE > 0).mean()
    with pytest.raises(
        zoo.InputError, match=r"of 'u_a:b\[1:x, age\]' the fit kept moments only.*keep_group_effects='draws'"
    ):
        zoo.hypotheses(tree, "u_a:b[1:x, age] > 0")


def test_an_interrupted_fit_is_told() -> None:
    with pytest.raises(zoo.InputError, match="no hypotheses: the run was interrupted"):
        zoo.hypotheses(made_up(finished=10), "beta[age] > 0")


def test_a_loaded_file_gives_the_same_bits(tree: xr.DataTree, tmp_path: Path) -> None:
    texts = ["beta[age] > 0", "u_a:b[2 [old], age] > sd_a:b[age]"]
    fresh, loaded = (zoo.hypotheses(t, texts) for t in (tree, zoo.load(zoo.save(tree, tmp_path / "fit.nc"))))
    assert fresh.table.equals(loaded.table) and fresh.sentence == loaded.sentence
    assert fresh.draws.identical(loaded.draws)
