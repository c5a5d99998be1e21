"""lme4's formula notation, taken apart without evaluating any of it. Imports `errors` and `data`; no PyMC.

A formula may come from a file that a stranger wrote, and formulaic, which codes the population terms later,
evaluates Python. So a formula is cut into tokens here, every column is replaced by a safe name, every function must
be on a short list, and what is left must parse to a syntax tree of arithmetic and calls: nothing else goes on.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from glmm_zoo.errors import InputError, did_you_mean, listing

# What may be called: the arguments beyond the first, in order, with the largest whole number each may be.
_PLAIN: dict[str, int] = {}
_SPLINE = {"df": 100}
FUNCTIONS = {
    **dict.fromkeys(("I", "log", "log1p", "log2", "log10", "exp", "expm1", "sqrt", "abs"), _PLAIN),
    **dict.fromkeys(("scale", "center", "standardize", "C"), _PLAIN),
    "poly": {"degree": 10},
    "bs": {**_SPLINE, "degree": 5, "include_intercept": 1},
    **dict.fromkeys(("cr", "cs", "cc"), _SPLINE),
}
SMOOTHS = frozenset({"s", "t2"})
USUAL_SMOOTH = {"s": ("tp", 10), "t2": ("cr", 5)}  # bs and k
MAX_K = 100
MAX_LENGTH = 2000
MAX_DEPTH = 20
MAX_NODES = 300
MAX_EXPONENT = 10
MAX_TERMS = 500

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<quoted>`[^`]*`)
      | (?P<string>"[^"\\]*"|'[^'\\]*')
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<name>[^\W\d][\w.]*)
      | (?P<op>%[^%\s]*%|\*\*|\|\||==|!=|<=|>=|[-+*/:^|~(),=<>])
    """,
    re.VERBOSE,
)
_ARITHMETIC = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Constant, ast.keyword, ast.Load,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.UAdd, ast.USub,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq,
)  # fmt: skip


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    at: int  # position in the formula, from 0


@dataclass(frozen=True)
class Operand:
    """A column, a factor `C(x, ref="b")`, or a call of arithmetic on columns.

    `code` is Python with each column written `{i}`, its index in `columns`; `text` is what a user reads.
    """

    kind: str  # "column", "factor" or "call"
    text: str
    columns: tuple[str, ...]
    code: str
    reference: str | None = None

    @property
    def source(self) -> str:
        """The operand as it may be written in a formula."""
        text = self.code.format(*map(quoted, self.columns))
        if self.kind != "factor":
            return text
        return f"C({text})" if self.reference is None else f"C({text}, ref={self.reference!r})"


Piece = str | Operand  # an operator or bracket of the term algebra, or an operand of it


@dataclass(frozen=True)
class GroupTerm:
    """`(effects | factor)`: effects that vary over the levels of one factor, or of an interaction of factors."""

    effects: tuple[Piece, ...]
    factor: tuple[str, ...]
    correlated: bool = True
    label: str | None = None  # brms's (1 |p| g): correlated with terms of the same label in other predictors

    @property
    def name(self) -> str:
        return ":".join(self.factor)

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
        bs, k = USUAL_SMOOTH["t2" if len(self.variables) == 2 else "s"]
        parts = [*map(quoted, self.variables)]
        parts += [quoted(self.by) if self.bs == "fs" else f"by={quoted(self.by)}"] if self.by else []
        parts += [f'bs="{self.bs}"'] if self.bs != bs else []
        parts += [f"k={self.k}"] if self.k != k else []
        return f"{'t2' if len(self.variables) == 2 else 's'}({', '.join(parts)})"

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.variables, self.by) if self.by else self.variables


@dataclass(frozen=True)
class Response:
    """Left side: an expression of columns, and `trials(...)` for binomial counts."""

    value: Operand
    trials: Operand | int | None = None  # a column or an expression, or one number for all rows


