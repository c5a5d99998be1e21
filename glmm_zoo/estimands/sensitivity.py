"""How much an answer depends on each prior, from one fit: the prior, or the likelihood, is raised to a power near 1 by importance weights.

Source: Kallioinen, Paananen, Bürkner & Vehtari (2024), Statistics and Computing 34:57; the diagnostic is ArviZ's `psense`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, did_you_mean, listing, plural
from glmm_zoo.estimands.leave_one_out import LARGEST_K
from glmm_zoo.estimands.posterior import places_of
from glmm_zoo.results.estimates import NUMBER_NEEDED, Estimates
from glmm_zoo.results.figures.picture import Picture
from glmm_zoo.results.figures.sensitivity import sensitivity_picture
from glmm_zoo.results.imputations import refuse_imputations
from glmm_zoo.results.numbers import alone, interval, written
from glmm_zoo.results.parameter_statistics import at_one_value, element_labels, elements
from glmm_zoo.results.report.estimates_text import label
from glmm_zoo.results.storage import metadata, random_effect_variables, reported_variables
from glmm_zoo.results.summary import repeated_correlations
from glmm_zoo.results.whole_fit import of_a_whole_fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THRESHOLD = 0.05  # Kallioinen et al. (2024)
STRENGTHS = {"half": 0.5, "twice": 2.0}  # how strong a prior is made
ALL = "all priors"
CONFLICT, INFORMS, NO_SIGN = "prior-data conflict", "the prior informs it: weak likelihood", "no sign"
_MOST_ELEMENTS = 10  # of a vector whose priors are each scaled alone; a longer one is scaled as one
_LEAST_DRAWS = 100
_MOST_SHOWN, _MOST_TOLD = 25, 8


@dataclass(frozen=True, repr=False, eq=False)
class Sensitivity:
    """How targets, which are parameters or estimates, depend on the priors of a fit.

    Attributes
    ----------
    table
        One row for each target and prior, and one for all priors together: `target`, `prior`, its `text`; the sensitivities
        `to_prior` and `to_likelihood`; the `diagnosis`, as ArviZ's `psense_summary` has it at 0.05; `median`, `lower`, `upper`, `sd`; the
        same with the prior half and twice as strong (`half_median`, ...) with the Pareto k of their weights (`half_k`, `twice_k`),
        above 0.7 not to be trusted. Of fits again with the scales of all priors halved and doubled, `halved_median`, ..., and
        `halved_shift`: how far the median moved, in posterior standard deviations.
    sentences
        What was done, then what was found, in words.
    """

    table: pd.DataFrame
    sentences: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n\n".join([*self.sentences, self.shown().to_string(index=False)])

    @property
    def picture(self) -> Picture:
        """How each target moves if all priors are made half and twice as strong."""
        return sensitivity_picture(self.table, all_priors=ALL)

    def plot(self) -> Figure:
        """The picture as a figure of matplotlib."""
        return self.picture.figure()

    def shown(self, most: int = _MOST_SHOWN) -> pd.DataFrame:
        """The rows of all priors together, and those of single priors with a sign, with few digits."""
        rows = self.table[(self.table["prior"] == ALL) | (self.table["diagnosis"] != NO_SIGN)].head(most)
        columns = ["target", "prior", "to_prior", "to_likelihood", "diagnosis"]
        numbers = {c: rows[c].map(alone) for c in ("to_prior", "to_likelihood")}
        versions = {"as it is": "", "half as strong": "half_", "twice as strong": "twice_"}
        versions |= {"scales halved": "halved_", "scales doubled": "doubled_"} if "halved_median" in rows else {}
        moved = {name: [_interval(row, lead) for _, row in rows.iterrows()] for name, lead in versions.items()}
        return rows[columns].assign(**numbers, **moved)


@dataclass(frozen=True)
class _Prior:
    """A prior that is scaled: its name, its text, and its log density (chain, draw)."""

    name: str
    text: str
    log_density: xr.DataArray


@of_a_whole_fit
def power_scaled(
    tree: xr.DataTree, targets: Sequence[str] | None, estimates: Estimates | None, prob: float
) -> Sensitivity:
    """The sensitivity of parameters and estimates to each prior, to all of them, and to the likelihood.

    Raises
    ------
    InputError
        A fit without log prior or log-likelihood, targets that are no parameters, estimates of another fit.
    """
    if not 0 < prob < 1:
        raise InputError(f"the probability of the interval must be between 0 and 1, not {prob}")
    refuse_imputations(tree, "sensitivity")
    missing = [g for g in ("log_prior", "log_likelihood") if g not in tree.children]
    if missing:
        raise InputError(f"this fit has no group {listing(missing)}, which sensitivity needs; fit again")
    priors, likelihood = _priors(tree), _log_likelihood(tree)
    asked = targets_of(tree, targets, estimates)
    kept = tree["posterior"].sizes["draw"]
    found = [_table(draws, places_of(used, kept), priors, likelihood, prob) for used, draws in asked.items()]
    table = pd.concat(found, ignore_index=True)
    return Sensitivity(table, _sentences(table, priors))


# ------------------------------------------------------------------------------------------------------------ what is scaled


def _priors(tree: xr.DataTree) -> list[_Prior]:
    """The priors of the metadata, those of the elements of short vectors each; what depends on other parameters has none."""
    stored, spec = tree["log_prior"].dataset, metadata(tree)["spec"]
    parts: dict[str, list[xr.DataArray]] = {}
    for name, array in stored.data_vars.items():
        key = _key_of(str(name), spec["priors"])
        if key is not None:
            parts.setdefault(key, []).append(array)
    priors = []
    for key, text in spec["priors"].items():
        arrays = parts.get(key, [])
        size = sum(int(np.prod(a.shape[2:])) for a in arrays)
        texts = list(text.values()) if isinstance(text, dict) else [text] * size
        if arrays and ("corr_" in key or size > _MOST_ELEMENTS or size != len(texts)):
            priors.append(_Prior(key, listing(dict.fromkeys(texts), 3), _total(arrays)))
            continue
        of_label = text if isinstance(text, dict) else {}
        place = 0
        for array in arrays:
            for i, name in enumerate(element_labels(array.rename(key))):
                own = xr.DataArray(elements(array)[:, :, i], dims=("chain", "draw"))
                priors.append(_Prior(name, of_label.get(name, texts[place]), own))
                place += 1
    return priors


def _key_of(variable: str, keys: Mapping[str, Any]) -> str | None:
    """The prior that a variable of the group log_prior has: its own, or that of what it carries."""
    if variable in keys:
        return variable
    for key in sorted(keys, key=len, reverse=True):
        carriers = "|".join(map(re.escape, (key, f"{key}_at_means", re.sub("corr_", "pcorr_", key, count=1))))
        if re.fullmatch(rf"({carriers})(_[A-Z]\w*?)?(_\d+)?", variable):
            return key
    return None


def _total(arrays: Sequence[xr.DataArray]) -> xr.DataArray:
    """Everything that is not along chain and draw, summed (chain, draw)."""
    return reduce(add, (a.sum([d for d in a.dims if d not in ("chain", "draw")]) for a in arrays))


def _log_likelihood(tree: xr.DataTree) -> xr.DataArray:
    """The log-likelihood of all outcomes (chain, draw), of the draws that it is kept for."""
    terms = tree["log_likelihood"].dataset
    total = _total(list(terms.data_vars.values()))
    return total if "draw" in terms.coords else total.assign_coords(draw=np.arange(terms.sizes["draw"]))


# ------------------------------------------------------------------------------------------------------------- the targets


def targets_of(
    tree: xr.DataTree, targets: Sequence[str] | None, estimates: Estimates | None
) -> dict[int, dict[str, np.ndarray]]:
    """Draws (chain, draw) of estimates and parameters by name, for each number of draws of a chain that they have.

    Raises
    ------
    InputError
        Targets that are no parameters, estimates of another fit, none of both.
    """
    found: dict[int, dict[str, np.ndarray]] = {}
    for draws in (
        {} if estimates is None else _of_estimates(estimates, tree),
        {} if targets is not None and not len(targets) else _of_parameters(tree, targets),
    ):
        for name, values in draws.items():
            if not at_one_value(values, (0, 1)):
                found.setdefault(values.shape[1], {})[name] = values
    if not found:
        raise InputError("nothing was asked: targets is empty and there are no estimates")
    return found


def _of_parameters(tree: xr.DataTree, targets: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Draws (chain, draw) of the parameters that have priors, by the names of the summary; or of those asked for."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    effects = random_effect_variables(spec)
    names = [n for n in reported_variables(posterior, spec) if n not in effects and _key_of(n, spec["priors"])]
    values = {
        name: v
        for n in names
        for name, v in zip(element_labels(posterior[n]), np.moveaxis(elements(posterior[n]), 2, 0), strict=True)
    }
    for name in repeated_correlations(posterior):
        values.pop(name, None)
    if targets is None:
        return values
    asked: dict[str, np.ndarray] = {}
    for target in [targets] if isinstance(targets, str) else targets:
        chosen = {name: v for name, v in values.items() if target in (name, name.split("[")[0])}
        if not chosen:
            raise InputError(
                f"targets: no parameter {target!r}{did_you_mean(str(target), [*names, *values]) or ';'} parameters: {listing(values)}"
            )
        asked |= chosen
    return asked


def _of_estimates(estimates: Estimates, tree: xr.DataTree) -> dict[str, np.ndarray]:
    """Draws (chain, draw) of estimates by what they are of, without numbers needed to treat and what is infinite."""
    values, sizes = estimates.draws["value"], tree["posterior"].sizes
    if values.sizes["chain"] != sizes["chain"] or values.sizes["draw"] > sizes["draw"]:
        raise InputError(
            f"these estimates have {values.sizes['chain']} chains of {values.sizes['draw']} draws and the fit "
            f"{sizes['chain']} of {sizes['draw']}; estimate from this fit"
        )
    told = [c for c in estimates.of if c not in ("variable", "contrast", "measure", "groups")]
    told = [c for c in told if estimates.table[c].nunique(dropna=False) > 1]
    return {
        _name(row, told): values.values[:, :, i]
        for i, (_, row) in enumerate(estimates.table.iterrows())
        if row.get("measure") != NUMBER_NEEDED and np.isfinite(values.values[:, :, i]).all()
    }


def _name(row: pd.Series, told: Sequence[str]) -> str:
    """ "ratio of period 2 vs 1", "risk (period 2, herd 3)"; of hypotheses what they are about."""
    compared = [label(row[c]) for c in ("variable", "contrast") if c in row and not pd.isna(row[c])]
    rest = ", ".join(f"{c} {label(row[c])}" for c in told if not pd.isna(row[c]))
    return f"{row['measure']}{' of ' if compared else ''}{' '.join(compared)}{f' ({rest})' if rest else ''}"


# ------------------------------------------------------------------------------------------------------------- the numbers


def _table(
    targets: Mapping[str, np.ndarray],
    places: np.ndarray,
    priors: Sequence[_Prior],
    likelihood: xr.DataArray,
    prob: float,
) -> pd.DataFrame:
    """All rows of targets (chain, draw) by name, whose draws are those at `places` of the fit."""
    from arviz_stats.psense import psense

    values = np.stack(list(targets.values()), axis=2)
    both = np.isin(places, likelihood["draw"].values)
    if both.sum() * values.shape[0] < _LEAST_DRAWS:
        raise InputError(
            f"the log-likelihood is kept for {both.sum()} of the {len(places)} draws of each chain that were used, too few; estimate "
            "from more draws (draws=)"
        )
    of_draws = xr.DataArray(values, dims=("chain", "draw", "target"), coords={"draw": places}, name="value")
    log_priors = {p.name: p.log_density.drop_vars("draw", errors="ignore").isel(draw=places) for p in priors}
    log_priors = {ALL: _total(list(log_priors.values())), **log_priors}
    texts = {p.name: p.text for p in priors}
    tail = (1 - prob) / 2

    def sense(draws: xr.DataArray, log_density: xr.DataArray) -> np.ndarray:
        if at_one_value(log_density.values, (0, 1)):  # of a uniform prior
            return np.zeros(draws.sizes["target"])
        group = xr.Dataset({"x": (("chain", "draw", "term"), log_density.values[:, :, None])})
        data = {"posterior": draws.drop_vars("draw").to_dataset(), "log_prior": group}
        return np.atleast_1d(psense(xr.DataTree.from_dict(data))["value"].values)

    to_likelihood = sense(of_draws[:, both], likelihood.sel(draw=places[both]))
    as_it_is = _quantiles(values, np.ones(values.shape[:2]), tail)
    tables = []
    for name, log_density in log_priors.items():
        to_prior = sense(of_draws, log_density)
        columns: dict[str, Any] = {"target": list(targets), "prior": name, "text": texts.get(name, "")}
        columns |= {"to_prior": to_prior, "to_likelihood": to_likelihood}
        columns["diagnosis"] = [diagnosis(p, q) for p, q in zip(to_prior, to_likelihood, strict=True)]
        columns |= dict(zip(("median", "lower", "upper"), as_it_is, strict=True)) | {
            "sd": values.std(axis=(0, 1), ddof=1)
        }
        for strength, alpha in STRENGTHS.items():
            weights, k = _weights(log_density, alpha)
            moved = _quantiles(values, weights, tail)
            columns |= dict(zip((f"{strength}_{q}" for q in ("median", "lower", "upper")), moved, strict=True))
            columns[f"{strength}_k"] = k
        tables.append(pd.DataFrame(columns))
    order = np.arange(len(targets) * len(tables)).reshape(len(tables), -1).T.ravel()  # target by target
    return pd.concat(tables, ignore_index=True).iloc[order]


def diagnosis(to_prior: float, to_likelihood: float) -> str:
    """What two sensitivities say together, by the rule of ArviZ's `psense_summary`."""
    if to_prior >= THRESHOLD and to_likelihood >= THRESHOLD:
        return CONFLICT
    return INFORMS if to_prior > THRESHOLD > to_likelihood else NO_SIGN


