"""What the priors of a model say of risks, rates, means and differences before the data.

The model is drawn from forwards, group effects anew in each draw, and these draws are asked as those of a fit are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, check_kind, listing
from glmm_zoo.estimands.fitted import read_fitted
from glmm_zoo.estimands.prior_quantities import AT_MEANS, ROWS, PriorOfOutcome, PriorQuantity, hazard_ratios
from glmm_zoo.estimands.prior_words import PriorWords
from glmm_zoo.estimands.wording import amount
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.inference.prior_draws import prior_as_fit
from glmm_zoo.inference.said import Words, words_of
from glmm_zoo.results.about import KEY, stored_about
from glmm_zoo.results.figures.picture import Picture
from glmm_zoo.results.figures.prior_predictive import prior_predictive_picture
from glmm_zoo.results.numbers import estimate_text, nominal, percent, rough
from glmm_zoo.results.storage import metadata, write_metadata

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from glmm_zoo.graph.model import Model

_EXTREME = 0.01  # a risk below it, or above one minus it, is nearly certain
_TOO_MUCH = 0.5  # of the prior on extreme risks
_TOO_MANY_ORDERS = (
    6.0  # of magnitude between the ends of the interval of a mean count; the default priors have 7 or more
)
_TOO_WIDE = 10.0  # times the range of the data that the interval of a mean may have
_LEAST_DRAWS = 100
_MEASURES = {"better": "probability of a higher score"}


@dataclass(frozen=True, repr=False, eq=False)
class PriorPredictive:
    """What priors say before the data.

    Attributes
    ----------
    table
        One row for each quantity: `outcome`, `measure` ("risk", "difference"), what it is `of` (a row at the means of the
        covariates, rows of the data, or a contrast), `category` of ordered categories; `median`, `lower`, `upper` of the prior;
        of risks the shares of the prior `below` 1 % and `above` 99 %.
    sentences
        The same in words, with what to change where the priors say nearly nothing, or are nearly certain.
    draws
        `value` (draw, quantity), with the columns that say what a quantity is as coordinates.
    words
        What the picture calls the rows of the first outcome, and each contrast, by its name in the column `of`.
    """

    table: pd.DataFrame
    sentences: tuple[str, ...]
    draws: xr.Dataset
    words: Mapping[str, str]

    def __repr__(self) -> str:
        return "\n\n".join([*self.sentences, self.table.to_string(index=False, float_format="%.3g", na_rep="-")])

    @property
    def picture(self) -> Picture:
        """The prior of rows' risks, rates or means, and of what the variable changes."""
        return prior_predictive_picture(self.table, self.draws, self.sentences, self.words)

    def plot(self) -> Figure:
        """The picture as a figure of matplotlib."""
        return self.picture.figure()


def prior_predictive(
    model: Model,
    *,
    draws: int = 1000,
    seed: int = 0,
    variable: str | None = None,
    prob: float = 0.95,
    about: Words | None = None,
) -> PriorPredictive:
    """What the priors say of risks, rates, means and differences before the data.

    Parameters
    ----------
    model
        What a builder returned.
    draws
        How many draws of the prior are made.
    seed
        The same seed gives the same draws.
    variable
        The variable whose effect is told; by default the one that the words name, else the treatment, else the first one of the
        formula. Of a number with more than two values it is the effect of one standard deviation more.
    prob
        Probability inside the equal-tailed intervals.
    about
        What is said of the model in words, as in `fit`; by default what its card says.

    Raises
    ------
    InputError
        Arguments out of range, a variable that the model does not have, words about nothing in it.
    """
    _check(model, draws, seed, prob)
    said, _ = words_of(model, about)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exp of a number of a wide prior may be infinite
        tree = prior_as_fit(model, draws, seed)
        write_metadata(tree, {**metadata(tree), KEY: stored_about(said)})
        fitted = read_fitted(tree, draws)
        outcomes = fitted.outcome(None, [] if variable is None else [variable])
        words = PriorWords(said, tree, len(outcomes) > 1)
        found, told = list[PriorQuantity](), list[str]()
        for prior in (PriorOfOutcome(tree, fitted, outcome, seed) for outcome in outcomes):
            rows, contrasts = list(prior.of_rows()), list(prior.of_contrasts(variable or words.variable(prior)))
            found += [*rows, *contrasts]
            told += [*_of_rows(prior, rows, prob, words), *_of_contrasts(prior, contrasts, prob, words)]
        ratios = hazard_ratios(tree)
    found += ratios
    told += _of_hazards(ratios, prob, words)
    lead = f"What the priors say before the data, by {draws} draws: median and {nominal(prob)} interval."
    shown = {q.of: words.contrast(q) for q in found if q.of not in (AT_MEANS, ROWS)}
    first = words.amount(PriorOfOutcome(tree, fitted, outcomes[0], seed).first_setting)
    return PriorPredictive(_table(found, prob), (lead, *told), _dataset(found), {ROWS: first, **shown})


