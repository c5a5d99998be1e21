"""Joint models of survival against JM, JMbayes2, stan_jm and joineR, and coverage in simulations. Slow: run by `make validate`.

The peers' figures are in `tests/references/`, and what is known to be wrong with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from data_sets import data_set
from joint_simulation import simulate
from reference_posteriors import reference

import glmm_zoo as zoo
from glmm_zoo.qualification.cases import KnownNumber

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")]

JM_CUTS = reference("aids_jm_piecewise")["cuts"]  # quantiles of all times of the aids trial
Tables = tuple[pd.DataFrame, pd.DataFrame]


def aids() -> Tables:
    return data_set("JM_aids.csv"), data_set("JM_aids.id.csv")


def pbc2() -> Tables:
    d = data_set("survival_pbcseq.csv")
    d = d.assign(
        year=d.day / 365.25, years=d.futime / 365.25, log_bili=np.log(d.bili), dead=(d.status == 2) * 1,
        any=(d.status > 0) * 1, drug=d.trt.map({1: "D-penicil", 0: "Control"}), female=(d.sex == "f") * 1,
    )  # fmt: skip
    return d, d.groupby("id").first().reset_index()


def pbc_long() -> Tables:
    return data_set("rstanarm_pbcLong.csv"), data_set("rstanarm_pbcSurv.csv")


def mental() -> Tables:
    d = data_set("joineR_mental.csv")
    rows = d.melt(["id", "treat"], [c for c in d if c.startswith("Y.t")], "visit", "Y").dropna()
    return rows.assign(time=rows.visit.str[3:].astype(float)), d


@dataclass(frozen=True)
class Peer:
    """A peer's fit of a joint model and the call of ours; `names` maps the peer's parameters to ours.

    Means may differ by `within` of our standard deviations, and standard deviations by the share `sd_within`, or by
    anything where that is None, since the peer's are not to be trusted. A parameter whose error the peer does not tell
    may differ by 4 %. `known` are statistics in which a peer is known to be off, `beyond` so much from the value of each: a disagreement that no
    longer appears fails too.
    """

    name: str
    file: str
    data: Callable[[], Tables]
    formula: str
    event: str
    options: Mapping[str, Any]
    names: Mapping[str, str]
    within: float = 0.3
    sd_within: float | None = 0.1
    known: tuple[KnownNumber, ...] = ()


AIDS = "sqrt(CD4) ~ obstime + obstime:drug + (obstime | patient)"
AIDS_EVENT = "Surv(Time, death) ~ drug"
AIDS_COLUMNS = {"time": "obstime", "id": "patient"}
AIDS_POINTS = KnownNumber(
    2.5558,
    "Intercept",
    beyond=0.02,
    why="JM's method piecewise-PH-GH, whose quadrature points are not those of each patient",
)
AIDS_SD = KnownNumber(
    0.1881,
    "surv_beta[drug[ddI]]",
    statistic="sd",
    beyond=0.018,
    why="JMbayes2's default baseline; JM, stan_jm and its own Weibull fit have 0.151 to 0.155",
)
PBC_SD = [
    KnownNumber(
        0.1407,
        "Intercept",
        statistic="sd",
        beyond=0.015,
        why="JM's errors of the marker's coefficients; lme alone has 0.171",
    ),
    KnownNumber(0.0273, "beta[year]", statistic="sd", beyond=0.004, why="as above; lme alone has 0.036"),
]
PBC, PBC_EVENT = "log_bili ~ year + year:drug + (year | id)", "Surv(years, dead) ~ drug"
VALUE, DRUG = "assoc[value]", "surv_beta[drug[ddI]]"
JM_AIDS = {"Event|Assoct": VALUE, "Event|drugddI": DRUG, "Long|(Intercept)": "Intercept"}
STAN_JM = {"Assoc|Long1|etavalue": VALUE, "Long1|sigma": "sigma"}
PEERS = [
    Peer(
        "aids, JM piecewise", "aids_jm_piecewise", aids, AIDS, AIDS_EVENT,
        {**AIDS_COLUMNS, "baseline": "piecewise", "cuts": JM_CUTS},
        {**JM_AIDS, "Long|obstime": "beta[obstime]", "Long|obstime:drugddI": "beta[obstime:drug[ddI]]", "Extra|sigma": "sigma",
         "Extra|sd_(Intercept)": "sd_patient[Intercept]", "Extra|sd_obstime": "sd_patient[obstime]"},
        known=(AIDS_POINTS,),
    ),
    Peer(
        "aids, prototype piecewise", "aids_pymc_piecewise", aids, AIDS, AIDS_EVENT,
        {**AIDS_COLUMNS, "baseline": "piecewise", "cuts": JM_CUTS},
        {"alpha": VALUE, "drug": DRUG, "Intercept": "Intercept", "sigma": "sigma"}, 0.15,
    ),
    Peer(
        "aids, JM Weibull", "aids_jm_weibull", aids, AIDS, AIDS_EVENT, {**AIDS_COLUMNS, "baseline": "weibull"}, JM_AIDS,
    ),
    Peer(
        "aids, JMbayes2 Weibull", "aids_jmbayes2_weibull", aids, AIDS, AIDS_EVENT, {**AIDS_COLUMNS, "baseline": "weibull"},
        {"alphas|Mean": VALUE, "gammas|Mean": DRUG, "betas1|obstime": "beta[obstime]"}, 0.15,
    ),
    Peer(
        "aids, stan_jm bspline", "aids_stan_jm_bspline", aids, AIDS, AIDS_EVENT, AIDS_COLUMNS,
        {**STAN_JM, "Event|ddI": DRUG, "Long1|(Intercept)": "Intercept"}, 0.15,
    ),
    Peer(
        "aids, JMbayes2 bspline", "aids_jmbayes2_bspline", aids, AIDS, AIDS_EVENT, AIDS_COLUMNS,
        {"alphas|Mean": VALUE, "betas1|(Intercept)": "Intercept", "betas1|obstime": "beta[obstime]"}, 0.15, known=(AIDS_SD,),
    ),
    Peer(
        "pbc2, JM", "pbc2_jm_piecewise", pbc2, PBC, PBC_EVENT, {"time": "year", "baseline": "piecewise"},
        {"Event|Assoct": VALUE, "Event|drugD-penicil": "surv_beta[drug[D-penicil]]", "Long|year": "beta[year]",
         "Extra|sigma": "sigma", "Extra|sd_(Intercept)": "sd_id[Intercept]", "Extra|sd_year": "sd_id[year]"},
    ),
    Peer(
        "pbc2, JM value + slope", "pbc2_jm_value_slope", pbc2, PBC, PBC_EVENT, {"time": "year", "association": "value + slope"},
        {"Event|Assoct": VALUE, "Event|Assoct.s": "assoc[slope]", "Event|drugD-penicil": "surv_beta[drug[D-penicil]]"},
        sd_within=0.2,
    ),
    Peer(
        "pbc2, JMbayes2's vignette by JM", "pbc2_jm_sex", pbc2, "log_bili ~ year * female + (year | id)",
        "Surv(years, any) ~ female", {"time": "year"}, {"Event|Assoct": VALUE, "Event|sexfemale": "surv_beta[female]"},
        known=(*PBC_SD,),
    ),
    Peer(
        "pbc2, JMbayes2 hepatomegaly", "pbc2_jmbayes2_hepatomegaly", pbc2, "hepato ~ year + female + (year | id)",
        "Surv(years, any) ~ female", {"time": "year", "families": "bernoulli"}, {"alphas|hepatomegaly": VALUE}, 0.3, 0.2,
    ),
    Peer(
        "pbcLong, stan_jm help page", "pbclong_stan_jm_help", pbc_long, "logBili ~ year + (1 | id)",
        "Surv(futimeYears, death) ~ sex + trt", {"time": "year"},
        {**STAN_JM, "Event|trt": "surv_beta[trt]", "Long1|(Intercept)": "Intercept", "Long1|year": "beta[year]"}, 0.15,
    ),
    Peer(
        "pbcLong, stan_jm vignette", "pbclong_stan_jm_vignette", pbc_long, "logBili ~ sex + trt + year + (year | id)",
        "Surv(futimeYears, death) ~ sex + trt",
        {"time": "year", "priors": {"sd": "HalfStudentT(1, 10)", "corr": "LKJ(1)"}},  # stan_jm's; beta[year] feels them
        {**STAN_JM, "Event|trt": "surv_beta[trt]", "Long1|year": "beta[year]"}, 0.2,
    ),
    Peer(
        "mental, joineR", "mental_joiner", mental, "Y ~ time + treat + (1 | id)", "Surv(surv.time, cens.ind) ~ treat",
        {"association": "shared_effects"},
        {"association": "assoc[shared_effects]", "time": "beta[time]", "treat": "beta[treat]", "Intercept": "Intercept",
         "survival treat": "surv_beta[treat]", "sigma": "sigma"}, 0.3, None,
    ),
]  # fmt: skip


@pytest.mark.parametrize("peer", PEERS, ids=lambda p: p.name)
@pytest.mark.promise("joint_peers")
def test_joint_model_agrees_with_the_peers(peer: Peer) -> None:
    model = zoo.joint_survival(*peer.data(), peer.formula, event=peer.event, **peer.options)
    tree = zoo.fit(model, seed=1, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    summary, parameters = zoo.summary(tree), reference(peer.file)["parameters"]
    print(f"\n{peer.name}")
    wrong = []
    for theirs, name in peer.names.items():
        ours, recorded = summary.loc[name], parameters[theirs]
        mean, sd = recorded.get("mean", recorded.get("estimate")), recorded.get("sd", recorded.get("se"))
        if sd is None:
            print(f"  {name}: {ours['mean']:.4f}, theirs {mean:.4f}")
            differs = abs(ours["mean"] / mean - 1) > 0.04
        else:
            off, ratio = (ours["mean"] - mean) / ours["sd"], ours["sd"] / sd
            print(
                f"  {name}: {ours['mean']:.4f} ({ours['sd']:.4f}), theirs {mean:.4f} ({sd:.4f}): "
                f"{off:+.2f} sd, ratio of sds {ratio:.2f}"
            )
            differs = abs(off) > peer.within or (peer.sd_within is not None and abs(ratio - 1) > peer.sd_within)
        if differs:
            wrong.append(name)
    for number in peer.known:
        found = summary.loc[number.parameter, number.statistic]
        print(f"  {number.statistic} of {number.parameter}: {found:.4f}, theirs {number.value:.4f}, {number.why}")
        assert number.beyond is not None
        if abs(found - number.value) < number.beyond:
            wrong.append(f"{number.parameter}, whose registered disagreement is gone")
    assert not wrong, wrong


TRUTH = {
    "beta": (1.0, 0.3, -0.2), "sd": (0.8, 0.25), "corr": 0.2, "sigma": 0.4, "gamma": -0.4, "shape": 1.3, "scale": 12.0,
    "visits": np.arange(0.0, 8.0), "censoring": (4.0, 9.0),
}  # fmt: skip


def coverage(
    replicates: int, options: Mapping[str, Any], truth: Mapping[str, Any], known: Mapping[str, float]
) -> pd.DataFrame:
    """How often 95 % intervals hold the truth, and the mean of z, by parameter, over simulated data sets of 300 subjects."""
    rows = []
    for seed in range(replicates):
        model = zoo.joint_survival(*simulate(300, seed, **truth), "y ~ time + time:drug + (1 + time | id)", **options)
        tree = zoo.fit(model, seed=seed, progress=False)
        summary = zoo.summary(tree)
        rows += [
            (name, summary.loc[name, "lower"] < value < summary.loc[name, "upper"],
             (summary.loc[name, "mean"] - value) / summary.loc[name, "sd"], int(tree["sample_stats"].dataset["diverging"].values.sum()))
            for name, value in known.items()
        ]  # fmt: skip
    table = pd.DataFrame(rows, columns=pd.Index(["parameter", "covered", "z", "diverging"]))
    return table.groupby("parameter").mean()


CASES = {
    "value": (50, {"baseline": "weibull"}, {"alpha": 0.7}, {"assoc[value]": 0.7}),
    "value by bspline": (20, {}, {"alpha": 0.7}, {"assoc[value]": 0.7}),
    "slope": (20, {"baseline": "weibull", "association": "slope"}, {"alpha": 2.0, "association": "slope"}, {"assoc[slope]": 2.0}),
    "late entry": (
        5, {"baseline": "weibull", "event": "Surv(entry, years, death) ~ drug"}, {"alpha": 0.7, "entry": (0.0, 4.0)},
        {"assoc[value]": 0.7},
    ),
    "binary": (
        20, {"baseline": "weibull", "families": "bernoulli"}, {"alpha": 0.7, "family": "bernoulli", "sd": (1.5, 0.3)},
        {"assoc[value]": 0.7},
    ),
    "causes": (
        20, {"baseline": "weibull"}, {"alpha": (0.7, -0.3), "causes": 2},
        {"assoc[value, 1]": 0.7, "assoc[value, 2]": -0.3},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_intervals_hold_the_truth(case: str) -> None:
    replicates, options, truth, known = CASES[case]
    event = {"event": "Surv(years, death) ~ drug", **options}
    table = coverage(replicates, event, {**TRUTH, **truth}, known)
    print(f"\n{case}: {replicates} data sets\n{table.round(3)}")
    assert (table["covered"] >= min(0.85, 1 - 2 / replicates)).all() and (table["diverging"] == 0).all()
    assert (abs(table["z"]) < 4 / np.sqrt(replicates)).all()


def test_relapses_that_come_again_equal_stan() -> None:
    priors = dict.fromkeys(("Intercept", "beta", "surv_Intercept", "surv_beta", "assoc"), "Normal(0, 2.5)")
    priors |= dict.fromkeys(("sd", "sigma", "frailty_sd"), "Exponential(1)")
    model = zoo.joint_survival(
        data_set("sim_relapses_visits.csv"), data_set("sim_relapses.csv"), "y ~ time + (1 | id)",
        event="Surv(start, stop, relapse) ~ drug + (1 | id)", baseline="exponential", recurrent=True, center=False, priors=priors,
    )  # fmt: skip
    tree = zoo.fit(model, draws=3000, seed=1, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    peer, ours = reference("relapses_stan")["parameters"], zoo.summary(tree)
    for name, b in peer.items():
        a = ours.loc[name]
        assert abs(a["mean"] - b["mean"]) < 4 * np.hypot(a["mcse_mean"], b["mcse_mean"]), (name, a["mean"], b["mean"])
        assert abs(a["sd"] - b["sd"]) < 0.05 * b["sd"] + 2 * np.hypot(a["mcse_sd"], b["mcse_sd"]), (
            name,
            a["sd"],
            b["sd"],
        )
