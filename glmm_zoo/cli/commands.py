"""The commands that the command line has: each is the function of the file of its name, which is imported when the command is typed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import cache

from cyclopts import App

_FILES = (
    "list_models",
    "show",
    "prior",
    "fit",
    "fit_many",
    "update",
    "replay",
    "check",
    "explain",
    "summary",
    "hypotheses",
    "predictions",
    "comparisons",
    "slopes",
    "predict",
    "loo",
    "sensitivity",
    "calibrate",
    "certify",
    "simulate",
    "qualify",
    "table",
    "report",
    "plot",
    "install_completion",
)  # in the order of the help
_NAMES = {"list_models": "list", "install_completion": "--install-completion"}
COMMANDS = {_NAMES.get(file, file.replace("_", "-")): file for file in _FILES}


def command(name: str) -> Callable[..., int]:
    """The function of one of `COMMANDS`."""
    return getattr(importlib.import_module(f"glmm_zoo.cli.{COMMANDS[name]}"), COMMANDS[name])


@cache
def app_of(*names: str) -> App:
    """The command line with these commands, or with all. The help of each ends with the examples of its docstring."""
    app = App(
        name="glmm-zoo",
        help="A zoo of Bayesian generalized linear mixed models: fit, check, summarise, report.",
        version=_version,
        result_action="return_value",
    )
    for name in names or COMMANDS:
        function = command(name)
        _, _, examples = inspect.cleandoc(function.__doc__ or "").partition("\nExamples\n--------\n")
        app.command(function, name=name, help_epilogue=f"Examples:\n\n```\n{examples}\n```" if examples else None)
    return app


def app_for(tokens: list[str]) -> App:
    """The command line with the command that these words begin with, or with all where they begin with something else."""
    return app_of(*(name for name in tokens[:1] if name in COMMANDS))


def _version() -> str:
    from importlib.metadata import version

    return version("glmm-zoo")
