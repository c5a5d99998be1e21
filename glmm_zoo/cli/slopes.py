"""`glmm-zoo slopes`."""

from __future__ import annotations

from glmm_zoo.cli.arguments import Reading
from glmm_zoo.cli.asking import Answer, Asking, Hyphened, answer_with, region, words


def slopes(
    file: str,
    variables: str,
    data: str | None = None,
    /,
    *,
    rope: Hyphened = None,
    asking: Asking | None = None,
    answer: Answer | None = None,
    reading: Reading | None = None,
) -> int:
    """Say how fast what is expected changes with a number, in the average over rows.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    variables
        Numeric columns, separated by commas.
    data
        A file with rows to average over, as for `fit`; by default the rows of the fit.
    rope
        A region of practical equivalence, LOW,HIGH.
    asking
        Whose groups, which rows, averaged how.
    answer
        Where the answer goes.
    reading
        How the file is read.

    Examples
    --------
    glmm-zoo fit longitudinal_logistic --seed 1
    glmm-zoo slopes fits/longitudinal_logistic.nc time --by treatment
    """
    from glmm_zoo.estimands import slopes as estimands

    arguments = {**(asking or Asking()).arguments(), "rope": region(rope)}
    names = words(variables)
    return answer_with(lambda tree, rows: estimands.slopes(tree, names, rows, **arguments), file, answer, data, reading)
