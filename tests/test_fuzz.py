"""Odd tables, fit files and environments: a model, a result, or one sentence says what is wrong; no warning of a library."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_registry_options
import xarray as xr
from test_registry_options import planned_or_raise

import glmm_zoo as zoo
from glmm_zoo import registry
from glmm_zoo.errors import InputError, ZooWarning

stop_at_the_graph = test_registry_options.stop_at_the_graph
ODD_VALUES: dict[str, Any] = {
    "0": 0, "nan": np.nan, "None": None, "inf": np.inf, "text": "a", "blank": "", "large": 1e300, "small": 1e-300, "denormal": 5e-324,
    "bool": True, "date": pd.Timestamp("2020-01-01"), "object": object(), "complex": 1j, "bytes": b"a",
}  # fmt: skip
SCALES = (1e-308, 1e-300, 1e-160, 1e-100, 1e-10, -1, 1e10, 1e100, 1e160, 1e300)
ONE_CELL = (1e300, 1e-300, np.inf, 10**400)


def odd_tables(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The table with few rows, without columns, and with each column odd in each way."""
    for rows in range(4):
        yield f"{rows} rows", table.iloc[:rows]
    yield "no columns", table[[]]
    yield "columns twice", pd.concat([table, table], axis=1)
    for name in table:
        for said, value in ODD_VALUES.items():
            yield f"{name} all {said}", table.assign(**{str(name): value})
        yield f"{name} a list", table.assign(**{str(name): [[1]] * len(table)})
        yield f"no {name}", table.drop(columns=name)
        yield f"{name} constant", table.assign(**{str(name): table[name].iloc[0]})
        if table[name].dtype.kind in "if":
            for scale in SCALES:
                with np.errstate(all="ignore"):
                    yield f"{name} x {scale:g}", table.assign(**{str(name): table[name] * scale})
            for value in ONE_CELL:
                cells = [value, *table[name].iloc[1:]]
                yield f"{name} one {value!r:.9}", table.assign(**{str(name): cells})


@pytest.mark.parametrize("builder", registry.builders())
def test_odd_tables_are_planned_or_told(builder: str, stop_at_the_graph: None) -> None:
    tables = test_registry_options._CALLS.get(builder, test_registry_options._ONE)[0]
    cases = [(i, *case) for i, table in enumerate(tables) for case in odd_tables(table)]
    assert stop_at_the_graph is None
    for k in np.random.default_rng(len(builder)).permutation(len(cases))[:150]:
        i, said, odd = cases[k]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", ZooWarning)
            try:
                planned_or_raise(builder, [*tables[:i], odd, *tables[i + 1 :]])
            except InputError as err:
                assert all(len(problem) < 1000 for problem in err.problems), said
            except Exception as err:
                raise AssertionError(f"{builder}: table {i} with {said}") from err


@pytest.mark.parametrize("column", ["y", "x"])
@pytest.mark.parametrize(("largest", "taken"), [(1.01e50, False), (1e50, True), (1e-50, True), (0.99e-50, False)])
def test_the_largest_number_of_a_column_has_limits(
    column: str, largest: float, taken: bool, stop_at_the_graph: None
) -> None:
    table = test_registry_options._table()
    table[column] *= largest / table[column].abs().max()
    if taken:
        assert planned_or_raise("hierarchical_linear", [table])
    else:
        told = rf"column '{column}' has numbers up to {largest:g} in size \(row \d+\), and .* between 1e-50 and 1e\+50"
        with pytest.raises(InputError, match=told.replace("1e+", r"1e\+").replace("e+50 in", r"e\+50 in")):
            planned_or_raise("hierarchical_linear", [table])


def test_ids_beyond_whole_numbers_of_64_bits_stay_apart(stop_at_the_graph: None) -> None:
    from glmm_zoo.tables.frames import take_columns

    table = take_columns(pd.DataFrame({"id": [2.0**63, 2.0**64, 3.0]}), ["id"])
    assert table["id"].codes_and_levels()[1] == ("3", str(2**63), str(2**64))


