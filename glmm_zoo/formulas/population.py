"""Design matrices: terms of a formula, coded on a table as columns of numbers.

formulaic codes the terms and remembers what its transforms learnt (means, knots), so that other rows can be coded alike.
It evaluates Python; therefore it sees only expressions that the grammar has checked, with columns renamed to v0, v1, ...
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, at_rows, attempt, did_you_mean, listing, plural, raise_all
from glmm_zoo.formulas.centring import products_at_means
from glmm_zoo.formulas.expansion import expanded
from glmm_zoo.formulas.learnt_columns import CONTEXT, SafeNames, code_learnt_columns, codes_of_levels, readable
from glmm_zoo.formulas.missing_values import MissingValues, missing_values
from glmm_zoo.formulas.monotonic import Monotonic, codes_from_lowest, steps_of
from glmm_zoo.formulas.terms import Expression, Symbol, as_text, summands
from glmm_zoo.tables.columns import Column, Table
from glmm_zoo.tables.memory import available_memory

CodeNewRows = Callable[[Table], np.ndarray]
_COPIES = 2  # of a design matrix, for a moment
_FEW_COLUMNS = 500  # they are worked out however few rows there are


@dataclass(frozen=True)
class DesignMatrix:
    """Coded columns of one right side: `values` (n, p) float64 in Fortran order, without the intercept.

    `intercept` says whether the right side has one. `code_new_rows(table)` (m, p) codes other rows by what was learnt
    from these: levels, means, knots. Where there are products of covariates, values @ to_zero are the columns with these at the
    means of their covariates, and to_zero (p, p) times the coefficients there are those at zero. In columns with mo(x) it is x, as with
    even steps; `monotonic` is what uneven ones change. In columns with mi(x) gaps have one value; `missing` is what unknowns change.
    """

    values: np.ndarray
    labels: tuple[str, ...]
    intercept: bool
    learnt: Mapping[str, Any] = field(default_factory=dict)  # what the transforms learnt, JSON-able
    means: np.ndarray = field(default_factory=lambda: np.empty(0))  # (p,) over the rows of the data
    spreads: np.ndarray = field(default_factory=lambda: np.empty(0))  # (p,) see `spread`
    code_new_rows: CodeNewRows = field(default=lambda table: np.empty((table.rows, 0)), compare=False)
    to_zero: np.ndarray | None = None
    monotonic: tuple[Monotonic, ...] = ()
    missing: tuple[MissingValues, ...] = ()

    @property
    def centred(self) -> np.ndarray:
        """The columns (n, p) less their means, products at the means of their covariates."""
        values = self.values - self.means
        return values if self.to_zero is None else values @ self.to_zero


def code_terms(symbols: Sequence[Symbol], table: Table, special: bool = False) -> DesignMatrix:
    """The columns of a sum of terms, named as users read them ("trt[drug]", "age:trt[drug]", "poly(x, 2)[1]").

    `special` says whether mo() and mi() may be among the terms.

    Raises
    ------
    InputError
        Text where numbers are needed, factors with one level, unknown reference levels; terms that cannot be computed or
        are not finite.
    """
    frame: _Values = {}
    names = SafeNames()
    problems: list[str] = []
    words = [symbol if isinstance(symbol, str) else _add(symbol, table, frame, names, problems) for symbol in symbols]
    if names.missing and not special:
        problems.append(
            f"mi({names.columns[min(names.missing)]}) is not available here; leave rows with missing values out"
        )
    if names.monotonic and not special:
        column = names.columns[next(iter(names.monotonic))]
        problems.append(
            f"mo({column}) is not available here; write C({column}), or a column of numbers for the levels of {column}"
        )
    raise_all(problems)
    if not frame:
        intercept = not {"0", "-1"} & set(summands(symbols))
        return DesignMatrix(np.empty((table.rows, 0), order="F"), (), intercept)
    _refuse_many_columns(symbols, table, names)
    matrix = _formulaic_matrix(" ".join(words), symbols, frame, names)
    spec = matrix.model_spec
    coded = list(spec.column_names)
    keep = [i for i, name in enumerate(coded) if name != "Intercept"]
    values = np.asfortranarray(np.asarray(matrix, dtype=np.float64)[:, keep])
    labels = tuple(_label(coded[i], names) for i in keep)
    infinite = ~np.isfinite(values)
    if infinite.any():
        first = int(np.flatnonzero(infinite.any(axis=0))[0])
        rows = table.row_numbers[np.flatnonzero(infinite[:, first])]
        raise InputError(
            f"formula: {labels[first]!r} is not finite in {at_rows(rows)}; log() and sqrt() need numbers in their range"
        )
    learnt = {
        "transforms": {readable(k, names): _jsonable(state) for k, state in spec.transform_state.items() if state},
        "levels": {names.columns[name]: list(levels) for name, levels in (names.levels | names.monotonic).items()},
    }

    def code_new_rows(other: Table, at_one: str = "") -> np.ndarray:
        return code_learnt_columns(other, spec, symbols, names, keep, labels, at_one)

    intercept = "Intercept" in coded
    numbers = {name: frame[name] for name in names.columns if name not in names.levels}
    products = [coded[i] for i in keep]
    to_zero = products_at_means(products, values, numbers, names.levels) if intercept else None
    at_means = values if to_zero is None else values @ to_zero
    spreads = np.array([spread(at_means[:, k]) for k in range(len(labels))])
    steps = tuple(
        _monotonic(name, names, products, table, partial(code_new_rows, at_one=name)) for name in names.monotonic
    )
    gaps = tuple(
        missing_values(names.columns[name], _places(name, names, products), table, partial(code_new_rows, at_one=name))
        for name in sorted(names.missing)
    )
    return DesignMatrix(
        values, labels, intercept, learnt, values.mean(axis=0), spreads, code_new_rows, to_zero, steps, gaps
    )


def _places(name: str, names: SafeNames, products: Sequence[str]) -> tuple[int, ...]:
    """The `products` of which mo(x) or mi(x), called `name`, is a factor, and no other such."""
    places = tuple(k for k, product in enumerate(products) if name in product.split(":"))
    for product in (products[k] for k in places):
        if sum(part in {*names.monotonic, *names.missing} for part in product.split(":")) > 1:
            what = "two monotonic effects" if not names.missing else "what stands in mo() or mi()"
            raise InputError(
                f"formula: {_label(product, names)!r} multiplies {what}, which is not available; leave it out"
            )
    return places


def _monotonic(
    name: str, names: SafeNames, products: Sequence[str], table: Table, code_with_ones: CodeNewRows
) -> Monotonic:
    """The steps of mo(x), the factor `name` of some `products`; `code_with_ones(table)` are all products where mo(x) is 1."""
    column, levels = names.columns[name], names.monotonic[name]
    places = _places(name, names, products)

    def code_new_rows(other: Table) -> np.ndarray:
        x = codes_of_levels(other[column], levels).astype(float)
        return steps_of(x, len(levels) - 1, code_with_ones(other)[:, places])

    return Monotonic(column, levels, places, code_new_rows(table), code_new_rows)


def _refuse_many_columns(symbols: Sequence[Symbol], table: Table, names: SafeNames) -> None:
    """Refuse factors whose interactions have more columns than there are rows or than fit in memory, before they are coded."""
    levels = {names.columns[name]: len(of_factor) for name, of_factor in names.levels.items()}

    def least(expression: Expression) -> int:
        if expression.kind in ("call", "monotonic", "missing"):
            return 1
        column = table[expression.columns[0]]
        return levels.get(column.name, 2) - 1 if expression.kind == "factor" or column.kind != "number" else 1

    terms = expanded(symbols, len(symbols) + _FEW_COLUMNS)
    columns = sum(math.prod(map(least, term)) for term in terms)
    needed, most = 8.0 * columns * table.rows * _COPIES, available_memory()
    if columns > max(table.rows, _FEW_COLUMNS) or needed > most:
        raise InputError(
            f"formula: {as_text(symbols)!r} makes at least {columns} columns of {plural(table.rows, 'row')}; "
            "use fewer interactions of factors, or group terms, (1 | a:b)"
        )


def coded_expression(expression: Expression, table: Table) -> tuple[np.ndarray, CodeNewRows]:
    """An expression of columns as numbers (n,), for offsets and transformed responses, and what makes those of other rows (m,)."""
    if expression.kind == "column":

        def numbers(other: Table) -> np.ndarray:
            return other[expression.columns[0]].numbers("the formula")

        return numbers(table), numbers
    matrix = code_terms(("0", "+", replace(expression, code=f"I({expression.code})")), table)
    if matrix.values.shape[1] != 1:
        raise InputError(f"formula: {expression.text!r} gives {matrix.values.shape[1]} columns where one is expected")
    return np.ascontiguousarray(matrix.values[:, 0]), lambda other: matrix.code_new_rows(other)[:, 0]


def evaluate_expression(expression: Expression, table: Table) -> np.ndarray:
    """An expression of columns as numbers (n,)."""
    return coded_expression(expression, table)[0]


def spread(column: np.ndarray) -> float:
    """The distance of a column's two values where it has two, else its standard deviation; 1 for a constant column."""
    low, high = float(column.min()), float(column.max())
    if low == high:
        return 1.0
    return high - low if np.all((column == low) | (column == high)) else float(np.std(column))


