"""Effects of areas with neighbours, u_g (levels, 1) with sd_g, see `formulas.neighbours`. With Q the precision of their structured part,

    "icar"     u = f,   "bym2"    u = f + e,   e ~ Normal(0, b),   a = sd^2 rho,  b = sd^2 (1 - rho); of "icar" a = sd^2
    v ~ Normal(0, a (Q + J)^-1),   f = v - (mean of its part),   J 1 / size between areas of one part, so that f ~ Normal(0, a Q^-)

The mean of v over a part is independent of f and of all else, and v of an area without neighbours is f.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.banded import Triangle
from glmm_zoo.formulas.neighbours import AreaStructure
from glmm_zoo.graph.bands import solved_above
from glmm_zoo.graph.group_effects import correlated_draw, correlated_logp
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.transforms.group_effects import GroupEffectsTransform
from glmm_zoo.graph.transforms.neighbour_effects import NeighbourEffectsTransform, in_areas, sums_of_parts
from glmm_zoo.graph.variables import standard_deviation, variable
from glmm_zoo.plans.groups import Group


def neighbour_effects(model: Model, group: Group, earlier: Sequence[tuple[Group, Tensor]]) -> Tensor:
    """u_g (levels, 1), given the effects of the factors before it."""
    of = group.structure
    assert isinstance(of, AreaStructure)
    sd = standard_deviation(model, group.name("sd"), group.effect_dim)[0]
    rho = variable(model, group.name("rho")) if of.shared else None
    (owner,) = set(group.owners)
    mates = [u for other, u in earlier if owner in other.owners]
    dims, coefficients = (group.dim, group.effect_dim), model.linear[owner].coefficients
    earlier_shapes = "".join(f",(g{i},k{i})" for i in range(len(mates)))
    model.auxiliary |= set(group.randoms)
    model.group_effect_names += group.randoms
    v = pm.CustomDist(
        group.random,
        sd * sd if rho is None else sd * sd * rho,
        pt.constant(np.float64(0.0)) if rho is None else sd * sd * (1.0 - rho),
        coefficients,
        *mates,
        logp=lambda v, a, *_: _logp(of, v, a),
        dist=lambda a, *_: _draw(of, a),
        signature=f"(),(),(p){earlier_shapes}->(n,k)",
        dims=dims,
        transform=NeighbourEffectsTransform(of),
        class_name="IntrinsicNormal",
    )
    f = _centred(of, v[:, 0])[:, None]
    if rho is None:
        return pm.Deterministic(group.name("u"), f, dims=dims)
    e = pm.CustomDist(
        group.name("e"),
        (sd * pt.sqrt(1.0 - rho))[None],
        coefficients,
        *mates,
        f,
        logp=correlated_logp,
        dist=correlated_draw,
        signature=f"(m),(p){earlier_shapes},(n,k)->(l)",
        dims=dims,
        transform=GroupEffectsTransform(1),
        class_name="Normal",
    )
    return pm.Deterministic(group.name("u"), f + e, dims=dims)


def _centred(of: AreaStructure, v: Tensor) -> Tensor:
    """v less its mean in each part of several areas."""
    shares = of.summing / of.sizes[of.part]
    return v - shares * in_areas(of, sums_of_parts(of, v))


def _logp(of: AreaStructure, v: Tensor, a: Tensor) -> Tensor:
    x, (one, other) = v[:, 0], of.pairs.T
    apart: Tensor = x[one] - x[other]
    shares = 1.0 / of.sizes if len(of.sizes) > 1 else 1.0 / of.sizes[0]
    of_pairs: Tensor = pt.sum(of.weights * apart * apart)
    square: Tensor = of_pairs + pt.sum(shares * sums_of_parts(of, x) ** 2)
    levels = len(of.part)
    log_a: Tensor = pt.log(a)
    return -0.5 * (square / a + levels * log_a) + 0.5 * (of.log_determinant - levels * np.log(2 * np.pi))


def _draw(of: AreaStructure, a: Tensor) -> Tensor:
    """With 1 added to Q in one place of a part the differences within it have their distribution; its sum has one of its own."""
    root = Triangle.of_band(of.grounded(1.0).root, of.widths)
    none = Triangle(0.0 * root.diagonal, 0.0 * root.entries, root.starts)
    z: Any = pm.Normal.dist(0.0, 1.0, size=len(of.part))
    mean: Any = pm.Normal.dist(0.0, 1.0, size=len(of.sizes))
    x = _centred(of, solved_above(root, none, pt.constant(0.0), z)[of.place])
    spread = np.where(of.summing, 1.0 / np.sqrt(of.sizes[of.part]), 0.0)
    return (pt.sqrt(a) * (x + spread * mean[of.part]))[:, None]
