"""What the zoo holds: its builders, which are the files of `glmm_zoo/builders`, and its model cards, the folders of `models`.

No list of either is written by hand: the files and folders are the list. A builder's file is parsed, not imported, so that
listing the builders loads no PyMC.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from glmm_zoo.errors import InputError, attempt, did_you_mean, listing, raise_all, shown
from glmm_zoo.formulas.names import not_a_plain_word
from glmm_zoo.inference.settings import Settings
from glmm_zoo.plans.options import OptionType, read_option, type_of_annotation
from glmm_zoo.results.about import About, AboutOutcome
from glmm_zoo.tables.card_files import card_data_file, read_toml
from glmm_zoo.tables.files import RawTable, read_table
from glmm_zoo.tables.level_tables import refuse_unused, with_level_tables

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Builder:
    """What a builder's file says of it.

    `title` is the first line of the file's docstring, `doc` the docstring of the builder function. `tables` are the names of
    the function's arguments before the formula, `formula` is that of the formula, `options` those of its keywords; keywords
    in `required` have no default. `types` has the declared type of the formula and of every keyword.
    """

    name: str
    aliases: tuple[str, ...]
    title: str
    doc: str
    tables: tuple[str, ...]
    options: tuple[str, ...]
    required: tuple[str, ...]
    formula: str
    types: Mapping[str, OptionType]

    def table_problems(self, survival: object | None) -> list[str]:
        """A sentence if a survival table is given (not None) and the builder does not take one."""
        if survival is None or "survival" in self.tables:
            return []
        return [
            f"{self.name} takes no survival table, and {str(survival)!r} is given as one; "
            "leave out --survival (in a card: survival)"
        ]

    def table_arguments[T](self, data: T, survival: T | None) -> list[T | None]:
        """The tables in the order of the function's arguments; None for one that is not given.

        Raises
        ------
        InputError
            A table that the builder does not take.
        """
        raise_all(self.table_problems(survival))
        further = {"survival": survival}
        return [data, *(further[name] for name in self.tables[1:])]

    def read_options(self, given: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
        """The values of options, priors aside, each as its declared type; text stands for a value of any type.

        A sentence is added to `problems` for each option that the builder does not have, that has a value of another type,
        or that the builder needs and that is not given.
        """
        known = [name for name in self.options if name != "priors"]  # which have an argument of their own, --prior
        problems += [
            f"{self.name} has no option {name!r}{did_you_mean(name, known) or ';'} options: {listing(known, 30)}"
            for name in given
            if name not in known
        ]
        problems += [
            f"{self.name} needs {name}: --option {name}=VALUE; glmm-zoo show {self.name} tells what it is"
            for name in self.required
            if name not in given
        ]
        taken = {name: value for name, value in given.items() if name in known}
        return {name: attempt(partial(read_option, name, v, self.types[name]), problems) for name, v in taken.items()}

    def function(self) -> Callable[..., Any]:
        """The builder function, which takes formula and options of the declared types only; imports its file."""
        build = getattr(importlib.import_module(f"glmm_zoo.builders.{self.name}"), self.name)

        @functools.wraps(build)
        def checked(*arguments: Any, **keywords: Any) -> Any:
            positional = dict(zip((*self.tables, self.formula), arguments, strict=False))
            own = {k: keywords.pop(k) for k in (*self.tables, self.formula, "priors") if k in keywords}
            beside = keywords.pop("tables", None)
            for where in (positional, own):
                if self.tables[0] in where:
                    where[self.tables[0]] = with_level_tables(where[self.tables[0]], beside)
            problems: list[str] = []
            for name in (self.formula, "priors"):
                for where in (positional, own):
                    if name in where:
                        where[name] = attempt(partial(read_option, name, where[name], self.types[name]), problems)
            options = self.read_options(keywords, problems)
            raise_all([*problems, *_environment_problems()])
            try:
                model = build(*positional.values(), *arguments[len(positional) :], **own, **options)
                refuse_unused(beside or (), model.spec["data"].get("tables", ()))
                return model
            except ValueError as err:
                flags = os.environ.get("PYTENSOR_FLAGS")
                if isinstance(err, InputError) or not flags or "pymc" in sys.modules:
                    raise
                raise InputError(
                    f"PyTensor cannot be imported with the environment variable PYTENSOR_FLAGS={shown(flags)}; correct or unset it"
                ) from err

        checked.__signature__ = _with_tables(inspect.signature(build))  # pyright: ignore[reportAttributeAccessIssue]
        return checked


def _with_tables(signature: inspect.Signature) -> inspect.Signature:
    """The signature of a builder, which takes `tables` too: tables of numbers between levels, by name."""
    tables = inspect.Parameter(
        "tables", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Mapping[str, Any] | None"
    )
    return signature.replace(parameters=[*signature.parameters.values(), tables])


def _environment_problems() -> list[str]:
    """A sentence on a variable of the environment that PyTensor cannot be imported with."""
    problems = []
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads and not threads.strip().lstrip("+-").isdecimal():
        problems.append(
            f"the environment variable OMP_NUM_THREADS must be a whole number, not {shown(threads)}; set it to the number of "
            "threads, or unset it"
        )
    flags = os.environ.get("PYTENSOR_FLAGS", "")
    if re.search(r"floatX\s*=(?!\s*float64\b)", flags):
        problems.append(
            f"the environment variable PYTENSOR_FLAGS must leave floatX at float64, not {shown(flags)}; take floatX out of it"
        )
    return problems


@functools.cache
def builders() -> Mapping[str, Builder]:
    """Every builder by name."""
    return {name: read_builder(path) for name, path in _builder_files().items()}


@functools.cache
def _builder_files() -> Mapping[str, Path]:
    return {path.stem: path for path in sorted((_PACKAGE / "builders").glob("[a-z]*.py"))}


@functools.cache
def read_builder(path: Path) -> Builder:
    """Read a builder's file: its docstring, its `ALIASES`, and its function, which has the name of the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == path.stem)
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    keywords = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    formula = function.args.args[-1]
    return Builder(
        name=path.stem,
        aliases=ast.literal_eval(constants["ALIASES"]),
        title=(ast.get_docstring(tree) or "").splitlines()[0].rstrip("."),
        doc=ast.get_docstring(function) or "",
        tables=tuple(argument.arg for argument in function.args.args[:-1]),  # the last one is the formula
        options=tuple(argument.arg for argument in function.args.kwonlyargs),
        required=tuple(argument.arg for argument, default in keywords if default is None),
        formula=formula.arg,
        types={a.arg: type_of_annotation(a.annotation) for a in (formula, *function.args.kwonlyargs)},
    )


