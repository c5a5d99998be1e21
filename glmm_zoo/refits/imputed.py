"""Several imputed tables: each is fitted and diagnosed by itself, and their draws stand together in one tree."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, at_rows, listing, plural, raise_all
from glmm_zoo.formulas.terms import Expression
from glmm_zoo.inference.settings import SETTING_NAMES, Settings
from glmm_zoo.refits.variations import priors_by_key
from glmm_zoo.registry import Builder, find_builder
from glmm_zoo.results.imputations import IMPUTATIONS, IMPUTED, imputations_of, refuse_imputations
from glmm_zoo.results.parameter_statistics import IMPUTATION
from glmm_zoo.results.parts import parts_folder
from glmm_zoo.results.report.stored import with_report
from glmm_zoo.results.storage import metadata, write_metadata
from glmm_zoo.tables.columns import Column

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model
    from glmm_zoo.inference.said import Words
    from glmm_zoo.inference.workers import Workers


def fit_imputed(
    builder: str | Callable[..., Any],
    tables: Sequence[Any],
    /,
    formula: Any,
    *,
    priors: Mapping[str, str] | None = None,
    about: Words | None = None,
    progress: bool | None = None,
    resume: str | os.PathLike[str] | None = None,
    **options: Any,
) -> xr.DataTree:
    """Fit a model to each of several imputed tables, and put the fits together.

    The posterior given what was observed is the mixture of those given each table (Gelman et al. 2013, section 18.2; Zhou and Reiter 2010), so the
    draws of all fits stand together. The fit of table k has the seed `seed` + k - 1.

    Parameters
    ----------
    builder
        The builder, `zoo.poisson`, or its name.
    tables
        The tables, two or more, whose rows are the same subjects or visits in the same order; only covariates may differ.
    formula, priors
        As the builder takes them. Default priors are those of the first table.
    about, progress, resume
        As in `fit`.
    **options
        The builder's keywords and the settings of `fit`.

    Returns
    -------
    DataTree
        As `fit` returns it, with the chains of all tables and their number as the coordinate `imputation`. `check` judges each fit
        by itself, predictions and comparisons are averages over the tables, and `missing_information` says how much they differ.

    Raises
    ------
    InputError
        Tables that differ in rows, levels, the response or groups, naming table, row and column; whatever the builder and `fit` refuse.
    """
    found = find_builder(builder if isinstance(builder, str) else getattr(builder, "__name__", ""))
    if found is None or len(found.tables) > 1:
        raise InputError(f"fit_imputed takes a builder of one table, such as zoo.poisson, not {builder!r}")
    settings = {name: options.pop(name) for name in SETTING_NAMES if name in options and name not in found.options}
    models = models_of_tables(found, tables, formula, priors or {}, options)
    return fit_each(models, settings, about=about, progress=progress, resume=resume)


def fit_each(
    models: Sequence[Model],
    settings: Mapping[str, Any],
    *,
    about: Words | None,
    progress: bool | None = None,
    resume: str | os.PathLike[str] | None = None,
    workers: Workers = None,
) -> xr.DataTree:
    """The fits of the models of imputed tables in one tree, each with a seed of its own."""
    from glmm_zoo.inference.fit import checked_target, fit

    folder = None if resume is None else parts_folder(checked_target(resume))
    trees = []
    for k, (model, own) in enumerate(zip(models, _of_each(models, settings), strict=True), start=1):
        into = None if folder is None else folder / f"{k}.nc"
        trees.append(fit(model, **own, about=about, progress=progress, resume=into, workers=workers))
    return together(trees)


def keys_of_models(models: Sequence[Model], settings: Settings) -> list[dict[str, Any]]:
    """What the draws of the fit of one model, or of each of imputed tables, depend on."""
    from glmm_zoo.inference.kept import key_of

    if len(models) == 1:
        return [key_of(models[0], settings)]
    return [
        key_of(model, Settings(**own)) for model, own in zip(models, _of_each(models, asdict(settings)), strict=True)
    ]


def _of_each(models: Sequence[Model], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings of each fit."""
    first = settings.get("seed")
    return [{**settings, "seed": None if first is None else first + k} for k in range(len(models))]


