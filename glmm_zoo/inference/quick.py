"""A preview of the posterior from the Gaussian approximation alone."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import FitError, check_kind, warn
from glmm_zoo.families.tensors import as_it_stands
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.inference.approximation import SETTLED, GaussianApproximation, approximate
from glmm_zoo.inference.parameterization import correlations, sampler_start
from glmm_zoo.inference.predictor_approximation import PredictorApproximation

if TYPE_CHECKING:
    import pandas as pd

    from glmm_zoo.graph.model import Model

MeansAndSds = dict[str, tuple[float, float]]  # mean and sd by the name of the quantity, sd NaN for point estimates


def quick(model: Model, *, prob: float = 0.95) -> pd.DataFrame:
    """A preview of the posterior in about a second, from a Gaussian approximation: no sampling, no diagnostics.

    Standard deviations of group effects and the family's own parameters are point estimates, without uncertainty, and
    the intervals of the rest do not allow for that: they are up to a quarter too narrow. Sample with `fit` before using a number.

    Means of coefficients are within one posterior standard deviation of those of `fit`, most of them within a tenth. Two models
    are further off, which a warning says: in `never_at_risk` subjects with zeros only are left out, and beta may be off by two
    standard deviations; in `joint_survival` the event is regressed on estimates of the marker, and associations are too near 0, in
    the pbc card by 1.3 standard deviations. Correlated residuals have no preview. Standard
    deviations of group effects of binary data come out too small where few rows of a group say much of it, in the toenail trial 3.5
    for 4.0.

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
        When the approximation does not converge, and for correlated residuals, whose rows it takes as independent.
    """
    import pandas as pd

    check_kind("quick", model, "Model")
    if model.no_preview:
        raise FitError(f"{model.no_preview}; sample with fit")
    approximation = approximate(model)
    if approximation is None or approximation.change > SETTLED:
        raise FitError("the quick approximation did not converge for this model; sample it with fit")
    if model.preview_note:
        warn(f"{model.preview_note}; sample with fit before using them")
    estimates: MeansAndSds = {}
    for prefix, predictor in approximation.predictors.items():
        estimates |= _coefficients(model, prefix, predictor)
        estimates |= _standard_deviations(model, predictor)
    estimates |= _event_coefficients(model, approximation)
    estimates |= _own_parameters(model, approximation)
    z = NormalDist().inv_cdf((1 + prob) / 2)
    table = [(mean, sd, mean - z * sd, mean + z * sd) for mean, sd in estimates.values()]
    return pd.DataFrame(
        table, pd.Index(list(estimates), name="approximate"), pd.Index(["mean", "sd", "lower", "upper"])
    )


def _coefficients(model: Model, prefix: str, predictor: PredictorApproximation) -> MeansAndSds:
    """Intercept and coefficients of one linear predictor, at zero covariates as they are reported."""
    columns = next(x for x in model.predictors if x.prefix == prefix).population
    beta, elements = prefixed(prefix, "beta"), model.linear[prefix].elements
    names = [f"{beta}[{label}]" for label in columns.labels]
    if columns.intercept:
        names = [prefixed(prefix, "Intercept"), *names]
    names += [
        _element(model, rv, i) for rv, i in elements[len(names) :]
    ]  # coefficients that are variables of their own
    p = len(names)
    to_zero, of_columns = (
        _to_zero(model, elements),
        slice(int(columns.intercept), int(columns.intercept) + len(columns.labels)),
    )
    if beta in model.to_zero:
        to_zero[of_columns, of_columns] = columns.to_zero
    if columns.intercept and f"{prefixed(prefix, 'Intercept')}_at_means" in model.auxiliary:
        to_zero[0, of_columns] = -columns.means @ to_zero[of_columns, of_columns]
    sd = np.sqrt(np.diag(to_zero @ predictor.covariance[:p, :p] @ to_zero.T))
    return dict(zip(names, zip((to_zero @ predictor.b[:p]).tolist(), sd.tolist(), strict=True), strict=True))


def _standard_deviations(model: Model, predictor: PredictorApproximation) -> MeansAndSds:
    """Those of smooths' weights and of group effects, and the correlations of processes."""
    estimates: MeansAndSds = {}
    found = list(zip(predictor.data.groups, predictor.data.columns, predictor.S, strict=True))
    for smooth, sds in zip(predictor.data.smooths, predictor.sds, strict=True):
        if smooth.of_group:
            group = next(g for g in model.groups if g.random == smooth.weights)
            found.append((group, smooth.places.tolist(), np.diag(sds**2)[None]))
            continue
        parts = _labels(model, f"{smooth.sd[:-3]}_part") if len(sds) > 1 else []
        names = [f"{smooth.sd}[{label}]" for label in parts] or [smooth.sd]
        estimates |= {name: (float(sd), np.nan) for name, sd in zip(names, sds, strict=True)}
    for group, columns, S in found:
        to_zero = np.eye(len(columns)) if group.to_zero is None else group.to_zero[np.ix_(columns, columns)]
        for name, covariances in ((group.name("sd"), to_zero @ S @ to_zero.T), (group.free("sd"), S)):
            for stratum, covariance in zip(group.strata, covariances, strict=True):
                sds, lead = np.sqrt(np.diag(covariance)), f"{stratum}, " if group.by else ""
                names = [f"{name}[{lead}{group.labels[k]}]" for k in columns]
                estimates |= {name: (float(sd), np.nan) for name, sd in zip(names, sds, strict=True)}
    return estimates | {name: (value, np.nan) for name, value in correlations(predictor).items()}


