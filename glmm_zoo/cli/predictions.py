"""`glmm-zoo predictions`."""

from __future__ import annotations

from glmm_zoo.cli.arguments import Reading, Repeated
from glmm_zoo.cli.asking import Answer, Asking, answer_with
from glmm_zoo.cli.predict import predict
from glmm_zoo.errors import InputError


def predictions(
    file: str,
    data: str | None = None,
    /,
    *,
    landmark: float | None = None,
    id: Repeated = None,
    survival: str | None = None,
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
    landmark
        Of a joint survival model: predict subjects from their history up to this time, at --times, as `predict` does.
    id
        With --landmark, whose prediction; may be repeated.
    survival
        With --landmark and a file of visits, the file with the covariates of the event.
    asking
        Whose groups, which rows, averaged how.
    answer
        Where the answer goes.
    reading
        How the file is read.

    Examples
    --------
    glmm-zoo predictions fits/multicenter.nc --by period
    """
    from glmm_zoo.estimands import predictions as estimands

    asking, answer = asking or Asking(), answer or Answer()
    if landmark is not None:
        if asking.times is None:
            raise InputError("--landmark goes with --times, until when survival is predicted, such as --times 6,8,10")
        return predict(
            file, landmark=landmark, times=asking.times, id=id, data=data, survival=survival, prob=asking.prob,
            draws=asking.draws, seed=asking.seed, format=answer.format, reading=reading,
        )  # fmt: skip
    if id is not None or survival is not None:
        raise InputError("--id and --survival go with --landmark, the time up to which the history is known")
    arguments = asking.arguments()
    return answer_with(lambda tree, rows: estimands.predictions(tree, rows, **arguments), file, answer, data, reading)
