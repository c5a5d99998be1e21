"""`glmm-zoo simulate`."""

from __future__ import annotations

from glmm_zoo.cli.arguments import Count, TableFormat
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import computing, print_for_programs, print_rich, table_for_people


def simulate(
    study: str,
    /,
    *,
    n: Count = 200,
    workers: str | None = None,
    format: TableFormat = "table",
    out: str | None = None,
) -> int:
    """Bias, coverage, interval width, power and type-I error of a design and its analysis, by simulation.

    Parameters
    ----------
    study
        A TOML file: the model, the table or design, the true values, and what is decided on.
    n
        How many data sets under each truth.
    workers
        How many processes of this machine fit at a time, or the address of a scheduler of dask.distributed.
    format
        table for people; csv or json, in full precision, for programs.
    out
        A folder that gets a line for each data set as it ends, and from which the same command goes on.

    Examples
    --------
    glmm-zoo simulate study.toml --n 20 --out study
    """
    from glmm_zoo.calibration.operating import simulate as simulate_study
    from glmm_zoo.refits.spread import workers_as_typed

    with computing():
        found = simulate_study(study, n, folder=out, workers=workers_as_typed(workers))
    if format != "table":
        print_for_programs(found.table, format, labels=True)
    else:
        print_rich(*table_for_people(found.table.reset_index(), found.sentence))
    return ExitCode.DONE
