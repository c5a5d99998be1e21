"""Group effects, u_g[level] ~ Normal(0, S_g) independently for each level, with a covariance S_g for all levels or for those of each
stratum, `gr(g, by=arm)`; multivariate Student-t with scale S_g, `gr(g, dist="student")`; or autoregressive along series of levels.

They are random variables with their own prior. The sampler moves them through a change of variables, see `transforms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.shape_utils import rv_size_is_none

from glmm_zoo.families.student_t import log_gamma_ratio
from glmm_zoo.families.tensors import Tensor, functions_of
from glmm_zoo.graph.correlation import correlation_factor
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.transforms.autoregressive import AutoregressiveTransform, along_series
from glmm_zoo.graph.transforms.group_effects import GroupEffectsTransform
from glmm_zoo.graph.triangular import ONE, ZERO, log_determinant, lower_positions, solve_levels, unpacked, with_root
from glmm_zoo.graph.variables import standard_deviation, variable
from glmm_zoo.plans.groups import Group


def group_effects(model: Model, group: Group, earlier: Sequence[tuple[Group, Tensor]]) -> Tensor:
    """u_g (levels, k), given the effects of the factors before it; where it has a prior at the means of slopes' columns, there."""
    k, owners = len(group.labels), list(dict.fromkeys(group.owners))
    mates = [u for other, u in earlier if set(other.owners) & set(owners)]
    coefficients = pt.concatenate([model.linear[p].coefficients for p in owners])
    model.group_effect_names.append(group.free("u"))
    packed = effect_roots(model, group)
    root: Tensor = pt.stack(packed[0])
    if group.by:  # (levels, k (k + 1) / 2)
        in_strata: list[Tensor] = [pt.stack(of_strata) for of_strata in zip(*packed, strict=True)]
        root = pt.stack([x[group.stratum] for x in in_strata], axis=1)
    model.covariance_roots[group.free("u")] = root
    df = [variable(model, group.name("df"))] if group.student else []
    u = pm.CustomDist(
        group.free("u"),
        root,
        coefficients,
        *mates,
        *df,
        logp=_student_logp if group.student else correlated_logp,
        dist=_student_draw if group.student else correlated_draw,
        signature=f"(m),(p){''.join(f',(g{i},k{i})' for i in range(len(mates)))}{',()' * len(df)}->(k)",
        dims=(group.dim, group.effect_dim),
        transform=GroupEffectsTransform(k),
        class_name=("Mv" if group.correlated else "") + ("StudentT" if group.student else "Normal"),
    )
    if group.to_zero is not None:
        add_effects_at_zero(model, group, u, [unpacked(pt.stack(of_stratum)) for of_stratum in packed])
    return u


def effect_roots(model: Model, group: Group) -> list[list[Tensor]]:
    """The Cholesky factors of the covariances of the effects of a level, packed, one for each stratum, with their standard deviations and
    correlations; an only standard deviation may be there already."""
    name = group.free("sd")
    if name in model.named_vars:
        return [[model[name][0]]]
    sd = standard_deviation(model, name, (*group.strata_dims, group.effect_dim), key=group.name("sd"))
    k, strata = len(group.labels), range(len(group.strata))
    factors = [_correlation_factor(model, group, s) for s in strata]
    if group.correlated:
        matrices = [_product(factor) for factor in factors]
        dims = (*group.strata_dims, group.effect_dim, f"{group.effect_dim}_bis")
        pm.Deterministic(group.free("corr"), pt.stack(matrices) if group.by else matrices[0], dims=dims)
    of_all: Any = sd
    of_stratum: list[Any] = [of_all[s] for s in strata] if group.by else [of_all]
    return [[sd[i] * C[i][j] for i, j in lower_positions(k)] for sd, C in zip(of_stratum, factors, strict=True)]


def _product(C: Sequence[Sequence[Tensor]]) -> Tensor:
    """C C'."""
    factor: Tensor = pt.stack([pt.stack(row) for row in C])
    return factor @ factor.T


def _correlation_factor(model: Model, group: Group, stratum: int) -> list[list[Tensor]]:
    """Cholesky factor C (k, k) of the correlations of the effects of a level of this stratum."""
    k = len(group.labels)
    C: list[list[Tensor]] = [[pt.constant(float(i == j)) for j in range(k)] for i in range(k)]
    for b, block in enumerate(group.correlated):
        name = (
            group.name("pcorr") + (f"_{b}" if len(group.correlated) > 1 else "") + (f"_by{stratum}" if group.by else "")
        )
        model.auxiliary.add(name)
        eta = model.chosen[group.name("corr")][0].arguments["eta"]
        labels = [group.labels[i] for i in block]
        for i, row in zip(block, correlation_factor(model, name, labels, eta), strict=True):
            for j, entry in zip(block, row, strict=True):
                C[i][j] = entry
    return C


