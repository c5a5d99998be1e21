"""Where chains begin: each at its own point, wide apart, and where the density is finite."""

from __future__ import annotations

import dataclasses
import warnings
from io import StringIO

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.errors import ZooWarning
from glmm_zoo.inference import nuts, schedule
from glmm_zoo.inference.beginnings import FARTHEST, HALVINGS, STEEPEST, first_beginnings
from glmm_zoo.inference.compile import Compiled, compile_model
from glmm_zoo.inference.coordinates import UNCHANGED, Coordinates
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results import diagnostics

WELLS = np.array([0.0, 10.0, 20.0, 30.0])  # so deep that no chain leaves its own


@pytest.fixture(scope="module")
def wells() -> Compiled:
    with pm.Model() as model:
        x = pm.Flat("x", shape=1, initval=np.zeros(1))
        product = 1.0
        for well in WELLS:
            product = product * (x - well)
        pm.Potential("wells", -(product**2).sum() / 100)
    compiled = compile_model(model)
    assert compiled.program is not None
    shifted = Coordinates(np.array([0]), np.array([5.0]), np.array([[2.0]]))
    return dataclasses.replace(compiled, coordinates=shifted)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("cores", [1, 3])
def test_each_chain_begins_at_its_own_point(wells: Compiled, native: bool, cores: int) -> None:
    compiled = wells if native else dataclasses.replace(wells, program=None)
    rng = np.random.default_rng(cores)
    for seed in (0, 7, 2**64 - 1):
        beginnings = rng.permutation([*WELLS, *WELLS])[:, None] + 0.01
        settings = Settings(draws=3, tune=20, chains=8, cores=cores, seed=seed)
        drawn = nuts.sample(compiled, settings, beginnings, progress=False)
        np.testing.assert_allclose(drawn.x, np.broadcast_to(beginnings[:, None], drawn.x.shape), atol=1)


def bowl(size: int, radius: float = np.inf) -> Compiled:
    """A normal density that is not finite beyond a radius around its start, (1, 1, ...)."""
    start = np.ones(size)

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        inside = np.abs(x - start).max() <= radius
        return (-float(x @ x) / 2 if inside else np.nan), -x

    return Compiled(start, value_and_gradient, lambda _: lambda _: [], UNCHANGED, None, 0.0)


@pytest.mark.parametrize("chains", [1, 2, 4, 5])
def test_first_points_are_wide_apart(chains: int) -> None:
    own, n = np.array([0, 2, 3]), 200
    away = np.stack([first_beginnings(bowl(n), own, chains, seed) - 1 for seed in range(200)])
    assert np.abs(away[:, :, own]).max() <= FARTHEST and (chains == 1 or away[:, :, own].std() > 1.3)
    strata = np.floor((away[:, :, own] / FARTHEST + 1) / 2 * chains)
    np.testing.assert_array_equal(np.sort(strata, axis=1), np.broadcast_to(np.arange(chains)[:, None], strata.shape))
    others = np.delete(away, own, axis=2)
    assert 0.99 < np.abs(others).max() <= 1 and abs(others.std() - 1 / np.sqrt(3)) < 0.01
    assert len(np.unique(away[..., 0])) == away[..., 0].size  # no two seeds or chains begin at one point
    np.testing.assert_array_equal(first_beginnings(bowl(n), own, chains, 3) - 1, away[3])
    if chains > 1:  # strata of one element say nothing of those of another
        one, other = strata[:, :, 0].ravel(), strata[:, :, 1].ravel()
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(one.size)


def test_first_points_are_in_the_coordinates_of_unit_size() -> None:
    """x = 3 + 2 z: from the start at x = 1 the points are as far apart as they are in z, times 2."""
    plain = bowl(1)
    scaled = dataclasses.replace(plain, coordinates=Coordinates(np.array([0]), np.array([3.0]), np.array([[2.0]])))
    far, near = (first_beginnings(c, np.array([0]), 4, 1) - 1 for c in (scaled, plain))
    np.testing.assert_allclose(far, 2 * near)


def test_a_start_without_a_slope_in_one_element_is_drawn_nearer() -> None:
    """nutpie takes no beginning at which an element of the gradient is 0."""
    start = np.ones(2)

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        flat = np.abs(x - start).max() > 1.0
        return -float(x @ x) / 2, np.where(flat & (np.arange(2) == 1), 0.0, -x)

    compiled = dataclasses.replace(bowl(2), value_and_gradient=value_and_gradient)
    far = first_beginnings(bowl(2), np.arange(2), 4, 1) - 1
    halvings = np.ceil(np.log2(np.maximum(np.abs(far).max(axis=1), 1)))
    np.testing.assert_allclose(first_beginnings(compiled, np.arange(2), 4, 1) - 1, far / 2 ** halvings[:, None])


