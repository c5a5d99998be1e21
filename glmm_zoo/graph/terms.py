"""The pieces of a linear predictor in PyMC, each written once. Imports the rooms to its left, never a builder.

eta = Intercept + X beta + sum over smooths s of (Xf_s linear_s + Zs_s w_s) + sum over factors g of Z_g u_g[level] + offset

    w_s ~ Normal(0, sd_s),
    u_g[level] ~ Normal(0, S_g),   S_g = diag(sd_g) R_g diag(sd_g),   R_g ~ LKJ

R_g is built from its partial correlations, whose LKJ densities are independent betas (Lewandowski, Kurowicka & Joe
2009): p_ij of the pair (i, j) given the effects before j is 2 b - 1 with b ~ Beta(a_j, a_j), a_j = eta + (k - 2 - j) / 2,
j from 0, k effects. The group effects keep their own prior in the graph; what the sampler moves is a matter of the
transform on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.shape_utils import rv_size_is_none
from pymc.distributions.transforms import log
from pymc.logprob.transforms import LogTransform, Transform

from glmm_zoo.families import ordinal
from glmm_zoo.formulas.names import prefixed, variable_name
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.smooths.smooth import Smooth
from glmm_zoo.plans.intake import Group, Plan, groups_of, smooth_name
from glmm_zoo.priors import Prior

Tensor = Any  # a PyTensor variable: its own types do not describe arithmetic
_ZERO: Tensor = pt.constant(0.0)
_ONE: Tensor = pt.constant(1.0)


class Model(pm.Model):
    """A PyMC model that remembers what it was built from.

    `spec` is JSON-able: builder, arguments, priors in force, notes. `frame` holds the columns used, `also` those
    of further tables by the dimension of their rows, `predictors` the design, `chosen` the priors, `auxiliary` the names of
    variables that only carry others and are not reported. `unit` is the dimension of the pointwise log-likelihood where it has one term for each subject and not for each row.
    """

    def __init__(self, plan: Plan):
        super().__init__(coords=_coords(plan))
        self.spec = dict(plan.spec)
        self.frame = plan.table
        self.also = plan.also
        self.predictors = plan.predictors
        self.chosen = plan.chosen
        self.rows = plan.rows
        self.unit = variable_name(plan.unit.name) if plan.unit else None
        self.scales = plan.scales
        self.auxiliary: set[str] = set()
        self.linear: dict[str, Linear] = {}
        self.transports: dict[str, Transport] = {}  # by name of the group effects
        self.smoothed: dict[str, Smoothed] = {}  # by name of a smooth's weights
        self.near: dict[str, float] = {}  # a value by name of the standard deviations whose log scale may be bent
        self.roots: dict[str, Tensor] = {}  # packed Cholesky factors of the group effects' covariances, by their name
        self.event: Event | None = None  # the time to an event, given the predictors
        self.working: Tensor | None = None  # a log-likelihood by row for `geometry`, where the model's own is not one
        self._beginning: tuple[list[int], dict[str, np.ndarray]] | None = None

    def initial_point(self, random_seed: Any = None) -> dict[str, np.ndarray]:
        """As PyMC's, computed once for the variables that the sampler moves."""
        moved = [id(v) for v in self.value_vars]
        if self._beginning is None or self._beginning[0] != moved:
            self._beginning = moved, super().initial_point(random_seed)
        return {name: value.copy() for name, value in self._beginning[1].items()}

    def uncentre(self) -> None:
        """Let the sampler move standard normal variables, whatever an approximation said: the non-centred form."""
        for transform in (*self.transports.values(), *self.smoothed.values()):
            transform.known = None
        self.rvs_to_transforms.update({self[name]: log for name in self.near})
        self._beginning = None

    @property
    def bent(self) -> bool:
        """Whether the log scales are bent."""
        return any(isinstance(self.rvs_to_transforms[self[name]], BentLog) for name in self.near)

    def bend(self, modes: Mapping[str, np.ndarray]) -> None:
        """Let the sampler move standard deviations on a log scale that is bent below these values."""
        self.rvs_to_transforms.update({self[name]: BentLog(mode) for name, mode in modes.items()})
        self._beginning = None

    def centre(self) -> None:
        """Let the sampler move group effects and smooths' weights themselves: the centred form."""
        for name in (*self.transports, *self.smoothed):
            rv = self[name]
            value = rv.clone(name=name)
            del self.values_to_rvs[self.rvs_to_values[rv]]
            self.rvs_to_values[rv], self.values_to_rvs[value] = value, rv
            self.rvs_to_transforms[rv] = None


