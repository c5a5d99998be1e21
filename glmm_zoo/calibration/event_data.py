"""Times to events in a table: those drawn from a model take the place of those observed, with the follow-up of the design.

Who had no event is followed until then again; who had one, whose follow-up no table tells, until the last time in the data. Where nobody
is censored, nobody is in the data that are drawn. Where a table tells between which times an event came, or that it came before or
after one, these are the times at which the row is looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.calibration.at_truth import values_at_truth
from glmm_zoo.errors import InputError
from glmm_zoo.families.causes import own_of_cause
from glmm_zoo.families.event_status import event_text
from glmm_zoo.families.event_times import RowsFollowed
from glmm_zoo.families.registry import family_of_fit
from glmm_zoo.formulas.terms import StatusTest, Surv

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

_CODED = ("interval", "left")  # kinds whose event is R's code of censoring


def refuse_times(surv: Surv) -> None:
    """Raise an InputError for events whose times cannot be drawn into a table."""
    for times in surv.times:
        if times.kind != "column":
            raise InputError(
                f"calibration writes times into columns, and {times.text!r} is none; make the column first"
            )
    event = surv.event
    if event is None:
        return
    plain = not isinstance(event, StatusTest) and event.kind == "column"
    if not plain if surv.kind in _CODED else len(event.columns) != 1:
        raise InputError(
            f"calibration writes events into a column, and {event_text(event)!r} is none; make the column first"
        )


def learnt_before(learnt: Mapping[str, Any]) -> dict[str, Any]:
    """The option with which a builder takes what was learnt of a baseline from other times, which the parameters drawn are of."""
    return {"cuts": dict(learnt)} if "baseline" in learnt else {}


def seen(surv: Surv, was: RowsFollowed, times: np.ndarray, causes: np.ndarray) -> RowsFollowed:
    """What is seen of events at `times` (n,), of `causes` (n,) from 1, of rows that are followed as those in the data were."""
    came, before, after = was.status > 0, times <= was.left, times > was.stop
    looked_at = was.interval | (~came & (surv.kind in ("interval", "interval2")))
    if surv.kind == "left":  # what has not come by then is seen when it comes
        looked_at = looked_at & ~after
    endless = surv.kind == "left" or came.all()
    until = np.where(came, np.inf if endless else was.stop.max(), was.stop)
    stop = np.where(looked_at, np.where(before, was.left, was.stop), np.minimum(times, until))
    left = np.where(looked_at, np.where(before, 0.0, was.left), stop)
    status = np.where(times <= np.where(looked_at, was.stop, until), causes, 0)
    return RowsFollowed(was.start, np.where(status > 0, left, stop), stop, status)


def causes_of(
    model: Model, truth: xr.DataTree, outcome: str, times: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The cause (n,), from 1, of the event at each of the times (n,) of an outcome: k with probability h_k / h."""
    laws = family_of_fit(model.spec["family"], model.spec).event_times
    assert laws is not None
    if "" in laws:
        return np.ones(len(times), int)
    names = [own.name for own in family_of_fit(model.spec["family"], model.spec).own]
    node: Any = model[outcome].owner
    eta, *values = values_at_truth(model, truth, node.op.dist_params(node)[1:])
    own = dict(zip(names, values, strict=True))
    log_h = [law.log_hazard(times, eta[:, k], own_of_cause(cause, own)) for k, (cause, law) in enumerate(laws.items())]
    return 1 + np.argmax(np.array(log_h) + rng.gumbel(size=(len(laws), len(times))), axis=0)


def write_events(table: pd.DataFrame, surv: Surv, was: RowsFollowed, now: RowsFollowed) -> None:
    """Put what is seen into the columns that Surv() names; `was` (m,) is what they said before of their rows, or of those that they are
    copies of."""
    *first, last = (times.columns[0] for times in surv.times)
    event = surv.event.columns[0] if surv.event is not None else ""
    before, between = now.interval & (now.left == 0), now.interval & (now.left > 0)
    if surv.kind == "interval2":
        table[first[0]], table[last] = np.where(before, np.nan, now.left), np.where(now.status > 0, now.stop, np.nan)
    elif surv.kind == "interval":
        table[first[0]], table[last] = np.where(between, now.left, now.stop), now.stop
        table[event] = np.select([now.status == 0, before, between], [0, 2, 3], 1)
    else:
        table[last] = now.stop
        if first:
            table[first[0]] = now.start
        if surv.kind == "left":
            table[event] = np.where(now.interval, 0, 1)
        elif event:
            values = {k: table[event][was.status == k].iloc[0] for k in np.unique(was.status)}
            written = pd.Series([values[k] for k in now.status], table.index)
            table[event] = written.astype(table[event].dtype)
