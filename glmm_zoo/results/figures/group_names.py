"""Which rows of a fit belong to which level of a grouping factor, and what the levels are called in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, listing
from glmm_zoo.formulas.group_effects import grouping_factor
from glmm_zoo.formulas.members import member_levels, members_in_rows
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.results.about import About
from glmm_zoo.results.once import once
from glmm_zoo.results.storage import groups_of_outcomes, metadata, stored_table
from glmm_zoo.tables.frames import take_columns
from glmm_zoo.tables.text_values import as_number


@dataclass(frozen=True)
class FactorRows:
    """A grouping factor in the table of a fit.

    Attributes
    ----------
    columns
        The columns that make it: more than one where it is nested in others.
    table
        The rows of the fit that have it; of one of several outcomes others may lack it.
    levels, codes
        The levels in the order of the posterior, and that of each row (n,).
    first
        A row of each level (levels,).
    """

    columns: list[str]
    table: pd.DataFrame
    levels: tuple[str, ...]
    codes: np.ndarray
    first: np.ndarray

    def codes_at(self, rows: pd.DataFrame) -> np.ndarray:
        """The levels of some rows of the table, as its index names them."""
        return pd.Series(self.codes, self.table.index).loc[rows.index].to_numpy()

    def labels(self, about: About, levels: np.ndarray) -> list[str]:
        """These levels in words: their label columns ("Aronson, 1948"), or their names, numbers with the word for the column.

        A label column counts that is the same in all rows of each level.
        """
        told = [c for c in about.label if c in self.table and self._constant(c)]
        rows = self.table.iloc[self.first[levels]]
        columns = told or self.columns
        texts = [[about.level(c, _text(value)) for value in rows[c]] for c in columns]
        if not told:
            texts = [
                [f"{about.name(c)} {t}" if as_number(t) is not None else t for t in of_column]
                for c, of_column in zip(columns, texts, strict=True)
            ]
        return [", ".join(parts) for parts in zip(*texts, strict=True)]

    def _constant(self, column: str) -> bool:
        values = pd.factorize(self.table[column])[0]
        return bool(np.array_equal(values[self.first][self.codes], values))


def rows_of_factor(tree: xr.DataTree, name: str) -> FactorRows:
    """The rows of a grouping factor that the posterior calls `name`: "herd", or "popu:gen" of a nested one.

    Raises
    ------
    InputError
        A name that is not made of columns of the fit.
    """
    return once(("factor", name), tree, lambda: _rows_of_factor(tree, name))


def _rows_of_factor(tree: xr.DataTree, name: str) -> FactorRows:
    table = stored_table(tree)
    members = _members(tree).get(_without_predictor(tree, name))
    if members is not None:
        return _rows_of_members(table, _without_predictor(tree, name), members)
    columns = _columns(tree, name)
    table = table.dropna(subset=columns)
    factor = grouping_factor(columns, take_columns(table, columns))
    return FactorRows(columns, table, factor.levels, factor.codes, np.unique(factor.codes, return_index=True)[1])


def _rows_of_members(table: pd.DataFrame, name: str, columns: list[str]) -> FactorRows:
    """Each row once for each of the levels that it has, mm(g1, g2), whose names are a column of the factor's."""
    table = table.dropna(subset=columns)
    checked = take_columns(table, columns)
    levels = member_levels(columns, checked)
    codes = members_in_rows(levels, columns, None, checked)[0].T
    table = pd.concat([table.assign(**{name: np.array(levels, object)[of_member]}) for of_member in codes])
    return FactorRows([name], table, levels, codes.ravel(), np.unique(codes, return_index=True)[1])


def _members(tree: xr.DataTree) -> dict[str, list[str]]:
    """The columns of each factor of which rows have several levels, by its name."""
    described = (g["members"] for g in metadata(tree)["spec"]["groups"].values() if "members" in g)
    return {variable_name("+".join(of["columns"])): of["columns"] for of in described}


def grouping_factors(tree: xr.DataTree) -> list[str]:
    """The names of the grouping factors of which a row has one level, once each; of a process over time that of its series."""
    groups = {name: g for name, g in groups_of_outcomes(metadata(tree)["spec"]).items() if "members" not in g}
    return list(dict.fromkeys(group.get("process", {}).get("of", name) for name, group in groups.items()))


def plural_of_levels(tree: xr.DataTree, name: str, about: About) -> str:
    """ "herds", "genotypes within populations": the levels of the factor of that name."""
    columns = [name] if _without_predictor(tree, name) in _members(tree) else _columns(tree, name)
    return " within ".join(about.plural(about.name(_without_predictor(tree, c))) for c in reversed(columns))


def _columns(tree: xr.DataTree, name: str) -> list[str]:
    """The columns that make a factor."""
    of_tables = {
        g["sd"].split("sd_", 1)[1]: g["structure"]
        for g in metadata(tree)["spec"]["groups"].values()
        if "structure" in g
    }
    if _without_predictor(tree, name) in of_tables:
        return of_tables[_without_predictor(tree, name)]["columns"]
    known = {variable_name(c): c for c in stored_table(tree).columns.map(str)}
    return [known[part] for part in _parts(_without_predictor(tree, name), list(known))]


def _without_predictor(tree: xr.DataTree, name: str) -> str:
    """The name of a factor, without that of the linear predictor: "gen" of "zi_gen", whose sd is `zi_sd_gen`."""
    group = metadata(tree)["spec"]["groups"].get(name)
    if group is None:
        return name
    return name[next(i for i in range(len(name)) if f"{name[:i]}sd_{name[i:]}" == group["sd"]) :]


def _parts(name: str, known: Sequence[str]) -> list[str]:
    """The names that a name of a factor is joined of by colons, which they may have themselves."""
    if name in known:
        return [name]
    for first in known:
        if name.startswith(f"{first}:"):
            return [first, *_parts(name[len(first) + 1 :], known)]
    raise InputError(f"no grouping factor {name!r}; columns of this fit: {listing(known)}")


def _text(value: object) -> str:
    """A value of a table as levels are written: whole numbers without a point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
