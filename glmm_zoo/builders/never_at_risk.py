"""Never at risk: some subjects can only ever give zeros, the others follow a mixed model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing, plural
from glmm_zoo.families.counts import NEGATIVE_BINOMIAL, POISSON, separated_share, uniform_share
from glmm_zoo.families.links import probability_link
from glmm_zoo.families.never_at_risk import (
    add_report_variables,
    binomial_density,
    count_density,
    log_f_of_rows_at_risk,
    observe_subjects,
)
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.formulas.group_effects import GroupingFactor, grouping_factor
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.plans.reading import SingleOutcome, read_outcome, remark
from glmm_zoo.plans.single_outcome import plan_single_outcome, rates
from glmm_zoo.tables.frames import Missing, column_names

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ()
KNOWN_FAMILIES = ("poisson", "negative_binomial", "bernoulli")


def never_at_risk(
    data: Any,
    formula: str,
    *,
    subject: str = "id",
    never: str | None = None,
    family: str = "poisson",
    exposure: str | None = None,
    per: float = 1.0,
    success: str | float | bool | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """A mixture of subjects: those who are never at risk, and those whose counts follow a mixed model.

        s_i ~ Bernoulli(pi_i),  logit pi_i = w_i' gamma        s_i = 1: never at risk, all y_ij = 0
        y_ij ~ f(eta_ij)  where s_i = 0
        eta_ij = Intercept + x_ij' beta + sum_g z_gij' u_g[level of row ij] + log exposure_ij

    The trait s_i is stable and is summed out. With S_i = sum_j log f(y_ij | eta_ij), subject i contributes

        log(1 - pi_i) + S_i                                with any y_ij > 0: certainly at risk
        log(pi_i + (1 - pi_i) e^S_i)                       with zeros only

    With one row for each subject it is the zero-inflated model. With the Bernoulli family it is an occupancy model: pi_i
    is the probability that site i is empty, logit^-1(eta_ij) that of detection at visit j.

    Parameters
    ----------
    data
        A data frame, one row for each visit.
    formula
        `"y ~ x + (1 | id)"` for subjects at risk; `detections | trials(n) ~ ...` is taken by the Bernoulli family.
    subject
        The column that says whose visit a row is; it need not be a group of the formula.
    never
        `"~ w"` models logit pi with covariates that are constant within a subject; without it pi is one probability.
    family
        "poisson" and "negative_binomial" (log link, shape alpha) or "bernoulli" (logit link).
    exposure, per
        As in `poisson`.
    success
        For "bernoulli", as in `hierarchical_logistic`.
    center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter: `Intercept`, `beta`, `beta[x]`, `sd`, `sd[g]`, `sd[g, x]`, `corr`, `corr[g]`,
        `never` or `never_Intercept`, `never_beta`, `alpha`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>` and `u_<g>`, on the link scale; `never`, or
    `never_Intercept` and `never_beta` (never_coef) on the logit scale; `alpha`. Its pointwise log-likelihood has one
    value for each subject.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    options = {
        "subject": subject, "never": never, "family": family, "exposure": exposure, "per": per, "success": success,
        "center": center, "clusters": clusters, "missing": missing,
    }  # fmt: skip
    _check_options(data, subject, family, exposure, success)
    single = read_outcome(
        data,
        formula,
        FAMILIES["binomial" if family == "bernoulli" else family],
        choice=success,
        also={"never": never},
        units={"never": subject},
        exposure=exposure,
        columns=[subject],
        missing=missing,
        clusters=clusters,
    )
    subjects = grouping_factor([subject], single.table)
    all_zero = np.bincount(subjects.codes, single.outcome.values > 0) == 0
    single = remark(single, _doubts(single, subjects, all_zero, family))
    plan = plan_single_outcome(
        "never_at_risk",
        single,
        options,
        priors,
        extra=[uniform_share("never")] if never is None else [],
        links={"never": "logit"},
        findings=("susceptibility",) if family == "bernoulli" else ("rates", "susceptibility"),
        facts={
            **rates(exposure, per, single.main.formula.offsets, of="expected count of a subject at risk"),
            **_follow_up(single, subjects, all_zero, family),
        },
        unit=subjects,
    )
    # PyMC is imported once the input has proved sound
    from glmm_zoo.graph.model import Model
    from glmm_zoo.graph.predictors import linear_predictors
    from glmm_zoo.graph.variables import log_positive, logit_share

    name = variable_name(single.outcome.name)
    with Model(plan) as model:
        etas = linear_predictors(model, center=center)
        logit_never = logit_share(model, "never", etas)
        if family == "bernoulli":
            density = binomial_density(name, single.outcome, etas[""], probability_link("logit"))
        elif family == "poisson":
            density = count_density(POISSON, etas[""])
        else:
            density = count_density(NEGATIVE_BINOMIAL, etas[""], log_positive(model, "alpha", etas))
        observe_subjects(name, density, single.outcome, subjects, logit_never)
        model.working_log_likelihood = log_f_of_rows_at_risk(density, single.outcome, at_risk=~all_zero[subjects.codes])
        model.preview_note = _what_a_preview_leaves_out(subjects, all_zero)
        model.spec["facts"]["never_prior"] = add_report_variables(model, density, subjects, all_zero, logit_never)
    return model


def _check_options(data: Any, subject: str, family: str, exposure: str | None, success: Any) -> None:
    if family not in KNOWN_FAMILIES:
        raise InputError(
            f"unknown family {family!r}{did_you_mean(str(family), KNOWN_FAMILIES) or ';'} known: {listing(KNOWN_FAMILIES)}"
        )
    known = column_names(data)
    if subject not in known:
        raise InputError(
            f"subject={subject!r} is no column of the data; say which column holds the subjects with subject= "
            f"(--option subject=NAME); columns: {listing(known)}"
        )
    if family == "bernoulli" and exposure is not None:
        raise InputError(
            f"exposure={exposure!r} belongs to counts; a Bernoulli response has none: give detections | trials(visits), "
            "or a count with family='poisson'"
        )
    if family != "bernoulli" and success is not None:
        raise InputError(
            f"success={success!r} names a level of a yes/no response, family='bernoulli'; a count has none"
        )


def _doubts(single: SingleOutcome, subjects: GroupingFactor, all_zero: np.ndarray, family: str) -> list[str]:
    """What to know before trusting the fit."""
    outcome, sentences = single.outcome, []
    for never in single.predictors[1:]:
        sentences += separated_share("never", all_zero, "subjects with zeros only", "subject", never.population)
    if not all_zero.any():
        sentences.append(
            f"every subject of {subjects.name!r} has a non-zero {outcome.name!r}, so all were at risk: the data only bound "
            "the probability of never being at risk from above; a model without it says as much of the rates"
        )
    if len(subjects.levels) == len(outcome.values):
        alone = family == "bernoulli" and (outcome.trials is None or bool((outcome.trials == 1).all()))
        sentences.append(
            f"every subject of {subjects.name!r} has one row: this is the zero-inflated model, and only the shape of "
            "the distribution of single responses tells never at risk from a low rate"
            if not alone
            else f"every subject of {subjects.name!r} has one row of one trial: never at risk and a low probability are the "
            "same in these data, and what is told apart rests on the priors"
        )
    return sentences


def _what_a_preview_leaves_out(subjects: GroupingFactor, all_zero: np.ndarray) -> str:
    """A sentence on the subjects with zeros only; empty if there are none."""
    if not all_zero.any():
        return ""
    return (
        f"this preview leaves out {all_zero.sum()} of {plural(len(all_zero), 'subject')} of {subjects.name!r}, those with zeros only: its "
        "coefficients may be two posterior standard deviations off, and its standard deviations too small"
    )


def _follow_up(single: SingleOutcome, subjects: GroupingFactor, all_zero: np.ndarray, family: str) -> dict[str, Any]:
    """How long the all-zero subjects were followed, each, and the others, together."""
    totals: dict[str, np.ndarray] = {"rows": np.bincount(subjects.codes)}
    if single.outcome.trials is not None:
        totals["trials"] = np.bincount(subjects.codes, single.outcome.trials)
    elif single.main.offset is not None and family != "bernoulli":
        totals["exposure"] = np.bincount(subjects.codes, np.exp(single.main.offset))
    return {
        "subject": variable_name(subjects.name),
        "all_zero": {name: total[all_zero].tolist() for name, total in totals.items()},
        "others": {"subjects": int((~all_zero).sum()), **{n: float(t[~all_zero].sum()) for n, t in totals.items()}},
    }
