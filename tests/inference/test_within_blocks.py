"""Group effects that move in blocks: the posterior is that of the joint sampler and of a closed form, and which models have blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytensor.tensor as pt
import pytest

import glmm_zoo as zoo
from glmm_zoo.graph.model import Model
from glmm_zoo.inference import blocks, nuts
from glmm_zoo.inference.blocks import EffectBlocks, move_freely, separate
from glmm_zoo.inference.compile import Compiled, compile_model
from glmm_zoo.inference.coordinates import UNCHANGED
from glmm_zoo.inference.kernel.density import GraphCompiler
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results import convergence
from glmm_zoo.results.storage import metadata

LEVELS, SLOPE, WIDTH = 40, 0.3, 0.7


def normal_blocks(width: float = WIDTH) -> Compiled:
    """theta ~ Normal(0, 1) twice, z_g ~ Normal(SLOPE (theta_0, theta_1), width) for each level, by hand."""
    theta, z = pt.vector("theta"), pt.matrix("z")
    of_level = -((z - SLOPE * theta[None, :]) ** 2).sum(axis=1) / (2 * width**2)
    density = of_level.sum() - (theta**2).sum() / 2
    program = GraphCompiler([theta, z], [(2,), (LEVELS, 2)]).with_gradient(density, of_level)
    n = 2 + 2 * LEVELS
    of = EffectBlocks(np.arange(2), np.arange(2, n), np.repeat(np.arange(LEVELS), 2), LEVELS, of_level)

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        out = np.zeros(n + LEVELS)
        return program(x, out), out[:n]

    return Compiled(np.zeros(n), value_and_gradient, lambda _: lambda _: [], UNCHANGED, program, 0.0, blocks=of)


def test_the_posterior_is_that_of_a_closed_form() -> None:
    compiled = normal_blocks()
    settings = Settings(draws=2000, tune=400, chains=2, seed=1, cores=1)
    drawn = nuts.sample(compiled, settings, np.ones((2, compiled.size)), progress=False)
    x = drawn.x
    assert drawn.divergences == 0 and not drawn.interrupted
    assert drawn.gradients > drawn.stats["n_steps"].sum() > 4 * 2000
    for quantity, variance in [
        (x[..., 0], 1.0),
        (x[..., 2], SLOPE**2 + WIDTH**2),
        (x[..., 2::2].mean(axis=2), SLOPE**2 + WIDTH**2 / LEVELS),
        (x[..., 0] - x[..., 2], (1 - SLOPE) ** 2 + WIDTH**2),
        (x[..., 2] - x[..., 4], 2 * WIDTH**2),
    ]:
        effective = convergence.ess_bulk(quantity[..., None])[0], convergence.ess_bulk(quantity[..., None] ** 2)[0]
        assert abs(quantity.mean()) < 4 * np.sqrt(variance / effective[0])
        assert abs(quantity.var() / variance - 1) < 4 * np.sqrt(2 / effective[1])
    values = [compiled.value_and_gradient(np.ascontiguousarray(draw))[0] for draw in x[0, :20]]
    np.testing.assert_allclose(drawn.stats["lp"][0, :20], values)


def test_draws_do_not_depend_on_the_number_of_cores() -> None:
    compiled = normal_blocks()
    one, two = (
        nuts.sample(compiled, Settings(draws=20, tune=60, chains=3, seed=1, cores=c), np.ones((3, compiled.size)), progress=False).x
        for c in (1, 3)
    )  # fmt: skip
    assert one.tobytes() == two.tobytes() and len({chain.tobytes() for chain in one}) == 3


def nested(rng: np.random.Generator) -> pd.DataFrame:
    """Counts of 300 rows in 60 classes of 20 schools, at five times."""
    classes = np.repeat(np.arange(60), 5)
    time = np.tile(np.linspace(-1, 1, 5), 60)
    u, v, w = rng.normal(0, 0.5, 20), rng.normal(0, 0.4, 20), rng.normal(0, 0.4, 60)
    eta = 0.5 + 0.3 * time + u[classes // 3] + v[classes // 3] * time + w[classes]
    schools = [f"s{k}" for k in classes // 3]
    return pd.DataFrame({"y": rng.poisson(np.exp(eta)), "time": time, "school": schools, "class": [f"c{k}" for k in classes]})  # fmt: skip


NESTED = "y ~ time + (1 + time | school/class)"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "FEWEST_BLOCKS", 1)


def compiled_blocks(model: Model, parameterization: str = "auto") -> EffectBlocks | None:
    return compile_model(*parameterize(model, parameterization)).blocks


def fitted(model: Model, **settings: Any) -> Any:
    return zoo.fit(model, seed=1, thin=1, progress=False, **settings)


@pytest.mark.slow
def test_the_posterior_is_that_of_the_joint_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    model = zoo.poisson(nested(np.random.default_rng(2)), "y ~ time + (1 + time | school) + (1 | school:class)")
    joint = fitted(model, draws=2000)
    monkeypatch.setattr(blocks, "FEWEST_BLOCKS", 1)
    in_blocks = fitted(model, draws=2000)
    assert "20 blocks" in metadata(in_blocks)["sampling"]["sampler"]
    assert "blocks" not in metadata(joint)["sampling"]["sampler"]
    assert zoo.check(in_blocks).sound, zoo.check(in_blocks)
    a, b = (zoo.summary(tree, group_effects=True) for tree in (joint, in_blocks))
    for mean, error in (("mean", "mcse_mean"), ("sd", "mcse_sd")):
        away = (a[mean] - b[mean]) / np.hypot(a[error], b[error])
        assert away.abs().max() < 4.5, away
        assert 0.5 < away.std() < 1.5


def test_moments_and_chains_beside_a_file_are_as_ever(few: None, tmp_path: Any) -> None:
    model = zoo.poisson(nested(np.random.default_rng(2)), "y ~ time + (1 | school)")
    drawn = fitted(model, draws=150, tune=100, keep_group_effects="draws")
    kept = fitted(model, draws=150, tune=100, keep_group_effects="moments", resume=tmp_path / "a.nc")
    for name in ("Intercept", "beta", "sd_school"):
        np.testing.assert_allclose(kept["posterior"][name], drawn["posterior"][name], rtol=1e-9)
    mean = kept["group_effects"]["u_school"].sel(statistic="mean")
    np.testing.assert_allclose(mean, drawn["posterior"]["u_school"].mean(("chain", "draw")), rtol=1e-8)


def test_which_models_have_blocks(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    data = nested(np.random.default_rng(2))
    of = compiled_blocks(zoo.poisson(data, NESTED))
    assert of is not None and (of.count, len(of.effects)) == (20, 2 * 20 + 2 * 60)
    assert np.bincount(of.block_of).tolist() == [2 + 2 * 3] * 20
    assert sorted([*of.population, *of.effects]) == list(range(len(of.population) + len(of.effects)))
    data["crossed"] = np.random.default_rng(3).integers(0, 8, len(data)).astype(str)
    assert compiled_blocks(zoo.poisson(data, "y ~ time + (1 | class) + (1 | crossed)")) is None
    assert compiled_blocks(zoo.poisson(data, NESTED), "noncentered") is None
    assert compiled_blocks(zoo.poisson(data, "y ~ time + ou(time | school)")) is None
    zeros = zoo.zero_inflated_poisson(data, "y ~ time + (1 | school)", zi="~ (1 | school)")
    assert (of := compiled_blocks(zeros)) is not None and np.bincount(of.block_of).tolist() == [2] * 20
    monkeypatch.setattr(blocks, "FEWEST_BLOCKS", 21)
    assert compiled_blocks(zoo.poisson(data, NESTED)) is None


def test_where_blocks_are_given_up_nothing_is_written_beside_the_gradient(
    few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nutpie has room for the gradient alone: terms of blocks would overwrite its memory."""
    model, start = parameterize(zoo.poisson(nested(np.random.default_rng(2)), NESTED), "auto")
    in_blocks = compile_model(model, start)
    assert in_blocks.program is not None and in_blocks.program.beside == 20
    monkeypatch.setattr("glmm_zoo.inference.compile.move_freely", lambda *_: False)
    together = compile_model(model, start)
    assert together.blocks is None and together.program is not None and together.program.beside == 0


def test_blocks_that_are_none_are_found_by_numbers() -> None:
    compiled = normal_blocks()
    assert compiled.blocks is not None and compiled.program is not None
    assert separate(compiled.blocks, compiled.program, compiled.start)
    wrong = replace(compiled.blocks, block_of=np.roll(compiled.blocks.block_of, 1))
    assert not separate(wrong, compiled.program, compiled.start)


def test_blocks_far_from_normal_are_left_to_the_joint_sampler() -> None:
    for width, free in ((0.9, True), (1.0, True), (0.05, False)):
        compiled = normal_blocks(width)
        assert compiled.blocks is not None and compiled.program is not None
        assert move_freely(compiled.blocks, compiled.program, compiled.start) == free
