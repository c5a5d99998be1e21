"""The event of a joint model in PyMC. Imports the rooms to its left.

Given a subject's effects its event is independent of its measurements, with log-likelihood

    sum_k [status = k] log h_k(time) - H(time)                     followed to its event, or censored
    log(1 - exp(-(H(time) - H(left)))) - H(left)                   an event between two visits

H the cumulative hazard of all causes from 0. Who entered at a time V > 0 is in the data because it survived V, so its likelihood
is divided by the probability of that, marginal over its effects, whose distribution is that of all at the origin:

    S(V) = E[exp(-H(V | u))],  u ~ Normal(0, L L')

(van den Berg & Drepper 2016; Crowther et al. 2016). To integrate the hazard from V on instead, as JMbayes2 does, would say that
effects have this distribution among those who were still there at V.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.shape_utils import rv_size_is_none

from glmm_zoo.families.families import Tensor
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.triangular import unpacked, with_root
from glmm_zoo.graph.variables import variable
from glmm_zoo.joint.hazards import GAUSS, Hazard, summed
from glmm_zoo.joint.trajectories import Array, Get, subject_effects
from glmm_zoo.plans.intake import Group, named, safe

NAME = "event"
_NODES = {1: 15, 2: 7, 3: 5}  # in each dimension of the subject's effects
_MANY_NODES = 256
CURVE = 40  # times of the hazard's curve in the report
_LEAST = 1e-300  # of a probability whose logarithm is taken


def observe(model: Model, hazard: Hazard, *, center: bool = True) -> None:
    """Add hazard and likelihood of the event to a model that has its longitudinal part."""
    events, k_all = hazard.events, hazard.causes
    n, at_end = len(events.ids), events.last
    at_means = _add_variables(model, hazard, center)

    def get(name: str) -> Tensor:
        return model[name]

    subjects, interval = np.arange(n), (events.left < events.time) & (events.status > 0)
    begin = np.maximum(events.start, events.entry[events.subject])
    before = hazard.integral(events.subject, np.arange(len(events.subject)), begin, _seen_until(hazard))
    within = hazard.integral(subjects[interval], at_end[interval], events.left[interval], events.time[interval])
    end = hazard.points(subjects, at_end, events.time)
    log_h = [hazard.log_rate(end, k, get, pt) for k in k_all]
    H = [before.sums(events.subject, n, k, get, pt) for k in k_all]
    dH = sum((within.sums(subjects[interval], n, k, get, pt) for k in k_all), pt.zeros(n))
    entered = _entered(model, hazard, get)
    dim = safe(hazard.id)
    if dim not in model.coords:
        model.add_coord(dim, list(events.ids))
    many = len(k_all)

    def log_p(status: Tensor, entered: Tensor, dH: Tensor, *rates: Tensor) -> Tensor:
        log_h, H = rates[:many], rates[many:]
        total: Tensor = -1.0 * entered
        for k in range(many):
            exact = pt.switch(pt.eq(status, k + 1.0), log_h[k], 0.0)
            total = total - H[k] + (exact if not interval.any() else pt.switch(interval, 0.0, exact))
        if interval.any():
            risk: Tensor = pt.switch(interval, dH, 1.0)
            lost: Tensor = pt.expm1(-risk)
            came: Tensor = pt.eq(status, 1.0)
            total = total + pt.switch(came & interval, pt.log(-lost), 0.0)
        return total

    def draw(_: Tensor, dH: Tensor, *rest: Tensor) -> Tensor:
        *rates, size = rest
        H = list(rates[many:])
        whole: Tensor = sum(H, dH)
        shape = None if rv_size_is_none(size) else (*tuple(size), n)
        lost: Tensor = pt.expm1(-whole)
        happens = pm.Bernoulli.dist(p=-lost, size=shape)
        if many == 1:
            return pt.cast(happens, "float64")
        shares = pt.stack([h / whole for h in H], axis=-1)
        cause = pm.Categorical.dist(p=shares, size=shape)
        return pt.cast(happens * (cause + 1), "float64")

    pm.CustomDist(
        NAME,
        entered,
        dH,
        *log_h,
        *H,
        logp=log_p,
        dist=draw,
        signature=f"{','.join(['(n)'] * (2 + 2 * many))}->(n)",
        observed=pm.Data(f"_{NAME}_observed", events.status.astype(float), dims=dim),
        dims=dim,
        class_name="Event",
    )
    _add_spread(model, hazard, get)
    _add_curve(model, hazard, at_means, get)
    model.event = Follow(model, hazard, center)


def _seen_until(hazard: Hazard) -> np.ndarray:
    """The end of every row's interval (R,), of the last one the time after which the event is only known to have come."""
    events = hazard.events
    until = events.stop.copy()
    until[events.last] = np.minimum(until[events.last], events.left)
    return until


