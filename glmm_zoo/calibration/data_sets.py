"""Data sets that are drawn from a model: parameters from its priors, responses from its likelihood, all else as in the data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.calibration.event_data import causes_of, learnt_before, refuse_times, seen, write_events
from glmm_zoo.calibration.joint_data import DrawnFollowUp, draw_follow_up, refuse_follow_up
from glmm_zoo.errors import InputError
from glmm_zoo.families.links import LINKS
from glmm_zoo.families.registry import family_described
from glmm_zoo.formulas.change import changed_formula
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.terms import Response
from glmm_zoo.inference.datatree import data_groups
from glmm_zoo.inference.prior_draws import prior_as_fit
from glmm_zoo.refits.variations import call_of, numbered_rows, priors_by_key
from glmm_zoo.results.fit_checks.events import follow_up_of_fit
from glmm_zoo.results.storage import (
    metadata,
    outcome_formulas,
    outcome_specs,
    stored_level_tables,
    stored_table,
    write_metadata,
)
from glmm_zoo.tables.level_tables import with_level_tables

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

_SIMULATED = "simulated_response"  # the column that takes the place of a response that is computed


@dataclass(frozen=True)
class DrawnDataSet:
    """Parameters, as a fit of one draw whose posterior is the truth, and the model of the data that were drawn with them."""

    truth: xr.DataTree
    model: Model


def draw_data_set(
    model: Model, seed: int, fixed: Mapping[str, np.ndarray] = MappingProxyType({})
) -> DrawnDataSet | None:
    """`data_set_of` parameters and responses drawn with a seed. Random variables that are `fixed` have these values."""
    if model.event is None:
        return data_set_of(model, prior_as_fit(model, 1, seed, responses=True, fixed=fixed), seed)
    refuse_follow_up(model)
    follow_up = draw_follow_up(model, seed, fixed)
    return None if follow_up is None else data_set_of(model, follow_up.drawn, seed, follow_up)


def data_set_of(
    model: Model, drawn: xr.DataTree, seed: int, follow_up: DrawnFollowUp | None = None
) -> DrawnDataSet | None:
    """Parameters and responses from a model's prior predictive, one draw, and the model of these responses with the same priors; None
    where the builder refuses the data. The seed is for the causes of events.

    Raises
    ------
    InputError
        A model whose responses cannot be drawn and put into its table: joint models of survival with priors at means of what is drawn,
        censored or weighted values, several outcomes or times that are computed from columns.
    """
    call = call_of(drawn)
    responses = drawn["posterior_predictive"].dataset.isel(chain=0, draw=0)
    spec = metadata(drawn)["spec"]
    table, formula, options = stored_table(drawn), call.formula, dict(call.options)
    level = spec["facts"].get("reference_level")
    if level is not None:  # else it is that of the responses, and effects are told elsewhere
        options["baseline_regression"] = float(LINKS[spec["link"]].inverse(np.array(level)))
    texts = outcome_formulas(spec) if "outcomes" in spec else [spec["formula"]]
    options |= learnt_before(spec["event"] if follow_up else spec["facts"].get("event_times", {}))
    several = "outcomes" in spec
    for (prefix, outcome), text in zip(outcome_specs(spec).items(), texts, strict=True):
        name = prefix or str(next(iter(responses.data_vars)))
        response = parse_formula(text).response
        _refuse(model, response, several=several)
        assert response is not None
        if not several and family_described(outcome).choice == "levels":
            options["levels"] = list(outcome["levels"])
        y, was = responses[name], drawn["observed_data"].dataset[name]
        if response.event is not None:
            followed, rng = follow_up_of_fit(drawn), np.random.default_rng([seed, 1])
            causes = causes_of(model, drawn, name, y.values, rng)
            write_events(table, response.event, followed, seen(response.event, followed, y.values, causes))
            continue
        rows = table.index.isin(y[y.dims[0]].values) if several else np.ones(len(table), bool)
        if response.value.kind == "column":
            column = response.value.columns[0]
            table[column] = _written(table[column], rows, was.values, y.values, outcome.get("levels", ()))
        else:
            table[_SIMULATED] = y.values
            also = text.partition("~")[0].partition("|")[2].strip()  # trials() and trunc()
            formula = changed_formula(text, f"{_SIMULATED} {f'| {also}' if also else ''} ~ .")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd in data that a prior draws
            made = table if follow_up is None else table[follow_up.made]
            rows = numbered_rows(made, spec["data"]["source"])
            beside = (
                call.tables[1:]
                if follow_up is None
                else [numbered_rows(follow_up.events, spec["event"]["data"]["source"])]
            )
            tables = [with_level_tables(rows, stored_level_tables(drawn)), *beside]
            again = replace(call, tables=tables, formula=formula, priors=priors_by_key(spec), options=options).model()
    except InputError:
        return None
    labels, known = (_labels(m) for m in (again, model))
    if any(
        set(labels[dim]) != set(known[dim]) for dim in known
    ):  # a category that was not drawn is unknown to the builder
        return None
    order = {dim: [known[dim].index(label) for label in labels[dim]] for dim in known}
    return DrawnDataSet(_of_these_data(drawn, order, again), again)


def _labels(model: Model) -> dict[str, list[Any]]:
    """The labels of the dims of all unknowns; who is not measured in the data comes after the others."""
    dims = {str(dim) for v in model.free_RVs for dim in model.named_vars_to_dims.get(v.name) or ()}
    return {dim: list(model.coords[dim]) for dim in dims}


def _of_these_data(drawn: xr.DataTree, order: Mapping[str, list[int]], model: Model) -> xr.DataTree:
    """The truth, in the order of the model's labels, with the data that were drawn with it."""
    tree = xr.DataTree.from_dict({"posterior": drawn["posterior"].dataset.isel(order), **data_groups(model)})
    write_metadata(tree, {**metadata(drawn), "spec": {**model.spec, "auxiliary": sorted(model.auxiliary)}})
    return tree