def _check(model: Model, draws: int, seed: int, prob: float) -> None:
    check_kind("prior_predictive", model, "Model")
    if not (isinstance(draws, int) and draws >= _LEAST_DRAWS):
        raise InputError(f"draws must be a whole number >= {_LEAST_DRAWS}, not {draws!r}")
    if not (isinstance(seed, int) and seed >= 0):
        raise InputError(f"seed must be a whole number >= 0, not {seed!r}")
    if not 0 < prob < 1:
        raise InputError(f"prob must be between 0 and 1, not {prob}")


_OF = ("outcome", "measure", "of", "category")


def _table(found: Sequence[PriorQuantity], prob: float) -> pd.DataFrame:
    rows = []
    for quantity in found:
        lower, median, upper = quantity.interval(prob)
        row = {name: getattr(quantity, name) for name in _OF} | {"median": median, "lower": lower, "upper": upper}
        is_risk = quantity.scale == "risk"
        row["below"] = np.mean(quantity.draws < _EXTREME) if is_risk else np.nan
        row["above"] = np.mean(quantity.draws > 1 - _EXTREME) if is_risk else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def _dataset(found: Sequence[PriorQuantity]) -> xr.Dataset:
    coords = {name: ("quantity", np.array([getattr(quantity, name) for quantity in found])) for name in _OF}
    values = np.stack([quantity.draws for quantity in found], axis=1)
    return xr.Dataset({"value": (("draw", "quantity"), values)}, coords)


# ------------------------------------------------------------------------------------------------------------------- words


def _text(quantity: PriorQuantity, prob: float) -> str:
    lower, median, upper = quantity.interval(prob)
    if quantity.scale in ("risk", "points"):
        return estimate_text(median, lower, upper, quantity.scale)
    return f"{rough(median)} ({rough(lower)} to {rough(upper)})"


def _of_rows(
    prior: PriorOfOutcome, quantities: Sequence[PriorQuantity], prob: float, words: PriorWords
) -> Iterator[str]:
    """Where the prior of each quantity of rows lies, and what to change where that is too wide."""
    for scale in prior.scales:
        setting = prior.setting(scale)
        what = words.amount(setting)
        own = [q for q in quantities if q.measure == amount(setting)]
        at_means, rows = ([q for q in own if q.of == of] for of in (AT_MEANS, ROWS))
        if prior.of_categories:
            yield f"The {what} over the rows of the data: {'; '.join(f'{words.category(prior.outcome.name, q.category)} {_text(q, prob)}' for q in rows)}."
        else:
            groups = words.new_groups(prior)
            first = f"{_text(at_means[0], prob)} for a row at the means of the covariates{groups}, " if at_means else ""
            yield f"The {what} is {first}{_text(rows[0], prob)} over the rows of the data."
        said, fault = _width(prior, rows, prob)
        yield f"The {what}: {said}{f', {fault}; {_what_to_change(prior)}' if fault else ''}."


