"""`glmm-zoo comparisons`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from glmm_zoo.cli.arguments import Reading
from glmm_zoo.cli.asking import Answer, Asking, Hyphened, answer_with, contrasts, region, words


def comparisons(
    file: str,
    variables: str,
    data: str | None = None,
    /,
    *,
    contrast: Annotated[
        list[str] | None, Parameter(consume_multiple=False, negative="", allow_leading_hyphen=True)
    ] = None,
    measures: str | None = None,
    rope: Hyphened = None,
    horizon: float | None = None,
    asking: Asking | None = None,
    answer: Answer | None = None,
    reading: Reading | None = None,
) -> int:
    """Compare what is expected if a variable changes: risk differences, ratios, odds ratios, numbers needed to treat.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    variables
        A column, "treat", with its values "age=40,60", or several that change together, "treat;age=40,60".
    data
        A file with rows to average over, as for `fit`; by default the rows of the fit.
    contrast
        reference, pairwise, sequential, a number to add, or "b vs a"; VARIABLE=VALUE for one of several variables.
    measures
        Among difference, ratio, odds_ratio, nnt, better, rmst, separated by commas; by default all that the scale has.
    rope
        A region of practical equivalence, LOW,HIGH; by measure "difference=-0.01,0.01;ratio=0.9,1.1".
    horizon
        Of --scale survival: up to when the restricted mean survival time is; by default the last of --times.
    asking
        Whose groups, which rows, averaged how.
    answer
        Where the answer goes.
    reading
        How the file is read.

    Examples
    --------
    glmm-zoo comparisons fits/multicenter.nc period --contrast "4 vs 1" --measures difference
    """
    from glmm_zoo.estimands import comparisons as estimands

    arguments = (asking or Asking()).arguments()
    arguments |= {
        "contrast": contrasts(contrast),
        "measures": words(measures),
        "rope": region(rope),
        "horizon": horizon,
    }
    names = _variables(variables)
    return answer_with(
        lambda tree, rows: estimands.comparisons(tree, names, rows, **arguments), file, answer, data, reading
    )


def _variables(text: str) -> list[str]:
    """ "treat;age=40,60", or names separated by commas where no values are given."""
    separator = ";" if ";" in text or "=" in text else ","
    return [name.strip() for name in text.split(separator)]