class Event(Protocol):
    """What `geometry` needs to know of an outcome that is not a family's: the observed variable's name, and, given
    estimates of coefficients and group effects, elements (variable, position) of its parameters, unconstrained, with
    their mean (m,) and covariance (m, m)."""

    name: str

    def approximate(
        self, coefficients: Mapping[str, np.ndarray], effects: Mapping[str, np.ndarray]
    ) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]: ...


@dataclass
class Linear:
    """One linear predictor in the graph, with what it is made of: eta = design @ coefficients + offset + Z u.

    `design` (n, p) holds a column of ones for the intercept, then the columns as they are multiplied; `elements` names
    the random variable and the position in it of every coefficient, `priors` their priors. The last columns are those of
    the smooths' weights, which are not among the elements: `curves` has their names and sizes.
    """

    design: np.ndarray
    coefficients: Tensor
    elements: list[tuple[str, int]]
    priors: list[Prior]
    offset: np.ndarray | None
    eta: Tensor
    curves: list[Curves] = field(default_factory=list)


@dataclass(frozen=True)
class Curves:
    """The weights of a smooth in the graph: their name, that of their sd, and which sd each has (q,)."""

    weights: str
    sd: str
    sd_of: np.ndarray


def _coords(plan: Plan) -> dict[str, Any]:
    """Labels of every dimension."""
    found: dict[str, Any] = dict(plan.labels) or {"row": np.arange(plan.rows)}
    if plan.unit:
        found[variable_name(plan.unit.name)] = list(plan.unit.levels)
    for p in plan.predictors:
        if p.population.labels:
            found[prefixed(p.prefix, "coef")] = list(p.population.labels)
        for s in p.smooths:
            found[smooth_name(p, s, "weight")] = list(s.weight_labels)
            if len(s.sds) > 1:
                found[smooth_name(p, s, "part")] = list(s.sds)
            if s.linear.shape[1] > 1:
                found[smooth_name(p, s, "coef")] = list(s.linear_labels)
    for g in groups_of(plan.predictors):
        found[g.dim] = list(g.factor.levels)
        found[g.effect_dim] = list(g.labels)
        if g.correlated:
            found[f"{g.effect_dim}_bis"] = list(g.labels)
    return found


def variable(model: Model, name: str, dim: str | tuple[str, ...] | None = None, *, key: str | None = None) -> Tensor:
    """A random variable under its prior (that of `key`, if not its own), or an array over `dim` with one each.

    Elements under the same distribution are one variable; a mixture of distributions becomes one auxiliary variable
    for each, put together under `name`.
    """
    chosen = model.chosen[key or name]
    dims = (dim,) if isinstance(dim, str) else dim
    if not dims:
        return _random(name, chosen[0].distribution, dict(chosen[0].arguments), {})
    shape = tuple(len(model.coords[d]) for d in dims)
    kinds = list(dict.fromkeys((p.distribution, tuple(p.arguments)) for p in chosen))
    if len(kinds) == 1:
        each = len(chosen) > 1  # else one prior for all
        arguments = {a: x.reshape(shape) if each else x for a, x in _columns(chosen).items()}
        return _random(name, kinds[0][0], arguments, {"dims": dims})
    whole: Tensor = pt.zeros(len(chosen))
    labels = ["|".join(map(str, each)) for each in product(*(model.coords[d] for d in dims))]
    for distribution, arguments in kinds:
        at = [i for i, p in enumerate(chosen) if (p.distribution, tuple(p.arguments)) == (distribution, arguments)]
        part = f"{name}_{distribution}" + ("" if [k[0] for k in kinds].count(distribution) == 1 else f"_{at[0]}")
        places = "_".join((part, *dims))
        model.add_coord(places, [labels[i] for i in at])
        model.auxiliary.add(part)
        values = _random(part, distribution, _columns([chosen[i] for i in at]), {"dims": places})
        whole = pt.set_subtensor(whole[np.array(at)], values)
    return pm.Deterministic(name, whole.reshape(shape), dims=dims)


def standard_deviation(model: Model, name: str, dim: str | None = None, *, near: float = 1.0) -> Tensor:
    """A `variable` whose log scale may be bent, near this value if `geometry` finds no other."""
    sd = variable(model, name, dim)
    if isinstance(model.rvs_to_transforms.get(sd), LogTransform):
        model.near[name] = near
    return sd


