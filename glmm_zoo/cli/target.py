"""The file that a fit is written to, whose name is checked before sampling."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from glmm_zoo.errors import InputError


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
