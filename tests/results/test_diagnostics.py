"""Each fault that is planted in the draws is found by its check, and independent draws are sound."""

from __future__ import annotations

import re

import arviz_stats
import numpy as np
import pytest
import xarray as xr
from scipy import optimize

import glmm_zoo as zoo
from glmm_zoo.results import storage


def planted(tree: xr.DataTree, **changes: xr.DataArray) -> xr.DataTree:
    """A copy of the tree with variables of posterior or sample_stats replaced."""
    copy = tree.copy(deep=True)
    for name, values in changes.items():
        group = "posterior" if name in copy["posterior"] else "sample_stats"
        copy[group][name] = values
    return copy


@pytest.mark.parametrize("fault", ["divergences", "rhat", "ess_bulk", "bfmi", "tree_depth", "complete"])
def test_each_fault_is_found_by_its_check(tree: xr.DataTree, fault: str) -> None:
    stats, intercept = tree["sample_stats"], tree["posterior"]["Intercept"]
    rng = np.random.default_rng(0)
    walk = xr.zeros_like(intercept) + np.cumsum(rng.normal(size=intercept.shape), axis=1)
    changes = {
        "divergences": {"diverging": stats["diverging"] | (stats["tree_depth"] >= 0)},
        "rhat": {"Intercept": intercept + intercept["chain"]},
        "ess_bulk": {"Intercept": walk},
        "bfmi": {"bfmi": stats["bfmi"] * 0 + 0.3},
        "tree_depth": {"reached_max_treedepth": stats["tree_depth"] >= 0},
        "complete": {"Intercept": intercept.where(intercept["draw"] < 400)},
    }[fault]
    verdict = zoo.check(planted(tree, **changes))
    assert not verdict.sound and fault in {p.check for p in verdict.problems}
    assert all(str(p).endswith(".") for p in verdict.problems)


def test_independent_draws_are_sound(tree: xr.DataTree) -> None:
    rng = np.random.default_rng(2)
    posterior = tree["posterior"].data_vars
    ideal = {str(n): xr.zeros_like(v) + rng.normal(size=v.shape) for n, v in posterior.items() if "corr" not in str(n)}
    stats = tree["sample_stats"]
    ideal |= {
        "diverging": stats["diverging"] & False,
        "bfmi": stats["bfmi"] * 0 + 0.31,
    }
    fixed = planted(tree, **ideal)
    fixed["posterior"] = fixed["posterior"].to_dataset().drop_vars("corr_site")
    verdict = zoo.check(fixed)
    assert verdict.sound, str(verdict)
    assert len(verdict.table) == 1 + 1 + 2 + 20  # Intercept, beta, sds and group effects; not what only carries others


@pytest.mark.parametrize(("bfmi", "sound"), [(0.299, False), (0.301, True), (np.nan, False)])
def test_energies_of_all_transitions_count(tree: xr.DataTree, bfmi: float, sound: bool) -> None:
    """As the file has E-BFMI; in a file without it, of the energies that are kept."""
    of_file = planted(tree, bfmi=tree["sample_stats"]["bfmi"].where(tree["sample_stats"]["chain"] != 2, bfmi))
    energy = xr.zeros_like(tree["sample_stats"]["energy"]) + energies_of(bfmi, 500)
    without = planted(tree, energy=energy)
    without["sample_stats"] = without["sample_stats"].to_dataset().drop_vars("bfmi")
    for fit, chain in ((of_file, 2), (without, 0)):
        (found,) = [p.found for p in zoo.check(fit).problems if p.check == "bfmi"] or [""]
        assert found == ("" if sound else f"E-BFMI is {bfmi:.2f} in chain {chain}, more than 0.3 needed")


def energies_of(bfmi: float, draws: int) -> np.ndarray:
    """Energies of this E-BFMI, as ArviZ computes it: a slow wave has hardly any, one that turns at each draw has 4."""
    if np.isnan(bfmi):
        return np.ones(draws)
    slow, fast = np.sin(2 * np.pi * np.arange(draws) / draws), np.where(np.arange(draws) % 2, 1.0, -1.0)
    return slow + fast * optimize.brentq(
        lambda part: float(arviz_stats.bfmi((slow + part * fast)[None])[0]) - bfmi, 0.0, 10.0
    )


DIVERGED = [
    (
        [(0.8, 12), (0.95, 3), (0.99, 5)],
        "5 divergent transitions among 16000 at target_accept=0.99, after 12 at 0.8, 3 at 0.95",
    ),
    ([(0.9, 5)], "5 divergent transitions among 16000 at target_accept=0.9"),
    ([(0.95, 1)], "1 divergent transition among 16000 at target_accept=0.95"),
    ([(0.995, 1)], "1 divergent transition among 16000 at target_accept=0.995"),
]


@pytest.mark.parametrize(("runs", "found"), DIVERGED)
def test_divergences_are_those_of_all_transitions_and_runs(
    tree: xr.DataTree, runs: list[tuple[float, int]], found: str
) -> None:
    copy = planted(tree, diverging=(tree["sample_stats"]["tree_depth"] < 0))
    copy["sample_stats"]["diverging"][0, 0] = True  # of one draw that is kept
    content = storage.metadata(copy)
    kinds = [{"target_accept": t, "divergences": n, "parts": 8, "coordinates_from_draws": False} for t, n in runs]
    content["sampling"] |= {"runs": kinds, "target_accept": runs[-1][0], "thin": 8}
    storage.write_metadata(copy, content)
    (problem,) = [p for p in zoo.check(copy).problems if p.check == "divergences"]
    assert problem.found == found
    advised = re.findall(r"target_accept=([\d.]*\d)", problem.advice)
    assert [float(t) > runs[-1][0] for t in advised] == [True] * (runs[-1][0] < 0.99)
    assert "sd_site" in problem.advice and ("parameterization" in problem.advice) == (not advised)
