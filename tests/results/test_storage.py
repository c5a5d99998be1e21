"""One file for each fit: nothing is lost on the way, and a damaged file, a full disk or a foreign file is told."""

from __future__ import annotations

import datetime
import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import h5py
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
from glmm_zoo.results import replacement, storage
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


def test_a_file_with_its_digest_is_a_netcdf_file_for_others(tree: xr.DataTree, tmp_path: Path) -> None:
    path = zoo.save(tree, tmp_path / "fit.nc")
    assert path.read_bytes()[-80:-64] == b"glmm_zoo sha256 "
    with xr.open_datatree(path, engine="h5netcdf") as read:
        xr.testing.assert_identical(read["posterior"].to_dataset().load(), zoo.load(path)["posterior"].to_dataset())


def test_a_file_with_its_digest_is_an_hdf5_file(tree: xr.DataTree, tmp_path: Path) -> None:
    with h5py.File(zoo.save(tree, tmp_path / "fit.nc")) as file:
        np.testing.assert_array_equal(file["posterior"]["beta"][...], tree["posterior"]["beta"].values)


def test_mistakes_of_the_caller_are_not_told_as_the_files(tree: xr.DataTree) -> None:
    with pytest.raises(zoo.InputError, match=r"^prob must be a number"):
        zoo.summary(tree, prob="a")  # pyright: ignore[reportArgumentType]
    with pytest.raises(zoo.InputError, match=r"^this is not a fit of glmm_zoo"):
        zoo.check("fit.nc")  # pyright: ignore[reportArgumentType]


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
    with Model(Plan({"data": {}}, main, (), {}, 3, also={"event_row": further})) as model:
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


@pytest.mark.promise("crash")
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


@pytest.mark.parametrize(("later", "opens"), [(0, True), (1, False), (7, False)])
def test_a_file_of_a_later_schema_is_refused_and_our_own_is_not(tmp_path: Path, later: int, opens: bool) -> None:
    written = xr.DataTree.from_dict({"posterior": xr.Dataset({"a": ("draw", [1.0, 2.0])})})
    storage.write_metadata(written, {"spec": {}})
    content = json.loads(written.attrs["glmm_zoo"])
    assert content.pop("schema") == storage.SCHEMA
    written.attrs["glmm_zoo"] = json.dumps({**content, "schema": storage.SCHEMA + later})
    path = zoo.save(written, tmp_path / "fit.nc")
    if opens:
        xr.testing.assert_identical(zoo.load(path), written)
    else:
        told = rf"newer glmm_zoo \(schema {storage.SCHEMA + later}, this one reads {storage.SCHEMA}\); update"
        with pytest.raises(zoo.InputError, match=told):
            zoo.load(path)


