"""A quick Gaussian approximation of a model before sampling, from which the sampler gets its geometry.

Imports the rooms to its left. For each linear predictor eta = D b + offset + sum over factors Z_f u_f the pass looks for

    q(b, u) Gaussian,   w_i = -E_q[d2 log f(y_i | eta_i) / d eta_i^2],   s_i = E_q[d log f(y_i | eta_i) / d eta_i],

the stationary point of a Gaussian variational fit (Opper & Archambeau 2009), with the covariances of the group effects
by EM and the family's own parameters by Newton steps. With m, v the mean and variance of eta_i under q and h ~ N(0, 1),
Stein's identities give both derivatives from values of the density alone,

    s = E[h log f(m + sqrt(v) h)] / sqrt(v),    w = -E[(h^2 - 1) log f(m + sqrt(v) h)] / v,

by Gauss-Hermite quadrature, so that every family of the zoo is served by the density it has. Nothing here changes a
posterior: a bad approximation costs speed only.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from glmm_zoo.errors import FitError
from glmm_zoo.plans.intake import Group, groups_of, named

if TYPE_CHECKING:
    import pandas as pd

    from glmm_zoo.graph.model import Curves, Model

_log = logging.getLogger("glmm_zoo")

NODES = 11  # of the Gauss-Hermite rule
ITERATIONS = 25
TOLERANCE = 2e-3  # of eta, in units of its standard deviation
PHI_TOLERANCE = 0.02  # of the family's own parameters, unconstrained
TOGETHER = 10  # parameters of the family whose second derivatives are all computed,
SMALL = 1e5  # and so many parameters^2 x rows
WORK = 4e9  # multiplications of a round that solves for the effects of several factors at once,
NUMBERS = 6e6  # and numbers that it holds
_LEAST_SD, _MOST_SD = 0.05, 10.0  # of a group effect in the pass, in units of the link
_STEP = 3.0  # no working response is further than this from eta, in units of the link


@dataclass(frozen=True)
class Start:
    """What the sampler takes from the pass.

    `point` holds unconstrained values by value variable, where they differ from the model's own; `blocks` are sets of
    elements (variable, position) with their mean (m,) and a root of their covariance (m, m).
    """

    point: Mapping[str, np.ndarray]
    blocks: Sequence[tuple[Sequence[tuple[str, int]], np.ndarray, np.ndarray]]


# ---------------------------------------------------------------------------------------------------- the pass as a whole


def refer(model: Model) -> Start | None:
    """Run the pass, write its approximation into the model's transforms, and return where to start.

    None, with a line in the log, when it does not converge: the transforms are then non-centred.
    """
    passed = _pass(model)
    if passed is None:
        return None
    parts, density, phi = passed
    _write(model, parts)
    return _start(model, parts, density, phi)


def quick(model: Model, *, prob: float = 0.95) -> pd.DataFrame:
    """A preview of the posterior in about a second, from a Gaussian approximation: no sampling, no diagnostics.

    Standard deviations of group effects and the family's own parameters are point estimates, without uncertainty, and
    the intervals of the rest do not allow for that. Sample with `fit` before using a number.

    Parameters
    ----------
    model
        What a builder returned.
    prob
        Probability inside the interval `lower` to `upper`.

    Returns
    -------
    DataFrame
        Index "Intercept", "beta[age]", "sd_site[Intercept]", ... as in `summary`, named "approximate"; columns mean,
        sd, lower, upper, the last three NaN for point estimates.

    Raises
    ------
    FitError
        When the approximation does not converge.
    """
    from statistics import NormalDist

    import pandas as pd

    passed = _pass(model)
    if passed is None:
        raise FitError("the quick approximation did not converge for this model; sample it with fit")
    parts, density, phi = passed
    rows: dict[str, tuple[float, float]] = {}
    for p, part in parts.items():
        coded = next(x for x in model.predictors if x.prefix == p).population
        labels = [f"{named(p, 'beta')}[{label}]" for label in coded.labels]
        names = [*([named(p, "Intercept")] if coded.intercept else []), *labels]
        for rv, i in model.linear[p].elements[len(names) :]:  # coefficients that are variables of their own
            dims = model.named_vars_to_dims.get(rv)
            names.append(f"{rv}[{_labels(model, dims[0])[i]}]" if dims else rv)
        known = len(names)
        to_zero = np.eye(known)
        if coded.intercept and f"{named(p, 'Intercept')}_at_means" in model.auxiliary:
            to_zero[0, 1 : 1 + len(labels)] = -coded.means
        sd = np.sqrt(np.diag(to_zero @ part.covariance[:known, :known] @ to_zero.T))
        rows.update(zip(names, zip((to_zero @ part.b[:known]).tolist(), sd.tolist(), strict=True), strict=True))
        for curves, sds in zip(part.curves, part.sds, strict=True):
            labels = (
                [f"{curves.sd}[{label}]" for label in _labels(model, f"{curves.sd[:-3]}_part")]
                if len(sds) > 1
                else [curves.sd]
            )
            rows.update({label: (float(sd), np.nan) for label, sd in zip(labels, sds, strict=True)})
        for group, of, S in zip(part.groups, part.columns, part.S, strict=True):
            scale = np.sqrt(np.diag(S))
            rows.update(
                {f"{group.name('sd')}[{group.labels[k]}]": (float(s), np.nan) for k, s in zip(of, scale, strict=True)}
            )
    if model.event is not None:
        elements, mean, covariance = model.event.approximate(*_estimates(parts))
        for (rv, i), m, v in zip(elements, mean, np.diag(covariance), strict=True):
            if rv in ("assoc", "surv_beta"):
                rows[_element(model, rv, i)] = (float(m), float(np.sqrt(v)))
    point = {**model.initial_point(), **_start(model, parts, density, phi).point}
    at_zero = ((rv, rv.removesuffix("_at_means")) for rv, _ in density.elements)
    own = list(dict.fromkeys(zero if zero in model.named_vars else rv for rv, zero in at_zero))
    values = model.compile_fn(
        model.replace_rvs_by_values([model[rv] for rv in own]), inputs=model.value_vars, on_unused_input="ignore",
        mode="FAST_COMPILE",
    )(point) if own else []  # fmt: skip
    for rv, value in zip(own, values, strict=True):
        dims = model.named_vars_to_dims.get(rv, ())
        labels = [f"{rv}[{label}]" for label in _labels(model, dims[0])] if dims else [rv]
        rows.update({name: (float(v), np.nan) for name, v in zip(labels, np.ravel(value), strict=True)})
    z = NormalDist().inv_cdf((1 + prob) / 2)
    table = [(mean, sd, mean - z * sd, mean + z * sd) for mean, sd in rows.values()]
    return pd.DataFrame(table, pd.Index(list(rows), name="approximate"), pd.Index(["mean", "sd", "lower", "upper"]))


def _element(model: Model, rv: str, position: int) -> str:
    """`"assoc[value, dead]"`: an element of a variable by its flat position."""
    dims = model.named_vars_to_dims[rv]
    places = np.unravel_index(position, [len(_labels(model, d)) for d in dims])
    return f"{rv}[{', '.join(_labels(model, d)[i] for d, i in zip(dims, places, strict=True))}]"


def _labels(model: Model, dim: str | None) -> list[str]:
    labels: Any = model.coords[str(dim)]
    return [str(label) for label in labels]


def _pass(model: Model) -> tuple[dict[str, Part], Density, np.ndarray] | None:
    began = time.perf_counter()
    density = _density(model)
    if density is None:
        _log.info("no Gaussian approximation: a likelihood without rows; group effects are non-centred")
        return None
    try:
        # in matrices this small, threads wait for each other
        with threadpool_limits(1, "blas"), np.errstate(all="ignore"):
            parts, phi, rounds = _iterate(model, density)
    except (np.linalg.LinAlgError, FloatingPointError, ValueError) as err:
        _log.info("the Gaussian approximation failed (%s); group effects are non-centred", err)
        return None
    _log.info("Gaussian approximation: %d rounds, %.2f s", rounds, time.perf_counter() - began)
    return parts, density, phi


@dataclass(frozen=True)
class Density:
    """The likelihood as a function of the linear predictors and of the family's own parameters phi, unconstrained.

    `rows(etas, phi)` (n,), those of one outcome after those of another, `prior(phi)` their log prior; `elements` says
    which (variable, position) each of phi is, `places` which rows a predictor is about.
    """

    rows: Callable[[Mapping[str, np.ndarray], np.ndarray], np.ndarray]
    prior: Callable[[np.ndarray], float]
    start: np.ndarray
    elements: Sequence[tuple[str, int]]
    places: Mapping[str, slice]


def _density(model: Model) -> Density | None:
    import pymc as pm
    from pytensor.graph.replace import clone_replace
    from pytensor.graph.traversal import graph_inputs
    from pytensor.tensor import zeros

    from glmm_zoo.inference.kernel.density import Unconstrained
    from glmm_zoo.inference.kernel.expression import UnsupportedError

    observed = [rv for rv in model.observed_RVs if model.event is None or rv.name != model.event.name]
    densities = [pm.logp(rv, model.rvs_to_values[rv]) for rv in observed]
    densities = densities if model.working is None else [model.working]
    dims = [model.named_vars_to_dims[rv.name][0] for rv in observed]
    point = model.initial_point()
    etas = {p: linear.eta.type(f"eta_{p}") for p, linear in model.linear.items()}
    graph = model.replace_rvs_by_values([*densities, *(linear.eta for linear in model.linear.values())])
    there = dict(zip(graph[len(densities) :], etas.values(), strict=True))
    rows = clone_replace(graph[: len(densities)], there, rebuild_strict=False)
    values = [v for v in model.value_vars if v in set(graph_inputs(rows))]
    rvs = [model.values_to_rvs[v] for v in values]
    prior = sum((term.sum() for term in model.logp(vars=rvs, sum=False)), start=zeros(())) if rvs else zeros(())
    more = [v for v in model.value_vars if v in set(graph_inputs([prior])) and v not in values]
    if more:  # parameters with parameters of their own
        return None
    shapes = [np.shape(point[v.name]) for v in values]
    n = {p: len(linear.design) for p, linear in model.linear.items()}
    try:
        of_rows = Unconstrained([*etas.values(), *values], [*((n[p],) for p in etas), *shapes])
        run, found = of_rows.outputs(rows)
        run_prior, _ = Unconstrained(values, shapes).outputs([prior])
    except UnsupportedError:
        return None
    lengths = [len(model.coords[dim] or ()) for dim in dims]
    if found != [(length,) for length in lengths]:
        return None
    ends = np.cumsum([0, *lengths])
    of_dim = {dim: slice(int(a), int(b)) for dim, a, b in zip(dims, ends[:-1], ends[1:], strict=True)}

    def evaluate(given: Mapping[str, np.ndarray], phi: np.ndarray) -> np.ndarray:
        out = np.zeros(ends[-1])
        run(np.concatenate([*(given.get(p, np.zeros(n[p])) for p in etas), phi]), out)
        return out

    def evaluate_prior(phi: np.ndarray) -> float:
        out = np.zeros(1)
        run_prior(phi, out)
        return float(out[0])

    return Density(
        evaluate,
        evaluate_prior,
        np.concatenate([np.zeros(0), *(np.ravel(point[v.name]).astype(float) for v in values)]),
        [(model.values_to_rvs[v].name, i) for v, s in zip(values, shapes, strict=True) for i in range(int(np.prod(s)))],
        {p.prefix: of_dim[p.dim] for p in model.predictors if p.dim in of_dim},
    )


def _iterate(model: Model, density: Density) -> tuple[dict[str, Part], np.ndarray, int]:
    groups = groups_of(model.predictors)
    parts = {p: Part(p, model, [g for g in groups if p in g.owners], model.scales.get(p, 1.0)) for p in density.places}
    etas = {p: part.mean for p, part in parts.items()}
    phi = density.start.copy()
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    change, moved = np.inf, np.inf if len(phi) else 0.0
    for turn in range(ITERATIONS):
        change = 0.0
        for p, part in parts.items():
            sd = np.sqrt(np.clip(part.variance, 1e-4, 9.0))
            values = np.stack([density.rows({**etas, p: etas[p] + h * sd}, phi)[density.places[p]] for h in nodes])
            values = np.where(np.isfinite(values), values, -1e10) - values[NODES // 2]
            score = np.tensordot(weights * nodes, values, 1) / sd
            curvature = -np.tensordot(weights * (nodes**2 - 1), values, 1) / sd**2
            w = np.clip(curvature, 1e-6, 1e12)
            step = np.clip(score / w, -_STEP * part.unit, _STEP * part.unit)
            part.update(w, etas[p] + step)
            change = max(change, float(np.max(np.abs(part.mean - etas[p]) / np.sqrt(part.variance + 1e-6))))
            etas[p] = part.mean
        if moved > PHI_TOLERANCE:
            phi, moved = _newton(density, etas, parts, phi)
            change = max(change, moved)
        if not all(np.isfinite(part.mean).all() for part in parts.values()):
            raise FloatingPointError("it is not finite")
        change = max(change, *(part.moved for part in parts.values()))
        if change < TOLERANCE and turn > 3:
            break
    if change > 1.0:
        raise FloatingPointError(f"it did not settle in {ITERATIONS} rounds")
    return parts, phi, turn + 1


def _newton(
    density: Density,
    etas: Mapping[str, np.ndarray],
    parts: Mapping[str, Part],
    phi: np.ndarray,
) -> tuple[np.ndarray, float]:
    """One damped Newton step on the family's own parameters, unconstrained; three nodes will do."""
    nodes, weights = np.sqrt(3.0) * np.array([-1.0, 0.0, 1.0]), np.array([1.0, 4.0, 1.0]) / 6.0
    if not any(part.variance.any() for part in parts.values()):
        nodes, weights = np.zeros(1), np.ones(1)

    def objective(phi: np.ndarray) -> float:
        total = density.prior(phi)
        for h, weight in zip(nodes, weights, strict=True):
            moved = {p: eta + h * np.sqrt(parts[p].variance) for p, eta in etas.items()}
            total += weight * float(np.sum(density.rows(moved, phi)))
        return total

    d, mid, m = 0.05, objective(phi), len(phi)
    steps = np.eye(m) * d
    low, high = (np.array([objective(phi + sign * e) for e in steps]) for sign in (-1, 1))
    slope = (high - low) / (2 * d)
    bend = np.diag((high - 2 * mid + low) / d**2)
    together = m <= TOGETHER or m * m * sum(map(len, etas.values())) <= SMALL
    for i, j in itertools.combinations(range(m), 2) if together else ():
        bend[i, j] = bend[j, i] = (objective(phi + steps[i] + steps[j]) - high[i] - high[j] + mid) / d**2
    if not (np.isfinite(slope).all() and np.isfinite(bend).all()):
        return phi, 0.0
    values, vectors = np.linalg.eigh(-bend)
    step = vectors @ ((vectors.T @ slope) / np.maximum(np.abs(values), 1e-3))
    step *= min(1.0, 1.0 / max(1e-12, float(np.max(np.abs(step)))))
    return phi + step, float(np.max(np.abs(step)))


