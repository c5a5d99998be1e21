"""Estimates as files of their own, and inside the file of a fit: group `estimands` with one group for each question.

The names of variables and attributes are part of the file format.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, check_kind
from glmm_zoo.formulas.names import not_a_plain_word, variable_name
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.paper_table import PaperTable
from glmm_zoo.results.replacement import replace_file
from glmm_zoo.results.report.estimates_text import estimates_as_text
from glmm_zoo.results.storage import check_target, column_variable, metadata, read_column
from glmm_zoo.results.table_forms import FORMS, check_ending
from glmm_zoo.results.whole_fit import of_a_whole_fit
from glmm_zoo.tables.columns import Column

GROUP = "estimands"


# --------------------------------------------------------------------------------------------------------------- files


def write_estimates(estimates: Estimates, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write estimates to a file in the form that its ending says, and return its path.

    .csv is the table with all digits. .tex (for the package booktabs), .docx, .html and .md are for readers: the sentence and
    the medians with their intervals, with as many digits as they are sure of. .nc is a NetCDF file with the draws, the table and the sentence.

    Raises
    ------
    InputError
        Another ending, or a target that cannot be written (see `check_estimates_target`).
    OSError
        A full disk; an older file of that name is then as it was.
    """
    check_kind("write_estimates", estimates, "Estimates")
    path = check_estimates_target(path, overwrite=overwrite)
    replace_file(path, _FORMS[path.suffix.lower()](estimates))
    return path


def check_estimates_target(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """The path, when estimates can be written there.

    Raises
    ------
    InputError
        An ending for which there is no form, and all that `check_target` refuses.
    """
    check_ending(path, _FORMS)
    return check_target(path, overwrite=overwrite)


def _csv(estimates: Estimates) -> bytes:
    return estimates.table.to_csv(index=False).encode()


def _netcdf(estimates: Estimates) -> bytes:
    return bytes(_as_dataset(estimates).to_netcdf(None, engine="h5netcdf"))  # pyright: ignore[reportArgumentType]


def _as_text(form: Callable[[PaperTable], bytes]) -> Callable[[Estimates], bytes]:
    return lambda estimates: form(estimates_as_text(estimates))


_FORMS: dict[str, Callable[[Estimates], bytes]] = {
    ".csv": _csv,
    **{ending: _as_text(form) for ending, form in FORMS.items()},
    ".nc": _netcdf,
}


# ------------------------------------------------------------------------------------------------------- inside a fit


def check_name(name: str) -> None:
    """Refuse a name under which estimates cannot be stored.

    Raises
    ------
    InputError
        A name that is no plain word.
    """
    if wrong := not_a_plain_word(name):
        raise InputError(f"the name of stored estimates {wrong}")


def store_estimates(tree: xr.DataTree, name: str, estimates: Estimates) -> xr.DataTree:
    """The fit with the estimates as its group `estimands/<name>`, in place of what had that name; `save` writes them with it.

    Raises
    ------
    InputError
        A tree that is no fit; a name that is no plain word.
    """
    metadata(tree)  # an error where the tree is not a fit
    check_name(name)
    stored = tree[GROUP].children if GROUP in tree.children else {}
    datasets = {**{key: node.to_dataset() for key, node in stored.items()}, name: _as_dataset(estimates)}
    return tree.assign({GROUP: xr.DataTree.from_dict(datasets)})


@of_a_whole_fit
def stored_estimates(tree: xr.DataTree) -> dict[str, Estimates]:
    """The estimates that a fit carries, by name."""
    stored = tree[GROUP].children if GROUP in tree.children else {}
    return {name: _of_dataset(node.to_dataset()) for name, node in stored.items()}


def _as_dataset(estimates: Estimates) -> xr.Dataset:
    """Draws `value` and each column of the table, those that say what an estimate is as coordinates; the sentence as attribute."""
    variables: dict[str, xr.Variable] = {
        "value": estimates.draws["value"].variable,
        "scale": xr.Variable("estimate", np.array(estimates.scales, object)),
    }
    coordinates = []
    for column in map(str, estimates.table):
        name = variable_name(column).replace(" ", "_")  # NetCDF lists coordinates with spaces between
        while name in variables:
            name += "_"
        variables[name] = column_variable(_as_column(estimates.table[column]), "estimate")
        coordinates += [name] if column in estimates.of else []
    attrs = {"sentence": estimates.sentence, **estimates.draws.attrs}
    return xr.Dataset(variables, attrs=attrs).set_coords(coordinates)


def _as_column(values: pd.Series) -> Column:
    """A column of the table: numbers and logicals as they are, all else as text."""
    name, missing = str(values.name), values.isna().to_numpy()
    if values.dtype.kind in "iufb":
        numbers = values.to_numpy(float, na_value=np.nan) if missing.any() else values.to_numpy()
        return Column(name, "logical" if numbers.dtype == bool else "number", numbers, missing)
    text = pd.Categorical(values if isinstance(values.dtype, pd.CategoricalDtype) else values.astype(str))
    return Column(name, "text", text.codes, missing, tuple(map(str, text.categories)), bool(text.ordered))


def _of_dataset(stored: xr.Dataset) -> Estimates:
    coordinates, others = (
        {
            v.attrs["column"]: read_column(v)
            for name, v in variables.items()
            if v.dims == ("estimate",) and name != "scale"
        }
        for variables in (stored.coords, stored.data_vars)
    )
    table = pd.DataFrame({**coordinates, **others})
    draws = stored["value"].transpose("chain", "draw", "estimate").values
    scales = stored["scale"].values.tolist() if "scale" in stored else None  # files of older versions
    prob = stored.attrs.get("prob")
    return Estimates.of_table(table, list(coordinates), draws, stored.attrs["sentence"], scales=scales, prob=prob)
