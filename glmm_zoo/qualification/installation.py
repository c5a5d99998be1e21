"""What is installed: files against the hashes that their installer kept, versions against those tried, processor, memory, BLAS."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from glmm_zoo.errors import listing, plural
from glmm_zoo.qualification.results import Result, judged
from glmm_zoo.report.certificate import digest_of_sources
from glmm_zoo.tables.memory import available_memory, in_gigabytes

PACKAGE = "glmm-zoo"
_HERE = Path(__file__).parent.parent
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def installation() -> Iterator[Result]:
    """The checks of an installation."""
    yield from _files()
    yield _versions()
    yield from _machine()


def needed() -> list[str]:
    """The packages that must be there for this one, itself first, by name."""
    found: dict[str, set[str]] = {}  # the extras of each
    waiting = [Requirement(PACKAGE)]
    while waiting:
        asked = waiting.pop(0)
        name = canonicalize_name(asked.name)
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        new = {"", *asked.extras} - found.get(name, set())
        found[name] = found.get(name, set()) | new
        for requirement in map(Requirement, requirements):
            marker = requirement.marker
            if any(marker is None or marker.evaluate({"extra": extra}) for extra in new):
                waiting.append(requirement)
    return list(found)


def _files() -> Iterator[Result]:
    """Every file of every package whose hash its installer kept."""
    changed, count, packages = [], 0, needed()
    for package in packages:
        distribution = importlib.metadata.distribution(package)
        # not `distribution.files`, which leaves out what is missing
        for name, kept, _ in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
            mode, _, digest = kept.partition("=")
            if not digest or name.endswith(".pyc"):
                continue
            count += 1
            path = Path(str(distribution.locate_file(name)))
            if not path.is_file() or _digest(path, mode) != digest:
                changed.append(name)
    found = (
        "all as installed"
        if not changed
        else f"{plural(len(changed), 'file')} missing or changed: {listing(changed, 5)}"
    )
    yield judged(
        "files",
        f"{count:,} files of {plural(len(packages), 'package')}",
        "the hashes kept at installation",
        found,
        not changed,
    )
    origin = importlib.metadata.distribution(PACKAGE).read_text("direct_url.json")
    if origin is not None and json.loads(origin).get("dir_info", {}).get("editable"):
        said = f"installed from the folder {_HERE.parent}, whose files no installer hashed"
        yield Result("files", PACKAGE, "the hashes kept at installation", said, "noted")
    yield Result("files", f"SHA-256 of {PACKAGE}", "", digest_of_sources(_HERE.rglob("*.py")), "noted")


def _digest(path: Path, mode: str) -> str:
    """A file's hash as the RECORD of a wheel writes it."""
    return base64.urlsafe_b64encode(hashlib.new(mode, path.read_bytes()).digest()).rstrip(b"=").decode()


def constraints() -> dict[str, str]:
    """The versions that the tests were run with, by package."""
    installed = _HERE / "constraints.txt"
    path = installed if installed.is_file() else _HERE.parent / "constraints.txt"
    return {canonicalize_name(name): version for name, version in _PINNED.findall(path.read_text(encoding="utf-8"))}


def _versions() -> Result:
    """The versions of packages against those that the tests were run with."""
    tried, packages = constraints(), needed()[1:]
    others = [f"{name} {have} for {tried[name]}" for name in packages if name in tried and (have := importlib.metadata.version(name)) != tried[name]]  # fmt: skip
    found = f"{len(others)} others: {listing(others, 10)}" if others else "the same"
    return Result("versions", plural(len(packages), "package"), "the versions that were tested", found, "noted" if others else "passed")  # fmt: skip


def _machine() -> Iterator[Result]:
    """What the numbers of this machine depend on, told."""
    import llvmlite.binding as llvm
    import scipy.linalg  # noqa: F401 - whose libraries are asked for
    from threadpoolctl import threadpool_info

    cores, memory = os.cpu_count() or 1, available_memory()
    libraries = sorted(
        {f"{i['internal_api']} {i['version']}, {i.get('architecture', '')}".rstrip(", ") for i in threadpool_info()}
    )
    told = {
        PACKAGE: importlib.metadata.version(PACKAGE),
        "Python": f"{platform.python_version()}, {platform.python_implementation()}",
        "system": platform.platform(),
        "processor": f"{llvm.get_host_cpu_name()}, {platform.machine()}, {plural(cores, 'core')}",
        "memory that can be used": in_gigabytes(memory) if isfinite(memory) else "not told",
        "linear algebra": listing(libraries, 10) if libraries else "not told",
        "machine code by": f"LLVM {'.'.join(map(str, llvm.llvm_version_info))}",
    }
    for what, found in told.items():
        yield Result("machine", what, "", found, "noted")
