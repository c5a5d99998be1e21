"""Estimates of the levels of a grouping factor, on the scale of people where that is simple.

logit, probit, cloglog link of a risk   risk            g^-1(level + u)    level: the predictor at the covariates' means
identity link                           mean            level + u
log link; ordered categories; trials    ratio           exp(u)             against the median level
slope                                   slope, ratio    beta + u, or its exp
only moments of u were kept             difference, ratio to the median level, from a normal distribution
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from glmm_zoo.families.links import LINKS
from glmm_zoo.families.registry import family_described
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.results.about import About
from glmm_zoo.results.curves import level_and_inverse_link
from glmm_zoo.results.figures.effects import LOGARITHMS, coefficient_words, predictor_words
from glmm_zoo.results.figures.estimated import response_words
from glmm_zoo.results.figures.group_names import FactorRows, plural_of_levels, rows_of_factor
from glmm_zoo.results.figures.picture import BANDS
from glmm_zoo.results.figures.raw_data import raw_data
from glmm_zoo.results.numbers import Scale
from glmm_zoo.results.parameter_statistics import group_effect_moments
from glmm_zoo.results.storage import against_reference, metadata, outcome_formulas, outcome_specs, sd_at_means
from glmm_zoo.results.structures import marginal_ratio

SINGLY, EACH_END = 40, 10  # levels that are drawn each, and of more the lowest and the highest
NORMAL = np.array([NormalDist().inv_cdf(p) for p in BANDS])
LONGEST_HEAD = 18  # letters above the counts of a caterpillar
MOST_NUMBERS = 2_000_000  # of the draws that levels are sorted by
_SHARES = (np.arange(40) + 0.5) / 40
SPREAD = np.array([NormalDist().inv_cdf(p) for p in _SHARES])  # of standard normal effects


@dataclass(frozen=True)
class GroupEstimates:
    """One effect of a factor at those levels that are drawn, from the highest estimate to the lowest.

    Attributes
    ----------
    quantiles, population
        Quantiles at `BANDS` of each level (5, n), and of the population of levels (5,).
    between
        Estimates of the levels that are not drawn.
    raw, counts
        Raw proportions or means (n,), None where they have not this scale, and events of trials as text.
    strata
        The column in whose levels the sd of the effect differs, in words; "" where it is one.
    scale, measure, short
        Of the numbers; what they are, with their unit; the same in one or two words.
    """

    labels: list[str]
    quantiles: np.ndarray
    population: np.ndarray
    between: np.ndarray
    raw: np.ndarray | None
    counts: list[str]
    counts_head: str
    scale: Scale
    measure: str
    short: str
    holds_at: str
    word: str
    plural: str
    total: int
    approximate: bool
    drawn_to: str = "the middle"
    strata: str = ""

    @property
    def raw_word(self) -> str:
        """What the raw value of a level is."""
        return "proportion" if self.scale == "risk" else "mean"


@dataclass(frozen=True)
class _Effect:
    """One effect of a factor: its predictor, what varies ("Intercept" or a column), and what of the fit it belongs to."""

    posterior: xr.Dataset
    spec: Mapping[str, Any]
    prefix: str
    name: str

    @classmethod
    def of(cls, posterior: xr.Dataset, spec: Mapping[str, Any], group: Mapping[str, Any], label: str) -> _Effect:
        predictors, (first, _, rest) = group["predictors"], label.partition(":")
        if rest and first in predictors:
            return cls(posterior, spec, first, rest)
        return cls(posterior, spec, predictors[0] if len(predictors) == 1 else "", label)

    @property
    def outcome(self) -> Mapping[str, Any] | None:
        """The part of the spec on the outcome whose mean this predictor is; None of another one, such as that of extra zeros."""
        return outcome_specs(self.spec).get(self.prefix)

    @property
    def response(self) -> str:
        """The name of the response that the predictor is of."""
        of = self.whole_outcome
        return self._owner or of.get("outcome") or of["response"].split(":")[0]

    @property
    def response_text(self) -> str:
        """The response as the data have it; names of variables are without slashes."""
        formula = outcome_formulas(self.spec)[list(outcome_specs(self.spec)).index(self._owner)]
        response = parse_formula(formula).response
        if response is None:
            return self.response
        return response.value.columns[0] if response.value.kind == "column" else response.value.text

    @property
    def whole_outcome(self) -> Mapping[str, Any]:
        """The part of the spec on the outcome that the predictor is a part of."""
        return outcome_specs(self.spec)[self._owner]

    @property
    def _owner(self) -> str:
        """The name of that outcome, "" of an only one."""
        return next((n for n in outcome_specs(self.spec) if n and f"{self.prefix}_".startswith(f"{n}_")), "")

    @property
    def link(self) -> str:
        """The link of the predictor."""
        return self.spec["links"][self.prefix] if self.outcome is None else self.outcome["link"]

    @property
    def ratio(self) -> str | None:
        """What exp of the effect is called; None where it has no name."""
        if self.outcome is None and self.link == "log":
            part = self.prefix.rpartition("_")[2]
            return f"ratio of {LOGARITHMS[part]}s" if part in LOGARITHMS else "ratio"
        falls = self.link == "cloglog" and prefixed(self.prefix, "cutpoints") in self.posterior
        ratio = LINKS[self.link].ratio if self.outcome is None else family_described(self.outcome).ratio(self.link)
        return None if falls or ratio is None else ratio.replace("_", " ")

    def coefficient(self) -> np.ndarray | None:
        """Draws (draws,) of the mean slope; None where the formula has none."""
        dim = prefixed(self.prefix, "coef")
        if dim not in self.posterior or self.name not in self.posterior[dim]:
            return None
        beta = self.posterior[prefixed(self.prefix, "beta")].sel({dim: self.name})
        return beta.transpose("chain", "draw").values.ravel()


@dataclass(frozen=True)
class _Scale:
    """From effects (draws, levels), with draws (draws,), or one number, of what is added to them, to values on a scale; in words."""

    scale: Scale
    added: np.ndarray
    inverse: Callable[[np.ndarray], np.ndarray]
    measure: str
    short: str
    absolute: bool = False  # of which raw values can stand beside it

    def values(self, u: np.ndarray, added: np.ndarray | None = None) -> np.ndarray:
        """The values of effects u (draws, levels)."""
        added = self.added if added is None else added
        with np.errstate(over="ignore"):
            return self.inverse(u + added[:, None])


def group_estimates(tree: xr.DataTree, factor: str, label: str, about: About) -> GroupEstimates:
    """One effect of a factor; `factor` is its key in the spec of the fit, `label` that of the effect."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    group = spec["groups"][factor]
    u, dim, kept = _effects(tree, group, list(group["effects"]).index(label))
    effect, rows = _Effect.of(posterior, spec, group, label), rows_of_factor(tree, dim)
    if "structure" in group:  # whose table has levels without rows too
        place = {str(level): i for i, level in enumerate(tree["posterior"].dataset[dim].values)}
        u = u[:, [place[level] for level in rows.levels]]
    how = _scale(tree, effect, about, kept)
    words = [about.name(c) for c in rows.columns]
    estimates = _thinned(u).mean(axis=0) if kept else u[0]
    order = np.argsort(-estimates, kind="stable")
    drawn = order if len(order) <= SINGLY else np.concatenate([order[:EACH_END], order[-EACH_END:]])
    quantiles = (
        np.quantile(how.values(u[:, drawn]), BANDS, axis=0)
        if kept
        else how.values(u[0, drawn] + u[1, drawn] * NORMAL[:, None])
    )
    sorted_by_median = np.argsort(-quantiles[2], kind="stable")
    drawn, quantiles = drawn[sorted_by_median], quantiles[:, sorted_by_median]
    raw, counts = (
        _raw(tree, effect, rows, drawn) if how.absolute and len(words) == 1 and "members" not in group else (None, [])
    )
    rest = np.setdiff1d(order, drawn)
    return GroupEstimates(
        labels=rows.labels(about, drawn),
        quantiles=quantiles,
        population=_population(posterior, group, label, how),
        between=how.values(estimates[None, rest], np.median(how.added, keepdims=True))[0],
        raw=raw,
        counts=counts,
        counts_head=_counts_head(about),
        scale=how.scale,
        measure=how.measure,
        short=how.short,
        holds_at=_holds_at(how, effect, spec, raw is not None),
        word=words[-1],
        plural=plural_of_levels(tree, dim, about),
        total=len(order),
        approximate=not kept,
        drawn_to=f"those that table {group['structure']['table']} joins them with"
        if "structure" in group
        else "the middle",
        strata=about.name(group["by"]["column"]) if "by" in group else "",
    )


