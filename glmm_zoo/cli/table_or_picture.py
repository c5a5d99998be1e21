"""The file that a table, or the picture of it, is written to: the ending says which."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmm_zoo.cli.arguments import TableFormat
from glmm_zoo.cli.terminal import print_for_programs, print_rich
from glmm_zoo.errors import InputError, listing

if TYPE_CHECKING:
    from glmm_zoo.estimands.prior_predictive import PriorPredictive
    from glmm_zoo.estimands.sensitivity import Sensitivity

    type Told = PriorPredictive | Sensitivity


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


def print_and_write(found: Told, for_people: Iterable[Any], form: TableFormat, path: Path | None) -> None:
    """Print what was found, for people or for programs, and write the table or the picture that the ending of a path that was checked
    says, in place of an older file."""
    from glmm_zoo.results.replacement import replace_file

    if form == "table":
        print_rich(*for_people)
    else:
        print_for_programs(found.table, form, labels=False)
    if path is None:
        return
    if path.suffix.lower() == ".csv":
        replace_file(path, found.table.to_csv(index=False).encode())
    else:
        found.picture.save(path, overwrite=True)
    if form == "table":
        print_rich(f"saved {path}")