def aliased(matrix: DesignMatrix, tolerance: float = 1e-8) -> str | None:
    """A sentence that names the columns that are linear combinations of the ones before them, or more than there are rows; or None.

    Each column, scaled to length one, is regressed on the ones kept before it; where the residual is shorter than
    `tolerance`, the column is aliased.
    """
    values = _products_without_lower_terms(matrix)
    labels = list(matrix.labels)
    if matrix.intercept:
        values = np.column_stack([np.ones(len(values)), values])
        labels = ["Intercept", *labels]
    if not labels:
        return None
    length = np.linalg.norm(values, axis=0)
    zero = [labels[i] for i in np.flatnonzero(length == 0)]
    if zero:
        return f"formula: {listing(map(repr, zero))} is zero in every row (levels that never occur together); join levels, or make a column of the combinations that occur"
    if len(labels) > len(values):
        return f"formula: {len(labels)} population columns for {plural(len(values), 'row')}; use fewer terms"
    scaled = values / length
    kept: list[int] = []
    combinations: list[str] = []
    for i in range(scaled.shape[1]):
        if kept:
            basis = scaled[:, kept]
            weights = np.linalg.lstsq(basis, scaled[:, i], rcond=None)[0]
            if np.linalg.norm(scaled[:, i] - basis @ weights) < tolerance:
                others = [labels[k] for k, w in zip(kept, weights, strict=True) if abs(w) > 1e-6]
                combinations.append(f"{labels[i]!r} is a linear combination of {listing(map(repr, others), 6)}")
                continue
        kept.append(i)
    if not combinations:
        return None
    return f"formula: the design is rank deficient: {'; '.join(combinations)}; leave the repeated columns out"


