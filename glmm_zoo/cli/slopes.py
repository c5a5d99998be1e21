"""`glmm-zoo slopes`."""

from __future__ import annotations

from glmm_zoo.cli.arguments import Reading
from glmm_zoo.cli.asking import Answer, Asking, Hyphened, region, words
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import progress_bar


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
    """
    from glmm_zoo.estimands import slopes as estimands
    from glmm_zoo.estimands.progress import told_to
    from glmm_zoo.results import storage

    arguments, answer = (asking or Asking()).arguments(), answer or Answer()
    answer.check()
    tree, (rows,) = storage.load(file), (reading or Reading()).tables([data])
    with progress_bar() as listener, told_to(listener):
        estimates = estimands.slopes(tree, words(variables), rows, rope=region(rope), **arguments)
    answer.give(estimates, tree, file)
    return ExitCode.DONE