def _refuse(model: Model, response: Response | None, *, several: bool) -> None:
    assert response is not None
    if model.covariates:
        raise InputError(
            "calibration does not draw which values of a covariate are missing; calibrate the model without mi()"
        )
    if response.event is not None:
        refuse_times(response.event)
    if response.censoring:
        raise InputError("calibration does not draw which values are censored; calibrate the model without cens()")
    if model.spec["options"].get("weights"):
        raise InputError(
            "rows with weights other than 1 are not drawn from the model that is fitted; calibrate it without weights="
        )
    if several and response.value.kind != "column":
        raise InputError(
            f"calibration writes simulated responses into columns, and {response.value.text!r} is none; make the column first"
        )


def _written(
    column: pd.Series, rows: np.ndarray, was: np.ndarray, drawn: np.ndarray, levels: tuple[str, ...]
) -> pd.Series:
    """A response's column with what was drawn, as the column writes it: labels by what they stood for, numbers in its unit."""
    old = column[rows]
    labels: dict[float, Any] = dict(zip(was.tolist(), old.tolist(), strict=True))
    if levels or not pd.api.types.is_numeric_dtype(column):
        known = {float(i): level for i, level in enumerate(levels)} | labels
        new: Any = [known[value] for value in drawn.tolist()]
    else:
        low, high = np.argmin(was), np.argmax(was)
        unit = (old.iloc[high] - old.iloc[low]) / (was[high] - was[low])
        new = drawn if np.allclose(old, was) else old.iloc[low] + (drawn - was[low]) * unit
    changed = column.astype(object) if levels or not pd.api.types.is_numeric_dtype(column) else column.astype(float)
    changed[rows] = new
    if isinstance(column.dtype, pd.CategoricalDtype):
        return changed.astype(column.dtype)
    return changed
