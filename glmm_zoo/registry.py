"""What is in the zoo: builders, found as files and never listed, and the model cards. Imports the rooms to its left.

Builders are read as syntax trees, so that listing them imports nothing.
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from glmm_zoo.errors import InputError, did_you_mean, listing, raise_all
from glmm_zoo.tables.files import RawTable, read_table

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Builder:
    """A builder as its file tells: name, aliases, one-line title, docstring, and the arguments of its function.

    `tables` stand before the formula, `options` are its keywords, of which those in `required` have no default.
    """

    name: str
    aliases: tuple[str, ...]
    title: str
    doc: str
    tables: tuple[str, ...]
    options: tuple[str, ...]
    required: tuple[str, ...]

    def in_order[T](self, data: T, survival: T | None) -> list[T | None]:
        """The tables in the order of the function's arguments; None for one that is not given.

        Raises
        ------
        InputError
            A table that the builder does not take.
        """
        beside = {"survival": survival}
        raise_all(
            [
                f"{self.name} takes no {name} table, and {str(table)!r} is given as one; leave out --{name} (in a card: {name})"
                for name, table in beside.items()
                if table is not None and name not in self.tables
            ]
        )
        return [data, *(beside[name] for name in self.tables[1:])]

    def function(self) -> Callable[..., Any]:
        """The builder function itself; imports its file."""
        return getattr(importlib.import_module(f"glmm_zoo.builders.{self.name}"), self.name)


@functools.cache
def builders() -> Mapping[str, Builder]:
    """Every builder by name."""
    return {path.stem: _read_builder(path) for path in sorted((_HERE / "builders").glob("[a-z]*.py"))}


def _read_builder(path: Path) -> Builder:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == path.stem)
    assigned = {
        n.targets[0].id: n.value for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)
    }
    title = (ast.get_docstring(tree) or "").splitlines()[0]
    return Builder(
        path.stem,
        ast.literal_eval(assigned["ALIASES"]),
        title.rstrip("."),
        ast.get_docstring(function) or "",
        tuple(a.arg for a in function.args.args[:-1]),
        tuple(a.arg for a in function.args.kwonlyargs),
        tuple(
            a.arg
            for a, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
            if default is None
        ),
    )


def find_builder(word: str) -> Builder | None:
    """The builder of that name or alias."""
    return next((b for b in builders().values() if word == b.name or word in b.aliases), None)


# --------------------------------------------------------------------------------------------------------------- cards


class CardText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reader needs to know: plain text, a few lines each."""

    question: str
    model: str
    when: str
    when_not: str
    reading: str


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the data come from and what may be done with them."""

    citation: str
    licence: str
    package: str = ""
    note: str = ""


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What `fit` is told for this card where its defaults would leave too few effective draws."""

    draws: int = 1000
    tune: int = 500
    thin: int | None = None
    target_accept: float | None = None


class CardFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """card.toml, schema 1; `data` and `survival` are files beside it."""

    schema: int
    name: str
    title: str
    summary: str
    builder: str
    formula: str | list[str]
    card: CardText
    source: Source
    example: bool = False
    data: str = "data.csv"
    survival: str | None = None
    options: dict[str, Any] = {}
    priors: dict[str, str] = {}
    sampling: Sampling = Sampling()

    @property
    def formulas(self) -> str:
        """The formula as text, or those of several outcomes."""
        return self.formula if isinstance(self.formula, str) else "; ".join(self.formula)


@dataclass(frozen=True)
class Card:
    """A model card: a builder applied to a real data set, with the text that explains it."""

    file: CardFile
    folder: Path

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def builder(self) -> Builder:
        builder = find_builder(self.file.builder)
        if builder is None:
            raise InputError(
                f"card {self.name!r}: no builder {self.file.builder!r}{did_you_mean(self.file.builder, builders())}"
            )
        return builder

    @property
    def data_path(self) -> Path:
        return self.folder / self.file.data

    def tables(self) -> list[RawTable | None]:
        """The card's data, as its builder takes them: a table for each of the arguments before the formula."""
        names = self.builder.in_order(self.file.data, self.file.survival)
        return [None if name is None else read_table(self.folder / name) for name in names]

    def model(self) -> Any:
        """The card's model, ready for `fit`."""
        build = self.builder.function()
        return build(*self.tables(), self.file.formula, priors=self.file.priors, **self.file.options)


def cards_folder() -> Path:
    """Inside the installed package, or beside it in a checkout."""
    inside = _HERE / "models"
    return inside if inside.is_dir() else _HERE.parent / "models"


@functools.cache
def cards() -> Mapping[str, Card]:
    """Every card by name."""
    return {path.parent.name: read_card(path) for path in sorted(cards_folder().glob("*/card.toml"))}


def card(name: str) -> Card:
    """The card of that name.

    Raises
    ------
    InputError
        An unknown name, with the nearest one.
    """
    if name not in cards():
        raise InputError(f"no card {name!r}{did_you_mean(name, cards()) or ';'} cards: {listing(cards(), 99)}")
    return cards()[name]


def read_card(path: Path) -> Card:
    """Read a card file.

    Raises
    ------
    InputError
        A file that is not TOML, unknown keys (with the nearest one), keys that are missing or of the wrong type.
    """
    try:
        return Card(msgspec.toml.decode(path.read_bytes(), type=CardFile), path.parent)
    except FileNotFoundError:
        raise InputError(f"card file {str(path)!r} does not exist") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        message = str(err)
        if "unknown field `" in message:
            key = message.split("unknown field `")[1].split("`")[0]
            known = [f for s in (CardFile, CardText, Source, Sampling) for f in s.__struct_fields__]
            raise InputError(
                f"{path}: unknown key {key!r}{did_you_mean(key, known) or ';'} known: {listing(known, 99)}"
            ) from None
        raise InputError(f"{path}: {message}") from None


def resolve(word: str) -> Card | Builder:
    """What MODEL means on the command line: a card, a builder or its alias, or a path to a card file.

    Raises
    ------
    InputError
        With the nearest of all names that are known.
    """
    if word in cards():
        return cards()[word]
    builder = find_builder(word)
    if builder is not None:
        return builder
    if word.endswith(".toml") or "/" in word:
        path = Path(word)
        return read_card(path / "card.toml" if path.is_dir() else path)
    known = [*cards(), *builders(), *(a for b in builders().values() for a in b.aliases)]
    raise InputError(f"unknown model {word!r}{did_you_mean(word, known) or ';'} known: {listing(known, 99)}")


def example_of(builder: Builder) -> Card:
    """The card that a builder fits when no data are given: the one marked as example, else the first.

    Raises
    ------
    InputError
        When no card uses this builder.
    """
    fitting = [c for c in cards().values() if c.file.builder in (builder.name, *builder.aliases)]
    if not fitting:
        raise InputError(f"{builder.name} has no card; give a data file and --formula")
    return next((c for c in fitting if c.file.example), fitting[0])
