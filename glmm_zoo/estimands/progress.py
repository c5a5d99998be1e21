"""How far a computation in blocks has come, told to who wants to show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[float], None] | None] = ContextVar("listener", default=None)


@contextmanager
def told_to(listener: Callable[[float], None]) -> Iterator[None]:
    """Within this, `listener` is called with the share of each computation that is done, from 0 to 1."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def block_by_block[T](blocks: Sequence[T]) -> Iterator[T]:
    """The blocks of a computation, one after the other."""
    listener = _listener.get()
    for i, block in enumerate(blocks):
        yield block
        if listener is not None:
            listener((i + 1) / len(blocks))
