"""Questions to a fit in the names of its summary: `odds_ratio[trt] > 1`, `beta[a] = beta[b]` within a region, `sd_a / sd_b`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, attempt, raise_all
from glmm_zoo.results.diagnostics import incomplete
from glmm_zoo.results.estimates import RATIOS, Estimates, Region, summarised
from glmm_zoo.results.hypothesis_text import RELATIONS, Side, hypothesis_error, parse_hypothesis
from glmm_zoo.results.imputations import imputed_tables
from glmm_zoo.results.numbers import Scale, estimate_text, nominal, probability, whole, written
from glmm_zoo.results.parameter_statistics import element_labels, elements, moments_table
from glmm_zoo.results.storage import EFFECT_DRAWS, metadata, posterior_with_effects, reported_variables
from glmm_zoo.results.summary import derived_quantities, repeated_correlations
from glmm_zoo.results.whole_fit import of_a_whole_fit


@of_a_whole_fit
def hypotheses(
    tree: xr.DataTree, hypotheses: Sequence[str] | str, *, rope: Region | None = None, prob: float = 0.95
) -> Estimates:
    """How probable hypotheses about parameters are, each with an estimate of what it is about.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    hypotheses
        Texts over the names of `zoo.summary(tree, group_effects=True)` with numbers, + - * / ** ( ), exp, log, sqrt, abs, and one
        comparison: `odds_ratio[trt] > 1`, `beta[a] > beta[b]`, `-1 < beta[a] < 1`, `beta[a] = beta[b]`. A text without comparison
        is only estimated. `beta[trt]` is `beta[trt[drug]]` where `trt` has no other level.
    rope
        What counts as equal: a region (low, high) of a - b for "a = b", of the ratio for "a / b = 1" and "odds_ratio[trt] = 1"; r is
        (-r, r); by measure {"difference": (-0.1, 0.1), "ratio": (0.9, 1.1)}.
    prob
        Probability inside the equal-tailed intervals.

    Returns
    -------
    Estimates
        The table has `hypothesis`, `measure` and the statistics of a - b for "a > b", of a for "a > 1"; then `p`, the probability
        that the hypothesis holds, and `posterior_odds`, p / (1 - p), infinite where it holds in all draws; NaN without comparison.

    Raises
    ------
    InputError
        A text that is no hypothesis about this fit, an equality without region, group effects of which the fit kept no draws.
    """
    if not 0 < prob < 1:
        raise InputError(f"the probability of the interval must be between 0 and 1, not {prob}")
    gap = incomplete(tree)
    if gap is not None:
        raise InputError(f"no hypotheses: {gap}; fit again")
    texts = [hypotheses] if isinstance(hypotheses, str) else list(hypotheses)
    if not texts:
        raise InputError("no hypothesis was given; write for example 'beta[a] > beta[b]'")
    problems: list[str] = []
    effects = map(str, tree[EFFECT_DRAWS].data_vars) if EFFECT_DRAWS in tree.children else ()
    if any(f"{name}[" in text for name in effects for text in texts):
        tree = tree.assign(posterior=xr.DataTree(posterior_with_effects(tree)))
    draws, ratios = _quantities(tree)
    asked = [q for text in texts if (q := attempt(partial(_asked, text, draws, ratios), problems)) is not None]
    if rope is None:
        problems += [_no_region(q, rope) for q in asked if q.equality]
    raise_all(problems)
    of = pd.DataFrame({"hypothesis": [q.text for q in asked], "measure": [q.measure for q in asked]})
    found = summarised(
        of,
        np.stack([q.draws for q in asked], axis=2),
        "",
        prob=prob,
        rope=rope,
        imputations=len(imputed_tables(tree)) or 1,
    )
    p = np.array([np.nan if q.holds is None else q.holds.mean() for q in asked])
    if rope is not None:
        p = np.where([q.equality for q in asked], found.table["p_rope"], p)
        raise_all([_no_region(q, rope) for q, share in zip(asked, p, strict=True) if q.equality and np.isnan(share)])
    with np.errstate(divide="ignore"):
        table = found.table.assign(p=p, posterior_odds=p / (1 - p))
    rows = zip(asked, (row for _, row in table.iterrows()), found.scales, strict=True)
    told = [_sentence(q, row, scale, rope) for q, row, scale in rows]
    closing = f"Medians of {asked[0].draws.size} draws, {nominal(prob)} intervals."
    return replace(found, table=table, sentence=". ".join([*told, closing]))


def _quantities(tree: xr.DataTree) -> tuple[dict[str, np.ndarray | None], set[str]]:
    """Draws (chain, draw) of what the summary has, by name, None of group effects with moments only; the names of the ratios."""
    posterior = tree["posterior"].dataset
    draws: dict[str, np.ndarray | None] = dict.fromkeys(map(str, moments_table(tree).index))
    for name in reported_variables(posterior, metadata(tree)["spec"]):
        values = elements(posterior[name]).astype(float, copy=False)
        draws.update((label, values[:, :, i]) for i, label in enumerate(element_labels(posterior[name])))
    for label in repeated_correlations(posterior):
        draws.pop(label, None)
    derived = derived_quantities(tree)
    return {**draws, **derived}, {name for name in derived if "_ratio" in name.split("[")[0]}


@dataclass(frozen=True)
class _Asked:
    """A hypothesis, what is estimated for it, and whether it holds in each draw, None where that is not asked of draws."""

    text: str
    said: str
    quantity: str
    measure: str
    draws: np.ndarray
    holds: np.ndarray | None
    equality: bool

    @property
    def null(self) -> int:
        return int(self.measure in RATIOS)


def _asked(text: str, draws: Mapping[str, np.ndarray | None], ratios: set[str]) -> _Asked:
    """A hypothesis with the draws of what it is about: a - b of two sides with parameters, otherwise the one that has any."""
    hypothesis = parse_hypothesis(text, draws)
    values, measures = zip(*(_value(text, side, draws, ratios) for side in hypothesis.sides), strict=True)
    with_parameters = [i for i, value in enumerate(values) if np.ndim(value)]
    if not with_parameters:
        raise hypothesis_error(text, "it has no parameter; zoo.summary(tree, group_effects=True) has the names")
    if len(values) == 3 and with_parameters != [1]:
        raise hypothesis_error(text, "a chain has numbers at both ends, such as -1 < a < 1; ask of each two parameters")
    i = with_parameters[0]
    quantity, measure, value = hypothesis.sides[i].text, measures[i], values[i]
    equality = "=" in hypothesis.relations
    if len(with_parameters) == 2 or (equality and values[1 - i] != (measure in RATIOS)):
        left, right = hypothesis.sides
        quantity = f"{left.text} - {right.text if len(right.tokens) == 1 else f'({right.text})'}"
        measure, value = "difference", values[0] - values[1]
    holds = None
    if hypothesis.relations and not equality:
        pairs = zip(hypothesis.relations, values, values[1:], strict=False)
        holds = np.all([RELATIONS[relation](left, right) for relation, left, right in pairs], axis=0)
    return _Asked(hypothesis.text, hypothesis.said, quantity, measure, value, holds, equality)


def _value(
    text: str, side: Side, draws: Mapping[str, np.ndarray | None], ratios: set[str]
) -> tuple[np.ndarray | float, str]:
    """The draws of one side, or its number; its measure."""
    names = [token.text for token in side.tokens if token.kind == "name"]
    for name in names:
        if draws[name] is None:
            raise hypothesis_error(
                text, f"of {name!r} the fit kept moments only and no draws; fit again with keep_group_effects='draws'"
            )
    value, measure = side.computed(draws)
    infinite = ~np.isfinite(value)
    if infinite.any():
        where = f" in {infinite.sum()} of {infinite.size} draws" if infinite.ndim else ""
        raise hypothesis_error(
            side.text,
            f"not a finite number{where}, such as after a division by 0, the logarithm of a negative number or exp of a "
            "large one",
        )
    return value, "ratio" if len(side.tokens) == 1 and side.tokens[0].text in ratios else measure


def _region(asked: _Asked, rope: Region | None) -> Any:
    return rope.get(asked.measure) if isinstance(rope, Mapping) else rope


def _no_region(asked: _Asked, rope: Region | None) -> str:
    """What is told of an equality without a region that holds the value of no effect."""
    example = ("(0.9, 1.1)", "0.9,1.1") if asked.null else ("(-0.1, 0.1)", "-0.1,0.1")
    given = "" if rope is None else f", not {rope!r}"
    return str(
        hypothesis_error(
            asked.text,
            "an equality is never exactly true of a continuous quantity; give what counts as equal, a region around "
            f"{asked.null} of the {asked.measure} {asked.quantity}: rope={example[0]}, on the command line "
            f"--rope {example[1]}{given}",
        )
    )


def _sentence(asked: _Asked, row: pd.Series, scale: Scale, rope: Region | None) -> str:
    """What was found, in words."""
    estimate = f"{asked.quantity} is {estimate_text(row['median'], row['lower'], row['upper'], scale, row['mcse'])}"
    if asked.holds is None and not asked.equality:
        return f"{estimate}, above {asked.null} with probability {probability(row['p_positive'])}"
    within = f" within {_region(asked, rope)}" if asked.equality else ""
    odds = _odds(row["posterior_odds"], asked.draws.size)
    return f"{asked.said}{within} has probability {probability(row['p'])} and posterior odds {odds}; {estimate}"


def _odds(odds: float, draws: int) -> str:
    if odds == 0 or np.isinf(odds):
        return f"{f'more than {whole(draws)}:1' if odds else f'less than 1:{whole(draws)}'}, as many draws as there are"
    larger = max(odds, 1 / odds)
    text = written(larger, 1 if larger < 10 else 0)
    return f"{text}:1" if odds >= 1 else f"1:{text}"