def _weights(log_density: xr.DataArray, alpha: float) -> tuple[np.ndarray, float]:
    """Pareto smoothed weights (chain, draw) that make a prior alpha times as strong, and their Pareto k."""
    import arviz_stats  # noqa: F401  # whose accessor is used

    if at_one_value(log_density.values, (0, 1)):
        return np.ones(log_density.shape), np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large Pareto k, which the sentences tell
        log_weights = log_density.azstats.power_scale_lw(alpha=alpha, dim=["chain", "draw"])
        k = ((alpha - 1) * log_density).azstats.pareto_khat(log_weights=True)
    return np.exp(log_weights.values - log_weights.values.max()), float(k)


def _quantiles(values: np.ndarray, weights: np.ndarray, tail: float) -> np.ndarray:
    """Median and ends of the interval (3, targets) of weighted draws (chain, draw, targets)."""
    flat, w = values.reshape(-1, values.shape[2]), weights.ravel()
    return np.array([np.quantile(v, (0.5, tail, 1 - tail), weights=w, method="inverted_cdf") for v in flat.T]).T


# ------------------------------------------------------------------------------------------------------------------- words


def _sentences(table: pd.DataFrame, priors: Sequence[_Prior]) -> tuple[str, ...]:
    names = list(dict.fromkeys(table["target"]))
    found = [
        f"Power-scaling from the fit alone: {plural(len(priors), 'prior')}, each alone and all together, made weaker and stronger "
        f"({listing((p.name for p in priors), 8)}); a sensitivity of {THRESHOLD} or more counts as a sign."
    ]
    signs = table[table["diagnosis"] != NO_SIGN]
    for target in dict.fromkeys(signs["target"]):
        own = signs[signs["target"] == target]
        single = own[own["prior"] != ALL]
        found.append(_sentence((single if len(single) else own).nlargest(1, "to_prior").iloc[0]))
    without = [name for name in names if name not in set(signs["target"])]
    if without:
        found.append(f"No sign that a prior decides {_listing(without)}.")
    return tuple(found)


