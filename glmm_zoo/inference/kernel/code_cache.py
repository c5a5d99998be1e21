"""Compiled code in the user's cache folder, for the next process.

Machine code that is not what was written ends a process without a word, or does what someone else wants. So a file says of
which source it is and has a checksum, and neither a file nor a folder that others may write is read.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from glmm_zoo.errors import warn

_log = logging.getLogger("glmm_zoo")

_MAGIC = b"glmm_zoo machine code 1\n"  # then the key, the checksum of all but itself, and the code
_DIGEST = hashlib.sha256().digest_size
_LONGEST = 1 << 28  # bytes; the largest function seen has 2^21
_KEPT_FILES = 400  # compiled functions of 10 to 100 kB; beyond it the oldest go
_ABANDONED = 600  # seconds; what is written takes less


def cache_folder() -> Path:
    """Where compiled code is kept: "native" in it for that of `machine`."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "glmm_zoo"


def private_folder(name: str) -> Path | None:
    """The folder of this name in the cache folder, made where it is not there; None where it cannot be used.

    It is used only if it belongs to the user and nobody else may write to it; otherwise a warning says so, once.
    """
    folder = cache_folder() / name
    with contextlib.suppress(OSError):  # what keeps it from being made is found next
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        about = folder.stat()
    except OSError:
        return None
    wrong = "is not a folder" if not stat.S_ISDIR(about.st_mode) else _belongs_to_others(about)
    if wrong:
        _say_unused(folder, wrong)
        return None
    return folder


def kept(folder: Path | None, source: str, compile_source: Callable[[], bytes]) -> bytes:
    """The code of a source: what the folder holds, or else what `compile_source` returns, which is then kept."""
    if folder is None:
        return compile_source()
    key = hashlib.sha256(source.encode()).digest()
    path = folder / f"{key.hex()[:32]}.o"
    code = _read(path, key)
    if code is None:
        code = compile_source()
        _write(path, key, code)
    return code


@functools.cache
def _say_unused(folder: Path, wrong: str) -> None:
    warn(
        f"the folder of compiled code {str(folder)!r} is not used: it {wrong}; give it to yourself alone "
        "(chown, chmod 700), or remove it, and the next fit starts sooner"
    )


def _belongs_to_others(about: os.stat_result) -> str:
    """What makes a file or a folder no private one, "" for one that is."""
    if os.name != "posix":
        return ""
    if about.st_uid != os.geteuid():
        return f"belongs to user {about.st_uid}, not to {os.geteuid()}"
    return "may be written by others" if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else ""


def _read(path: Path, key: bytes) -> bytes | None:
    """The code in a file; None where there is none, or where the file is not what was written for this key."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_size > _LONGEST or _belongs_to_others(about):
                return None
            content = file.read()
        code = content[len(_MAGIC) + 2 * _DIGEST :]
        if content != _as_file(key, code):
            _log.info("compiled code in %s is damaged, or that of another source; it is compiled anew", path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the oldest go first
        return code
    except OSError:
        return None


def _as_file(key: bytes, code: bytes) -> bytes:
    return _MAGIC + key + hashlib.sha256(_MAGIC + key + code).digest() + code


def _write(path: Path, key: bytes, code: bytes) -> None:
    """Whole or not at all; a folder that cannot be written costs the next process a second."""
    with contextlib.suppress(OSError):
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_as_file(key, code))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sweep(path.parent)


def _sweep(folder: Path) -> None:
    """Remove the oldest functions, and what processes left that were killed while they wrote."""
    ages: dict[Path, float] = {}
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process sweeps too
            ages[path] = path.lstat().st_mtime
    abandoned = [p for p, t in ages.items() if p.suffix != ".o" and t < time.time() - _ABANDONED]
    oldest_first = sorted((p for p in ages if p.suffix == ".o"), key=ages.__getitem__)
    for path in [*abandoned, *oldest_first[:-_KEPT_FILES]]:
        with contextlib.suppress(OSError):
            path.unlink()
