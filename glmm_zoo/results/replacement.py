"""A file is replaced whole or not at all, and what killed processes left of earlier tries goes."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"  # how the name of a file ends that is being written


def digest(content: bytes) -> bytes:
    """What stands behind the end of a file of this content."""
    return b"glmm_zoo sha256 " + hashlib.sha256(content).hexdigest().encode()


def without_digest(content: bytes) -> bytes | None:
    """The content before its digest; None where that is missing or of other content, as in a file that was cut off."""
    length = len(digest(b""))
    body = content[:-length]
    return body if content[-length:] == digest(body) else None


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole, or leave what was there.

    The content goes to a hidden file in the same folder, is synced and read back, and then gets the name `path`. A file that
    is replaced keeps its mode, and a symbolic link to it stays one.

    Raises
    ------
    OSError
        A full disk, with how much was needed.
    """
    try:
        _replace(Path(os.path.realpath(path)), content)
    except OSError as err:
        raise _not_written(path, len(content), err) from None


def _replace(path: Path, content: bytes) -> None:
    _sweep(path)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PARTIAL, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _in_use(file)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            with open(temporary, "rb") as written:
                if written.read() != content:
                    raise OSError("what was read back differs from what was written")
            os.chmod(temporary, mode)
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _not_written(path: Path, needed: int, err: OSError) -> OSError:
    """The error with how much space was needed, and how much there is."""
    free = ""
    with contextlib.suppress(OSError):
        free = f", and {_megabytes(shutil.disk_usage(path.absolute().parent).free)} are free there"
    reason = err.strerror or str(err)
    told = OSError(
        f"{path} was not written: {reason}; it needs {_megabytes(needed)}{free}; free some space and try again"
    )
    told.errno = err.errno
    return told


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _in_use(file: BinaryIO) -> bool:
    """Mark an open file as being written, until it is closed; False where that is not possible."""
    try:
        import fcntl
    except ImportError:  # Windows, where a file that is open cannot be removed
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process has marked it, or the file system has no locks
        return False
    return True


def _sweep(path: Path) -> None:
    """Remove what processes left that were killed while they wrote this file."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{8 * '?'}{PARTIAL}"):
        with contextlib.suppress(OSError), open(left, "rb") as file:
            if _in_use(file):
                left.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
