"""Peers' fits of real data: what was fitted, and our call that should give the same posterior.

Each row names a file of `../shared/references`, our builder and formula, and the translation of the peer's parameter
names. Priors are the peer's, on the raw design: center=False.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHARED = Path(__file__).parents[2] / "shared"
PRIORS = {
    "Intercept": "StudentT(3, 0, 2.5)",
    "beta": "Normal(0, 2.5)",
    "sd": "Exponential(1)",
}


@dataclass(frozen=True)
class Reference:
    """`names` maps the peer's parameter to an element of our posterior as ArviZ names it."""

    file: str
    data: str
    builder: str
    formula: str
    names: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    priors: Mapping[str, str] = field(default_factory=dict)


REFERENCES = (
    Reference(
        "cbpp_binomial",
        "lme4_cbpp.csv",
        "hierarchical_logistic",
        "incidence | trials(size) ~ C(period) + (1 | herd)",
        {
            "b_Intercept": "Intercept",
            "b_period2": "beta[period[2]]",
            "b_period3": "beta[period[3]]",
            "b_period4": "beta[period[4]]",
            "sd_herd__Intercept": "sd_herd[Intercept]",
        },
    ),
    Reference(
        "toenail_logit",
        "HSAUR3_toenail.csv",
        "hierarchical_logistic",
        "outcome ~ treatment * time + (1 | patientID)",
        {
            "b_Intercept": "Intercept",
            "b_trt": "beta[treatment[terbinafine]]",
            "b_time": "beta[time]",
            "b_trt:time": "beta[treatment[terbinafine]:time]",
            "sd_patientID__Intercept": "sd_patientID[Intercept]",
        },
        {"success": "moderate or severe"},
    ),
    Reference(
        "seeds_binomial_olre",
        "tests-only/bugs_seeds.csv",
        "hierarchical_logistic",
        "r | trials(n) ~ seed_type * extract + (1 | plate)",
        {
            "b_Intercept": "Intercept",
            "b_seed_type": "beta[seed_type]",
            "b_extract": "beta[extract]",
            "b_seed_type:extract": "beta[seed_type:extract]",
            "sd_plate__Intercept": "sd_plate[Intercept]",
        },
    ),
    Reference(
        "sim_logit_nested_slopes",
        "sim_logit_nested_slopes.csv",
        "hierarchical_logistic",
        "y ~ trt * t + (1 | site) + (1 + t | id)",
        {
            "b_Intercept": "Intercept",
            "b_trt": "beta[trt]",
            "b_t": "beta[t]",
            "b_trt:t": "beta[trt:t]",
            "sd_site__Intercept": "sd_site[Intercept]",
            "sd_id__Intercept": "sd_id[Intercept]",
            "sd_id__t": "sd_id[t]",
            "cor_id__Intercept__t": "corr_id[Intercept, t]",
        },
        priors={"corr": "LKJ(2)"},
    ),
)
