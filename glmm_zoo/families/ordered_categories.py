"""Ordered categories of a response: which columns have them, in which order, and what a user should know of them."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.families.outcome import Outcome, column_of_response
from glmm_zoo.formulas.cells import rows_of_levels
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.formulas.terms import Response
from glmm_zoo.tables.columns import Column, Table, suspicious_text
from glmm_zoo.tables.text_values import certain_order

MOST_LEVELS = 20  # of a response of whole numbers; arbitrary


def level_names(levels: Any, keyword: str = "levels") -> tuple[str, ...] | None:
    """What a user gave as `levels`, a sequence or text "a,b,c", as names from lowest to highest."""
    if levels is None:
        return None
    given = [part.strip() for part in levels.split(",")] if isinstance(levels, str) else levels
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise InputError(f"{keyword} is a list of categories from lowest to highest, or text 'a,b,c', not {levels!r}")
    names = tuple(_level_name(level) for level in given)
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice or not names or "" in names:
        what = f"{listing(map(repr, twice))} twice" if twice else "an empty name"
        raise InputError(f"{keyword}={listing(names)!r} has {what}; give each category once, from lowest to highest")
    return names


def _level_name(level: Any) -> str:
    number = isinstance(level, int | float | np.number) and not isinstance(level, bool)
    return f"{level:.15g}" if number else str(level)


def order_option(keyword: str, labels: Iterable[str]) -> str:
    """How an order of labels is given in Python and on the command line, ready to paste."""
    labels = list(labels)
    plain = all(re.fullmatch(r"\w[\w .+-]*", label) and label == label.strip() for label in labels)
    value = f'"{",".join(labels)}"' if plain else shlex.quote(json.dumps(labels, ensure_ascii=False))
    return f"{keyword}={labels}, on the command line --option {keyword}={value}"


def order_is_needed(keyword: str, labels: Sequence[str], first: str, last: str) -> str:
    """How to give an order to these labels: the order itself if it is certain, else only its form."""
    certain = certain_order(labels)
    if certain is not None:
        return f"if they are in this order, say so: {order_option(keyword, certain)}"
    form = json.dumps([first, "...", last])
    commas = any("," in label for label in labels)
    typed = f"; on the command line, as labels have commas, --option {keyword}='{form}'" if commas else ""
    return f"list all of them from {first} to {last}: {keyword}={form}{typed}"


def _without_decimals(number: str) -> str:
    """`"1"` for "1.0"."""
    with contextlib.suppress(ValueError):
        return _level_name(float(number))
    return number


def read_ordered(table: Table, response: Response, levels: tuple[str, ...] | None = None) -> Outcome:
    """Positions 0, ..., K - 1 of ordered categories: whole numbers, a declared order, or `levels` from the lowest.

    A category that was never seen is kept where `levels` names it; what is said of it rests on the cutpoints' prior.
    """
    column = column_of_response(table, response, "an ordinal model", "an ordinal one is y ~ ...")
    name = column.name
    if column.kind in ("date", "logical"):
        what = "dates" if column.kind == "date" else "logicals (true and false)"
        instead = "" if column.kind == "date" else "; for two categories without levels use hierarchical_logistic"
        raise InputError(f"response {name!r} holds {what} and an ordinal model needs ordered categories{instead}")
    codes, seen = column.codes_and_levels()
    if levels is None:
        levels = _declared_levels(column, seen) if column.ordered else _levels_by_value(table, column, seen)
    elif column.kind == "number":
        seen, levels = tuple(map(_without_decimals, seen)), tuple(map(_without_decimals, levels))
    strange = [value for value in seen if value not in levels]
    if strange:
        rows = np.isin(codes, [seen.index(value) for value in strange])
        raise InputError(
            f"response {name!r} has {listing(map(repr, strange), 5)} ({table.at(rows)}), not one of "
            f"levels={listing(levels)}; add to the levels or correct the data"
        )
    if len(seen) == 1:
        raise InputError(f"response {name!r} has a single value ({seen[0]}) in every row; there is nothing to model")
    values = np.array([levels.index(value) for value in seen], float)[codes]
    words = f"{name}: {len(levels)} ordered categories, {' < '.join(levels)}"
    return Outcome(name, values, description=words, levels=levels)


def unseen_levels(outcome: Outcome) -> list[str]:
    """A sentence on categories of the scale that no row has."""
    unseen = [level for k, level in enumerate(outcome.levels) if not (outcome.values == k).any()]
    if not unseen:
        return []
    which, of = ("category", "its probability") if len(unseen) == 1 else ("categories", "their probabilities")
    return [
        f"response {outcome.name!r}: {which} {listing(map(repr, unseen), 5)} never occur{'s' * (len(unseen) == 1)}; what is said of {of} "
        "rests on the prior of the cutpoints"
    ]


def separated_categories(outcome: Outcome, design: DesignMatrix) -> list[str]:
    """Sentences for levels and columns that alone separate low from high categories, so that nothing bounds their coefficient."""
    y, sentences = outcome.values, []
    for name, words, rows in rows_of_levels(design):
        if not rows.any() or rows.all():
            continue
        (low, high), (low_of_others, high_of_others) = ((x.min(), x.max()) for x in (y[rows], y[~rows]))
        if (high <= low_of_others or low >= high_of_others) and name not in {n for n, _ in sentences}:
            what = (
                f"no category above {_named(outcome, high)}"
                if high <= low_of_others
                else f"none below {_named(outcome, low)}"
            )
            sentences.append((
                name,
                f"{name} separates the categories of {outcome.name!r}: {what} in the {plural(int(rows.sum()), 'row')} where {words}, and "
                f"none {'below' if high <= low_of_others else 'above'} it in the others; its coefficient rests on its prior",
            ))  # fmt: skip
    for label, x in zip(design.labels, design.values.T, strict=True):
        if len(np.unique(x)) > 2 and (_is_sorted_by(y, x) or _is_sorted_by(-y, x)):
            sentences.append((
                label,
                f"column {label!r} separates the categories of {outcome.name!r}: they lie one after the other along it; its coefficient rests "
                "on its prior",
            ))  # fmt: skip
    return [sentence for _, sentence in sentences]


def _named(outcome: Outcome, position: float) -> str:
    return repr(outcome.levels[int(position)])


def _is_sorted_by(y: np.ndarray, x: np.ndarray) -> bool:
    """Whether no smaller y has a larger x, ties apart."""
    largest = -np.inf
    for value in np.unique(y):
        if x[y == value].min() < largest:
            return False
        largest = x[y == value].max()
    return True


def _declared_levels(column: Column, seen: tuple[str, ...]) -> tuple[str, ...]:
    """The levels in their declared order, which all occur."""
    unseen = [level for level in column.levels if level not in seen]
    if unseen:
        raise InputError(
            f"response {column.name!r}: {listing(map(repr, unseen), 5)} never occur{'s' * (len(unseen) == 1)}; to leave "
            f"{'it' if len(unseen) == 1 else 'them'} out give {order_option('levels', (v for v in column.levels if v in seen))}; to keep "
            f"{'it' if len(unseen) == 1 else 'them'} as possible give {order_option('levels', column.levels)}"
        )
    return column.levels


def _levels_by_value(table: Table, column: Column, seen: tuple[str, ...]) -> tuple[str, ...]:
    """Whole numbers without a gap, in their order."""
    name = column.name
    if column.kind == "text" and not all(re.fullmatch(r"[+-]?\d{1,15}", value) for value in seen):
        if suspicious_text(column):
            column.numbers("an ordinal response")
        raise InputError(
            f"response {name!r} has text levels without an order ({listing(map(repr, seen), 5)}); "
            f"{order_is_needed('levels', seen, 'lowest', 'highest')}"
        )
    if column.kind == "number":
        bad = column.values != np.round(column.values)
        if bad.any():
            raise InputError(
                f"response {name!r} needs whole numbers or named levels; {plural(int(bad.sum()), 'value')} not whole "
                f"({column.values[bad][0]:g}, {table.at(bad)}); for measurements use hierarchical_linear"
            )
    seen = tuple(sorted(seen, key=int))
    if len(seen) > MOST_LEVELS:
        raise InputError(
            f"response {name!r} has {len(seen)} values ({seen[0]} to {seen[-1]}), each of which would need a cutpoint; for "
            "counts use poisson or negative_binomial, for measurements hierarchical_linear, or join levels"
        )
    gaps = [v for a, b in pairwise(map(int, seen)) for v in range(a + 1, min(b, a + MOST_LEVELS))]
    if gaps:
        raise InputError(
            f"response {name!r} has {listing(seen)} but level {listing(gaps, 5)} never occurs; if it is no category of "
            f"the scale, say so: {order_option('levels', seen)}; if it is one, {order_option('levels', _whole_range(seen))}"
        )
    return seen


def _whole_range(seen: Sequence[str]) -> list[str]:
    return [str(v) for v in range(int(seen[0]), min(int(seen[-1]), int(seen[0]) + MOST_LEVELS) + 1)]
