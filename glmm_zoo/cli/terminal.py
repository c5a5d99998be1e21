"""What a command writes: results to standard output, everything else to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

    from glmm_zoo.results.diagnostics import Verdict
    from glmm_zoo.results.verdicts import Judgement


_PATIENCE = 2.0  # seconds before a bar is shown


def say(message: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{message}\n")


def print_rich(*things: Any) -> None:
    """Print texts and tables to standard output: as wide as the terminal, or 160 columns into a file or pipe."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    for thing in things:
        console.print(thing)


@contextmanager
def progress_bar() -> Iterator[Callable[[float], None]]:
    """What shows the share of a computation on a terminal's standard error, once it has taken two seconds; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda share: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task, began = bar.add_task("computing", total=1.0, visible=False), time.monotonic()

        def show(share: float) -> None:
            bar.update(task, completed=share, visible=time.monotonic() - began > _PATIENCE)

        yield show


@contextmanager
def computing() -> Iterator[None]:
    """Shows how far the computations of estimates inside have come."""
    from glmm_zoo.estimands.progress import told_to

    with progress_bar() as listener, told_to(listener):
        yield


def verdict_text(verdict: Verdict) -> Any:
    """The verdict of the diagnostics: green where the fit is sound, yellow with remarks, red where it is not sound."""
    from rich.text import Text

    from glmm_zoo.cli.spelling import as_typed

    style = "red" if not verdict.sound else "yellow" if verdict.remarks else "green"
    return Text(as_typed(str(verdict)), style=style)


def judgement_text(judgement: Judgement) -> Any:
    """One of the three verdicts on a fit: its title in green, yellow or red, and why."""
    from rich.text import Text

    from glmm_zoo.cli.spelling import as_typed

    style = {"sound": "green", "caution": "yellow", "unsound": "red"}[judgement.state]
    return Text(" ").join([Text(judgement.title, style=f"bold {style}"), *map(Text, map(as_typed, judgement.words))])


def print_for_programs(table: pd.DataFrame, format: Literal["csv", "json"], *, labels: bool) -> None:
    """Print a table in full precision; with `labels` its index is the first column (csv) or the keys (json)."""
    if format == "csv":
        sys.stdout.write(table.to_csv(index=labels))
    else:
        sys.stdout.write(table.to_json(orient="index" if labels else "records", double_precision=15) + "\n")


def table_for_people(table: pd.DataFrame, *sentences: str) -> list[Any]:
    """Sentences, then a table of few digits, for `print_rich`."""
    from rich.table import Table
    from rich.text import Text

    from glmm_zoo.results.report.wording import rows_as_text

    shown = Table(box=None, pad_edge=False)
    for place, column in enumerate(table):
        shown.add_column(Text(str(column)), justify="right" if place else "left")
    for row in rows_as_text(table):
        shown.add_row(*map(Text, row))
    return [*map(Text, sentences), Text(""), shown]
