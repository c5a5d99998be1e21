"""Effects of a network that change with covariates of the studies, or with their level under the reference, in numbers and words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.families.links import LINKS
from glmm_zoo.formulas.terms import Expression
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.findings.finding import draws_of, interval_table
from glmm_zoo.results.numbers import NO_BREAK, alone, nominal, probability, written
from glmm_zoo.results.storage import metadata
from glmm_zoo.trials.interactions import BASELINE
from glmm_zoo.trials.network import Network


def read_place(network: Network, at: Mapping[str, Any] | None) -> dict[str, float]:
    """Values of covariates, and the link of a risk or rate under the reference, from what a user gave.

    Raises
    ------
    InputError
        Names of no covariate that is a column of numbers, values that are none.
    """
    place: dict[str, float] = {}
    of_risks, known = network.exposure is None, _movable(network)
    for name, value in (at or {}).items():
        if name not in known:
            raise InputError(
                f"at= names {name!r}{did_you_mean(name, known) or ';'} tables of a network take its covariates that are columns of numbers in one "
                f"term: {listing(known) or 'none'}; ask for comparisons(at=...)"
            )
        try:
            place[name] = float(value)
        except (TypeError, ValueError):
            raise InputError(f"at= of {name!r} must be one number, not {value!r}") from None
        if name == BASELINE:
            if not 0 < place[name] < (1 if of_risks else np.inf):
                words = "a risk between 0 and 1" if of_risks else "a rate > 0"
                raise InputError(f"{BASELINE!r} must be {words} under the reference, not {value!r}")
            place[name] = float(np.log(place[name]) - (np.log1p(-place[name]) if of_risks else 0.0))
    return place


def _movable(network: Network) -> list[str]:
    """The covariates that are columns of numbers and stand in one term, and the level where effects change with it."""
    columns = [c for term in network.formula.population if isinstance(term, Expression) for c in term.columns]
    of_level = network.interactions.level is not None
    return [
        name
        for name in network.interactions.names
        if (name == BASELINE and of_level) or (name in network.table.columns and columns.count(name) == 1)
    ]


def place_words(tree: xr.DataTree, network: Network, place: Mapping[str, float]) -> str:
    """ "duration 8.2, the mean of the studies, and a risk of 8.7 % under placebo"; "" without slopes."""
    about, slopes, told = about_of(tree), network.interactions, []
    for name, middle in slopes.middles.items():
        value = place.get(name, middle)
        if name == BASELINE and slopes.level is not None:
            told.append(f"a {amount_at(tree, network, value)} under {reference_words(tree, network)}")
        elif name in network.table.columns:
            told.append(f"{about.name(name)} {alone(value)}{'' if name in place else ', the mean of the studies'}")
        else:
            told.append(f"the mean of {slope_words(metadata(tree)['spec'], about, name)} over the studies")
    return ", and ".join(told)


def amount_at(tree: xr.DataTree, network: Network, level: float) -> str:
    """ "risk of 8.7 %" of a level on the scale of the link."""
    amount = float(LINKS[metadata(tree)["spec"]["link"]].inverse(np.array(level)))
    return f"risk of {alone(100 * amount)}{NO_BREAK}%" if network.exposure is None else f"rate of {alone(amount)}"


def slope_words(spec: Mapping[str, Any], about: About, label: str) -> str:
    """What a slope is over: "duration", "log odds under placebo: adalimumab"."""
    name, _, of = label.partition(f":{spec['options']['treatment']}[")
    if name == BASELINE and spec["facts"].get("reference_level") is not None:
        amount = "odds" if spec["link"] == "logit" else "rate"
        name = f"log {amount} under {about.level(spec['options']['treatment'], spec['facts']['labels'][0])}"
    else:
        column, _, level = name.partition("[")
        name = f"{about.name(column)} {about.level(column, level[:-1])}" if level else about.name(column)
    return f"{name}: {about.level(spec['options']['treatment'], of[:-1])}" if of else name


def reference_words(tree: xr.DataTree, network: Network) -> str:
    return about_of(tree).level(metadata(tree)["spec"]["options"]["treatment"], network.labels[0])


def slope_table(tree: xr.DataTree, network: Network, prob: float) -> pd.DataFrame:
    """By how much the ratios against the reference are multiplied for one more of each covariate."""
    beta, ratio = draws_of(tree["posterior"].dataset, "beta"), str(LINKS[metadata(tree)["spec"]["link"]].ratio)
    spec, about = metadata(tree)["spec"], about_of(tree)
    each = {
        slope_words(spec, about, label): np.exp(beta[..., k]) for k, label in enumerate(network.interactions.labels)
    }
    table = interval_table(each, prob, f"multiplies the {ratio.replace('_', ' ')}")
    table["P(above 1)"] = (beta > 0).mean(axis=(0, 1))
    return table


def slope_sentences(tree: xr.DataTree, network: Network, prob: float) -> Iterator[str]:
    """Where the effects are told, the slopes, and the heterogeneity with and without covariates."""
    about, slopes = about_of(tree), network.interactions
    reference = reference_words(tree, network)
    yield f"Effects, comparisons and ranks are those at {place_words(tree, network, {})}; zoo.table(tree, 'league', at=...) has them elsewhere."
    if slopes.kind == "common":
        beta = draws_of(tree["posterior"].dataset, "beta")
        for k, label in enumerate(slopes.labels):
            middle, low, high = np.quantile(beta[..., k], [0.5, (1 - prob) / 2, (1 + prob) / 2])
            yield (
                f"For one more of {slope_words(metadata(tree)['spec'], about, label)} every log ratio against {reference} changes by {written(middle, 3)} ({nominal(prob)} interval "
                f"{written(low, 3)} to {written(high, 3)}; below 0 with probability {probability(float((beta[..., k] < 0).mean()))})."
            )
    if slopes.level is not None:
        yield (
            f"A slope of −1 over the level would mean that what happens under treatment does not depend on what happens under {reference}. The "
            "level is that which the model takes to be true in each study, so that chance in the arms alone makes no slope."
        )
    if slopes.covariates is not None and "tau" in tree["posterior"].dataset:
        against = network.against[0]
        without, given = network.heterogeneity_around(against), network.rough_heterogeneity()
        tau = float(np.median(draws_of(tree["posterior"].dataset, "tau")))
        yield (
            f"By moments the standard deviation of effects between studies is {written(without, 2)} without covariates and {written(given, 2)} with "
            f"them; the median of tau, which is what they leave, is {written(tau, 2)}."
        )
