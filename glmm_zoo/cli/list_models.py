"""`glmm-zoo list`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import print_rich

if TYPE_CHECKING:
    from rich.table import Table


def list_models() -> int:
    """List the models: builders with their aliases, and cards with real data.

    Examples
    --------
    glmm-zoo list
    """
    from glmm_zoo import registry

    builders = ((b.name, ", ".join(b.aliases), b.title) for b in registry.builders().values())
    cards = ((c.name, c.file.builder, c.file.summary) for c in registry.cards().values())
    print_rich(
        _table("builders", ("name", "aliases", "what"), builders),
        "",
        _table("cards", ("name", "builder", "what"), cards),
    )
    return ExitCode.DONE


def _table(title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # as Text, since rich would read [...] in a string as markup
    return table