@pytest.mark.promise("crash")
def test_a_full_disk_says_how_much_was_needed(
    tree: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = zoo.save(tree, tmp_path / "whole.nc").stat().st_size

    def full_disk(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full_disk)
    told = (
        rf"fit\.nc was not written: No space left on device; it needs {size / 1e6:.1f} MB, and [\d.]+ MB are free there"
    )
    with pytest.raises(OSError, match=told) as stop:
        zoo.save(tree, tmp_path / "fit.nc")
    assert stop.value.errno == errno.ENOSPC and [p.name for p in tmp_path.iterdir()] == ["whole.nc"]


@pytest.mark.promise("crash")
def test_a_file_that_reads_differently_is_not_given_the_name(
    tree: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_byte_changed(descriptor: int) -> None:
        os.pwrite(descriptor, b"\x00", 5000)
        os.pwrite(descriptor, b"\x01", 5001)

    monkeypatch.setattr(storage.os, "fsync", one_byte_changed)
    with pytest.raises(OSError, match="what was read back differs from what was written"):
        zoo.save(tree, tmp_path / "fit.nc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_a_replaced_file_keeps_its_mode(tree: xr.DataTree, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "fit.nc"
    path.write_bytes(b"old")
    path.chmod(mode)
    zoo.save(tree, path, overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == mode and zoo.load(path)


def test_a_new_file_has_the_usual_mode(tree: xr.DataTree, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    path = zoo.save(tree, tmp_path / "fit.nc")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_stays_one(tree: xr.DataTree, tmp_path: Path, exists: bool) -> None:
    (tmp_path / "store").mkdir()
    real, link = tmp_path / "store" / "real.nc", tmp_path / "fit.nc"
    if exists:
        real.write_bytes(b"old")
        real.chmod(0o640)
    link.symlink_to(Path("store") / "real.nc")
    assert zoo.save(tree, link, overwrite=True) == link
    assert link.is_symlink() and not real.is_symlink() and zoo.load(real) and list(tmp_path.rglob("*.partial")) == []
    assert not exists or stat.S_IMODE(real.stat().st_mode) == 0o640


def test_links_that_lead_nowhere_are_told(tree: xr.DataTree, tmp_path: Path) -> None:
    circle, nowhere = tmp_path / "a.nc", tmp_path / "b.nc"
    circle.symlink_to(circle)
    nowhere.symlink_to(tmp_path / "none" / "b.nc")
    with pytest.raises(zoo.InputError, match="is a symbolic link that leads in a circle; remove it"):
        zoo.save(tree, circle, overwrite=True)
    with pytest.raises(zoo.InputError, match="none' does not exist; make it first"):
        zoo.save(tree, nowhere, overwrite=True)
    os.mkfifo(tmp_path / "c.nc")
    with pytest.raises(zoo.InputError, match="is a device or a pipe; give the name of a file"):
        zoo.save(tree, tmp_path / "c.nc", overwrite=True)


@pytest.mark.promise("crash")
def test_leftovers_of_killed_saves_go(tree: xr.DataTree, tmp_path: Path) -> None:
    """But not those of a save that still runs, or of another file."""
    killed, others = tmp_path / ".fit.nc.abcd1234.partial", tmp_path / ".other.nc.abcd1234.partial"
    running = tmp_path / ".fit.nc.abcd5678.partial"
    for path in (killed, others, running):
        path.write_bytes(b"part")
    with open(running, "rb") as file:
        assert replacement._in_use(file)
        zoo.save(tree, tmp_path / "fit.nc")
    assert sorted(p.name for p in tmp_path.iterdir()) == [running.name, others.name, "fit.nc"]
    zoo.save(tree, tmp_path / "fit.nc", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == [others.name, "fit.nc"]


@pytest.mark.promise("crash")
def test_a_save_that_is_killed_leaves_what_the_next_one_sweeps(tree: xr.DataTree, tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from glmm_zoo.results import replacement\n"
        "replacement.os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "replacement.replace_file(Path('fit.nc'), b'new')"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path)
    assert run.returncode == -signal.SIGKILL and len(list(tmp_path.iterdir())) == 1
    zoo.save(tree, tmp_path / "fit.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]


@pytest.mark.parametrize("letter", ["a", "é"])
def test_the_longest_name_can_be_written_and_a_longer_one_is_told(
    tree: xr.DataTree, tmp_path: Path, letter: str
) -> None:
    most = 255 - len("..xxxxxxxx.partial")
    stem = letter * ((most - 3) // len(letter.encode())) + "b" * ((most - 3) % len(letter.encode()))
    assert zoo.save(tree, tmp_path / f"{stem}.nc").exists()
    for name in (f"{stem}b.nc", 400 * letter + ".nc"):
        told = rf"the name '{letter * 20}\.\.\.' has {len(name.encode())} bytes, and at most {most} can be written here; give"
        with pytest.raises(zoo.InputError, match=told):
            storage.check_target(tmp_path / name)
    with pytest.raises(zoo.InputError, match=f"at most {most - 1} can"):
        storage.check_target(tmp_path / f"{stem}.nc", overwrite=True, spare=1)
    with pytest.raises(zoo.InputError, match=r"the path '.*' has .* bytes, and at most 4077 can be written here"):
        storage.check_target(tmp_path / ("/".join(["d" * 200] * 21) + "/f.nc"))
