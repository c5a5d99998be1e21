"""One file for each fit: nothing is lost on the way, and a damaged file, a full disk or a foreign file is told."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pymc as pm
import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo.graph.model import Model
from glmm_zoo.inference.datatree import data_groups
from glmm_zoo.plans.plan import Plan
from glmm_zoo.results import storage
from glmm_zoo.tables.columns import Table
from glmm_zoo.tables.frames import take_columns, take_columns_with_gaps


def test_file_round_trip(tree: xr.DataTree, tmp_path: Path) -> None:
    path = zoo.save(tree, tmp_path / "fit.nc")
    loaded = zoo.load(path)
    for group in set(tree.children) - {"report"}:
        xr.testing.assert_identical(tree[group].to_dataset(), loaded[group].to_dataset())
    pd.testing.assert_frame_equal(zoo.summary(tree), zoo.summary(loaded))
    assert str(zoo.check(loaded)) == str(zoo.check(tree)) == loaded["report"].attrs["verdict"]
    content = json.loads(loaded.attrs["glmm_zoo"])
    assert content["spec"]["formula"] == "y ~ x + (1 + x | site)" and content["sampling"]["seed"] == 3
    assert list(tmp_path.iterdir()) == [path]


def test_tables_come_back_from_a_file(tmp_path: Path) -> None:
    visits = pd.DataFrame({"y": [1.5, 2.0, 0.1], "n/m": [3, 1, 2], "dead": [True, False, True], "arm": ["b", "a", "é"]})
    dates = [datetime.date(2020, 1, 31), None, datetime.date(1999, 12, 1)]
    events = pd.DataFrame(
        {
            "years": [0.5, np.nan, 3.0],
            "n": pd.array([1, 2, None], dtype="Int64"),
            "dead": pd.array([True, None, False], dtype="boolean"),
            "arm": ["", None, "?"],
            "when": dates,
        }
    )
    main = take_columns(visits, list(visits))
    beside = take_columns_with_gaps(pa.table(events), list(events))
    further = Table(beside.columns, 3, "events", row_numbers=np.array([4, 7, 8]))
    with Model(Plan({}, main, (), {}, 3, also={"event_row": further})) as model:
        pm.Normal("y", 0, 1, observed=pm.Data("_y", visits["y"]), dims="row")
    tree = xr.DataTree.from_dict(data_groups(model))
    storage.write_metadata(tree, {"spec": {}})
    loaded = zoo.load(zoo.save(tree, tmp_path / "fit.nc"))
    for one in (tree, loaded):
        assert "event_row:years" in one["constant_data"] and one["constant_data"]["n_m"].attrs["column"] == "n/m"
        back = storage.stored_table(one)
        pd.testing.assert_frame_equal(back, visits, check_names=False)
        assert take_columns(back, list(visits)).sha256() == main.sha256()
        expected = events.assign(n=[1.0, 2.0, np.nan], when=["2020-01-31", None, "1999-12-01"])
        found = storage.stored_table(one, "event_row")
        pd.testing.assert_frame_equal(found, expected.set_index(pd.Index([4, 7, 8], name="event_row")))
    with pytest.raises(zoo.InputError, match=r"no table of 'events'; it has those of row, event_row"):
        storage.stored_table(loaded, "events")


def test_an_existing_file_is_kept(tree: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fit.nc"
    path.write_bytes(b"old")
    with pytest.raises(zoo.InputError, match="exists; use --overwrite"):
        zoo.save(tree, path)

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        zoo.save(tree, path, overwrite=True)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "empty", "foreign"])
def test_a_damaged_file_is_told(tree: xr.DataTree, tmp_path: Path, damage: str) -> None:
    path = zoo.save(tree, tmp_path / "fit.nc")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        middle = len(content) // 2
        content[middle] ^= 0xFF
        path.write_bytes(content)
    elif damage == "foreign":
        xr.DataTree.from_dict({"posterior": xr.Dataset()}).to_netcdf(path, engine="h5netcdf")
    else:
        path.write_bytes(b"" if damage == "empty" else b"hello" * 100)
    with pytest.raises(zoo.InputError, match=r"damaged|not a fit of glmm_zoo"):
        zoo.load(path)
