"""The file that a fit is written to: its name is checked before sampling, and it is locked until it is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from glmm_zoo.errors import InputError
from glmm_zoo.inference import interrupts


def check_fit_file(out: str | None, model: str, data_files: Sequence[str | None], overwrite: bool) -> Path:
    """The file that the fit of this model goes to, fits/MODEL.nc where `out` is not given; `locked` makes that folder.

    Raises
    ------
    InputError
        A name that does not end in .nc or is too long, one of the data files, an existing file, a folder that cannot be
        written to.
    """
    from glmm_zoo.results import storage

    target = Path("fits") / f"{model}.nc" if out is None else Path(out)
    if target.suffix != ".nc":
        raise InputError(f"out: {out!r} should end in .nc; the fit is a NetCDF file")
    spare = len(partial_file(target).name) - len(target.name)
    if out is None:
        if os.path.exists(target) and not overwrite:
            raise InputError(
                f"out: {str(target)!r} exists; use --overwrite to replace it (make fit ... ARGS=--overwrite), or --out"
            )
        if not os.path.lexists(target.parent):  # the folder above it must do
            storage.check_target(Path(target.name), overwrite=True, spare=spare)
            return target
    elif any(f is not None and _same_file(target, f) for f in data_files):
        raise InputError(f"out: {out!r} is the data file; give another name")
    return storage.check_target(target, overwrite=overwrite, spare=spare)


def partial_file(target: Path) -> Path:
    """Where the draws go that were made when sampling was interrupted."""
    return target.with_suffix(".partial.nc")


def _same_file(one: Path, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there
        return False


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Refuse a second fit that would write the same file, as long as this one runs; the target's folder is made.

    The files of the lock, and a folder that was made and is still empty, are removed in the end.

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
                    f"another fit (pid {_owner(owner_file)}) is writing {target}; wait for it, or give another --out"
                ) from None
            undone.callback(lock.release)
            undone.enter_context(interrupts.removed_in_the_end(lock_file, owner_file))
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
