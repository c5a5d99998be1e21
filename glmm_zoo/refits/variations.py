"""A fit's model built again from its file, and fits of variations of it: with another formula, data or priors."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xarray as xr

from glmm_zoo.errors import InputError, ZooWarning, listing, plural, warn
from glmm_zoo.formulas.change import changed_formula
from glmm_zoo.inference.settings import SETTING_NAMES
from glmm_zoo.joint.prediction.fitted import EVENT_TABLE
from glmm_zoo.priors import unknown_key
from glmm_zoo.registry import Builder, find_builder
from glmm_zoo.results.about import about_of
from glmm_zoo.results.imputations import refuse_imputations
from glmm_zoo.results.storage import metadata, outcome_formulas, stored_level_tables, stored_table
from glmm_zoo.tables.files import RawTable
from glmm_zoo.tables.frames import SomeRows
from glmm_zoo.tables.level_tables import with_level_tables

if TYPE_CHECKING:
    import pandas as pd

    from glmm_zoo.graph.model import Model
    from glmm_zoo.inference.said import Words


# ------------------------------------------------------------------------------------------------- from file to model


def model_of(tree: xr.DataTree) -> Model:
    """The model of a fit, fresh or loaded, built again from what its file holds: data, formula, options and priors.

    Its `spec` is the file's, with the notes that were the model's; `zoo.fit(model, seed=...)` fits it anew.

    Raises
    ------
    InputError
        A file whose table does not give back what was fitted, as one of an older glmm_zoo may.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)  # the user saw them when the model was fitted
        return _with_the_files_words(call_of(tree).model(), tree)


def update(
    tree: xr.DataTree,
    *,
    formula: str | Sequence[str] | None = None,
    data: Any = None,
    survival: Any = None,
    tables: Mapping[str, Any] | None = None,
    priors: Mapping[str, str | None] | None = None,
    about: Words | None = None,
    progress: bool | None = None,
    **options: Any,
) -> xr.DataTree:
    """Fit a variation of a fit: another formula, other data, priors or options, all else as it was.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    formula
        A change as in R's update(), `". ~ . + age"`: "." is what stood on that side, `- x` takes a term out, `- (1 | g) + (1 + x | g)`
        replaces one; a side without "." is the new one. Of several outcomes one text is for each of them, a list in step with them.
    data, survival
        Another table, with its event table; without them those of the file, which has the columns that the fit used and no others,
        and not the rows that were dropped.
    tables
        Tables of numbers between levels by name, in the place of those of the file.
    priors
        Text by parameter, added to those that were given for the fit, and in the place of narrower ones; None takes one back to its
        default. Defaults are chosen anew.
        A file of an older glmm_zoo does not tell which were given: all of its priors are kept. A prior of a parameter that the
        variation lacks is dropped, with a warning.
    about, progress
        As in `fit`; without `about` what was said of the former fit, as far as it is about columns and levels that there are.
    **options
        The builder's keywords and the settings of `fit`, such as `seed=2, draws=2000`; those not given are as they were. A keyword of
        both is the builder's. Formulas among them, such as `event` and `zi`, may be changes too.

    Returns
    -------
    DataTree
        As `fit` returns it.

    Raises
    ------
    InputError
        Changes that cannot be made; columns that the file lacks; whatever the builder and `fit` refuse.
    """
    from glmm_zoo.inference.fit import fit

    builder = _builder(metadata(tree)["spec"])
    own = {name: value for name, value in options.items() if name in SETTING_NAMES and name not in builder.options}
    others = {name: value for name, value in options.items() if name not in own}
    model = changed_model(
        tree, formula=formula, data=data, survival=survival, tables=tables, priors=priors, options=others
    )
    return fit(model, **{**settings_of(tree), **own}, about=about, progress=progress)


