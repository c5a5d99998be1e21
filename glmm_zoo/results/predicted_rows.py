"""The rows of each outcome beside what the model predicts of them, from the file of a fit alone.

What the other rows predict of a row are the predictive draws weighted by 1 / p(y_i), truncated (Ionides 2008). Without the weights,
effects that have followed their few rows hide what does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.families.registry import family_described
from glmm_zoo.results.censored_values import censored_values
from glmm_zoo.results.once import once
from glmm_zoo.results.storage import metadata, outcome_specs

Kind = Literal["continuous", "count", "binomial", "binary", "ordered", "unordered", "time"]


@dataclass(frozen=True)
class PredictedRows:
    """One outcome of a fit, row by row.

    Attributes
    ----------
    name, label, kind
        Its variable in the groups of the file, the response as the formula has it, and what it is.
    y
        The values (n,), of categories their codes, of a censored value one that the model predicts where it lies.
    drawn
        Draws (draws, n) of the posterior predictive distribution.
    weigh
        Gives the `weights` of these.
    log_p
        The logarithm of the probability, or density, of each value under each draw (draws, n); None where the file does not have it,
        or has that of subjects.
    rows
        The place (n,) of each row in the source, from 0.
    covariates
        Columns (n,) of numbers with more than two values that the formula has beside the response, and for categories those
        and times those of text or two values too; no grouping factor.
    """

    name: str
    label: str
    kind: Kind
    y: np.ndarray
    drawn: np.ndarray
    weigh: Callable[[], np.ndarray]
    log_p: np.ndarray | None
    rows: np.ndarray
    covariates: Mapping[str, np.ndarray]

    @cached_property
    def weights(self) -> np.ndarray:
        """Weights (draws, n) with which the draws of a row are as the other rows predict it; not every check asks for them."""
        return self.weigh()

    def at_most(self, draws: int) -> PredictedRows:
        """The same with every k-th draw, so that there are at most so many."""
        step = -(-len(self.drawn) // draws)
        if step == 1:
            return self
        log_p = None if self.log_p is None else self.log_p[::step]

        def weigh() -> np.ndarray:
            weights = self.weights[::step]
            return weights / weights.sum(axis=0)

        return replace(self, drawn=self.drawn[::step], weigh=weigh, log_p=log_p)


def predicted_rows(tree: xr.DataTree) -> Iterator[PredictedRows]:
    """The outcomes of a fit, the number of events that come again among them; those of which there is nothing predicted are left out,
    and so is the time to an event."""
    return (rows for rows in _all_rows(tree) if rows.kind != "time")


def predicted_times(tree: xr.DataTree) -> PredictedRows | None:
    """The same of the outcome that is a time to an event, whose draws are not censored; None where there is none."""
    return next((rows for rows in _all_rows(tree) if rows.kind == "time"), None)


def _all_rows(tree: xr.DataTree) -> Iterator[PredictedRows]:
    spec = metadata(tree)["spec"]
    observed = tree["observed_data"].dataset
    for name, outcome in _by_variable(tree, spec).items():
        if name not in tree["posterior_predictive"].dataset:
            continue
        y, dim = observed[name].values.astype(float), str(observed[name].dims[0])
        drawn, log_p = _drawn(tree, name)
        weigh = partial(_weights_of, tree, name, drawn, log_p)
        limits = censored_values(tree, name)
        y = y if limits is None else limits.completed(y, drawn, weigh())
        rows = observed[name][dim].values
        kind = _kind(outcome, y, drawn)
        label = str(outcome["response"]).split(":")[0]
        covariates = _covariates(tree, spec, kind, dim, rows)
        of_rows = log_p is not None and dim in tree["log_likelihood"].dataset[name].dims
        yield PredictedRows(name, label, kind, y, drawn, weigh, log_p if of_rows else None, rows, covariates)


def _by_variable(tree: xr.DataTree, spec: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What the spec says of each outcome, by its variable in observed_data."""
    if "outcomes" not in spec:
        return {spec["outcome"]: spec}
    variables = [str(name) for name in tree["observed_data"].dataset.data_vars if name != "event"]
    found = dict(zip(variables, outcome_specs(spec).values(), strict=False))
    return {**found, "event": _NUMBER_OF_EVENTS} if spec.get("event", {}).get("recurrent") else found


