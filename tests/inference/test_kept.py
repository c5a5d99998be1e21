"""Chains that are kept: which run again, to which bits, and what a caller in Python is told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest

import glmm_zoo as zoo
from glmm_zoo.inference import kept, nuts
from glmm_zoo.inference.compile import Compiled, compile_model
from glmm_zoo.inference.draws import Draws
from glmm_zoo.inference.kept import KeptChains
from glmm_zoo.inference.kernel.far_out import DISTANCE, NormalFarOut, normal_far_out
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results.replacement import digest, without_digest


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "SELDOM", 0.0)
    monkeypatch.setattr(nuts, "LOOK", 0.01)


@pytest.fixture(scope="module")
def normal() -> Compiled:
    with pm.Model() as model:
        pm.Normal("x", 0, 1, shape=5)
    return compile_model(model)


def sampled(compiled: Compiled, folder: Path | None, **settings: Any) -> Draws:
    asked = Settings(**{"draws": 60, "tune": 100, "chains": 3, "seed": 3, **settings})
    chains = None if folder is None else KeptChains(folder, {"a": 1}, 3, len([*folder.glob("*.npz")]))
    return nuts.sample(compiled, asked, np.ones((3, compiled.size)), progress=False, kept=chains)


def same(one: Draws, other: Draws) -> bool:
    return one.x.tobytes() == other.x.tobytes() and all(
        one.stats[name].tobytes() == other.stats[name].tobytes() for name in one.stats
    )


@pytest.mark.parametrize("settings", [{}, {"thin": 3}, {"cores": 1}])
def test_each_chain_may_be_the_one_that_is_missing(normal: Compiled, tmp_path: Path, settings: dict[str, int]) -> None:
    whole = sampled(normal, None, **settings)
    assert same(sampled(normal, tmp_path, **settings), whole)
    files = sorted(tmp_path.glob("chain-1-*.npz"))
    assert len(files) == 3
    for file in files:
        file.unlink()
        again = sampled(normal, tmp_path, **settings)
        assert same(again, whole) and file.exists()
        np.testing.assert_array_equal(again.bfmi, whole.bfmi)
        assert (again.gradients, again.divergences) == (whole.gradients, whole.divergences)


def test_only_missing_chains_ask_for_the_density(normal: Compiled, tmp_path: Path) -> None:
    calls: list[np.ndarray] = []

    def counted(x: np.ndarray) -> tuple[float, np.ndarray]:
        calls.append(x)
        return normal.value_and_gradient(x)

    in_python = Compiled(normal.start, counted, normal.variables, normal.coordinates, None, 0.0)
    whole = sampled(in_python, tmp_path)
    all_chains = len(calls)
    (tmp_path / "chain-1-1.npz").unlink()
    calls.clear()
    assert same(sampled(in_python, tmp_path), whole)
    assert len(calls) < 0.5 * all_chains and max(np.abs(x).max() for x in calls) < 1e6
    calls.clear()
    assert same(sampled(in_python, tmp_path), whole) and not calls


def test_a_density_is_another_one_far_out_only(normal: Compiled) -> None:
    rng = np.random.default_rng(1)
    assert normal.program is not None
    native, python = NormalFarOut(normal.program), normal_far_out(normal.value_and_gradient)
    points = [*rng.normal(size=(5, 5)), np.full(5, np.inf), np.full(5, np.nan), np.full(5, DISTANCE / 2)]
    one_near = np.full(5, DISTANCE)
    one_near[3] = 0.0
    for z in [*points, one_near]:
        value, gradient = normal.value_and_gradient(z)
        out = np.zeros(5)
        if not (z > DISTANCE / 2).all():
            np.testing.assert_array_equal(native(z, out), value)
            np.testing.assert_array_equal(out, gradient)
        np.testing.assert_array_equal(native(z, out), python(z)[0])
    step = rng.normal(size=5)
    out, z = np.zeros(5), DISTANCE + step
    assert native(z, out) == pytest.approx(-step @ step / 2, rel=1e-6) and python(z)[0] == native(z, out)
    np.testing.assert_allclose(out, -step, atol=1e-6)


def test_chains_that_began_elsewhere_are_told(normal: Compiled, tmp_path: Path) -> None:
    sampled(normal, tmp_path)
    with pytest.raises(zoo.InputError, match=r"chain-1-0\.npz did not begin where it would here.*or remove"):
        nuts.sample(
            normal,
            Settings(draws=60, tune=100, chains=3, seed=3),
            np.full((3, 5), 0.5),
            progress=False,
            kept=KeptChains(tmp_path, {"a": 1}, 3, 3),
        )


def test_a_file_that_is_cut_off_anywhere_is_no_chain(normal: Compiled, tmp_path: Path) -> None:
    whole = sampled(normal, tmp_path)
    content = (tmp_path / "chain-1-1.npz").read_bytes()
    body = without_digest(content)
    assert body is not None and body + digest(body) == content
    assert all(without_digest(content[:k]) is None for k in range(0, len(content), 97))
    (tmp_path / "chain-1-1.npz").write_bytes(content[:-1])
    assert same(sampled(normal, tmp_path), whole)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    return pd.DataFrame({"y": rng.poisson(np.exp(0.3 * x)), "x": x, "g": [f"g{k}" for k in np.arange(80) % 8]})


def test_a_fit_of_moments_goes_on(data: pd.DataFrame, tmp_path: Path) -> None:
    model = zoo.poisson(data, "y ~ x + (1 | g)")
    asked: dict[str, Any] = {"seed": 1, "draws": 100, "tune": 100, "chains": 3, "keep_group_effects": "moments"}
    whole = zoo.fit(model, **asked, progress=False, resume=tmp_path / "a.nc")
    (tmp_path / "a.parts" / "chain-1-2.npz").unlink()
    again = zoo.fit(model, **asked, progress=False, resume=tmp_path / "a.nc")
    for name in ("posterior", "group_effects", "log_likelihood", "posterior_predictive"):
        assert again[name].dataset.identical(whole[name].dataset)
    zoo.save(again, tmp_path / "b.nc").unlink()
    assert (tmp_path / "a.parts").exists()
    zoo.save(again, tmp_path / "a.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


@pytest.mark.slow
def test_fits_of_imputed_tables_go_on(data: pd.DataFrame, tmp_path: Path) -> None:
    tables = [data, data.assign(x=data["x"] + (data.index == 3))]
    asked: dict[str, Any] = {"seed": 1, "draws": 100, "tune": 100, "chains": 2, "progress": False}
    file = tmp_path / "a.nc"
    whole = zoo.fit_imputed(zoo.poisson, tables, "y ~ x + (1 | g)", **asked, resume=file)
    assert sorted(p.name for p in (tmp_path / "a.parts").iterdir()) == ["1.parts", "2.parts"]
    shutil.rmtree(tmp_path / "a.parts" / "2.parts")
    again = zoo.fit_imputed(zoo.poisson, tables, "y ~ x + (1 | g)", **asked, resume=file)
    for name in set(whole.children) - {"report"}:
        assert again[name].dataset.identical(whole[name].dataset)
    zoo.save(again, file)
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


@pytest.mark.parametrize("resume", [True, False])
def test_an_interruption_says_how_to_go_on(
    data: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    def interrupted(self: Any, background: Any) -> Any:
        raw = background.wait()
        self.draws += 1  # as if each chain had one more to make
        return raw

    monkeypatch.setattr(nuts._Making, "wait_for", interrupted)
    model = zoo.poisson(data, "y ~ x + (1 | g)")
    told = "no finished chain is kept: run it again" if resume else 'give resume="fit.nc" to keep chains as they end'
    with pytest.raises(KeyboardInterrupt, match=f"sampling was interrupted; {told}") as stop:
        zoo.fit(model, seed=1, draws=100, tune=100, progress=False, resume=tmp_path / "a.nc" if resume else None)
    tree = stop.value.tree  # pyright: ignore[reportAttributeAccessIssue]
    assert tree["posterior"].sizes["draw"] == 100
    if resume:
        (tmp_path / "a.parts").mkdir()
        (tmp_path / "a.parts" / "chain-1-0.npz").write_bytes(b"")
        zoo.save(tree, tmp_path / "a.nc")  # of draws so far, which does not make the chains that are kept superfluous
        assert (tmp_path / "a.parts").exists()


@pytest.mark.parametrize(
    ("resume", "told"), [(True, "resume takes the file"), ("no/a.nc", "folder 'no' does not exist")]
)
def test_the_file_is_asked_for_before_sampling(data: pd.DataFrame, resume: Any, told: str) -> None:
    with pytest.raises(zoo.InputError, match=told):
        zoo.fit(zoo.poisson(data, "y ~ x + (1 | g)"), progress=False, resume=resume)