def _products_without_lower_terms(matrix: DesignMatrix) -> np.ndarray:
    """The columns (n, p) with products at the means of their covariates, less their own: far from zero x:w is nearly w and x."""
    values = matrix.values.copy()
    if matrix.to_zero is not None:
        p = len(matrix.to_zero)
        at_means = values[:, :p] @ matrix.to_zero
        at_means -= at_means.mean(axis=0)
        remains = np.linalg.norm(at_means, axis=0) > 1e-12 * np.linalg.norm(values[:, :p], axis=0)
        is_product = remains & (matrix.to_zero != np.eye(p)).any(axis=0)
        values[:, :p][:, is_product] = at_means[:, is_product]
    return values


# ------------------------------------------------------------------------------------------- what formulaic is given


_Values = dict[str, Any]  # by safe name: numbers (n,), or a pandas Categorical of codes "0", "1", ...


def _add(expression: Expression, table: Table, frame: _Values, names: SafeNames, problems: list[str]) -> str:
    """The expression as formulaic reads it; its columns go into `frame` and `names`, what is wrong with them into `problems`."""
    if expression.kind == "call":
        return _add_call(expression, table, frame, names, problems)
    if expression.kind == "monotonic":
        return _add_monotonic(expression, table, frame, names, problems)
    column = table[expression.columns[0]]
    if expression.kind == "missing":
        known = (v for v in names.missing if names.columns[v] == column.name)
        name = next(known, f"v{len(names.columns)}")
        names.missing.add(name)
        frame[name], names.columns[name] = column.numbers(f"mi({column.name})"), column.name
        return name
    if expression.kind == "column" and column.kind == "number":
        name = names.of_numbers(column.name)
        values = attempt(lambda: column.numbers("a predictor"), problems)
        if values is None:
            return "0"
        frame[name], names.columns[name] = values, column.name
        return name
    if column.kind == "date" and expression.kind != "factor":
        attempt(lambda: column.numbers("a predictor"), problems)
        return "0"
    return _add_factor(expression, column, frame, names, problems)


