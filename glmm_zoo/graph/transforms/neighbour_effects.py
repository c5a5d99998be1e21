"""The sampler moves effects of areas with neighbours standardised by their approximate distribution given everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.banded import Triangle
from glmm_zoo.formulas.neighbours import AreaStructure
from glmm_zoo.graph.bands import solved_above, solved_below, transposed_times
from glmm_zoo.graph.transforms.group_effects import GroupEffectsInformation, right_hand_side

GROUND = 1e-4  # added to Q in one place of each part, so that it has an inverse where no row says anything
_STEP = 1e-3  # of the log of s, for its derivative
_NEVER_ZERO = 0.999  # of a diagonal of K, the part that grows with s


@dataclass(frozen=True, eq=False)
class NeighbourEffectsInformation:
    """What a Gaussian approximation of the likelihood says of the effects of all areas, and the variances (a, b) of their structured and
    their plain part that it found."""

    of_effects: GroupEffectsInformation
    variances: tuple[float, float]


@dataclass(frozen=True, eq=False)
class NeighbourEffectsTransform(Transform):
    """v = sqrt(a) x and what v is without its means, f = v - (mean of its part), which has variance a:

        x = K'^-1 (z + sqrt(a) K^-1 r),   K K' about Q + a W,   W = A / (1 + b A),

    Q the precision of areas with neighbours, A and r of `GroupEffectsInformation`, divided by 1 + b A where effects with the
    variance b come on top, r less its mean with weights k in each part. What x has in the direction of the means, which no row tells of,
    is independent of the rest: f = sqrt(a) (x - k sum(x)), k the sums of the rows of (Q + a W)^-1 over their sum (Rue & Held 2005).
    K is linear in s = sqrt(a W / (a W)_0), in the mean of W: the Cholesky factor and its slope at s = 1, so that z, which the
    sampler moves, is near Normal(0, 1) for s from 1/4 to 4 and K's diagonal is positive for all. Without information s does not
    matter: the non-centred form. The change of variables is exact whatever A, r and K are.
    log|dv/dz| = levels log(a) / 2 - sum log diag K + parts log(s) + a constant.

    The inputs of the methods are a, b, the coefficients and the effects of the earlier factors.
    """

    structure: AreaStructure
    information: NeighbourEffectsInformation | None = None

    name = "z"
    ndim_supp = 2

    @cached_property
    def _constants(self) -> tuple[Triangle, Triangle, np.ndarray, np.ndarray]:
        """K as A + s B, the weights k (levels,), and what s times the sum of its part adds to v (levels,)."""
        of, levels = self.structure, len(self.structure.part)
        Q, W = of.grounded(GROUND), np.zeros(levels)
        if self.information is not None:
            a, b = self.information.variances
            A = self.information.of_effects.A[:, 0, 0]
            W = (a * A / (1.0 + b * A))[of.order]
        middle, high, low = (Q.plus(s * s * W) for s in np.exp([0.0, _STEP, -_STEP]))
        slope = (high.root - low.root) / (2 * _STEP)
        slope[0] = np.minimum(slope[0], _NEVER_ZERO * middle.root[0])
        rows = np.zeros(levels)
        rows[of.order] = middle.solved(np.ones((levels, 1)))[:, 0]
        sums = np.bincount(of.part, rows)[of.part]
        k = np.where(of.summing, rows / sums, 0.0)
        added = np.where(of.summing, 1.0 / np.sqrt(sums * of.sizes[of.part]), 0.0)
        A, B = (Triangle.of_band(x, of.widths) for x in (middle.root - slope, slope))
        return A, B, k, added

    def _sums(self, x: Tensor) -> Tensor:
        """The sum of its part for each area (levels,)."""
        return in_areas(self.structure, sums_of_parts(self.structure, x))

    def _inputs(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """sqrt(a), s, and r in the order of the band."""
        a, b, coefficients, *earlier = (x for x in inputs if getattr(x.type, "dtype", "") == "float64")
        root = pt.sqrt(a)
        if self.information is None:
            return root, pt.constant(1.0), pt.zeros(len(self.structure.part))
        of_effects, (a0, b0) = self.information.of_effects, self.information.variances
        A = np.ascontiguousarray(of_effects.A[:, 0, 0])
        left: Tensor = 1.0 / (1.0 + b * pt.constant(A))
        whole: Tensor = pt.sum(left * pt.constant(A))
        share = whole / max(a0 * np.sum(A / (1.0 + b0 * A)), 1e-300)
        r = right_hand_side(of_effects, coefficients, earlier)[0] * left
        _, _, k, _ = self._constants
        r = r - pt.constant(self.structure.summing.astype(float)) * self._sums(pt.constant(k) * r)
        return root, pt.sqrt(a * share), r[self.structure.order]

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        root, s, r = self._inputs(inputs)
        A, B, k, added = self._constants
        z = value[:, 0]
        if self.information is not None:
            z = z + root * solved_below(A, B, s, r)
        x = solved_above(A, B, s, z)[self.structure.place]
        return (root * (x + (s * pt.constant(added) - pt.constant(k)) * self._sums(x)))[:, None]

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        root, s, r = self._inputs(inputs)
        A, B, k, added = self._constants
        x = value[:, 0] / root
        wholes = np.bincount(self.structure.part, added)[self.structure.part] + ~self.structure.summing
        back: Tensor = pt.constant(added / wholes) - pt.constant(k / wholes) / s
        x = (x - back * self._sums(x))[self.structure.order]
        z = transposed_times(A, B, s, x)
        if self.information is not None:
            z = z - root * solved_below(A, B, s, r)
        return z[:, None]

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        root, s, _ = self._inputs(inputs)
        A, B, _, added = self._constants
        wholes = np.bincount(self.structure.part, added)
        several = wholes[wholes > 0]
        diagonal: Tensor = pt.constant(A.diagonal) + s * pt.constant(B.diagonal)
        log_s: Tensor = pt.log(s)
        log_root: Tensor = pt.log(root)
        means = len(several) * log_s + np.log(several).sum()
        return len(added) * log_root - pt.sum(pt.log(diagonal)) + means


def sums_of_parts(structure: AreaStructure, x: Tensor) -> Tensor:
    """The sums (parts,) of x (levels,) over the connected parts; a number where there is one."""
    parts = len(structure.sizes)
    return pt.inc_subtensor(pt.zeros(parts)[structure.part], x) if parts > 1 else pt.sum(x)


def in_areas(structure: AreaStructure, of_parts: Tensor) -> Tensor:
    """What each area's part has (levels,); a number where there is one part."""
    return of_parts[structure.part] if len(structure.sizes) > 1 else of_parts
