"""The likelihood of a model as a function of its linear predictors, for the Gaussian approximation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


@dataclass(frozen=True)
class RowLikelihood:
    """The likelihood as a function of the linear predictors and of the family's own parameters phi (m,), unconstrained.

    rows
        (etas by prefix, phi) -> log f of every row (n,), those of one outcome after those of another; a predictor that is
        not given is 0.
    prior
        phi -> the log of its prior density.
    start
        The phi to start from (m,).
    elements
        Which (variable, position) each of phi is.
    rows_of
        Which rows each predictor is about, by prefix.
    """

    rows: Callable[[Mapping[str, np.ndarray], np.ndarray], np.ndarray]
    prior: Callable[[np.ndarray], float]
    start: np.ndarray
    elements: Sequence[tuple[str, int]]
    rows_of: Mapping[str, slice]


@dataclass(frozen=True)
class StandardDeviationPriors:
    """The priors of standard deviations. `log_density` takes the logs of all of them (m,) and gives that of the density of each
    log (m,); `places` has the positions of those of one name."""

    log_density: Callable[[np.ndarray], np.ndarray]
    places: Mapping[str, np.ndarray]

    def derivatives(self, name: str, columns: np.ndarray, log_sds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first and second derivatives of the log density (k,) of these columns of a name at `log_sds` (k,)."""
        at, x, d = self.places[name][columns], np.zeros(sum(map(len, self.places.values()))), 0.01
        x[at] = log_sds
        low, middle, high = (self.log_density(x + sign * d)[at] for sign in (-1, 0, 1))
        slope, bend = (high - low) / (2 * d), (high - 2 * middle + low) / d**2
        inside = np.isfinite(slope) & np.isfinite(bend)
        return np.where(inside, slope, 0.0), np.where(inside, bend, 0.0)


def standard_deviation_priors(model: Model, sizes: Mapping[str, int]) -> StandardDeviationPriors:
    """The priors of the standard deviations of these names, each a variable of so many."""
    import pymc as pm
    import pytensor.tensor as pt

    from glmm_zoo.inference.kernel.density import GraphCompiler

    ends = np.cumsum([0, *sizes.values()])
    places = {name: np.arange(a, b) for name, a, b in zip(sizes, ends[:-1], ends[1:], strict=True)}
    if not ends[-1]:
        return StandardDeviationPriors(lambda x: x, places)
    priors = [
        prior
        for name, size in sizes.items()
        for prior in (model.chosen[name] if len(model.chosen[name]) == size else model.chosen[name] * size)
    ]
    x = pt.vector("log_sds")
    density = [
        pm.logp(getattr(pm, prior.distribution).dist(**prior.arguments), pt.exp(x[i])) + x[i]
        for i, prior in enumerate(priors)
    ]
    run, _ = GraphCompiler([x], [(len(priors),)]).outputs([pt.stack(density)])

    def log_density(x: np.ndarray) -> np.ndarray:
        out = np.zeros(len(x))
        run(x, out)
        return out

    return StandardDeviationPriors(log_density, places)


def row_likelihood(model: Model) -> RowLikelihood | None:
    """The likelihood of a model; None where it has no terms by row, where parameters of the family have parameters of their
    own, and where the kernel does not know an operation."""
    from glmm_zoo.inference.kernel.density import GraphCompiler
    from glmm_zoo.inference.kernel.expression import UnsupportedError

    rows, dims = _log_likelihood(model)
    values, prior = _own_parameters(model, rows)
    if prior is None:
        return None
    point = model.initial_point()
    shapes = [np.shape(point[v.name]) for v in values]
    etas = {p: linear.eta for p, linear in model.linear.items()}
    n = {p: len(linear.design) for p, linear in model.linear.items()}
    try:
        stands, of_rows = model.derived.stands, [*((size,) for size in n.values()), *shapes]
        run_rows, shapes_of_rows = GraphCompiler([*etas.values(), *values], of_rows, stands).outputs(rows)
        run_prior, _ = GraphCompiler(values, shapes, stands).outputs([prior])
    except UnsupportedError:
        return None
    lengths = [len(model.coords[dim] or ()) for dim in dims]
    if shapes_of_rows != [(length,) for length in lengths]:
        return None
    ends = np.cumsum([0, *lengths])
    rows_of_dim = {dim: slice(int(a), int(b)) for dim, a, b in zip(dims, ends[:-1], ends[1:], strict=True)}

    def evaluate_rows(given: Mapping[str, np.ndarray], phi: np.ndarray) -> np.ndarray:
        out = np.zeros(ends[-1])
        run_rows(np.concatenate([*(given.get(p, np.zeros(n[p])) for p in etas), phi]), out)
        return out

    def evaluate_prior(phi: np.ndarray) -> float:
        out = np.zeros(1)
        run_prior(phi, out)
        return float(out[0])

    return RowLikelihood(
        evaluate_rows,
        evaluate_prior,
        np.concatenate([np.zeros(0), *(np.ravel(point[v.name]).astype(float) for v in values)]),
        [(model.values_to_rvs[v].name, i) for v, s in zip(values, shapes, strict=True) for i in range(int(np.prod(s)))],
        {p.prefix: rows_of_dim[p.dim] for p in model.predictors if p.dim in rows_of_dim},
    )


def _log_likelihood(model: Model) -> tuple[list[Any], list[str]]:
    """Graphs of log f by row, one for each outcome, in which the linear predictors are, and the dimensions of the rows."""
    import pymc as pm

    observed = [rv for rv in model.observed_RVs if model.event is None or rv.name != model.event.name]
    if model.working_log_likelihood is None:
        densities = [pm.logp(rv, model.rvs_to_values[rv]) for rv in observed]
    else:
        densities = [model.working_log_likelihood]
    return densities, [model.named_vars_to_dims[rv.name][0] for rv in observed]


def _own_parameters(model: Model, rows: Sequence[Any]) -> tuple[list[Any], Any]:
    """The value variables that the rows depend on beside the predictors, and the log of their prior density; None in its
    place where it depends on other variables."""
    from pytensor.tensor import zeros

    values = _values_in(model, rows, {linear.eta for linear in model.linear.values()})
    rvs = [model.values_to_rvs[v] for v in values]
    prior = sum((model.derived.log_prior(rv, jacobian=True).sum() for rv in rvs), start=zeros(()))
    return values, prior if set(_values_in(model, [prior], set())) <= set(values) else None


def _values_in(model: Model, graphs: Sequence[Any], known: Set[Any]) -> list[Any]:
    """The value variables that graphs depend on otherwise than through what is known."""
    from pytensor.graph.traversal import walk

    stands = model.derived.stands

    def beyond(v: Any) -> list[Any]:
        if v in known:
            return []
        return [stands[v]] if v in stands else [] if v.owner is None else v.owner.inputs

    found = set(walk(list(graphs), beyond))
    return [v for v in model.value_vars if v in found]
