"""One function of many items, and how many of them are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from glmm_zoo.estimands.progress import block_by_block
from glmm_zoo.inference.workers import Workers, results_of_tasks


def spread_tasks[A, R](
    function: Callable[..., R], items: Sequence[A], *shared: Any, workers: Workers, lost: Callable[[A, str], R]
) -> Iterator[R]:
    """`results_of_tasks`, one told after the other to who shows how far they are."""
    results = results_of_tasks(function, items, *shared, workers=workers, lost=lost)
    for _, result in zip(block_by_block(items), results, strict=True):
        yield result


def workers_as_typed(text: str | None) -> Workers:
    """Workers from the command line, where a number is text."""
    return int(text) if text is not None and text.isdecimal() else text
