"""The likelihood of subjects some of whom are never at risk: one term for each subject, summed over whether it is at risk.

Subject i has rows ij with densities f(y_ij). With probability pi_i it is never at risk and y_ij = 0 for all j. With
S_i = sum_j log f(y_ij) and g_i = logit pi_i, written so that neither small nor large pi nor S lose digits:

    any y_ij > 0    log(1 - pi_i) + S_i                 = S_i - softplus(g_i)
    zeros only      log(pi_i + (1 - pi_i) e^S_i)        = softplus(S_i - g_i) - softplus(-g_i)

Given zeros only, the subject is never at risk with probability pi_i / (pi_i + (1 - pi_i) e^S_i) = logit^-1(g_i - S_i).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.families.binomial import draw_binomial, log_binomial
from glmm_zoo.families.counts import Count
from glmm_zoo.families.links import ProbabilityLink
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Tensor, as_it_stands, import_pytensor
from glmm_zoo.formulas.group_effects import GroupingFactor

_PRIOR_DRAWS = 1000


@dataclass(frozen=True)
class RowDensity:
    """The density of rows at risk: `log_f(y, *parameters)` (n,), a random variable `draw(*parameters, shape=)`, and the
    parameters, each (n,)."""

    log_f: Callable[..., Tensor]
    draw: Callable[..., Tensor]
    parameters: tuple[Tensor, ...]


def count_density(count: Count, eta: Tensor, *size: Tensor) -> RowDensity:
    """Counts of mean e^eta; `size` is empty or holds log a (see `counts`)."""
    return RowDensity(count.log_f, count.draw, (eta, *(s + import_pytensor().zeros_like(eta) for s in size)))


def binomial_density(name: str, outcome: Outcome, eta: Tensor, link: ProbabilityLink) -> RowDensity:
    """Successes of the outcome's trials, of one where it has none."""
    import pymc as pm

    trials = np.ones(len(outcome.values)) if outcome.trials is None else outcome.trials
    return RowDensity(
        lambda y, n, eta: log_binomial(y, n, eta, link),
        lambda n, eta, shape: draw_binomial(n, eta, link, shape),
        (pm.Data(f"_{name}_trials", trials, dims="row"), eta),
    )


def _softplus(x: Tensor) -> Tensor:
    """log(1 + e^x). JAX's gradient of it, as PyTensor writes it, is NaN beyond +-709; S goes there with long follow-up."""
    pt = import_pytensor()
    return pt.softplus(pt.clip(x, -700.0, 700.0)) + pt.maximum(x - 700.0, 0.0)


def _sums(rows: Tensor, codes: Tensor, subjects: int) -> Tensor:
    """Sums over the rows of each subject (subjects,)."""
    return import_pytensor().zeros(subjects)[codes].inc(rows)


def observe_subjects(
    name: str, density: RowDensity, outcome: Outcome, subjects: GroupingFactor, logit_never: Tensor
) -> None:
    """y (n,) over all rows; its log density is a vector over subjects."""
    import pymc as pm
    from pymc.distributions.shape_utils import rv_size_is_none

    pt, size = import_pytensor(), len(subjects.levels)

    def log_p(y: Tensor, codes: Tensor, g: Tensor, *parameters: Tensor) -> Tensor:
        S = _sums(density.log_f(y, *parameters), codes, size)
        at_risk = _sums(pt.cast(y > 0, "float64"), codes, size) > 0
        return pt.switch(at_risk, S - _softplus(g), _softplus(S - g) - _softplus(-g))

    def draw(codes: Tensor, g: Tensor, *rest: Tensor) -> Tensor:
        *parameters, batch = rest
        batch = () if rv_size_is_none(batch) else tuple(batch)
        at_risk = pm.Bernoulli.dist(logit_p=-g, size=(*batch, size))
        y = density.draw(*parameters, shape=(*batch, codes.shape[0]))
        return pt.cast(at_risk[..., codes] * y, "float64")

    pm.CustomDist(
        name,
        pm.Data("_subject_of", subjects.codes, dims="row"),
        logit_never + pt.zeros(size),
        *density.parameters,
        logp=log_p,
        dist=draw,
        signature=f"(n),(s),{','.join(['(n)'] * len(density.parameters))}->(n)",
        observed=pm.Data(f"_{name}_observed", outcome.values, dims="row"),
        dims="row",
        class_name="NeverAtRisk",
    )


def log_f_of_rows_at_risk(density: RowDensity, outcome: Outcome, *, at_risk: np.ndarray) -> Tensor:
    """log f of the rows of subjects certainly at risk (n,), 0 for the others: what steers the sampler's geometry."""
    return density.log_f(import_pytensor().constant(outcome.values), *density.parameters) * at_risk.astype(float)


def add_report_variables(
    model: Any, density: RowDensity, subjects: GroupingFactor, all_zero: np.ndarray, logit_never: Tensor
) -> list[float]:
    """What the report is made of, while the design is at hand; `all_zero` (subjects,) says who has zeros only.

        never_share          average of pi_i over the subjects
        never_all_zero       sum_i e^S_i with y = 0: how many would be expected to have zeros only were all at risk
        never_probability    of every subject with zeros only, that it is never at risk

    Returns draws of never_share from its prior.
    """
    import pymc as pm

    pt, size = import_pytensor(), len(subjects.levels)
    g = logit_never + pt.zeros(size)
    S = _sums(density.log_f(pt.zeros(len(subjects.codes)), *density.parameters), model["_subject_of"], size)
    share = pm.Deterministic("never_share", pt.mean(pt.sigmoid(g)))
    expected = pm.Deterministic("never_all_zero", pt.sum(pt.exp(S)))
    model.auxiliary |= {share.name, expected.name}
    if all_zero.any():
        model.add_coord("never_subject", [subjects.levels[i] for i in np.flatnonzero(all_zero)])
        each = pm.Deterministic("never_probability", pt.sigmoid(g - S)[np.flatnonzero(all_zero)], dims="never_subject")
        model.auxiliary.add(each.name)
    draws = pm.draw(share, _PRIOR_DRAWS, random_seed=0, mode=as_it_stands())
    return np.round(draws, 6).tolist()
