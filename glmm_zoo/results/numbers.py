"""The one rule of digits: how numbers are written for people.

    risk                             per cent, one decimal               22.0 %
    points                           percentage points, one decimal      −15.6
    ratio, probability, correlation  two decimals                        0.47, > 0.99
    icc                              three decimals                      0.075
    nnt                              whole                               208
    number                           two significant digits of a quarter of the interval's width, about a standard deviation

Where an interval is so narrow that its ends would be the same, there are more decimals, until its width has one significant digit, and
where it is so wide that the last ones say nothing, fewer, until it has three. No digit stands below half the Monte Carlo error, so that
at most the last one would be another with another seed. An estimate and its interval have the same decimals, but for a ratio below 1
in an interval so wide that these hide it, which has one digit of its own: "4 (0.1 to 90)". What is not zero is never written as zero: a
risk, ratio or probability that would be is "< 0.1". There are no exponents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import copysign, floor, inf, isfinite, isnan, log10
from typing import Literal

MINUS, THIN, NO_BREAK = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"
INFINITE = "\N{INFINITY}"
NONE = "\N{EN DASH}"  # where there is no number
MOST_DECIMALS = 12
MOST_DIGITS = 15  # before the point: beyond, a number of the computer has no more
_FAR = 1e6
Scale = Literal["risk", "points", "ratio", "probability", "correlation", "icc", "nnt", "number"]


@dataclass(frozen=True)
class _Rule:
    """`usual` decimals, None where the uncertainty alone decides; what is written is the value times `factor`, which lies between
    `ends` without reaching them."""

    usual: int | None
    factor: float = 1.0
    ends: tuple[float, float] = (-inf, inf)


_RULES: dict[Scale, _Rule] = {
    "risk": _Rule(1, 100.0, (0.0, 100.0)),
    "points": _Rule(1, 100.0),
    "ratio": _Rule(2, ends=(0.0, inf)),
    "probability": _Rule(2, ends=(0.0, 1.0)),
    "correlation": _Rule(2, ends=(-1.0, 1.0)),
    "icc": _Rule(3, ends=(0.0, 1.0)),
    "nnt": _Rule(0),
    "number": _Rule(None),
}


# ------------------------------------------------------------------------------------------------------ how many digits


def decimals(scale: Scale, values: Iterable[float], mcse: float = 0.0) -> int:
    """How many decimals an estimate and its interval have.

    Parameters
    ----------
    values
        The estimate and the ends of its interval, as computed (a risk of 0.22, not of 22).
    mcse
        The Monte Carlo error of the estimate, in the same unit; 0 where there is none.
    """
    rule = _RULES[scale]
    finite = [rule.factor * v for v in values if isfinite(v)]
    width = max(finite, default=0.0) - min(finite, default=0.0)
    if scale == "nnt":
        wanted = 0
    elif rule.usual is None:
        wanted = _for_digits(2, width / 4) if width else _for_digits(3, max(map(abs, finite), default=0.0))
    elif width:
        wanted = min(max(rule.usual, _for_digits(1, width)), max(_for_digits(3, width), 0))
    else:
        wanted = rule.usual
    return max(min(wanted, MOST_DECIMALS, supported(rule.factor * mcse)), 0)


def column_decimals(scale: Scale, rows: Sequence[Iterable[float]], mcse: Sequence[float] = ()) -> list[int]:
    """The decimals of each row of a column.

    All have those of the row that needs most, if none needs two fewer and as far as its own Monte Carlo error allows; else each has
    its own.
    """
    errors = list(mcse) or [0.0] * len(rows)
    each = [decimals(scale, row, error) for row, error in zip(rows, errors, strict=True)]
    if not each or max(each) - min(each) > 1:
        return each
    return [max(d, min(max(each), supported(_RULES[scale].factor * e))) for d, e in zip(each, errors, strict=True)]


def supported(mcse: float) -> int:
    """The decimals that a Monte Carlo error allows: the last one's unit is no smaller than half of it."""
    return floor(log10(2 / mcse)) if 0 < mcse < inf else MOST_DECIMALS


def _for_digits(significant: int, value: float) -> int:
    """The decimals with which a number has so many significant digits."""
    return significant - 1 - floor(log10(value)) if value else 0


