"""`glmm-zoo qualify`."""

from __future__ import annotations

from pathlib import Path

from glmm_zoo.cli.arguments import Flag, Repeated, TableFormat
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import computing, print_for_programs, print_rich, table_for_people


def qualify(
    *,
    out: str = "dossier",
    case: Repeated = None,
    overwrite: Flag = False,
    format: TableFormat = "table",
) -> int:
    """Check this installation and its numbers, minutes long, and write a page and a file for programs.

    Parameters
    ----------
    out
        The folder that gets qualification.html and qualification.json.
    case
        A TOML file with a model, data and numbers that are expected; may be repeated.
    overwrite
        Replace what an earlier qualification left there.
    format
        table for people, of what failed; csv or json of all checks, for programs.

    Examples
    --------
    glmm-zoo qualify --case case.toml
    """
    from glmm_zoo.qualification.qualify import PAGE
    from glmm_zoo.qualification.qualify import qualify as qualify_installation

    with computing():
        found = qualify_installation(out, case or (), overwrite=overwrite)
    failed = found.table[found.table["state"] == "failed"]
    if format != "table":
        print_for_programs(found.table, format, labels=False)
    elif found.passed:
        print_rich(found.sentence, f"page: {Path(out) / PAGE}")
    else:
        print_rich(*table_for_people(failed.drop(columns="state"), found.sentence), f"page: {Path(out) / PAGE}")
    return ExitCode.DONE if found.passed else ExitCode.UNSOUND
