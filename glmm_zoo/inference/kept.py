"""Chains are kept beside the file of a fit as they end, so that a fit that was interrupted goes on with the others.

A chain begins where the seed, or the chain before it in the schedule of runs, says, and has random numbers of its own. So the
chains that are there and those that are made now have the bits that they have in a fit that nothing interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError, listing, warn
from glmm_zoo.inference import interrupts
from glmm_zoo.inference.draws import Draws
from glmm_zoo.inference.locks import locked
from glmm_zoo.inference.moments import Moments
from glmm_zoo.inference.recording import Recorded
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results.parts import (
    CHAINS,
    KEY_FILE,
    count_of_parts,
    discard_parts,
    how_to_go_on,
    parts_folder,
    stored_key,
)
from glmm_zoo.results.replacement import digest, replace_file, without_digest

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model
    from glmm_zoo.inference.coordinates import Coordinates

PACKAGES = ("glmm-zoo", "pymc", "pytensor", "nutpie", "jax", "numpy", "xarray", "arviz-stats", "formulaic")
SELDOM = 1.0  # seconds of work that may be lost; what takes less is not written
_LONG = 120  # characters of what is not told
LOOK = 0.2  # seconds after which it is seen that a chain has ended


_version = cache(version)  # which reads a file of the package each time


def versions(backend: str = "kernel") -> dict[str, str]:
    """Of Python, and of the packages that draws depend on."""
    packages = [p.replace("nutpie", "blackjax") for p in PACKAGES] if backend == "jax" else PACKAGES
    return {"python": platform.python_version(), **{p: _version(p) for p in packages}}


def machine() -> str:
    return f"{platform.system()} {platform.machine()}"


def key_of(model: Model, settings: Settings) -> dict[str, Any]:
    """What the draws of a fit depend on, by the words in which a difference is told."""
    spec = {name: value for name, value in model.spec.items() if name != "notes"}
    data = [part["data"]["sha256"] for part in (spec, spec.get("event")) if part]
    tables = {name: table["sha256"] for name, table in spec["data"].get("tables", {}).items()}
    asked = {name: value for name, value in asdict(settings).items() if name != "cores"}
    key = {
        "builder": spec["builder"],
        "formula": spec["formula"],
        "data": data,
        **{f"table {name}": sha for name, sha in tables.items()},
        "priors": spec["priors"],
        "options": spec["options"],
        "model": hashlib.sha256(json.dumps(spec, sort_keys=True, default=str).encode()).hexdigest(),
        **asked,
        **{f"version of {name}": text for name, text in versions(settings.backend).items()},
        "machine": machine(),
    }
    return json.loads(json.dumps(key))


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between two keys, with its values where these are short."""
    texts = {name: [json.dumps(key.get(name)) for key in (there, here)] for name in {**there, **here}}
    differing = {name: pair for name, pair in texts.items() if pair[0] != pair[1]}
    if len(differing) > 1:
        differing.pop("model", None)  # which holds the others
    return [
        f"{name} ({one} there, {other} here)" if len(one + other) < _LONG else name
        for name, (one, other) in differing.items()
    ]


@contextlib.contextmanager
def keeping(target: Path | None, model: Model, settings: Settings) -> Iterator[KeptChains | None]:
    """What keeps the chains of the fit that is to be saved as `target`; nothing without one.

    Raises
    ------
    InputError
        Another fit into the same file that runs; chains of a fit of something else.
    """
    if target is None:
        yield None
        return
    folder = parts_folder(target)
    with locked(folder):
        key, seed, stored = key_of(model, settings), None, stored_key(folder)
        found = 0 if stored is None else count_of_parts(folder)
        if stored is not None and found:
            differing, seed = differences(stored["key"], key), stored["seed"]
            if differing:
                raise InputError(
                    f"{folder} keeps chains of another fit, which differs in {listing(differing)}; give what that fit was begun "
                    "with, or remove the folder to begin anew"
                )
        else:
            discard_parts(folder)
        yield KeptChains(folder, key, seed, found)


@dataclass(frozen=True)
class Chain:
    """One chain, its draws thinned, and what was recorded of it beside them."""

    draws: Draws
    recorded: Recorded | None