def _population(posterior: xr.Dataset, group: Mapping[str, Any], label: str, how: _Scale) -> np.ndarray:
    """Quantiles at `BANDS` (5,) of the population of levels, each stratum in it as often as in the data."""
    sd = posterior[sd_at_means(group)].sel({group["effect_dim"]: label}) * marginal_ratio(posterior, group)
    sd = sd.transpose("chain", "draw", ...).values
    sd = sd.reshape(sd.shape[0] * sd.shape[1], -1)  # (draws, strata)
    spread = SPREAD
    if "df" in group:
        df = posterior[group["df"]].transpose("chain", "draw").values.reshape(-1, 1)
        spread = stdtrit(df, _SHARES)
    values = np.stack([how.values(of_stratum[:, None] * spread) for of_stratum in sd.T])
    if len(values) == 1:
        return np.quantile(values, BANDS)
    weights = np.array(group["by"]["sizes"], float)[:, None, None]
    return np.quantile(values, BANDS, weights=np.broadcast_to(weights, values.shape), method="inverted_cdf")


def _effects(tree: xr.DataTree, group: Mapping[str, Any], place: int) -> tuple[np.ndarray, str, bool]:
    """Draws (draws, levels) of an effect, or its means and sds (2, levels); the name of the factor; whether these are draws."""
    moments = group_effect_moments(tree)
    at_means = group.get("at_means", {}).get("u")
    name = at_means if at_means in tree["posterior"] or at_means in moments else group["u"]
    kept = name in tree["posterior"]
    array = tree["posterior"][name] if kept else moments[name].sel(statistic=["mean", "sd"])
    first = ("chain", "draw") if kept else ("statistic",)
    values = array.transpose(*first, ...).values[..., place]
    return values.reshape(-1, values.shape[-1]), str(array.dims[-2]), kept