def find_builder(name: str) -> Builder | None:
    """The builder that has this name or alias; None where there is none."""
    if name in _builder_files():  # then the other files need not be read
        return read_builder(_builder_files()[name])
    return next((b for b in builders().values() if name == b.name or name in b.aliases), None)


# --------------------------------------------------------------------------------------------------------------- cards


class CardText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [card] of a card file: what a reader needs to know, in plain text of a few lines each."""

    question: str
    model: str
    when: str
    when_not: str
    reading: str


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [source] of a card file: where the data come from and what may be done with them."""

    citation: str
    licence: str
    package: str = ""
    note: str = ""


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The table [sampling] of a card file: settings of `fit` for a card that gets too few effective draws from the usual ones.

    None leaves a setting as it usually is.
    """

    draws: int | None = None
    tune: int | None = None
    thin: int | None = None
    target_accept: float | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The settings that are not left as they usually are."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


class CardFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card file, card.toml, in version `CARD_SCHEMA` of its schema; `data`, `survival` and `tables`, by name, are files in its folder."""

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
    tables: dict[str, str] = {}
    options: dict[str, Any] = {}
    priors: dict[str, str] = {}
    sampling: Sampling = Sampling()
    about: About = About()

    @property
    def formulas(self) -> str:
        """The formula, or those of several outcomes, as one line of text."""
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

    @property
    def settings(self) -> Settings:
        """The sampler settings for this card: the usual ones, changed where its table [sampling] says so."""
        return replace(Settings(), **self.file.sampling.given)

    def tables(self) -> list[RawTable | None]:
        """The card's data: a table for each of the builder's table arguments, None for one that it has not."""
        names = self.builder.table_arguments(self.file.data, self.file.survival)
        return [None if name is None else read_table(card_data_file(self.folder, name)) for name in names]

    def level_tables(self) -> dict[str, RawTable]:
        """The card's tables of numbers between levels, by name."""
        return {name: read_table(card_data_file(self.folder, file)) for name, file in self.file.tables.items()}

    def model(self) -> Any:
        """The card's model, ready for `fit`, with what the card says of it in words."""
        build, beside = self.builder.function(), self.level_tables()
        model = build(*self.tables(), self.file.formula, tables=beside, priors=self.file.priors, **self.file.options)
        model.about = self.file.about
        return model


