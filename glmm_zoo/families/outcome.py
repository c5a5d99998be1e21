"""A response that was read from a table and checked."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.terms import Response
from glmm_zoo.tables.columns import Column, Table


@dataclass(frozen=True)
class Outcome:
    """A checked response of n rows.

    `values` (n,); `trials` (n,) for binomial counts, (n, 3) for times to an event (see `event_times.RowsFollowed`), else None;
    `scale` and `location` in the unit of the link, for the default priors; `description` for the report; `levels` of ordered
    categories, from the lowest, or of unordered ones, the reference first: `values` are their positions; of competing causes. `dim` names what the n
    rows are, where there are several outcomes with rows of their own. `notes` say what
    was taken for what. `weights` (n,) are those of the rows' log-likelihoods, None where all are 1. `locations` are those of several
    linear predictors, where they are known.
    """

    name: str
    values: np.ndarray
    trials: np.ndarray | None = None
    location: float = 0.0
    scale: float = 1.0
    description: str = ""
    levels: tuple[str, ...] = ()
    dim: str = "row"
    notes: tuple[str, ...] = ()
    weights: np.ndarray | None = None
    locations: tuple[float, ...] = ()


def level_text(value: Any) -> str:
    """A value of a column as its levels are written."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def level_of(value: Any, levels: Sequence[str]) -> str | None:
    """The level that a value stands for: as it is written, else as the number or logical that its text is; None for none."""
    text = level_text(value)
    if text in levels:
        return text
    with contextlib.suppress(ValueError):
        text = level_text(float(text))
    text = text.capitalize() if text.casefold() in ("true", "false") else text
    return text if text in levels else None


def level_called(levels: Sequence[str], words: re.Pattern[str]) -> str | None:
    """The one of several labels in which one of these words, in small letters, is found; None if there are none or several."""
    known = [level for level in levels if words.search(level.strip().casefold().replace("_", " "))]
    return known[0] if len(known) == 1 else None


def column_of_response(table: Table, response: Response, model: str, without_trials: str) -> Column:
    """The column that a response is, of a model, "an ordinal model", whose responses have no trials, "an ordinal one is y ~ ...".

    Raises
    ------
    InputError
        A response with trials, or one that is computed.
    """
    if response.trials is not None:
        raise InputError(f"trials() belongs to a binomial response; {without_trials}")
    if response.value.kind != "column":
        raise InputError(f"the response of {model} is a column, not {response.value.text!r}; make the column first")
    return table[response.value.columns[0]]