def _thinned(u: np.ndarray) -> np.ndarray:
    """At most `MOST_NUMBERS` of the draws, for what only sorts."""
    return u[:: -(-u.size // MOST_NUMBERS)]


def _scale(tree: xr.DataTree, effect: _Effect, about: About, kept: bool) -> _Scale:
    """How the effect is told."""
    intercept = effect.name == "Intercept"
    level, inverse = level_and_inverse_link(tree, effect.prefix)
    of = about.outcome_of(effect.response)
    name = response_words(of.outcome, effect.response_text)
    if intercept and kept and np.isfinite(level).all() and "effect" not in effect.posterior:
        family = None if effect.outcome is None else family_described(effect.outcome)
        if family is not None and family.responses == "measured" and effect.link != "log":
            unit = f", {of.unit}" if of.unit else ""
            words, comparable = f"{family.centre} of {name}{unit}", family.centre == "mean" and not family.truncated
            return _Scale("number", level, inverse, words, family.centre, absolute=comparable)
        if effect.link in ("logit", "probit", "cloglog"):
            return _Scale(
                "risk",
                level,
                inverse,
                _risk_words(effect, of.an_outcome or name, about),
                "risk",
                absolute=effect.outcome is not None,
            )
        if effect.link == "identity":
            unit = f", {of.unit}" if of.unit else ""
            return _Scale("number", level, inverse, f"mean {name}{unit}", "mean", absolute=True)
    slope = effect.coefficient() if kept and not intercept else None
    against = "" if slope is not None else " against the median"
    per = "" if intercept else _per(about, effect.name)
    added = np.zeros(1) if slope is None else slope
    if effect.ratio is None or effect.link == "identity":
        unit = of.unit or name
        words = f"{unit}{per}{against}" if effect.link == "identity" else f"difference of the predictor{per}{against}"
        return _Scale("number", added, lambda eta: eta, words, "difference" if intercept else "slope")
    return _Scale("ratio", added, np.exp, f"{effect.ratio}{per}{against}", effect.ratio)


def _per(about: About, name: str) -> str:
    """What a slope is for: " per day", " per unit of age", " of treatment b"."""
    if "[" in name:
        return f" of {coefficient_words(about, name)}"
    return f" per {_one(about, about.unit_of(name)) or f'unit of {about.name(name)}'}"


def _one(about: About, unit: str) -> str:
    """A unit of one: "year" of "years"."""
    return unit[:-1] if len(unit) > 3 and about.plural(unit[:-1]) == unit else unit


def _risk_words(effect: _Effect, name: str, about: About) -> str:
    if effect.outcome is not None:
        return f"risk of {name}"
    words = predictor_words(effect.spec, effect.prefix, about)
    return f"probability of {words.replace(' against ', ' rather than ', 1) if against_reference(effect.spec, effect.prefix) else words}"


def _holds_at(how: _Scale, effect: _Effect, spec: Mapping[str, Any], raw: bool) -> str:
    """At which values of all else absolute estimates hold."""
    if not how.absolute:
        return ""
    where = ["at the means of the formula’s columns"] if prefixed(effect.prefix, "beta") in effect.posterior else []
    where += ["in the middle of all other groups"] if len(spec["groups"]) > 1 else []
    beside = "; raw values are of the rows as they are" if raw else ""
    return f"Estimates hold {' and '.join(where)}{beside}." if where else ""


def _raw(
    tree: xr.DataTree, effect: _Effect, rows: FactorRows, levels: np.ndarray
) -> tuple[np.ndarray | None, list[str]]:
    """Proportions or means (n,) of the responses of these levels, and "events/trials"; None where rows were summed before the fit."""
    raw = raw_data(tree, effect.prefix)
    if effect.spec["options"].get("collapse") or raw.censored:
        return None, []
    codes = rows.codes_at(raw.rows)
    sums, sizes = (np.bincount(codes, values, len(rows.first))[levels] for values in (raw.values, raw.sizes))
    counts = [f"{a:.0f}/{n:.0f}" for a, n in zip(sums, sizes, strict=True)] if raw.shares else []
    return np.divide(sums, sizes, out=np.full(len(sums), np.nan), where=sizes > 0), counts


def _counts_head(about: About) -> str:
    """ "cases/animals", and short words where these are long."""
    words = f"{about.plural(about.outcome or 'event')}/{about.plural(about.individual) if about.individual else 'all'}"
    return words if len(words) <= LONGEST_HEAD else "events/all"
