"""One NetCDF file for each fit: what it says of itself, the tables it used, and how it is written and read.

A DataTree is written to a hidden file beside the target, synced, read back, and only then
renamed: a crash or a full disk leaves the old file or the new one, never half of either. A digest of the file stands behind its
end, beside the checksums of its arrays, so a damaged file is found out when it is read. The keys of the metadata and the names of groups, variables and attributes are
the file format: a file that was written before must be read, so they stay as they are.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError, listing, not_a_fit
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.formulas.names import prefix_within, variable_name
from glmm_zoo.results.once import once
from glmm_zoo.results.parts import discard_parts_of
from glmm_zoo.results.replacement import PARTIAL, matches_digest, replace_file_by
from glmm_zoo.tables.level_tables import LevelTable, with_level_tables
from glmm_zoo.tables.memory import memory_ran_out

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from glmm_zoo.tables.columns import Column

SCHEMA = 1
ATTRIBUTE = "glmm_zoo"
EFFECT_DRAWS = "group_effect_draws"  # the group of draws of group effects where not all are kept
READ_LATER = 8e6  # bytes of an array that is read only when it is asked for, in files longer than this
_LONGEST_PATH = 4095  # bytes


# ------------------------------------------------------------------------------------------------------------ metadata


def metadata(tree: xr.DataTree) -> dict[str, Any]:
    """What a fit says of itself, by the keys of the file format: "schema", "spec" (model, data, priors), "sampling",
    "seconds", "created", "versions", "machine".

    Raises
    ------
    InputError
        When the tree is not a fit of this zoo.
    """
    text = getattr(tree, "attrs", {}).get(ATTRIBUTE)
    if not isinstance(text, str):
        raise InputError(not_a_fit(tree))
    return once(("metadata", text), tree, lambda: _parsed(text))


def _parsed(text: str) -> dict[str, Any]:
    content: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(text)
    content = content if isinstance(content, dict) else {}
    schema = content.get("schema", SCHEMA)
    if type(schema) is not int or schema < 1 or not isinstance(content.get("spec"), dict):
        raise InputError(
            "this is not a fit of glmm_zoo: its 'glmm_zoo' attribute says something else; sample with zoo.fit(model)"
        )
    return content


def write_metadata(tree: xr.DataTree, content: Mapping[str, Any]) -> None:
    """Make `content` the metadata of a tree, with the version of the file format beside it."""
    tree.attrs[ATTRIBUTE] = json.dumps({"schema": SCHEMA, **content}, ensure_ascii=False)


def outcome_specs(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a spec that describes each outcome, by the prefix of its variables; one outcome has the prefix ""."""
    return spec.get("outcomes", {"": spec})


def against_reference(spec: Mapping[str, Any], predictor: str) -> str:
    """ "car against bus" of the linear predictor of an unordered category; "" of others."""
    for prefix, of in outcome_specs(spec).items():
        if of.get("family") in FAMILIES and FAMILIES[of["family"]].choice == "reference":
            reference, *others = of["levels"]
            for level in others:
                if prefix_within(prefix, variable_name(level)) == predictor:
                    return f"{level} against {reference}"
    return ""


def outcome_formulas(spec: Mapping[str, Any]) -> list[str]:
    """The formula of each outcome; in the spec they stand one after the other, cut by ";" outside of quotes."""
    return [part.strip() for part in re.findall(r"""(?:`[^`]*`|"[^"]*"|'[^']*'|[^;`"'])+""", spec["formula"])]