# --------------------------------------------------------------------------------------------------------- how written


def written(value: float, decimals: int) -> str:
    """A number with so many decimals: a true minus sign, thousands apart from 10 000 on, "–" where it is none."""
    if isnan(value):
        return NONE
    sign = MINUS if value < 0 else ""
    if not isfinite(value):
        return f"{sign}{INFINITE}"
    if abs(value) >= 10.0**MOST_DIGITS:
        return f"{'<' if value < 0 else '>'} {sign}{_apart(f'{10**MOST_DIGITS:,}')}"
    text = f"{abs(value):,.{decimals}f}"
    nothing = not float(text.replace(",", ""))
    return f"{'' if nothing else sign}{_apart(text)}"


def _apart(text: str) -> str:
    """Thousands that a comma separates, separated by a narrow space from 10 000 on."""
    return text.replace(",", THIN if len(text.split(".")[0]) > len("9,999") else "")


def on_scale(value: float, scale: Scale, decimals: int) -> str:
    """A number as its scale is written, without unit; near an end that it does not reach "< 0.1" or "> 99.9"."""
    rule = _RULES[scale]
    value = rule.factor * value
    low, high = rule.ends
    if scale == "ratio" and 0 < value < 1 and rule.usual is not None:
        decimals = max(decimals, min(rule.usual, _for_digits(1, value)))
    unit = 10.0**-decimals
    if low < value < low + unit / 2:
        return f"< {written(low + unit, decimals)}"
    if high - unit / 2 < value < high:
        return f"> {written(high - unit, decimals)}"
    return written(value, decimals)


def interval(low: float, high: float, decimals: int, scale: Scale = "number") -> str:
    """ "0.36 to 0.59": never with a dash, which a minus sign looks like."""
    if isnan(low) and isnan(high):
        return NONE
    return f"{on_scale(low, scale, decimals)} to {on_scale(high, scale, decimals)}"


def percent(share: float, decimals: int = 1) -> str:
    """A share as "22.0 %", with a space that does not break; one that is not 0 is never "0.0 %" but "< 0.1 %", and not 1 "> 99.9 %"."""
    return f"{on_scale(share, 'risk', decimals)}{NO_BREAK}%"


def nominal(prob: float) -> str:
    """A probability that was chosen, such as that of an interval, as it was given: "95 %"."""
    return f"{100 * prob:g}{NO_BREAK}%"


def points(difference: float, decimals: int = 1) -> str:
    """A difference of shares as "−15.6 percentage points"."""
    return f"{on_scale(difference, 'points', decimals)} percentage points"


def probability(p: float) -> str:
    """A probability as "0.98", never as 0 or 1: "< 0.01", "> 0.99", since draws cannot tell it from these."""
    if p in (0.0, 1.0):
        return f"{'<' if p == 0 else '>'} {written(abs(p - 0.01), 2)}"
    return on_scale(p, "probability", 2)


def whole(value: float) -> str:
    """A count, rounded to a whole number."""
    return written(value, 0)


def alone(value: float) -> str:
    """A number of which no uncertainty is known, with three significant digits, of whole thousands all."""
    return written(value, decimals("number", [value]))


def rough(value: float) -> str:
    """A number of a wide prior with two digits; of what is beyond a million, or below a millionth, only that it is."""
    size = abs(value)
    if size > _FAR or 0 < size < 1 / _FAR:
        text = written(copysign(_FAR, value), 0) if size > _FAR else written(copysign(1 / _FAR, value), 6)
        return f"{'>' if (size > _FAR) == (value > 0) else '<'} {text}"
    first = floor(log10(size)) if size else 0
    return written(round(value, 1 - first), max(1 - first, 0))


def estimate_text(median: float, lower: float, upper: float, scale: Scale = "number", mcse: float = 0.0) -> str:
    """ "0.47 (0.36 to 0.59)", "22.0 % (15.4 to 31.1 %)", "−15.6 percentage points (−23.6 to −8.6)"."""
    d = decimals(scale, (median, lower, upper), mcse)
    unit = {"risk": f"{NO_BREAK}%", "points": " percentage points"}.get(scale, "")
    again = unit if scale == "risk" else ""
    return f"{on_scale(median, scale, d)}{unit} ({interval(lower, upper, d, scale)}{again})"
