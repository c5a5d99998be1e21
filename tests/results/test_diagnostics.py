"""Each fault that is planted in the draws is found by its check, and independent draws are sound."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import glmm_zoo as zoo


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
        "bfmi": {"energy": xr.zeros_like(stats["energy"]) + np.cumsum(rng.normal(size=intercept.shape), axis=1)},
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
        "energy": xr.zeros_like(stats["energy"]) + rng.normal(size=(4, 500)),
    }
    fixed = planted(tree, **ideal)
    fixed["posterior"] = fixed["posterior"].to_dataset().drop_vars(["corr_site", "corr_site_at_means"])
    verdict = zoo.check(fixed)
    assert verdict.sound, str(verdict)
    assert (
        len(verdict.table) == 1 + 1 + 2 + 2 + 20
    )  # Intercept, beta, sds twice and group effects; not what only carries others
