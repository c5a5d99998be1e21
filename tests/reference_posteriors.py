"""Peers' fits of real and simulated data, each with the call of ours that should give the same posterior.

`REFERENCES` are Bayesian fits of one outcome, `JOINT` of several, `MAXIMA` fits by maximum likelihood. Each row names a file of
`tests/references/`, our builder and formula, and translates the peer's parameter names. Priors are the peer's, on the
raw design: center=False.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from data_sets import data_set

PRIORS = {
    "Intercept": "StudentT(3, 0, 2.5)",
    "beta": "Normal(0, 2.5)",
    "sd": "Exponential(1)",
}


def reference(name: str) -> dict[str, Any]:
    """A peer's fit as recorded in `tests/references/`: where it comes from, and `parameters` by the peer's names."""
    return json.loads((Path(__file__).parent / "references" / f"{name}.json").read_text())


@dataclass(frozen=True)
class Reference:
    """`names` maps the peer's parameter to an element of our posterior as ArviZ names it.

    `priors` add to `PRIORS`; None takes one away. `benchmark` says that `benchmarks/` fit it with all tools: "tuned" where settings of
    ours were chosen with it in sight, "new" where none was.
    """

    file: str
    data: str
    builder: str
    formula: str
    names: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    priors: Mapping[str, str | None] = field(default_factory=dict)
    benchmark: Literal["", "tuned", "new"] = ""


def _as_ours(*names: str) -> dict[str, str]:
    """The names of a peer that has ours."""
    return {name: name for name in names}


MONTHS = 'bdi ~ bdi_pre + C(treatment, ref="TAU") * C(month)'
OF_MONTHS = (
    "Intercept", "beta[bdi_pre]", "beta[treatment[BtheB]]", "beta[month[3]]", "beta[month[5]]", "beta[month[8]]",
    "beta[treatment[BtheB]:month[3]]", "beta[treatment[BtheB]:month[5]]", "beta[treatment[BtheB]:month[8]]",
)  # fmt: skip
OF_SOUP: Mapping[str, str] = {
    **{f"b_Intercept[{k}]": f"cutpoints[{k}|{k + 1}]" for k in range(1, 6)},
    "b_test": "beta[test]",
    "b_disc_test": "disc_beta[test]",
    "sd_respondent__Intercept": "sd_respondent[Intercept]",
    "sd_respondent__disc_Intercept": "sd_respondent[disc:Intercept]",
    "cor_respondent__Intercept__disc_Intercept": "corr_respondent[Intercept, disc:Intercept]",
}
SOUP_PRIORS: Mapping[str, str | None] = {
    "Intercept": None,
    "cutpoints": "StudentT(3, 0, 2.5)",
    "disc_beta": "Normal(0, 1)",
    "sd": "Exponential(1)",
    "sd[respondent, disc:Intercept]": "Exponential(2)",
    "corr": "LKJ(2)",
}
OF_TEETH = {"b_Intercept": "Intercept", "b_age": "beta[I(age-11)]", "b_female": "beta[female]", "sigma": "sigma"}
OF_DISTANCE = {
    "Intercept": "StudentT(3, 24, 5)", "beta": "Normal(0, 5)", "sd": "Exponential(0.5)", "corr": "LKJ(2)", "sigma": "Exponential(0.5)",
}  # fmt: skip
OF_BDI = {"Intercept": "Normal(15, 20)", "beta": "Normal(0, 10)", "sd": None, "sigma": "Exponential(0.1)"}

REFERENCES = (
    Reference(
        "kidney_weibull",
        "survival_kidney.csv",
        "survival",
        'Surv(time, status) ~ I(age / 10) + C(sex, ref="male") + (1 | id)',
        {
            "b_eta_Intercept": "Intercept",
            "b_eta_age10": "beta[I(age/10)]",
            "b_eta_female": "beta[sex[female]]",
            "sd_id__eta_Intercept": "sd_id[Intercept]",
            "shape": "shape",
        },
        {"distribution": "weibull"},
        {"Intercept": "StudentT(3, 4, 2.5)"},
    ),
    Reference(
        "causes_stan",
        "sim_causes.csv",
        "survival",
        "Surv(time, status) ~ arm + (1 |p| centre)",
        {
            **{
                f"{cause}_{name}": f"{cause}_{name}"
                for cause in ("death", "relapse")
                for name in ("Intercept", "beta[arm[treated]]", "shape")
            },
            "sd[death]": "sd_centre[death:Intercept]",
            "sd[relapse]": "sd_centre[relapse:Intercept]",
            "corr": "corr_centre[death:Intercept, relapse:Intercept]",
        },
        {"baseline": "weibull"},
    ),
    Reference(
        "kidney_lognormal",
        "survival_kidney.csv",
        "survival",
        'Surv(time, status) ~ I(age / 10) + C(sex, ref="male") + (1 | id)',
        {
            "b_Intercept": "Intercept",
            "b_age10": "beta[I(age/10)]",
            "b_female": "beta[sex[female]]",
            "sd_id__Intercept": "sd_id[Intercept]",
            "sigma": "sigma",
        },
        {"distribution": "lognormal"},
        {"Intercept": "StudentT(3, 4, 2.5)"},
    ),
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
        benchmark="tuned",
    ),
    Reference(
        "airquality_mi",
        "datasets_airquality.csv",
        "hierarchical_linear",
        "temp ~ mi(ozone) * wind",
        {
            "b_temp_Intercept": "Intercept",
            "bsp_temp_miozone": "beta[mi(ozone)]",
            "b_temp_wind": "beta[wind]",
            "bsp_temp_miozone:wind": "beta[mi(ozone):wind]",
            "sigma_temp": "sigma",
            "b_ozone_Intercept": "ozone_Intercept",
            "bsp_ozone_misolar": "ozone_beta[mi(solar)]",
            "b_ozone_wind": "ozone_beta[wind]",
            "sigma_ozone": "ozone_sigma",
            "b_solar_Intercept": "solar_Intercept",
            "b_solar_wind": "solar_beta[wind]",
            "sigma_solar": "solar_sigma",
        },
        options={"impute": {"solar": "~ wind", "ozone": "~ mi(solar) + wind"}},
        priors={
            "sd": None,
            "beta": None,
            "Intercept": "Normal(80, 20)",
            "beta[mi(ozone)]": "Normal(0, 1)",
            "beta[wind]": "Normal(0, 2)",
            "beta[mi(ozone):wind]": "Normal(0, 0.1)",
            "sigma": "Exponential(0.1)",
            "ozone_Intercept": "Normal(40, 50)",
            "ozone_beta[mi(solar)]": "Normal(0, 1)",
            "ozone_beta[wind]": "Normal(0, 5)",
            "ozone_sigma": "Exponential(0.05)",
            "solar_Intercept": "Normal(200, 100)",
            "solar_beta": "Normal(0, 10)",
            "solar_sigma": "Exponential(0.01)",
        },
    ),
    Reference(
        "esoph_monotonic",
        "datasets_esoph.csv",
        "hierarchical_logistic",
        "cases | trials(n) ~ heavy + mo(age) + mo(alcohol) + mo(alcohol):heavy",
        {
            "b_Intercept": "Intercept",
            "b_heavy": "beta[heavy]",
            "bsp_moage": "beta[mo(age)]",
            "bsp_moalcoholidEQa": "beta[mo(alcohol)]",
            "bsp_moalcoholidEQa:heavy": "beta[mo(alcohol):heavy]",
            **{f"simo_moage1[{k}]": f"simplex_age[{k - 1}|{k}]" for k in range(1, 6)},
            **{f"simo_moalcoholidEQa1[{k}]": f"simplex_alcohol[{k - 1}|{k}]" for k in range(1, 4)},
        },
        priors={"sd": None, "beta": "Normal(0, 1)", "Intercept": "Normal(-4, 2)", "simplex[alcohol]": "Dirichlet(2)"},
    ),
    Reference(
        "cbpp_beta_binomial",
        "lme4_cbpp.csv",
        "beta_binomial",
        "incidence | trials(size) ~ C(period) + (1 | herd)",
        {
            "b_Intercept": "Intercept",
            "b_period2": "beta[period[2]]",
            "b_period3": "beta[period[3]]",
            "b_period4": "beta[period[4]]",
            "sd_herd__Intercept": "sd_herd[Intercept]",
            "phi": "phi",
        },
        priors={"phi": "Gamma(2, 0.1)"},
    ),
    Reference(
        "gasoline_beta",
        "nlme_Gasoline.csv",
        "beta",
        "yield ~ I((endpoint - 330) / 10) + (1 | Sample)",
        {
            "b_Intercept": "Intercept",
            "b_t": "beta[I((endpoint-330)/10)]",
            "sd_Sample__Intercept": "sd_Sample[Intercept]",
            "phi": "phi",
        },
        {"bounds": "0,100"},
    ),
    Reference(
        "sim_zoib",
        "sim_zoib.csv",
        "beta",
        "y ~ x + (1 | g)",
        {
            "b_Intercept": "Intercept",
            "b_x": "beta[x]",
            "sd_g__Intercept": "sd_g[Intercept]",
            "b_zoi_Intercept": "zoi_Intercept",
            "b_zoi_x": "zoi_beta[x]",
            "coi": "coi",
            "phi": "phi",
        },
        {"zoi": "~ x"},
        {"zoi_Intercept": "StudentT(3, 0, 2.5)", "zoi_beta": "Normal(0, 2.5)"},
    ),
    Reference(
        "fries_ordered_beta",
        "reshape2_french_fries.csv",
        "ordered_beta",
        "rancid ~ I(time - 5) + C(treatment) + (1 | subject) + offset(0 * (buttery + painty))",  # the rows that na.omit kept
        {
            "b_Intercept": "Intercept",
            "b_week": "beta[I(time-5)]",
            "b_oil2": "beta[treatment[2]]",
            "b_oil3": "beta[treatment[3]]",
            "sd_subject__Intercept": "sd_subject[Intercept]",
            "cutzero": "cutpoints[0|between]",
            "phi": "phi",
        },
        {"bounds": "0,15", "missing": "drop"},
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
        benchmark="tuned",
    ),
    Reference(
        "seeds_binomial_olre",
        "bugs_seeds.csv",
        "hierarchical_logistic",
        "r | trials(n) ~ seed_type * extract + (1 | plate)",
        {
            "b_Intercept": "Intercept",
            "b_seed_type": "beta[seed_type]",
            "b_extract": "beta[extract]",
            "b_seed_type:extract": "beta[seed_type:extract]",
            "sd_plate__Intercept": "sd_plate[Intercept]",
        },
        benchmark="tuned",
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
        benchmark="tuned",
    ),
    Reference(
        "roaches_nb_offset",
        "rstanarm_roaches.csv",
        "negative_binomial",
        "y ~ I(roach1 / 100) + treatment + senior",
        {
            "b_Intercept": "Intercept",
            "b_r100": "beta[I(roach1/100)]",
            "b_treatment": "beta[treatment]",
            "b_senior": "beta[senior]",
            "shape": "alpha",
        },
        {"exposure": "exposure2"},
        {"sd": None, "alpha": "Gamma(2, 0.5)"},
        benchmark="tuned",
    ),
    Reference(
        "pbc_gamma",
        "rstanarm_pbcLong.csv",
        "gamma",
        "platelet ~ year + (1 | id)",
        {"b_Intercept": "Intercept", "b_year": "beta[year]", "sd_id__Intercept": "sd_id[Intercept]", "shape": "shape"},
        {"missing": "drop"},
        priors={"Intercept": "Normal(5, 2)", "beta": "Normal(0, 1)"},
    ),
    Reference(
        "pbc_lognormal",
        "rstanarm_pbcLong.csv",
        "lognormal",
        "platelet ~ year + (1 | id)",
        {
            "b_Intercept": "Intercept",
            "b_year": "beta[year]",
            "sd_id__Intercept": "sd_id[Intercept]",
            "b_sigma_Intercept": "sigma_Intercept",
            "b_sigma_year": "sigma_beta[year]",
        },
        {"dispersion": "~ year", "missing": "drop"},
        {
            "Intercept": "Normal(5, 2)",
            "beta": "Normal(0, 1)",
            "sigma_Intercept": "Normal(-1, 2)",
            "sigma_beta": "Normal(0, 1)",
        },
    ),
    Reference(
        "pbc_student",
        "rstanarm_pbcLong.csv",
        "student_t",
        "albumin ~ year + (1 | id)",
        {
            "b_Intercept": "Intercept",
            "b_year": "beta[year]",
            "sd_id__Intercept": "sd_id[Intercept]",
            "sigma": "sigma",
            "nu": "nu",
        },
        priors={"Intercept": "Normal(3, 2)", "beta": "Normal(0, 1)", "sigma": "Exponential(1)"},
    ),
    *(
        Reference(
            name,
            "sim_limits.csv" if name == "seen_in_part_limits" else "sim_seen_in_part.csv",
            builder,
            formula,
            {
                "b_Intercept": "Intercept",
                "b_x": "beta[x]",
                "sd_g__Intercept": "sd_g[Intercept]",
                **({"sigma": "sigma"} if "sigma" in priors else {}),
            },
            options,
            {"Intercept": "Normal(0, 2)", "beta": "Normal(0, 1)", **priors},
        )
        for name, builder, formula, options, priors in (
            (
                "seen_in_part_censored",
                "hierarchical_linear",
                "y | cens(c, z) ~ x + (1 | g)",
                {},
                {"sigma": "Exponential(1)"},
            ),
            ("seen_in_part_truncated", "poisson", "k | trunc(lb = 1) ~ x + (1 | g)", {}, {}),
            (
                "seen_in_part_limits",
                "hierarchical_linear",
                "y | trunc(lb = limit) ~ x + (1 | g)",
                {},
                {"sigma": "Exponential(1)"},
            ),
            (
                "seen_in_part_weighted",
                "hierarchical_linear",
                "y ~ x + (1 | g)",
                {"weights": "w"},
                {"sigma": "Exponential(1)"},
            ),
        )
    ),
    Reference(
        "epil_poisson_corr_slope",
        "glmmTMB_epil2.csv",
        "poisson",
        "y ~ Base * trt + Age + Visit + (Visit | subject)",
        {
            "b_Intercept": "Intercept",
            "b_Base": "beta[Base]",
            "b_trtprogabide": "beta[trt[progabide]]",
            "b_Age": "beta[Age]",
            "b_Visit": "beta[Visit]",
            "b_Base:trtprogabide": "beta[Base:trt[progabide]]",
            "sd_subject__Intercept": "sd_subject[Intercept]",
            "sd_subject__Visit": "sd_subject[Visit]",
            "cor_subject__Intercept__Visit": "corr_subject[Intercept, Visit]",
        },
        priors={"corr": "LKJ(2)"},
        benchmark="tuned",
    ),
    Reference(
        "owls_zinb_offset",
        "glmmTMB_Owls.csv",
        "zero_inflated_negative_binomial",
        "SiblingNegotiation ~ (FoodTreatment + I(ArrivalTime - 25)) * SexParent + offset(log(BroodSize)) + (1 | Nest)",
        {
            "b_Intercept": "Intercept",
            "b_foodSatiated": "beta[FoodTreatment[Satiated]]",
            "b_arr25": "beta[I(ArrivalTime-25)]",
            "b_sexpMale": "beta[SexParent[Male]]",
            "b_foodSatiated:sexpMale": "beta[FoodTreatment[Satiated]:SexParent[Male]]",
            "b_arr25:sexpMale": "beta[I(ArrivalTime-25):SexParent[Male]]",
            "sd_Nest__Intercept": "sd_Nest[Intercept]",
            "shape": "alpha",
            "zi": "zi",
        },
        priors={"alpha": "Gamma(2, 0.5)", "zi": "Beta(1, 1)"},
        benchmark="tuned",
    ),
    Reference(
        "grouseticks_poisson_nested",
        "lme4_grouseticks.csv",
        "poisson",
        "TICKS ~ C(YEAR) + I(cHEIGHT / 100) + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)",
        {
            "b_Intercept": "Intercept",
            "b_YEAR96": "beta[YEAR[96]]",
            "b_YEAR97": "beta[YEAR[97]]",
            "b_h100": "beta[I(cHEIGHT/100)]",
            "sd_BROOD__Intercept": "sd_BROOD[Intercept]",
            "sd_INDEX__Intercept": "sd_INDEX[Intercept]",
            "sd_LOCATION__Intercept": "sd_LOCATION[Intercept]",
        },
        benchmark="tuned",
    ),
    Reference(
        "sim_sw_hussey_hughes",
        "sim_sw_hussey_hughes.csv",
        "stepped_wedge",
        "y | trials(n) ~ 1",
        {
            "b_Intercept": "Intercept",
            **{f"b_period{t}": f"beta[period[{t}]]" for t in (1, 2, 3, 4)},
            "b_treat": "effect",
            "sd_cluster__Intercept": "sd_cluster[Intercept]",
            "sd_cp__Intercept": "sd_cluster:period[Intercept]",
        },
        {"correlation": "nested_exchangeable"},
        {"effect": "Normal(0, 2.5)"},
        benchmark="tuned",
    ),
    Reference(
        "sim_never_at_risk_poisson",
        "sim_never_at_risk_poisson.csv",
        "never_at_risk",
        "y ~ trt + visit + (1 | id)",
        {
            "b_Intercept": "Intercept",
            "b_trt": "beta[trt]",
            "b_visit": "beta[visit]",
            "g_Intercept": "never_Intercept",
            "g_w": "never_beta[w]",
            "sd_id": "sd_id[Intercept]",
        },
        {"never": "~ w", "exposure": "exposure"},
        {"never_Intercept": "StudentT(3, 0, 2.5)", "never_beta": "Normal(0, 2.5)"},
        benchmark="tuned",
    ),
    Reference(
        "sim_gamm_poisson",
        "sim_gamm_poisson.csv",
        "poisson",
        "y ~ trt + s(x, k=10) + (1 | id)",
        {
            "b_Intercept": "Intercept",
            "b_trt": "beta[trt]",
            "bs_sx_1": "s_x_linear",
            "sd_id__Intercept": "sd_id[Intercept]",
            "sds_sx_1": "s_x_sd",
        },
        priors={"s_x_sd": "Exponential(0.2)"},
        benchmark="tuned",
    ),
    Reference(
        "wine_ordinal",
        "ordinal_wine.csv",
        "ordinal",
        "rating ~ temp + contact + (1 | judge)",
        {
            "b_Intercept[1]": "cutpoints[1|2]",
            "b_Intercept[2]": "cutpoints[2|3]",
            "b_Intercept[3]": "cutpoints[3|4]",
            "b_Intercept[4]": "cutpoints[4|5]",
            "b_tempwarm": "beta[temp[warm]]",
            "b_contactyes": "beta[contact[yes]]",
            "sd_judge__Intercept": "sd_judge[Intercept]",
        },
        priors={"Intercept": None, "cutpoints": "StudentT(3, 0, 2.5)"},
        benchmark="tuned",
    ),
    Reference(
        "beat_the_blues_unstructured",
        "HSAUR3_BtheB.csv",
        "hierarchical_linear",
        MONTHS,
        {
            **{f"b[{k}]": name for k, name in enumerate(OF_MONTHS, start=1)},
            **{f"sigma[{k}]": f"sigma[{month}]" for k, month in enumerate((2, 3, 5, 8), start=1)},
            "R[1,2]": "corr_residual[2, 3]",
            "R[1,3]": "corr_residual[2, 5]",
            "R[1,4]": "corr_residual[2, 8]",
            "R[2,3]": "corr_residual[3, 5]",
            "R[2,4]": "corr_residual[3, 8]",
            "R[3,4]": "corr_residual[5, 8]",
        },
        {"residual": "unstructured", "time": "month", "within": "subject"},
        {**OF_BDI, "corr": "LKJ(2)"},
    ),
    Reference(
        "epil_poisson_ar1",
        "MASS_epil.csv",
        "poisson",
        "y ~ lbase + trt + ar1(period | subject)",
        {
            "b[1]": "Intercept",
            "b[2]": "beta[lbase]",
            "b[3]": "beta[trt[progabide]]",
            "sd_u": "sd_subject:period[Intercept]",
            "rho": "ar1_subject:period",
        },
        {},
        {"Intercept": "Normal(0, 2.5)", "beta": "Normal(0, 1)"},
    ),
    Reference(
        "beat_the_blues_ar1",
        "HSAUR3_BtheB.csv",
        "hierarchical_linear",
        MONTHS,
        {
            **dict(
                zip(
                    (
                        "b_Intercept",
                        "b_bdi_pre",
                        "b_treatmentBtheB",
                        "b_m3",
                        "b_m5",
                        "b_m8",
                        "b_treatmentBtheB:m3",
                        "b_treatmentBtheB:m5",
                        "b_treatmentBtheB:m8",
                    ),
                    OF_MONTHS,
                    strict=True,
                )
            ),
            "sd_residual": "sigma",
            "ar[1]": "rho",
        },
        {"residual": "ar1", "time": "visit", "within": "subject"},
        {**OF_BDI, "rho": "Uniform(-1, 1)"},
    ),
    Reference(
        "orthodont_location_scale",
        "nlme_Orthodont.csv",
        "hierarchical_linear",
        "distance ~ I(age - 11) + female + (1 |p| subject)",
        {
            "b_Intercept": "Intercept",
            "b_age": "beta[I(age-11)]",
            "b_female": "beta[female]",
            "b_sigma_Intercept": "sigma_Intercept",
            "b_sigma_female": "sigma_beta[female]",
            "sd_subject__Intercept": "sd_subject[Intercept]",
            "sd_subject__sigma_Intercept": "sd_subject[sigma:Intercept]",
            "cor_subject__Intercept__sigma_Intercept": "corr_subject[Intercept, sigma:Intercept]",
        },
        {"dispersion": "~ female + (1 |p| subject)"},
        {
            "Intercept": "StudentT(3, 24, 5)",
            "beta": "Normal(0, 5)",
            "sigma_Intercept": "StudentT(3, 0, 2.5)",
            "sigma_beta": "Normal(0, 2)",
            "sd": "Exponential(1)",
            "sd[subject, Intercept]": "Exponential(0.5)",
            "corr": "LKJ(2)",
        },
    ),
    Reference(
        "orthodont_by",
        "nlme_Orthodont.csv",
        "hierarchical_linear",
        "distance ~ I(age - 11) + female + (1 + I(age - 11) | gr(subject, by = female))",
        {
            **OF_TEETH,
            **{f"sd_subject__Intercept:female{s}": f"sd_subject[{s}, Intercept]" for s in (0, 1)},
            **{f"sd_subject__age:female{s}": f"sd_subject[{s}, I(age-11)]" for s in (0, 1)},
            **{
                f"cor_subject__Intercept:female{s}__age:female{s}": f"corr_subject[{s}, Intercept, I(age-11)]"
                for s in (0, 1)
            },
        },
        priors=OF_DISTANCE,
    ),
    Reference(
        "orthodont_student_effects",
        "nlme_Orthodont.csv",
        "hierarchical_linear",
        'distance ~ I(age - 11) + female + (1 + I(age - 11) | gr(subject, dist = "student"))',
        {
            **OF_TEETH,
            "sd_subject__Intercept": "sd_subject[Intercept]",
            "sd_subject__age": "sd_subject[I(age-11)]",
            "cor_subject__Intercept__age": "corr_subject[Intercept, I(age-11)]",
            "df_subject": "df_subject",
        },
        priors={**OF_DISTANCE, "df": "Gamma(6, 1)"},
    ),
    Reference(
        "sim_mm",
        "sim_mm.csv",
        "hierarchical_linear",
        "y ~ x + (1 | mm(g1, g2, weights = cbind(w1, w2)))",
        {
            "b_Intercept": "Intercept",
            "b_x": "beta[x]",
            "sd_mmg1g2__Intercept": "sd_g1+g2[Intercept]",
            "sigma": "sigma",
        },
        priors={"Intercept": "Normal(0, 5)", "beta": "Normal(0, 5)", "sigma": "Exponential(1)"},
    ),
    Reference(
        "soup_disc",
        "ordinal_soup.csv",
        "ordinal",
        "sureness ~ test + (1 |p| respondent)",
        OF_SOUP,
        {"disc": "~ test + (1 |p| respondent)", "link": "probit"},
        SOUP_PRIORS,
    ),
    Reference(
        "soup_disc_acat",
        "ordinal_soup.csv",
        "ordinal",
        "sureness ~ test + (1 |p| respondent)",
        OF_SOUP,
        {"disc": "~ test + (1 |p| respondent)", "family": "acat"},
        SOUP_PRIORS,
    ),
    Reference(
        "verbagg_categorical",
        "lme4_VerbAgg.csv",
        "categorical",
        "resp ~ mode + situ + (1 |p| id)",
        {
            **{f"b_mu{k}_Intercept": f"{k}_Intercept" for k in ("perhaps", "yes")},
            **{f"b_mu{k}_modewant": f"{k}_beta[mode[want]]" for k in ("perhaps", "yes")},
            **{f"b_mu{k}_situself": f"{k}_beta[situ[self]]" for k in ("perhaps", "yes")},
            **{f"sd_id__mu{k}_Intercept": f"sd_id[{k}:Intercept]" for k in ("perhaps", "yes")},
            "cor_id__muperhaps_Intercept__muyes_Intercept": "corr_id[perhaps:Intercept, yes:Intercept]",
        },
        {"reference": "no"},
        {"corr": "LKJ(2)"},
    ),
    Reference(
        "ohio_wheeze",
        "geepack_ohio.csv",
        "hierarchical_logistic",
        "resp ~ age * smoke + (1 | id)",
        _as_ours("Intercept", "beta[age]", "beta[smoke]", "beta[age:smoke]", "sd_id[Intercept]"),
        benchmark="new",
    ),
    Reference(
        "verbagg_crossed",
        "lme4_VerbAgg_r2.csv",
        "hierarchical_logistic",
        "r2 ~ Anger + Gender + btype + situ + mode + (1 | id) + (1 | item)",
        _as_ours(
            "Intercept",
            "beta[Anger]",
            "beta[Gender[M]]",
            "beta[btype[scold]]",
            "beta[btype[shout]]",
            "beta[situ[self]]",
            "beta[mode[want]]",
            "sd_id[Intercept]",
            "sd_item[Intercept]",
        ),
        {"success": "Y"},
        benchmark="new",
    ),
    Reference(
        "melanoma_nested",
        "mlmRev_Mmmec.csv",
        "poisson",
        "deaths ~ uvb + (1 | nation / region)",
        _as_ours("Intercept", "beta[uvb]", "sd_nation[Intercept]", "sd_nation:region[Intercept]"),
        {"exposure": "expected"},
        benchmark="new",
    ),
    Reference(
        "epil_poisson_nested",
        "MASS_epil.csv",
        "poisson",
        "y ~ lbase * trt + lage + V4 + (1 | subject / period)",
        _as_ours(
            "Intercept",
            "beta[lbase]",
            "beta[trt[progabide]]",
            "beta[lage]",
            "beta[V4]",
            "beta[lbase:trt[progabide]]",
            "sd_subject[Intercept]",
            "sd_subject:period[Intercept]",
        ),
        benchmark="new",
    ),
    Reference(
        "fruits_nb_nested",
        "lme4_Arabidopsis.csv",
        "negative_binomial",
        "total.fruits ~ C(nutrient) * amd + C(rack) + status + (1 | popu / gen)",
        _as_ours(
            "Intercept",
            "beta[nutrient[8]]",
            "beta[amd[unclipped]]",
            "beta[rack[2]]",
            "beta[status[Petri.Plate]]",
            "beta[status[Transplant]]",
            "beta[nutrient[8]:amd[unclipped]]",
            "sd_popu[Intercept]",
            "sd_popu:gen[Intercept]",
            "alpha",
        ),
        priors={"alpha": "Gamma(2, 0.5)"},
        benchmark="new",
    ),
    Reference(
        "salamanders_zinb",
        "glmmTMB_Salamanders.csv",
        "zero_inflated_negative_binomial",
        "count ~ mined + spp + (1 | site)",
        _as_ours(
            "Intercept",
            "beta[mined[yes]]",
            "beta[spp[DF]]",
            "beta[spp[DM]]",
            "beta[spp[EC-A]]",
            "beta[spp[EC-L]]",
            "beta[spp[GP]]",
            "beta[spp[PR]]",
            "sd_site[Intercept]",
            "alpha",
            "zi",
        ),
        priors={"alpha": "Gamma(2, 0.5)", "zi": "Beta(1, 1)"},
        benchmark="new",
    ),
    Reference(
        "articles_zinb",
        "pscl_bioChemists.csv",
        "zero_inflated_negative_binomial",
        "art ~ fem + mar + kid5 + phd + ment",
        _as_ours(
            "Intercept", "beta[fem[Women]]", "beta[mar[Single]]", "beta[kid5]", "beta[phd]", "beta[ment]", "alpha", "zi"
        ),
        priors={"sd": None, "alpha": "Gamma(2, 0.5)", "zi": "Beta(1, 1)"},
        benchmark="new",
    ),
    Reference(
        "soup_ordinal",
        "ordinal_soup.csv",
        "ordinal",
        "sureness ~ test + (1 | respondent)",
        _as_ours(
            "beta[test]",
            "cutpoints[1|2]",
            "cutpoints[2|3]",
            "cutpoints[3|4]",
            "cutpoints[4|5]",
            "cutpoints[5|6]",
            "sd_respondent[Intercept]",
        ),
        priors={"Intercept": None, "cutpoints": "StudentT(3, 0, 2.5)"},
        benchmark="new",
    ),
)


@dataclass(frozen=True)
class Joint:
    """A fit of several outcomes: `formulas` with their families; `names` as in `Reference`."""

    file: str
    data: Callable[[], pd.DataFrame]
    formulas: Mapping[str, str]
    priors: Mapping[str, str]
    names: Mapping[str, str]


def _stacked() -> pd.DataFrame:
    """A binary outcome y1 and a count y2 of the same subjects, each in rows of its own."""
    files = {"y1": "sim_mv_bern.csv", "y2": "sim_mv_pois.csv"}
    return pd.concat([data_set(file).rename(columns={"y": y}) for y, file in files.items()], ignore_index=True)


JOINT = (
    Joint(
        "sim_mv",
        _stacked,
        {"y1 ~ x + (1 |p| id)": "bernoulli", "y2 ~ x + (1 |p| id)": "poisson"},
        {**PRIORS, "corr": "LKJ(2)"},
        {
            "b_y1_Intercept": "y1_Intercept",
            "b_y1_x": "y1_beta[x]",
            "b_y2_Intercept": "y2_Intercept",
            "b_y2_x": "y2_beta[x]",
            "sd_id__y1_Intercept": "sd_id[y1:Intercept]",
            "sd_id__y2_Intercept": "sd_id[y2:Intercept]",
            "cor_id__y1_Intercept__y2_Intercept": "corr_id[y1:Intercept, y2:Intercept]",
        },
    ),
)


@dataclass(frozen=True)
class Maximum:
    """A fit by maximum likelihood: `names` of coefficients, which have standard errors, and of sds of group effects."""

    file: str
    data: str
    builder: str
    formula: str
    names: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)


MAXIMA = (
    Maximum(
        "epil_poisson_maximum",
        "MASS_epil.csv",
        "poisson",
        "y ~ lbase * trt + lage + V4 + (1 | subject)",
        {
            "(Intercept)": "Intercept",
            "lbase": "beta[lbase]",
            "trtprogabide": "beta[trt[progabide]]",
            "lage": "beta[lage]",
            "V4": "beta[V4]",
            "lbase:trtprogabide": "beta[lbase:trt[progabide]]",
            "sd_subject": "sd_subject[Intercept]",
        },
    ),
    Maximum(
        "epil_poisson_ar1_maximum",
        "MASS_epil.csv",
        "poisson",
        "y ~ lbase + trt + ar1(period | subject)",
        {
            "(Intercept)": "Intercept",
            "lbase": "beta[lbase]",
            "trtprogabide": "beta[trt[progabide]]",
            "sd_u": "sd_subject:period[Intercept]",
        },
    ),
    Maximum(
        "owls_zip_maximum",
        "glmmTMB_Owls.csv",
        "zero_inflated_poisson",
        "SiblingNegotiation ~ (FoodTreatment + ArrivalTime) * SexParent + (1 | Nest)",
        {
            "(Intercept)": "Intercept",
            "FoodTreatmentSatiated": "beta[FoodTreatment[Satiated]]",
            "ArrivalTime": "beta[ArrivalTime]",
            "SexParentMale": "beta[SexParent[Male]]",
            "FoodTreatmentSatiated:SexParentMale": "beta[FoodTreatment[Satiated]:SexParent[Male]]",
            "ArrivalTime:SexParentMale": "beta[ArrivalTime:SexParent[Male]]",
            "zi (Intercept)": "zi_Intercept",
            "sd_Nest": "sd_Nest[Intercept]",
        },
        {"exposure": "BroodSize", "zi": "~ 1"},
    ),
)