def changed_model(
    tree: xr.DataTree,
    *,
    formula: str | Sequence[str] | None = None,
    data: Any = None,
    survival: Any = None,
    tables: Mapping[str, Any] | None = None,
    priors: Mapping[str, str | None] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Model:
    """The model that `update` fits, with its arguments."""
    call, spec, options = call_of(tree), metadata(tree)["spec"], options or {}
    call = replace(call, priors=_merged(call.priors, priors or {}))
    if formula is None and data is None and survival is None and not (options or tables):
        return _with_the_files_words(_with_known_priors(call, tree), tree)
    dropped = spec["data"]["dropped"] if data is None else 0
    notes = [_rows_not_in_the_file(dropped, spec["data"]["source"])] if dropped else []
    for note in notes:
        warn(note)
    if "families" in options and isinstance(call.formula, Mapping):
        call = replace(call, formula=list(call.formula))
    changed = {name: _changed_option(call.options.get(name), value) for name, value in options.items()}
    call = replace(
        call,
        tables=_tables(call, tree, data, survival, notes, tables),
        formula=call.formula if formula is None else _changed_formulas(call, formula),
        options={**call.options, **changed},
    )
    try:
        model = _with_known_priors(call, tree)
    except InputError as err:
        raise InputError(*(_where_columns_are(p, spec) if data is None else p for p in err.problems)) from None
    model.spec["data"]["dropped"] += dropped
    model.about = about_of(tree)
    return model


def options_of(tree: xr.DataTree) -> dict[str, Any]:
    """The keywords of its builder that a fit was made with."""
    spec = metadata(tree)["spec"]
    return {name: value for name, value in spec["options"].items() if name in _builder(spec).options}


def settings_of(tree: xr.DataTree) -> dict[str, Any]:
    """The settings of `fit` that a fit was asked for; of an older file those that were come to."""
    sampling = metadata(tree)["sampling"]
    asked = sampling.get("asked", sampling)
    return {name: asked[name] for name in SETTING_NAMES if name in asked}


# --------------------------------------------------------------------------------------------- what a builder was told


@dataclass(frozen=True)
class BuilderCall:
    """What a builder is called with; `tables` in the order of its arguments."""

    builder: Builder
    tables: Sequence[Any]
    formula: Any
    priors: Mapping[str, str]
    options: Mapping[str, Any]

    def model(self) -> Model:
        return self.builder.function()(*self.tables, self.formula, priors=self.priors, **self.options)


def call_of(tree: xr.DataTree) -> BuilderCall:
    """What the builder of a fit was called with, read from its file."""
    refuse_imputations(tree, "a model to fit again")
    spec = metadata(tree)["spec"]
    builder = _builder(spec)
    options = options_of(tree)
    formula: Any = spec["formula"]
    if "families" in builder.options:
        formula = outcome_formulas(spec)
        if options["families"] is None:  # they were given with the formulas, or are the usual one
            families = [f"{o['family']}({o['link']})" for o in spec["outcomes"].values()]
            formula = dict(zip(formula, families, strict=True))
    call = BuilderCall(builder, (), formula, _given_priors(spec), options)
    return replace(call, tables=_tables(call, tree))


def _given_priors(spec: Mapping[str, Any]) -> Mapping[str, str]:
    """The priors that were given for a fit; of an older file, which does not tell them from defaults, all."""
    return spec["given"] if "given" in spec else priors_by_key(spec)


def priors_by_key(spec: Mapping[str, Any]) -> dict[str, str]:
    """The priors of a fit as a builder takes them: those of group effects by their factor, "sd_herd" as "sd[herd]"."""
    keys = spec["prior_keys"] if "prior_keys" in spec else _keys_of_older_files(spec)
    priors = {}
    for name, prior in spec["priors"].items():
        priors |= prior if isinstance(prior, dict) else {keys.get(name, name): prior}
    return priors


def _keys_of_older_files(spec: Mapping[str, Any]) -> dict[str, str]:
    names = {}
    for key, group in spec["groups"].items():
        at = next(i for i in range(len(key)) if f"{key[:i]}sd_{key[i:]}" == group["sd"])
        names |= {f"{key[:at]}{what}_{key[at:]}": f"{key[:at]}{what}[{key[at:]}]" for what in ("sd", "corr")}
    return names


def _builder(spec: Mapping[str, Any]) -> Builder:
    builder = find_builder(spec["builder"])
    if builder is None:
        raise InputError(f"this file is of a builder that this glmm_zoo does not have: {spec['builder']!r}")
    return builder


def _tables(
    call: BuilderCall,
    tree: xr.DataTree,
    data: Any = None,
    survival: Any = None,
    notes: Sequence[str] = (),
    beside: Mapping[str, Any] | None = None,
) -> Any:
    """The tables of a builder in their order: those given, else those of the file."""
    spec = metadata(tree)["spec"]
    data = _stored_rows(tree, "row", spec["data"]["source"], notes) if data is None else data
    data = with_level_tables(data, {**stored_level_tables(tree), **(beside or {})})
    if survival is None and "survival" in call.builder.tables:
        survival = _stored_rows(tree, EVENT_TABLE, spec["event"]["data"]["source"])
    return call.builder.table_arguments(data, survival)


def _stored_rows(tree: xr.DataTree, dim: str, source: str, notes: Sequence[str] = ()) -> SomeRows:
    """A table of the file, whose rows have the numbers and the source that they had."""
    return numbered_rows(stored_table(tree, dim), source, notes)


def numbered_rows(frame: pd.DataFrame, source: str, notes: Sequence[str] = ()) -> SomeRows:
    """A table for a builder whose rows have the numbers of the frame's index, which may have gaps."""
    kept = np.zeros(int(frame.index.max()) + 1, bool)
    kept[frame.index] = True
    place = np.zeros(len(kept), int)  # rows that are not kept are copies of one that is
    place[frame.index] = np.arange(len(frame))
    columns = {name: pa.array(column.iloc[place], from_pandas=True) for name, column in frame.items()}
    return SomeRows(RawTable(pa.table(columns), source, tuple(notes)), kept)


def _with_the_files_words(model: Model, tree: xr.DataTree) -> Model:
    """A model of the table that was fitted, with what the file says of where that came from and what was noted of it.

    Raises
    ------
    InputError
        Another table.
    """
    spec, own = metadata(tree)["spec"], metadata(tree)["sampling"].get("notes", ())
    if _digests(model.spec) != _digests(spec):
        raise InputError(
            "the table in this file is not the one that was fitted (its SHA-256 differs): an older glmm_zoo wrote it; fit again"
        )
    model.spec = {**model.spec, "notes": [n for n in spec["notes"] if n not in own], "data": spec["data"]}
    model.about = about_of(tree)
    return model


def _digests(spec: Mapping[str, Any]) -> list[str]:
    """Of the table, of the event's where there is one, and of those between levels."""
    beside = [table["sha256"] for table in spec["data"].get("tables", {}).values()]
    return [*(part["data"]["sha256"] for part in (spec, spec.get("event")) if part), *beside]


def _rows_not_in_the_file(dropped: int, source: str) -> str:
    return (
        f"{plural(dropped, 'row')} of {source} that the former fit dropped for missing values are not in its file, and so not here; "
        "give the whole table to use those that the variation can: data=... (--data FILE)"
    )


def _changed_formulas(call: BuilderCall, change: str | Sequence[str]) -> Any:
    """The formulas of a call with a change for all of them, or one for each."""
    if isinstance(call.formula, str):
        changes = [change] if isinstance(change, str) else list(change)
        if len(changes) != 1:
            raise InputError(
                f"{call.builder.name} has one formula, and {len(changes)} changes of it are given; give one"
            )
        return changed_formula(call.formula, changes[0])
    changes = [change] * len(call.formula) if isinstance(change, str) else list(change)
    if len(changes) != len(call.formula):
        raise InputError(
            f"the fit has {plural(len(call.formula), 'formula')} ({listing(call.formula)}), and {len(changes)} changes are given; give one "
            "for each, in their order, or one for all; '. ~ .' leaves one as it is"
        )
    texts = [changed_formula(former, text) for former, text in zip(call.formula, changes, strict=True)]
    return dict(zip(texts, call.formula.values(), strict=True)) if isinstance(call.formula, Mapping) else texts


def _changed_option(former: Any, value: Any) -> Any:
    """The value of an option, which may be the change of a formula."""
    is_change = isinstance(former, str) and isinstance(value, str) and "~" in former and "~" in value
    return changed_formula(former, value) if is_change else value


def _merged(former: Mapping[str, str], given: Mapping[str, str | None]) -> dict[str, str]:
    """Priors with others in their places and in those of narrower ones, `sd[g]` of `sd`; None takes one out."""
    kept = {key: p for key, p in former.items() if not any(key.startswith((f"{n}[", f"{n[:-1]},")) for n in given)}
    return {name: prior for name, prior in {**kept, **given}.items() if prior is not None}


def _with_known_priors(call: BuilderCall, tree: xr.DataTree) -> Model:
    """The model of a call without those of the fit's own priors whose parameters it lacks, of which the user is warned."""
    former = _given_priors(metadata(tree)["spec"])
    try:
        return call.model()
    except InputError as err:
        unknown = [key for key in call.priors if any(p.startswith(unknown_key(key)) for p in err.problems)]
        lost = [key for key in unknown if call.priors[key] == former.get(key)]
        if not lost:
            raise
    sentence = f"priors of the former fit for {listing(lost)} are left out: this model has no such parameter"
    warn(sentence)
    return _with_known_priors(replace(call, priors={k: p for k, p in call.priors.items() if k not in lost}), tree)


def _where_columns_are(problem: str, spec: Mapping[str, Any]) -> str:
    """A sentence on a column that is not there, which the data may have although the file has not."""
    missing = re.match(r"(?:event: )?no column ('[^']*')", problem)
    if missing is None:
        return problem
    return (
        f"the file of the fit has no column {missing[1]}, only those that the fit used ({listing(spec['data']['columns'])}); give the data too: data=... "
        "(--data FILE)"
    )
