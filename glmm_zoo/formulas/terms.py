"""A parsed formula: its terms as records, and how they are written as text again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

USUAL_SMOOTH = {"s": ("tp", 10), "t2": ("cr", 5)}  # bs and k


@dataclass(frozen=True)
class Expression:
    """A column, a factor `C(x, ref="b")`, a monotonic effect `mo(x)`, a covariate with missing values `mi(x)`, or arithmetic and calls on columns such as `log(x / 10)`.

    `code` is Python with each column written `{i}`, its index in `columns`; `text` is what a user reads.
    """

    kind: str  # "column", "factor", "monotonic", "missing" or "call"
    text: str
    columns: tuple[str, ...]
    code: str
    reference: str | None = None  # the first level of a factor, where the user names it
    order: tuple[str, ...] | None = None  # the levels of mo(), from the lowest, where the user names them

    @property
    def source(self) -> str:
        """The expression as it may be written in a formula."""
        text = self.code.format(*map(quoted, self.columns))
        if self.kind == "monotonic":
            return f"mo({text})" if self.order is None else f'mo({text}, levels="{",".join(self.order)}")'
        if self.kind != "factor":
            return text
        return f"C({text})" if self.reference is None else f"C({text}, ref={self.reference!r})"


# A symbol of the algebra of terms, (a + b):c, of Wilkinson & Rogers (1973): an operator, a bracket, 0 or 1, or an
# expression.
Symbol = str | Expression


@dataclass(frozen=True)
class GroupTerm:
    """`(effects | factor)`: effects that vary over the levels of one factor, or of an interaction of factors.

    As in brms, `gr(factor, by=, cov=, dist=)` gives each level of the column `by` a covariance of its own, names the table of
    a known covariance of the levels, or the effects' law, "gaussian" or "student". With `members`, `mm(g1, g2)`, a row belongs
    to a level of each column of `factor`, which share one set of levels, with the columns `weights`, or equal weights.
    `car(W, gr=area, type="bym2")` is a varying intercept of areas, whose neighbours are in the table W. A factor that has other
    effects too is then `known_as` another name.
    `ar1(time | g)` and `ou(time | g)` are an intercept of the levels of g:time, whose `process` says how those of one g correlate.
    """

    effects: tuple[Symbol, ...]
    factor: tuple[str, ...]
    correlated: bool = True
    label: str | None = None  # brms's (1 |p| g): correlated with terms of the same label in other predictors
    by: str | None = None
    cov: str | None = None
    dist: str = "gaussian"
    members: bool = False
    weights: tuple[str, ...] | None = None
    car: tuple[str, str] | None = None  # the name of the table, and the type
    known_as: str = ""
    process: str = ""

    @property
    def name(self) -> str:
        return self.known_as or ("+" if self.members else ":").join(self.factor)

    @property
    def called(self) -> tuple[str, ...]:
        """What its levels are called by: columns, of which a level is a combination, or of mm() one name for all."""
        return (self.name,) if self.members else self.factor

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that say which effects a row has, and with which weights."""
        return (*self.factor, *([self.by] if self.by else []), *(self.weights or ()))

    @property
    def factor_source(self) -> str:
        """The grouping factor as it may be written in a formula."""
        arguments = [":".join(map(quoted, self.factor))]
        arguments += [f"by={quoted(self.by)}"] if self.by else []
        arguments += [f"cov={quoted(self.cov)}"] if self.cov else []
        arguments += [f'dist="{self.dist}"'] if self.dist != "gaussian" else []
        if self.members:
            weights = [f"weights=cbind({', '.join(map(quoted, self.weights))})"] if self.weights else []
            return f"mm({', '.join([*map(quoted, self.factor), *weights])})"
        return f"gr({', '.join(arguments)})" if len(arguments) > 1 else arguments[0]

    @property
    def source(self) -> str:
        """The term as it may be written in a formula."""
        if self.car:
            return f'car({quoted(self.car[0])}, gr={":".join(map(quoted, self.factor))}, type="{self.car[1]}")'
        if self.process:
            *of, time = map(quoted, self.factor)
            return f"{self.process}({time} | {':'.join(of)})"
        bar = f"|{self.label}|" if self.label else "|" if self.correlated else "||"
        return f"({self.effects_text} {bar} {self.factor_source})"

    @property
    def structure(self) -> tuple[str, str] | None:
        """The table that says how the levels depend on each other, and as what; None where they are independent."""
        return self.car or ((self.cov, "cov") if self.cov else None)

    @property
    def effects_text(self) -> str:
        return as_text(self.effects)


