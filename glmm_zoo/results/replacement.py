"""A file is replaced whole or not at all, and what killed processes left of earlier tries goes."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"  # how the name of a file ends that is being written


_AT_ONCE = 2**20  # bytes read together


def digest(content: bytes | memoryview) -> bytes:
    """What stands behind the end of a file of this content."""
    return _told(hashlib.sha256(content))


def _told(sha: hashlib._Hash) -> bytes:
    return b"glmm_zoo sha256 " + sha.hexdigest().encode()


def without_digest(content: bytes) -> bytes | None:
    """The content before its digest; None where that is missing or of other content, as in a file that was cut off."""
    length = len(digest(b""))
    body = content[:-length]
    return body if content[-length:] == digest(body) else None


def matches_digest(path: Path) -> bool | None:
    """Whether a file is as it was written; None of one without digest, such as one that another program wrote."""
    length = len(digest(b""))
    with path.open("rb") as file:
        left = file.seek(0, os.SEEK_END) - length
        file.seek(max(left, 0))
        told = file.read()
        if left < 0 or not told.startswith(b"glmm_zoo sha256 "):
            return None
        sha = hashlib.sha256()
        file.seek(0)
        while left:
            part = file.read(min(left, _AT_ONCE))
            sha.update(part)
            left -= len(part)
        return told == _told(sha)


def replace_file(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file of these parts whole, or leave what was there.

    The content goes to a hidden file in the same folder, is synced and read back, and then gets the name `path`. A file that
    is replaced keeps its mode, and a symbolic link to it stays one.

    Raises
    ------
    OSError
        A full disk, with how much was needed.
    """
    try:
        _replace(Path(os.path.realpath(path)), lambda file: file.writelines(parts), lambda there: _holds(there, parts))
    except OSError as err:
        raise _not_written(path, sum(map(len, parts)), err) from None


def replace_file_by(path: Path, write: Callable[[BinaryIO], None], size: int) -> None:
    """Write a file by `write`, which takes an open one, and its digest behind that; or leave what was there.

    As `replace_file`, but the content, of about `size` bytes, is not in memory as a whole: what is read back from the disk is compared with
    the digest of what was written.

    Raises
    ------
    OSError
        A full disk, with how much was needed.
    """

    def write_with_digest(file: BinaryIO) -> None:
        nonlocal size
        write(file)
        file.seek(0)
        sha = hashlib.sha256()
        while part := file.read(_AT_ONCE):
            sha.update(part)
        file.write(_told(sha))
        size = file.tell()

    try:
        _replace(Path(os.path.realpath(path)), write_with_digest, lambda there: matches_digest(Path(there)) is True)
    except OSError as err:
        raise _not_written(path, size, err) from None


def _replace(path: Path, write: Callable[[BinaryIO], None], holds: Callable[[str], bool]) -> None:
    """Make a file by `write`, and give it its name if it `holds` what was written."""
    _sweep(path)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PARTIAL, dir=path.parent)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            _in_use(file)
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if not holds(temporary):
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


def _holds(path: str, parts: Sequence[bytes | memoryview]) -> bool:
    """Whether a file is these parts and nothing else."""
    with open(path, "rb") as file:
        same = all(
            file.read(len(piece)) == piece
            for part in parts
            for start in range(0, len(part), _AT_ONCE)
            for piece in [part[start : start + _AT_ONCE]]
        )
        return same and not file.read(1)


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
