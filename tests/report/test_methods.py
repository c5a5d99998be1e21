"""The paragraphs of a paper: every number of the results is one of the estimates or of the summary, rounded; by builder."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of_prior
from row_models import model_of
from rows import ROWS, Row

import glmm_zoo as zoo
from glmm_zoo.report.answer import Answer, answering
from glmm_zoo.report.methods import methods
from glmm_zoo.results.numbers import MINUS, NO_BREAK, THIN
from glmm_zoo.results.storage import metadata, write_metadata

DRAWS = 40
FIRST = list({row.builder: row for row in reversed(ROWS)}.values())
NUMBER = rf"(?:[<>] )?{MINUS}?[\d{THIN}]+(?:\.\d+)?"
PERCENT = f"{NO_BREAK}%"
TRIPLE = re.compile(rf"({NUMBER})(?:{PERCENT}| percentage points)? \(({NUMBER}) to ({NUMBER})(?:{PERCENT})?\)")


def sampled(model: Any) -> xr.DataTree:
    """Draws of a prior made narrow, in a file that says how they were made and holds the data as replicated data."""
    tree, rng = tree_of_prior(model, DRAWS), np.random.default_rng(1)
    posterior = tree["posterior"].dataset
    for name, array in posterior.data_vars.items():
        if re.search(r"Intercept|beta$|^(.*_)?u_", str(name)):
            posterior = posterior.assign({name: 0.2 * array})
        elif re.search(r"^(.*_)?(sd_.*|alpha|sigma|tau)$", str(name)):
            posterior = posterior.assign({name: array.copy(data=rng.uniform(0.4, 1.2, array.shape))})
    observed = tree["observed_data"].dataset
    again = observed.expand_dims(chain=posterior["chain"], draw=posterior["draw"])
    tree = tree.assign(posterior=xr.DataTree(posterior), posterior_predictive=xr.DataTree(again))
    content = metadata(tree)
    content["sampling"] |= {"draws": DRAWS, "chains": 2, "finished": [DRAWS] * 2, "thin": 3, "tune": 500}
    write_metadata(tree, content)
    return tree


def rounds_to(value: float, text: str) -> bool:
    """Whether a value, a share also in per cent, is written as this text."""
    bare = text.replace(MINUS, "-").replace(THIN, "")
    decimals = len(bare.partition(".")[2])
    half = 0.5 * 10.0**-decimals * (1 + 1e-9)
    number = float(bare.lstrip("<> "))
    if bare[0] in "<>":
        return any((v < number) == (bare[0] == "<") for v in (value, 100 * value))
    return any(abs(v - number) <= half for v in (value, 100 * value))


@pytest.mark.parametrize(
    "row",  # sums of Conway-Maxwell-Poisson zeros in each draw and row take minutes
    [pytest.param(row, id=row.builder, marks=[pytest.mark.slow] if row.mean else []) for row in FIRST],
)
def test_numbers_of_the_results_are_those_of_the_tables(row: Row) -> None:
    tree = sampled(model_of(row.name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = answering(tree)
        table = zoo.summary(tree)
        first, *rest = methods(tree, answer)
    tables = [e.table for e in (answer.means, answer.comparisons, *answer.further.values()) if e is not None]
    known = np.vstack([t[["median", "lower", "upper"]].to_numpy(float) for t in (*tables, table)])
    (results,) = rest
    found = TRIPLE.findall(results)
    assert len(found) >= 2, results
    for triple in found:
        assert any(all(rounds_to(v, text) for v, text in zip(values, triple, strict=True)) for values in known), triple
    assert results.count(" to ") == len(found), results  # no interval in another form
    for text in (first, results):
        assert text.endswith(".") and not re.search(r"None|nan|[{}]|  |\.\.| \.", text), text
    assert "2 chains, 40 draws kept in each, every 3rd of 120" in first


def test_the_right_number_stands_at_each_value() -> None:
    """A number of the table is found behind the value that it is of."""
    row = next(r for r in ROWS if r.name == "logistic")
    tree = sampled(model_of(row.name))
    answer = answering(tree)
    results = zoo.paragraphs(tree)["results"]
    assert answer.means is not None and answer.comparisons is not None
    ends = answer.means.table.iloc[[0, -1]]
    for _, estimate in ends.iterrows():
        value = f"{estimate[answer.variable]:.10g}".replace("-", MINUS)
        before = results.split(f" for {answer.variable} {value}")[0]
        assert rounds_to(estimate["median"], TRIPLE.findall(before)[-1][0])
    measures = answer.comparisons.table.set_index("measure")["median"]
    for words, measure in (
        ("difference was", "difference"),
        ("risk ratio", "ratio"),
        ("averaged odds ratio", "odds_ratio"),
    ):
        assert rounds_to(measures[measure], re.split(rf"{words} ", results.lower())[1].split(" ")[0].split(NO_BREAK)[0])


def test_without_estimates_there_are_still_parameters() -> None:
    frame = pd.DataFrame({"y": [0.1, 0.4, 0.2, 0.9] * 3})
    tree = sampled(zoo.lmm(frame, "y ~ 1"))
    first, results = methods(tree, Answer(None))
    assert results.startswith(f"Medians with 95{PERCENT} credible intervals: the residual standard deviation was ")
    assert "Averages" not in first


def test_slopes_of_levels_with_signs_and_of_products_are_named_whole() -> None:
    rng, n = np.random.default_rng(1), 120
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "arm": ["A: old", "B: new, twice"] * (n // 2),
            "x": rng.normal(size=n),
            "g": np.arange(n) % 8,
        }
    )
    model = zoo.hierarchical_linear(data.astype({"g": "str"}), "y ~ arm * x + (1 + arm * x | g)")
    tree = zoo.fit(model, draws=50, tune=200, chains=2, thin=1, seed=1, progress=False)
    told = zoo.paragraphs(tree)["results"]
    assert " for the slope of B: new, twice" in told and " for the slope of B: new, twice × x" in told
    assert "arm[" not in told and "The correlation of the slope of B: new, twice and the slope of x was" in told
    of_product = tree["posterior"]["beta"].sel(coef="arm[B: new, twice]:x")
    found = re.search(
        rf"For one unit more of x the difference for arm B: new, twice against A: old changed by ({NUMBER}) ", told
    )
    assert found and rounds_to(float(of_product.median()), found[1])
    parameters = str(zoo.table(tree))
    assert "g, intercept and slope of B: new, twice" in parameters and "slope of arm[" not in parameters


def test_the_answer_of_repeated_measures_is_at_the_visit_that_comes_last_in_the_data() -> None:
    visits = ["week 4", "week 8", "week 12"]
    rows = [(f"s{i}", "ab"[i % 2], v) for i in range(12) for v in visits if (i, v) != (0, "week 8")]
    data = pd.DataFrame(rows, columns=["id", "arm", "visit"]).assign(y=np.random.default_rng(1).normal(size=len(rows)))
    said = {"residual": "unstructured", "time": "visit", "within": "id"}
    for table, last in (
        (data, "week 12"),
        (data.assign(visit=pd.Categorical(data["visit"], ["week 12", "week 4", "week 8"], ordered=True)), "week 8"),
        (data.assign(visit=data["visit"].str[5:].astype(int)), 12.0),
    ):
        tree = sampled(zoo.hierarchical_linear(table, "y ~ arm * C(visit)", **said))
        assert answering(tree).at == {"visit": last}


def test_colons_and_commas_of_columns_are_no_products() -> None:
    rng, n = np.random.default_rng(1), 60
    data = pd.DataFrame({"y": rng.normal(size=n), "arm": ["a", "b"] * (n // 2), "x: dose, mg": rng.normal(size=n)})
    tree = sampled(zoo.hierarchical_linear(data, "y ~ arm * `x: dose, mg`"))
    told = zoo.paragraphs(tree)["results"]
    assert "For one unit more of x: dose, mg the difference for arm b against a changed by" in told
    assert "b × x: dose, mg" in str(zoo.table(tree)) and "x × dose" not in str(zoo.table(tree))
    assert "one unit of x: dose, mg" in str(zoo.table(tree, of="priors"))
