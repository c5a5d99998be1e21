"""Never at risk, or at risk with a low rate? The probability of each subject with zeros only, and what the data know.

Zeros tell the two apart only where subjects at risk would hardly ever have zeros only. So the share of subjects who are
never at risk is shown beside its prior, and a group that is never at risk is claimed only when the data all but exclude
a share near zero: they must make it improbable, and much less probable than the prior did.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.findings.finding import Finding, draws_of, interval_table
from glmm_zoo.results.numbers import (
    NO_BREAK,
    alone,
    decimals,
    estimate_text,
    interval,
    nominal,
    percent,
    probability,
    whole,
)
from glmm_zoo.results.storage import metadata, sd_at_means

# All arbitrary.
FEW = (0.02, 0.05)  # a share so small that it is as good as none: the prior's 1 % quantile, but within these
ALARM = 0.01  # posterior probability of such a share from which on the data are said not to exclude it,
EVIDENCE = 0.1  # or that probability over the prior's
LITTLE_KNOWN = 0.5  # sd of the posterior over that of the prior from which on the prior is said to decide


def find(tree: xr.DataTree, prob: float) -> Finding:
    """The share of subjects who are never at risk before and after the data, and every all-zero subject's probability."""
    posterior, facts = tree["posterior"].dataset, metadata(tree)["spec"]["facts"]
    share, prior = draws_of(posterior, "never_share"), np.array(facts["never_prior"])
    shares = interval_table({"prior": prior, "posterior": share}, prob, "share never at risk")
    shares.insert(0, "mean", [prior.mean(), share.mean()])
    tables = {"share": shares, "followed": _followed(facts)}
    if "never_probability" in posterior:
        tables["subjects"] = _subjects(posterior, facts)
    quantities = {} if "never" in posterior else {"share[never at risk]": share}
    meanings = {"share": "probability of never being at risk, averaged over the subjects"}
    return Finding("never at risk", tuple(_verdict(tree, share, prior, prob)), tables, quantities, meanings)


def _followed(facts: dict[str, Any]) -> pd.DataFrame:
    """How many subjects have zeros only, and for how long both kinds were followed on average."""
    zeros, others = facts["all_zero"], facts["others"]
    subjects = {"zeros only": len(zeros["rows"]), "others": others["subjects"]}
    table = pd.DataFrame({"number": subjects}).rename_axis("subjects")
    for name, each in zeros.items():
        totals = {"zeros only": sum(each), "others": others[name]}
        table[f"{name} per subject"] = [totals[kind] / n if n else np.nan for kind, n in subjects.items()]
    return table


def _subjects(posterior: xr.Dataset, facts: dict[str, Any]) -> pd.DataFrame:
    """Rows, exposure and the probability of never being at risk of subjects with zeros only, the surest first."""
    probability = posterior["never_probability"].mean(("chain", "draw"))
    index = pd.Index(probability["never_subject"].values, name="subject")
    table = pd.DataFrame({**facts["all_zero"], "probability": probability.values}, index)
    return table.sort_values("probability", ascending=False, kind="stable")


def _verdict(tree: xr.DataTree, share: np.ndarray, prior: np.ndarray, prob: float) -> Iterator[str]:
    """Whether the data show a group that is never at risk, how many zeros the model explains without one, what follows."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    zeros = len(spec["facts"]["all_zero"]["rows"])
    subjects = zeros + spec["facts"]["others"]["subjects"]
    intervals = interval_table({"share": share, "zeros": draws_of(posterior, "never_all_zero")}, prob, "")
    _, low, high = intervals.loc["share"]
    expected, fewest, most = intervals.loc["zeros"]
    limit = float(np.clip(np.quantile(prior, 0.01), *FEW))
    few, before = float((share < limit).mean()), float((prior < limit).mean())
    narrowed = share.std() / prior.std()
    span = f"{interval(low, high, decimals('risk', (low, high)), 'risk')}{NO_BREAK}% of the subjects ({nominal(prob)})"
    shown = narrowed <= LITTLE_KNOWN and few <= min(ALARM, EVIDENCE * before)
    if shown:
        yield f"The data show a group that is never at risk: {span}."
    elif narrowed > LITTLE_KNOWN:
        yield (
            f"The data cannot tell never at risk from a low rate: the share never at risk, {span}, is known little better "
            f"than before them (standard deviation {alone(share.std())}, of the prior {alone(prior.std())})."
        )
    else:
        yield (
            f"The data do not show a group that is never at risk and cannot tell one from low rates: the share may be {span}, "
            f"and with probability {probability(few)} it is below {percent(limit)} ({probability(before)} before the data)."
        )
    yield (
        f"Were all {subjects} subjects at risk, {estimate_text(expected, fewest, most)} would be expected to have zeros "
        f"only; {zeros} {'has' if zeros == 1 else 'have'}."
    )
    yield from _low_rates(tree)
    if shown:
        sure = float(posterior["never_probability"].mean(("chain", "draw")).sum())
        yield f"Of the {zeros} with zeros only, {whole(sure)} are expected to be never at risk."
    else:
        family = spec["options"]["family"]
        yield (
            "The probabilities of single subjects lean on the prior and on the shape of the distribution of rates. "
            f"{'hierarchical_logistic' if family == 'bernoulli' else family} is the same model without this part."
        )


def _low_rates(tree: xr.DataTree) -> Iterator[str]:
    """How low the rates of subjects at risk go, where they have effects of their own."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    group = spec["groups"].get(spec["facts"]["subject"])
    if group and "Intercept" in group["effects"] and not {"by", "df"} & group.keys():
        sd = float(np.median(draws_of(posterior, sd_at_means(group), **{group["effect_dim"]: "Intercept"})))
        what, verb = ("odds", "are") if spec["link"] == "logit" else ("rate", "is")
        yield (
            f"Subjects at risk differ by a standard deviation of {alone(sd)} ({sd_at_means(group)}), taken to be normal: the {what} of "
            f"one in 40 {verb} below {alone(float(np.exp(-1.96 * sd)))} times {'those' if verb == 'are' else 'that'} of the median subject."
        )
