"""`glmm-zoo sensitivity`."""

from __future__ import annotations

from glmm_zoo.cli.arguments import Flag, TableFormat, probability_problems
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.table_or_picture import check_table_or_picture, print_and_write
from glmm_zoo.cli.terminal import computing, table_for_people
from glmm_zoo.errors import raise_all


def sensitivity(
    file: str,
    /,
    *targets: str,
    refit: Flag = False,
    prob: float = 0.95,
    format: TableFormat = "table",
    out: str | None = None,
    overwrite: Flag = False,
) -> int:
    """Say how much each parameter, and the answer of the fit, depends on the priors.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    targets
        Parameters, such as beta or "beta[age]"; by default all that have a prior.
    refit
        Also fit again with the scales of all priors halved, and doubled.
    prob
        Probability inside the intervals.
    format
        table for people; csv or json, in full precision, for programs.
    out
        Also write the whole table (.csv), or the picture (.svg, .png or .pdf).
    overwrite
        Replace an existing file.

    Examples
    --------
    glmm-zoo sensitivity fits/multicenter.nc
    """
    from glmm_zoo.refits.sensitivity import sensitivity as sensitivity_of
    from glmm_zoo.results import storage

    raise_all(probability_problems("prob", prob))
    target = None if out is None else check_table_or_picture(out, overwrite=overwrite)
    tree = storage.load(file)
    with computing():
        found = sensitivity_of(tree, targets or None, refit=refit, prob=prob)
    print_and_write(found, table_for_people(found.shown(), *found.sentences), format, target)
    return ExitCode.DONE