# ------------------------------------------------------------------------------------------------------------ fit files


@pytest.fixture(scope="module")
def fit() -> xr.DataTree:
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"y": rng.normal(size=24), "x": rng.normal(size=24), "g": np.repeat(list("abcdefgh"), 3)})
    model = zoo.hierarchical_linear(table, "y ~ x + (1 | g)")
    return zoo.fit(model, draws=20, tune=50, chains=2, seed=1, progress=False)


def with_group(tree: xr.DataTree, group: str, dataset: xr.Dataset | None) -> xr.DataTree:
    groups = {name: tree[name].dataset for name in tree.children}
    made = xr.DataTree.from_dict({**groups, group: dataset} if dataset is not None else groups)
    if dataset is None:
        del made[group]
    made.attrs = dict(tree.attrs)
    return made


def changed_datasets(data: xr.Dataset) -> Iterator[tuple[str, xr.Dataset | None]]:
    yield "gone", None
    yield "empty", xr.Dataset()
    for name, v in data.data_vars.items():
        yield f"without {name}", data.drop_vars(str(name))
        yield f"{name} text", data.assign({name: (v.dims, np.full(v.shape, "a"), v.attrs)})
        yield f"{name} of no dimension", data.assign({name: ((), 1.0)})
        yield f"{name} of other dimensions", data.assign({name: (list("pqrs")[: v.ndim], v.values)})
        yield f"{name} without attributes", data.assign({name: (v.dims, v.values)})
        if v.dtype.kind == "f":
            yield f"{name} nan", data.assign({name: v * np.nan})
            yield f"{name} infinite", data.assign({name: v * 0 + np.inf})
    for dim in data.dims:
        yield f"half of {dim}", data.isel({dim: slice(data.sizes[dim] // 2)})
        yield f"nothing of {dim}", data.isel({dim: slice(0)})
        yield f"no labels of {dim}", data.drop_vars(str(dim), errors="ignore")


def changed_metadata(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    def put(key: str, value: Any, part: str | None) -> dict[str, Any]:
        changed = copy.deepcopy(content)
        (changed if part is None else changed[part])[key] = value
        return changed

    for part in (None, "spec", "sampling"):
        inside = content if part is None else content[part]
        for key in inside:
            without = copy.deepcopy(content)
            del (without if part is None else without[part])[key]
            yield f"without {part}.{key}", without
            for value in (None, "a", 3, [], {}):
                yield f"{part}.{key} = {value!r}", put(key, value, part)
    for value in ([], None, "a", 1.5, {}):
        yield f"all {value!r}", value


def read_or_told(said: str, read: Callable[[xr.DataTree], Any], tree: xr.DataTree) -> None:
    try:
        read(tree)
    except InputError as err:
        assert all(len(p) < 1000 for p in err.problems), said
    except Exception as err:
        raise AssertionError(f"{read}: {said}") from err


READERS: tuple[Callable[[xr.DataTree], Any], ...] = (
    zoo.check,
    lambda tree: zoo.summary(tree, group_effects=True),
    zoo.findings,
    lambda tree: zoo.hypotheses(tree, "Intercept > 0"),
    lambda tree: zoo.dynamic_prediction(tree, landmark=1, times=[2]),
)


@pytest.mark.parametrize("group", ["posterior", "sample_stats", "observed_data", "constant_data", "report"])
@pytest.mark.filterwarnings("ignore")
def test_a_fit_that_was_changed_is_read_or_told(fit: xr.DataTree, group: str) -> None:
    for said, data in changed_datasets(fit[group].dataset):
        for read in READERS:
            read_or_told(f"{group} {said}", read, with_group(fit, group, data))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_metadata_that_were_changed_are_read_or_told(fit: xr.DataTree) -> None:
    for said, content in changed_metadata(json.loads(fit.attrs["glmm_zoo"])):
        tree = fit.copy()
        tree.attrs = {"glmm_zoo": json.dumps(content)}
        for read in READERS:
            read_or_told(said, read, tree)
