"""Simulations in a folder: what they are of, and a line for each as it ends, so that those that are there are not done again."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.families.tensors import without_traces
from glmm_zoo.inference.locks import locked
from glmm_zoo.refits.spread import Workers, spread_tasks
from glmm_zoo.results.replacement import replace_file

_DESIGN, _SIMULATIONS = "design.json", "simulations.jsonl"


def simulations(
    simulate: Callable[..., dict[str, Any]],
    n: int,
    *shared: Any,
    folder: str | os.PathLike[str] | None,
    design: Mapping[str, Any],
    workers: Workers,
    lost: Callable[[int, str], dict[str, Any]],
) -> list[dict[str, Any]]:
    """The records of simulations 0 to n - 1, `simulate(i, *shared)`, of which those in the folder are not done again.

    Raises
    ------
    InputError
        A folder of other simulations, or one that another process is writing.
    OSError
        A record that cannot be written, with how many are there.
    """
    kept = None if folder is None else Path(folder)
    with contextlib.nullcontext() if kept is None else _own(kept):
        done = {} if kept is None else _kept_records(kept, design)
        missing = [i for i in range(n) if i not in done]
        for record in spread_tasks(_without_traces, missing, simulate, *shared, workers=workers, lost=lost):
            if kept is not None:
                _add(kept / _SIMULATIONS, record, len(done))
            done[record["simulation"]] = record
    return [done[i] for i in range(n)]


@contextlib.contextmanager
def _own(folder: Path) -> Iterator[None]:
    """A folder, made if it is not there, that no other process writes."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        yield


def _without_traces(i: int, simulate: Callable[..., dict[str, Any]], *shared: Any) -> dict[str, Any]:
    """Simulation i, whose graphs are written without traces."""
    with without_traces():
        return simulate(i, *shared)


def _add(lines: Path, record: Mapping[str, Any], there: int) -> None:
    try:
        with lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as err:
        told = OSError(
            f"{lines} was not written: {err.strerror}; {plural(there, 'simulation')} before are kept, with which the same call goes on"
        )
        told.errno = err.errno
        raise told from None


def lost_simulation(i: int, why: str) -> dict[str, Any]:
    """The record of a simulation whose processes died."""
    return {"simulation": i, "refused": 0, "failed": why}


def _kept_records(folder: Path, design: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """The simulations that a folder holds; a line that was cut off is taken out."""
    kept, lines = folder / _DESIGN, folder / _SIMULATIONS
    if not kept.exists():
        if any(not path.name.startswith(".") for path in folder.iterdir()):
            raise InputError(
                f"folder {str(folder)!r} holds other files and no simulations; give an empty one or a new name"
            )
        replace_file(kept, (json.dumps(design, indent=1) + "\n").encode())
    found, asked = json.loads(kept.read_text(encoding="utf-8")), json.loads(json.dumps(design))
    differing = [key for key in {**found, **asked} if found.get(key) != asked.get(key)]
    if differing:
        raise InputError(
            f"folder {str(folder)!r} holds simulations of another {listing(differing)}; give another folder, or what it was made with"
        )
    if not lines.exists():
        return {}
    text = lines.read_bytes()
    whole = [line for line in text.splitlines(keepends=True) if _record_of(line) is not None]
    if b"".join(whole) != text:
        replace_file(lines, *whole)
    return {record["simulation"]: record for record in map(_record_of, whole) if record is not None}


def _record_of(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None of one that was cut off, by a kill, a full disk or a machine that stopped."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "simulation" in record else None