@dataclass(frozen=True)
class SmoothTerm:
    """`s(x, bs="tp", k=10, by=f)`, a smooth curve of a column; `by` is a factor or a number, the factor g of bs="fs".

    Two variables are a surface, `t2(x, z, bs="cr", k=5)`.
    """

    variables: tuple[str, ...]
    bs: str
    k: int
    by: str | None = None

    @property
    def source(self) -> str:
        """The term as it may be written in a formula."""
        function = "t2" if len(self.variables) == 2 else "s"
        usual_bs, usual_k = USUAL_SMOOTH[function]
        arguments = [*map(quoted, self.variables)]
        arguments += [quoted(self.by) if self.bs == "fs" else f"by={quoted(self.by)}"] if self.by else []
        arguments += [f'bs="{self.bs}"'] if self.bs != usual_bs else []
        arguments += [f"k={self.k}"] if self.k != usual_k else []
        return f"{function}({', '.join(arguments)})"

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.variables, self.by) if self.by else self.variables


@dataclass(frozen=True)
class StatusTest:
    """`status == "dead"`, or `!=`: a column of labels as 0 and 1."""

    column: str
    level: str
    equal: bool

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class Surv:
    """The time to an event: the kind of censoring, as R's Surv() calls it, its times, and whether the event came."""

    kind: str  # "right", "counting", "interval", "interval2" or "left"
    times: tuple[Expression, ...]
    event: Expression | StatusTest | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, once, in order."""
        parts = (*self.times, *([self.event] if self.event else []))
        return tuple(dict.fromkeys(c for part in parts for c in part.columns))

    @property
    def may_be_missing(self) -> tuple[str, ...]:
        """The columns of ends of intervals, where a missing one says that the interval is open."""
        open_ended = self.kind in ("interval", "interval2")
        return tuple(dict.fromkeys(c for t in self.times for c in t.columns)) if open_ended else ()


@dataclass(frozen=True)
class Response:
    """Left side: an expression of columns, and `trials(...)` for binomial counts; of Surv() its last time and the call.

    `bounds` are those of `trunc(lb, ub)`, numbers or columns, `censoring` the columns of `cens(c)` or `cens(c, y2)`.
    """

    value: Expression
    trials: Expression | int | None = None  # a column or an expression, or one number for all rows
    event: Surv | None = None
    bounds: tuple[float | str, float | str] | None = None
    censoring: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, once, in order."""
        if self.event is not None:
            return self.event.columns
        trials = self.trials.columns if isinstance(self.trials, Expression) else ()
        return tuple(dict.fromkeys([*self.value.columns, *trials, *self.bound_columns.values(), *self.censoring]))

    @property
    def bound_columns(self) -> dict[str, str]:
        """The columns of bounds that differ between rows, by "lb" and "ub"."""
        return {name: end for name, end in zip(("lb", "ub"), self.bounds or (), strict=False) if isinstance(end, str)}

    @property
    def seen_in_part(self) -> bool:
        """Whether it has bounds or may be censored."""
        return self.bounds is not None or bool(self.censoring)

    @property
    def may_be_missing(self) -> tuple[str, ...]:
        """The columns of ends of intervals, where a missing one says that the interval is open, or that there is none."""
        return self.event.may_be_missing if self.event else self.censoring[1:]


