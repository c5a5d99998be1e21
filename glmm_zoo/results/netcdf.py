"""A DataTree as a NetCDF-4 file, written and read through h5py in a tenth of the time that h5netcdf takes for many small variables.

A NetCDF-4 file is an HDF5 file in which each dimension is a "dimension scale", a dataset that the axes of others refer to: the
coordinate of that name or, where there is none, a dataset without meaning of its own. What is written, every reader of NetCDF opens;
what is read was written here.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import xarray as xr
from xarray.conventions import encode_cf_variable, encode_dataset_coordinates

_ONLY_A_DIMENSION = (
    b"This is a netCDF dimension but not a netCDF variable."  # words of the format, as the next two lines
)
_NO_COORDINATE = (
    "_nc4_non_coord_"  # before the name of a variable that a dimension has too, which it does not lie along
)
_HIDDEN = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_NCProperties"}
_CHECKED = {"fletcher32": True}
_COMPRESSED = {"compression": "gzip", "compression_opts": 1, "shuffle": True, **_CHECKED}


def write_netcdf(tree: xr.DataTree, to: BinaryIO) -> None:
    """Write a file that holds this tree, each array with a checksum, into one that is open for reading and writing.

    Integers are compressed; draws of numbers would take time and gain a tenth.

    Raises
    ------
    OSError
        A full disk.
    """
    output = _Output(to.fileno())
    _write(tree, output)
    if output.error is not None:
        raise output.error


class _Output:
    """A file as HDF5 writes it, which cannot end after an error: on a full disk it goes on in memory, and the error is told in the end."""

    def __init__(self, descriptor: int):
        self.descriptor, self.at = descriptor, 0
        self.error: OSError | None = None
        self.memory = io.BytesIO()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = offset if whence == os.SEEK_SET else self._size() + offset
        return self.at

    def tell(self) -> int:
        return self.at

    def write(self, content: Any) -> int:
        left, at = memoryview(content).cast("B"), self.at
        self.at += len(left)
        try:
            while len(left) and self.error is None:
                written = os.pwrite(self.descriptor, left, at)
                left, at = left[written:], at + written
        except OSError as err:
            self.memory.write(os.pread(self.descriptor, self._size(), 0))
            self.error = err
        if len(left):
            self.memory.seek(at)
            self.memory.write(left)
        return len(memoryview(content).cast("B"))

    def read(self, size: int) -> bytes:
        if self.error is None:
            return os.pread(self.descriptor, size, self.at)
        return bytes(self.memory.getbuffer()[self.at : self.at + size])

    def readinto(self, to: Any) -> int:
        into = memoryview(to).cast("B")
        found = self.read(len(into))
        into[: len(found)] = found
        return len(found)

    def truncate(self, size: int) -> None:
        if self.error is None:
            os.ftruncate(self.descriptor, size)

    def flush(self) -> None:
        """All is written at once."""

    def _size(self) -> int:
        return os.fstat(self.descriptor).st_size if self.error is None else self.memory.getbuffer().nbytes


def _write(tree: xr.DataTree, output: _Output) -> None:
    with h5py.File(output, "w", track_order=True) as file:
        file.attrs["_NCProperties"] = np.bytes_(f"version=2,h5py={h5py.__version__},hdf5={h5py.version.hdf5_version}")
        numbers = itertools.count()
        for node in tree.subtree:
            group = file if node is tree else file.create_group(node.path, track_order=True)
            _write_group(group, node.to_dataset(inherit=node is tree), numbers)


def _write_group(group: h5py.Group, dataset: xr.Dataset, numbers: Iterator[int]) -> None:
    """Write the variables and attributes of a dataset; its dimensions get the next `numbers` of the file."""
    variables, attributes = encode_dataset_coordinates(dataset.drop_encoding())
    _write_attributes(group, attributes)
    arrays, scales = [], {}
    for name, variable in variables.items():
        variable = encode_cf_variable(variable, name=name)
        is_coordinate = variable.dims == (name,)
        lead = _NO_COORDINATE if name in dataset.sizes and not is_coordinate else ""
        array = _write_array(group, f"{lead}{name}", variable.values)
        _write_attributes(array, variable.attrs)
        if is_coordinate:
            scales[name] = array
        else:
            arrays.append((array, variable.dims))
    for name, size in dataset.sizes.items():
        label = str(name).encode()
        if name not in scales:
            scales[name] = group.create_dataset(str(name), (size,), ">f4", maxshape=(size or None,))
            label = _ONLY_A_DIMENSION + b"%10d" % size
        scales[name].make_scale(label)
        scales[name].attrs["_Netcdf4Dimid"] = np.int32(next(numbers))
    for array, dims in arrays:
        for axis, dim in zip(array.dims, dims, strict=True):
            axis.attach_scale(scales[dim])


def _write_array(group: h5py.Group, name: str, values: np.ndarray) -> h5py.Dataset:
    """An array; of a dimension without a length the file says that it may grow, as NetCDF has it."""
    longest = tuple(size or None for size in values.shape) if 0 in values.shape else None
    if values.dtype.kind not in "fiub":
        return group.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype(), maxshape=longest)
    filters: dict[str, Any] = {} if not values.ndim else _CHECKED if values.dtype.kind == "f" else _COMPRESSED
    return group.create_dataset(name, data=values, maxshape=longest, **filters)


def _write_attributes(of: h5py.Group | h5py.Dataset, attributes: Mapping[Any, Any]) -> None:
    for name, value in attributes.items():
        of.attrs[str(name)] = value if isinstance(value, str) else np.atleast_1d(value)


def read_netcdf(path: Path) -> xr.DataTree:
    """The tree in a file that `write_netcdf` wrote, or h5netcdf did for an older version."""
    with h5py.File(path) as file:
        return xr.DataTree.from_dict({name: _read_group(group) for name, group in _groups("/", file)})


def _groups(path: str, group: h5py.Group) -> Iterator[tuple[str, h5py.Group]]:
    """A group and those in it, in the order in which they were written."""
    yield path, group
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            yield from _groups(f"{path}{name}/", item)


def _read_group(group: h5py.Group) -> xr.Dataset:
    attributes = _read_attributes(group)
    variables, coordinates = {}, attributes.pop("coordinates", "").split()
    for name, array in group.items():
        if isinstance(array, h5py.Dataset) and not array.attrs.get("NAME", b"").startswith(_ONLY_A_DIMENSION):
            dims, values, told = _read_array(array)
            coordinates += told.pop("coordinates", "").split()
            variables[name.removeprefix(_NO_COORDINATE)] = dims, values, told
    return xr.Dataset(variables, attrs=attributes).set_coords(coordinates)


def _read_array(array: h5py.Dataset) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    """The dimensions, values and attributes; a coordinate is a scale itself and refers to none."""
    paths = [h5py.h5r.get_name(scales[0], array.file.id) for scales in array.attrs.get("DIMENSION_LIST", ())]
    if array.ndim and not paths:
        paths = [array.name.encode()]
    told = _read_attributes(array)
    told.pop("_FillValue", None)  # NaN, as which it is read
    values = array[()] if array.dtype.kind != "O" else np.asarray(array.asstr()[()], dtype=str)
    if told.pop("dtype", None) == "bool":
        values = values.astype(bool)
    return [path.decode().rpartition("/")[-1] for path in paths], values, told


def _read_attributes(of: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    found = {name: of.attrs[name] for name in of.attrs if name not in _HIDDEN}
    return {name: value[0] if np.shape(value) == (1,) else value for name, value in found.items()}