_NUMBER_OF_EVENTS = {"response": "events", "family": "poisson", "link": "log"}  # of each subject


def predicted_by_others(tree: xr.DataTree, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Predictive draws and their weights, both (draws, n), of the draws for which the file has prediction and density.

    With these weights the draws of a row are as the other rows predict it; where the density is that of a subject, as the other
    subjects do, and where the file has none all weights are equal.
    """
    drawn, log_p = _drawn(tree, name)
    return drawn, _weights_of(tree, name, drawn, log_p)


def _weights_of(tree: xr.DataTree, name: str, drawn: np.ndarray, log_p: np.ndarray | None) -> np.ndarray:
    """The weights of what `_drawn` has of an outcome."""
    return once(("weights", name), tree, lambda: _weights(drawn, log_p))


def _drawn(tree: xr.DataTree, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Predictive draws and log-likelihood, both (draws, n)."""
    return once(("predicted", name), tree, lambda: _read_drawn(tree, name))


def _read_drawn(tree: xr.DataTree, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    predicted = tree["posterior_predictive"].dataset[name]
    dim = next(str(d) for d in predicted.dims if d not in ("chain", "draw"))
    pointwise = _pointwise(tree, name, dim)
    arrays = (predicted,) if pointwise is None else xr.align(predicted, pointwise, join="inner", copy=False)
    drawn, *log_p = (
        array.transpose("chain", "draw", dim).values.reshape(-1, array.sizes[dim]).astype(float, copy=False)
        for array in arrays
    )
    return drawn, log_p[0] if log_p else None


def _weights(drawn: np.ndarray, log_p: np.ndarray | None) -> np.ndarray:
    if log_p is None:
        return np.full(drawn.shape, 1 / len(drawn))
    weights = np.subtract(log_p.min(axis=0), log_p)
    return _truncated(np.exp(weights, out=weights))


def _truncated(weights: np.ndarray) -> np.ndarray:
    """Weights (draws, n), made in place of those given, that are at most sqrt(draws) times their mean, with a sum of 1 in each column."""
    np.minimum(weights, np.sqrt(len(weights)) * weights.mean(axis=0), out=weights)
    weights /= weights.sum(axis=0)
    return weights


def predicted_for_new_groups(tree: xr.DataTree, rows: PredictedRows) -> PredictedRows | None:
    """The same rows as the model predicts them with group effects drawn anew; None where the file does not have that."""
    group = "posterior_predictive_new_groups"
    stored = tree[group].dataset if group in tree.children else xr.Dataset()
    if rows.name not in stored:
        return None
    dim = str(tree["observed_data"].dataset[rows.name].dims[0])
    drawn = stored[rows.name].transpose("sample", dim).values.astype(float)
    return replace(rows, drawn=drawn, weigh=lambda: _weights(drawn, None), log_p=None)


def _pointwise(tree: xr.DataTree, name: str, dim: str) -> xr.DataArray | None:
    """The log-likelihood by row, or that of the row's subject; None where the file has neither."""
    stored = tree["log_likelihood"].dataset if "log_likelihood" in tree.children else xr.Dataset()
    if name not in stored or dim in stored[name].dims:
        return stored.get(name)
    level = next(str(d) for d in stored[name].dims if d not in ("chain", "draw"))
    columns = tree["constant_data"].dataset
    if level not in columns or columns[level].dims != (dim,):
        return None
    place = {label: i for i, label in enumerate(stored[name][level].values.astype(str))}
    codes = xr.DataArray([place[label] for label in columns[level].values.astype(str)], dims=dim)
    return stored[name].isel({level: codes}).drop_vars([level, dim], errors="ignore")


def _kind(outcome: Mapping[str, Any], y: np.ndarray, drawn: np.ndarray) -> Kind:
    kinds: dict[str, Kind] = {
        "measured": "continuous",
        "count": "count",
        "ordered": "ordered",
        "unordered": "unordered",
        "time": "time",
    }
    kind = kinds.get(family_described(outcome).responses)
    if kind is not None:
        return kind
    return "binary" if max(y.max(initial=0), drawn.max(initial=0)) <= 1 else "binomial"


def _covariates(
    tree: xr.DataTree, spec: Mapping[str, Any], kind: Kind, dim: str, rows: np.ndarray
) -> dict[str, np.ndarray]:
    others = _other_columns(spec)
    found = {}
    for column, variable in _columns(tree, dim, rows).items():
        is_number = variable.attrs["kind"] == "number"
        if column not in others and (
            (is_number and len(np.unique(variable.values)) > 2) or kind in ("ordered", "unordered", "time")
        ):
            found[column] = variable.values.astype(float if is_number else str)
    return found


def levels_in_rows_of(tree: xr.DataTree, rows: PredictedRows) -> dict[str, np.ndarray]:
    """Columns of labels, or of two numbers, as text (n,), that the formula has beside responses and grouping factors."""
    others, dim = _other_columns(metadata(tree)["spec"]), str(tree["observed_data"].dataset[rows.name].dims[0])
    return {
        column: np.array([str(v) if is_text else f"{v:g}" for v in variable.values])
        for column, variable in _columns(tree, dim, rows.rows).items()
        if column not in others
        and ((is_text := variable.attrs["kind"] == "text") or len(np.unique(variable.values)) == 2)
    }


def _columns(tree: xr.DataTree, dim: str, rows: np.ndarray) -> dict[str, xr.DataArray]:
    """The columns of the table at these rows, by name; none where rows are not those of a table."""
    stored = tree["constant_data"].dataset if "constant_data" in tree.children else xr.Dataset()
    table = dim if dim in stored.dims else "row"
    if table not in stored.dims or not np.isin(rows, stored[table].values).all():
        return {}
    place = np.searchsorted(stored[table].values, rows)
    return {v.attrs["column"]: v[place] for v in stored.data_vars.values() if v.dims == (table,)}


def _other_columns(spec: Mapping[str, Any]) -> set[str]:
    """Columns that are no covariates: those of responses, of grouping factors and of options such as the exposure."""
    grouping = (group.get("process", {}).get("of", factor) for factor, group in spec["groups"].items())
    factors = {column for factor in grouping for column in factor.split(":")}
    members = (group["members"] for group in spec["groups"].values() if "members" in group)
    factors |= {column for of in members for column in (*of["columns"], *(of["weights"] or ()))}
    options = {value for name, value in spec["options"].items() if isinstance(value, str) and name != "time"}
    return {*_responses(spec), *factors, *options}


def _responses(spec: Mapping[str, Any]) -> set[str]:
    """The columns on the left of the formulas."""
    left = " ".join(part.partition("~")[0] for part in spec["formula"].split(";"))
    return {quoted or plain for quoted, plain in re.findall(r"`([^`]+)`|([^\W\d][\w.]*)", left)}


def rows_alike(tree: xr.DataTree, rows: PredictedRows) -> PredictedRows | None:
    """Rows that are alike in all columns but the response, added up: of binary rows binomial ones, as the other sums predict them.

    None where there are fewer than two rows in a sum on average.
    """
    spec = metadata(tree)["spec"]
    responses = _responses(spec)
    dim = str(tree["observed_data"].dataset[rows.name].dims[0])
    columns = {name: v.values for name, v in _columns(tree, dim, rows.rows).items() if name not in responses}
    if not columns:
        return None
    alike = pd.DataFrame(columns).groupby(list(columns), dropna=False).ngroup().to_numpy()
    sums = int(alike.max()) + 1
    if 2 * sums > len(alike):
        return None
    first = np.unique(alike, return_index=True)[1]
    member = np.zeros((len(alike), sums))
    member[np.arange(len(alike)), alike] = 1
    log_weights = np.log(rows.weights) @ member
    weights = _truncated(np.exp(log_weights - log_weights.max(axis=0)))
    return replace(
        rows, kind="binomial", y=rows.y @ member, drawn=rows.drawn @ member, weigh=lambda: weights, rows=rows.rows[first],
        log_p=None, covariates={name: x[first] for name, x in rows.covariates.items()},
    )  # fmt: skip
