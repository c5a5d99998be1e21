"""The answer of a network meta-analysis as a sentence with its numbers, and what the number is."""

from __future__ import annotations

import xarray as xr

from glmm_zoo.families.links import LINKS
from glmm_zoo.results import numbers
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.picture import capital
from glmm_zoo.results.findings import findings
from glmm_zoo.results.findings.network import treatment_names
from glmm_zoo.results.network_slopes import place_words
from glmm_zoo.results.networks import network_of
from glmm_zoo.results.storage import metadata


def network_answer(tree: xr.DataTree, about: About, prob: float) -> tuple[str, str]:
    """The treatment of the best mean rank against the reference; of unrelated mean effects what their loops say."""
    spec, found = metadata(tree)["spec"], findings(tree, prob, checks=False)["network"]
    if spec["options"]["consistency"] == "ume":
        what = "Each effect rests on the studies of its pair alone: this fit is there to be compared with one of consistent effects."
        return found.sentences[0], what
    reference = treatment_names(tree)[0]
    pairs, ranks, share = found.tables["pairs"], found.tables["ranks"], numbers.nominal(prob)
    best, first = str(ranks.index[0]), float(ranks["P(rank 1)"].iloc[0])
    shown = best if best != reference else str(ranks.index[1])
    row = pairs.loc[f"{shown} vs {reference}"]
    d = numbers.decimals("ratio", row[["median", "lower", "upper"]])
    ratio = str(LINKS[spec["link"]].ratio).replace("_", " ")
    outcome = about.outcome or spec["outcome"]
    lead = f"{capital(best)}{', the reference,' if best == reference else ''} has the best mean rank and is first with probability {numbers.probability(first)}"
    new = ""
    if "new study, lower" in pairs:
        ends = numbers.interval(row["new study, lower"], row["new study, upper"], d, "ratio").replace(" to ", " and ")
        new = f"; in a new one it lies between {ends} with probability {share}"
    sentence = (
        f"{lead}: in the mean study the {ratio} of {outcome}, {shown} against {reference}, is "
        f"**{numbers.on_scale(row['median'], 'ratio', d)}** ({share} interval {numbers.interval(row['lower'], row['upper'], d, 'ratio')}){new}."
    )
    where = place_words(tree, network_of(tree), {})
    what = (
        f"The {ratio} at the centre of the population of studies{f', at {where}' if where else ''}, from direct and indirect evidence together. Ranks say which is likely the best, "
        "not by how much: intervals of neighbouring treatments may have much in common."
    )
    return sentence, what
