"""backend="jax": the same posterior as the kernel's, by all chains at once, with the rows on several devices."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import glmm_zoo as zoo

SLOPES = "y ~ x + (1 + x | g)"


def counts(rows: int = 403, groups: int = 31) -> pd.DataFrame:
    """Poisson counts with intercepts and slopes by group; the number of rows is odd, so that devices have unequal shares."""
    rng = np.random.default_rng(5)
    g, x = np.arange(rows) % groups, rng.normal(size=rows)
    u = rng.normal(0, [0.5, 0.3], (groups, 2))
    y = rng.poisson(np.exp(0.5 + 0.4 * x + u[g, 0] + u[g, 1] * x))
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{i:02d}" for i in g]})


def moments(tree: xr.DataTree) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Mean, sd and Monte Carlo error of the mean of each parameter that is no group effect."""
    posterior = tree["posterior"].dataset[["Intercept", "beta", "sd_g"]]
    errors = arviz_stats.mcse(posterior)
    both = posterior.mean(("chain", "draw")), posterior.std(("chain", "draw"))
    return {str(name): (both[0][name].values, both[1][name].values, errors[name].values) for name in posterior}


def agrees(one: xr.DataTree, other: xr.DataTree) -> bool:
    ones, others = moments(one), moments(other)
    return all(
        np.all(np.abs(ones[name][0] - others[name][0]) < 4 * np.hypot(ones[name][2], others[name][2]))
        and np.allclose(ones[name][1], others[name][1], rtol=0.1)
        for name in ones
    )


@pytest.fixture(scope="module")
def model() -> Any:
    return zoo.poisson(counts(), SLOPES)


@pytest.fixture(scope="module")
def by_kernel(model: Any) -> xr.DataTree:
    return zoo.fit(model, seed=1)


@pytest.fixture(scope="module")
def by_jax(model: Any) -> xr.DataTree:
    return zoo.fit(model, seed=1, backend="jax")


@pytest.mark.slow
def test_jax_samples_soundly_what_the_kernel_does(by_kernel: xr.DataTree, by_jax: xr.DataTree) -> None:
    assert str(zoo.check(by_jax)).startswith("Sound")
    assert agrees(by_kernel, by_jax)
    sampling = json.loads(by_jax.attrs["glmm_zoo"])["sampling"]
    assert sampling["sampler"].startswith("BlackJAX") and sampling["asked"]["backend"] == "jax"
    stats = by_jax["sample_stats"].dataset
    assert stats["n_steps"].min() >= 1 and sampling["gradients"] > stats["n_steps"].sum()
    np.testing.assert_allclose(stats["acceptance_rate"].mean(), 0.8, atol=0.1)


@pytest.mark.slow
def test_jax_draws_soundly_again_by_its_seed_and_keeps_moments(model: Any, by_jax: xr.DataTree) -> None:
    again = zoo.fit(model, seed=1, backend="jax", keep_group_effects="moments")
    np.testing.assert_allclose(again["posterior"]["beta"], by_jax["posterior"]["beta"], rtol=1e-6)
    found = again["group_effects"].dataset["u_g"].sel(statistic="mean")
    np.testing.assert_allclose(found, by_jax["posterior"]["u_g"].mean(("chain", "draw")), atol=1e-5)


ON_EIGHT = """
import json, sys
import jax
sys.path.insert(0, {tests!r})
from test_nuts_jax import SLOPES, counts
import numpy as np
import glmm_zoo as zoo
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.parameterization import parameterize

model = zoo.poisson(counts(), SLOPES)
parameterized, start = parameterize(model, "auto")
kernel, spread = compile_model(parameterized, start), compile_model(parameterized, start, "jax")
x = spread.start + np.random.default_rng(1).normal(0, 0.1, spread.size)
(one, slope), (other, spread_slope) = kernel.value_and_gradient(x), spread.value_and_gradient(x)
shares = sorted({{len(shard.data) for array in spread.density[1] for shard in array.addressable_shards if len(array.addressable_shards) == 8 and not array.is_fully_replicated}})
tree = zoo.fit(model, seed=1, backend="jax", tune=200, draws=200)
zoo.save(tree, {file!r})
print(json.dumps({{"devices": len(jax.devices()), "value": abs(one - other), "slope": float(np.abs(slope - spread_slope).max()), "shares": shares}}))
"""


@pytest.mark.slow
def test_rows_soundly_on_eight_devices(by_kernel: xr.DataTree, tmp_path: Any) -> None:
    """403 rows are 51 on each, those of the last filled up; density, gradient and posterior are those of one processor."""
    script = ON_EIGHT.format(tests=os.path.dirname(__file__), file=str(tmp_path / "eight.nc"))
    flags = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=flags, timeout=600)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["devices"] == 8 and told["shares"] == [51]
    assert told["value"] < 1e-9 and told["slope"] < 1e-9
    assert agrees(by_kernel, zoo.load(tmp_path / "eight.nc"))


def test_without_blackjax_the_extra_is_named(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(zoo.InputError, match=r'pip install "glmm-zoo\[jax\]"'):
        zoo.fit(model, backend="jax")


def test_an_unknown_backend_is_an_error(model: Any) -> None:
    with pytest.raises(zoo.InputError, match="backend must be one of"):
        zoo.fit(model, backend="cuda")


def test_a_density_that_jax_does_not_know_is_an_error() -> None:
    data = pd.DataFrame({"y": [1, 2, 0, 4] * 5, "n": [5] * 20, "x": np.arange(20.0)})
    with pytest.raises(zoo.FitError, match=r"no translation .* leave backend out"):
        zoo.fit(zoo.beta_binomial(data, "y | trials(n) ~ x"), backend="jax")
