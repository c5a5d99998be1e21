"""Advice in the form in which it is typed: messages name arguments as Python does, `per=`, and the command line spells `--per`."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, get_args

from glmm_zoo.cli.arguments import option_name
from glmm_zoo.cli.commands import COMMANDS, command

if TYPE_CHECKING:
    from cyclopts import CycloptsError

_FILE = ("tree", "file", "...")  # what stands for the fit in a call
_VALUE = r"""'[^']*'|"[^"]*"|\[[^\[\]]*\]|[-\w.]*\w"""
_PARTS = re.compile(
    rf"""--[\w-]+[ ][\w.\[\]]+=\S* | (?P<call>(?:zoo\.)?(?P<command>[a-z]\w*)\((?P<arguments>[^()]*)\))
      | (?P<name>(?<![\w.`-])[a-z_]\w*)=(?P<value>{_VALUE})?(?![={{(\w])
      | (?<!\w)'[^']*' | "[^"]*" | `[^`]*` | \w[\w.]*\(""",
    re.VERBOSE,
)  # quoted text, such as that of a user, and formulas stay as they are
_TWICE = re.compile(r"(--[\w-]+(?: [^\s(),]+)?)(?: \(\1\)|, \1(?![\w-]))")


def as_typed(text: str) -> str:
    """A message with the arguments of Python in the form of the command line: "per=" as "--per", "refit=True" as "--refit"."""

    def typed(found: re.Match[str]) -> str:
        if found["command"] in COMMANDS:
            words = [_argument(part.strip(), _options()) for part in found["arguments"].split(",") if part.strip()]
            return " ".join(["glmm-zoo", found["command"], "FILE", *filter(None, words)])
        if found["name"] and found["name"] in _options():
            return _option(found["name"], found["value"])
        if found["name"] and found["name"] in builder_options():
            value = _plain(found["value"]) if found["value"] else "..."
            return f"--option {shlex.quote(f'{found["name"]}={value}')}"
        return found[0]

    return _TWICE.sub(r"\1", _PARTS.sub(typed, text))


def wrong_option(err: CycloptsError) -> str:
    """What is wrong with the words of a command. The name of a builder's keyword given as an option is told how it is given."""
    from cyclopts import UnknownOptionError

    told = " ".join(str(err).split())
    if not isinstance(err, UnknownOptionError) or not any("--option" in a.names for a in err.argument_collection):
        return told
    typed = (err.token.keyword or err.token.value).partition("=")[0]
    name = typed.removeprefix("--").replace("-", "_")
    if name not in builder_options():
        return told
    return f"{typed} is no option of the command but of a builder, given as --option {name}=VALUE"


def _argument(text: str, options: Collection[str]) -> str:
    """One argument of a call; that of the fit is FILE already."""
    name, equals, value = text.partition("=")
    if equals and name in options:
        return _option(name, value)
    return "" if text in _FILE else _as_word(text)


def _option(name: str, value: str | None) -> str:
    """ "--refit" of True, "--times 1,5" of [1, 5]."""
    if value in (None, "", "True"):
        return option_name(name)
    if value == "False":
        return f"no {option_name(name)}"
    return f"{option_name(name)} {_as_word(str(value))}"


def _as_word(value: str) -> str:
    """A value of Python as a word of the shell."""
    return value if value.isupper() else shlex.quote(_plain(value))


def _plain(value: str) -> str:
    """A value of Python as text: "survival" of 'survival', "1,5" of [1, 5]."""
    try:
        read = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
    return ",".join(map(str, read)) if isinstance(read, list) else str(read)


@cache
def builder_options() -> frozenset[str]:
    """The names that --option takes."""
    from glmm_zoo.registry import builders, find_builder

    found = (find_builder(name) for name in builders())
    return frozenset(option for builder in found if builder is not None for option in builder.options)


@cache
def _options() -> frozenset[str]:
    """The names of the options that are options of all commands that have them."""
    options, places = set[str](), set[str]()
    for function in (command(name) for name in COMMANDS if not name.startswith("-")):
        for parameter in inspect.signature(function, eval_str=True).parameters.values():
            kinds = [kind for kind in get_args(parameter.annotation) if is_dataclass(kind)]
            if parameter.kind is not parameter.KEYWORD_ONLY:
                places.add(parameter.name)
            else:
                options |= {f.name for kind in kinds for f in fields(kind)} or {parameter.name}
    return frozenset(options - places)
