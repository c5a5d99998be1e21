"""Chains that processes or the workers of a scheduler make have the bits of those that are made here, and are made once."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo.inference import chains_elsewhere

ROOT = Path(__file__).parents[2]


def visits(rows: int = 120, groups: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    x, g = rng.normal(size=rows), rng.integers(0, groups, rows)
    y = rng.binomial(1, 1 / (1 + np.exp(-x - rng.normal(size=groups)[g])))
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{i}" for i in g]})


def model(**size: int) -> Any:
    return zoo.hierarchical_logistic(visits(**size), "y ~ x + (1 + x | g)")


ASKED = {"draws": 100, "tune": 100, "chains": 3, "seed": 1, "progress": False}


def assert_same_bits(found: xr.DataTree, expected: xr.DataTree) -> None:
    assert found.groups == expected.groups
    for node in expected.subtree:
        xr.testing.assert_identical(
            found[node.path].to_dataset(), node.to_dataset().assign_attrs(found[node.path].attrs)
        )


def by_hand(asked: list[int], until: int | None = None) -> Callable[..., Iterator[Any]]:
    """Workers that are this process, which note the chains that they are `asked` for and die after so many."""

    def results(function: Callable[..., Any], items: Sequence[int], *shared: Any, **_: Any) -> Iterator[Any]:
        for item in list(items)[:until]:
            asked.append(item)
            yield function(item, *shared)
        if until is not None:
            raise RuntimeError("the scheduler is gone")

    return results


@pytest.mark.parametrize(
    "also", [{}, {"keep_group_effects": "moments", "thin": 2}, {"thin": None, "target_accept": 0.6}]
)
def test_chains_have_the_same_bits_one_by_one(also: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(chains_elsewhere, "results_of_tasks", by_hand(asked))
    here, settings = model(), {**ASKED, **also}
    assert_same_bits(zoo.fit(here, workers=2, **settings), zoo.fit(here, **settings))
    assert asked[:3] == [0, 1, 2]


def test_chains_that_came_back_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    here, settings = model(), {**ASKED, "thin": 1, "resume": tmp_path / "a.nc"}
    monkeypatch.setattr(chains_elsewhere, "results_of_tasks", by_hand(asked, until=2))
    with pytest.raises(RuntimeError, match="the scheduler is gone"):
        zoo.fit(here, workers=2, **settings)
    monkeypatch.setattr(chains_elsewhere, "results_of_tasks", by_hand(asked))
    found = zoo.fit(here, workers=2, **settings)
    assert asked == [0, 1, 2]
    assert_same_bits(found, zoo.fit(here, **{**settings, "resume": None}))


def test_what_cannot_be_spread_is_told() -> None:
    with pytest.raises(zoo.InputError, match="moves all chains at once; give workers with the kernel"):
        zoo.fit(model(), workers=2, backend="jax", **ASKED)
    with pytest.raises(zoo.InputError, match="workers must be a number of processes"):
        zoo.fit(model(), workers=0, **ASKED)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [{}, {"rows": 9000, "groups": 2500}])
def test_processes_have_the_same_bits(size: dict[str, int]) -> None:
    """Also of group effects that move in blocks."""
    here = model(**size)
    assert_same_bits(zoo.fit(here, workers=2, **ASKED), zoo.fit(here, **ASKED))


CLUSTER = """
import os, signal, sys, threading, time
from distributed import Client, LocalCluster
sys.path.insert(0, sys.argv[1])
from test_chains_elsewhere import ASKED, assert_same_bits, model
import glmm_zoo as zoo


def kill_one_that_works(client, pids, killed):
    while not killed:
        for address, tasks in client.processing().items():
            if any("_made" in str(task) for task in tasks) and not killed:
                time.sleep(1.0)
                os.kill(pids[address], signal.SIGKILL)
                killed.append(address)
        time.sleep(0.05)


def main():
    here, killed = model(rows=9000, groups=2500), []
    asked = {**ASKED, "chains": 4}
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        pids = client.run(os.getpid)
        threading.Thread(target=kill_one_that_works, args=(client, pids, killed), daemon=True).start()
        found = zoo.fit(here, workers=cluster.scheduler_address, **asked)
    assert len(killed) == 1 and killed[0] in pids
    assert_same_bits(found, zoo.fit(here, **asked))
    print("the same bits")


if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
def test_a_chain_whose_worker_is_killed_is_made_by_another(tmp_path: Path) -> None:
    """A cluster of dask.distributed with two workers; the package is not among those of the tests, so it gets a folder."""
    folder, script = tmp_path / "site", tmp_path / "cluster.py"
    if importlib.util.find_spec("distributed") is None:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--target",
            str(folder),
            "-c",
            str(ROOT / "constraints.txt"),
        ]
        subprocess.run([*pip, "distributed"], check=True, capture_output=True)
    script.write_text(CLUSTER)
    path = os.pathsep.join([str(ROOT), str(folder)])
    run = subprocess.run(
        [sys.executable, str(script), str(Path(__file__).parent)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert "the same bits" in run.stdout, run.stderr
