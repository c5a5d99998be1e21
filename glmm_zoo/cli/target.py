"""The file that a fit is written to: its name is checked before sampling, and it is locked until it is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from glmm_zoo.errors import InputError


def check_fit_file(out: str | None, model: str, data_files: Sequence[str | None], overwrite: bool) -> Path:
    """The file that the fit of this model goes to, fits/MODEL.nc where `out` is not given; makes the folder `fits`.

    Raises
    ------
    InputError
        A name that does not end in .nc, one of the data files, an existing file, a folder that cannot be written to.
    """
    from glmm_zoo.results import storage

    if out is None:
        target = Path("fits") / f"{model}.nc"
        if target.exists() and not overwrite:
            raise InputError(
                f"out: {str(target)!r} exists; use --overwrite to replace it (make fit ... ARGS=--overwrite), or --out"
            )
        if not target.parent.exists():
            target.parent.mkdir()
        return storage.check_target(target, overwrite=overwrite)
    target = Path(out)
    if target.suffix != ".nc":
        raise InputError(f"out: {out!r} should end in .nc; the fit is a NetCDF file")
    if any(f is not None and target.exists() and Path(f).exists() and target.samefile(f) for f in data_files):
        raise InputError(f"out: {out!r} is the data file; give another name")
    return storage.check_target(target, overwrite=overwrite)


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Refuse a second fit that would write the same file, as long as this one runs.

    Raises
    ------
    InputError
        Another process holds the lock.
    """
    from filelock import FileLock, Timeout

    lock_file = target.with_name(f".{target.name}.lock")
    owner_file = target.with_name(f".{target.name}.pid")
    lock = FileLock(lock_file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        owner = owner_file.read_text() if owner_file.exists() else "unknown"
        raise InputError(f"another fit (pid {owner}) is writing {target}; wait for it, or give another --out") from None
    try:
        owner_file.write_text(str(os.getpid()))
        yield
    finally:
        owner_file.unlink(missing_ok=True)
        lock.release()
        lock_file.unlink(missing_ok=True)
