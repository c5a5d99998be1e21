"""Leave one row, or one level of a grouping factor, out: the expected log predictive density (elpd) of a new one, from one fit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.estimands.fitted import FittedModel, read_fitted
from glmm_zoo.estimands.group_choice import factor_called
from glmm_zoo.estimands.level_likelihood import LevelLikelihood, RowsOfLevels, level_likelihood, rows_by_level
from glmm_zoo.results.imputations import refuse_imputations
from glmm_zoo.results.numbers import written
from glmm_zoo.results.report.wording import rows_as_text
from glmm_zoo.results.storage import groups_of_outcomes, metadata
from glmm_zoo.results.whole_fit import of_a_whole_fit
from glmm_zoo.trials.arms import META_ANALYSES

DRAWS, NESTED_DRAWS = 1000, 250  # about how many are used where effects are integrated out, of one factor or of several
LARGEST_K = 0.7  # Vehtari, Simpson, Gelman, Yao & Gabry (2024), J Mach Learn Res 25(72)


@dataclass(frozen=True, repr=False)
class Loo:
    """The expected log predictive density of what a fit did not see.

    Attributes
    ----------
    elpd, se, p
        Its sum over rows or levels, the standard error of the sum, and the effective number of parameters.
    table
        One row for each row, or level, that is left out: `elpd` and `pareto_k`, of which more than 0.7 says that elpd is not to be
        trusted, NaN for what was fitted again; `integral_k` where an integral over effects is by importance sampling.
    sentence
        What was left out and how, in words.
    arviz
        ArviZ's own object, which its `compare` takes.
    """

    elpd: float
    se: float
    p: float
    table: pd.DataFrame
    sentence: str
    arviz: Any = field(repr=False, compare=False)

    def __repr__(self) -> str:
        worst = self.table.nlargest(10, "pareto_k") if len(self.table) > 30 else self.table
        rows = pd.DataFrame(rows_as_text(worst), columns=worst.columns).to_string(index=False)
        lead = "" if len(worst) == len(self.table) else f" (the {len(worst)} with the largest Pareto k)"
        return f"{self.sentence}\n\n{self.numbers}{lead}\n\n{rows}"

    @property
    def numbers(self) -> str:
        """ "elpd −92.4, se 7.1, p 12.3"."""
        return ", ".join(f"{name} {written(getattr(self, name), 1)}" for name in ("elpd", "se", "p"))

    @property
    def doubtful(self) -> list[Any]:
        """The rows, or levels, whose Pareto k is above 0.7."""
        return self.table.loc[self.table["pareto_k"] > LARGEST_K, self.table.columns[0]].tolist()


@dataclass(frozen=True)
class LeftOutLevels:
    """What leaving out levels needs of a fit: its rows, the factor, and the factors inside that go with it, coarse ones first."""

    model: FittedModel
    rows: RowsOfLevels
    factor: str
    inside: tuple[str, ...]

    def likelihood(self) -> LevelLikelihood:
        return level_likelihood(self.model, self.rows, self.factor, self.inside)


@of_a_whole_fit
def leave_one_out(tree: xr.DataTree, level: str | None) -> Loo:
    """Pareto smoothed importance sampling (PSIS) leave-one-out of rows, or of the levels of a factor.

    Raises
    ------
    InputError
        Factors that the fit does not have, fits without pointwise log-likelihood, models whose levels cannot be left out.
    """
    refuse_imputations(tree, "leaving out rows or levels")
    return _without_rows(tree) if level is None else _without_levels(tree, level)


def _without_rows(tree: xr.DataTree) -> Loo:
    if "log_likelihood" not in tree.children:
        raise InputError("this fit has no group log_likelihood, of which rows are left out; fit again")
    stored = tree["log_likelihood"].dataset
    blocks, tables = [], []
    for name, of_terms in stored.data_vars.items():
        dim = str(next(d for d in of_terms.dims if d not in ("chain", "draw")))
        is_row = dim == "row" or dim.endswith("_row")
        unit = np.asarray(of_terms[dim].values) + 1 if is_row else of_terms[dim].values
        outcome = {"outcome": str(name)} if len(stored.data_vars) > 1 else {}
        tables.append(pd.DataFrame({"row" if is_row else dim: unit, **outcome}))
        blocks.append(of_terms.transpose("chain", "draw", dim).values)
    identity = pd.concat(tables, ignore_index=True)
    posterior = tree["posterior"].dataset
    if "draw" in stored.coords and stored.sizes["draw"] < posterior.sizes["draw"]:
        posterior = posterior.sel(draw=stored["draw"])
    unit = listing(c for c in identity.columns if c != "outcome")
    what = (
        f"Leave one {unit} out (PSIS): elpd of one more {unit}, whose own groups' other rows are known"
        if groups_of_outcomes(metadata(tree)["spec"]) and unit == "row"
        else f"Leave one {unit} out (PSIS): elpd of one more {unit}"
    )
    what += _weighted(tree)
    found = _smoothed(np.concatenate(blocks, axis=2), posterior)
    groups = groups_of_outcomes(metadata(tree)["spec"])
    refused = any("process" in group for group in groups.values()) or _unknown_covariates(metadata(tree)["spec"])
    leave = "" if refused else "leave out whole levels (level=) or "
    advice = f"; {leave}compare with another fit" if groups else ""
    return _result(identity, found, what, unit, advice)


def _without_levels(tree: xr.DataTree, level: str) -> Loo:
    asked = left_out_levels(tree, level)
    likelihood, draws = asked.likelihood(), asked.model.draws
    identity = pd.DataFrame({asked.factor: likelihood.levels})
    if likelihood.pareto_k is not None:
        identity["integral_k"] = likelihood.pareto_k
    what = (
        f"Leave one {asked.factor} out (PSIS): elpd of a new {asked.factor}, effects of {listing(likelihood.integrated)} integrated out "
        f"in each of {draws.size} draws"
    )
    if likelihood.given:
        what += f", given those of {listing(likelihood.given)} as the fit has them"
    what += _weighted(tree)
    posterior = draws.posterior.isel(draw=draws.places)
    found = _smoothed(draws.by_chain(likelihood.values), posterior)
    return _result(identity, found, what, asked.factor, "; refit=True (--refit) fits again without each of them")


def _weighted(tree: xr.DataTree) -> str:
    """What elpd is where rows have weights."""
    weights = metadata(tree)["spec"]["options"].get("weights")
    return f", in which the log density of a row counts by its weight ({weights})" if weights else ""


def left_out_levels(tree: xr.DataTree, level: str) -> LeftOutLevels:
    """The rows of a fit and the factor whose levels are left out.

    Raises
    ------
    InputError
        Factors that are not there, models of several outcomes, subjects never at risk.
    """
    if not isinstance(level, str):
        raise InputError(f"level is the name of a grouping factor, not {level!r}")
    model = read_fitted(tree, DRAWS)
    outcome = next(iter(model.outcomes.values()))
    if len(model.outcomes) > 1 or model.spec["builder"] in ("joint_outcomes", "joint_survival"):
        raise InputError(
            "level= leaves out levels of a model of one outcome, and this fit has several; loo() leaves out rows"
        )
    if "never" in outcome.parts or "never" in outcome.own:
        raise InputError(
            f"level= is not there for subjects some of whom are never at risk; loo() leaves out one {model.spec['options']['subject']} "
            "at a time"
        )
    if outcome.response is None or model.spec["builder"] in META_ANALYSES:
        raise InputError(f"level= is not there for {model.spec['builder']}; loo() leaves out rows")
    if model.spec["options"].get("correlation") == "decay":
        raise InputError("level= is not there where effects of periods are correlated over time; loo() leaves out rows")
    processes = [e.process.series for e in outcome.coding.effects.values() if e.process is not None]
    if processes:
        raise InputError(
            f"level= is not there where values of {processes[0].called} are correlated over time; loo() leaves out rows"
        )
    unknown = _unknown_covariates(model.spec)
    if unknown:
        raise InputError(
            f"level= is not there where missing values of {unknown[0]!r} are unknowns, which are of rows of the levels; loo() leaves out rows"
        )
    if model.spec["options"].get("residual"):
        raise InputError(
            f"level= is not there where residuals are correlated; loo() leaves out one {model.spec['options']['within']} at a time"
        )
    factor = factor_called(level, outcome.coding.factors, "level")
    if outcome.coding.effects[factor].members:
        raise InputError(
            f"level= is not there for {factor!r}, of which a row has several levels, so that those that are left out would overlap; loo() "
            "leaves out rows"
        )
    of = outcome.response
    rows = rows_by_level(outcome, outcome.table, of.values, of.trials, of.weights)
    several = rows.members_inside(factor)
    if several:
        raise InputError(
            f"level={factor!r} would leave out all that is known of levels of {several!r}, of which a row has several; loo() leaves out rows"
        )
    inside = [name for name in rows.codes if name != factor and rows.is_inside(name, factor)]
    of_tables = [f for f in (factor, *inside) if outcome.coding.effects[f].table]
    if of_tables:
        raise InputError(
            f"level= is not there where the levels of {of_tables[0]!r} depend on each other, as a new one would on those that stay; loo() "
            "leaves out rows"
        )
    inside.sort(key=lambda name: int(rows.codes[name].max()))
    if inside:
        model = read_fitted(tree, NESTED_DRAWS)
        outcome = next(iter(model.outcomes.values()))
        rows = rows_by_level(outcome, outcome.table, rows.y, rows.trials, rows.weights)
    return LeftOutLevels(model, rows, factor, tuple(inside))


def _unknown_covariates(spec: Mapping[str, Any]) -> list[str]:
    """The columns whose missing values are unknowns."""
    return [c["column"] for c in spec.get("covariates", {}).values() if c["missing"]]


def _smoothed(values: np.ndarray, posterior: xr.Dataset) -> Any:
    """ArviZ's PSIS of log-likelihoods (chain, draw, terms)."""
    from arviz_stats.loo import loo as smoothed_loo

    terms = xr.Dataset({"term": (("chain", "draw", "left_out"), values)})
    data = xr.DataTree.from_dict({"posterior": posterior, "log_likelihood": terms})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large Pareto k, which the sentence tells
        return smoothed_loo(data, var_name="term", pointwise=True)


