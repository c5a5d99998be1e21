"""Which parameters the linear predictors of a model have, each with its default prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from glmm_zoo import priors
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.formulas.population import spread
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.smooths.smooth import Smooth
from glmm_zoo.plans.groups import groups_of, smooth_name
from glmm_zoo.priors import Parameter


def predictor_parameters(
    predictors: Sequence[PredictorDesign],
    location: float,
    scale: float,
    others: Mapping[str, tuple[float, float]] | None = None,
) -> list[Parameter]:
    """What needs a prior: intercepts, coefficients, sds and correlations, with defaults in the unit of the link.

    `location` and `scale` are those of the outcome on the link scale of the main predictor, `others` those of further
    predictors by prefix; the remaining ones are logits and logarithms, with location 0 and scale 1.
    """
    given = {"": (location, scale), **(others or {})}
    units = {p.prefix: given.get(p.prefix, (0.0, 1.0)) for p in predictors}
    needed = []
    for p in predictors:
        if p.population.intercept:
            default = priors.intercept_default(*units[p.prefix])
            needed.append(priors.parameter(prefixed(p.prefix, "Intercept"), "real", default))
        if p.population.labels:
            defaults = priors.beta_defaults(p.population.spreads.tolist(), units[p.prefix][1])
            needed.append(priors.coefficients(prefixed(p.prefix, "beta"), p.population.labels, defaults))
        needed += [
            Parameter(
                m.name(p.prefix), "simplex",
                ((prefixed(p.prefix, f"simplex[{m.column}]"), m.name(p.prefix), prefixed(p.prefix, "simplex")),), (priors.SIMPLEX_DEFAULT,),
            )
            for m in p.population.monotonic
        ]  # fmt: skip
        needed += [parameter for s in p.smooths for parameter in _smooth_parameters(p, s, units[p.prefix][1])]
    for g in groups_of(predictors):
        sd, corr = prefixed(g.prefix, "sd"), prefixed(g.prefix, "corr")
        keys = tuple(
            (
                *([f"{sd}[{g.factor.name}, {s}, {label}]"] if s else []),
                f"{sd}[{g.factor.name}, {label}]",
                f"{sd}[{g.factor.name}]",
                sd,
            )
            for s in g.strata
            for label in g.labels
        )
        defaults = tuple(
            priors.sd_default(spread, units[owner][1])
            for _ in g.strata
            for spread, owner in zip(g.spreads, g.owners, strict=True)
        )
        needed.append(Parameter(g.name("sd"), "positive", keys, defaults))
        if g.correlated:
            needed.append(
                Parameter(g.name("corr"), "corr", ((f"{corr}[{g.factor.name}]", corr),), (priors.CORR_DEFAULT,))
            )
        if g.structure is not None and g.structure.shared:
            rho = prefixed(g.prefix, "rho")
            needed.append(
                Parameter(g.name("rho"), "unit", ((f"{rho}[{g.factor.name}]", rho),), (priors.SHARE_DEFAULT,))
            )
        if g.student:
            df = prefixed(g.prefix, "df")
            needed.append(Parameter(g.name("df"), "positive", ((f"{df}[{g.factor.name}]", df),), (priors.DF_DEFAULT,)))
        if g.series is not None:
            of = prefixed(g.prefix, g.series.parameter)
            ar1 = g.series.process == "ar1"
            default = priors.EVERY_CORRELATION if ar1 else priors.range_default(g.series.middle_gap)
            support = "correlation" if ar1 else "positive"
            key = f"{of}[{g.factor.name}]"
            needed.append(Parameter(g.name(g.series.parameter), support, ((key, of),), (default,)))
    return needed


def with_keys_for_all(parameter: Parameter, names: Sequence[str]) -> Parameter:
    """The parameter with keys added to its own that hold for all predictors of these names, long names first: `alpha` after
    `severity_alpha`."""
    lead = next((f"{name}_" for name in names if name and parameter.name.startswith(f"{name}_")), None)
    if lead is None:
        return parameter
    return replace(parameter, keys=tuple((*keys, *(k.removeprefix(lead) for k in keys)) for keys in parameter.keys))


def _smooth_parameters(predictor: PredictorDesign, smooth: Smooth, scale: float) -> list[Parameter]:
    """The sd of each curve and the unpenalised coefficients; a prior on `beta` holds for the latter too, as in brms."""

    def keys(what: str, labels: Sequence[str], *more: str) -> tuple[tuple[str, ...], ...]:
        name, general = smooth_name(predictor, smooth, what), (prefixed(predictor.prefix, f"s_{what}"), *more)
        return tuple((*([f"{name}[{label}]"] if len(labels) > 1 else []), name, *general) for label in labels)

    sds = tuple(priors.sd_default(smooth.spread(c), scale) for c in range(len(smooth.sds)))
    needed = [Parameter(smooth_name(predictor, smooth, "sd"), "positive", keys("sd", smooth.sds), sds)]
    if smooth.linear.shape[1]:
        spreads = [float(np.std(column[column != 0])) or spread(column) for column in smooth.linear.T]
        needed.append(
            Parameter(
                smooth_name(predictor, smooth, "linear"), "real",
                keys("linear", smooth.linear_labels, prefixed(predictor.prefix, "beta")),
                tuple(priors.beta_defaults(spreads, scale)),
            )
        )  # fmt: skip
    return needed