def _event_coefficients(model: Model, approximation: GaussianApproximation) -> MeansAndSds:
    """Associations and covariates of the event, in a joint model."""
    if model.event is None:
        return {}
    elements, mean, covariance = model.event.approximate(*approximation.estimates())
    to_zero = _to_zero(model, elements)
    return {
        _element(model, rv, i): (float(m), float(np.sqrt(v)))
        for (rv, i), m, v in zip(elements, to_zero @ mean, np.diag(to_zero @ covariance @ to_zero.T), strict=True)
        if rv.removesuffix("_at_means") in ("assoc", "surv_beta")
    }


def _to_zero(model: Model, elements: Sequence[tuple[str, int]]) -> np.ndarray:
    """The matrix (m, m) that makes of these elements of variables those at zero of covariates."""
    to_zero = np.eye(len(elements))
    for name, matrix in model.to_zero.items():
        at = [k for k, (rv, _) in enumerate(elements) if rv == f"{name}_at_means"]
        others = len(at) // len(matrix)  # elements along further dimensions
        place = [elements[k][1] for k in at]
        to_zero[np.ix_(at, at)] = np.kron(matrix, np.eye(others))[np.ix_(place, place)]
    return to_zero


def _own_parameters(model: Model, approximation: GaussianApproximation) -> MeansAndSds:
    """The family's own parameters; at zero covariates where the model has them at the covariates' means."""
    point = {**model.initial_point(), **sampler_start(model, approximation).point}
    at_zero = ((rv, rv.removesuffix("_at_means")) for rv, _ in approximation.likelihood.elements)
    names = list(dict.fromkeys(zero if zero in model.named_vars else rv for rv, zero in at_zero))
    if not names:
        return {}
    graph = model.replace_rvs_by_values([model[name] for name in names])
    run = model.compile_fn(graph, inputs=model.value_vars, on_unused_input="ignore", mode=as_it_stands())
    estimates: MeansAndSds = {}
    for name, value in zip(names, run(point), strict=True):
        dims = model.named_vars_to_dims.get(name, ())
        elements = [f"{name}[{label}]" for label in _labels(model, dims[0])] if dims else [name]
        estimates |= {element: (float(v), np.nan) for element, v in zip(elements, np.ravel(value), strict=True)}
    return estimates


def _element(model: Model, rv: str, position: int) -> str:
    """`"assoc[value, dead]"`: an element of a variable, at zero of covariates, by its flat position."""
    dims, name = model.named_vars_to_dims.get(rv), rv.removesuffix("_at_means")
    if not dims:
        return rv
    places = np.unravel_index(position, [len(_labels(model, d)) for d in dims])
    labels = (_labels(model, d)[i] for d, i in zip(dims, places, strict=True))
    return f"{name if name in model.to_zero else rv}[{', '.join(labels)}]"


def _labels(model: Model, dim: str | None) -> list[str]:
    labels: Any = model.coords[str(dim)]
    return [str(label) for label in labels]