def _columns(chosen: Sequence[Prior]) -> dict[str, Any]:
    return {a: np.array([p.arguments[a] for p in chosen]) for a in chosen[0].arguments}


def _random(name: str, distribution: str, arguments: Mapping[str, Any], extra: Mapping[str, Any]) -> Tensor:
    return getattr(pm, distribution)(name, **arguments, **extra)


# ---------------------------------------------------------------------------------------------------- the predictor


def _data(name: str) -> str:
    """Names of data in the graph begin with an underscore, which `variable_name` keeps from columns."""
    return f"_{name}"


def linear_predictors(
    model: Model,
    *,
    center: bool = True,
    drawn: Mapping[str, Callable[[Model, Group], Tensor]] | None = None,
    also: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Tensor]:
    """eta (n,) of every predictor of the model, by prefix.

    `also` holds columns (n, m) of the main predictor whose coefficients are variables of their own, already in the
    model, by name.

    `drawn` says by factor who draws its effects (levels, k), where they are not independent between levels.

    With `center`, the prior on the intercept is on the predictor at the covariates' means, and `Intercept` is reported
    at zero covariates: eta = (c + (X - m) beta), Intercept = c - m beta.
    """
    for p in model.predictors:
        model.linear[p.prefix] = _population(model, p, center, also or {} if p.prefix == "" else {})
        for s in p.smooths:
            _add_weights(model, p, s)
    dims = {p.prefix: p.dim for p in model.predictors}
    earlier: list[tuple[Group, Tensor]] = []
    effects: dict[str, Tensor] = {}
    for group in sorted(groups_of(model.predictors), key=lambda g: len(g.factor.levels)):
        if group.factor.name in (drawn or {}):
            effects[group.name("u")] = (drawn or {})[group.factor.name](model, group)
        else:
            effects[group.name("u")] = _group_effects(model, group, earlier)
            earlier.append((group, effects[group.name("u")]))
    for group in groups_of(model.predictors):
        u = effects[group.name("u")]
        level_of: dict[str, Tensor] = {}  # by what the rows are: predictors of one outcome share theirs
        for k, (owner, z) in enumerate(zip(group.owners, group.z, strict=True)):
            dim = dims[owner]
            if dim not in level_of:
                name = group.name("level_of") + (f"_{dim}" if level_of else "")
                level_of[dim] = pm.Data(_data(name), group.codes[owner], dims=dim)
            effect = u[level_of[dim], k]
            if not np.all(z == 1):
                effect = pm.Data(_data(f"{group.name('z')}_{k}"), np.ascontiguousarray(z), dims=dim) * effect
            model.linear[owner].eta = model.linear[owner].eta + effect
    return {prefix: linear.eta for prefix, linear in model.linear.items()}


def logit_share(model: Model, name: str, etas: Mapping[str, Tensor]) -> Tensor:
    """logit of the probability `name`: its own predictor where it has one, else of one variable for all rows."""
    if name in etas:
        return etas[name]
    share = variable(model, name)
    log_share: Tensor = pt.log(share)
    return log_share - pt.log1p(-share)


def log_positive(model: Model, name: str, etas: Mapping[str, Tensor]) -> Tensor:
    """log of the positive parameter `name`: its own predictor where it has one, else of one variable for all rows."""
    return etas[name] if name in etas else pt.log(variable(model, name))


