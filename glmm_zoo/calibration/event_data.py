"""Times to events in a table: those drawn from a model take the place of those observed, with the follow-up of the design.

Who had no event is followed until then again; who had one, whose follow-up no table tells, until the last time in the data. Where nobody
is censored, nobody is in the data that are drawn.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from glmm_zoo.errors import InputError
from glmm_zoo.families.event_times import RowsFollowed
from glmm_zoo.formulas.terms import StatusTest, Surv

_DRAWN_KINDS = ("right", "counting")
_WITHOUT_DATA = ("exponential",)  # baselines of which nothing is learnt from times


def refuse_times(surv: Surv, learnt: dict) -> None:
    """Raise an InputError for events whose times cannot be drawn into a table, or whose model depends on the times themselves."""
    if surv.kind not in _DRAWN_KINDS:
        raise InputError(
            "calibration draws times, not the intervals in which they are seen; calibrate the model with Surv(time, event)"
        )
    if "causes" in learnt:
        raise InputError("calibration draws no causes of events yet; calibrate the model of each cause alone")
    if "distribution" not in learnt and learnt["baseline"] not in _WITHOUT_DATA:
        raise InputError(
            f"the parameters of baseline={learnt['baseline']!r} stand for hazards around the times observed, so that a truth drawn before them is of "
            "another model; calibrate distribution='weibull' (or another) or baseline='exponential'"
        )
    if len(surv.times[-1].columns) != 1 or surv.times[-1].kind != "column":
        raise InputError(
            f"calibration writes times into a column, and {surv.times[-1].text!r} is none; make the column first"
        )
    if surv.event is not None and not isinstance(surv.event, StatusTest) and surv.event.kind != "column":
        raise InputError(
            f"calibration writes events into a column, and {surv.event.text!r} is none; make the column first"
        )


def write_times(table: pd.DataFrame, surv: Surv, followed: RowsFollowed, drawn: np.ndarray) -> None:
    """Put times (n,) drawn from a model, and whether they are seen, into the columns that Surv() names."""
    came = followed.status > 0
    until = np.where(came, followed.stop.max() if not came.all() else np.inf, followed.stop)
    table[surv.times[-1].columns[0]] = np.minimum(drawn, until)
    if surv.event is None or came.all():
        return
    column = surv.event.columns[0]
    event, censored = table[column][came].iloc[0], table[column][~came].iloc[0]
    written = pd.Series(np.where(drawn <= until, event, censored), table.index)
    table[column] = written.astype(table[column].dtype)