@dataclass(frozen=True)
class Formula:
    """A parsed formula; `population` are the population effects, as symbols of the algebra of terms."""

    text: str
    response: Response | None
    population: tuple[Symbol, ...]
    offsets: tuple[Expression, ...] = ()
    groups: tuple[GroupTerm, ...] = ()
    smooths: tuple[SmoothTerm, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the formula names, once, in order."""
        names: list[str] = []
        if self.response:
            names += self.response.columns
        names += self.predictor_columns
        return tuple(dict.fromkeys(names))

    @property
    def predictor_columns(self) -> tuple[str, ...]:
        """The columns of the right side."""
        names = [c for symbol in self.population if isinstance(symbol, Expression) for c in symbol.columns]
        names += [c for offset in self.offsets for c in offset.columns]
        names += [c for smooth in self.smooths for c in smooth.columns]
        for group in self.groups:
            names += [c for symbol in group.effects if isinstance(symbol, Expression) for c in symbol.columns]
            names += group.columns
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class EventFormula(Surv):
    """A parsed event formula: the time to the event, and the covariates."""

    text: str
    covariates: Formula

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the formula names, once, in order."""
        return tuple(dict.fromkeys([*super().columns, *self.covariates.predictor_columns]))


# -------------------------------------------------------------------------------------------------------------- as text


def quoted(name: str) -> str:
    """A column's name, in backticks where it is not a plain name."""
    return name if re.fullmatch(r"[^\W\d][\w.]*", name) else f"`{name}`"


def as_text(symbols: Sequence[Symbol]) -> str:
    """Symbols of the algebra of terms as a person would write them."""
    out = ""
    for symbol in symbols:
        text = symbol if isinstance(symbol, str) else symbol.source
        out += f" {text} " if text in ("+", "-", "*") else text
    return re.sub(r"\s+", " ", out).strip()


def signed_summands(symbols: Sequence[Symbol]) -> Iterator[tuple[str, list[Symbol]]]:
    """The sign and the symbols of every summand of a right side; signs inside parentheses do not separate summands."""
    depth, sign, summand = 0, "+", list[Symbol]()
    for symbol in symbols:
        depth += (symbol == "(") - (symbol == ")")
        if depth == 0 and symbol in ("+", "-"):
            if summand:
                yield sign, summand
            sign, summand = str(symbol), []
        else:
            summand.append(symbol)
    if summand:
        yield sign, summand


def summands(symbols: Sequence[Symbol]) -> list[str]:
    """What is added up in symbols of the algebra of terms, each as text: "-1" for an intercept taken out."""
    return [as_text(part) if sign == "+" else f"-{as_text(part)}" for sign, part in signed_summands(symbols)]


def fixed_formula(text: str, formula: Formula, factors: Iterable[str]) -> str:
    """The formula without partial pooling over `factors`: their group terms written as population terms.

    `(1 + x | g)` becomes `C(g) + C(g):x`.
    """
    fixed = set(factors)
    response = text.split("~", 1)[0].strip()
    parts = [as_text(formula.population)]
    kept = []
    for group in formula.groups:
        if group.name not in fixed:
            kept.append(group.source)
            continue
        cells = ":".join(f"C({quoted(f)})" for f in group.factor)
        effects = summands(group.effects)
        if not {"0", "-1"} & set(effects):
            parts.append(cells)
        slopes = [effect for effect in effects if effect not in ("0", "1", "-1")]
        parts += [
            f"{cells}:{slope}" if re.fullmatch(r"[^*/]*|\w+\(.*\)", slope) else f"{cells}:({slope})" for slope in slopes
        ]
    parts += [s.source for s in formula.smooths]
    parts += [f"offset({o.source})" for o in formula.offsets]
    return f"{response} ~ {' + '.join(parts + kept)}"
