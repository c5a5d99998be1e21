"""Tensors as arrays of expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

NARROW = 16  # an axis of the argument up to this is written out
WIDEST = 200  # no axis beyond this is
MANY = 48  # terms of a sum from which a product with a matrix of data is a loop of its own


@dataclass(frozen=True)
class ExpressionArray:
    """A tensor as expressions: `items` has its axes, but length 1 along the `long` one, whose length is `size`."""

    items: Any
    long: int | None = None
    size: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.size if i == self.long else n for i, n in enumerate(self.items.shape))

    @property
    def ndim(self) -> int:
        return self.items.ndim


def items_of(values: Any, shape: tuple[int, ...]) -> Any:
    items = np.empty(shape, dtype=object)
    items.reshape(-1)[:] = list(values)
    return items
