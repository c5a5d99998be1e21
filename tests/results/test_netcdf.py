"""What is written is the NetCDF that xarray's own writer would have made, and what is read what xarray reads."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from glmm_zoo.results import netcdf


def awkward() -> xr.DataTree:
    """Every kind of variable and attribute that a fit may have, and groups within groups."""
    draws = xr.Dataset(
        {
            "zeta": (
                ("chain", "draw"),
                np.array([[0.1, np.nan, -np.inf], [1.5, 2.0, 3e300]]),
                {"unit": "kg/m²", "n": 3},
            ),
            "alpha": (("chain", "draw", "part"), np.arange(12).reshape(2, 3, 2)),
            "single": ("draw", np.array([1, 2, np.nan], np.float32)),
            "diverging": (("chain", "draw"), np.array([[True, False, False], [True, True, False]])),
            "one": 2.5,
            "place": ("draw", ["", "é", "a longer text"]),  # a dimension, which it does not lie along
            "at_place": ("place", np.array([7, 8], np.int8)),
        },
        {"chain": [0, 1], "draw": [0, 5, 10], "level": ("part", ["b", "a"]), "second": ("part", [1.0, 2.0])},
    )
    empty = xr.Dataset({"p": ("row", np.empty(0)), "words": ("row", np.empty(0, str))}, {"row": np.empty(0, int)})
    sizes = xr.Dataset({"of": ("size", [1, 2])}, attrs={"title": "x", "values": np.array([1.0, 2.0]), "sound": 1})
    tree = xr.DataTree.from_dict(
        {"draws": draws, "report/sizes": sizes, "report/empty": empty, "nothing": xr.Dataset()}
    )
    tree.attrs["glmm_zoo"] = "é" * 100_000  # longer than HDF5 keeps beside an object
    return tree


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "a.nc"
    with path.open("w+b") as file:
        netcdf.write_netcdf(awkward(), file)
    return path


def assert_same(found: xr.DataTree, expected: xr.DataTree) -> None:
    """Values, attributes, the order of groups and variables, and their types."""
    xr.testing.assert_identical(found, expected)
    assert found.groups == expected.groups
    for node in expected.subtree:
        types = {
            name: v.dtype.kind + str(v.dtype.itemsize * (v.dtype.kind != "U")) for name, v in node.variables.items()
        }
        same = found[node.path].variables
        assert {n: v.dtype.kind + str(v.dtype.itemsize * (v.dtype.kind != "U")) for n, v in same.items()} == types
        assert list(found[node.path].data_vars) == list(node.data_vars)


def test_others_read_what_was_written(path: Path) -> None:
    with xr.open_datatree(path, engine="h5netcdf") as found:
        assert_same(found.load(), awkward())


def test_what_was_written_is_read(path: Path) -> None:
    assert_same(netcdf.read_netcdf(path), awkward())


def test_what_xarray_wrote_is_read(tmp_path: Path) -> None:
    awkward().to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    assert_same(netcdf.read_netcdf(tmp_path / "b.nc"), awkward())


def test_arrays_have_checksums_and_integers_are_compressed(path: Path) -> None:
    with xr.open_datatree(path, engine="h5netcdf") as found:
        filters = {str(name): v.encoding for name, v in found["draws"].variables.items()}
    assert all(filters[name]["fletcher32"] for name in ("zeta", "alpha", "single", "diverging", "chain"))
    assert filters["alpha"]["zlib"] and filters["alpha"]["shuffle"] and not filters["zeta"].get("zlib")


@pytest.mark.parametrize("writes", [0, 1, 7, 60])
def test_a_disk_that_is_full_at_any_write_is_told(writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 would end in a crash; a few bytes of the write at which the disk is full are still written."""
    made, write = itertools.count(), os.pwrite

    def almost_full(descriptor: int, content: memoryview, at: int) -> int:
        if (n := next(made)) < writes:
            return write(descriptor, content, at)
        if n == writes and len(content) > 8:
            return write(descriptor, content[:5], at)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(netcdf.os, "pwrite", almost_full)
    with (tmp_path / "b.nc").open("w+b") as file, pytest.raises(OSError, match="No space left") as stop:
        netcdf.write_netcdf(awkward(), file)
    assert stop.value.errno == errno.ENOSPC
