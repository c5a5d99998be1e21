"""Generalized additive mixed model: smooth curves and group effects, any family."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("gam",)

BUILDERS = {
    "gaussian": "hierarchical_linear",
    "bernoulli": "hierarchical_logistic",
    "binomial": "hierarchical_logistic",
    **{name: name for name in FAMILIES if (Path(__file__).parent / f"{name}.py").is_file()},
}


def gamm(
    data: Any,
    formula: str,
    *,
    family: str = "gaussian",
    exposure: str | None = None,
    zi: str | None = None,
    zoi: str | None = None,
    coi: str | None = None,
    dispersion: str | None = None,
    disc: str | None = None,
    bounds: Sequence[float] | str | None = None,
    link: str | None = None,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Smooth curves of covariates beside group effects.

        eta_i = Intercept + x_i' beta + sum_s f_s(x_is) + sum_g z_gi' u_g[level of row i] + offset_i
        f_s(x) = Xf_s(x) linear_s + Zs_s(x) weights_s,  weights_s ~ Normal(0, sd_s^2),  sum_i f_s(x_is) = 0
        u_g[level] ~ Normal(0, S_g),  y_i ~ family(eta_i)

    A penalised spline is a random effect: 1 / sd_s^2 is its smoothing parameter, and sd_s -> 0 leaves Xf_s, a straight
    line (Wood 2017, section 5.8). Every builder of the zoo takes s() in each of its formulas; this one chooses it by
    family, and the model is that builder's.

    Parameters
    ----------
    data
        A data frame, one row for each observation.
    formula
        `"y ~ trt + s(age) + (1 | id)"`. `s(x, bs="tp", k=10)`: bs is "tp" (thin plate), "cr" (cubic), "ps" (P-spline) or
        "cc" (cyclic); k functions, at most as many as x has values; more than enough is no harm, because sd_s shrinks
        them. `s(x, by=f)`: a curve for each level of the factor f (whose own effect `+ f` is not in the curves), or one
        curve times the numbers f. `s(g, bs="re")` is `(1 | g)`.
    family
        "gaussian", "student_t", "gamma", "lognormal", "weibull", "bernoulli", "binomial", "beta_binomial", "beta", "ordered_beta", "ordinal",
        "categorical", "poisson", "negative_binomial", "zero_inflated_poisson", "zero_inflated_negative_binomial", "hurdle_poisson",
        "hurdle_negative_binomial", "com_poisson".
    exposure
        Counts: a column > 0 whose logarithm is the offset.
    zi
        Zero-inflated and hurdle families, and beta: `"~ s(x)"` models logit zi.
    zoi, coi
        Beta: `"~ s(x)"` models logit zoi and logit coi.
    dispersion
        `"~ s(x)"` models the logarithm of the family's own parameter: sigma, alpha, shape or phi.
    disc
        Ordinal: `"~ s(x)"` models log disc.
    bounds
        Beta and ordered beta: the ends of the scale, "0,100".
    link
        Bernoulli, binomial, beta-binomial, beta and ordinal: "logit", "probit" or "cloglog".
    weights, impute, center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter, as in the family's builder, and `s_<x>_sd` (or `s_sd` for all smooths), `s_<x>_linear` (or
        `s_linear`, or `beta`).

    Returns
    -------
    A PyMC model with, beside the family's, `s_<x>_sd`, `s_<x>_linear` and `s_<x>_weights`; `zoo.curves` has the curves.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors; an option that the family does not have.
    """
    if family not in BUILDERS:
        raise InputError(
            f"unknown family {family!r}{did_you_mean(str(family), BUILDERS) or ';'} known: {listing(BUILDERS, 99)}"
        )
    options = {
        "exposure": exposure, "zi": zi, "zoi": zoi, "coi": coi, "dispersion": dispersion, "disc": disc, "bounds": bounds, "link": link,
        "weights": weights, "impute": impute,
    }  # fmt: skip
    given = {k: v for k, v in options.items() if v is not None}
    for name in given:
        takes = [of for of in BUILDERS if name in inspect.signature(_builder(of)).parameters]
        if family not in takes:
            raise InputError(f"{name}= is for families {listing(takes, 99)}, not for {family!r}")
    return _builder(family)(data, formula, **given, center=center, clusters=clusters, missing=missing, priors=priors)


def _builder(family: str) -> Callable[..., Model]:
    """The builder of a family."""
    return getattr(importlib.import_module(f"glmm_zoo.builders.{BUILDERS[family]}"), BUILDERS[family])