def _population(model: Model, predictor: PredictorDesign, center: bool, also: Mapping[str, np.ndarray]) -> Linear:
    X, prefix = predictor.population, predictor.prefix
    eta: Tensor = _ZERO
    columns: list[np.ndarray] = []
    parts: list[Tensor] = []
    elements: list[tuple[str, int]] = []
    priors: list[Prior] = []
    means = X.means if center and X.labels and (X.intercept or predictor.cutpoints) else None
    if X.labels:
        beta = variable(model, prefixed(prefix, "beta"), prefixed(prefix, "coef"))
        values = np.ascontiguousarray(X.values if means is None else X.values - means)
        eta = eta + pm.Data(_data(prefixed(prefix, "X")), values, dims=(predictor.dim, prefixed(prefix, "coef"))) @ beta
        columns, parts = [values], [beta]
        elements = _elements(model, prefixed(prefix, "beta"), prefixed(prefix, "coef"))
        priors = [*model.chosen[prefixed(prefix, "beta")]]
    if X.intercept:
        name = prefixed(prefix, "Intercept")
        if means is None:
            intercept = variable(model, name)
        else:
            model.auxiliary.add(f"{name}_at_means")
            intercept = variable(model, f"{name}_at_means", key=name)
            pm.Deterministic(name, intercept - pt.dot(means, beta))
        eta = eta + intercept
        columns, parts = [np.ones((predictor.rows, 1)), *columns], [intercept[None], *parts]
        elements = [(name if means is None else f"{name}_at_means", 0), *elements]
        priors = [*model.chosen[name], *priors]
    for s in (s for s in predictor.smooths if s.linear.shape[1]):
        name, dim = smooth_name(predictor, s, "linear"), smooth_name(predictor, s, "coef")
        several = s.linear.shape[1] > 1
        coefficient = variable(model, name, dim) if several else variable(model, name)[None]
        dims = (predictor.dim, dim) if several else (predictor.dim, None)
        eta = eta + pm.Data(_data(f"{name}_columns"), s.linear, dims=dims) @ coefficient
        columns, parts = [*columns, s.linear], [*parts, coefficient]
        elements = [*elements, *(_elements(model, name, dim) if several else [(name, 0)])]
        priors = [*priors, *model.chosen[name]]
    for name, values in also.items():
        coefficient = model[name] if model[name].ndim else model[name][None]
        eta = eta + pm.Data(_data(f"{name}_columns"), np.ascontiguousarray(values)) @ coefficient
        columns, parts = [*columns, values], [*parts, coefficient]
        dims = model.named_vars_to_dims.get(name)
        elements = [*elements, *(_elements(model, name, str(dims[0])) if dims else [(name, 0)])]
        priors = [*priors, *model.chosen[name]]
    if predictor.offset is not None:
        eta = eta + pm.Data(_data(prefixed(prefix, "offset")), predictor.offset, dims=predictor.dim)
    if eta.ndim == 0:
        eta = eta + pt.zeros(predictor.rows)
    design = np.hstack(columns) if columns else np.empty((predictor.rows, 0))
    coefficients = pt.concatenate(parts) if parts else pt.zeros(0)
    return Linear(design, coefficients, elements, priors, predictor.offset, eta)


def _add_weights(model: Model, predictor: PredictorDesign, smooth: Smooth) -> None:
    """Zs w to the predictor, w (q,) given the coefficients and the weights before it."""
    linear, several = model.linear[predictor.prefix], len(smooth.sds) > 1
    sd_name, name = (smooth_name(predictor, smooth, what) for what in ("sd", "weights"))
    sd = standard_deviation(model, sd_name, smooth_name(predictor, smooth, "part") if several else None)
    scale: Tensor = sd[smooth.sd_of] if several else sd * pt.ones(len(smooth.sd_of))
    dim = smooth_name(predictor, smooth, "weight")
    model.smoothed[name] = transform = Smoothed()
    weights = pm.CustomDist(
        name,
        scale,
        linear.coefficients,
        logp=_independent_logp,
        dist=_independent_draw,
        signature="(q),(p)->(q)",
        dims=dim,
        transform=transform,
        class_name="Normal",
    )
    Zs = pm.Data(_data(f"{name}_columns"), smooth.penalised, dims=(predictor.dim, dim))
    linear.eta = linear.eta + Zs @ weights
    linear.design = np.hstack([linear.design, smooth.penalised])
    linear.coefficients = pt.concatenate([linear.coefficients, weights])
    linear.curves.append(Curves(name, sd_name, smooth.sd_of))


def _independent_logp(w: Tensor, scale: Tensor, _: Tensor) -> Tensor:
    return pt.sum(-0.5 * (w / scale) ** 2 - pt.log(scale)) - 0.5 * np.log(2 * np.pi) * scale.shape[0]


def _independent_draw(scale: Tensor, _: Tensor, size: Tensor) -> Tensor:
    draws = () if rv_size_is_none(size) else tuple(size)
    return scale * pm.Normal.dist(0.0, 1.0, size=(*draws, scale.shape[-1]))


def _elements(model: Model, name: str, dim: str) -> list[tuple[str, int]]:
    """The random variable that holds each element of a vector made by `variable`, and its position there."""
    free = {rv.name for rv in model.free_RVs}
    if name in free:
        return [(name, i) for i in range(len(model.coords[dim]))]
    labels: Any = model.coords[dim]
    found = {}
    for part in (n for n in free if n.startswith(f"{name}_") and f"{n}_{dim}" in model.coords):
        found.update({label: (part, i) for i, label in enumerate(model.coords[f"{part}_{dim}"])})
    return [found[label] for label in labels]


