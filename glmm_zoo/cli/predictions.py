"""`glmm-zoo predictions`."""

from __future__ import annotations

from glmm_zoo.cli.arguments import Reading
from glmm_zoo.cli.asking import Answer, Asking
from glmm_zoo.cli.exit_codes import ExitCode


def predictions(
    file: str,
    data: str | None = None,
    /,
    *,
    asking: Asking | None = None,
    answer: Answer | None = None,
    reading: Reading | None = None,
) -> int:
    """Predict rows, or averages of them: adjusted means, risks of a population of groups, new patients.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    data
        A file with the rows to predict, as for `fit`; by default the rows of the fit.
    asking
        Whose groups, which rows, averaged how.
    answer
        Where the answer goes.
    reading
        How the file is read.
    """
    from glmm_zoo.estimands import predictions as estimands
    from glmm_zoo.results import storage

    arguments, answer = (asking or Asking()).arguments(), answer or Answer()
    answer.check()
    tree, (rows,) = storage.load(file), (reading or Reading()).tables([data])
    answer.give(estimands.predictions(tree, rows, **arguments), tree, file)
    return ExitCode.DONE
