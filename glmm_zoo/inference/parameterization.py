"""What the sampler moves in place of group effects, smooths' weights and their standard deviations, and where it starts.

Three forms with the same posterior: "noncentered" moves standard normal variables, which is how a model is built;
"centered" moves effects and weights themselves; "auto" moves them in units of their distribution given everything else,
as a Gaussian approximation has it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import as_it_stands
from glmm_zoo.formulas.neighbours import AreaStructure
from glmm_zoo.formulas.structures import KnownCovariance
from glmm_zoo.graph.transforms.bent_log import BentLogTransform
from glmm_zoo.graph.transforms.group_effects import (
    GroupEffectsInformation,
    GroupEffectsTransform,
    SharedInformation,
    TwinInformation,
)
from glmm_zoo.graph.transforms.neighbour_effects import NeighbourEffectsInformation, NeighbourEffectsTransform
from glmm_zoo.graph.transforms.serial_effects import SerialEffectsTransform
from glmm_zoo.graph.transforms.smooth_weights import SmoothWeightsTransform
from glmm_zoo.inference.approximation import GaussianApproximation, approximate
from glmm_zoo.inference.coordinates import GaussianBlock, SamplerStart
from glmm_zoo.inference.level_precision import dependence
from glmm_zoo.inference.neighbour_precision import parts_of_variance
from glmm_zoo.inference.predictor_approximation import PredictorApproximation
from glmm_zoo.plans.groups import Group, plain_twin

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


def parameterize(model: Model, parameterization: str) -> tuple[Model, SamplerStart | None]:
    """The model as the sampler moves it, and what the approximation says of where to start, if there is one.

    The model that is given stays as it is. "auto" is "noncentered" where the approximation does not converge, which it
    says in the log.
    """
    if parameterization == "centered":
        return model.with_transforms(dict.fromkeys((*model.group_effect_names, *model.smooth_weight_names))), None
    approximation = approximate(model) if parameterization == "auto" else None
    if approximation is None:
        return model, None
    adapted = model.with_transforms(
        {
            **{sd: BentLogTransform(mode) for sd, mode in _standard_deviations(model, approximation).items()},
            **_weights_transforms(approximation),
            **_coordinates_transforms(model, approximation),
            **_effects_transforms(model, approximation),
            **({} if model.event is None else model.event.transforms(*approximation.estimates())),
        }
    )
    return adapted, sampler_start(adapted, approximation)


def sampler_start(model: Model, approximation: GaussianApproximation) -> SamplerStart:
    """Means of the approximation as the point to start from, and the covariances of the coefficients as blocks."""
    point: dict[str, np.ndarray] = {}
    initial = model.initial_point()

    def put(rv: str, position: int, value: float) -> None:
        name = model.rvs_to_values[model[rv]].name
        point.setdefault(name, np.array(initial[name], dtype=float)).flat[position] = value

    for (rv, position), value in zip(approximation.likelihood.elements, approximation.phi, strict=True):
        put(rv, position, value)
    for name, sds in _standard_deviations(model, approximation).items():
        bent = isinstance(model.rvs_to_transforms[model[name]], BentLogTransform)
        for k, sd in enumerate(sds.flat):
            put(name, k, 0.0 if bent else float(np.log(sd)))
    for predictor in approximation.predictors.values():
        for name, estimate in correlations(predictor).items():
            value = _unconstrained(model, name, estimate)
            if np.isfinite(value):
                put(name, 0, value)
    blocks = []
    if model.event is not None:
        elements, mean, covariance = model.event.approximate(*approximation.estimates())
        blocks.append(GaussianBlock(elements, mean, np.linalg.cholesky(covariance)))
    for p, predictor in approximation.predictors.items():
        elements = model.linear[p].elements
        if elements and all(model.rvs_to_transforms[model[rv]] is None for rv, _ in elements):
            m = len(elements)
            blocks.append(GaussianBlock(elements, predictor.b[:m], np.linalg.cholesky(predictor.covariance[:m, :m])))
    for block in blocks:
        for (rv, position), value in zip(block.elements, block.mean, strict=True):
            put(rv, position, value)
    return SamplerStart(point, blocks)


def correlations(predictor: PredictorApproximation) -> dict[str, float]:
    """Estimates of the correlations of processes, and of the shares of neighbours, by name."""
    return {
        of.parameter: of.natural(unbounded)
        for group, unbounded in zip(predictor.data.groups, predictor.correlations, strict=True)
        if (of := dependence(group)) is not None and of.parameter
    }


def _unconstrained(model: Model, name: str, value: float) -> float:
    """A value of a random variable as the sampler moves it; not finite outside the support of its prior."""
    rv = model[name]
    there = model.rvs_to_transforms[rv].forward(pt.constant(value), *rv.owner.inputs)
    return float(there.eval(mode=as_it_stands()))


def _standard_deviations(model: Model, approximation: GaussianApproximation) -> dict[str, np.ndarray]:
    """Estimates of the standard deviations that may be bent, or what the builder expects where there are none, by name."""
    initial = model.initial_point()
    shapes = {name: np.shape(initial[model.rvs_to_values[model[name]].name]) for name in model.expected_sds}
    estimates = {name: np.full(shapes[name], expected) for name, expected in model.expected_sds.items()}
    for predictor in approximation.predictors.values():
        for smooth, sds in zip(predictor.data.smooths, predictor.sds, strict=True):
            if smooth.sd in estimates:
                estimates[smooth.sd].flat[smooth.places] = sds
        for group, columns, S in zip(predictor.data.groups, predictor.data.columns, predictor.S, strict=True):
            if group.free("sd") in estimates:
                sds = np.sqrt(np.diagonal(S, axis1=1, axis2=2))  # (strata, k)
                estimates[group.free("sd")][..., columns] = sds if group.by else sds[0]
    return estimates


def _weights_transforms(approximation: GaussianApproximation) -> dict[str, SmoothWeightsTransform]:
    return {
        smooth.weights: SmoothWeightsTransform(predictor.information_about_weights(smooth))
        for predictor in approximation.predictors.values()
        for smooth in predictor.data.smooths
        if not smooth.of_group
    }


def _coordinates_transforms(model: Model, approximation: GaussianApproximation) -> dict[str, GroupEffectsTransform]:
    return {
        group.random: GroupEffectsTransform(len(group.labels), _coordinates_information(model, approximation, group))
        for group in model.groups
        if group.in_design and set(group.owners) <= set(approximation.predictors)
    }


def _coordinates_information(
    model: Model, approximation: GaussianApproximation, group: Group
) -> GroupEffectsInformation:
    """What the likelihood says of the coordinates of effects of which a row has several, which are turned so that it says
    something of each by itself, as far as that is possible."""
    owners = list(dict.fromkeys(group.owners))
    parts = {p: next(s for s in approximation.predictors[p].data.smooths if s.weights == group.random) for p in owners}
    said = {p: approximation.predictors[p].information_about_coordinates(part) for p, part in parts.items()}
    k, q = len(group.labels), len(next(iter(said.values()))[1][0])
    whole = sum(A[j, :, j] / max(np.trace(A[j, :, j]), 1e-300) for A, *_ in said.values() for j in range(len(A)))
    turn = np.linalg.eigh(whole)[1]
    A, c, B = np.zeros((q, k, k)), np.zeros((q, k)), []
    for p, (own_A, own_c, own_B) in said.items():
        own_A = np.einsum("ij,aibl,lm->ajbm", turn, own_A, turn, optimize=True)
        own_c, own_B = own_c @ turn, np.einsum("ij,aip->ajp", turn, own_B, optimize=True)
        columns = parts[p].places
        A[:, columns[:, None], columns] = np.einsum("aibi->iab", own_A)
        c[:, columns] = own_c.T
        B.append(np.zeros((q, k, own_B.shape[2])))
        B[-1][:, columns] = own_B.transpose(1, 0, 2)
    values, vectors = np.linalg.eigh(A)
    A = (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.transpose(0, 2, 1)
    twin = _twin_information(approximation, group, plain_twin(group, model.groups), turn)
    return GroupEffectsInformation(A, c, np.concatenate(B, axis=2), turn=turn, twin=twin)


def _twin_information(
    approximation: GaussianApproximation, group: Group, twin: Group | None, turn: np.ndarray
) -> TwinInformation | None:
    """The weights of the levels in the directions of the coordinates, where independent effects of the same levels are averaged over."""
    if twin is None:
        return None
    assert isinstance(group.structure, KnownCovariance)
    (owner,) = group.owners
    predictor = approximation.predictors[owner]
    f = predictor.data.names.index(twin.free("u"))
    levels, first = np.unique(group.codes[owner], return_index=True)
    weights = predictor.information_about(f)[0].A[twin.codes[owner][first], 0, 0]
    shares = (group.structure.basis[levels] @ turn) ** 2
    return TwinInformation(
        weights @ shares / np.maximum(shares.sum(axis=0), 1e-300), float(np.sqrt(predictor.S[f].item()))
    )


def _effects_transforms(model: Model, approximation: GaussianApproximation) -> dict[str, Transform]:
    groups = [g for g in model.groups if g.random in model.group_effect_names and not g.in_design]
    groups = sorted(groups, key=lambda g: len(g.factor.levels))
    transforms: dict[str, Transform] = {}
    for place, group in enumerate(groups):
        if set(group.owners) <= set(approximation.predictors):
            known = _group_information(model, approximation, group, groups[:place])
            if isinstance(group.structure, AreaStructure):
                transforms |= _neighbours_transforms(approximation, group, group.structure, known)
            elif group.series is not None:
                transforms[group.random] = SerialEffectsTransform(known)
            else:
                transforms[group.random] = GroupEffectsTransform(len(group.labels), known)
    return transforms


def _neighbours_transforms(
    approximation: GaussianApproximation, group: Group, of: AreaStructure, known: GroupEffectsInformation
) -> dict[str, Transform]:
    """Of the structured part of the effects with the plain one averaged over, and of the plain one given the structured one."""
    predictor = approximation.predictors[group.owners[0]]
    f = predictor.data.names.index(group.name("u"))
    variances = parts_of_variance(of, predictor.S[f].item(), predictor.correlations[f])
    structured, *plain = group.randoms
    transforms: dict[str, Transform] = {
        structured: NeighbourEffectsTransform(of, NeighbourEffectsInformation(known, variances))
    }
    levels = np.arange(len(of.part))
    both = replace(known, shared=[*known.shared, SharedInformation(levels, levels, known.A.transpose(1, 2, 0))])
    return transforms | {name: GroupEffectsTransform(1, both) for name in plain}


def _group_information(
    model: Model, approximation: GaussianApproximation, group: Group, earlier: Sequence[Group]
) -> GroupEffectsInformation:
    """What the likelihood says of the effects of a factor, put together from all predictors that have some of them."""
    owners = list(dict.fromkeys(group.owners))
    k, levels = len(group.labels), len(group.factor.levels)
    sizes = [model.linear[p].design.shape[1] for p in owners]
    A, c, B = np.zeros((levels, k, k)), np.zeros((levels, k)), np.zeros((levels, k, sum(sizes)))
    coupled = {g.free("u"): g for g in earlier if set(g.owners) & set(owners)}
    shared: dict[str, list[SharedInformation]] = {u: [] for u in coupled}
    start = 0
    for p, size in zip(owners, sizes, strict=True):
        predictor = approximation.predictors[p]
        f = predictor.data.names.index(group.free("u"))
        columns = np.array(predictor.data.columns[f])
        own, before = predictor.information_about(f)
        A[:, columns[:, None], columns] = own.A
        c[:, columns] = own.c
        B[:, columns, start : start + size] = own.B
        start += size
        for e, pairs in zip(before, own.shared, strict=True):
            u = predictor.data.names[e]
            if u in shared:
                weights = np.zeros((k, len(coupled[u].labels), len(pairs.own)))
                weights[columns[:, None], np.array(predictor.data.columns[e])] = pairs.weights
                shared[u].append(SharedInformation(pairs.own, pairs.other, weights))
    starts = dict(zip(owners, np.cumsum([0, *sizes]).tolist(), strict=False))
    for one, other in itertools.combinations(owners, 2):
        w = approximation.shared_weights(one, other)
        if w is not None:
            for pair in ((one, other), (other, one)):
                _add_shared(approximation, group, pair, w, starts[pair[1]], (A, c, B))
    if len(owners) > 1:  # quadrature may have left it a little short of positive definite
        values, vectors = np.linalg.eigh(A)
        A = (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.transpose(0, 2, 1)
    return GroupEffectsInformation(A, c, B, [_joined(parts) for parts in shared.values()])


def _add_shared(
    approximation: GaussianApproximation,
    group: Group,
    pair: tuple[str, str],
    w: np.ndarray,
    start: int,
    parts: tuple[np.ndarray, ...],
) -> None:
    """What the rows, with weights w (n,) that two predictors share, say of the effects of the one given those of the other, and its
    coefficients, which begin at `start`; nothing where effects of further factors are averaged over."""
    one, other = (approximation.predictors[p] for p in pair)
    f, g = (q.data.names.index(group.free("u")) for q in (one, other))
    if one.data.order[-1] != f or other.data.order[-1] != g:
        return
    A, c, B = parts
    own, others = (np.array(q.data.columns[i]) for q, i in ((one, f), (other, g)))
    further = [
        np.einsum("nk,nk->n", other.data.z[e], other.u[e][other.data.codes[e]]) for e in range(len(other.u)) if e != g
    ]
    eta = other.mean - other.data.offset - sum(further)
    A[:, own[:, None], others] += one.data.by_level(f, other.data.z[g] * w[:, None])
    B[:, own, start : start + other.data.D.shape[1]] += one.data.by_level(f, other.data.D * w[:, None])
    c[:, own] += one.data.by_level(f, (eta * w)[:, None])[:, :, 0]


def _joined(parts: Sequence[SharedInformation]) -> SharedInformation:
    """The pairs of levels of all predictors, one after another."""
    return SharedInformation(
        np.concatenate([part.own for part in parts]),
        np.concatenate([part.other for part in parts]),
        np.concatenate([part.weights for part in parts], axis=2),
    )
