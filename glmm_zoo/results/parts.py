"""The folder beside the file of a fit in which chains are kept until it is saved."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glmm_zoo.errors import plural
from glmm_zoo.results.replacement import without_digest

KEY_FILE = "fit.json"
CHAINS = "chain-*.npz"


def parts_folder(target: Path) -> Path:
    """fits/a.parts of fits/a.nc."""
    return target.with_suffix(".parts")


def count_of_parts(folder: Path) -> int:
    """How many chains are kept whole, those of each of several imputed tables among them."""
    return sum(without_digest(file.read_bytes()) is not None for file in folder.rglob(CHAINS))


def how_to_go_on(folder: Path, count: int, how: str = "--resume") -> str:
    """What is kept of a fit that is not saved, and what to do."""
    if not count:
        return "no finished chain is kept: run it again"
    return f"{folder} keeps {plural(count, 'finished run')} of chains, with which {how} goes on"


def stored_key(folder: Path) -> dict[str, Any] | None:
    """What the chains of a folder are of, and their seed; None where that is not there or not whole."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / KEY_FILE).read_bytes())
    return None


def discard_parts_of(target: Path, keys: Sequence[Any]) -> None:
    """Remove what was kept of a fit that is saved now, known by the keys of its models."""
    whole = parts_folder(target)
    for folder in (*whole.glob("*.parts"), whole):
        stored = stored_key(folder)
        if stored is None or stored["key"] in keys:
            discard_parts(folder)


def discard_parts(folder: Path) -> None:
    """Remove what is kept, and no file that is not ours; what the fit is goes last."""
    for inner in folder.glob("*.parts"):
        discard_parts(inner)
    for pattern in (CHAINS, f".{CHAINS}.*", f".{KEY_FILE}.*", ".*.lock", ".*.pid", KEY_FILE):
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