@dataclass(frozen=True)
class Formula:
    """A formula taken apart; `population` still holds the term algebra of the population effects."""

    text: str
    response: Response | None
    population: tuple[Piece, ...]
    offsets: tuple[Operand, ...] = ()
    groups: tuple[GroupTerm, ...] = ()
    smooths: tuple[SmoothTerm, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the formula names, once, in order."""
        found: list[str] = []
        if self.response:
            found += self.response.value.columns
            found += self.response.trials.columns if isinstance(self.response.trials, Operand) else ()
        found += self.predictor_columns
        return tuple(dict.fromkeys(found))

    @property
    def predictor_columns(self) -> tuple[str, ...]:
        """The columns of the right side."""
        found = [c for p in self.population if isinstance(p, Operand) for c in p.columns]
        found += [c for o in self.offsets for c in o.columns]
        found += [c for s in self.smooths for c in s.columns]
        for group in self.groups:
            found += [c for p in group.effects if isinstance(p, Operand) for c in p.columns]
            found += group.factor
        return tuple(dict.fromkeys(found))


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
class EventFormula:
    """The formula of an event taken apart: `kind` as R's Surv() calls it, its times, what says whether the event came."""

    text: str
    kind: str  # "right", "counting", "interval", "interval2" or "left"
    times: tuple[Operand, ...]
    event: Operand | StatusTest | None
    covariates: Formula

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the formula names, once, in order."""
        found = [c for part in (*self.times, *([self.event] if self.event else [])) for c in part.columns]
        return tuple(dict.fromkeys([*found, *self.covariates.predictor_columns]))


def quoted(name: str) -> str:
    """A column's name, in backticks where it is not a plain name."""
    return name if re.fullmatch(r"[^\W\d][\w.]*", name) else f"`{name}`"


def as_text(pieces: Sequence[Piece]) -> str:
    """The term algebra as a person would write it."""
    out = ""
    for piece in pieces:
        text = piece if isinstance(piece, str) else piece.source
        out += f" {text} " if text in ("+", "-") else f" {text} " if text == "*" else text
    return re.sub(r"\s+", " ", out).strip()


def parse(text: str, *, response: bool = True) -> Formula:
    """Take a formula apart.

    Parameters
    ----------
    text
        `"y ~ x + offset(log(t)) + (1 + x | g)"`; with `response=False`, a right side only, `"~ x + (1 | g)"`.

    Raises
    ------
    InputError
        One sentence that says what is wrong and, where it helps, where.
    """
    return _Parser(text).formula(response)


def parse_event(text: str) -> EventFormula:
    """Take the formula of an event apart: `"Surv(years, death) ~ drug"`.

    Raises
    ------
    InputError
        One sentence that says what is wrong and, where it helps, where.
    """
    return _Parser(text).event()


@dataclass
class _Parser:
    text: str
    tokens: list[Token] = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InputError(f"a formula is text such as 'y ~ x + (1 | g)', not {type(self.text).__name__}")
        if len(self.text) > MAX_LENGTH:
            raise InputError(f"the formula has {len(self.text)} characters; at most {MAX_LENGTH} are allowed")
        self.tokens = list(self._lex())
        self._check_brackets()

    def fail(self, message: str, at: int | None = None) -> InputError:
        if at is None:
            return InputError(f"formula: {message} in {self.text.strip()!r}")
        return InputError(f"formula: {message} at position {at + 1}\n    {self.text}\n    {' ' * at}^")

    def _lex(self) -> Iterator[Token]:
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                ch = self.text[at]
                what = "unclosed quote" if ch in "\"'`" else f"{ch!r} is not allowed"
                raise self.fail(what, at)
            if match.lastgroup == "name" and re.search(r"(^|\.)__\w*__", match.group()):
                raise self.fail(f"{match.group()!r} is not allowed in a formula", at)
            if match.lastgroup == "quoted" and not match.group().strip("`").strip():
                raise self.fail("a column without a name (``) is not allowed", at)
            if match.lastgroup != "space":
                yield Token(str(match.lastgroup), match.group(), at)
            at = match.end()

    def _check_brackets(self) -> None:
        open_at: list[int] = []
        for token in self.tokens:
            if token.text == "(":
                open_at.append(token.at)
                if len(open_at) > MAX_DEPTH:
                    raise self.fail(f"more than {MAX_DEPTH} nested brackets", token.at)
            elif token.text == ")":
                if not open_at:
                    raise self.fail("unmatched ')'", token.at)
                open_at.pop()
            elif token.text.startswith("%"):
                raise self.fail(
                    f"{token.text!r} is not supported; use a:x for an interaction, a/x for nesting", token.at
                )
        if open_at:
            raise self.fail("unmatched '('", open_at[-1])

    # ------------------------------------------------------------------------------------------- the two sides

    def formula(self, response: bool) -> Formula:
        tildes = [i for i, t in enumerate(self.tokens) if t.text == "~"]
        if len(tildes) > 1:
            raise self.fail("more than one '~'", self.tokens[tildes[1]].at)
        if response and (not tildes or tildes[0] == 0):
            raise self.fail("write the response, '~' and the predictors: 'y ~ x + (1 | g)'")
        left = self.tokens[: tildes[0]] if tildes else []
        right = self.tokens[tildes[0] + 1 :] if tildes else self.tokens
        if not response and left:
            raise self.fail("only a right side is expected here, '~ x + (1 | g)'")
        if not right:
            raise self.fail("nothing follows '~'; write 1 for an intercept alone" if tildes else "the formula is empty")
        if right[-1].kind == "op" and right[-1].text != ")":
            raise self.fail(f"the formula ends after {right[-1].text!r}", right[-1].at)
        population: list[Piece] = []
        offsets: list[Operand] = []
        groups: list[GroupTerm] = []
        smooths: list[SmoothTerm] = []
        for sign, tokens in self._summands(right):
            if _is_bracketed(tokens) and _bar(tokens[1:-1]) is not None:
                self._plus_only(sign, tokens, "a group term")
                groups += self._group_terms(tokens[1:-1])
            elif _calls(tokens, {"offset"}):
                self._plus_only(sign, tokens, "offset()")
                if len(tokens) == 3:
                    raise self.fail("offset() is empty", tokens[0].at)
                offsets.append(self._call(tokens[2:-1]))
            elif _calls(tokens, SMOOTHS):
                self._plus_only(sign, tokens, f"{tokens[0].text}()")
                term = self._smooth(tokens)
                if isinstance(term, GroupTerm):
                    groups.append(term)
                elif term in smooths:
                    raise self.fail(f"{term.source} stands twice", tokens[0].at)
                else:
                    smooths.append(term)
            else:
                if population or sign == "-":
                    population.append(sign)
                population += self._algebra(tokens)
        result = Formula(
            self.text.strip(),
            self._response(left) if response else None,
            tuple(population) or ("1",),
            tuple(offsets),
            _checked_groups(groups),
            tuple(smooths),
        )
        if result.response:
            both = [c for c in result.response.value.columns if c in result.predictor_columns]
            if both:
                raise InputError(f"formula: the response {both[0]!r} is also used as a predictor")
        return result

    def event(self) -> EventFormula:
        tilde = next((i for i, t in enumerate(self.tokens) if t.text == "~"), None)
        form = "Surv(years, death) ~ drug, or ~ 1"
        if tilde is None:
            raise self.fail(f"write the event, '~' and its covariates: {form}")
        left, right = self.tokens[:tilde], self.tokens[tilde + 1 :]
        if not _calls(left, {"Surv"}):
            raise self.fail(f"the left side of an event is Surv(time, event) or Surv(start, stop, event): {form}", 0)
        if not right:
            raise self.fail("nothing follows '~'; write 1 for no covariates")
        times: list[Operand | StatusTest] = []
        kind = ""
        for part in _split(left[2:-1]):
            if len(part) == 3 and part[0].text == "type" and part[1].text == "=" and part[2].kind == "string":
                kind = part[2].text[1:-1]
            elif len(part) == 3 and part[1].text in ("==", "!=") and part[2].kind == "string":
                times.append(StatusTest(_column(part[0]), part[2].text[1:-1], part[1].text == "=="))
            elif part:
                times.append(self._call(part))
        known = {("", 2): "right", ("right", 2): "right", ("", 3): "counting", ("counting", 3): "counting",
                 ("interval2", 2): "interval2", ("interval", 3): "interval", ("left", 2): "left"}  # fmt: skip
        if (kind, len(times)) not in known:
            raise self.fail(
                'Surv() takes (time, event), (start, stop, event), (left, right, type="interval2"), '
                '(time, time2, event, type="interval") or (time, event, type="left")',
                left[0].at,
            )
        kind = known[kind, len(times)]
        event = None if kind == "interval2" else times.pop()
        wrong = next((t for t in times if isinstance(t, StatusTest)), None)
        if wrong is not None:
            raise self.fail(f"Surv() has a comparison with {wrong.level!r} where a time is expected", left[0].at)
        start = right[0].at
        covariates = _Parser(self.text[start:]).formula(response=False)
        if covariates.groups or covariates.smooths:
            raise self.fail(
                'the covariates of an event are population terms; a frailty of the subject is association="shared_effects"',
                start,
            )
        return EventFormula(
            self.text.strip(), kind, tuple(t for t in times if isinstance(t, Operand)), event, covariates
        )

    def _plus_only(self, sign: str, tokens: list[Token], what: str) -> None:
        if sign == "-":
            raise self.fail(f"{what} cannot be subtracted; leave it out", tokens[0].at)

    def _summands(self, tokens: list[Token]) -> Iterator[tuple[str, list[Token]]]:
        depth, sign, part = 0, "+", list[Token]()
        for i, token in enumerate(tokens):
            depth += (token.text == "(") - (token.text == ")")
            if depth == 0 and token.text in ("+", "-") and token.kind == "op":
                if part:
                    yield sign, part
                elif i > 0:
                    raise self.fail(f"two operators in a row before {token.text!r}", token.at)
                sign, part = token.text, []
            else:
                part.append(token)
        if part:
            yield sign, part

    def _response(self, tokens: list[Token]) -> Response:
        bar = next((i for i, t in enumerate(tokens) if t.text == "|"), None)
        value = tokens if bar is None else tokens[:bar]
        if _calls(value, {"cbind"}):
            raise self.fail("cbind() is not used here; write successes | trials(n) ~ ...", value[0].at)
        trials = None
        if bar is not None:
            extra = tokens[bar + 1 :]
            if not _calls(extra, {"trials"}):
                raise self.fail("after '|' only trials(n) is known", tokens[bar].at)
            if len(extra) == 3:
                raise self.fail("trials() is empty; write trials(n)", extra[0].at)
            constant = len(extra) == 4 and extra[2].text.isdigit()
            trials = int(extra[2].text) if constant else self._call(extra[2:-1])
        if not value:
            raise self.fail("the response is missing before '|'")
        return Response(self._call(value), trials)

    # ------------------------------------------------------------------------------------------- smooths

    def _smooth(self, tokens: list[Token]) -> SmoothTerm | GroupTerm:
        """`s(x, by=f, bs="cr", k=10)`, `t2(x, z)`, or the group term (1 | g) that `s(g, bs="re")` is."""
        at, name = tokens[0].at, tokens[0].text
        form = 's(x, by=f, bs="cr", k=10)' if name == "s" else "t2(x, z, k=5)"
        columns: list[str] = []
        given: dict[str, Token] = {}
        for part in _split(tokens[2:-1]):
            if len(part) == 1 and part[0].kind in ("name", "quoted") and not given:
                columns.append(_column(part[0]))
            elif len(part) == 3 and part[0].text in ("by", "bs", "k") and part[1].text == "=":
                if part[0].text in given:
                    raise self.fail(f"{part[0].text} of {name}() is given twice", part[0].at)
                given[part[0].text] = part[2]
            else:
                raise self.fail(
                    f"{_source(part)!r} is not expected; {name}() takes columns, by=, bs= and k=, {form}; "
                    "for log(x) make a column of it",
                    part[0].at if part else at,
                )
        bs, k, by = (given.get(key) for key in ("bs", "k", "by"))
        if bs is not None and bs.kind != "string":
            raise self.fail(f'bs of {name}() is a basis in quotes, bs="cr"', bs.at)
        if k is not None and not (k.text.isdigit() and 3 <= int(k.text) <= MAX_K):
            raise self.fail(f"k of {name}() is a whole number from 3 to {MAX_K}", k.at)
        if by is not None and by.kind not in ("name", "quoted"):
            raise self.fail(f"by of {name}() is a column", by.at)
        usual = USUAL_SMOOTH[name]
        basis, size = bs.text[1:-1] if bs else usual[0], int(k.text) if k else usual[1]
        wanted = 2 if name == "t2" or basis == "fs" else 1
        if len(columns) != wanted or len(set(columns)) != wanted:
            hint = 's(x, g, bs="fs")' if basis == "fs" else form if name == "t2" else "s(x), or t2(x, z) for a surface"
            raise self.fail(f"{name}() names {len(columns)} columns where {wanted} are expected: {hint}", at)
        if by and (name == "t2" or basis == "fs"):
            raise self.fail(f"by= is not available for {'t2()' if name == 't2' else 'bs=fs'}", at)
        if basis == "re":
            if by or k:
                raise self.fail('s(g, bs="re") is (1 | g) and takes no by or k; write (0 + x | g) for a slope', at)
            return GroupTerm(("1",), (columns[0],))
        if basis == "fs":
            return SmoothTerm((columns[0],), "fs", size, columns[1])
        return SmoothTerm(tuple(columns), basis, size, _column(by) if by else None)

    # ------------------------------------------------------------------------------------------- group terms

    def _group_terms(self, tokens: list[Token]) -> list[GroupTerm]:
        bars = [i for i, t in enumerate(tokens) if t.text in ("|", "||")]
        label = None
        if len(bars) == 2 and all(tokens[b].text == "|" for b in bars) and bars[1] == bars[0] + 2:
            label = tokens[bars[0] + 1].text
        elif len(bars) != 1:
            raise self.fail(
                "a group term is (effects | factor), (effects || factor) or (effects |label| factor)", tokens[0].at
            )
        effects, factor = tokens[: bars[0]], tokens[bars[-1] + 1 :]
        if not effects:
            raise self.fail("no effects before '|'; write (1 | g) for an intercept", tokens[bars[0]].at)
        if not factor:
            raise self.fail("no grouping factor after '|'", tokens[bars[-1]].at)
        pieces = tuple(p for s, part in self._summands(effects) for p in ((s, *self._algebra(part))))
        pieces = pieces[1:] if pieces[0] == "+" else pieces
        correlated = tokens[bars[0]].text == "|"
        return [GroupTerm(pieces, f, correlated, label) for f in self._factors(factor)]

    def _factors(self, tokens: list[Token]) -> list[tuple[str, ...]]:
        names = tokens[::2]
        if any(t.kind not in ("name", "quoted") for t in names) or any(t.text not in ("/", ":") for t in tokens[1::2]):
            raise self.fail("a grouping factor is a column, a:b or a/b", tokens[0].at)
        if len(names) * 2 - 1 != len(tokens):
            raise self.fail("a grouping factor is a column, a:b or a/b", tokens[0].at)
        factors: list[tuple[str, ...]] = [(_column(names[0]),)]
        for op, name in zip(tokens[1::2], names[1:], strict=True):
            deeper = (*factors[-1], _column(name))
            if op.text == "/":
                factors.append(deeper)
            else:
                factors[-1] = deeper
        return factors

    # ------------------------------------------------------------------------------------------- population terms

    def _algebra(self, tokens: list[Token]) -> list[Piece]:
        """Operators and operands of Wilkinson's term algebra, each operand checked."""
        pieces: list[Piece] = []
        i, wants_operand = 0, True
        while i < len(tokens):
            token = tokens[i]
            if token.text in ("|", "||"):
                raise self.fail("write group terms in parentheses: (x | g)", token.at)
            if wants_operand:
                if token.text == "(":
                    end = _closing(tokens, i)
                    inner = tokens[i + 1 : end]
                    if not inner:
                        raise self.fail("empty brackets", token.at)
                    if _bar(inner) is not None:
                        raise self.fail("a group term stands alone, added with '+'", token.at)
                    body = [p for s, part in self._summands(inner) for p in (s, *self._algebra(part))]
                    pieces += ["(", *(body[1:] if body[0] == "+" else body), ")"]
                    i = end
                elif token.kind == "number":
                    if token.text not in ("0", "1"):
                        raise self.fail(
                            "only 0 or 1 (the intercept) may stand alone; for arithmetic write I(...)", token.at
                        )
                    pieces.append(token.text)
                elif token.kind in ("name", "quoted"):
                    is_call = token.kind == "name" and i + 1 < len(tokens) and tokens[i + 1].text == "("
                    end = _closing(tokens, i + 1) if is_call else i
                    if is_call and token.text in SMOOTHS | {"offset"}:
                        raise self.fail(f"{token.text}() stands alone, added with '+'", token.at)
                    pieces.append(self._call(tokens[i : end + 1]))
                    i = end
                else:
                    raise self.fail(f"{token.text!r} is not expected", token.at)
                wants_operand = False
            else:
                if token.text not in (":", "*", "/", "^", "**"):
                    raise self.fail(f"an operator is missing before {token.text!r}", token.at)
                if token.text in ("^", "**"):
                    i = self._power(tokens, i, pieces)
                else:
                    pieces.append(token.text)
                    wants_operand = True
            i += 1
        if wants_operand:
            last = tokens[-1] if tokens else None
            raise self.fail(
                f"the formula ends after {last.text!r}" if last else "a term is missing", last.at if last else None
            )
        return pieces

    def _power(self, tokens: list[Token], i: int, pieces: list[Piece]) -> int:
        token = tokens[i]
        if pieces[-1] != ")":
            raise self.fail(f"{token.text!r} means interaction; for a square write I(x**2)", token.at)
        order = tokens[i + 1] if i + 1 < len(tokens) else None
        if order is None or order.kind != "number" or not order.text.isdigit() or not 1 <= int(order.text) <= 5:
            raise self.fail("after ^ a whole number from 1 to 5 is expected: (a + b + c)^2", token.at)
        opened = len(pieces) - 1 - pieces[::-1].index("(")
        operands = sum(isinstance(p, Operand) for p in pieces[opened:])
        if math.comb(operands + int(order.text), operands) > MAX_TERMS:
            raise self.fail(f"{operands} terms to the power of {order.text} make too many columns", token.at)
        pieces += ["**", order.text]
        return i + 1

    def _call(self, tokens: list[Token]) -> Operand:
        """One expression: a column, a factor, or arithmetic and calls of the short list."""
        if len(tokens) == 1 and tokens[0].kind in ("name", "quoted"):
            name = _column(tokens[0])
            return Operand("column", name, (name,), "{0}")
        columns: list[str] = []
        spelt: list[str] = []
        for i, token in enumerate(tokens):
            following = tokens[i + 1].text if i + 1 < len(tokens) else ""
            if token.kind == "quoted" or (token.kind == "name" and following not in ("(", "=")):
                if token.text not in ("True", "False"):
                    name = _column(token)
                    if name not in columns:
                        columns.append(name)
                    spelt.append(f"{{{columns.index(name)}}}")
                    continue
            elif token.kind == "name" and following == "(":
                if token.text not in FUNCTIONS:
                    self._refuse_function(token)
            elif token.kind == "name" and not token.text.isidentifier():
                raise self.fail(f"{token.text!r} is not allowed in a formula", token.at)
            elif token.text in ("|", "||", "~", ":", "^"):
                hint = "; for a power write x**2" if token.text == "^" else ""
                raise self.fail(f"{token.text!r} is not allowed inside an expression{hint}", token.at)
            spelt.append(token.text)
        code = _spell(spelt)
        call = self._checked_tree(code, tokens)
        if not columns:
            raise self.fail(f"{_source(tokens)!r} names no column", tokens[0].at)
        if _calls(tokens, {"C"}):
            return self._factor(call, columns, tokens)
        if any(t.text == "C" and f.text == "(" for t, f in itertools.pairwise(tokens)):
            raise self.fail("C() stands alone or in an interaction", tokens[0].at)
        return Operand("call", code.format(*columns), tuple(columns), code)

    def _refuse_function(self, token: Token) -> None:
        if "__" in token.text or "." in token.text:
            raise self.fail(f"{token.text!r} is not allowed in a formula", token.at)
        if token.text in ("factor", "as.factor"):
            raise self.fail(f"unknown function {token.text!r}; write C(x)", token.at)
        known = sorted({*FUNCTIONS} | SMOOTHS | {"offset"}, key=str.lower)
        raise self.fail(
            f"unknown function {token.text!r}{did_you_mean(token.text, known) or ';'} allowed: {listing(known, 99)}",
            token.at,
        )

    def _checked_tree(self, code: str, tokens: list[Token]) -> ast.expr:
        """The second wall: what the tokens spell must be arithmetic and calls of the list, and small."""
        try:
            tree = ast.parse(re.sub(r"\{(\d+)\}", r"v\1", code), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError, IndexError):
            raise self.fail(f"{_source(tokens)!r} is not an expression", tokens[0].at) from None
        if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
            raise self.fail("the expression is too long", tokens[0].at)
        for node in ast.walk(tree):
            problem = self._problem(node, tokens)
            if problem:
                raise self.fail(problem, tokens[0].at)
        return tree.body

    def _problem(self, node: ast.AST, tokens: list[Token]) -> str | None:
        if not isinstance(node, _ARITHMETIC):
            return f"{type(node).__name__} is not allowed in a formula"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not _calls(tokens, {"C"}):
            return f"text ({node.value!r}) is not allowed here"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            power = _number(node.right)
            if power is None or abs(power) > MAX_EXPONENT or _number(node.left) is not None:
                return f"a power is x**2: an exponent is a number of at most {MAX_EXPONENT}"
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if name not in FUNCTIONS:
                return "only the functions of the list may be called"
            return None if name == "C" else _bad_arguments(name, node)
        return None

    def _factor(self, call: ast.expr, columns: list[str], tokens: list[Token]) -> Operand:
        assert isinstance(call, ast.Call)
        ok = len(call.args) == 1 and isinstance(call.args[0], ast.Name) and all(k.arg == "ref" for k in call.keywords)
        values = [k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)]
        values += [n for k in call.keywords if isinstance(k.value, ast.UnaryOp) and (n := _number(k.value)) is not None]
        if not ok or len(values) > 1 or len(values) < len(call.keywords):
            raise self.fail('C() takes a column and a reference level: C(x) or C(x, ref="b")', tokens[0].at)
        reference = str(values[0]) if values else None
        return Operand("factor", columns[0], tuple(columns), "{0}", reference)


