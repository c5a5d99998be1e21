"""Read and check the arms of a network of trials: any number of treatments, and of arms in a study. Imports no PyMC.

A table has one row for each arm. Of a study the arm whose treatment comes first, the reference before all others, is its baseline;
each of its other treatments makes a contrast with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, attempt, did_you_mean, listing, plural, raise_all
from glmm_zoo.families.outcome import level_of, level_text
from glmm_zoo.formulas.group_effects import GroupingFactor, grouping_factor
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.predictor import check_columns
from glmm_zoo.tables.columns import Column
from glmm_zoo.tables.frames import Missing, take_columns
from glmm_zoo.trials.arms import (
    FEW_STUDIES,
    ArmCounts,
    arms_formula,
    events_and_sizes,
    heterogeneity_by_moments,
    outcome_of_arms,
    response_columns,
    rough_level,
)
from glmm_zoo.trials.control import control_by_name, in_known_order
from glmm_zoo.trials.interactions import BASELINE, Interactions
from glmm_zoo.trials.study_covariates import covariates_of_studies


@dataclass(frozen=True)
class Network(ArmCounts):
    """Arms with T treatments: `treatment` (n,) is the place of each arm's among the `labels`, of which the first is the reference.

    `interactions` says how the effects change with covariates.
    """

    treatment: np.ndarray
    labels: tuple[str, ...]
    interactions: Interactions

    @cached_property
    def present(self) -> np.ndarray:
        """Which study has which treatment (S, T)."""
        present = np.zeros((len(self.study.levels), len(self.labels)), bool)
        present[self.study.codes, self.treatment] = True
        return present

    @cached_property
    def first(self) -> np.ndarray:
        """The treatment of each study's own baseline (S,)."""
        return np.argmax(self.present, axis=1)

    @cached_property
    def contrasts(self) -> np.ndarray:
        """Study and treatment of each contrast (C, 2), study by study."""
        others = self.present.copy()
        others[np.arange(len(others)), self.first] = False
        return np.argwhere(others)

    @cached_property
    def contrast_of(self) -> np.ndarray:
        """The contrast of each arm (n,), -1 for the baselines of studies."""
        place = np.full(self.present.shape, -1)
        place[tuple(self.contrasts.T)] = np.arange(len(self.contrasts))
        return place[self.study.codes, self.treatment]

    @property
    def contrast_labels(self) -> list[str]:
        """ "3:B" of treatment B in study 3."""
        return [f"{self.study.levels[i]}:{self.labels[t]}" for i, t in self.contrasts]

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """The treatments of contrasts and of the baselines that they are against, each pair once."""
        return sorted({(int(t), int(self.first[i])) for i, t in self.contrasts}, key=lambda pair: pair[::-1])

    @property
    def blocks(self) -> list[np.ndarray]:
        """The places of each study's first contrast, of each second one, ...; studies of most arms stand first in all of them."""
        count = np.bincount(self.contrasts[:, 0])
        start, order = np.cumsum(count) - count, np.argsort(-count, kind="stable")
        return [start[order[count[order] > j]] + j for j in range(count.max())]

    def effects(self, consistent: bool) -> tuple[tuple[str, ...], np.ndarray]:
        """The effects' labels, and what contrasts are made of them (C, effects): each treatment against the reference if
        `consistent`, else each pair that was compared."""
        t, base = self.contrasts[:, 1], self.first[self.contrasts[:, 0]]
        if consistent:
            design = np.eye(len(self.labels))[t] - np.eye(len(self.labels))[base]
            return tuple(f"{label} vs {self.labels[0]}" for label in self.labels[1:]), design[:, 1:]
        design = np.array([[float((a, b) == pair) for pair in self.pairs] for a, b in zip(t, base, strict=True)])
        return tuple(f"{self.labels[a]} vs {self.labels[b]}" for a, b in self.pairs), design

    @property
    def against(self) -> tuple[np.ndarray, np.ndarray]:
        """1 at the treatment, and -1 at the one it is against, of each contrast (C, T - 1), and of each study's baseline against the
        reference (S, T - 1)."""
        return self.effects(consistent=True)[1], np.eye(len(self.labels))[self.first][:, 1:]

    def arm_totals(self) -> tuple[np.ndarray, np.ndarray]:
        """Events and sizes by study and treatment (S, T), rows of one arm added up."""
        at, shape = self.study.codes * len(self.labels) + self.treatment, self.present.shape
        events, sizes = (
            np.bincount(at, values, shape[0] * shape[1]).reshape(shape) for values in (self.outcome.values, self.sizes)
        )
        return events, sizes

    def rough_contrasts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each contrast's log odds or rate ratio (C,), and the variances that its own arm and the baseline's give it, with 1/2 added to
        every count.

        They only tell the sampler where to look, and the reader what a study says alone; the model has the counts as they are.
        """
        events, sizes = (total[self.present] for total in self.arm_totals())
        level, variance = np.zeros(self.present.shape), np.zeros(self.present.shape)
        level[self.present], variance[self.present] = rough_level(events, sizes, self.exposure is None)
        i, t = self.contrasts.T
        base = self.first[i]
        return level[i, t] - level[i, base], variance[i, t], variance[i, base]

    def rough_heterogeneity(self) -> float:
        """Standard deviation of the effects around consistent ones, given covariates; it only tells the sampler where to look."""
        against = self.against[0]
        return self.heterogeneity_around(
            np.hstack([against, self.interactions.over_covariates(self.contrasts[:, 0], against)])
        )

    def heterogeneity_around(self, X: np.ndarray) -> float:
        """By moments, of contrasts around X b; X (C, p)."""
        y, own, base = self.rough_contrasts()
        return heterogeneity_by_moments(y, own + base, X)

    def facts(self, treatment: str) -> dict[str, Any]:
        """What the report says of the network, JSON-able."""
        events, sizes = self.arm_totals()
        return {
            "study": variable_name(self.study.name),
            "studies": len(self.study.levels),
            "labels": list(self.labels),
            "arms": {"variable": treatment, "control": self.labels[0], "treated": self.labels[1]},
            "by_treatment": {
                "studies": self.present.sum(axis=0).tolist(),
                "events": events.sum(axis=0).tolist(),
                "sizes": sizes.sum(axis=0).tolist(),
            },
            **self.interactions.facts(),
        }

    def notes(self, reference_given: bool) -> list[str]:
        """Sentences that the user should know: the reference, treatments without events, few studies."""
        events, sizes = self.arm_totals()
        notes = [
            f"{plural(len(self.labels), 'treatment')} in {len(self.study.levels)} studies; the reference is "
            f"{self.labels[0]!r}{'' if reference_given else ', reference= names another'}"
        ]
        nothing = events.sum(axis=0) == 0
        everything = (self.exposure is None) & (events.sum(axis=0) == sizes.sum(axis=0))
        for which, words in ((nothing, "no events"), (everything, "nothing but events")):
            notes += [
                f"treatment {self.labels[t]!r} has {words} in any of its {plural(int(self.present[:, t].sum()), 'arm')}: how large "
                "its effect may be is known from the prior of effect alone"
                for t in np.flatnonzero(which)
            ]
        if len(self.study.levels) - len(self.labels) + 1 < FEW_STUDIES:
            notes.append(
                f"{len(self.study.levels)} studies of {len(self.labels)} treatments: tau is poorly known and its posterior rests on its "
                "prior; heterogeneity= names empirical priors for log odds ratios"
            )
        return [*notes, *self.interactions.notes(self.contrasts[:, 0], self.against[0], self.rough_levels()[0])]

    def rough_levels(self) -> tuple[np.ndarray, np.ndarray]:
        """The log odds, or log rate, of each study's own baseline (S,), and whether that is the reference (S,)."""
        events, sizes = (total[np.arange(len(self.first)), self.first] for total in self.arm_totals())
        return rough_level(events, sizes, self.exposure is None)[0], self.first == 0


