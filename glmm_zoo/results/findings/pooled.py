"""What a meta-analysis says: the pooled effect, a new trial's, each study's, and what they mean in absolute terms.

    d_new ~ Normal(effect, tau)                        the effect in a new trial like the average one
    p_1 = link^-1(link(p_0) + effect)                  risk (or rate) under treatment at baseline risk p_0
    risk difference = p_1 - p_0,  NNT = 1 / |p_1 - p_0|

An interval of the NNT is made from that of the risk difference: where the latter includes 0 it runs through infinity,
from a number needed to treat for one to benefit (NNTB) to one for one to be harmed (NNTH), Altman (1998). Elsewhere the
few draws on the other side of 0 are near it, and 1 / |p_1 - p_0| puts them beyond the limits, where they belong.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.findings import Finding, draws_of, intervals, percent
from glmm_zoo.results.storage import about

NNT = "number needed to treat"


def find(tree: xr.DataTree, prob: float) -> Finding:
    """Pooled and new-trial ratios, risk (or rate) difference, and a table of the studies for a forest plot."""
    posterior, content = tree["posterior"].dataset, about(tree)
    spec = content["spec"]
    facts, risks = spec["facts"], spec["link"] == "logit"
    effect, tau = draws_of(posterior, "effect"), draws_of(posterior, "tau")
    z = np.random.default_rng([content["sampling"]["seed"], 1]).standard_normal(effect.shape)
    ratio = "odds_ratio" if risks else "rate_ratio"
    words, name = ratio.replace("_", " "), "risk" if risks else "rate"
    found = {ratio: np.exp(effect), f"{ratio}_new": np.exp(effect + tau * z)}
    pooled = intervals(found, prob, "quantity").set_axis([f"pooled {words}", f"{words} in a new trial"])
    sentences = [
        f"A new trial's {words} is below 1 with probability {np.mean(effect + tau * z < 0):.3f}, the pooled one with "
        f"probability {np.mean(effect < 0):.3f}: fewer events with {facts['labels'][1]!r} than with {facts['labels'][0]!r}."
    ]
    tables = {"pooled": pooled.rename_axis("quantity"), "studies": _studies(posterior, facts, risks, prob)}
    p0, source = _baseline(facts)
    if 0 < p0 < (1 if risks else np.inf):
        difference = _difference(p0, effect, risks)
        found[f"{name}_difference"] = difference
        told, tables["absolute"] = _absolute(p0, source, difference, facts, name, prob)
        sentences += told
        if NNT in tables["absolute"].index:
            found["nnt"] = 1 / np.abs(difference)
    else:
        sentences.append(f"No control arm has events to take a {name} from: baseline_risk= gives the absolute effects.")
    average = " of a study with average covariates" if facts["covariates"]["means"] else ""
    meanings = {
        ratio: f"pooled {words}{average}; with a covariate in brackets, the ratio of {words}s for one unit more of it",
        f"{ratio}_new": f"{words} in a new trial: its interval is the prediction interval",
        f"{name}_difference": f"{name} with treatment less {name} without, at a {name} of {p0:.4g} without ({source})",
        "nnt": "number needed to treat for one event fewer or more, at the same risk without treatment; left out where the "
        "risk difference may be 0. Read its median: draws near 0 make its mean large",
    }
    return Finding("pooled effect", tuple(sentences), tables, found, meanings)


def _baseline(facts: Mapping[str, Any]) -> tuple[float, str]:
    """The risk or rate without treatment, and where it is from."""
    if facts["baseline_risk"] is not None:
        return float(facts["baseline_risk"]), "as given"
    totals = facts["totals"]
    return sum(totals["control_events"]) / sum(totals["control_size"]), "the crude one of all control arms"


def _difference(p0: float, effect: np.ndarray, risks: bool) -> np.ndarray:
    """p_1 - p_0."""
    if not risks:
        return p0 * np.expm1(effect)
    return 1 / (1 + np.exp(-(np.log(p0) - np.log1p(-p0) + effect))) - p0


def _absolute(
    p0: float, source: str, difference: np.ndarray, facts: Mapping[str, Any], name: str, prob: float
) -> tuple[list[str], pd.DataFrame]:
    table = intervals({f"{name} with treatment": p0 + difference, f"{name} difference": difference}, prob, "quantity")
    _, low, high = table.loc[f"{name} difference"]
    unit = f" per unit of {facts['exposure']}" if name == "rate" else ""
    said = [
        f"At a {name} of {p0:.4g}{unit} without treatment ({source}) the {name} difference is "
        f"{float(np.median(difference)):.4g}, {low:.4g} to {high:.4g} ({percent(prob)})."
    ]
    if name == "rate":
        return said, table
    if low < 0 < high:
        said.append(
            f"That includes 0: the number needed to treat is {_number(-low)} or more for one to have no event (NNTB), "
            f"through infinity, to {_number(high)} or more for one to have one (NNTH)."
        )
        return said, table
    median = float(np.median(difference))
    fewer = "fewer" if median < 0 else "more"
    nnt = sorted((1 / abs(low), 1 / abs(high)))
    said.append(
        f"One event {fewer} for every {_number(median)} treated ({_number(1 / nnt[0])} to {_number(1 / nnt[1])})."
    )
    table.loc[NNT] = [1 / abs(median), *nnt]
    return said, table


def _number(difference: float) -> str:
    """Persons to treat, rounded up to a whole person."""
    return f"{np.ceil(1 / abs(difference) - 1e-9):.0f}"


def _studies(posterior: xr.Dataset, facts: Mapping[str, Any], risks: bool, prob: float) -> pd.DataFrame:
    """Each study: its arms, its own ratio with a Wald interval where no arm is empty or full, and the model's."""
    t = {name: np.array(sums) for name, sums in facts["totals"].items()}
    cells = [t["treated_events"], t["control_events"]]
    if risks:
        cells += [t["treated_size"] - t["treated_events"], t["control_size"] - t["control_events"]]
    known = np.all([c > 0 for c in cells], axis=0)
    cells = [np.where(known, c, np.nan) for c in cells]
    a, c = cells[:2]
    b, d = cells[2:] if risks else (t["treated_size"], t["control_size"])
    own = np.log(a / b) - np.log(c / d)
    error = NormalDist().inv_cdf((1 + prob) / 2) * np.sqrt(np.sum([1 / cell for cell in cells], axis=0))
    effects = np.exp(draws_of(posterior, "study_effect"))
    levels = [str(level) for level in posterior[facts["study"]].values]
    shrunken = intervals({str(k): effects[..., k] for k in range(len(levels))}, prob, "study")
    table = pd.DataFrame(
        {
            "treated": [f"{y:g}/{n:g}" for y, n in zip(t["treated_events"], t["treated_size"], strict=True)],
            "control": [f"{y:g}/{n:g}" for y, n in zip(t["control_events"], t["control_size"], strict=True)],
            "own": np.exp(own),
            "own lower": np.exp(own - error),
            "own upper": np.exp(own + error),
        },
        pd.Index(levels, name="study"),
    )
    return table.assign(**{str(name): values.to_numpy() for name, values in shrunken.items()})
