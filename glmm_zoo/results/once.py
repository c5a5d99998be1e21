"""What a page asks of a fit again and again is computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_kept: ContextVar[dict[Hashable, Any] | None] = ContextVar("kept", default=None)


@contextmanager
def computed_once() -> Iterator[None]:
    """Within this, a fit, which must not change meanwhile, is read once, and averages that come again are not computed again."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def computed_before() -> dict[Hashable, Any] | None:
    """What was computed within `computed_once`, by keys that say all that it depends on; None outside."""
    return _kept.get()


def once[R](key: Hashable, of: object, compute: Callable[[], R]) -> R:
    """What `compute()` gives for an object, kept within `computed_once`, with the object, so that no other one has its id."""
    known = computed_before()
    if known is None:
        return compute()
    place = (key, id(of))
    if place not in known:
        known[place] = of, compute()
    return known[place][1]