def test_a_start_without_a_density_is_drawn_nearer() -> None:
    own, n = np.arange(4), 6
    far = first_beginnings(bowl(n), own, 4, 1) - 1
    for halvings in (1, HALVINGS):
        radius = 1.0001 * np.abs(far).max() / 2**halvings
        near = first_beginnings(bowl(n, radius), own, 4, 1) - 1
        least = np.ceil(np.log2(np.maximum(np.abs(far).max(axis=1) / radius, 1)))
        np.testing.assert_allclose(near, far / 2 ** least[:, None], rtol=1e-9)
        assert least.max() == halvings
    with pytest.raises(zoo.FitError, match=r"the density is not finite at any of 11 points .*; try tighter priors"):
        first_beginnings(bowl(n, radius * 0.99), own, 4, 1)


def cliff(size: int, radius: float, depth: float) -> Compiled:
    """A density that is `depth` lower on the log scale beyond a radius around its start, at 0."""

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        return -depth * float(np.abs(x).max() > radius), -x

    return Compiled(np.zeros(size), value_and_gradient, lambda _: lambda _: [], UNCHANGED, None, 0.0)


def test_a_start_far_below_what_a_normal_density_falls_to_is_drawn_nearer() -> None:
    own, n = np.arange(4), 6
    corner = stats.norm.logpdf([0] * 6).sum() - stats.norm.logpdf([FARTHEST] * 4 + [1] * 2).sum()
    far = first_beginnings(bowl(n), own, 4, 1) - 1
    assert (np.abs(far).max(axis=1) > 1).all()
    shallow, deep = (first_beginnings(cliff(n, 1.0, f * STEEPEST * corner), own, 4, 1) for f in (0.999, 1.001))
    np.testing.assert_allclose(shallow, far)
    halvings = np.ceil(np.log2(np.abs(far).max(axis=1)))
    np.testing.assert_allclose(deep, far / 2 ** halvings[:, None])
    np.testing.assert_allclose(  # where it is deep everywhere, the nearest
        first_beginnings(cliff(n, 0.0, 1.001 * STEEPEST * corner), own, 4, 1), far / 2**HALVINGS
    )


AGES = """
id trt entry_to_end d
1 0 14.2 0
2 1 12.3 1
3 0 9.5 1
4 1 15.0 0
5 0 3.4 1
6 1 13.1 0
7 0 8.8 1
8 1 6.1 1
"""


def test_hazards_over_decades_before_anybody_was_seen_begin_where_chains_come_back() -> None:
    """With age as time and nobody seen before 50, some first points had log densities of -5e11."""
    subjects = pd.read_csv(StringIO(AGES), sep=" ").assign(age_end=lambda s: 50 + s.entry_to_end)
    rng = np.random.default_rng(2)
    visits = subjects.loc[subjects.index.repeat(5), ["id", "entry_to_end"]].reset_index(drop=True)
    since = visits.entry_to_end * np.tile([0.0, 0.2, 0.4, 0.6, 0.8], len(subjects))
    slope = 0.27 + 0.25 * rng.normal(size=9)[visits.id]
    visits = visits.assign(age=50 + since, y=1.7 + slope * since + 0.4 * rng.normal(size=len(visits)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)
        model = zoo.joint_survival(
            visits, subjects, "y ~ age + (1 + age | id)", event="Surv(age_end, d) ~ trt", time="age"
        )
    model, start = parameterize(model, "auto")
    compiled, own = compile_model(model, start), schedule._without_group_effects(model)
    at_start = compiled.value_and_gradient(compiled.start)[0]
    values = [compiled.value_and_gradient(x)[0] for s in range(40) for x in first_beginnings(compiled, own, 4, s)]
    assert min(values) > at_start - STEEPEST * 2 * FARTHEST**2 * compiled.size


@pytest.fixture(scope="module")
def noise_first():
    """Two outcomes that share a subject's effect times a loading, of which the first says nothing: its sign is in doubt."""
    rng = np.random.default_rng(3)
    subject = np.repeat(np.arange(40), 6)
    a, b = rng.normal(size=240), 2 * rng.normal(size=40)[subject] + rng.normal(size=240)
    data = pd.DataFrame({"a": a, "b": b, "id": [f"s{i}" for i in subject]})
    return zoo.joint_outcomes(data, {f"{y} ~ 1 + (1 |p| id)": "gaussian" for y in "ab"}, shared="loading")


def test_chains_begin_on_either_side_of_a_loading(noise_first) -> None:
    model, start = parameterize(noise_first, "auto")
    compiled, own = compile_model(model, start), schedule._without_group_effects(model)
    place = [v.name for v in model.value_vars].index("b_loading")
    initial = [np.size(model.initial_point()[v.name]) for v in model.value_vars]
    loading = sum(initial[:place])
    assert loading in own
    for seed in range(20):
        assert sorted(np.sign(first_beginnings(compiled, own, 4, seed)[:, loading])) == [-1, -1, 1, 1]


def test_a_second_mode_is_found_and_no_draw_goes_from_one_to_the_other(noise_first) -> None:
    tree = zoo.fit(noise_first, draws=250, tune=400, chains=8, seed=1, target_accept=0.8, progress=False)
    positive = (tree["posterior"]["b_loading"].values > 0).mean(axis=1)
    assert (positive < 0.1).any() and (positive > 0.9).any(), positive
    verdict = diagnostics.check(tree)
    assert not verdict.sound and "rhat" in {p.check for p in verdict.problems}
