"""`glmm-zoo report`."""

from __future__ import annotations

from pathlib import Path

from glmm_zoo.cli.arguments import Flag
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import computing, print_rich
from glmm_zoo.tables.memory import check_limit


def report(
    file: str,
    /,
    *,
    out: str | None = None,
    prob: float = 0.95,
    about: str | None = None,
    overwrite: Flag = False,
) -> int:
    """Write the report of a fit as one HTML file.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    out
        The HTML file to write; by default beside the fit.
    prob
        Probability inside the intervals.
    about
        A .toml file of what is said of the fit in words, for this report; by default what the fit's file says.
    overwrite
        Replace an existing file.

    Examples
    --------
    glmm-zoo report fits/multicenter.nc
    """
    from glmm_zoo.report.page import write_report
    from glmm_zoo.results import storage

    check_limit()
    tree = storage.load(file)
    with computing():
        written = write_report(
            tree, out or Path(file).with_suffix(".html"), prob=prob, about=about, overwrite=overwrite
        )
    print_rich(f"saved {written}")
    return ExitCode.DONE