def cards_folder() -> Path:
    """The folder of the model cards: inside the installed package, or beside the package in a checkout."""
    installed = _PACKAGE / "models"
    return installed if installed.is_dir() else _PACKAGE.parent / "models"


@functools.cache
def cards() -> Mapping[str, Card]:
    """Every card by name."""
    return {name: _own_card(name) for name in _card_files()}


@functools.cache
def _card_files() -> Mapping[str, Path]:
    return {path.parent.name: path for path in sorted(cards_folder().glob("*/card.toml"))}


@functools.cache
def _own_card(name: str) -> Card:
    return read_card(_card_files()[name])


def card(name: str) -> Card:
    """The card of that name.

    Raises
    ------
    InputError
        An unknown name, with the nearest one.
    """
    if name not in _card_files():
        raise InputError(f"no card {name!r}{did_you_mean(name, cards()) or ';'} cards: {listing(cards(), 99)}")
    return _own_card(name)


def read_card(path: Path) -> Card:
    """Read a card file, which may be a stranger's: its name must be a plain word, because the fit's file is called by it.

    Raises
    ------
    InputError
        A file that is not TOML, or not a regular file, or too large; another version of the schema; unknown keys (with the
        nearest one), keys that are missing or of the wrong type; a name that is no plain word.
    """
    file = read_toml(path, CardFile, (CardText, Source, Sampling, About, AboutOutcome), "card")
    if wrong := not_a_plain_word(file.name):
        raise InputError(f"{path}: name {wrong}; the file of the fit is called by it")
    return Card(file, path.parent)


def find_card_or_builder(model: str) -> Card | Builder:
    """What MODEL means on the command line: a card, a builder or its alias, or a path to a card file.

    Raises
    ------
    InputError
        A name of none of them, with the nearest name that is known; a card file that cannot be read.
    """
    if model in _card_files():
        return _own_card(model)
    builder = find_builder(model)
    if builder is not None:
        return builder
    if model.endswith(".toml") or "/" in model:
        path = Path(model)
        return read_card(path / "card.toml" if os.path.isdir(path) else path)  # False for a path that cannot be
    known = [*cards(), *builders(), *(alias for b in builders().values() for alias in b.aliases)]
    raise InputError(f"unknown model {model!r}{did_you_mean(model, known) or ';'} known: {listing(known, 99)}")


def example_card(builder: Builder) -> Card:
    """The card that is fitted when a builder is named without data: the one marked `example`, else the first by name.

    Raises
    ------
    InputError
        When no card uses this builder.
    """
    of_builder = [c for c in cards().values() if c.file.builder in (builder.name, *builder.aliases)]
    if not of_builder:
        raise InputError(f"{builder.name} has no card; give a data file and --formula")
    return next((c for c in of_builder if c.file.example), of_builder[0])