def cutpoints(
    model: Model, predictor: PredictorDesign, labels: Sequence[str], start: np.ndarray | None, *, center: bool
) -> Tensor:
    """Thresholds between ordered categories, in place of the intercept: P(Y <= k) rises with c_k - eta.

    With `center`, eta is (X - m) beta and c are the thresholds at the covariates' means; `cutpoints`, those at zero
    covariates, are c + m beta. One prior holds for each c. They are drawn in order where `start` (K - 1,) gives increasing
    initial values, else independently of each other.
    """
    name, dim = prefixed(predictor.prefix, "cutpoints"), prefixed(predictor.prefix, "cutpoint")
    X = predictor.population
    free = f"{name}_at_means" if center and X.labels else name
    model.add_coord(dim, list(labels))
    if start is None:
        at_means = variable(model, free, dim, key=name)
    else:
        at_means = ordinal.increasing(free, model.chosen[name][0], start, dim)
    if free == name:
        return at_means
    model.auxiliary.add(free)
    pm.Deterministic(name, at_means + pt.dot(X.means, model[prefixed(predictor.prefix, "beta")]), dims=dim)
    return at_means


def _group_effects(model: Model, group: Group, earlier: Sequence[tuple[Group, Tensor]]) -> Tensor:
    """u_g (levels, k), given the effects of the factors before it."""
    sd = standard_deviation(model, group.name("sd"), group.effect_dim)
    k = len(group.labels)
    C: list[list[Tensor]] = [[pt.constant(float(i == j)) for j in range(k)] for i in range(k)]
    eta = model.chosen[group.name("corr")][0].arguments["eta"] if group.correlated else 0.0
    for b, block in enumerate(group.correlated):
        name = group.name("pcorr") + (f"_{b}" if len(group.correlated) > 1 else "")
        model.auxiliary.add(name)
        labels = [group.labels[i] for i in block]
        for i, row in zip(block, correlation_factor(model, name, labels, eta), strict=True):
            for j, entry in zip(block, row, strict=True):
                C[i][j] = entry
    if group.correlated:
        factor: Tensor = pt.stack([pt.stack(row) for row in C])
        pm.Deterministic(group.name("corr"), factor @ factor.T, dims=(group.effect_dim, f"{group.effect_dim}_bis"))
    owners = list(dict.fromkeys(group.owners))
    mates = [u for other, u in earlier if set(other.owners) & set(owners)]
    coefficients = pt.concatenate([model.linear[p].coefficients for p in owners])
    transport = model.transports[group.name("u")] = Transport(k)
    root = model.roots[group.name("u")] = pt.stack([sd[i] * C[i][j] for i, j in _lower(k)])
    return pm.CustomDist(
        group.name("u"),
        root,
        coefficients,
        *mates,
        logp=_correlated_logp,
        dist=_correlated_draw,
        signature=f"(m),(p){''.join(f',(g{i},k{i})' for i in range(len(mates)))}->(k)",
        dims=(group.dim, group.effect_dim),
        transform=transport,
        class_name="MvNormal" if group.correlated else "Normal",
    )


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
        return _along(blocks, weight, scale, pm.Normal.dist(0.0, 1.0, size=len(series)))[:, None]

    return pm.CustomDist(
        group.name("u"),
        weight,
        scale,
        logp=logp,
        dist=dist,
        signature="(n),(n)->(n,k)",
        dims=(group.dim, group.effect_dim),
        transform=Autoregressive(before, blocks),
        class_name="AutoregressiveNormal",
    )


def _along(blocks: Sequence[np.ndarray], weight: Tensor, scale: Tensor, z: Tensor) -> Tensor:
    """u (levels,): the k-th block has the k-th level of every series, the longest series first."""
    made = [scale[blocks[0]] * z[blocks[0]]]
    for block in blocks[1:]:
        made.append(weight[block] * made[-1][: len(block)] + scale[block] * z[block])
    u: Tensor = pt.concatenate(made)
    return u[np.argsort(np.concatenate(blocks))]


