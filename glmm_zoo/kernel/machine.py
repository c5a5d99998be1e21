"""LLVM compiles the code for this processor; what was compiled is kept in the user's cache folder for the next process."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from glmm_zoo.kernel.emit import FIRST_SLOT, Store, emit
from glmm_zoo.kernel.expression import Expressions, Node

_CALL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, *[ctypes.c_void_p] * 4)
_KEPT_FILES = 400  # compiled functions of 10 to 100 kB in the cache folder; beyond it the oldest go
_AT_A_TIME = 16  # threads that can run one function


class Program:
    """A compiled function of x (n,): `stores` of its expressions into a vector `out`, and a `value`.

    `order` permutes the elements of domains by their size, where the order does not enter the result. `address` and `table` are what foreign callers need: `long run(long n, double *x, double *out, double *value, table)`.
    """

    def __init__(
        self,
        E: Expressions,
        stores: Sequence[Store],
        value: Node | None,
        parts: Sequence[int],
        outs: Sequence[int],
        order: Mapping[int, np.ndarray] | None = None,
    ):
        code = emit(E, stores, value, _lanes())
        self._engine, self.address = _compiled(code.text)
        lengths = np.array([8 * n for n in code.scratch], dtype=np.int64)
        aligned = (lengths + 63) // 64 * 64
        begins = np.concatenate([[0], np.cumsum(aligned)])
        many = min(_AT_A_TIME, 2 * (os.cpu_count() or 1))
        scratch = np.empty(many * int(begins[-1]) + 64, dtype=np.uint8)
        base = -(-scratch.ctypes.data // 64) * 64
        numbers, locks = np.array([*code.numbers, 0.0]), np.zeros(many, dtype=np.int64)
        sorts = order or {}

        def sorted_rows(array: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(array[sorts[len(array)]]) if len(array) in sorts else array

        data = {k: sorted_rows(E.data[k]) for kind, k in code.slots if kind == "data"}
        indices = {k: sorted_rows(E.indices[k]) for kind, k in code.slots if kind == "index"}
        table = np.zeros(FIRST_SLOT + len(code.slots), dtype=np.int64)
        table[:FIRST_SLOT] = numbers.ctypes.data, base, begins[-1], many, locks.ctypes.data
        for i, (kind, which) in enumerate(code.slots):
            table[FIRST_SLOT + i] = {
                "size": lambda k: k,
                "data": lambda k: data[k].ctypes.data,
                "index": lambda k: indices[k].ctypes.data,
                "scratch": lambda k: begins[k],
                "part": lambda k: parts[k],
                "out": lambda k: outs[k],
            }[kind](which)
        self._alive = scratch, numbers, locks, data, indices
        self.table = table
        self._call = _CALL(self.address)

    def __call__(self, x: np.ndarray, out: np.ndarray) -> float:
        """Fill `out`, zeros at first, and return the value; both are contiguous vectors of doubles."""
        value = ctypes.c_double()
        self._call(len(x), x.ctypes.data, out.ctypes.data, ctypes.addressof(value), self.table.ctypes.data)
        return value.value


_COPY = """
define i64 @run(i64 %n, i64 %m, ptr %x, ptr %out, ptr %table) {
  %bytes = shl i64 %n, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %out, ptr %x, i64 %bytes, i1 false)
  ret i64 0
}
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""


def copy() -> tuple[object, int]:
    """`long run(long n, long m, double *x, double *out, table)`, which copies x to out: what keeps it, and its address."""
    return _compiled(_COPY)


def _lanes() -> int:
    """Doubles in a vector register."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return 8 if features.get("avx512f") else 4 if features.get("avx2") and features.get("fma") else 2


def _machine() -> object:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True
    )


def _compiled(text: str) -> tuple[object, int]:
    """The engine that holds a function's machine code, and its address."""
    import llvmlite.binding as llvm

    library = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
    llvm.add_symbol("erfc", ctypes.cast(library.erfc, ctypes.c_void_p).value)
    llvm.add_symbol("memcpy", ctypes.cast(library.memcpy, ctypes.c_void_p).value)
    llvm.add_symbol("memset", ctypes.cast(library.memset, ctypes.c_void_p).value)
    machine = _machine()
    about = (llvm.llvm_version_info, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), text)
    path = cache_folder() / f"{hashlib.sha256(repr(about).encode()).hexdigest()[:32]}.o"
    try:
        code = path.read_bytes()
        path.touch()
    except OSError:
        code = _machine_code(text, machine)
        _keep(path, code)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, engine.get_function_address("run")


def _machine_code(text: str, machine: object) -> bytes:
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(text)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)  # type: ignore[attr-defined]


def cache_folder() -> Path:
    """Where compiled functions are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "glmm_zoo" / "native"


def _keep(path: Path, code: bytes) -> None:
    """Whole or not at all; a folder that cannot be written costs the next process a second."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(code)
        os.replace(file.name, path)
        files = sorted(path.parent.glob("*.o"), key=lambda p: p.stat().st_mtime)
        for old in files[:-_KEPT_FILES]:
            old.unlink()