class KeptChains:
    """The folder in which a fit keeps its chains.

    Attributes
    ----------
    seed
        That of the fit that was begun; None of one that begins, until it has drawn one.
    count
        How many chains are kept, of all runs.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], seed: int | None, count: int):
        self.folder, self.key, self.seed, self.count = folder, key, seed, count
        self._runs, self._last, self._warned = 0, time.monotonic(), False
        if count:
            interrupts.advise(self.advice())

    def advice(self, how: str = "--resume") -> str:
        """How a fit that is interrupted now goes on."""
        return how_to_go_on(self.folder, self.count, how)

    @property
    def due(self) -> bool:
        """Whether chains that have ended are written now."""
        return time.monotonic() - self._last >= SELDOM

    def next_run(self, coordinates: Coordinates, settings: Settings, beginnings: np.ndarray) -> KeptRun:
        """Where the chains of the next run of the schedule are kept, and what they begin with."""
        self._runs += 1
        begun = hashlib.sha256(repr((json.dumps(self.key, sort_keys=True), asdict(settings))).encode())
        bent = () if coordinates.bends is None else astuple(coordinates.bends)
        for array in (beginnings, coordinates.index, coordinates.mean, coordinates.root, *bent):
            begun.update(np.ascontiguousarray(array).tobytes())
        return KeptRun(self, self._runs, begun.hexdigest())

    def write(self, name: str, content: memoryview) -> None:
        """Write a chain whole; a full disk is told once, and the fit goes on."""
        with interrupts.held():
            try:
                if not self.count:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    replace_file(self.folder / KEY_FILE, json.dumps({"key": self.key, "seed": self.seed}).encode())
                replace_file(self.folder / name, content, digest(content))
            except OSError as err:
                if not self._warned:
                    warn(f"{err}; the fit goes on, but what is not kept is lost if it is interrupted")
                self._warned = True
                return
            self.count += 1
            interrupts.advise(self.advice())

    def written(self) -> None:
        """The chains that have ended are written."""
        self._last = time.monotonic()


class KeptRun:
    """One run of all chains: those of it that are kept."""

    def __init__(self, kept: KeptChains, number: int, begun: str):
        self.kept, self.number, self.begun = kept, number, begun

    def chains(self, how_many: int) -> dict[int, Chain]:
        """The chains that are there, by their number; a file that is not whole is none.

        Raises
        ------
        InputError
            Chains that did not begin where they would here.
        """
        found = {}
        for k in range(how_many):
            path = self.kept.folder / self._name(k)
            content = without_digest(path.read_bytes()) if path.exists() else None
            if content is None:
                continue
            with np.load(io.BytesIO(content)) as arrays:
                if str(arrays["begun"]) != self.begun:
                    raise InputError(
                        f"{path} did not begin where it would here, as on a processor of another kind; go on where the fit was begun, "
                        f"or remove {self.kept.folder} to begin anew"
                    )
                found[k] = _chain(arrays)
        return found

    def write(self, chain: int, what: Chain) -> None:
        """Keep a chain."""
        file = io.BytesIO()
        np.savez(file, begun=np.array(self.begun), **_arrays(what))
        self.kept.write(self._name(chain), file.getbuffer())

    def _name(self, chain: int) -> str:
        return CHAINS.replace("*", f"{self.number}-{chain}")


def _arrays(chain: Chain) -> dict[str, Any]:
    draws, recorded = chain.draws, chain.recorded
    plain = {name: getattr(draws, name) for name in _PLAIN}
    beside = {}
    if recorded is not None:
        beside = {"recorded": recorded.x, "effects": recorded.effects} | {
            f"{name}{part}": getattr(moments, name)
            for part, moments in enumerate((*recorded.halves, recorded.batches))
            for name in ("count", "mean", "squares")
        }
    return {**plain, **{f"stat:{name}": values for name, values in draws.stats.items()}, **beside}


_PLAIN = ("x", "x_draws", "finished", "gradients", "seconds", "divergences", "bfmi")


def _chain(arrays: Mapping[str, np.ndarray]) -> Chain:
    """The inverse of `_arrays`."""
    plain: dict[str, Any] = {name: v if (v := arrays[name]).ndim else v.item() for name in _PLAIN}
    stats = {name.removeprefix("stat:"): arrays[name] for name in arrays if name.startswith("stat:")}
    recorded = None
    if "recorded" in arrays:
        first, second, batches = parts = Moments(0), Moments(0), Moments(0)
        for part, moments in enumerate(parts):
            moments.count = int(arrays[f"count{part}"])
            moments.mean, moments.squares = arrays[f"mean{part}"], arrays[f"squares{part}"]
        recorded = Recorded(arrays["recorded"], arrays["effects"], (first, second), batches)
    return Chain(Draws(stats=stats, interrupted=False, **plain), recorded)
