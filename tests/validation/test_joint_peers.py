"""Joint models of survival against JM, JMbayes2, stan_jm and joineR, and coverage in simulations. Slow: run by `make validate`.

The peers' figures are those of `../shared/JOINT.md`, section 3, and `../shared/references`: what is wrong with each is there too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from joint_data import simulate
from reference_posteriors import SHARED

import glmm_zoo as zoo

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")]

JM_CUTS = [6.227144, 11.07857, 12.53, 13.93, 15.97, 17.8]  # quantiles of all times of the aids trial
Tables = tuple[pd.DataFrame, pd.DataFrame]


def aids() -> Tables:
    folder = SHARED / "data" / "tests-only"
    return pd.read_csv(folder / "JM_aids.csv"), pd.read_csv(folder / "JM_aids.id.csv")


def pbc2() -> Tables:
    d = pd.read_csv(SHARED / "data" / "survival_pbcseq.csv")
    d = d.assign(
        year=d.day / 365.25, years=d.futime / 365.25, log_bili=np.log(d.bili), dead=(d.status == 2) * 1,
        any=(d.status > 0) * 1, drug=d.trt.map({1: "D-penicil", 0: "Control"}), female=(d.sex == "f") * 1,
    )  # fmt: skip
    return d, d.groupby("id").first().reset_index()


def pbc_long() -> Tables:
    return pd.read_csv(SHARED / "data" / "rstanarm_pbcLong.csv"), pd.read_csv(SHARED / "data" / "rstanarm_pbcSurv.csv")


def mental() -> Tables:
    d = pd.read_csv(SHARED / "data" / "tests-only" / "joineR_mental.csv")
    rows = d.melt(["id", "treat"], [c for c in d if c.startswith("Y.t")], "visit", "Y").dropna()
    return rows.assign(time=rows.visit.str[3:].astype(float)), d


@dataclass(frozen=True)
class Peer:
    """A peer's fit: mean and standard deviation (or estimate and error) by our names; `within` in standard deviations of ours,
    and of the standard deviations, 0 where the peer's are not to be trusted."""

    name: str
    data: Callable[[], Tables]
    formula: str
    event: str
    options: Mapping[str, Any]
    found: Mapping[str, tuple[float, float]]
    within: float = 0.3
    of_sd: float = 0.1
    means: Mapping[str, float] = field(default_factory=dict)  # with no error told, within 4 %


