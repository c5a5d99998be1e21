"""How much memory a fit takes beyond what it keeps: allocations while arrays are put together, and peaks of whole processes."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from glmm_zoo.inference.draws import Draws, beside_each_other
from glmm_zoo.inference.moments import BatchMeans, Moments
from glmm_zoo.inference.recording import Recorded, _stacked
from glmm_zoo.results.netcdf import write_netcdf

MANY = 250_000  # numbers of an array: 2 MB


def peak_of(what: Callable[[], object]) -> int:
    """Bytes allocated at most, beyond those before; NumPy tells of its own."""
    tracemalloc.start()
    try:
        what()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def chain() -> Draws:
    stats = {"diverging": np.zeros((1, 100), bool)}
    x = np.random.default_rng(1).normal(size=(1, 100, MANY // 100))
    return Draws(x, np.arange(100), stats, np.array([100]), 0, False, 0.0, 0, np.ones(1))


def test_chains_are_put_together_and_given_up() -> None:
    """An array is allocated as a whole, and is there as far as it is written; so it counts beside the chains here."""

    def together() -> None:
        chains = [chain() for _ in range(8)]
        expected = [c.x[0, -1].copy() for c in chains]
        np.testing.assert_array_equal(beside_each_other(chains, 0.0).x[:, -1], expected)
        assert not any(c.x.size for c in chains)

    assert peak_of(together) < (8 + 8 + 2) * 8 * MANY


def test_group_effects_are_stacked_and_given_up() -> None:
    moments = Moments(1), Moments(1)
    chains = [Recorded(np.zeros((0, 1)), np.full((2, 3), k, np.float32), moments, BatchMeans(1, 1)) for k in range(4)]
    np.testing.assert_array_equal(_stacked(chains)[:, 1, 2], np.arange(4))
    assert not any(c.effects.size for c in chains)


def test_a_file_is_written_without_its_content_in_memory(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(10, MANY))
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"u": (("draw", "g"), values)})})
    with (tmp_path / "a.nc").open("w+b") as file:
        assert peak_of(lambda: write_netcdf(tree, file)) < values.nbytes / 4
    assert (tmp_path / "a.nc").stat().st_size > values.nbytes


FIT = """
import json, resource, sys, os
import glmm_zoo as zoo
sys.path.insert(0, sys.argv[1])
from growth import FORMULA, simulated
rows, groups, file = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
zoo.save(zoo.fit(zoo.hierarchical_logistic(simulated(rows, groups), FORMULA), seed=1, tune=100, progress=False), file)
print(json.dumps([1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, os.path.getsize(file)]))
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_fit_takes_twice_what_it_keeps(tmp_path: Path) -> None:
    """At most 3 times the data and twice the file beyond what a fit of a small table takes; without the table there is the program.

    The file has what is kept: once it is in the tree, and once more parts of it on their way there.
    """
    benchmarks = Path(__file__).parents[2] / "benchmarks"

    def measured(rows: int, groups: int) -> tuple[int, int]:
        command = [sys.executable, "-c", FIT, str(benchmarks), str(rows), str(groups), str(tmp_path / f"{rows}.nc")]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return tuple(json.loads(told.splitlines()[-1]))

    base, _ = measured(56, 6)
    peak, kept = measured(10_000, 1000)
    data = 8 * 10_000 * 6  # six columns
    assert peak - base < 3 * data + 2 * kept


def test_what_was_freed_between_what_is_in_use_is_given_back() -> None:
    code = """
import sys
from pathlib import Path
from glmm_zoo.tables.memory import give_back_what_is_free
resident = lambda: 4096 * int(Path("/proc/self/statm").read_text().split()[1])
blocks = [bytearray(60_000) for _ in range(1000)]
blocks = blocks[-1:]
before = resident()
give_back_what_is_free(1e6)
few = before - resident()
give_back_what_is_free(1e8)
print(few, before - resident())
"""
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    few, much = map(int, found.split())
    assert few < 2e6 and (much > 4e7 or platform.libc_ver()[0] != "glibc")  # other libraries have no such function