def _add_variables(model: Model, hazard: Hazard, center: bool) -> Tensor:
    """Coefficients and baseline under their priors. With `center` the prior on the level of log h0 is on that at the means of
    covariates and marker; what is reported is at zero of both. Returns how much higher it is at the means, by cause."""
    events, baseline, terms = hazard.events, hazard.baseline, hazard.terms
    cause = ("cause",) if events.competing else ()
    if cause:
        model.add_coord("cause", list(events.causes))
    model.add_coord("association", [t.label for t in terms])
    assoc = variable(model, "assoc", ("association", *cause))
    shift: Tensor = pt.zeros(len(events.causes)) if cause else pt.constant(0.0)
    shift = shift + np.array([t.centre for t in terms]) @ assoc
    if events.covariates.labels:
        model.add_coord("surv_coef", list(events.covariates.labels))
        beta = variable(model, "surv_beta", ("surv_coef", *cause))
        shift = shift + events.covariates.means @ beta
    lowered = shift if center else pt.zeros_like(shift)
    inner = baseline.dim
    if baseline.kind == "weibull":
        variable(model, "weibull_shape", cause)
    if inner:
        model.add_coord(inner, baseline.labels)
    if "h0_precision" in model.chosen:
        v, A = baseline.walk
        model.add_coord("h0_step", [str(i + 1) for i in range(A.shape[1])])
        model.auxiliary |= {"h0_level", "h0_trend", "h0_steps"}
        level, trend = variable(model, "h0_level", cause), variable(model, "h0_trend", cause)
        precision = variable(model, "h0_precision", cause)
        steps = pm.Normal("h0_steps", 0.0, 1.0, dims=("h0_step", *cause))
        walk: Tensor = pt.constant(A) @ steps / pt.sqrt(precision)
        line: Tensor = v[:, None] * trend if cause else v * trend
        pm.Deterministic(baseline.name, level - lowered + line + walk, dims=(inner, *cause))
        return shift
    dims = ((inner,) if inner else ()) + cause
    if not center:
        variable(model, baseline.name, dims)
        return shift
    free = f"{baseline.name}_at_means"
    model.auxiliary.add(free)
    pm.Deterministic(baseline.name, variable(model, free, dims, key=baseline.name) - shift, dims=dims or None)
    return shift


def _entered(model: Model, hazard: Hazard, get: Get) -> Tensor:
    """log S(V) + H(V | u) (n,), 0 for those who are followed from the origin: what to take from the log-likelihood after V."""
    events = hazard.events
    late = np.flatnonzero(events.entry > 0)
    n = len(events.ids)
    if not len(late):
        return pt.zeros(n)
    group = _subject_group(hazard)
    x, weight = normal_nodes(len(group.labels))
    many = len(weight)
    effects = with_root(unpacked(model.covariance_roots[group.name("u")]), x)

    def at_nodes(name: str) -> Tensor:
        return effects if name == group.name("u") else model[name]

    first = np.searchsorted(events.subject, late)
    whole = hazard.integral(late, first, np.zeros(len(late)), events.entry[late])
    moved, each = whole.repeated(many, [group.factor.name], lambda _, node: node), np.arange(many * len(late))
    H = sum((moved.sums(each, len(each), k, at_nodes, pt) for k in hazard.causes), pt.zeros(len(each)))
    survived = summed(np.tile(weight, len(late)) * pt.exp(-H), np.repeat(np.arange(len(late)), many), len(late), pt)
    own = sum((whole.sums(late, n, k, get, pt) for k in hazard.causes), pt.zeros(n))
    return own + pt.zeros(n)[late].inc(pt.log(pt.maximum(survived, _LEAST)))


def _subject_group(hazard: Hazard) -> Group:
    """The effects of the subjects over all outcomes."""
    names = {subject_effects(c.part, hazard.id).factor.name for c in hazard.courses}
    return next(g for g in hazard.groups if g.factor.name in names)