def _width(prior: PriorOfOutcome, rows: Sequence[PriorQuantity], prob: float) -> tuple[str, str]:
    """How wide the prior of rows is, and what is wrong with that, "" for nothing."""
    if rows[0].scale == "risk":
        values = np.stack([q.draws for q in rows])
        certain = values.max(axis=0) > 1 - _EXTREME
        share = float(np.mean(certain if prior.of_categories else certain | (values[0] < _EXTREME)))
        where = "above 99 % for one category" if prior.of_categories else "below 1 % or above 99 %"
        fault = "which calls nearly everything certain before the data" if share >= _TOO_MUCH else ""
        return f"{percent(share)} of the prior lies {where}", fault
    lower, _, upper = rows[0].interval(prob)
    lies = f"{nominal(prob)} of the prior lies between {rough(lower)} and {rough(upper)}"
    if "log" in prior.outcome.family.links:
        orders = np.log10(upper) - np.log10(lower)
        fault = (
            f"wider than {'counts' if prior.outcome.family.counted else 'means'} that could be believed"
            if orders > _TOO_MANY_ORDERS
            else ""
        )
        return f"{lies}, {orders:.0f} orders of magnitude apart", fault
    data = prior.tree["observed_data"].dataset[prior.outcome.name].values
    low, high = float(data.min()), float(data.max())
    fault = f"more than {_TOO_WIDE:g} times as wide" if upper - lower > _TOO_WIDE * (high - low) else ""
    return f"{lies}, the data between {rough(low)} and {rough(high)}", fault


def _what_to_change(prior: PriorOfOutcome) -> str:
    """The priors that most of the spread of the rows comes from."""
    spreads = prior.spreads()
    priors = _priors_of(prior, max(spreads, key=lambda kind: spreads[kind]))
    return f"most of it comes from {listing(priors, 4)}; give it a narrower prior"


def _priors_of(prior: PriorOfOutcome, kind: str) -> list[str]:
    """The priors of the intercept, of coefficients or of group effects, each with its text."""
    found, leads = [], [prefixed(p, "") for p in prior.outcome.prefixes]
    for key, text in prior.fitted.spec["priors"].items():
        own = key.removeprefix(next((lead for lead in leads if key.startswith(lead)), ""))
        is_of = {
            "groups": own.startswith("sd_") or own == "tau",
            "intercept": own in ("Intercept", "cutpoints", "study_Intercept"),
            "coefficients": own in ("beta", "effect") or (own.startswith("s_") and not own.endswith("_weights")),
        }
        if is_of[kind]:
            texts = text.values() if isinstance(text, Mapping) else [text]
            found.append(f"{key} ({listing(dict.fromkeys(texts), 2)})")
    return found


def _of_contrasts(
    prior: PriorOfOutcome, quantities: Sequence[PriorQuantity], prob: float, words: PriorWords
) -> Iterator[str]:
    """Of the first contrast; differences on a log link have no bounds and stand in the table only."""
    told = [q for q in quantities if q.of == quantities[0].of]
    if "log" in prior.outcome.family.links:
        told = [q for q in told if q.measure == "ratio"]
    if told:
        measures = "; ".join(f"{_MEASURES.get(q.measure, q.measure)} {_text(q, prob)}" for q in told)
        compared = words.contrast(told[0]).replace(" vs ", " against ")
        yield f"{words.named(prior.outcome.name)}, {compared}: {measures}."


def _of_hazards(ratios: Sequence[PriorQuantity], prob: float, words: PriorWords) -> Iterator[str]:
    if ratios:
        told = "; ".join(f"{words.hazard_ratio(q.of)} {_text(q, prob)}" for q in ratios)
        yield f"Hazard ratios of {words.about.event or 'the event'}, of a marker for one standard deviation more: {told}."
