"""`glmm-zoo summary`."""

from __future__ import annotations

from glmm_zoo.cli.arguments import Flag, TableFormat
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import computing, print_for_programs, print_rich


def summary(
    file: str,
    /,
    *,
    prob: float = 0.95,
    group_effects: Flag = False,
    format: TableFormat = "table",
) -> int:
    """Print the estimates of a fit.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    prob
        Probability inside the intervals.
    group_effects
        Also every group effect.
    format
        table for people; csv or json, in full precision, for programs.

    Examples
    --------
    glmm-zoo summary fits/multicenter.nc --group-effects
    """
    from glmm_zoo.report.terminal import summary_tables
    from glmm_zoo.results import storage
    from glmm_zoo.results import summary as estimates

    tree = storage.load(file)
    table = estimates.summary(tree, prob=prob, group_effects=group_effects)
    if format == "table":
        with computing():
            lines = summary_tables(tree, table, prob)
        print_rich(*lines)
    else:
        print_for_programs(table, format, labels=True)
    return ExitCode.DONE