def imputations(tree: xr.DataTree) -> list[xr.DataTree]:
    """The fits of the imputed tables that a fit is of, each whole, with its report; of a fit of one table itself alone."""
    fits = imputations_of(tree)
    return fits if len(fits) == 1 else [with_report(fit) for fit in fits]


# ----------------------------------------------------------------------------------------------------------- the tables


def models_of_tables(
    builder: Builder, tables: Sequence[Any], formula: Any, priors: Mapping[str, str], options: Mapping[str, Any]
) -> list[Model]:
    """The models of the tables, which agree in all but covariates, under one set of priors."""
    if len(tables) < 2:
        raise InputError(f"imputed tables are two or more; {plural(len(tables), 'table')} given")
    build, models = builder.function(), list[Any]()
    for number, table in enumerate(tables, start=1):
        try:
            models.append(
                build(table, formula, priors=priors if not models else priors_by_key(models[0].spec), **options)
            )
        except InputError as err:
            raise InputError(*(f"imputed table {number}: {problem}" for problem in err.problems)) from None
    first = models[0]
    for number, model in enumerate(models[1:], start=2):
        raise_all([f"imputed table {number}{_source(model)}: {problem}" for problem in _disagreements(first, model)])
    if not _imputed_columns(models):
        raise InputError("the imputed tables are all the same, so nothing was imputed; fit one of them")
    return models


def _source(model: Model) -> str:
    source = model.spec["data"]["source"]
    return f" ({source})" if "." in source else ""


def _disagreements(first: Model, model: Model) -> list[str]:
    """What of a table is not as in the first, other than values of covariates."""
    a, b = first.frame, model.frame
    if not np.array_equal(a.row_numbers, b.row_numbers):
        return [
            f"it has {plural(b.rows, 'row')} that can be used and the first has {a.rows}; give all tables the same rows in the same order"
        ]
    problems, covariates = [], _covariates(first)
    for one, other in zip(first.covariates, model.covariates, strict=True):
        if not np.array_equal(one.missing, other.missing):
            return [
                f"{one.column!r} stands in mi() and lacks values in other rows than in the first table; give it the same gaps in all"
            ]
    for name, column in a.columns.items():
        other = b[name]
        if column.kind != other.kind:
            problems.append(
                f"column {name!r} is {other.kind}, and {column.kind} in the first table; write it alike in all"
            )
            continue
        differ = np.flatnonzero(_cells(column) != _cells(other))
        if len(differ) and name not in covariates:
            k = differ[0]
            problems.append(
                f"column {name!r} has {_cells(other)[k]} in {at_rows(b.row_numbers[differ[:1]])} and the first table has {_cells(column)[k]}; only "
                "covariates may differ, not the response, groups, offsets and times: give all tables the same rows in the same order"
            )
    return problems or [*_other_coding(first, model)]


def _cells(column: Column) -> np.ndarray:
    return column.text if column.is_coded else column.values


def _covariates(model: Model) -> set[str]:
    """The columns whose values may differ: those of terms, but no response, grouping factor or column that an option names."""
    names, fixed = set[str](), {str(value) for value in model.spec["options"].values() if isinstance(value, str)}
    for formula in (p.formula for p in model.predictors):
        symbols = [*formula.population, *(s for g in formula.groups for s in g.effects)]
        names |= {c for symbol in symbols if isinstance(symbol, Expression) for c in symbol.columns}
        fixed |= {c for g in formula.groups for c in g.columns} | {c for o in formula.offsets for c in o.columns}
        fixed |= set(formula.response.columns) if formula.response else set()
        fixed |= {c for s in formula.smooths for c in s.columns}
    return names - fixed


def _other_coding(first: Model, model: Model) -> list[str]:
    """Levels that one table lacks, and what a transform learnt from a column that differs: coefficients would be of different things."""
    for p, q in zip(first.predictors, model.predictors, strict=True):
        learnt, other = p.population.learnt, q.population.learnt
        for name, levels in learnt.get("levels", {}).items():
            if levels != other["levels"][name]:
                return [
                    f"column {name!r} has the levels {listing(other['levels'][name], 9)}, and {listing(levels, 9)} in the first table"
                ]
        for name, state in learnt.get("transforms", {}).items():
            if state != other["transforms"].get(name):
                return [
                    f"{name} learns from its column, which differs between the tables; make a column of it in all tables first"
                ]
    return []


