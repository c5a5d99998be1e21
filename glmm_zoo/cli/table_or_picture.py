"""The file that a table, or the picture of it, is written to: the ending says which."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from glmm_zoo.errors import InputError, listing

if TYPE_CHECKING:
    import pandas as pd

    from glmm_zoo.results.figures.picture import Picture


def check_table_or_picture(path: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """The path, when a table (.csv) or a picture can be written there.

    Raises
    ------
    InputError
        Another ending, or a file that cannot be written.
    """
    from glmm_zoo.results.figures.picture import ENDINGS
    from glmm_zoo.results.storage import check_target

    if Path(path).suffix.lower() not in (".csv", *ENDINGS):
        raise InputError(
            f"out: {str(path)!r} should end in .csv for the table, or in one of {listing(ENDINGS)} for the picture"
        )
    return check_target(path, overwrite=overwrite)


def write_table_or_picture(path: Path, table: pd.DataFrame, picture: Picture) -> None:
    """Write the one that the ending of a path that was checked says, in place of an older file."""
    from glmm_zoo.results.replacement import replace_file

    if path.suffix.lower() == ".csv":
        replace_file(path, table.to_csv(index=False).encode())
    else:
        picture.save(path, overwrite=True)
