"""The overview of a fit in a terminal."""

from __future__ import annotations

import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo.report.reproduce import sampler_words
from glmm_zoo.results import storage
from glmm_zoo.results.report import wording

SAMPLED = [
    ([(0.95, 0, 1, False)], " after 500 of warm-up, target_accept 0.95,"),
    (
        [(0.8, 0, 3, True)],
        ", thinned: every 3rd draw was kept, after 500 of warm-up, in 3 parts, each chain going on from its own last draw after "
        "100 more in new coordinates, target_accept 0.8,",
    ),
    (
        [(0.8, 12, 1, False), (0.95, 1, 2, False), (0.99, 0, 2, False)],
        ", thinned: every 2nd draw was kept, after 500 of warm-up, in 2 parts, each chain going on from its own last draw after "
        "100 more, "
        "target_accept 0.99 (2 runs abandoned, with 12 divergent transitions at 0.8, 1 divergent transition at 0.95),",
    ),
]


@pytest.mark.parametrize(("runs", "words"), SAMPLED)
def test_the_report_says_how_it_was_sampled(
    tree: xr.DataTree, runs: list[tuple[float, int, int, bool]], words: str
) -> None:
    copy = tree.copy(deep=True)
    content = storage.metadata(copy)
    (run,) = content["sampling"]["runs"]
    assert (run["target_accept"], run["parts"], run["divergences"]) == (0.95, content["sampling"]["thin"], 0)
    names = ("target_accept", "divergences", "parts", "coordinates_from_draws")
    last = dict(zip(names, runs[-1], strict=True))
    content["sampling"] |= {"runs": [dict(zip(names, run, strict=True)) for run in runs], "tune_between": 100}
    content["sampling"] |= {"target_accept": last["target_accept"], "thin": last["parts"]}
    storage.write_metadata(copy, content)
    said = wording.overview(copy)["sampled"]
    assert said.startswith(f"4 chains x 500 draws{words} seed 3, "), said
    del content["sampling"]["runs"], content["sampling"]["tune_between"]  # a file from before they were kept
    storage.write_metadata(copy, content)
    assert "parts" not in wording.overview(copy)["sampled"] and zoo.check(copy) is not None


def test_priors_are_by_name_one_in_a_line(tree: xr.DataTree) -> None:
    copy = tree.copy(deep=True)
    content = storage.metadata(copy)
    content["spec"]["priors"] = {
        "Intercept": "Normal(0, 5)",
        "beta": {"beta[a]": "Normal(0, 1)", "beta[b]": "Normal(0, 2)"},
    }
    storage.write_metadata(copy, content)
    lines = wording.overview(copy)["priors"].splitlines()
    assert lines == ["Intercept ~ Normal(0, 5)", "beta[a] ~ Normal(0, 1)", "beta[b] ~ Normal(0, 2)"]


def test_the_report_says_how_later_parts_were_made(tree: xr.DataTree) -> None:
    copy = tree.copy(deep=True)
    content = storage.metadata(copy)
    run = {"target_accept": 0.8, "parts": 2, "divergences": 0, "coordinates_from_draws": True}
    content["sampling"] |= {
        "runs": [run | {"target_on": 0.7, "divergences_before": 0}],
        "tune_between": 100,
        "target_accept": 0.8,
    }
    storage.write_metadata(copy, content)
    assert (
        "100 more in new coordinates, target_accept 0.8, 0.7 after the first part, seed 3"
        in wording.overview(copy)["sampled"]
    )
    assert "target acceptance 0.8 and, after the first part, 0.7; seed 3" in sampler_words(content["sampling"])
    content["sampling"]["runs"] = [run | {"target_on": None, "divergences_before": 2}]
    storage.write_metadata(copy, content)
    told = "in new coordinates, one part once more in shorter steps after 2 divergent transitions, target_accept 0.8, seed 3"
    assert told in wording.overview(copy)["sampled"]