# ------------------------------------------------------------------------------------------------- one linear predictor


class Part:
    """One linear predictor in the pass: q(b, u) of its coefficients and group effects, and the effects' covariances.

    Row i of factor f has covariates z_f[i] (k_f,) and level codes_f[i].
    """

    def __init__(self, prefix: str, model: Model, groups: Sequence[Group], unit: float):
        linear = model.linear[prefix]
        self.groups, self.unit, self.D = list(groups), unit, linear.design
        self.names = [g.name("u") for g in groups]
        n, p = self.D.shape
        self.fixed = len(linear.elements)
        self.curves = linear.curves
        self.sds = [np.full(c.sd_of.max() + 1, unit / _size(self.D[:, at])) for c, at in self.places_of_weights()]
        self.ridge = np.array([prior.arguments.get("sigma", 100.0 * unit) ** -2.0 for prior in linear.priors])
        self.pull = np.zeros(p)
        self.pull[: self.fixed] = self.ridge * [prior.arguments.get("mu", 0.0) for prior in linear.priors]
        self.ridge = np.append(self.ridge, np.zeros(p - self.fixed))
        self._penalise()
        self.offset = np.zeros(n) if linear.offset is None else linear.offset
        self.columns = [[k for k, owner in enumerate(g.owners) if owner == prefix] for g in groups]
        self.z = [np.column_stack([g.z[k] for k in of]) for g, of in zip(groups, self.columns, strict=True)]
        self.codes = [g.codes[prefix] for g in groups]
        self.levels = [len(g.factor.levels) for g in groups]
        self.S = [np.eye(z.shape[1]) * unit**2 * 0.25 for z in self.z]
        self.b = np.zeros(p)
        self.u = [np.zeros((levels, z.shape[1])) for levels, z in zip(self.levels, self.z, strict=True)]
        self.mean = self.offset.copy()
        self.variance = np.full(n, 0.25 * unit**2)
        self.moved = np.inf
        self.order = sorted(range(len(groups)), key=lambda f: self.levels[f])
        *others, largest = [u.size for u in sorted(self.u, key=len)] or [0]
        rest = p + sum(others)
        self.exact = not others or (largest * rest <= NUMBERS and (largest + rest) * rest**2 <= WORK)
        self._shared: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}  # levels of two factors that meet

    def places_of_weights(self) -> list[tuple[Curves, np.ndarray]]:
        """The positions of every smooth's weights among the coefficients."""
        ends = self.fixed + np.cumsum([0, *(len(c.sd_of) for c in self.curves)])
        return [(c, np.arange(a, b)) for c, (a, b) in zip(self.curves, itertools.pairwise(ends), strict=True)]

    def _penalise(self) -> None:
        for (curves, at), sds in zip(self.places_of_weights(), self.sds, strict=True):
            self.ridge[at] = sds[curves.sd_of] ** -2.0

    # sums over rows, by level
    def _information(self, f: int, w: np.ndarray) -> np.ndarray:
        """Z_f' W Z_f by level (levels, k, k)."""
        z, k = self.z[f], self.z[f].shape[1]
        A = np.empty((self.levels[f], k, k))
        for i in range(k):
            for j in range(i + 1):
                A[:, i, j] = A[:, j, i] = np.bincount(self.codes[f], w * z[:, i] * z[:, j], self.levels[f])
        return A

    def _by_level(self, f: int, x: np.ndarray) -> np.ndarray:
        """Z_f' x by level for columns x (n, m): (levels, k, m)."""
        z = self.z[f]
        return (
            np.stack(
                [
                    np.stack([np.bincount(self.codes[f], z[:, i] * col, self.levels[f]) for col in x.T], axis=1)
                    for i in range(z.shape[1])
                ],
                axis=1,
            )
            if x.shape[1]
            else np.empty((self.levels[f], z.shape[1], 0))
        )

    def update(self, w: np.ndarray, response: np.ndarray) -> None:
        """q given weights w (n,) and working responses (n,), then the covariances of the effects by one EM step."""
        self.w, self.y, self.penalty = w, response - self.offset, self.ridge.copy()
        how = self._without_groups if not self.groups else self._together if self.exact else self._in_turn
        second = how()
        self.mean = self.offset + self.D @ self.b
        for f, u in enumerate(self.u):
            self.mean = self.mean + np.einsum("nk,nk->n", self.z[f], u[self.codes[f]])
        self.moved = 0.0
        for f, moment in enumerate(second):
            new = moment / self.levels[f]
            sd = np.sqrt(np.diag(new))
            bounded = np.clip(sd, _LEAST_SD * self.unit, _MOST_SD * self.unit)
            new = new * np.outer(bounded / sd, bounded / sd)
            self.moved = max(self.moved, float(np.max(np.abs(np.log(bounded**2 / np.diag(self.S[f]))))) / 10)
            self.S[f] = new
        second_of_b = self.b**2 + np.diag(self.covariance)
        for (curves, at), sds in zip(self.places_of_weights(), self.sds, strict=True):
            new = np.sqrt(np.bincount(curves.sd_of, second_of_b[at]) / np.bincount(curves.sd_of))
            unit = self.unit / _size(self.D[:, at])
            new = np.clip(new, _LEAST_SD * unit, _MOST_SD * unit)
            self.moved = max(self.moved, float(np.max(np.abs(np.log(new / sds)))) / 5)
            sds[:] = new
        self._penalise()

    def _without_groups(self) -> list[np.ndarray]:
        H, g = self._system([])
        self.covariance = _inverse(H + np.diag(self.ridge))
        self.b = self.covariance @ (g + self.pull)
        self.variance = np.sum(self.D @ self.covariance * self.D, axis=1)
        return []

    def _together(self) -> list[np.ndarray]:
        """All unknowns at once: those of `_reduced`, and the effects of the largest factor given them."""
        H, g, V, Vc, VX = self._reduced()
        *others, f = self.order
        p, places = self.D.shape[1], self._places(others)
        H[np.arange(p), np.arange(p)] += self.ridge
        g[:p] += self.pull
        for e, at in places.items():
            H[at[:, :, None], at[:, None, :]] += np.linalg.inv(self.S[e])
        C = _inverse(H)
        solution = C @ g
        across = (_by_effect(VX) @ C).reshape(VX.shape)  # minus the covariance with the others
        self.covariance, self.b, self.u[f] = C[:p, :p], solution[:p], Vc - VX @ solution
        of = {f: V + across @ VX.transpose(0, 2, 1)}
        for e, at in places.items():
            self.u[e], of[e] = solution[at], C[at[:, :, None], at[:, None, :]]
        self.variance = self._variance(C, across, of[f])
        return [np.einsum("gk,gl->kl", u, u) + of[e].sum(axis=0) for e, u in enumerate(self.u)]

    def _reduced(self) -> tuple[np.ndarray, ...]:
        """The system of the R coefficients and effects of all factors but the largest, averaged over the effects u of that
        one, each level of which is coupled with X (k, R). H (R, R) and g (R,), without priors; V (levels, k, k), the
        covariance of u given the R; V c (levels, k), its mean where they are 0; V X (levels, k, R)."""
        *others, f = self.order
        H, g = self._system(others)
        X, c = self._coupling(f, others), self._by_level(f, (self.w * self.y)[:, None])
        V = np.linalg.inv(self._information(f, self.w) + np.linalg.inv(self.S[f]))
        Vc, VX = V @ c, V @ X
        X = _by_effect(X).T
        return H - X @ _by_effect(VX), g - X @ Vc.ravel(), V, Vc[:, :, 0], VX

    def _system(self, factors: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Information of the likelihood about the coefficients and the effects of these factors, and its product with the
        response."""
        p, places = self.D.shape[1], self._places(factors)
        size = p + sum(at.size for at in places.values())
        H, g = np.zeros((size, size)), np.zeros(size)
        H[:p, :p], g[:p] = (self.D * self.w[:, None]).T @ self.D, self.D.T @ (self.w * self.y)
        for e, at in places.items():
            known = [d for d in places if places[d][0, 0] < at[0, 0]]
            X = self._coupling(e, known)
            H[at, : X.shape[2]] = X
            H[: X.shape[2], at] = X.transpose(2, 0, 1)
            H[at[:, :, None], at[:, None, :]] = self._information(e, self.w)
            g[at] = self._by_level(e, (self.w * self.y)[:, None])[:, :, 0]
        return H, g

    def _coupling(self, f: int, factors: Sequence[int]) -> np.ndarray:
        """Information that the effects of factor f share with the coefficients and the effects of these (levels, k, R)."""
        z, p, places = self.z[f], self.D.shape[1], self._places(factors)
        X = np.zeros((self.levels[f], z.shape[1], p + sum(at.size for at in places.values())))
        X[:, :, :p] = self._by_level(f, self.D * self.w[:, None])
        for e, at in places.items():
            mine, other, weights = self._pairs(f, e, self.w)
            X[mine[:, None, None], np.arange(z.shape[1])[:, None], at[other][:, None, :]] = weights.transpose(2, 0, 1)
        return X

    def _places(self, factors: Sequence[int]) -> dict[int, np.ndarray]:
        """Where the effects of these factors stand, after the coefficients and each other: (levels, k)."""
        start, found = self.D.shape[1], {}
        for f in factors:
            found[f] = start + np.arange(self.u[f].size).reshape(self.u[f].shape)
            start += self.u[f].size
        return found

    def _variance(self, C: np.ndarray, across: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Of eta (n,), from the covariance C (R, R) of the unknowns of `_reduced`, minus that of the largest factor's
        effects with them (levels, k, R), and that of the effects (levels, k, k)."""
        *others, f = self.order
        z, at = self.z[f], self.codes[f]
        found = np.einsum("nk,nkl,nl->n", z, own[at], z)
        if not others:
            return found + np.sum((self.D @ C - 2 * np.einsum("nk,nkp->np", z, across[at])) * self.D, axis=1)
        x = np.hstack([self.D, *(self.z[e] for e in others)])
        places = [where[self.codes[e]] for e, where in self._places(others).items()]
        column = np.hstack([np.broadcast_to(np.arange(self.D.shape[1]), self.D.shape), *places])
        for rows in np.array_split(np.arange(len(x)), max(1, x.size * x.shape[1] // 4_000_000)):
            here, values = column[rows], x[rows]
            found[rows] += np.einsum("np,npq,nq->n", values, C[here[:, :, None], here[:, None, :]], values)
            shared = across[at[rows][:, None, None], np.arange(z.shape[1])[:, None], here[:, None, :]]
            found[rows] -= 2 * np.einsum("nk,nkp,np->n", z[rows], shared, values)
        return found

    def _in_turn(self) -> list[np.ndarray]:
        """Many unknowns in several factors: block by block, each factor with the others' uncertainty in its weights."""
        D = self.D
        fits = [np.einsum("nk,nk->n", z, u[c]) for z, u, c in zip(self.z, self.u, self.codes, strict=True)]
        self.variance, second = np.zeros(len(self.w)), []
        for f in self.order:
            others = sum((x for e, x in enumerate(fits) if e != f), np.zeros(len(self.w)))
            y = self.y - others
            w = self.weights(f)
            A, B, c = (
                self._information(f, w),
                self._by_level(f, D * w[:, None]),
                self._by_level(f, (w * y)[:, None])[:, :, 0],
            )
            V = np.linalg.inv(A + np.linalg.inv(self.S[f]))
            VB = V @ B
            H = (D * w[:, None]).T @ D + np.diag(self.ridge)
            self.covariance = _inverse(H - np.einsum("gkp,gkq->pq", B, VB))
            self.b = self.covariance @ (D.T @ (w * y) + self.pull - np.einsum("gkp,gk->p", VB, c))
            self.u[f] = np.einsum("gkl,gl->gk", V, c - B @ self.b)
            fits[f] = np.einsum("nk,nk->n", self.z[f], self.u[f][self.codes[f]])
            self.variance += np.einsum("nk,nkl,nl->n", self.z[f], V[self.codes[f]], self.z[f])
            whole = V + np.einsum("gkp,pq,glq->gkl", VB, self.covariance, VB)
            second.append((f, np.einsum("gk,gl->kl", self.u[f], self.u[f]) + whole.sum(axis=0)))
        self.variance += np.einsum("np,pq,nq->n", D, self.covariance, D)
        return [moment for _, moment in sorted(second, key=lambda pair: pair[0])]

    def weights(self, f: int) -> np.ndarray:
        """The rows' weights for factor f when the factors after it are averaged over: 1 / (1 / w + their variance)."""
        after = self.order[self.order.index(f) + 1 :]
        spread = sum((np.einsum("nk,kl,nl->n", self.z[e], self.S[e], self.z[e]) for e in after), np.zeros(len(self.w)))
        return 1 / (1 / self.w + spread)

    # what the transforms are told
    def marginal(self, f: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, Any]]:
        """A (levels, k, k), c (levels, k), B (levels, k, p) of factor f, with the factors after it averaged over and
        the pairs of levels that it shares with each factor before it."""
        here = self.order.index(f)
        before, after = self.order[:here], self.order[here + 1 :]
        if after and self.exact:
            return self._marginal_exact(f, before, after)
        w = self.weights(f)
        A, B = self._information(f, w), self._by_level(f, self.D * w[:, None])
        c = self._by_level(f, (w * self.y)[:, None])[:, :, 0]
        return A, c, B, {e: self._pairs(f, e, w) for e in before}

    def _pairs(self, f: int, e: int, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The levels of f and of e that meet in a row (pairs,) each, and the information they share (k_f, k_e, pairs)."""
        if (f, e) not in self._shared:
            both = self.codes[f] * self.levels[e] + self.codes[e]
            self._shared[f, e] = np.unique(both, return_inverse=True)
        found, at = self._shared[f, e]
        zf, ze = self.z[f], self.z[e]
        weights = np.array(
            [
                [np.bincount(at, w * zf[:, i] * ze[:, j], len(found)) for j in range(ze.shape[1])]
                for i in range(zf.shape[1])
            ]
        )
        return found // self.levels[e], found % self.levels[e], weights

    def _marginal_exact(self, f: int, before: Sequence[int], after: Sequence[int]) -> Any:
        H, g, *_ = self._reduced()
        p, k, places = self.D.shape[1], self.z[f].shape[1], self._places(self.order[:-1])
        own = places[f].ravel()
        end = own[-1] + 1  # from here on stand the factors after it
        K = H[end:, end:].copy()
        for e in after[:-1]:
            at = places[e] - end
            K[at[:, :, None], at[:, None, :]] += np.linalg.inv(self.S[e])
        G = np.linalg.solve(K, H[end:, own]).T  # (own, later)
        H, c = H[own, :end] - G @ H[end:, :end], (g[own] - G @ g[end:]).reshape(-1, k)
        at = np.arange(len(own)).reshape(-1, k)
        A = H[:, own][at[:, :, None], at[:, None, :]]
        pairs = {}
        for e in before:
            cross = H[:, places[e].ravel()].reshape(-1, k, *places[e].shape)
            large = np.abs(cross).max(axis=(1, 3)) > 1e-6 * np.abs(cross).max()
            mine, other = np.nonzero(large)
            pairs[e] = (mine, other, np.ascontiguousarray(cross[mine, :, other, :].transpose(1, 2, 0)))
        return A, c, H[:, :p].reshape(len(A), k, p), pairs

    def of_weights(self, sd_of: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """V, a, c and B of `Smoothed` for the weights at `at`, given the coefficients before them.

        The weights of each sd are turned by themselves; the others of the smooth, the coefficients after it and the group
        effects are averaged over.
        """
        whole, before = _inverse(self.covariance), np.arange(at[0])
        g = whole @ self.b
        V, a, c, B = (
            np.zeros((len(at), len(at))),
            np.zeros(len(at)),
            np.zeros(len(at)),
            np.zeros((len(at), len(before))),
        )
        for j in range(sd_of.max() + 1):
            mine = np.flatnonzero(sd_of == j)
            own = np.append(before, at[mine])
            rest = np.setdiff1d(np.arange(len(g)), own)
            G = np.linalg.solve(whole[np.ix_(rest, rest)], whole[np.ix_(rest, own)]).T
            H, h = whole[np.ix_(own, own)] - G @ whole[np.ix_(rest, own)], g[own] - G @ g[rest]
            first = len(before)
            information, turn = np.linalg.eigh(H[first:, first:] - np.diag(self.penalty[at[mine]]))
            V[np.ix_(mine, mine)], a[mine] = turn, np.maximum(information, 0.0)
            c[mine], B[mine] = turn.T @ h[first:], turn.T @ H[first:, :first]
        return V, a, c, B


def _size(Z: np.ndarray) -> float:
    """Standard deviation over the rows of a curve whose weights have sd 1."""
    return float(np.sqrt(np.mean(np.sum(Z**2, axis=1))))


def _by_effect(X: np.ndarray) -> np.ndarray:
    """(levels, k, R) as (levels x k, R)."""
    return X.reshape(X.shape[0] * X.shape[1], X.shape[2])


def _inverse(H: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric positive definite matrix."""
    if not len(H):
        return H
    inverse = np.linalg.inv(H)
    return 0.5 * (inverse + inverse.T)


# --------------------------------------------------------------------------------------------- what the sampler is given


def _write(model: Model, parts: Mapping[str, Part]) -> None:
    """Tell every transform what the approximation says: of a factor's effects, a smooth's weights, their sds."""
    model.bend(_modes(model, parts))
    for part in parts.values():
        for curves, at in part.places_of_weights():
            model.smoothed[curves.weights].set(*part.of_weights(curves.sd_of, at))
    groups = [g for g in groups_of(model.predictors) if g.name("u") in model.transports]
    groups = sorted(groups, key=lambda g: len(g.factor.levels))
    for here, group in enumerate(groups):
        owners = list(dict.fromkeys(group.owners))
        if not all(p in parts for p in owners):
            continue
        k, levels = len(group.labels), len(group.factor.levels)
        sizes = [model.linear[p].design.shape[1] for p in owners]
        A, c, B = np.zeros((levels, k, k)), np.zeros((levels, k)), np.zeros((levels, k, sum(sizes)))
        mates = [g for g in groups[:here] if set(g.owners) & set(owners)]
        pairs: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in mates]
        start = 0
        for p, size in zip(owners, sizes, strict=True):
            part = parts[p]
            f = part.names.index(group.name("u"))
            mine = np.array(part.columns[f])
            A_p, c_p, B_p, pairs_p = part.marginal(f)
            A[:, mine[:, None], mine] = A_p
            c[:, mine] = c_p
            B[:, mine, start : start + size] = B_p
            start += size
            known = [(e, found) for e, found in pairs_p.items() if part.names[e] in model.transports]
            for e, (own, other, weights) in known:
                m = [g.name("u") for g in mates].index(part.names[e])
                theirs = np.array(part.columns[e])
                whole = np.zeros((k, len(mates[m].labels), len(own)))
                whole[mine[:, None], theirs] = weights
                pairs[m].append((own, other, whole))
        joined = [
            (
                np.concatenate([x[0] for x in found]),
                np.concatenate([x[1] for x in found]),
                np.concatenate([x[2] for x in found], axis=2),
            )
            for found in pairs
        ]
        model.transports[group.name("u")].set(A, c, B, joined)


def _start(model: Model, parts: Mapping[str, Part], density: Density, phi: np.ndarray) -> Start:
    """Where to start, and the covariance of the population effects."""
    point: dict[str, np.ndarray] = {}
    initial = model.initial_point()

    def put(rv: str, position: int, value: float) -> None:
        name = model.rvs_to_values[model[rv]].name
        point.setdefault(name, np.array(initial[name], dtype=float)).flat[position] = value

    for (rv, position), value in zip(density.elements, phi, strict=True):
        put(rv, position, value)
    for name, mode in _modes(model, parts).items():
        for k, sd in enumerate(mode.flat):
            put(name, k, 0.0 if model.bent else float(np.log(sd)))
    blocks = []
    if model.event is not None:
        elements, mean, covariance = model.event.approximate(*_estimates(parts))
        blocks.append((elements, mean, np.linalg.cholesky(covariance)))
        for (rv, position), value in zip(elements, mean, strict=True):
            put(rv, position, value)
    for p, part in parts.items():
        elements = model.linear[p].elements
        if elements and all(model.rvs_to_transforms[model[rv]] is None for rv, _ in elements):
            mean, covariance = part.b[: part.fixed], part.covariance[: part.fixed, : part.fixed]
            blocks.append((elements, mean, np.linalg.cholesky(covariance)))
            for (rv, position), value in zip(elements, mean, strict=True):
                put(rv, position, value)
    return Start(point, blocks)


def _modes(model: Model, parts: Mapping[str, Part]) -> dict[str, np.ndarray]:
    """The approximation's standard deviations, of group effects and of smooths' weights; or what the builder expects."""
    shapes = {name: np.shape(model.initial_point()[model.rvs_to_values[model[name]].name]) for name in model.near}
    modes = {name: np.full(shapes[name], near) for name, near in model.near.items()}
    for part in parts.values():
        for curves, sds in zip(part.curves, part.sds, strict=True):
            if curves.sd in modes:
                modes[curves.sd].flat = sds
        for group, of, S in zip(part.groups, part.columns, part.S, strict=True):
            if group.name("sd") in modes:
                modes[group.name("sd")][of] = np.sqrt(np.diag(S))
    return modes


def _estimates(parts: Mapping[str, Part]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Coefficients by predictor and, by predictor and factor, group effects (levels, k): means under q."""
    effects = {
        f"{p} {group.factor.name}": u for p, part in parts.items() for group, u in zip(part.groups, part.u, strict=True)
    }
    return {p: part.b for p, part in parts.items()}, effects