def read_network(
    data: Any,
    text: str,
    *,
    study: str,
    treatment: str,
    reference: str | float | bool | None,
    exposure: str | None,
    missing: Missing,
    interactions: str = "common",
    baseline_regression: bool | float = False,
) -> Network:
    """Read and check the arms of all studies, and the covariates that change their effects.

    Raises
    ------
    InputError
        Whatever is wrong with formula or data, with columns and rows as the user's table has them.
    """
    formula, response = arms_formula(text, study, treatment, exposure)
    problems: list[str] = []
    columns = [
        study, treatment, *response_columns(response), *([exposure] if exposure else []), *formula.predictor_columns
    ]  # fmt: skip
    table = take_columns(data, list(dict.fromkeys(columns)), missing, problems)
    counts = attempt(lambda: events_and_sizes(table, response, exposure), problems)
    coded = attempt(lambda: _treatments(table[treatment], reference), problems)
    check_columns(replace(formula, response=None), table, problems)
    raise_all(problems)
    assert counts is not None and coded is not None  # else there were problems
    y, sizes = counts
    of_study, (codes, labels) = grouping_factor([study], table), coded
    outcome = outcome_of_arms(response, y, sizes, exposure, len(of_study.levels))
    if reference is None:
        codes, labels = _reference_first(codes, labels, _usual_reference(table[treatment], of_study, codes, labels))
    none = Interactions(interactions, treatment, labels[1:])
    network = Network(formula, table, outcome, sizes if exposure else None, of_study, codes, labels, none)
    raise_all([*_studies(network), *_parts_apart(network)])
    return replace(network, interactions=_slopes(network, baseline_regression))