def groups_of_outcomes(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What the spec says of each group of effects on outcomes, and not on covariates with missing values, by its key."""
    covariates = spec.get("covariates", {})
    return {name: g for name, g in spec["groups"].items() if not set(g["predictors"]) & set(covariates)}


def random_effect_variables(spec: Mapping[str, Any]) -> set[str]:
    """The variables of random effects: group effects, also those at means, weights of smooths and of the baseline hazard, and
    missing values of covariates."""
    weights = [*(smooth["weights"] for smooth in spec["smooths"]), *spec.get("event", {}).get("weights", ())]
    effects = (name for group in spec["groups"].values() for name in (group["u"], group.get("at_means", {}).get("u")))
    parts = ("coordinates", "unstructured")
    coordinates = (group.get("structure", {}).get(part) for group in spec["groups"].values() for part in parts)
    unknowns = (covariate["unknown"] for covariate in spec.get("covariates", {}).values() if covariate["missing"])
    return {*filter(None, (*effects, *coordinates)), *weights, *unknowns}


def posterior_with_effects(tree: xr.DataTree) -> xr.Dataset:
    """The posterior with its group effects: where not all draws of these are kept, of those that are alone."""
    posterior = tree["posterior"].to_dataset()
    if EFFECT_DRAWS not in tree.children:
        return posterior
    effects = tree[EFFECT_DRAWS].to_dataset().rename(effect_draw="draw")
    return posterior.isel(draw=effects["draw"].values).assign(effects.data_vars)


def sd_at_means(group: Mapping[str, Any]) -> str:
    """The variable of a group's standard deviations at the means of its slopes' columns; at zero where there is no other."""
    return group.get("at_means", {}).get("sd", group["sd"])


def stratum_of(group: Mapping[str, Any], inside: str) -> tuple[str, str]:
    """The level of the column by which a group's covariances differ and what follows it: "a" and "Intercept" of "a, Intercept"; "" and
    all of it where they do not differ."""
    levels = group["by"]["levels"] if "by" in group else ()
    stratum = max((level for level in levels if inside.startswith(f"{level}, ")), key=len, default="")
    return stratum, inside.removeprefix(f"{stratum}, ")


def reported_variables(posterior: xr.Dataset, spec: Mapping[str, Any]) -> list[str]:
    """The variables of the posterior that are parameters and do not only carry others, in its order."""
    at_means = [group.get("at_means", {}).get(what) for group in spec["groups"].values() for what in ("sd", "corr")]
    return [str(n) for n in posterior.data_vars if n in at_means or n not in spec["auxiliary"]]


# -------------------------------------------------------------------------------------------------------------- tables


def column_variable(column: Column, dim: str) -> xr.Variable:
    """A column as group `constant_data` keeps it along `dim`.

    Its attributes are the column's name and kind; of text also what stands for a missing value, and as JSON the levels where
    their order was declared or is not the alphabetical one.
    """
    import xarray as xr

    attributes = {"column": column.name, "kind": column.kind}
    if column.kind in ("text", "date"):
        absent = next("?" * n for n in itertools.count() if "?" * n not in column.levels)  # "" where that is no value
        if column.ordered or list(column.levels) != sorted(column.levels):
            attributes["ordered" if column.ordered else "levels"] = json.dumps(column.levels)
        return xr.Variable(dim, np.where(column.missing, absent, column.text), {**attributes, "missing": absent})
    values = np.where(column.missing, np.nan, column.values) if column.missing.any() else column.values
    return xr.Variable(dim, values, attributes)


def stored_table(tree: xr.DataTree, dim: str = "row") -> pd.DataFrame:
    """The columns of a table that a fit used, as they were read; its index is their rows in the source, from 0.

    Text is str, or categorical where the order of its levels was declared, and dates are written as the labels of their levels
    are; numbers and logicals are such. What was missing is missing.

    Parameters
    ----------
    dim
        The dimension of its rows: "row" for the main table.

    Raises
    ------
    InputError
        A dimension that is not that of a table.
    """
    return once(("table", dim), tree, lambda: _read_table(tree, dim))


def _read_table(tree: xr.DataTree, dim: str) -> pd.DataFrame:
    import pandas as pd

    stored = tree["constant_data"].dataset
    columns = {v.attrs["column"]: read_column(v) for v in stored.data_vars.values() if v.dims == (dim,)}
    if not columns:
        tables = dict.fromkeys(str(d) for v in stored.data_vars.values() for d in v.dims)
        raise InputError(f"this fit has no table of {dim!r}; it has those of {listing(tables)}")
    return pd.DataFrame(columns).set_index(pd.Index(stored[dim].values, name=dim))


def level_table_variables(table: LevelTable) -> dict[str, xr.Variable]:
    """A table of numbers between levels as group `constant_data` keeps it, by the names there; of a list of neighbours the pairs, and the
    levels beside them."""
    import xarray as xr

    values, name, level = table.values, f"table:{table.name}", f"level:{table.name}"
    attributes = {"table": table.name, "source": table.source}
    if table.is_list:
        pairs = xr.Variable((f"pair:{table.name}", f"end:{table.name}"), values.astype(np.int32), attributes)
        return {name: pairs, f"levels:{table.name}": xr.Variable(level, np.array(table.levels))}
    whole = np.array_equal(values, values.astype(np.int8))  # an adjacency is 64 times smaller on disk
    attributes["levels"] = json.dumps(table.levels)
    return {name: xr.Variable((level, f"{level}_bis"), values.astype(np.int8) if whole else values, attributes)}


def stored_level_tables(tree: xr.DataTree) -> dict[str, LevelTable]:
    """The tables of numbers between levels that a fit used, by name."""
    stored = tree["constant_data"].dataset
    return {v.attrs["table"]: _level_table(stored, v) for v in stored.data_vars.values() if "table" in v.attrs}


def _level_table(stored: xr.Dataset, variable: xr.DataArray) -> LevelTable:
    name, source, levels = (variable.attrs.get(key) for key in ("table", "source", "levels"))
    if levels is None:
        labels = stored[f"levels:{name}"].values
        return LevelTable(str(name), str(source), tuple(map(str, labels)), variable.values.astype(np.int64))
    return LevelTable(str(name), str(source), tuple(json.loads(levels)), variable.values.astype(np.float64))


def stored_data(tree: xr.DataTree) -> Any:
    """The main table with the tables beside it, as a builder takes them."""
    return with_level_tables(stored_table(tree), stored_level_tables(tree))


def read_column(variable: xr.DataArray) -> pd.Series:
    """The inverse of `column_variable`."""
    import pandas as pd

    if variable.attrs["kind"] in ("text", "date"):
        text = pd.Series(variable.values.astype(str))
        text = text.mask(text == variable.attrs["missing"])
        declared = next((variable.attrs[k] for k in ("ordered", "levels") if k in variable.attrs), None)
        if declared is None:
            return text
        return text.astype(pd.CategoricalDtype(json.loads(declared), ordered="ordered" in variable.attrs))
    values = pd.Series(variable.values)
    return values.astype("boolean") if variable.attrs["kind"] == "logical" and values.dtype != bool else values


# --------------------------------------------------------------------------------------------------------------- files


def check_target(path: str | os.PathLike[str], *, overwrite: bool = False, spare: int = 0) -> Path:
    """The path, when a file can be written there; asked before hours of sampling rather than after.

    `spare` is how many bytes longer than the file's own name a name beside it may become.

    Raises
    ------
    InputError
        A name that is too long, a folder that is not there or cannot be written, a path that is a folder or a device, an
        existing file.
    """
    path = Path(path)
    _check_length(path, spare)
    real = Path(os.path.realpath(path))  # where a symbolic link leads
    if real.is_symlink():
        raise InputError(
            f"out: {str(path)!r} is a symbolic link that leads in a circle; remove it, or give another name"
        )
    if real.is_dir():
        raise InputError(f"out: {str(path)!r} is a folder; give a file name, for example {str(path / 'fit.nc')!r}")
    if real.exists() and not real.is_file():
        raise InputError(f"out: {str(path)!r} is a device or a pipe; give the name of a file")
    if not real.parent.is_dir():
        folder = path.parent if real == path.absolute() or not path.is_symlink() else real.parent
        raise InputError(f"out: folder {str(folder)!r} does not exist; make it first")
    if real.exists() and not overwrite:
        raise InputError(f"out: {str(path)!r} exists; use --overwrite (overwrite=True) to replace it, or another name")
    try:
        descriptor, probe = tempfile.mkstemp(prefix=f".{real.name}.", suffix=PARTIAL, dir=real.parent)
        os.close(descriptor)
        os.unlink(probe)
    except OSError as err:
        raise InputError(f"out: folder {str(path.parent)!r} cannot be written to: {err.strerror}") from None
    return path


def _check_length(path: Path, spare: int) -> None:
    """Refuse a name, or a path, beside which the hidden file that is written first would have too long a name."""
    try:
        most_of_name = os.pathconf(_first_folder(path), "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        most_of_name = 255
    spare += len(f"..{8 * 'x'}{PARTIAL}")
    real = os.path.realpath(path)
    texts = (
        ("name", path.name, most_of_name),
        ("name", os.path.basename(real), most_of_name),
        ("path", real, _LONGEST_PATH),
    )
    for what, text, most in texts:
        length = len(os.fsencode(text))
        if length > most - spare:
            raise InputError(
                f"out: the {what} {text[:20] + '...'!r} has {length} bytes, and at most {most - spare} can be written here; "
                "give a shorter one"
            )


def _first_folder(path: Path) -> Path:
    """The nearest folder above a path that exists."""
    return next((p for p in path.absolute().parents if os.path.isdir(p)), Path())


def save(tree: xr.DataTree, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a fit to a NetCDF file and return its path.

    A file that is replaced keeps its mode, and a symbolic link to it stays one. Chains that the fit kept beside it are removed.

    Raises
    ------
    InputError
        A target that cannot be written (see `check_target`).
    OSError
        A full disk; an older file of that name is then as it was.
    """
    path = check_target(path, overwrite=overwrite)
    told = metadata(tree)
    from glmm_zoo.results.netcdf import write_netcdf  # not needed to check a target before a fit, and slow to import

    replace_file_by(path, lambda file: write_netcdf(tree, file), tree.nbytes)
    if is_finished(told):
        discard_parts_of(path, keys_of(told))
    return path


def is_finished(content: Mapping[str, Any]) -> bool:
    """Whether no signal kept the fit from draws that it would have made."""
    sampling = content.get("sampling", {})
    return not (sampling.get("interrupted") or sampling.get("cut_short"))


def keys_of(content: Mapping[str, Any]) -> list[Any]:
    """What the draws depend on, of each imputed table; of a fit that kept no chains there is none."""
    samplings = [part.get("sampling", {}) for part in content.get("imputations", [content])]
    return [sampling["key"] for sampling in samplings if "key" in sampling]


def load(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a fit, its large arrays when they are asked for; without such arrays the file is closed again.

    Raises
    ------
    InputError
        A file that is not there, is damaged, or is not a fit of this zoo.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder; give the .nc file in it")
    if not path.exists():
        raise InputError(f"file {str(path)!r} does not exist")
    if not path.is_file():
        raise InputError(f"{str(path)!r} is a device or a pipe; give the name of a file")
    proven = matches_digest(path)
    if proven is False:
        raise InputError(f"{path} is damaged: it differs from what was written; fit again")
    try:
        if proven and path.stat().st_size <= READ_LATER:
            from glmm_zoo.results.netcdf import read_netcdf

            tree = read_netcdf(path)
        else:
            tree = _opened(path, READ_LATER if proven else np.inf)
    except Exception as err:  # damage can surface anywhere in the libraries that read
        if memory_ran_out(err):
            raise
        said = (str(err).splitlines() or [type(err).__name__])[0]
        raise InputError(f"{path} is damaged or not a NetCDF file: {said[:100]}; fit again") from None
    try:
        schema = metadata(tree)["schema"]
    except InputError:
        raise InputError(f"{path} is not a fit of glmm_zoo; fit a model with zoo.fit or glmm-zoo fit") from None
    if schema > SCHEMA:
        raise InputError(f"{path} was written by a newer glmm_zoo (schema {schema}, this one reads {SCHEMA}); update")
    return tree


def _opened(path: Path, most: float) -> xr.DataTree:
    """The tree in any NetCDF file, its arrays of so many bytes at most read; without larger ones the file is closed again."""
    import xarray as xr

    tree = xr.open_datatree(path, engine="h5netcdf")
    variables = [v for node in tree.subtree for v in node.dataset.variables.values()]
    small = [v.load() for v in variables if v.nbytes <= most]
    if len(small) == len(variables):
        tree.close()
    return tree
