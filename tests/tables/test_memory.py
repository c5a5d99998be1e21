"""What is said where memory runs out."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from glmm_zoo.errors import FitError
from glmm_zoo.tables import memory
from glmm_zoo.tables.memory import LEAST_LIMIT, check_limit, memory_ran_out

RAN_OUT = {
    "memory": MemoryError(),
    "loader": ImportError("libx.so: failed to map segment from shared object"),
    "HDF5": OSError("Can't synchronously read data (memory allocation failed for raw data chunk)"),
    "system": OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
}


@pytest.mark.parametrize("err", RAN_OUT.values(), ids=RAN_OUT)
def test_memory_that_runs_out_is_told_in_a_sentence(err, monkeypatch):
    monkeypatch.setattr(memory, "_limit", lambda: 1.5e9)
    assert memory_ran_out(err) == (
        "this process may use 1.50 GB of memory by its limit (ulimit -v), and this needs more; raise the limit"
    )
    monkeypatch.setattr(memory, "_limit", lambda: float("inf"))
    assert memory_ran_out(err) == "the memory of this machine is full, and this needs more; free some"


@pytest.mark.parametrize(
    "err", [KeyError("x"), FileNotFoundError(errno.ENOENT, "no such file"), ImportError("no module x")]
)
def test_other_errors_are_not_told_as_such(err):
    assert memory_ran_out(err) is None


def test_a_limit_below_what_libraries_need_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "_limit", lambda: LEAST_LIMIT)
    check_limit()
    monkeypatch.setattr(memory, "_limit", lambda: LEAST_LIMIT - 1e7)
    with pytest.raises(
        FitError, match=r"may use 1.99 GB of memory by its limit \(ulimit -v\), and at least 2.00 GB are needed"
    ):
        check_limit()


@pytest.mark.parametrize(
    "command",
    [
        ["fit", "multicenter", "--out", "x.nc"],
        ["report", "x.nc"],
        ["predict", "x.nc", "--landmark", "1", "--times", "2"],
    ],
)
def test_commands_end_with_one_line_under_a_low_limit(command, tmp_path):
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000,) * 2); from glmm_zoo.cli import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", limited, *command], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert found.returncode == 1
    assert found.stderr == (
        "error: this process may use 1.50 GB of memory by its limit (ulimit -v), and at least 2.00 GB are needed; raise the limit\n"
    )
    assert not list(tmp_path.iterdir())