def _result(identity: pd.DataFrame, found: Any, what: str, unit: str, advice: str) -> Loo:
    table = identity.assign(elpd=found.elpd_i.values, pareto_k=found.pareto_k.values)
    loo = Loo(float(found.elpd), float(found.se), float(found.p), table, "", found)
    bad = loo.doubtful
    several = f"{unit} {listing(bad, 8)}"
    words = (
        f"Pareto k is above {LARGEST_K} for {len(bad)} of {plural(len(table), unit)} ({several}), whose elpd is not to be trusted{advice}"
        if bad
        else f"Pareto k is at most {written(table['pareto_k'].max(), 2)} over {plural(len(table), unit)}"
    )
    if "integral_k" in table and (table["integral_k"] > LARGEST_K).any():
        doubtful = table.loc[table["integral_k"] > LARGEST_K, unit].tolist()
        words += f"; the integral over effects is itself doubtful (its Pareto k is above {LARGEST_K}) for {unit} {listing(doubtful, 8)}"
    return replace(loo, sentence=f"{what}; {words}.")


def with_exact(loo: Loo, elpd: Mapping[str, float]) -> Loo:
    """The same with the elpd of levels that were fitted again without; p is what all lose by being left out."""
    table, unit = loo.table.copy(), loo.table.columns[0]
    places = table[unit].isin(list(elpd)).to_numpy()
    table.loc[places, "elpd"] = [elpd[label] for label in table.loc[places, unit]]
    table.loc[places, "pareto_k"] = np.nan
    values = table["elpd"].to_numpy()
    total, se = float(values.sum()), float(np.sqrt(len(values) * np.var(values, ddof=1)))
    p = loo.p + loo.elpd - total
    arviz = replace(
        loo.arviz, elpd=total, se=se, p=p, warning=False, elpd_i=loo.arviz.elpd_i.copy(data=values),
        pareto_k=loo.arviz.pareto_k.copy(data=table["pareto_k"].fillna(0.0).to_numpy()),
    )  # fmt: skip
    sentence = f"{loo.sentence.split('; Pareto k')[0]}; {unit} {listing(elpd, 8)} by fits without each of them."
    return Loo(total, se, p, table, sentence, arviz)
