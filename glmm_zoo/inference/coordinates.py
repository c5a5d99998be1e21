"""Where the sampler starts, and the coordinates z that it moves in place of the unconstrained vector x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from glmm_zoo.inference import bends
from glmm_zoo.inference.bends import Bends

MOST_CORRELATED = 100  # elements whose correlations are estimated from draws


@dataclass(frozen=True)
class GaussianBlock:
    """Elements (variable, position) of the unconstrained vector that are about Normal(mean, root root').

    `mean` (m,), `root` (m, m) lower triangular.
    """

    elements: Sequence[tuple[str, int]]
    mean: np.ndarray
    root: np.ndarray


@dataclass(frozen=True)
class SamplerStart:
    """What is known of the posterior before sampling.

    `point` holds unconstrained values by value variable, where they differ from the model's own initial point; each of
    the `blocks` is given a scale in which it is about standard normal.
    """

    point: Mapping[str, np.ndarray]
    blocks: Sequence[GaussianBlock]


@dataclass(frozen=True)
class Coordinates:
    """The coordinates z that the sampler moves: x[index] = mean + root w[index], and x = w for all other elements.

    w = z but for elements that are bent, those of `index` or others, of which w is what `bends` make of z. `index` (m,), `mean` (m,), `root`
    (m, m) lower triangular.
    """

    index: np.ndarray
    mean: np.ndarray
    root: np.ndarray
    bends: Bends | None = None

    def x_of(self, z: np.ndarray) -> np.ndarray:
        """The unconstrained vectors (..., n)."""
        return self.put_x(z.copy())

    def put_x(self, z: np.ndarray) -> np.ndarray:
        """The same in place of z."""
        if self.bends is not None:
            z[..., self.bends.index] = self.bends.forward(z[..., self.bends.index])
        z[..., self.index] = self.part_of_x(z[..., self.index])
        return z

    def z_of(self, x: np.ndarray) -> np.ndarray:
        """The inverse of `x_of`."""
        z = x.copy()
        z[..., self.index] = self.part_of_w(x[..., self.index])
        if self.bends is not None:
            z[..., self.bends.index] = self.bends.backward(z[..., self.bends.index])
        return z

    def part_of_x(self, w: np.ndarray) -> np.ndarray:
        """x[index] of w[index] (..., m)."""
        return self.mean + w @ self.root.T

    def part_of_w(self, x: np.ndarray) -> np.ndarray:
        """w[index] of x[index] (..., m)."""
        return (x - self.mean) @ np.linalg.inv(self.root).T

    @property
    def bend_others(self) -> bool:
        """Whether elements that are not of `index` are bent."""
        return self.bends is not None and len(self.bends.index) > len(self.index)

    def with_block(self, index: np.ndarray, mean: np.ndarray, root: np.ndarray) -> Coordinates:
        """The same, not bent, with a block of elements that were not among its own."""
        m = len(self.index)
        whole = np.zeros((m + len(index),) * 2)
        whole[:m, :m], whole[m:, m:] = self.root, root
        return Coordinates(np.append(self.index, index), np.append(self.mean, mean), whole)

    def estimated_from(
        self, draws: Sequence[np.ndarray], elements: np.ndarray, effective: float, *, bent: bool = False
    ) -> Coordinates:
        """Coordinates in which these elements, as they vary between draws, are uncorrelated and of unit size; and where they are to
        be `bent`, each by itself about normal, and with them all other elements that are skew, if they are many.

        The parts of `draws` x (chains, draws, n) are together worth `effective` independent ones. The fewer they are for
        an element, the less is made of its correlations; with too many elements the coordinates stay as they are.
        """
        if len(elements) > MOST_CORRELATED:
            return self
        more = np.setdiff1d(elements, self.index)
        wider = self.with_block(more, np.zeros(len(more)), np.eye(len(more)))
        m = len(wider.index)
        z = np.concatenate([wider.part_of_w(x[:, :, wider.index]).reshape(-1, m) for x in draws])
        covariance = np.cov(z.T).reshape(m, m)
        covariance *= np.where(np.eye(m, dtype=bool), 1.0, effective / (effective + m))
        root = np.linalg.cholesky(covariance + 1e-9 * np.eye(m))
        straight = Coordinates(wider.index, wider.mean + wider.root @ z.mean(axis=0), wider.root @ root)
        if not bent:
            return straight
        own = bends.fitted((z - z.mean(axis=0)) @ np.linalg.inv(root).T, effective, wider.index)
        others = bends.fitted_to_skew(draws, np.setdiff1d(np.arange(draws[0].shape[-1]), wider.index), effective)
        return replace(straight, bends=bends.bends_of_all([own, others]))


UNCHANGED = Coordinates(np.zeros(0, int), np.zeros(0), np.zeros((0, 0)))  # z = x
