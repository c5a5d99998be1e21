"""`glmm-zoo replay`."""

from __future__ import annotations

from glmm_zoo.cli.arguments import TableFormat
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import print_for_programs, print_rich, table_for_people


def replay(file: str, /, *, format: TableFormat = "table") -> int:
    """Fit again by what a fit's file says, and tell whether the bits agree, or how far the posteriors lie apart.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    format
        table for people; csv or json, in full precision, for programs.

    Examples
    --------
    glmm-zoo replay fits/multicenter.nc
    """
    from glmm_zoo.refits.replay import replay as replay_of
    from glmm_zoo.results import storage

    found = replay_of(storage.load(file))
    if format != "table":
        print_for_programs(found.table, format, labels=True)
    elif found.exact:
        print_rich(found.sentence)
    else:
        print_rich(*table_for_people(found.table.reset_index(), found.sentence))
    return ExitCode.DONE if found.agrees else ExitCode.UNSOUND