def _lower(k: int) -> list[tuple[int, int]]:
    """Positions of the lower triangle of a (k, k) matrix, row by row: how a Cholesky factor is packed in a vector.

    A vector of scalars, not a matrix, so that the graph simplifies to arithmetic on these scalars.
    """
    return [(i, j) for i in range(k) for j in range(i + 1)]


def unpacked(packed: Tensor) -> list[list[Tensor]]:
    """Rows of the lower triangle L, L[i][j] for j <= i."""
    size = packed.type.shape[0]
    assert size is not None, "the number of effects is fixed when the model is built"
    k = int((np.sqrt(8 * size + 1) - 1) / 2)
    return [[packed[i * (i + 1) // 2 + j] for j in range(i + 1)] for i in range(k)]


def correlation_factor(model: Model, name: str, labels: Sequence[str], eta: float) -> list[list[Tensor]]:
    """Cholesky factor C (k, k) of a correlation matrix under LKJ(eta), row by row from its partial correlations:

    C_ij = p_ij prod_{m<j} sqrt(1 - p_im^2), C_ii = prod_{m<i} sqrt(1 - p_im^2)
    """
    k = len(labels)
    pairs = _lower(k - 1)  # p_ij of effects i + 1 and j
    shape = np.array([eta + (k - 2 - j) / 2 for _, j in pairs])
    model.add_coord(f"{name}_pair", [f"{labels[i + 1]}|{labels[j]}" for i, j in pairs])
    p = 2.0 * pm.Beta(name, shape, shape, dims=f"{name}_pair") - 1.0
    zero, one = pt.constant(0.0), pt.constant(1.0)
    rows = [[one, *[zero] * (k - 1)]]
    for i in range(1, k):
        left, row = one, []
        for j in range(i):
            pij = p[pairs.index((i - 1, j))]
            row.append(pij * left)
            left = left * pt.sqrt(1.0 - pij * pij)
        rows.append([*row, left, *[zero] * (k - 1 - i)])
    return rows


def _correlated_logp(u: Tensor, packed: Tensor, *_: Tensor) -> Tensor:
    """log Normal(u | 0, L L') for every level: u (levels, k). What else the transform reads does not enter."""
    L = unpacked(packed)
    return -0.5 * sum(z * z for z in _solve(L, u)) - _log_det(L) - 0.5 * len(L) * np.log(2 * np.pi)


def _correlated_draw(packed: Tensor, *others: Tensor) -> Tensor:
    L, size = unpacked(packed), others[-1]
    levels = () if rv_size_is_none(size) else tuple(size)
    return with_root(L, pm.Normal.dist(0.0, 1.0, size=(*levels, len(L))))


def with_root(L: list[list[Tensor]], z: Any) -> Tensor:
    """L z for every z (..., k)."""
    return pt.stack([sum(Lim * z[..., m] for m, Lim in enumerate(row)) for row in L], axis=-1)


def _solve(L: list[list[Tensor]], u: Tensor) -> list[Tensor]:
    """Columns of L^-1 u for every level, by forward substitution written out: few effects, one fused loop."""
    return _forward_substituted(L, [u[:, k] for k in range(len(L))])


def _forward_substituted(L: list[list[Tensor]], q: list[Tensor]) -> list[Tensor]:
    z: list[Tensor] = []
    for k, row in enumerate(L):
        known = sum((row[m] * z[m] for m in range(k)), start=_ZERO)
        z.append((q[k] - known) / row[k])
    return z


def _log_det(L: list[list[Tensor]]) -> Tensor:
    diagonal: list[Tensor] = [pt.log(row[-1]) for row in L]
    return sum(diagonal, start=_ZERO)


class Informed(Transform):
    """u = mean + r (m - mean) + z sd sqrt(1 - r), r = sd^2 / (sd^2 + v): what the data say of u, an estimate m with
    variance v, taken into account, so that z is near Normal(0, 1) under the posterior.

    The posterior is the same whatever m and v are; poor ones cost speed. v = infinity is the non-centred form.
    """

    name = "z"
    ndim_supp = 0

    def __init__(self, estimate: np.ndarray, variance: np.ndarray):
        self.estimate, self.variance = estimate, variance

    def _location_scale(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        mean, sd = inputs[-2:]
        r = sd * sd / (sd * sd + self.variance)
        return mean + r * (self.estimate - mean), sd * pt.sqrt(1.0 - r)

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        location, scale = self._location_scale(inputs)
        return location + value * scale

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        location, scale = self._location_scale(inputs)
        return (value - location) / scale

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        log_scale: Tensor = pt.log(self._location_scale(inputs)[1])
        return log_scale + pt.zeros_like(value)


class Smoothed(Transform):
    """w = V t, t = (sd^2 r + sd sqrt(1 + sd^2 a) z) / (1 + sd^2 a), r = c - B coefficients: the weights of a smooth.

    What a Gaussian approximation of the likelihood says of w given the coefficients is w' (c - B coefficients) - w' A w / 2;
    V diag(a) V' = A, V orthogonal, c and B turned by V'. So z is near Normal(0, 1) for every sd, as with `Transport`, and
    the change of variables is exact whatever A, B and c are. log|dw/dz| = sum log sd - log(1 + sd^2 a) / 2.
    """

    name = "z"
    ndim_supp = 1

    def __init__(self) -> None:
        self.known: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None

    def set(self, V: np.ndarray, a: np.ndarray, c: np.ndarray, B: np.ndarray) -> None:
        """Take an approximation: V (q, q), a and c (q,), B (q, p); graphs made from now on use it."""
        self.known = V, a, c, B

    def _location_scale(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        sd, coefficients = (x for x in inputs if getattr(x.type, "dtype", "") == "float64")
        if self.known is None:
            return _ZERO, sd
        _, a, c, B = self.known
        shrunk: Tensor = 1.0 + sd * sd * a
        return sd * sd * (c - pt.constant(B) @ coefficients) / shrunk, sd / pt.sqrt(shrunk)

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        location, scale = self._location_scale(inputs)
        if self.known is None:
            return scale * value
        V: Tensor = pt.constant(self.known[0])
        return V @ (location + scale * value)

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        location, scale = self._location_scale(inputs)
        if self.known is None:
            return value / scale
        turned: Tensor = pt.constant(np.ascontiguousarray(self.known[0].T))
        return (turned @ value - location) / scale

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        return pt.sum(pt.log(self._location_scale(inputs)[1]))


class BentLog(Transform):
    """sd = mode e^b(x), b(x) = x + log(2)^2 - softplus(-x)^2: a log scale that is bent below the mode.

    Where the data cannot tell an sd from 0, its posterior density does not vanish towards 0. That is an exponential tail on
    the log scale, which NUTS explores slowly; here it falls like a normal density. Above the mode this is the log scale. The
    change of variables is exact whatever the mode is, a scalar or one for each sd. log|dsd/dx| = log sd + log b'(x).
    """

    name = "log"

    def __init__(self, mode: np.ndarray):
        self.mode = mode

    def backward(self, value: Tensor, *_: Tensor) -> Tensor:
        return self.mode * pt.exp(_bend(value))

    def forward(self, value: Tensor, *_: Tensor) -> Tensor:
        y: Tensor = pt.log(value / self.mode)
        below: Tensor = pt.sqrt(pt.abs(y))
        x: Tensor = pt.switch(y > 0, y, -below)
        for _step in range(8):  # of Newton's method
            x = x - (_bend(x) - y) / _slope_of_bend(x)
        return x

    def log_jac_det(self, value: Tensor, *_: Tensor) -> Tensor:
        return np.log(self.mode) + _bend(value) + pt.log(_slope_of_bend(value))


def _bend(x: Tensor) -> Tensor:
    below: Tensor = pt.softplus(-x)
    return x + np.log(2) ** 2 - below * below


def _slope_of_bend(x: Tensor) -> Tensor:
    below: Tensor = pt.softplus(-x)
    return 1.0 + 2.0 * below * pt.sigmoid(-x)


class Transport(Transform):
    """u = L v, v = R'^-1 (z + R^-1 L' r) for each level, L L' the covariance of the effects, R R' = I + L' A L.

    A (k, k) and r = c - B coefficients - (effects of earlier factors) are what a Gaussian approximation of the
    likelihood, fixed before sampling, says of a level: then u | everything else ~ Normal(P^-1 r, P^-1),
    P = (L L')^-1 + A, and the sampler moves z, whose distribution is close to Normal(0, 1) where the level has much data
    and where it has none. With A = 0 and r = 0 it is the non-centred form. The change of variables is exact whatever A
    and r are. log|du/dz| = sum log diag L - sum log diag R. (DESIGN.md of the project's outset; Osmundsen, Kleppe &
    Liesenfeld 2021.)

    Symbols: A (levels, k, k), c (levels, k), B (levels, k, p); for each earlier factor of k' effects the pairs of levels
    that share rows, `own` and `other` (pairs,), with weights (k, k', pairs). The inputs are L, packed, the coefficients
    and the effects of earlier factors.
    """

    name = "z"
    ndim_supp = 1

    def __init__(self, effects: int):
        self.size = effects
        self.known: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self.pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]] = ()

    def set(
        self,
        A: np.ndarray,
        c: np.ndarray,
        B: np.ndarray,
        pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]] = (),
    ) -> None:
        """Take an approximation; graphs made from now on use it."""
        self.known, self.pairs = (A, c, B), pairs

    def _solved(self, inputs: Sequence[Tensor]) -> tuple[list[list[Tensor]], list[list[Tensor]], list[Tensor]]:
        """L, R and y = R^-1 L' r, elements (levels,) or scalars."""
        packed, coefficients, *earlier = (x for x in inputs if getattr(x.type, "dtype", "") == "float64")
        L, k = unpacked(packed), self.size
        if self.known is None:
            return L, [[_ONE if i == j else _ZERO for j in range(i + 1)] for i in range(k)], [_ZERO] * k
        A_, c, B = self.known
        A = {(i, j): pt.constant(np.ascontiguousarray(A_[:, i, j])) for i, j in _lower(k)}
        r: list[Tensor] = [
            pt.constant(np.ascontiguousarray(c[:, i])) - coefficients @ pt.constant(np.ascontiguousarray(B[:, i].T))
            for i in range(k)
        ]
        for (own, other, weights), u in zip(self.pairs, earlier, strict=True):
            there = u[other]
            for i in range(k):
                shared = (pt.constant(np.ascontiguousarray(weights[i].T)) * there).sum(axis=1)
                r[i] = pt.inc_subtensor(r[i][own], -shared)
        AL = [
            [sum((A[max(a, b), min(a, b)] * L[b][j] for b in range(j, k)), start=_ZERO) for j in range(k)]
            for a in range(k)
        ]
        R: list[list[Tensor]] = []
        for i in range(k):
            row: list[Tensor] = []
            for j in range(i + 1):
                Mij = float(i == j) + sum((L[a][i] * AL[a][j] for a in range(i, k)), start=_ZERO)
                left = Mij - sum((row[m] * R[j][m] for m in range(j)), start=_ZERO) if j < i else Mij
                row.append(left / R[j][j] if j < i else pt.sqrt(left - sum((x * x for x in row), start=_ZERO)))
            R.append(row)
        q = [sum((L[a][i] * r[a] for a in range(i, k)), start=_ZERO) for i in range(k)]
        return L, R, _forward_substituted(R, q)

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        L, R, y = self._solved(inputs)
        t = [value[:, i] + y[i] for i in range(self.size)]
        v: list[Tensor] = [_ZERO] * self.size
        for i in reversed(range(self.size)):
            known = sum((R[m][i] * v[m] for m in range(i + 1, self.size)), start=_ZERO)
            v[i] = (t[i] - known) / R[i][i]
        return pt.stack([sum((Lim * v[m] for m, Lim in enumerate(row)), start=_ZERO) for row in L], axis=1)

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        L, R, y = self._solved(inputs)
        v = _solve(L, value)
        t = [sum((R[m][i] * v[m] for m in range(i, self.size)), start=_ZERO) for i in range(self.size)]
        return pt.stack([ti - yi for ti, yi in zip(t, y, strict=True)], axis=1)

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        L, R, _ = self._solved(inputs)
        return _log_det(L) - _log_det(R) + pt.zeros(value.shape[0])


class Autoregressive(Transform):
    """u_t = weight_t u_s + scale_t z_t along each series, s the level before t; log|du/dz| = sum log scale."""

    name = "z"
    ndim_supp = 2

    def __init__(self, before: np.ndarray, blocks: Sequence[np.ndarray]):
        self.before, self.blocks = before, blocks

    @staticmethod
    def _parameters(inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """weight and scale are the parameters of real numbers among size, parameters and random generator."""
        weight, scale = (x for x in inputs if getattr(x.type, "dtype", "") == "float64")
        return weight, scale

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        return _along(self.blocks, *self._parameters(inputs), value[:, 0])[:, None]

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        weight, scale = self._parameters(inputs)
        return ((value[:, 0] - weight * value[self.before, 0]) / scale)[:, None]

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        return pt.sum(pt.log(self._parameters(inputs)[1]))