AIDS = "sqrt(CD4) ~ obstime + obstime:drug + (obstime | patient)"
AIDS_EVENT = "Surv(Time, death) ~ drug"
OF_AIDS = {"time": "obstime", "id": "patient"}
PBC, PBC_EVENT = "log_bili ~ year + year:drug + (year | id)", "Surv(years, dead) ~ drug"
A, DRUG = "assoc[value]", "surv_beta[drug[ddI]]"
PEERS = [
    Peer(
        "aids, JM piecewise", aids, AIDS, AIDS_EVENT, {**OF_AIDS, "baseline": "piecewise", "cuts": JM_CUTS},
        {A: (-1.0906, 0.1163), DRUG: (0.3484, 0.1533), "Intercept": (2.5145, 0.0425), "beta[obstime]": (-0.04232, 0.00455),
         "beta[obstime:drug[ddI]]": (0.00516, 0.00637)},
        means={"sigma": 0.3673, "sd_patient[Intercept]": 0.8699, "sd_patient[obstime]": 0.0371},
    ),
    Peer(
        "aids, prototype piecewise", aids, AIDS, AIDS_EVENT, {**OF_AIDS, "baseline": "piecewise", "cuts": JM_CUTS},
        {A: (-1.0949, 0.1177), DRUG: (0.3455, 0.1506), "Intercept": (2.5140, 0.0437), "sigma": (0.3689, 0.0105)}, 0.15,
    ),
    Peer(
        "aids, JM Weibull", aids, AIDS, AIDS_EVENT, {**OF_AIDS, "baseline": "weibull"},
        {A: (-1.0742, 0.1168), DRUG: (0.3555, 0.1536), "Intercept": (2.5125, 0.0426)},
    ),
    Peer(
        "aids, JMbayes2 Weibull", aids, AIDS, AIDS_EVENT, {**OF_AIDS, "baseline": "weibull"},
        {A: (-1.0875, 0.1171), DRUG: (0.3428, 0.1511), "beta[obstime]": (-0.0422, 0.0044)}, 0.15,
    ),
    Peer(
        "aids, stan_jm bspline", aids, AIDS, AIDS_EVENT, OF_AIDS,
        {A: (-1.0861, 0.1169), DRUG: (0.3533, 0.1554), "Intercept": (2.5148, 0.0416), "sigma": (0.3692, 0.0102)}, 0.15,
    ),
    Peer(
        "aids, JMbayes2 bspline", aids, AIDS, AIDS_EVENT, OF_AIDS,
        {A: (-1.0808, 0.1220), "Intercept": (2.5150, 0.0431), "beta[obstime]": (-0.0420, 0.0045)}, 0.15,
    ),
    Peer(
        "pbc2, JM", pbc2, PBC, PBC_EVENT, {"time": "year", "baseline": "piecewise"},
        {A: (1.2417, 0.0941), "surv_beta[drug[D-penicil]]": (0.0667, 0.1810), "beta[year]": (0.1830, 0.0184)},
        means={"sigma": 0.3471, "sd_id[Intercept]": 1.0024, "sd_id[year]": 0.1808},
    ),
    Peer(
        "pbc2, JM value + slope", pbc2, PBC, PBC_EVENT, {"time": "year", "association": "value + slope"},
        {A: (1.005, 0.127), "assoc[slope]": (3.276, 1.053), "surv_beta[drug[D-penicil]]": (0.055, 0.193)}, of_sd=0.2,
    ),
    Peer(
        "pbc2, JMbayes2's vignette by JM", pbc2, "log_bili ~ year * female + (year | id)", "Surv(years, any) ~ female",
        {"time": "year"},
        {A: (1.2449, 0.0879), "surv_beta[female]": (-0.1839, 0.2176)},
    ),
    Peer(
        "pbc2, JMbayes2 hepatomegaly", pbc2, "hepato ~ year + female + (year | id)", "Surv(years, any) ~ female",
        {"time": "year", "families": "bernoulli"},
        {A: (0.3591, 0.0531)}, 0.3, 0.2,
    ),
    Peer(
        "pbcLong, stan_jm help page", pbc_long, "logBili ~ year + (1 | id)", "Surv(futimeYears, death) ~ sex + trt", {"time": "year"},
        {A: (1.465, 0.292), "surv_beta[trt]": (-0.718, 0.462), "Intercept": (0.794, 0.212), "beta[year]": (0.0919, 0.0093),
         "sigma": (0.5085, 0.0219)}, 0.15,
    ),
    Peer(
        "pbcLong, stan_jm vignette", pbc_long, "logBili ~ sex + trt + year + (year | id)", "Surv(futimeYears, death) ~ sex + trt",
        {"time": "year", "priors": {"sd": "HalfStudentT(1, 10)", "corr": "LKJ(1)"}},  # stan_jm's; beta[year] feels them
        {A: (1.363, 0.241), "surv_beta[trt]": (-0.744, 0.456), "beta[year]": (0.2139, 0.0434), "sigma": (0.3546, 0.0167)}, 0.2,
    ),
    Peer(
        "mental, joineR", mental, "Y ~ time + treat + (1 | id)", "Surv(surv.time, cens.ind) ~ treat",
        {"association": "shared_effects"},
        {"assoc[shared_effects]": (0.08898, 0.0165), "beta[time]": (-0.594, 0.179), "beta[treat]": (-3.858, 1.034),
         "Intercept": (61.873, 2.227), "surv_beta[treat]": (-0.6154, 0.1907)}, 0.3, 0.0,
        means={"sigma": np.sqrt(64.363)},
    ),
]  # fmt: skip


@pytest.mark.parametrize("peer", PEERS, ids=lambda p: p.name)
def test_joint_model_agrees_with_the_peers(peer: Peer) -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared is not there: the data may not be copied into the project")
    model = zoo.joint_survival(*peer.data(), peer.formula, event=peer.event, **peer.options)
    tree = zoo.fit(model, seed=1, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    ours = zoo.summary(tree)
    print(f"\n{peer.name}")
    wrong = []
    for name, (mean, sd) in peer.found.items():
        a = ours.loc[name]
        off, ratio = (a["mean"] - mean) / a["sd"], a["sd"] / sd
        print(
            f"  {name}: {a['mean']:.4f} ({a['sd']:.4f}), theirs {mean} ({sd}): {off:+.2f} sd, ratio of sds {ratio:.2f}"
        )
        if abs(off) > peer.within or (peer.of_sd and abs(ratio - 1) > peer.of_sd):
            wrong.append(name)
    for name, mean in peer.means.items():
        print(f"  {name}: {ours.loc[name, 'mean']:.4f}, theirs {mean:.4f}")
        if abs(ours.loc[name, "mean"] / mean - 1) > 0.04:
            wrong.append(name)
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
        found = zoo.summary(tree)
        rows += [
            (name, found.loc[name, "lower"] < value < found.loc[name, "upper"], (found.loc[name, "mean"] - value) / found.loc[name, "sd"],
             int(tree["sample_stats"].dataset["diverging"].values.sum()))
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