def _slopes(network: Network, over_level: bool | float) -> Interactions:
    """The covariates of the studies, and where there are slopes over them, the levels under the reference, `over_level` the risk, or rate,
    where these slopes add nothing; by default that of their mean."""
    X = covariates_of_studies(network.formula, network.table, network.study, len(network.labels))
    slopes = replace(network.interactions, covariates=X)
    if over_level is not False:
        levels, of_reference = network.rough_levels()
        known = levels[of_reference]
        middle = float(known.mean()) if over_level is True else _level(over_level, network.exposure is None)
        slopes = replace(slopes, level=middle, level_spread=float(known.std()) or 1.0)
    if X is not None and BASELINE in X.labels and slopes.level is not None:
        raise InputError(f"column {BASELINE!r} is what baseline_regression=True calls its slope; rename the column")
    if X is not None and X.to_zero is not None and slopes.kind != "common":
        raise InputError(
            f"formula: products of covariates have one slope for all treatments, interactions='common', not {slopes.kind!r}; make a column of "
            "the product"
        )
    return slopes


def _level(amount: float, of_risks: bool) -> float:
    """The link of a risk, or rate, under the reference."""
    if not 0 < amount < (1 if of_risks else np.inf):
        words = "a risk between 0 and 1" if of_risks else "a rate > 0"
        raise InputError(
            f"baseline_regression must be True, or {words} under the reference at which the effects are told, not {amount!r}"
        )
    return float(np.log(amount) - (np.log1p(-amount) if of_risks else 0.0))


def _treatments(column: Column, reference: str | float | bool | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The treatment of each row (n,) and their labels, the reference first where it is given."""
    if column.kind == "date":
        column.numbers("a treatment")
    codes, levels = column.codes_and_levels()
    if len(levels) < 2:
        raise InputError(f"treatment {column.name!r} has one value ({listing(levels)}); there is nothing to compare")
    if reference is None:
        return codes, levels
    name = level_of(reference, levels)
    if name is None:
        wanted = level_text(reference)
        raise InputError(
            f"treatment {column.name!r} has no value {wanted!r} to be the reference{did_you_mean(wanted, levels) or ';'} it has "
            f"{listing(levels)}"
        )
    return _reference_first(codes, levels, levels.index(name))


def _usual_reference(column: Column, study: GroupingFactor, codes: np.ndarray, labels: Sequence[str]) -> int:
    """The first of an order that the source declares, the one that is called as controls are, or that of most studies."""
    named = labels[0] if in_known_order(column, labels) else control_by_name(labels)
    if named is not None:
        return labels.index(named)
    arms = np.unique(np.column_stack([study.codes, codes]), axis=0)
    return int(np.argmax(np.bincount(arms[:, 1], minlength=len(labels))))


def _reference_first(codes: np.ndarray, labels: Sequence[str], reference: int) -> tuple[np.ndarray, tuple[str, ...]]:
    order = [reference, *(k for k in range(len(labels)) if k != reference)]
    return np.argsort(order)[codes], tuple(labels[k] for k in order)


def _studies(network: Network) -> list[str]:
    """Sentences about studies that compare nothing, and about a single one."""
    one = len(network.study.levels) < 2
    single = f"{network.study.name!r} has one study ({network.study.levels[0]!r}); a network meta-analysis needs at least two"
    return [single] * one + [
        f"study {network.study.levels[i]!r} has {network.labels[network.first[i]]!r} alone "
        f"({network.table.at(network.study.codes == i)}); a network meta-analysis compares the arms of a study: add the other arms or "
        "drop the study"
        for i in np.flatnonzero(network.present.sum(axis=1) == 1)
    ]


def _parts_apart(network: Network) -> list[str]:
    """A sentence about treatments that no chain of studies connects."""
    part = np.arange(len(network.labels))
    for row in network.present:
        together = np.isin(part, part[row])
        part[together] = part[row].min()
    parts = [
        [label for label, q in zip(network.labels, part, strict=True) if q == p] for p in dict.fromkeys(part.tolist())
    ]
    if len(parts) == 1:
        return []
    words = "; ".join(f"({listing(map(repr, labels), 6)})" for labels in parts)
    return [
        f"the network falls into {len(parts)} parts that no study connects: {words}; treatments of different parts cannot be compared: "
        "fit each part on its own, or add a study between them"
    ]
