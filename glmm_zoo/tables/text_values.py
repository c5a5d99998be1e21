"""What text in cells really is: numbers in another spelling, dates, labels that are one label spelt in two ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise

_DECORATION = str.maketrans("", "", ",%$€£<>≤≥=~ '’_\u00a0\u2009\u202f")  # around and within numbers: "1,234", "<0.5"
_BLANKS = r"[ \u00a0\u2009\u202f'’_]"  # that separate thousands
_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}})({_TIME})")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}})({_TIME})")


def as_number(text: str) -> float | None:
    """The number that text is, None where it is none."""
    try:
        return float(text)
    except ValueError:
        return None


def like_number(text: str) -> bool:
    """Whether text is a number once what people put around and within numbers is taken off."""
    return as_number(text.translate(_DECORATION).replace("−", "-")) is not None


# ------------------------------------------------------------------------------------------------- numbers misspelt


def number_remedy(column: str, texts: Sequence[str]) -> str:
    """What to do about texts among numbers, which are all of those that are none; the first is the example."""
    factor = f"write C({column if column.isidentifier() else f'`{column}`'}) for a factor"
    for is_meant, remedy in _SPELLINGS:
        if all(is_meant(text) for text in texts):
            return remedy(texts[0]) + (f"; if these are names of classes, {factor}" if remedy is _below_limit else "")
    if any(like_number(text) for text in texts):
        example = next(text for text in texts if like_number(text))
        return f"they are written in several ways; write all as plain numbers in the file, such as {_plain(example)} for {example!r}"
    return f"correct the file, name what stands for a missing value with --na {texts[0]!r}, or {factor}"


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text.strip()) is not None


def _decimal_comma(text: str) -> str:
    return f"{text!r} has a decimal comma; read the file with --decimal ','"


def _below_limit(text: str) -> str:
    side = "below" if text.strip()[0] in "<≤" else "above"
    return (
        f"{text!r} is a value {side} a limit of detection and not a missing one; put a number in its place in the file, such as "
        f"the limit {_plain(text)}{' or half of it' if side == 'below' else ''}, and say which in the report"
    )


def _thousands(text: str) -> str:
    return f"{text!r} has a separator of thousands; write {_plain(text)} in the file"


def _signed(text: str) -> str:
    return f"{text!r} is a number with a sign of its unit; write {_plain(text)} in the file and the unit in the column's name"


def _minus(text: str) -> str:
    return f"{text!r} begins with a typographic minus; write {_plain(text)} in the file"


def _both_marks(text: str) -> str:
    return f"{text!r} has points between thousands and a decimal comma; write {_plain(text)} in the file"


def _several_commas(text: str) -> bool:
    return _matches(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")(text)


def _plain(text: str) -> str:
    """The number as Python writes it, without decoration; a comma is a decimal mark if points come before it."""
    text = text.strip().replace("−", "-")
    if re.search(r"\d\.\d{3},\d", text):
        text = text.replace(".", "").replace(",", ".")
    elif not re.search(r"\d,\d{3}(?!\d)", text):
        text = text.replace(",", ".")
    return text.translate(_DECORATION)


_SPELLINGS: tuple[tuple[Callable[[str], bool], Callable[[str], str]], ...] = (
    (_several_commas, _thousands),
    (_matches(r"[+-]?\d*,\d+([eE][+-]?\d+)?"), _decimal_comma),
    (_matches(r"[+-]?\d{1,3}(\.\d{3})+,\d+"), _both_marks),
    (_matches(rf"[+-]?\d{{1,3}}({_BLANKS}\d{{3}})+([.,]\d+)?"), _thousands),
    (_matches(r"[<>≤≥]=?\s*[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?"), _below_limit),
    (_matches(r"[+-]?([$€£]\s*[\d.,]+|[\d.,]+\s*[%$€£])"), _signed),
    (_matches(r"−[\d.,]+([eE][+-]?\d+)?"), _minus),
)


# ---------------------------------------------------------------------------------------------------------------- dates


def are_dates(texts: Sequence[str]) -> bool:
    """Whether all texts are dates with a year of four digits, such as 2021-01-31 or 31.1.2021, also with a time of day."""
    return bool(texts) and all(_YEAR_FIRST.fullmatch(t.strip()) or _YEAR_LAST.fullmatch(t.strip()) for t in texts)


def in_time_order(texts: Sequence[str]) -> list[int] | None:
    """The places of dates in order of time; None where text does not tell days from months."""
    parts = [_date_parts(text.strip()) for text in texts]
    if not parts or any(p is None for p in parts):
        return None
    known = [p for p in parts if p is not None]
    for day_first in (True, False):
        read = [_date(p, day_first=day_first) for p in known]
        other = [_date(p, day_first=not day_first) for p in known]
        if None not in read and (None in other or read == other):
            times = [(day or date.min, p[3]) for day, p in zip(read, known, strict=True)]
            return sorted(range(len(times)), key=times.__getitem__)
    return None


def _date_parts(text: str) -> tuple[int, int, int, str] | None:
    """Year, two numbers of which one is the month, and the time; (year, month, -day) where the year stands first."""
    if match := _YEAR_FIRST.fullmatch(text):
        return int(match[1]), int(match[3]), -int(match[4]), match[5]
    if match := _YEAR_LAST.fullmatch(text):
        return int(match[4]), int(match[1]), int(match[3]), match[5]
    return None


def _date(parts: tuple[int, int, int, str], *, day_first: bool) -> date | None:
    year, first, second, _ = parts
    month, day = (first, -second) if second < 0 else (second, first) if day_first else (first, second)
    try:
        return date(year, month, day)
    except ValueError:
        return None


# --------------------------------------------------------------------------------------------------------------- labels

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def certain_order(labels: Sequence[str]) -> tuple[str, ...] | None:
    """The labels in the one order that they can have, None where there is none.

    They are dates; or differ in one number, "Month 2" and "Month 10"; or are a year and a quarter, week or month, "Q1 2020".
    """
    times = in_time_order(labels)
    if times is not None:
        return tuple(labels[i] for i in times)
    keys = [_order_key(label) for label in labels]
    frames = {key[0] for key in keys if key is not None}
    if None in keys or len(frames) != 1 or len({key[1] for key in keys if key}) != len(labels):
        return None
    by_label = {label: key[1] for label, key in zip(labels, keys, strict=True) if key}
    return tuple(sorted(labels, key=by_label.__getitem__))


def _order_key(label: str) -> tuple[str, tuple[float, ...]] | None:
    """What of a label stays the same in all of a series, and its place in the series."""
    text = re.sub(r"\s+", " ", label.strip().casefold())
    with_month = re.sub(rf"\b({'|'.join(_MONTHS)})[a-z]*\b\.?", lambda m: f"m{_MONTHS.index(m[1]) + 1}", text)
    numbers = re.findall(r"\d+(?:\.\d+)?", with_month)
    frame = re.sub(r"\d+(?:\.\d+)?", "#", with_month)
    years = [i for i, n in enumerate(numbers) if re.fullmatch(r"(1[89]|20|21)\d\d", n)]
    if len(numbers) == 1:
        return frame, (float(numbers[0]),)
    if len(numbers) == 2 and len(years) == 1:
        return f"{frame} year {years[0]}", (float(numbers[years[0]]), float(numbers[1 - years[0]]))
    return None


def near_duplicates(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups of labels that differ only in blanks or case."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(" ".join(label.split()).casefold(), []).append(label)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def differ_in_outer_blanks(labels: Sequence[str]) -> bool:
    """Whether labels are the same once blanks before and after them are off."""
    return all(a.strip() == b.strip() for a, b in pairwise(labels))
