"""`glmm-zoo fit-many`."""

from __future__ import annotations

from glmm_zoo.cli.arguments import TableFormat
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import computing, print_for_programs, print_rich, say, table_for_people
from glmm_zoo.inference import interrupts


def fit_many(
    manifest: str,
    /,
    *,
    out: str = "fits",
    workers: str | None = None,
    format: TableFormat = "table",
) -> int:
    """Make the fits of a manifest, each in a file of its own, and print what came of each.

    Parameters
    ----------
    manifest
        A TOML file: [all], what holds for every fit, and [[fits]] with a name, data, formula, options and priors.
    out
        The folder that gets NAME.nc of each; a fit that is there is not made again, and one that was interrupted goes on.
    workers
        How many processes of this machine fit at a time, or the address of a scheduler of dask.distributed.
    format
        table for people; csv or json, in full precision, for programs.

    Examples
    --------
    glmm-zoo fit-many manifest.toml
    """
    from glmm_zoo.refits.many import FAILED
    from glmm_zoo.refits.many import fit_many as make_fits
    from glmm_zoo.refits.spread import workers_as_typed

    interrupts.nothing_to_lose(f"the fits that are complete are in {out}, and the same command goes on")
    with computing():
        table = make_fits(manifest, folder=out, workers=workers_as_typed(workers))
    failed = table["sampling"] == FAILED
    for name, why in table.loc[failed, "says"].items():
        say(f"error: {name}: {why}")
    if format != "table":
        print_for_programs(table, format, labels=True)
    else:
        print_rich(*table_for_people(table.reset_index()), f"saved in {out}")
    if failed.any():
        return ExitCode.FAILED
    return ExitCode.DONE if (table["sampling"] != "unsound").all() else ExitCode.UNSOUND
