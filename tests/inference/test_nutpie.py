"""What is told where nutpie or the machine is not as it was when this was tried."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import nutpie
import pytensor.tensor as pt
import pytest
from rows import visits

import glmm_zoo as zoo
from glmm_zoo.inference import nuts
from glmm_zoo.inference.kernel import machine
from glmm_zoo.inference.kernel.density import GraphCompiler
from glmm_zoo.inference.kernel.machine import InCoordinates

ROOT = Path(__file__).parents[2]


def sample():
    return zoo.fit(zoo.hierarchical_logistic(visits(), "ill ~ x"), draws=20, tune=20, chains=1, seed=1)


def test_the_version_of_nutpie_is_bounded_by_what_was_tried():
    (wanted,) = (
        d
        for d in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
        if d.startswith("nutpie")
    )
    assert wanted == f"nutpie>={nuts.NUTPIE_TRIED},<0.16.12" and version("nutpie") == nuts.NUTPIE_TRIED
    assert f"nutpie=={nuts.NUTPIE_TRIED}\n" in (ROOT / "constraints.txt").read_text()


@pytest.mark.parametrize("broken", ["missing", "other arguments"])
def test_another_nutpie_is_told_in_one_sentence(monkeypatch, broken):
    if broken == "missing":
        monkeypatch.delattr(nutpie._lib, "LogpFunc")
    else:
        monkeypatch.setattr(nutpie._lib, "LogpFunc", lambda only: only)
    with pytest.raises(zoo.FitError, match=r"^nutpie 0\.16\.11 has not the inner parts .* install that one") as told:
        sample()
    assert "\n" not in str(told.value)


@pytest.fixture
def no_memory(monkeypatch):
    """The C library's malloc finds nothing for the copy of the unknowns."""
    code = machine._IN_COORDINATES.replace("@malloc(i64 %bytes)", "@malloc(i64 4611686018427387904)")
    monkeypatch.setattr(machine, "_IN_COORDINATES", code)


def test_memory_that_is_not_there_is_told(no_memory):
    v = pt.vector("v", shape=(3,))
    density = GraphCompiler([v], [(3,)]).with_gradient(pt.sum(v**2))
    moved = InCoordinates(density, np.array([0, 2]), np.zeros(2), np.eye(2))
    with pytest.raises(MemoryError, match="no memory for 24 bytes, one copy of the model's 3 unknowns"):
        moved(np.ones(3), np.zeros(3))


def test_memory_that_is_short_while_sampling_is_told(no_memory, monkeypatch):
    settled = []
    real = machine.Function.__call__

    def short_only_later(self, x, out):
        return real(self, x, out) if not isinstance(self, InCoordinates) or settled else 0.0

    monkeypatch.setattr(machine.Function, "__call__", short_only_later)
    monkeypatch.setattr(
        nuts, "_short_of_memory", lambda *args, real=nuts._short_of_memory: settled.append(1) or real(*args)
    )
    with pytest.raises(zoo.FitError, match="no memory for 16 bytes"):
        sample()