def normal_nodes(dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Points x (M, dimensions) and weights (M,) of an expectation over a standard normal vector: products of Gauss-Hermite rules,
    from four dimensions on a Sobol sequence."""
    if dimensions in _NODES:
        x, w = np.polynomial.hermite_e.hermegauss(_NODES[dimensions])
        w = w / w.sum()
        return np.array(list(product(x, repeat=dimensions))), np.prod(list(product(w, repeat=dimensions)), axis=1)
    from scipy.special import ndtri
    from scipy.stats.qmc import Sobol

    u = Sobol(dimensions, seed=1).random(_MANY_NODES)
    return ndtri(u), np.full(_MANY_NODES, 1 / _MANY_NODES)


def _person_time(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss-Legendre's points in every row's interval: the row of each, its time and how much time it stands for."""
    x, w = GAUSS
    length = (stop - start)[:, None]
    t = start[:, None] + length * (1 + x) / 2
    return np.repeat(np.arange(len(start)), len(x)), t.ravel(), (length * w / 2).ravel()


def _add_spread(model: Model, hazard: Hazard, get: Get) -> None:
    """The standard deviation of every f over the person-time of the data, for hazard ratios per standard deviation."""
    events = hazard.events
    rows, t, weight = _person_time(events.start, events.stop)
    weight = weight / weight.sum()
    points = hazard.points(events.subject[rows], rows, t)
    found = []
    for j, term in enumerate(hazard.terms):
        f: Tensor = hazard.feature(points, j, get, pt) - term.centre
        mean: Tensor = pt.sum(weight * f)
        square: Tensor = pt.sum(weight * f * f)
        found.append(pt.sqrt(square - mean * mean))
    model.auxiliary.add("assoc_sd")
    pm.Deterministic("assoc_sd", pt.stack(found), dims="association")


def _add_curve(model: Model, hazard: Hazard, at_means: Tensor, get: Get) -> None:
    """log h at the means of covariates and of the marker on a grid of times, for the report."""
    t = hazard.events.horizon * np.arange(1, CURVE + 1) / CURVE
    cause = ("cause",) if hazard.events.competing else ()
    rates = [hazard.baseline.at(t, k, get, pt) + np.zeros(CURVE) for k in hazard.causes]
    model.add_coord("surv_time", t.tolist())
    model.auxiliary.add("surv_log_hazard")
    whole: Tensor = pt.stack(rates, axis=1) + at_means if cause else rates[0] + at_means
    pm.Deterministic("surv_log_hazard", whole, dims=("surv_time", *cause))


class Follow:
    """The event given a longitudinal part that is estimated: a Poisson regression on points of the follow-up, for geometry."""

    name = NAME

    def __init__(self, model: Model, hazard: Hazard, center: bool):
        self.model, self.hazard, self.center = model, hazard, center

    def approximate(
        self, coefficients: Mapping[str, np.ndarray], effects: Mapping[str, np.ndarray]
    ) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]:
        """Elements of the event's parameters, unconstrained, with their mean and covariance: that of each cause by itself."""
        hazard, events = self.hazard, self.hazard.events
        get = self._getter(coefficients, effects)
        start = np.maximum(events.start, events.entry[events.subject])
        middle = (events.left + events.time) / 2  # of an interval
        stop = events.stop.copy()
        stop[events.last] = middle
        rows, t, weight = _person_time(start, stop)
        log_time = np.log(np.maximum(weight, 1e-300))
        subjects = np.arange(len(events.ids))
        D = self._design(hazard.points(events.subject[rows], rows, t), get)
        E = self._design(hazard.points(subjects, events.last, middle), get)
        offset = np.zeros(len(t)) if events.offset is None else events.offset[rows]
        found: list[tuple[list[tuple[str, int]], np.ndarray, np.ndarray]] = []
        for k, cause in enumerate(hazard.causes):
            happened = E[events.status == k + 1].sum(axis=0)
            elements, mean, precision = self._prior(cause)
            theta = mean.copy()
            for _ in range(50):
                mu = np.exp(np.clip(D @ theta + log_time + offset, -700.0, 50.0))
                score = happened - D.T @ mu - precision * (theta - mean)
                H = (D * mu[:, None]).T @ D + np.diag(precision)
                step = np.linalg.solve(H, score)
                step *= min(1.0, 2.0 / max(1e-12, float(np.max(np.abs(D @ step)))))
                theta = theta + step
                if np.max(np.abs(D @ step)) < 1e-6:
                    break
            found.append(self._unconstrained(elements, theta, np.linalg.inv(H)))
        free = {rv.name for rv in self.model.free_RVs}
        keep = [[i for i, (rv, _) in enumerate(elements) if rv in free] for elements, _, _ in found]
        size = sum(len(k) for k in keep)
        covariance, at = np.zeros((size, size)), 0
        for kept, (_, _, C) in zip(keep, found, strict=True):
            covariance[at : at + len(kept), at : at + len(kept)] = C[np.ix_(kept, kept)]
            at += len(kept)
        return (
            [elements[i] for kept, (elements, _, _) in zip(keep, found, strict=True) for i in kept],
            np.concatenate([mean[kept] for kept, (_, mean, _) in zip(keep, found, strict=True)]),
            covariance,
        )

    def _getter(self, coefficients: Mapping[str, np.ndarray], effects: Mapping[str, np.ndarray]) -> Get:
        known: dict[str, Array] = {}
        for p in self.model.predictors:
            X, values = p.population, coefficients[p.prefix]
            lead = int(X.intercept)
            beta = values[lead : lead + len(X.labels)]
            known[named(p.prefix, "beta")] = beta
            if lead:
                centred = f"{named(p.prefix, 'Intercept')}_at_means" in self.model.auxiliary
                known[named(p.prefix, "Intercept")] = values[0] - (X.means @ beta if centred else 0.0)
        for group in self.hazard.groups:
            u = known[group.name("u")] = np.zeros((len(group.factor.levels), len(group.labels)))
            for prefix in dict.fromkeys(group.owners):
                if f"{prefix} {group.factor.name}" in effects:
                    own = [k for k, owner in enumerate(group.owners) if owner == prefix]
                    u[:, own] = effects[f"{prefix} {group.factor.name}"]
        return known.__getitem__

    def _design(self, points: Any, get: Get) -> np.ndarray:
        """Columns (N, m) of log h: the baseline's, the covariates' and the markers', as they are centred."""
        hazard, events, baseline = self.hazard, self.hazard.events, self.hazard.baseline
        B = baseline.basis(points.t)
        if "h0_precision" in self.model.chosen:
            v, A = baseline.walk
            B = np.column_stack([np.ones(len(B)), B @ v, B @ A / np.sqrt(_usual_precision(self.model))])
        if baseline.kind == "weibull":
            B = np.column_stack([B, np.log(np.maximum(points.t, 1e-300))])
        W = events.covariates.values[points.row] - (events.covariates.means if self.center else 0.0)
        f = [
            hazard.feature(points, j, get, np) - (t.centre if self.center else 0.0) for j, t in enumerate(hazard.terms)
        ]
        return np.column_stack([B, W, *f])

    def _prior(self, cause: int | None) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]:
        """Elements in the order of `_design`, with the means and precisions of their priors, as if all were normal."""
        baseline, model = self.hazard.baseline, self.model
        causes, k = len(self.hazard.events.causes), cause or 0
        walk = "h0_precision" in model.chosen
        level = "h0_level" if walk else baseline.name
        variables: list[tuple[str, str, int]] = []  # name, key of the prior, size
        if walk:
            variables += [("h0_level", "h0_level", 1), ("h0_trend", "h0_trend", 1), ("h0_steps", "", baseline.size - 2)]
        else:
            name = f"{level}_at_means" if self.center else level
            variables.append((name, level, baseline.size))
        if baseline.kind == "weibull":
            variables.append(("weibull_shape", "", 1))
        variables += [("surv_beta", "surv_beta", len(self.hazard.events.covariates.labels))]
        variables += [("assoc", "assoc", len(self.hazard.terms))]
        elements, mean, precision = [], [], []
        for name, key, size in variables:
            for i in range(size):
                elements.append((name, i * causes + k))
                prior = model.chosen[key][i * causes + k].arguments if key else {"mu": 0.0, "sigma": 1.0}
                mean.append(prior.get("mu", 0.0))
                precision.append(prior.get("sigma", 100.0) ** -2.0)
        return elements, np.array(mean), np.array(precision)

    def _unconstrained(
        self, elements: Sequence[tuple[str, int]], theta: np.ndarray, covariance: np.ndarray
    ) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]:
        """With the logarithm of a Weibull shape, s + 1, in place of s: log h = a + s log t, a = log lambda + log k."""
        theta = theta.copy()
        shape = next((i for i, (rv, _) in enumerate(elements) if rv == "weibull_shape"), None)
        if shape is not None:
            k = max(1.0 + theta[shape], 0.2)
            J = np.eye(len(theta))
            J[0, shape], J[shape, shape] = -1.0 / k, 1.0 / k
            theta[0], theta[shape] = theta[0] - np.log(k), np.log(k)
            covariance = J @ covariance @ J.T
        return list(elements), theta, covariance


def _usual_precision(model: Model) -> float:
    arguments = model.chosen["h0_precision"][0].arguments
    return arguments["alpha"] / arguments["beta"] if {"alpha", "beta"} <= set(arguments) else 10.0