def _imputed_columns(models: Sequence[Model]) -> dict[str, np.ndarray]:
    """The columns that differ, with the rows (n,) in which they do."""
    first, *others = (m.frame for m in models)
    found = {
        name: np.logical_or.reduce([_cells(column) != _cells(other[name]) for other in others])
        for name, column in first.columns.items()
    }
    return {name: rows for name, rows in found.items() if rows.any()}


# ------------------------------------------------------------------------------------------------------------- together


def together(trees: Sequence[xr.DataTree]) -> xr.DataTree:
    """One tree of the fits of imputed tables."""
    for tree in trees:
        refuse_imputations(tree, "a fit to pool")
    first, contents = trees[0], [metadata(tree) for tree in trees]
    groups = {name: _joined([tree[name].to_dataset() for tree in trees]) for name in first.children if name != "report"}
    stored = [tree["constant_data"].dataset for tree in trees]
    differing = [
        n for n, v in stored[0].data_vars.items() if any(not np.array_equal(v.values, s[n].values) for s in stored)
    ]
    groups[IMPUTED] = xr.Dataset(
        {
            n: ((IMPUTATION, *stored[0][n].dims), np.stack([s[n].values for s in stored]), stored[0][n].attrs)
            for n in differing
        },
        {IMPUTATION: np.arange(1, len(trees) + 1)},
    )
    whole = xr.DataTree.from_dict(groups)
    write_metadata(whole, _content(contents, [str(stored[0][n].attrs["column"]) for n in differing]))
    return with_report(whole)


def _joined(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Datasets one after the other along the chains; moments beside each other; of what has neither the first."""
    if "statistic" in parts[0].dims:
        return xr.concat(parts, IMPUTATION)
    if "chain" not in parts[0].dims:
        return parts[0]
    chains = parts[0].sizes["chain"]
    whole = xr.concat(
        [part.drop_vars("chain") for part in parts],
        "chain",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="exact",
    )
    number = np.repeat(np.arange(1, len(parts) + 1), chains)
    return whole.assign_coords({"chain": np.arange(chains * len(parts)), IMPUTATION: ("chain", number)})


def _content(contents: Sequence[dict[str, Any]], differing: Sequence[str]) -> dict[str, Any]:
    """The metadata of all fits: those of the first, with what each says of itself; covariates are at their means over all tables."""
    first, samplings = contents[0], [c["sampling"] for c in contents]
    specs = [c["spec"] for c in contents]
    learnt = {
        prefix: {**of, "means": np.mean([s["learnt"][prefix]["means"] for s in specs], axis=0).tolist()}
        for prefix, of in specs[0]["learnt"].items()
    }
    sources = listing(dict.fromkeys(s["data"]["source"] for s in specs), 5)
    note = (
        f"{len(contents)} imputed tables ({sources}), which differ in {listing(map(repr, differing), 9)}: each is fitted by itself under the default "
        "priors of the first, and their draws stand together; checks of the fit to the data, and pictures of raw data, are of the first"
    )
    sampling = samplings[0] | {
        "chains": sum(s["chains"] for s in samplings),
        "finished": [n for s in samplings for n in s["finished"]],
        "gradients": sum(s["gradients"] for s in samplings),
    }
    if "cut_short" in sampling:
        sampling["cut_short"] = any(s["cut_short"] for s in samplings)
    return {
        **first,
        "spec": {**specs[0], "learnt": learnt, "notes": [*specs[0]["notes"], note]},
        "sampling": sampling,
        "seconds": {name: round(sum(c["seconds"][name] for c in contents), 3) for name in first["seconds"]},
        IMPUTATIONS: [
            {
                "spec": {what: s[what] for what in ("data", "learnt", "notes", "given")},
                "sampling": c["sampling"],
                "seconds": c["seconds"],
            }
            for s, c in zip(specs, contents, strict=True)
        ],
    }
