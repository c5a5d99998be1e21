"""A fit locks the file that it is for until that is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from glmm_zoo.errors import InputError
from glmm_zoo.inference import interrupts


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Refuse a second fit that would write the same file, as long as this one runs; the target's folder is made.

    The lock of a process that has died does not count. The files of the lock, and a folder that was made and is still empty, are
    removed in the end.

    Raises
    ------
    InputError
        Another process holds the lock.
    """
    from filelock import FileLock, Timeout

    lock_file = target.with_name(f".{target.name}.lock")
    owner_file = target.with_name(f".{target.name}.pid")
    with contextlib.ExitStack() as undone:
        with interrupts.held():
            undone.enter_context(_made(target.parent))
            lock = FileLock(lock_file, timeout=0)
            try:
                lock.acquire()
            except Timeout:
                raise InputError(
                    f"another fit (pid {_owner(owner_file)}) is writing {target}; wait for it, or give another file"
                ) from None
            undone.callback(lock.release)
            undone.enter_context(interrupts.removed_in_the_end(lock_file, owner_file))
            with contextlib.suppress(OSError):  # a full disk
                owner_file.write_text(str(os.getpid()))
        yield


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder that is made where it is not there, and removed in the end if it is empty."""
    try:
        folder.mkdir()
    except FileExistsError:
        yield
        return
    with interrupts.removed_in_the_end(folder):
        yield


def _owner(file: Path) -> str:
    try:
        return file.read_text() or "unknown"
    except OSError:
        return "unknown"
