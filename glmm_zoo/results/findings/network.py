"""What a network meta-analysis says: every pair of treatments, their ranks, and how well direct and indirect evidence agree.

d_ab = effect_a - effect_b                                  log ratio of a against b
new study: d_ab + tau z                                     its prediction interval
SUCRA of t = (T - mean rank of t) / (T - 1)                 (Salanti, Ades & Ioannidis 2011), 1 for a treatment that is surely first
loop a, b, c: d_ab - (d_ac - d_bc)                          direct against indirect, of unrelated mean effects (Bucher et al. 1997)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import listing
from glmm_zoo.families.links import LINKS
from glmm_zoo.results.about import about_of
from glmm_zoo.results.findings.finding import Finding, draws_of, interval_table
from glmm_zoo.results.network_slopes import slope_sentences, slope_table
from glmm_zoo.results.networks import Deviance, deviance, network_of, treatment_effects
from glmm_zoo.results.numbers import estimate_text, nominal, probability, written
from glmm_zoo.results.storage import metadata
from glmm_zoo.trials.network import Network

MOST_IN_SQUARE = 10  # treatments of a league table, and of ranks with a column each


def find(tree: xr.DataTree, prob: float) -> Finding:
    """Pairs, league table and ranks with consistency; direct effects and loops of unrelated mean effects; deviance of both."""
    spec, network = metadata(tree)["spec"], network_of(tree)
    ratio = str(LINKS[spec["link"]].ratio)
    effect = draws_of(tree["posterior"].dataset, "effect")
    labels = [str(v) for v in tree["posterior"].dataset["contrast"].values]
    quantities = {f"{ratio}[{label}]": np.exp(effect[..., k]) for k, label in enumerate(labels)}
    meanings = {ratio: f"{ratio.replace('_', ' ')} in the mean study, the first treatment against the second"}
    if network.interactions.names:
        meanings[ratio] += (
            f"; with a covariate in brackets, what multiplies the {ratio.replace('_', ' ')} for one more of it"
        )
    if "tau" in tree["posterior"].dataset:
        new = effect + _spread(tree, effect.shape)
        quantities |= {f"{ratio}_new[{label}]": np.exp(new[..., k]) for k, label in enumerate(labels)}
        meanings[f"{ratio}_new"] = f"{ratio.replace('_', ' ')} in a new study: its interval is the prediction interval"
    fitted = deviance(tree, network)
    if spec["options"]["consistency"] == "ume":
        sentences, tables = _of_loops(network, effect, labels, ratio, prob)
        title = "direct evidence"
    else:
        ranks = _ranks(tree, treatment_effects(tree, network, {}))
        quantities |= {f"rank[{label}]": ranks[..., k] for k, label in enumerate(network.labels)}
        meanings["rank"] = f"rank, 1 for the {_first_is(tree)}"
        tables = comparison_tables(tree, network, prob, {})
        sentences = [*_rank_sentences(tree, tables["ranks"], prob)]
        if network.interactions.names:
            tables["slopes"] = slope_table(tree, network, prob)
            sentences += slope_sentences(tree, network, prob)
        title = "comparisons of all treatments"
    told = [*sentences, *_fit_sentences(spec, network, fitted)]
    return Finding(title, tuple(told), tables, quantities, meanings)


def comparison_tables(
    tree: xr.DataTree, network: Network, prob: float, place: Mapping[str, float]
) -> dict[str, pd.DataFrame]:
    """All pairs, the league table of not too many treatments, and ranks, where covariates are as in `place`, and else at their means."""
    names, of = treatment_names(tree), treatment_effects(tree, network, place)
    tables = {"pairs": _pairs(tree, network, of, names, prob)}
    if len(names) <= MOST_IN_SQUARE:
        tables["league"] = _league(of, names, prob)
    return {**tables, "ranks": _rank_table(_ranks(tree, of), network, names, prob)}


def treatment_names(tree: xr.DataTree) -> list[str]:
    """The treatments in the words that were said of them, the reference first."""
    spec, about = metadata(tree)["spec"], about_of(tree)
    return [about.level(spec["options"]["treatment"], label) for label in spec["facts"]["labels"]]


def _pairs(tree: xr.DataTree, network: Network, of: np.ndarray, treatments: list[str], prob: float) -> pd.DataFrame:
    """Every pair: the studies with both, the ratio in the mean study, its interval in a new one, and whether it is above 1."""
    both = network.present.astype(int).T @ network.present
    chosen = [(b, a) for a, b in combinations(range(len(network.labels)), 2)]
    names = [f"{treatments[a]} vs {treatments[b]}" for a, b in chosen]
    differences = np.stack([of[..., a] - of[..., b] for a, b in chosen], axis=-1)
    each = dict(zip(names, np.moveaxis(np.exp(differences), -1, 0), strict=True))
    table = interval_table(each, prob, "pair")
    table.insert(0, "studies", [int(both[a, b]) for a, b in chosen])
    if "tau" in tree["posterior"].dataset:
        new = np.exp(differences + _spread(tree, differences.shape))
        tails = np.quantile(new.reshape(-1, len(names)), [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        table["new study, lower"], table["new study, upper"] = tails
    table["P(above 1)"] = (differences > 0).mean(axis=(0, 1))
    return table


def _league(of: np.ndarray, treatments: list[str], prob: float) -> pd.DataFrame:
    """The league table: in a cell the ratio of the row's treatment against the column's, with its interval."""

    def cell(a: int, b: int) -> str:
        if a == b:
            return "–"
        middle, low, high = np.quantile(np.exp(of[..., a] - of[..., b]), [0.5, (1 - prob) / 2, (1 + prob) / 2])
        return estimate_text(middle, low, high, "ratio")

    places = range(len(treatments))
    cells = [[cell(a, b) for b in places] for a in places]
    return pd.DataFrame(cells, pd.Index(treatments, name="row against column"), pd.Index(treatments))


def _spread(tree: xr.DataTree, shape: tuple[int, ...]) -> np.ndarray:
    """tau z: how the effects of a new study differ from the mean ones."""
    rng = np.random.default_rng([metadata(tree)["sampling"]["seed"], 1])
    return draws_of(tree["posterior"].dataset, "tau")[..., None] * rng.standard_normal(shape)


# --------------------------------------------------------------------------------------------------------------- ranks


def _ranks(tree: xr.DataTree, of: np.ndarray) -> np.ndarray:
    """Draws (chain, draw, T) of ranks from 1: the fewest events first where a lower outcome is good, else the most."""
    sign = 1 if about_of(tree).good == "lower" else -1
    return np.argsort(np.argsort(sign * of, axis=-1, kind="stable"), axis=-1, kind="stable") + 1.0


def _first_is(tree: xr.DataTree) -> str:
    return f"treatment with the {'fewest' if about_of(tree).good == 'lower' else 'most'} {_events(tree)}"


def _events(tree: xr.DataTree) -> str:
    about = about_of(tree)
    return about.plural(about.outcome) if about.outcome else "events"


def _rank_table(ranks: np.ndarray, network: Network, treatments: list[str], prob: float) -> pd.DataFrame:
    """Each treatment, the best first: SUCRA, mean rank with its interval, and the probability of each rank."""
    count = len(treatments)
    flat = ranks.reshape(-1, count)
    mean, ends = flat.mean(axis=0), np.quantile(flat, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    table = pd.DataFrame(
        {"studies": network.present.sum(axis=0), "SUCRA": (count - mean) / (count - 1), "mean rank": mean},
        pd.Index(treatments, name="treatment"),
    ).assign(**{"rank, lower": ends[0].astype(int), "rank, upper": ends[1].astype(int)})
    if count <= MOST_IN_SQUARE:
        table = table.assign(**{f"P(rank {r})": (flat == r).mean(axis=0) for r in range(1, count + 1)})
    else:
        table["P(rank 1)"] = (flat == 1).mean(axis=0)
    return table.sort_values("mean rank", kind="stable")


def _rank_sentences(tree: xr.DataTree, table: pd.DataFrame, prob: float) -> Iterator[str]:
    unsaid = about_of(tree).good is None
    yield (
        f"{table.index[0]} {'comes first by its mean' if unsaid else 'has the best mean'} rank ({written(table['mean rank'].iloc[0], 1)} of {len(table)}, {nominal(prob)} interval "
        f"{table['rank, lower'].iloc[0]} to {table['rank, upper'].iloc[0]}; SUCRA {written(table['SUCRA'].iloc[0], 2)}) and is first with "
        f"probability {probability(float(table['P(rank 1)'].iloc[0]))}; rank 1 is the {_first_is(tree)}."
    )
    if unsaid:
        yield (
            f"Whether {_events(tree)} are good or bad was not said, and the most of them come first. Where they are bad, a file words.toml with "
            'the line good = "lower" turns the ranks round: glmm-zoo report FILE.nc --about words.toml (about= in Python).'
        )


# ------------------------------------------------------------------------------------------- direct evidence, deviance


def _of_loops(
    network: Network, effect: np.ndarray, labels: list[str], ratio: str, prob: float
) -> tuple[list[str], dict[str, pd.DataFrame]]:
    """The effect of each compared pair, and of each triangle of such pairs the ratio of direct to indirect evidence."""
    of = {pair: effect[..., k] for k, pair in enumerate(network.pairs)}
    of |= {(b, a): -draws for (a, b), draws in of.items()}
    studies = [int(sum((t, network.first[i]) == pair for i, t in network.contrasts)) for pair in network.pairs]
    direct = interval_table(
        {label: np.exp(effect[..., k]) for k, label in enumerate(labels)}, prob, f"direct {ratio.replace('_', ' ')}"
    )
    direct.insert(0, "studies", studies)
    loops = {
        ", ".join(network.labels[t] for t in (a, b, c)): of[b, a] + of[c, b] - of[c, a]
        for a, b, c in combinations(range(len(network.labels)), 3)
        if {(b, a), (c, b), (c, a)} <= set(of)
    }
    if not loops:
        return [
            "No three treatments were all compared with each other: no loop tells direct from indirect evidence."
        ], {"direct": direct}
    table = interval_table({name: np.exp(w) for name, w in loops.items()}, prob, "loop")
    table["P(above 1)"] = [float((w > 0).mean()) for w in loops.values()]
    apart = table.index[(table["lower"] > 1) | (table["upper"] < 1)]
    words = (
        f"{len(apart)} of {len(table)} loops of three treatments have direct and indirect evidence apart ({listing(apart, 4)}): the "
        f"{nominal(prob)} interval of the ratio of the two is without 1."
        if len(apart)
        else f"In none of {len(table)} loops of three treatments are direct and indirect evidence plainly apart: the {nominal(prob)} interval "
        "of the ratio of the two always has 1."
    )
    return [words], {"direct": direct, "loops": table}


def _fit_sentences(spec: dict[str, Any], network: Network, fitted: Deviance | None) -> Iterator[str]:
    """Residual deviance and DIC, and with which fit to compare them."""
    if fitted is not None:
        yield (
            f"Residual deviance {written(fitted.mean, 1)} for {fitted.arms} arms (a model that fits has about one for each); effective number of parameters {written(fitted.effective, 1)}, DIC {written(fitted.dic, 1)}."
        )
    consistent = spec["options"]["consistency"] == "consistency"
    if len(network.pairs) < len(network.labels):
        yield "Each effect has one path of comparisons: nothing in these data can show that direct and indirect evidence disagree."
    else:
        other = "ume" if consistent else "consistency"
        without = " without covariates" if spec["facts"].get("slopes") else ""
        yield (
            f"Consistency is judged by a fit{without} with consistency={other!r}: a DIC of unrelated mean effects (ume) that is lower by 3 or more, or a "
            "smaller tau, speaks against consistency."
        )
