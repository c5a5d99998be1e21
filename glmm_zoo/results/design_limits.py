"""What a fit cannot tell, whatever its draws: sentences on the design and the assumptions, from the spec and the table in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import listing, plural
from glmm_zoo.results.about import about_of
from glmm_zoo.results.findings import susceptibility
from glmm_zoo.results.numbers import percent, whole
from glmm_zoo.results.storage import metadata, outcome_specs

FEW_LEVELS, FEW_STUDIES = 5, 5
MUCH = 0.1  # share of the rows that were left out, from which on it is a doubt
DOMINANT = 0.5  # share of the rows that are of one level


@dataclass(frozen=True)
class Limit:
    """One sentence, what to do included; `grave` where the data at hand make it matter; `entry` is that of docs/guides/diagnostics.md."""

    entry: str
    sentence: str
    grave: bool = False


def design_limits(tree: xr.DataTree) -> Iterator[Limit]:
    """The limits that concern this model, the grave ones first."""
    spec = metadata(tree)["spec"]
    found = [
        *_few_levels(spec),
        *_dominated(tree, spec),
        *_left_out(tree, spec),
        *_of_builder(tree, spec),
        *_of_families(spec),
    ]
    yield from sorted(found, key=lambda limit: not limit.grave)


def _few_levels(spec: Mapping[str, Any]) -> Iterator[Limit]:
    for name, group in spec["groups"].items():
        strata = group["by"] if "by" in group else {"levels": [""], "sizes": [group["levels"]]}
        for stratum, levels in zip(strata["levels"], strata["sizes"], strict=True):
            if levels >= FEW_LEVELS:
                continue
            where = f" in {stratum}" if stratum else ""
            prior = spec["priors"].get(group["sd"], "")
            prior = prior if isinstance(prior, str) else listing(dict.fromkeys(prior.values()))
            yield Limit(
                "few_levels",
                f"{name} has only {plural(levels, 'level')}{where}: how much they differ ({group['sd']}) rests on its prior, "
                f"{prior}; compare with a fit under another one.",
                grave=True,
            )


def _dominated(tree: xr.DataTree, spec: Mapping[str, Any]) -> Iterator[Limit]:
    """Factors of which one level has most of the rows."""
    stored = tree["constant_data"].dataset if "constant_data" in tree.children else xr.Dataset()
    columns = {v.attrs["column"]: v.values for v in stored.data_vars.values() if v.dims == ("row",)}
    for name in spec["groups"]:
        if name not in columns:
            continue
        labels, rows = np.unique(columns[name].astype(str), return_counts=True)
        share = rows.max() / rows.sum()
        if share > DOMINANT and len(labels) > 1:
            yield Limit(
                "dominant_level",
                f"{percent(share)} of the rows are of one {name}, {labels[rows.argmax()]}: averages over rows are mostly its own.",
                grave=True,
            )


def _left_out(tree: xr.DataTree, spec: Mapping[str, Any]) -> Iterator[Limit]:
    """Rows without values, of the data and of single outcomes."""
    used, dropped = spec["data"]["rows"], spec["data"]["dropped"]
    if dropped:
        yield Limit(
            "left_out",
            f"{whole(dropped)} of {whole(used + dropped)} rows were left out for missing values, as if those missing were like the "
            "others with the same covariates.",
            grave=dropped > MUCH * (used + dropped),
        )
    for of in spec.get("covariates", {}).values():
        if of["missing"]:
            total = of["missing"] + of["observed"]
            yield Limit(
                "missing_covariate",
                f"{of['column']} is missing in {whole(of['missing'])} of {whole(total)} rows, where it is known from its own predictor and from "
                "the outcome, as if those missing were like the others with the same covariates and outcome.",
                grave=of["missing"] > MUCH * total,
            )
    for name, values in tree["observed_data"].dataset.data_vars.items():
        lacking = used - values.size
        if len(outcome_specs(spec)) > 1 and lacking > 0 and str(values.dims[0]).endswith("row"):
            yield Limit(
                "missing_outcome",
                f"{name} is missing in {whole(lacking)} of {whole(used)} rows, which tell of the other outcomes only.",
                grave=lacking > MUCH * used,
            )


# ---------------------------------------------------------------------------------------------------------- by builder


def _of_builder(tree: xr.DataTree, spec: Mapping[str, Any]) -> Iterator[Limit]:
    of = {
        "stepped_wedge": _of_wedge,
        "meta_analysis": _of_studies,
        "network_meta_analysis": _of_network,
        "joint_survival": _of_event,
        "never_at_risk": _of_never_at_risk,
        "survival": _of_times,
    }.get(spec["builder"])
    if of is not None:
        yield from of(tree, spec)


def _of_wedge(tree: xr.DataTree, spec: Mapping[str, Any]) -> Iterator[Limit]:
    """Periods with one condition, and what is taken to be constant."""
    design, options = spec["facts"]["map"], spec["options"]
    seen = {
        period: {row[k] for row in design["treated"] if row[k] not in ("", None)}
        for k, period in enumerate(design["periods"])
    }
    none = [period for period, found in seen.items() if found == {"0"}]
    every = [period for period, found in seen.items() if found == {"1"}]
    both = [period for period, found in seen.items() if len(found) == 2]
    only = [
        f"in {_periods(periods)} {which} cluster was treated"
        for periods, which in ((none, "no"), (every, "every"))
        if periods
    ]
    if only:
        alone = "that period alone says" if len(none + every) == 1 else "these periods alone say"
        yield Limit("one_condition", f"{' and '.join(only).capitalize()}: {alone} nothing of the effect.")
    if both:
        yield Limit(
            "shared_periods",
            f"The effect rests on the model of time in {_periods(both)}, in which both conditions were seen.",
        )
    else:
        yield Limit(
            "no_shared_period",
            "No period has both conditions: the effect cannot be told from time but by the model.",
            grave=True,
        )
    if options.get("exposure_time", "constant") == "constant":
        yield Limit(
            "constant_effect",
            "The effect is taken to be the same however long a cluster was exposed; exposure_time='categorical' does without.",
        )


def _periods(periods: list[str]) -> str:
    if len(periods) == 1:
        return f"period {periods[0]}"
    return f"periods {listing(periods[:-1], 6)} and {periods[-1]}"


def _of_studies(tree: xr.DataTree, spec: Mapping[str, Any]) -> Iterator[Limit]:
    facts = spec["facts"]
    studies = len(facts["totals"]["control_size"])
    if studies < FEW_STUDIES:
        yield Limit(
            "few_studies",
            f"From {studies} studies tau is poorly known and rests on its prior; heterogeneity= names empirical priors for log odds "
            "ratios.",
            grave=True,
        )
    yield Limit("unpublished", "Studies that were never published are not allowed for.")
    covariates = list(facts["covariates"]["means"])
    if covariates:
        names = listing(map(about_of(tree).name, covariates))
        yield Limit(
            "study_covariates",
            f"{names} may stand for something else that differs among studies, and says nothing of persons within a study.",
        )


def _of_network(tree: xr.DataTree, spec: Mapping[str, Any]) -> Iterator[Limit]:
    facts = spec["facts"]
    studies, treatments = facts["studies"], len(facts["labels"])
    if "tau" in tree["posterior"].dataset and studies - treatments + 1 < FEW_STUDIES:
        yield Limit(
            "few_studies",
            f"From {studies} studies of {treatments} treatments tau is poorly known and rests on its prior; heterogeneity= names empirical "
            "priors for log odds ratios.",
            grave=True,
        )
    empty = [label for label, y in zip(facts["labels"], facts["by_treatment"]["events"], strict=True) if y == 0]
    if empty:
        yield Limit(
            "no_events",
            f"No arm of {listing(empty)} has events: how large that effect may be rests on the prior.",
            grave=True,
        )
    yield Limit(
        "transitivity",
        "Studies of different treatments are taken to differ in nothing else that changes the effects (transitivity), and studies that were "
        "never published are not allowed for.",
    )
    covariates = list(facts.get("covariates", {"means": {}})["means"])
    if covariates:
        yield Limit(
            "study_covariates",
            f"{listing(map(about_of(tree).name, covariates))} may stand for something else that differs among studies, and says nothing of "
            "persons within a study.",
        )


def _of_event(tree: xr.DataTree, spec: Mapping[str, Any]) -> Iterator[Limit]:
    event = spec["event"]
    about = about_of(tree)
    subjects = about.plural(about.individual) if about.individual else "subjects"
    if event.get("recurrent"):
        frailty = " and frailty" if event["frailty"] else ""
        yield Limit(
            "recurrent_events",
            f"An event is taken to leave the risk of the next as it was, given covariates, marker{frailty}; a death that ends the follow-up "
            "counts as an end like any other.",
        )
        yield Limit("association", _ASSOCIATION)
        return
    censored = event["subjects"] - sum(event["events"])
    if censored:
        yield Limit(
            "censored",
            f"{whole(censored)} of {whole(event['subjects'])} {subjects} count as censored, as if their risk had been that of others with "
            "their marker; those who left for a reason that goes with the risk make it too low or too high.",
        )
    if len(event["causes"]) == 1:
        yield Limit(
            "one_cause",
            "Other events that end the follow-up can be causes of their own, which a fit with competing events tells.",
        )
    yield Limit("association", _ASSOCIATION)


_ASSOCIATION = "Ratios of hazards are taken to be the same at all times, and to describe an association, not what changing the marker would do."


def _of_times(tree: xr.DataTree, spec: Mapping[str, Any]) -> Iterator[Limit]:
    facts = spec["facts"]
    censored = facts["rows"] - facts["events"]
    if censored:
        yield Limit(
            "censored",
            f"{whole(censored)} of {whole(facts['rows'])} rows count as censored, as if their risk had been that of others with the same "
            "covariates and groups; those who left for a reason that goes with the risk make it too low or too high.",
        )
    if facts["entered_late"]:
        yield Limit(
            "late_entry",
            "Rows that begin late count from then on, as if groups had the same distribution of effects among those who were there then.",
        )
    if spec["link"] == "log_hazard":
        yield Limit("hazard_ratios", "Ratios of hazards within a group are taken to be the same at all times.")
    else:
        yield Limit("accelerated_times", "Covariates and groups are taken to stretch or shrink all times by a factor.")


def _of_never_at_risk(tree: xr.DataTree, spec: Mapping[str, Any]) -> Iterator[Limit]:
    words = susceptibility.find(tree, 0.95).sentences[0]
    if not words.startswith("The data show"):
        yield Limit("susceptibility", words, grave=True)
    else:
        yield Limit(
            "susceptibility",
            "How many subjects are never at risk follows from the rates of those at risk, whose effects are taken to be normal.",
        )


# ----------------------------------------------------------------------------------------------------------- by family


def _of_families(spec: Mapping[str, Any]) -> Iterator[Limit]:
    if spec["builder"].startswith("zero_inflated"):
        yield Limit(
            "kinds_of_zeros",
            "That some zeros are of another kind than the counts is assumed, not seen: a low mean and large variation make zeros too; "
            f"compare with {spec['builder'].removeprefix('zero_inflated_')}.",
        )
    if spec["builder"].startswith("hurdle"):
        yield Limit(
            "one_kind_of_zeros",
            "All zeros are taken to have one source, whether there is anything to count; zeros by chance among the counts are not told "
            "apart from them.",
        )
    if spec["builder"] == "ordinal" and not spec["options"].get("nominal"):
        yield Limit(
            "proportional_odds",
            "Each covariate is taken to shift all categories alike (proportional odds); nominal='~ x' of the cumulative family does without for x.",
        )