def add_effects_at_zero(model: Model, group: Group, u: Tensor, roots: Sequence[list[list[Tensor]]]) -> None:
    """T u, and the sds and correlations of its covariances T L L' T', T what makes effects at zero of those at the means."""
    model.auxiliary |= {group.free(what) for what in ("u", "sd", "corr")}
    T = [[(j, float(Tij)) for j, Tij in enumerate(row) if Tij] for row in np.asarray(group.to_zero)]
    pm.Deterministic(
        group.name("u"),
        pt.stack([sum((Tij * u[:, j] for j, Tij in row), start=ZERO) for row in T], axis=1),
        dims=(group.dim, group.effect_dim),
    )
    found = [_sds_and_correlations(T, L) for L in roots]
    sd, corr = (pt.stack(of_strata) if group.by else of_strata[0] for of_strata in zip(*found, strict=True))
    dims = (*group.strata_dims, group.effect_dim)
    pm.Deterministic(group.name("sd"), sd, dims=dims)
    pm.Deterministic(group.name("corr"), corr, dims=(*dims, f"{group.effect_dim}_bis"))


def _sds_and_correlations(T: Sequence[Sequence[tuple[int, float]]], L: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
    """Of the covariance T L L' T', (k,) and (k, k); T as the columns and values that are not 0 of each of its rows."""
    root = [[sum((Tij * L[j][m] for j, Tij in row if m <= j), start=ZERO) for m in range(len(L))] for row in T]
    sd: list[Tensor] = [pt.sqrt(sum((x * x for x in row), start=ZERO)) for row in root]
    corr: list[list[Tensor]] = [
        [
            ONE if i == j else sum((x * y for x, y in zip(a, b, strict=True)), start=ZERO) / (sd[i] * sd[j])
            for j, b in enumerate(root)
        ]
        for i, a in enumerate(root)
    ]
    return pt.stack(sd), pt.stack([pt.stack(row) for row in corr])


def autoregressive(model: Model, group: Group, rho: Tensor, series: np.ndarray, time: np.ndarray) -> Tensor:
    """u_g (levels, 1) with sd_g and correlation rho^|t - s| between levels at times s and t of one series.

        u_t = rho^D u_s + sd sqrt(1 - rho^(2 D)) z_t,  D = t - s > 0, s the level before t;  u = sd z for the first

    `series` (levels,) says which levels belong together, `time` (levels,) when each is, never the same twice.
    """
    sd = standard_deviation(model, group.name("sd"), group.effect_dim)[0]
    order = np.lexsort((time, series))
    found = np.split(order, np.flatnonzero(np.diff(series[order])) + 1)
    chains = sorted(found, key=len, reverse=True)
    before = np.arange(len(series))  # the first of a series has no level before it and stands for itself
    for chain in chains:
        before[chain[1:]] = chain[:-1]
    gap, first = time - time[before], np.asarray(before == np.arange(len(series)), float)
    log_rho: Tensor = pt.log(rho)
    weight = pt.exp(gap * log_rho) - first  # 0 for the first
    scale = sd * pt.sqrt(first - pt.expm1(2.0 * gap * log_rho))  # sd for the first
    blocks = [np.array([c[k] for c in chains if len(c) > k]) for k in range(len(chains[0]))]

    def logp(u: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        z: Tensor = (u[:, 0] - weight * u[before, 0]) / scale
        return pt.sum(-0.5 * z * z - pt.log(scale)) - 0.5 * len(series) * np.log(2 * np.pi)

    def dist(weight: Tensor, scale: Tensor, size: Tensor) -> Tensor:
        return along_series(blocks, weight, scale, pm.Normal.dist(0.0, 1.0, size=len(series)))[:, None]

    return pm.CustomDist(
        group.name("u"),
        weight,
        scale,
        logp=logp,
        dist=dist,
        signature="(n),(n)->(n,k)",
        dims=(group.dim, group.effect_dim),
        transform=AutoregressiveTransform(before, blocks),
        class_name="AutoregressiveNormal",
    )


def correlated_logp(u: Tensor, packed: Tensor, *_: Tensor) -> Tensor:
    """log Normal(u | 0, L L') for every level: u (levels, k). What else the transform reads does not enter."""
    L = unpacked(packed)
    return -0.5 * sum(z * z for z in solve_levels(L, u)) - log_determinant(L) - 0.5 * len(L) * np.log(2 * np.pi)


def correlated_draw(packed: Tensor, *others: Tensor) -> Tensor:
    L, size = unpacked(packed), others[-1]
    levels = () if rv_size_is_none(size) else tuple(size)
    return with_root(L, pm.Normal.dist(0.0, 1.0, size=(*levels, len(L))))


def _student_logp(u: Tensor, packed: Tensor, *others: Tensor) -> Tensor:
    """log StudentT(u | df, 0, L L') for every level, df the last of the others:

    Gamma((df + k) / 2) / (Gamma(df / 2) (df pi)^(k / 2) det L) (1 + z'z / df)^(-(df + k) / 2),  z = L^-1 u
    """
    L, df = unpacked(packed), others[-1]
    k, log1p = len(L), functions_of(df).log1p
    level = sum((log_gamma_ratio(df + j) + 0.5 * log1p(j / df) for j in range(k)), start=ZERO)
    square: Tensor = sum((z * z for z in solve_levels(L, u)), start=ZERO)
    return level - 0.5 * (df + k) * log1p(square / df) - log_determinant(L) - 0.5 * k * np.log(2 * np.pi)


def _student_draw(packed: Tensor, *others: Tensor) -> Tensor:
    """sqrt(df / chi^2) L z with one chi^2 of df degrees of freedom for each level."""
    *inputs, df, size = others
    u = correlated_draw(packed, *inputs, size)
    spread: Tensor = pt.sqrt(pm.Gamma.dist(0.5 * df, 0.5 * df, size=u.shape[:-1]))
    return u / spread[..., None]