def _add_monotonic(expression: Expression, table: Table, frame: _Values, names: SafeNames, problems: list[str]) -> str:
    column = table[expression.columns[0]]
    coded = attempt(lambda: codes_from_lowest(column, expression.order), problems)
    if coded is None:
        return "0"
    x, levels = coded
    known = (v for v, of_v in names.monotonic.items() if names.columns[v] == column.name)
    name = next(known, f"v{len(names.columns)}")
    if names.monotonic.setdefault(name, levels) != levels:
        problems.append(f"mo({column.name}): two orders of its levels in one formula; give the same one each time")
    frame[name], names.columns[name] = x, column.name
    return name


def _add_call(expression: Expression, table: Table, frame: _Values, names: SafeNames, problems: list[str]) -> str:
    safe_names = []
    for column in (table[c] for c in expression.columns):
        name = names.of_numbers(column.name)
        values = attempt(lambda column=column: column.numbers(f"{expression.text!r}"), problems)
        if values is not None and name not in frame:
            frame[name], names.columns[name] = values, column.name
        safe_names.append(name)
    return _with_centred_splines(expression.code.format(*safe_names))


def _add_factor(expression: Expression, column: Column, frame: _Values, names: SafeNames, problems: list[str]) -> str:
    import pandas as pd

    codes, levels = column.codes_and_levels()
    if expression.reference is not None:
        if expression.reference not in levels:
            near = did_you_mean(expression.reference, levels) or ";"
            problems.append(f"C({column.name}): no level {expression.reference!r}{near} levels: {listing(levels)}")
            return "0"
        reference = levels.index(expression.reference)
        order = [reference, *(i for i in range(len(levels)) if i != reference)]
        codes, levels = np.argsort(order)[codes], tuple(levels[i] for i in order)
    if len(levels) == 1:
        problems.append(f"factor {column.name!r} has one level ({levels[0]!r}); leave it out of the formula")
        return "0"
    # one column may be a factor with several reference levels
    known = (v for v, of_v in names.levels.items() if names.columns[v] == column.name and of_v[0] == levels[0])
    name = next(known, f"v{len(names.columns)}")
    frame[name] = pd.Categorical.from_codes(codes, categories=[str(i) for i in range(len(levels))])
    names.columns[name], names.levels[name] = column.name, levels
    return name


def _with_centred_splines(code: str) -> str:
    """The code with its cubic splines centred: their basis sums to one and would repeat the intercept."""
    tree = ast.parse(code, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("cr", "cs", "cc"):
            node.keywords.append(ast.keyword("constraints", ast.Constant("center")))
    return ast.unparse(tree)


# ---------------------------------------------------------------------------------------------------- what it gives back


def _formulaic_matrix(code: str, symbols: Sequence[Symbol], frame: _Values, names: SafeNames) -> Any:
    """formulaic's matrix of the columns in `frame`, with its model_spec."""
    import pandas as pd
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return Formula(code).get_model_matrix(
                pd.DataFrame(frame), context=CONTEXT, output="numpy", na_action="ignore"
            )
    except (FormulaicError, ValueError, TypeError, ZeroDivisionError, OverflowError, np.linalg.LinAlgError) as err:
        detail = readable(str(err.__cause__ or err), names).splitlines()[-1:]
        raise InputError(f"formula: {as_text(symbols)!r} cannot be computed: {' '.join(detail)}") from None


def _label(name: str, names: SafeNames) -> str:
    """A column of formulaic's, "v0:v1[T.2]", with the user's names and levels: "age:trt[drug]"."""

    def part(text: str) -> str:
        level = re.fullmatch(r"(v\d+)\[(?:T\.)?(\d+)\]", text)
        if level and level[1] in names.levels:
            return f"{names.columns[level[1]]}[{names.levels[level[1]][int(level[2])]}]"
        return names.shown(text) or readable(text, names)

    return ":".join(part(text) for text in name.split(":"))


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple | set):
        return [_jsonable(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, str | int | float | bool | None) else str(value)