def _bad_arguments(name: str, call: ast.Call) -> str | None:
    """Why the arguments beyond the first are not those that the function may have here."""
    largest = FUNCTIONS[name]
    given = dict(zip(largest, call.args[1:], strict=False))
    keywords = {k.arg: k.value for k in call.keywords}
    if not call.args or len(call.args) - 1 > len(largest) or not keywords.keys() <= largest.keys() - given.keys():
        return f"{name}() takes {' and '.join(['one expression', *largest])}"
    for argument, node in {**given, **keywords}.items():
        value = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(value, int) or not 0 <= value <= largest[str(argument)]:
            return f"{argument} of {name}() is a whole number of at most {largest[str(argument)]}"
    return None


def _number(node: ast.AST) -> float | None:
    """The value of a number, with its sign, else None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _number(node.operand)
        return None if value is None else -value
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else None


def _spell(parts: Sequence[str]) -> str:
    """Tokens as one text in which no two of them run together."""
    out = ""
    for part in parts:
        words = out[-1:].isalnum() or out[-1:] in ("}", "_", "'", '"')
        apart = words and (part[0].isalnum() or part[0] in "{_'\"")
        apart |= out[-1:] in "*<>=!" and out != "" and part[0] in "*<>=!"
        out += (" " if apart else "") + (", " if part == "," else part)
    return out


def _checked_groups(groups: list[GroupTerm]) -> tuple[GroupTerm, ...]:
    seen: set[str] = set()
    for group in groups:
        pieces = list(group.effects)
        has_intercept = not (pieces[0] == "0" or pieces[:2] == ["-", "1"] or _drops_intercept(pieces))
        if has_intercept and group.name in seen:
            raise InputError(
                f"group {group.name!r} has two intercept terms; write (0 + x | {group.name}) for a slope without a second intercept"
            )
        if has_intercept:
            seen.add(group.name)
    return tuple(groups)


def _drops_intercept(pieces: Sequence[Piece]) -> bool:
    return any(a == "-" and b == "1" or a == "+" and b == "0" for a, b in itertools.pairwise(pieces))


def _column(token: Token) -> str:
    return token.text.strip("`") if token.kind == "quoted" else token.text


def _source(tokens: Sequence[Token]) -> str:
    return "".join(t.text for t in tokens)


def _split(tokens: Sequence[Token]) -> list[list[Token]]:
    """The arguments of a call, cut at the commas that are not in brackets."""
    parts, depth = [list[Token]()], 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _calls(tokens: Sequence[Token], names: frozenset[str] | set[str]) -> bool:
    if len(tokens) < 3 or tokens[0].text not in names or tokens[1].text != "(":
        return False
    return _closing(tokens, 1) == len(tokens) - 1


def _closing(tokens: Sequence[Token], start: int) -> int:
    depth = 0
    for i in range(start, len(tokens)):
        depth += (tokens[i].text == "(") - (tokens[i].text == ")")
        if depth == 0:
            return i
    raise AssertionError("brackets were checked before")


def _is_bracketed(tokens: Sequence[Token]) -> bool:
    return len(tokens) > 2 and tokens[0].text == "(" and _closing(tokens, 0) == len(tokens) - 1


def _bar(tokens: Sequence[Token]) -> int | None:
    depth = 0
    for i, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.text in ("|", "||"):
            return i
    return None
