"""Simulations in a folder: what they are of, and a line for each as it ends, so that those that are there are not done again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glmm_zoo.errors import InputError, listing
from glmm_zoo.refits.spread import Workers, spread_tasks

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
    """The records of simulations 0 to n - 1, `simulate(i, *shared)`, of which those in the folder are not done again."""
    kept = None if folder is None else Path(folder)
    done = {} if kept is None else _kept_records(kept, design)
    missing = [i for i in range(n) if i not in done]
    for record in spread_tasks(simulate, missing, *shared, workers=workers, lost=lost):
        done[record["simulation"]] = record
        if kept is not None:
            with (kept / _SIMULATIONS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
    return [done[i] for i in range(n)]


def lost_simulation(i: int, why: str) -> dict[str, Any]:
    """The record of a simulation whose processes died."""
    return {"simulation": i, "refused": 0, "failed": why}


def _kept_records(folder: Path, design: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """The simulations that a folder holds, which is made if there is none; a line that was cut off is taken out."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, lines = folder / _DESIGN, folder / _SIMULATIONS
    if not kept.exists():
        if any(folder.iterdir()):
            raise InputError(
                f"folder {str(folder)!r} holds other files and no simulations; give an empty one or a new name"
            )
        kept.write_text(json.dumps(design, indent=1) + "\n", encoding="utf-8")
    found, asked = json.loads(kept.read_text(encoding="utf-8")), json.loads(json.dumps(design))
    differing = [key for key in {**found, **asked} if found.get(key) != asked.get(key)]
    if differing:
        raise InputError(
            f"folder {str(folder)!r} holds simulations of another {listing(differing)}; give another folder, or what it was made with"
        )
    whole = (
        [line for line in lines.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
        if lines.exists()
        else []
    )
    lines.write_text("".join(whole), encoding="utf-8")
    return {record["simulation"]: record for record in map(json.loads, whole)}
