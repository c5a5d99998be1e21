"""`glmm-zoo loo`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from glmm_zoo.cli.arguments import Flag, TableFormat
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import computing, print_for_programs, print_rich, table_for_people
from glmm_zoo.errors import InputError

_MOST_ROWS = 30


def loo(
    file: str,
    /,
    *others: str,
    level: str | None = None,
    refit: Flag = False,
    workers: str | None = None,
    format: TableFormat = "table",
) -> int:
    """Leave one row, or one level of a factor, out: how well new ones are predicted. Several fits are compared.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    others
        Further fits of the same data, to compare with it.
    level
        The grouping factor whose levels are left out, such as herd; without it each row is.
    refit
        Fit again without each level whose Pareto k is above 0.7; of one file only.
    workers
        How many processes of this machine fit again at a time, or the address of a scheduler of dask.distributed.
    format
        table for people; csv or json, in full precision, for programs.

    Examples
    --------
    glmm-zoo loo fits/multicenter.nc --level herd
    """
    from glmm_zoo.results import storage

    if refit and others:
        raise InputError("--refit is for one file; leave it out to compare several")
    if others:
        from glmm_zoo.estimands.loo_comparison import loo_compare

        names = _names([file, *others])
        trees = {name: storage.load(f) for name, f in zip(names, [file, *others], strict=True)}
        with computing():
            table = loo_compare(trees, level=level)
        if format != "table":
            print_for_programs(table, format, labels=True)
        else:
            print_rich(*table_for_people(table.rename_axis("fit").reset_index(), table.attrs["sentence"]))
        return ExitCode.DONE
    from glmm_zoo.refits.leave_one_out import loo as leave_one_out
    from glmm_zoo.refits.spread import workers_as_typed

    tree = storage.load(file)
    with computing():
        found = leave_one_out(tree, level=level, refit=refit, workers=workers_as_typed(workers))
    if format != "table":
        print_for_programs(found.table, format, labels=False)
        return ExitCode.DONE
    several = len(found.table) > _MOST_ROWS
    shown = found.table.nlargest(10, "pareto_k") if several else found.table
    numbers = found.numbers + ("; the ten with the largest Pareto k:" if several else "")
    print_rich(*table_for_people(shown, found.sentence, numbers))
    return ExitCode.DONE


def _names(files: Sequence[str]) -> list[str]:
    """What the fits are called: their files' names without ending, or as they were given where two have one name."""
    stems = [Path(f).stem for f in files]
    names = stems if len(set(stems)) == len(stems) else list(files)
    if len(set(names)) < len(names):
        raise InputError(f"one file is given twice ({files[0]!r}); give each fit once")
    return names