def _sentence(row: pd.Series) -> str:
    """What a sign means, and how far the target moves if the prior is made weaker or stronger."""
    prior = f"the prior of {row['prior']}, {row['text']}," if row["text"] else "the priors together"
    if row["diagnosis"] == CONFLICT:
        what = f"a sign of {CONFLICT}: {prior} and the data pull it in different directions"
    else:
        what = (
            f"{prior} informs it and the likelihood is weak"
            if row["text"]
            else f"{prior} inform it and the likelihood is weak"
        )
    moves = ", ".join(f"{_interval(row, f'{name}_')} if {name} as strong" for name in STRENGTHS)
    sensitivities = (
        f"sensitivity {alone(row['to_prior'])} to the prior, {alone(row['to_likelihood'])} to the likelihood"
    )
    k = max(row[f"{name}_k"] for name in STRENGTHS)
    doubt = (
        f"; Pareto k is {k:.2f}, too large for these two numbers: fit again (refit=True, --refit)"
        if k > LARGEST_K
        else ""
    )
    return f"{row['target']}: {what} ({sensitivities}); it is {_interval(row)}, {moves}{doubt}."


def _interval(row: pd.Series, lead: str = "") -> str:
    """Median and interval, whose width has three digits, one more than usual, so that small moves are seen."""
    median, lower, upper = (row[f"{lead}{q}"] for q in ("median", "lower", "upper"))
    digits = max(2 - int(np.floor(np.log10(upper - lower))), 0) if upper > lower else 2
    return f"{written(median, digits)} ({interval(lower, upper, digits)})"


def _listing(targets: Sequence[str]) -> str:
    """Names that may have commas of their own."""
    more = f"; ... ({len(targets)} in all)" if len(targets) > _MOST_TOLD else ""
    return "; ".join(targets[:_MOST_TOLD]) + more
