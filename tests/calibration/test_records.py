"""Simulations in a folder: of one process at a time, and whole, whatever stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from glmm_zoo.calibration.records import lost_simulation, simulations
from glmm_zoo.errors import InputError
from glmm_zoo.inference.locks import locked

DESIGN = {"seed": 1}


def made(i: int, done: list[int]) -> dict[str, Any]:
    done.append(i)
    return {"simulation": i, "value": i / 3}


def ask(folder: Path, n: int = 4, simulate: Any = made) -> tuple[list[dict[str, Any]], list[int]]:
    """The records, and which were made now."""
    done: list[int] = []
    found = simulations(simulate, n, done, folder=folder, design=DESIGN, workers=None, lost=lost_simulation)
    return found, done


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    ask(folder)
    with locked(folder), pytest.raises(InputError, match=r"another fit \(pid \d+\) is writing .*b; wait for it"):
        ask(folder)
    assert ask(folder)[1] == [] and sorted(p.name for p in tmp_path.rglob("*")) == sorted(
        ["a", "b", "design.json", "simulations.jsonl"]
    )


@pytest.mark.parametrize(
    ("damaged", "again"),
    [
        (lambda text: text[:-9], [3]),  # cut off
        (lambda text: text.replace(b'"simulation": 1', b"\0" * 15), [1]),  # of a machine that stopped
        (lambda text: text.replace(b'{"simulation": 2', b"[2"), [2]),
        (lambda text: b"", [0, 1, 2, 3]),
    ],
)
def test_records_that_are_not_whole_are_made_again(tmp_path: Path, damaged: Any, again: list[int]) -> None:
    whole, _ = ask(tmp_path / "s")
    file = tmp_path / "s" / "simulations.jsonl"
    file.write_bytes(damaged(file.read_bytes()))
    assert ask(tmp_path / "s") == (whole, again) and ask(tmp_path / "s") == (whole, [])


def test_a_full_disk_says_what_is_kept(tmp_path: Path) -> None:
    """A process may write 100 bytes to a file, two records and a part."""
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_records import ask
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    ask(Path({str(tmp_path / "s")!r}))
except OSError as err:
    print(err)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "simulations.jsonl was not written: File too large; 2 simulations before are kept, with which" in run.stdout
    assert ask(tmp_path / "s")[1] == [2, 3]


def test_a_killed_process_leaves_whole_records_and_no_lock(tmp_path: Path) -> None:
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_records import ask, made
def simulate(i, done):
    if i == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return made(i, done)
ask(Path({str(tmp_path / "s")!r}), 4, simulate)
"""
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert ask(tmp_path / "s")[1] == [2, 3]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"]
