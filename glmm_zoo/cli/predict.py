"""`glmm-zoo predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmm_zoo.cli.arguments import Count, Reading, Repeated, TableFormat
from glmm_zoo.cli.asking import numbers
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import print_for_programs, print_rich
from glmm_zoo.errors import InputError
from glmm_zoo.results.numbers import nominal
from glmm_zoo.tables.memory import check_limit

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def predict(
    file: str,
    /,
    *,
    landmark: float,
    times: str,
    id: Repeated = None,
    data: str | None = None,
    survival: str | None = None,
    prob: float = 0.95,
    draws: Count = 400,
    seed: Count = 0,
    format: TableFormat = "table",
    reading: Reading | None = None,
) -> int:
    """Predict survival and marker of subjects from their history up to a time: dynamic prediction of a joint model.

    Parameters
    ----------
    file
        A NetCDF file that `fit jm` wrote.
    landmark
        The time up to which the history is known, free of the event.
    times
        Increasing times, separated by commas: 6,8,10.
    id
        Whose prediction; may be repeated. By default all who were followed at the landmark.
    data
        Visits of new subjects, a file as for `fit`; without it the subjects of the fit.
    survival
        One row for each new subject, with the covariates of the event.
    prob
        Probability inside the intervals.
    draws
        Draws from the posterior.
    seed
        The same seed gives the same numbers.
    format
        table for people; csv or json, in full precision and with all intervals, for programs.
    reading
        How the files are read.

    Examples
    --------
    glmm-zoo fit pbc --seed 1
    glmm-zoo predict fits/pbc.nc --landmark 5 --times 7,10 --id 2
    """
    from glmm_zoo.results import storage

    prediction_times = numbers(times, "times", "6,8,10") or []
    if data is None and survival is not None:
        raise InputError(f"--survival {survival!r} goes with --data; give both, or neither for the subjects of the fit")
    check_limit()
    tree = storage.load(file)
    tables = (reading or Reading()).tables([data, survival])
    from glmm_zoo.joint.prediction.dynamic import dynamic_prediction, prediction_table

    predicted = dynamic_prediction(
        tree, *tables, landmark=landmark, times=prediction_times, ids=id, prob=prob, draws=draws, seed=seed
    )
    table = prediction_table(predicted)
    if format == "table":
        print_rich(*_for_people(predicted, table))
    else:
        print_for_programs(table, format, labels=False)
    return ExitCode.DONE


def _for_people(predicted: xr.Dataset, table: pd.DataFrame) -> list[Any]:
    """The prediction as a table, without medians, intervals of probabilities and columns said twice."""
    from rich.table import Table
    from rich.text import Text

    from glmm_zoo.results.report.wording import rows_as_text

    landmark, prob = predicted.landmark.values[0], predicted.attrs["prob"]
    shown = Table(box=None, pad_edge=False, title_justify="left", title_style="bold")
    shown.title = f"probability of no event until a time, and the marker then, given the history up to {landmark:g}"
    left_out = {"median", "probability_lower", "probability_upper"}
    # the mean of the response is the marker itself where the link is the identity
    left_out |= {
        c for c in table if c.startswith("response") and table[c].equals(table[c.replace("response", "marker", 1)])
    }
    columns = [c for c in table if c not in left_out]
    for column in columns:
        shown.add_column(Text(column), justify="left" if column == "id" else "right")
    for row in rows_as_text(table[columns].astype({"id": str, "time": str})):
        shown.add_row(*map(Text, row))
    notes = [Text(predicted.attrs["note"])] if predicted.attrs["note"] else []
    return [
        shown,
        *notes,
        Text(f"lower and upper: {nominal(prob)} of subjects with this history and these covariates", style="dim"),
    ]
