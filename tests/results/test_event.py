"""What a report says of the event of a joint model, against numbers computed by hand from a posterior of several points."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo.results import storage
from glmm_zoo.results.about import KEY
from glmm_zoo.results.findings import event
from glmm_zoo.results.findings.finding import Finding

DRAW = ("chain", "draw")
TIMES = [0.5, 1.0, 1.5, 2.0]
LATE = {"subjects": 40, "causes": ["death"], "events": [17], "entered_late": 3, "person_time": 81.25}


def tree_of(
    facts: dict, terms: Sequence[str] = ("value", "slope"), covariates: Sequence[str] = ("age",)
) -> xr.DataTree:
    """Four chains of 30 draws; parameters of several causes differ between them."""
    rng = np.random.default_rng(3)
    causes = facts["causes"] if len(facts["causes"]) > 1 else []
    cause = ("cause",) if causes else ()

    def draws(*sizes: int) -> np.ndarray:
        return rng.normal(rng.normal(size=sizes), 0.3, (4, 30, *sizes))

    shape = [len(causes)] if causes else []
    posterior = {
        "assoc": ((*DRAW, "association", *cause), draws(len(terms), *shape)),
        "assoc_sd": ((*DRAW, "association"), np.exp(draws(len(terms)))),
        "surv_log_hazard": ((*DRAW, "surv_time", *cause), draws(len(TIMES), *shape)),
    }
    coords = {"association": list(terms), "surv_time": TIMES, **({"cause": causes} if causes else {})}
    if covariates:
        posterior["surv_beta"] = ((*DRAW, "surv_coef", *cause), draws(len(covariates), *shape))
        coords["surv_coef"] = list(covariates)
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(posterior, coords)})
    spec = {"event": facts, "aspects": ["event"], "outcomes": {}, "links": {}, "groups": {}}
    storage.write_metadata(tree, {"spec": spec})
    return tree


def found(tree: xr.DataTree, prob: float = 0.8) -> Finding:
    return zoo.findings(tree, prob)["event"]


def test_hazard_ratios_are_exponentials_of_the_draws() -> None:
    tree = tree_of(LATE)
    quantities, p = found(tree).quantities, tree["posterior"].dataset
    expected = {
        "surv_hazard_ratio[age]": np.exp(p["surv_beta"].values[..., 0]),
        "assoc_hazard_ratio[value]": np.exp(p["assoc"].values[..., 0]),
        "assoc_hazard_ratio[slope]": np.exp(p["assoc"].values[..., 1]),
        "assoc_hazard_ratio_per_sd[value]": np.exp(p["assoc"].values[..., 0] * p["assoc_sd"].values[..., 0]),
        "assoc_hazard_ratio_per_sd[slope]": np.exp(p["assoc"].values[..., 1] * p["assoc_sd"].values[..., 1]),
    }
    assert list(quantities) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(quantities[name], values, rtol=1e-14)
    assert {name.split("[")[0] for name in quantities} == set(found(tree).meanings)


def test_ratios_per_standard_deviation_are_at_the_covariates_means() -> None:
    """Where coefficients at the means are others: the sds are of the terms there."""
    tree = tree_of(LATE)
    at_means = tree["posterior"]["assoc"] + 0.4
    tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().assign(assoc_at_means=at_means))
    finding, sd = found(tree), tree["posterior"]["assoc_sd"].values[..., 0]
    per_sd = finding.quantities["assoc_hazard_ratio_per_sd[value]"]
    np.testing.assert_allclose(per_sd, np.exp(at_means.values[..., 0] * sd), rtol=1e-14)
    np.testing.assert_allclose(
        finding.quantities["assoc_hazard_ratio[value]"], np.exp(at_means.values[..., 0] - 0.4), rtol=1e-14
    )
    assert finding.sentences[1].endswith(
        f"with {np.median(per_sd):,.0f} times, at the covariates' means.".replace(",", "\u202f", 1)
    )
    assert finding.meanings["assoc_hazard_ratio_per_sd"].endswith("at the covariates' means")
    assert not any(
        "means" in text for text in (*found(tree_of(LATE)).sentences, *found(tree_of(LATE)).meanings.values())
    )


def test_with_several_causes_each_has_its_own_ratios_and_hazard() -> None:
    causes = ["death", "transplant"]
    tree = tree_of({**LATE, "causes": causes, "events": [17, 5], "entered_late": 0}, covariates=("age", "sex"))
    p, finding = tree["posterior"].dataset, found(tree)
    for k, cause in enumerate(causes):
        for j, term in enumerate(("value", "slope")):
            assoc, sd = p["assoc"].values[..., j, k], p["assoc_sd"].values[..., j]
            np.testing.assert_allclose(finding.quantities[f"assoc_hazard_ratio[{term}, {cause}]"], np.exp(assoc))
            np.testing.assert_allclose(
                finding.quantities[f"assoc_hazard_ratio_per_sd[{term}, {cause}]"], np.exp(assoc * sd)
            )
        sex = finding.quantities[f"surv_hazard_ratio[sex, {cause}]"]
        np.testing.assert_allclose(sex, np.exp(p["surv_beta"].values[..., 1, k]))
        for i, t in enumerate(("0.5", "1", "1.5", "2")):
            h = np.exp(p["surv_log_hazard"].values[..., i, k])
            row = finding.tables["hazard"].loc[f"{t}, {cause}"]
            np.testing.assert_allclose(row, np.quantile(h, [0.5, 0.1, 0.9]))
    assert finding.sentences[0] == "40 subjects, 17 of 'death', 5 of 'transplant' in 81.2 units of person-time."
    assert [s.split(" goes")[0] for s in finding.sentences[1:]] == [
        f"One unit more of {term}, {cause}" for term in ("value", "slope") for cause in causes
    ]


def test_follow_up_is_in_the_units_of_the_words() -> None:
    tree = tree_of(LATE)
    words = {"individual": "patient", "time_unit": "years"}
    storage.write_metadata(tree, {**storage.metadata(tree), KEY: words})
    assert found(tree).sentences[0] == "40 subjects, 17 events in 81.2 patient-years."


def test_a_single_marker_is_called_by_its_name() -> None:
    tree = tree_of(LATE)
    content = storage.metadata(tree)
    content["spec"]["formula"] = "log(bili) ~ year + (1 | id)"
    storage.write_metadata(tree, content | {KEY: {"outcome": "bilirubin"}})
    first, second = found(tree).sentences[1:3]
    assert first.startswith("One unit more of log(bilirubin) goes with ")
    assert second.startswith("One unit more of slope of log(bilirubin) goes with ")


@pytest.mark.parametrize(("prob", "tail", "words"), [(0.8, 0.1, "80\u00a0%"), (0.95, 0.025, "95\u00a0%")])
def test_the_sentences_say_the_medians_and_the_interval(prob: float, tail: float, words: str) -> None:
    tree = tree_of(LATE)
    p, sentences = tree["posterior"].dataset, found(tree, prob).sentences
    assert sentences[0] == "40 subjects, 17 events in 81.2 units of person-time." and len(sentences) == 4
    for j in range(2):
        assoc, sd = p["assoc"].values[..., j], p["assoc_sd"].values[..., j]
        low, middle, high = np.quantile(np.exp(assoc), [tail, 0.5, 1 - tail])
        numbers = [
            float(text)
            for text in re.findall(r"[\d.]+(?= times|\u202f| to|, \d\d|, with)", sentences[1 + j].replace("\u202f", ""))
        ]
        expected = [middle, low, high, np.median(sd), np.median(np.exp(assoc * sd))]
        np.testing.assert_allclose(numbers, expected, atol=0.051, rtol=0.005)
        assert f", {words}) at the same time for the same subject; one standard deviation more, " in sentences[1 + j]
    assert (
        sentences[3] == "3 subjects entered after time 0: the likelihood allows for their having survived until then."
    )


def test_a_term_that_begins_like_another_has_its_own_standard_deviation() -> None:
    """Terms of two outcomes: "y" begins the label of "y:value" too."""
    tree = tree_of(LATE, terms=("y", "y:value"), covariates=())
    sd = np.median(tree["posterior"]["assoc_sd"].values, axis=(0, 1))
    for sentence, expected in zip(found(tree).sentences[1:3], sd, strict=True):
        assert f"one standard deviation more, {expected:.3g}, with" in sentence
    assert not any(name.startswith("surv_") for name in found(tree).quantities)


@pytest.mark.parametrize(("late", "words"), [(0, None), (1, "1 subject entered"), (2, "2 subjects entered")])
def test_late_entry_is_said_where_there_is_some(late: int, words: str | None) -> None:
    last = found(tree_of({**LATE, "entered_late": late})).sentences[-1]
    assert last.startswith(words) if words else "goes with" in last


def test_the_table_of_hazards_runs_over_the_follow_up() -> None:
    tree = tree_of(LATE)
    log_h = np.log(np.linspace(1.0, 2.0, 120).reshape(4, 30, 1) * np.linspace(1, 3, 25))
    data = {"surv_log_hazard": ((*DRAW, "surv_time"), log_h)}
    posterior = tree["posterior"].to_dataset().drop_dims("surv_time")
    tree["posterior"] = xr.DataTree(posterior.merge(xr.Dataset(data, {"surv_time": np.arange(1.0, 26.0)})))
    table = event.find(tree, 0.9).tables["hazard"]
    assert table.index.name == "hazard at time" and list(table.index) == ["1", "4", "8", "11", "15", "18", "22", "25"]
    shape = np.array([np.quantile(np.linspace(1.0, 2.0, 120), q) for q in (0.5, 0.05, 0.95)])
    np.testing.assert_allclose(table.loc["1"], shape)
    np.testing.assert_allclose(table.loc["25"], 3 * shape)
