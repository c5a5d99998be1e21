"""`glmm-zoo plot`."""

from __future__ import annotations

from pathlib import Path

from glmm_zoo.cli.arguments import Flag
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import print_rich
from glmm_zoo.tables.memory import check_limit


def plot(
    file: str, figure: str, /, *, out: str | None = None, prob: float = 0.95, width: int = 720, overwrite: Flag = False
) -> int:  # fmt: skip
    """Draw a figure of a fit's report to a file; a wrong FIGURE is answered with those that the fit has.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    figure
        forest, curves, caterpillar, ...
    out
        The file to write, .svg, .png or .pdf; by default FILE-FIGURE.svg beside the fit.
    prob
        Probability inside the intervals of estimates.
    width
        In pixels: 720 as on the page, 343 as on a telephone.
    overwrite
        Replace an existing file.

    Examples
    --------
    glmm-zoo plot fits/multicenter.nc caterpillar --out herds.svg
    """
    from glmm_zoo.report.catalogue import picture_of
    from glmm_zoo.results import storage
    from glmm_zoo.results.figures.picture import check_picture_file, check_width

    check_limit()
    check_width(width)
    source = Path(file)
    target = Path(out) if out is not None else source.with_name(f"{source.stem}-{figure.replace(':', '_')}.svg")
    check_picture_file(target, overwrite=overwrite)
    picture = picture_of(storage.load(file), figure, prob=prob)
    written = picture.save(target, width=width, overwrite=overwrite)
    print_rich(picture.alt, f"saved {written}")
    return ExitCode.DONE
