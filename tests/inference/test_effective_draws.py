"""`fit(effective=)`: as many draws as so many effective ones take, and no more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_stats.sampling_diagnostics import ess

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.results.storage import metadata


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(20), 6), rng.normal(size=120)
    u = rng.normal(size=20)
    return pd.DataFrame({"y": rng.poisson(np.exp(0.3 + 0.4 * x + 0.6 * u[g])), "x": x, "g": [f"g{i}" for i in g]})


def fewest(tree: xr.DataTree) -> float:
    """Effective draws of the parameter that has the fewest, by ArviZ."""
    posterior = tree["posterior"].to_dataset()[["Intercept", "beta", "sd_g"]]
    return min(float(ess(posterior, method=how).to_array().min()) for how in ("bulk", "tail"))


def test_so_many_effective_draws_are_made_and_not_many_more(frame: pd.DataFrame, tmp_path: Path) -> None:
    model = zoo.poisson(frame, "y ~ x + (1 | g)")
    made = {}
    for wanted in (400, 1600):
        tree = zoo.fit(model, effective=wanted, seed=1, progress=False)
        sampling = metadata(tree)["sampling"]
        assert wanted <= fewest(tree) < 3 * wanted and sampling["asked"]["effective"] == wanted
        assert sampling["draws"] == tree["posterior"].sizes["draw"] == tree["sample_stats"].sizes["draw"] <= 1000
        assert zoo.check(tree).sound
        made[wanted] = sampling["gradients"]
    usual = metadata(zoo.fit(model, seed=1, progress=False))["sampling"]["gradients"]
    assert made[400] < made[1600] < usual
    again = zoo.fit(model, effective=1600, seed=1, progress=False, resume=tmp_path / "f.nc")
    assert again["posterior"].dataset.identical(tree["posterior"].dataset)


def test_at_most_eight_times_the_draws_are_made(frame: pd.DataFrame) -> None:
    tree = zoo.fit(zoo.poisson(frame, "y ~ x + (1 | g)"), draws=100, chains=2, effective=10**6, seed=1, progress=False)
    sampling = metadata(tree)["sampling"]
    assert (sampling["draws"], sampling["thin"]) == (100, 8) and fewest(tree) < 10**6


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"effective": 0}, "effective must be a whole number of at least 1, not 0"),
        ({"effective": 400, "thin": 2}, "effective and thin both say how many draws are made; give one of them"),
        (
            {"effective": 400, "keep_group_effects": "moments"},
            "effective goes with group effects of which all draws are kept",
        ),
    ],
)
def test_what_does_not_go_together_is_told(frame: pd.DataFrame, given: dict[str, int | str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        zoo.fit(zoo.poisson(frame, "y ~ x + (1 | g)"), **given)  # pyright: ignore[reportArgumentType]
