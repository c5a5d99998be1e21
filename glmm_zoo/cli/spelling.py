"""Advice in the form in which it is typed: messages name arguments as Python does, `per=`, and the command line spells `--per`."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Collection
from functools import cache

from glmm_zoo.cli.arguments import option_name

_FILE = ("tree", "file", "...")  # what stands for the fit in a call
_VALUE = r"""'[^']*'|"[^"]*"|\[[^\[\]]*\]|[-\w.]*\w"""
_PARTS = re.compile(
    rf"""(?P<call>(?:zoo\.)?(?P<command>[a-z]\w*)\((?P<arguments>[^()]*)\))
      | (?P<name>(?<![\w.`-])[a-z_]\w*)=(?P<value>{_VALUE})?(?![={{(\w])
      | '[^']*' | "[^"]*" | `[^`]*` | \w[\w.]*\(""",
    re.VERBOSE,
)  # quoted text, such as that of a user, and formulas stay as they are
_TWICE = re.compile(r"(--[\w-]+)(?: \(\1\)|, \1(?![\w-]))")


def as_typed(text: str) -> str:
    """A message with the arguments of Python in the form of the command line: "per=" as "--per", "refit=True" as "--refit"."""
    commands, options = _known()

    def typed(found: re.Match[str]) -> str:
        if found["command"] in commands:
            words = [_argument(part.strip(), options) for part in found["arguments"].split(",") if part.strip()]
            return " ".join(["glmm-zoo", found["command"], "FILE", *filter(None, words)])
        if found["name"] in options:
            return _option(found["name"], found["value"])
        if found["name"] and found["name"] in _of_builders():
            return f"--option {shlex.quote(f'{found["name"]}={_plain(found["value"] or "...")}')}"
        return found[0]

    return _TWICE.sub(r"\1", _PARTS.sub(typed, text))


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
def _of_builders() -> frozenset[str]:
    """The names that --option takes."""
    from glmm_zoo.registry import builders, find_builder

    found = (find_builder(name) for name in builders())
    return frozenset(option for builder in found if builder is not None for option in builder.options)


@cache
def _known() -> tuple[frozenset[str], frozenset[str]]:
    """The commands, and the names of the options that are options of all commands that have them."""
    from glmm_zoo.cli.commands import app

    functions = {name: app[name].default_command for name in app if not name.startswith("-")}
    options, places = set[str](), set[str]()
    for function in filter(None, functions.values()):
        for parameter in inspect.signature(function, eval_str=True).parameters.values():
            inner = next(
                (
                    a
                    for a in getattr(parameter.annotation, "__args__", (parameter.annotation,))
                    if hasattr(a, "__dataclass_fields__")
                ),
                None,
            )
            if inner is not None:
                options |= set(inner.__dataclass_fields__)
            elif parameter.kind is parameter.KEYWORD_ONLY:
                options.add(parameter.name)
    return frozenset(functions), frozenset(options)
