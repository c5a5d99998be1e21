"""Products of covariates at the covariates' means.

In 1, x, w, x:w the coefficient of x is the slope at w = 0. With means m, x:w at the means is (x - m_x) (w - m_w), a combination
of the same columns, and the coefficient of x is then the slope at w = m_w.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

Product = tuple[str, ...]  # what is multiplied, in order; of the intercept nothing
_LEVEL = re.compile(r"(v\d+)\[(\d+)\]")
_POWER = re.compile(r"I\((v\d+) ?\*\* ?([2-9])\)")


def products_at_means(
    names: Sequence[str], values: np.ndarray, numbers: Mapping[str, np.ndarray], levels: Mapping[str, Sequence[str]]
) -> np.ndarray | None:
    """C (p, p) so that `values` (n, p) @ C are the products at the means of their covariates, each less a constant; or None where
    no product needs it.

    `names` are formulaic's, "v0:v1[T.2]"; `numbers` the columns (n,) of covariates by name; `levels` those of factors. A product
    is taken at the means of those of its covariates without which it is a combination of columns too; factors stay as they are.
    """
    columns = _Columns(names, levels)
    at_means = np.eye(len(names))
    for j, name in enumerate(names):
        for held in _covariates(_product(name), levels):
            terms = _lower_terms(_product(name), held, values, numbers, columns)
            if terms is not None:
                for k, weight in terms:
                    at_means[k, j] += weight
                break
    return None if np.array_equal(at_means, np.eye(len(names))) else at_means


def _product(name: str) -> Product:
    """("v0", "v1[2]") of "v0:v1[T.2]"; ("v0", "v0") of a square."""
    parts = []
    for text in name.replace("[T.", "[").split(":"):
        power = _POWER.fullmatch(text)
        parts += [power[1]] * int(power[2]) if power else [text]
    return tuple(sorted(parts))


def _covariates(product: Product, levels: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """The covariates that a product of two columns or more has, then fewer of them; factors are none."""
    found = [part for part in dict.fromkeys(product) if not ((level := _LEVEL.fullmatch(part)) and level[1] in levels)]
    for size in range(len(found), 0, -1) if len(product) > 1 else ():
        yield from combinations(found, size)


class _Columns:
    """Where products stand among the columns of a design with an intercept."""

    def __init__(self, names: Sequence[str], levels: Mapping[str, Sequence[str]]):
        self.place = {_product(name): k for k, name in enumerate(names)}
        self.levels = levels

    def combination(self, product: Product) -> list[tuple[int, float]] | None:
        """The product as a sum of columns times weights, up to a constant. A level without a column is 1 less the others."""
        if not product:
            return []
        if product in self.place:
            return [(self.place[product], 1.0)]
        for i, part in enumerate(product):
            level = _LEVEL.fullmatch(part)
            if level and level[1] in self.levels:
                rest = product[:i] + product[i + 1 :]
                others = [
                    tuple(sorted((*rest, f"{level[1]}[{k}]")))
                    for k in range(len(self.levels[level[1]]))
                    if k != int(level[2])
                ]
                without = self.combination(rest)
                if without is not None and all(other in self.place for other in others):
                    return [*without, *((self.place[other], -1.0) for other in others)]
        return None


def _lower_terms(
    product: Product,
    held: tuple[str, ...],
    values: np.ndarray,
    numbers: Mapping[str, np.ndarray],
    columns: _Columns,
) -> list[tuple[int, float]] | None:
    """What makes of a product that with the covariates `held` less their means, up to a constant; None where a column lacks."""
    means: dict[str, float] = {}
    for part in held:
        column = values[:, columns.place[part,]] if (part,) in columns.place else numbers.get(part)
        if column is None:
            return None
        means[part] = float(np.mean(column))
    places = [i for i, part in enumerate(product) if part in held]
    terms: list[tuple[int, float]] = []
    for size in range(1, len(places) + 1):
        for taken in combinations(places, size):
            lower = columns.combination(tuple(part for i, part in enumerate(product) if i not in taken))
            if lower is None:
                return None
            weight = float(np.prod([-means[product[i]] for i in taken]))
            terms += [(k, weight * w) for k, w in lower]
    return terms
