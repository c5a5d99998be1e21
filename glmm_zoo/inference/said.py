"""What is said of a model in words, held against the columns, levels and outcomes that the model has, before it is sampled."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from glmm_zoo.errors import InputError, did_you_mean, listing, raise_all, shown
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.results.about import KEY, About, read_about
from glmm_zoo.results.storage import metadata, stored_table
from glmm_zoo.tables.columns import Column, Table
from glmm_zoo.tables.frames import column_names, further_columns, take_columns_with_gaps

if TYPE_CHECKING:
    import xarray as xr

    from glmm_zoo.graph.model import Model

type Words = About | Mapping[str, Any] | str | os.PathLike[str]


def given_words(about: Words) -> About:
    """Words that are given: as they are, as a mapping of the fields, or as a TOML file of them.

    Raises
    ------
    InputError
        A file that cannot be read or is not TOML; fields that there are not or that have another type.
    """
    if not isinstance(about, str | os.PathLike):
        return read_about(about)
    path = Path(about)
    try:
        return read_about(tomllib.loads(path.read_text(encoding="utf-8")), f"{KEY}: {path}")
    except OSError as err:
        raise InputError(f"{KEY}: file {shown(str(path))} cannot be read: {err.strerror}; give a .toml file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, ValueError) as err:
        raise err if isinstance(err, InputError) else InputError(f"{KEY}: {path} is not TOML: {err}") from None


def words_of(model: Model, about: Words | None) -> tuple[About, dict[str, dict[str, Column]]]:
    """What is said of a model, and the columns that only label its groups, by the dimension of their rows and by name.

    Without `about` it is what the model's card says, as far as this model has the columns, levels and outcomes that are named.

    Raises
    ------
    InputError
        Columns that the model does not have, levels that a column does not have, outcomes that are not there.
    """
    known = _of_model(model)
    if about is None:
        said = known.part_of(model.about)
    else:
        said = given_words(about)
        raise_all(known.problems(said))
    return said, known.labels(said)


def words_for(tree: xr.DataTree, about: Words) -> About:
    """What is said of a fit afterwards, such as of one of which nothing was said.

    Raises
    ------
    InputError
        As `words_of`; columns that the file does not hold.
    """
    said = given_words(about)
    raise_all(_of_fit(tree).problems(said))
    return said


def _of_model(model: Model) -> _Vocabulary:
    tables = {"row": model.frame, **model.also}
    sources = {dim: [] if t.data is None else column_names(t.data) for dim, t in tables.items()}
    event = None if model.event is None else model.event.name
    outcomes = [str(rv.name) for rv in model.outcomes if rv.name != event]
    return _Vocabulary(tables, sources, model.spec, outcomes, "the data have")


def _of_fit(tree: xr.DataTree) -> _Vocabulary:
    columns = tree["constant_data"].dataset
    frames = {str(dim): stored_table(tree, str(dim)) for dim in dict.fromkeys(v.dims[0] for v in columns.values())}
    tables = {dim: take_columns_with_gaps(frame, list(frame)) for dim, frame in frames.items()}
    spec, outcomes = metadata(tree)["spec"], list(map(str, tree["observed_data"].data_vars))
    sources = {dim: list(table.columns) for dim, table in tables.items()}
    return _Vocabulary(tables, sources, spec, outcomes[:-1] if "event" in spec else outcomes, "the file holds")


@dataclass(frozen=True)
class _Vocabulary:
    """What words can be about.

    Attributes
    ----------
    tables
        With the columns of the model and their levels, by the dimension of their rows.
    columns
        Those of the sources of the tables.
    spec
        Of the model, whose trial may have a variable of its own.
    outcomes
        Their names, without the event.
    source
        What has the columns: "the data have".
    """

    tables: Mapping[str, Table]
    columns: Mapping[str, list[str]]
    spec: Mapping[str, Any]
    outcomes: list[str]
    source: str

    @property
    def arms(self) -> Mapping[str, str]:
        return self.spec.get("facts", {}).get("arms", {})

    @cached_property
    def variables(self) -> list[str]:
        own = dict.fromkeys(c for table in self.tables.values() for c in table.columns)
        return list(own | dict.fromkeys([self.arms["variable"]] if self.arms else []))

    def levels(self, variable: str) -> Collection[str]:
        """The levels of a variable, numbers also as the source writes them."""
        found: dict[str, None] = {}
        if variable == self.arms.get("variable"):
            found |= dict.fromkeys([self.arms["control"], self.arms["treated"]])
        for table in self.tables.values():
            if variable in table.columns:
                column = table[variable].take(~table[variable].missing)
                found |= dict.fromkeys([*column.codes_and_levels()[1], *column.group_labels()[1]])
        return found

    def sources(self, label: str) -> list[str]:
        """The dimensions of the tables whose source has a column that can be kept beside those of the model."""
        return [
            dim
            for dim, table in self.tables.items()
            if label in self.columns[dim]
            and label not in table.columns
            and variable_name(label) not in map(variable_name, table.columns)
        ]

    def may_label(self, label: str) -> bool:
        """Whether a column can label groups."""
        return label in self.variables or bool(self.sources(label))

    def labels(self, about: About) -> dict[str, dict[str, Column]]:
        """The columns that label groups and are no variables, by the dimension of their rows."""
        wanted = {dim: [c for c in about.label if dim in self.sources(c)] for dim in self.tables}
        return {dim: further_columns(self.tables[dim], names) for dim, names in wanted.items() if names}

    def problems(self, about: About) -> list[str]:
        """A sentence on each word that is about nothing."""
        problems = []
        of = [about.of] if about.of else []
        named = {"of": of, "at": about.at, "names": about.names, "units": about.units, "levels": about.levels}
        for field, variables in named.items():
            known = self.variables if field in ("of", "at") else [*self.variables, *about.label]
            what = f"{field}: the model has no variable"
            problems += [_unknown(what, v, known, "variables") for v in variables if v not in known]
        for column, words in about.levels.items():
            levels = self.levels(column) if column in self.variables else words
            what = f"levels: {column!r} has no level"
            problems += [_unknown(what, level, levels, "levels") for level in words if level not in levels]
        what = "outcomes: the model has no outcome"
        problems += [_unknown(what, n, self.outcomes, "outcomes") for n in about.outcomes if n not in self.outcomes]
        known, what = dict.fromkeys(chain(*self.columns.values())), f"label: {self.source} no column"
        problems += [_unknown(what, c, known, "columns") for c in about.label if not self.may_label(c)]
        return problems + self._problems_of_control(about)

    def _problems_of_control(self, about: About) -> list[str]:
        variable = about.of or self.arms.get("variable", "")
        if not about.control or (variable and variable not in self.variables):
            return []
        if not variable:
            return [f"{KEY}: control={about.control!r} is a level of the variable that 'of' names; give of, too"]
        levels = self.levels(variable)
        what = f"control: {variable!r} has no level"
        return [] if about.control in levels else [_unknown(what, about.control, levels, "levels")]

    def part_of(self, about: About) -> About:
        """What of these words is about something that the model has."""
        label = [c for c in about.label if self.may_label(c)]
        known = {*self.variables, *label}
        levels = {
            column: {level: text for level, text in words.items() if column in label or level in self.levels(column)}
            for column, words in about.levels.items()
            if column in known
        }
        kept = msgspec.structs.replace(
            about,
            at={c: value for c, value in about.at.items() if c in self.variables},
            label=label,
            names={c: text for c, text in about.names.items() if c in known},
            units={c: text for c, text in about.units.items() if c in known},
            levels=levels,
            outcomes={name: outcome for name, outcome in about.outcomes.items() if name in self.outcomes},
            of=about.of if about.of in self.variables else "",
        )
        return msgspec.structs.replace(kept, control="") if self._problems_of_control(kept) else kept


def _unknown(what: str, name: str, known: Collection[str], words: str) -> str:
    return f"{KEY}: {what} {name!r}{did_you_mean(name, known) or ';'} {words}: {listing(known)}"
