"""LLVM compiles the code for this processor; what was compiled is kept in the user's cache folder for the next process."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from glmm_zoo.inference.kernel.code_cache import kept, private_folder
from glmm_zoo.inference.kernel.emit import FIRST_SLOT, Store, emit
from glmm_zoo.inference.kernel.expression import Expressions, Node

_CALL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, *[ctypes.c_void_p] * 4)
NO_MEMORY = -12  # what a function returns that got no memory; below 0 ends sampling
_AT_A_TIME = 16  # threads that can run one function


class Function:
    """A compiled function of a vector x (n,), which fills a vector `out` and returns a value.

    A density has its gradient (n,) in `out`, and `beside` numbers after that. `address` and `table` are what foreign callers need: `long run(long n, double *x, double *out, double *value, table)`.
    """

    def __init__(self, text: str, table: Sequence[int], alive: object, beside: int = 0):
        self.beside = beside
        self._engine, self.address = _compiled(text)
        self.table = np.array(table, dtype=np.int64)
        self._alive = alive
        self._call = _CALL(self.address)

    def __call__(self, x: np.ndarray, out: np.ndarray) -> float:
        """Fill `out`, zeros at first, and return the value; both are contiguous vectors of doubles."""
        return self.of_rows(x[None], out[None])

    def of_rows(self, x: np.ndarray, out: np.ndarray) -> float:
        """Fill each row of `out` (rows, m) from that of `x` (rows, n) in turn; the value is that of the last one."""
        value = ctypes.c_double()
        at, to, told, table = x.ctypes.data, out.ctypes.data, ctypes.addressof(value), self.table.ctypes.data
        for row in range(len(x)):
            status = self._call(x.shape[1], at + row * x.strides[0], to + row * out.strides[0], told, table)
            if status == NO_MEMORY:
                raise MemoryError(out_of_memory(x.shape[1]))
        return value.value


def out_of_memory(unknowns: int) -> str:
    return (
        f"no memory for {8 * unknowns} bytes, one copy of the model's {unknowns} unknowns; end other programs or run fewer "
        "chains at a time (cores=1)"
    )


class Program(Function):
    """`stores` of expressions of x into `out`, and a `value`.

    `order` permutes the elements of domains by their size, where the order does not enter the result.
    """

    def __init__(
        self,
        E: Expressions,
        stores: Sequence[Store],
        value: Node | None,
        parts: Sequence[int],
        outs: Sequence[int],
        order: Mapping[int, np.ndarray] | None = None,
        beside: int = 0,
    ):
        code = emit(E, stores, value, _lanes())
        lengths = np.array([8 * n for n in code.scratch], dtype=np.int64)
        aligned = (lengths + 63) // 64 * 64
        begins = np.concatenate([[0], np.cumsum(aligned)])
        many = min(_AT_A_TIME, 2 * (os.cpu_count() or 1))
        scratch = np.zeros(many * int(begins[-1]) + 64, dtype=np.uint8)
        base = -(-scratch.ctypes.data // 64) * 64
        numbers, locks = np.array([*code.numbers, 0.0]), np.zeros(many, dtype=np.int64)
        sorts = order or {}

        def sorted_rows(array: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(array[sorts[len(array)]]) if len(array) in sorts else array

        data = {k: sorted_rows(E.data[k]) for kind, k in code.slots if kind == "data"}
        indices = {k: sorted_rows(E.indices[k]) for kind, k in code.slots if kind == "index"}
        matrices = {
            (kind, k): of[k] for kind, k in code.slots if (of := {"matrix": E.data, "places": E.indices}.get(kind))
        }
        table = [numbers.ctypes.data, base, begins[-1], many, locks.ctypes.data]
        assert len(table) == FIRST_SLOT
        for kind, which in code.slots:
            entry = {
                "size": lambda k: k,
                "data": lambda k: data[k].ctypes.data,
                "index": lambda k: indices[k].ctypes.data,
                "matrix": lambda k: matrices["matrix", k].ctypes.data,
                "places": lambda k: matrices["places", k].ctypes.data,
                "scratch": lambda k: begins[k],
                "part": lambda k: parts[k],
                "out": lambda k: outs[k],
            }[kind](which)
            table.append(entry)
        super().__init__(code.text, table, (scratch, numbers, locks, data, indices, matrices), beside)


class InCoordinates(Function):
    """A density with its gradient as a function of z, where x = z but for x[index] = mean + root z[index].

    `index` (m,) without repetition, m > 0; `root` (m, m) lower triangular.
    """

    def __init__(self, density: Function, index: np.ndarray, mean: np.ndarray, root: np.ndarray):
        arrays = [np.ascontiguousarray(a, t) for a, t in ((index, np.int64), (mean, float), (root, float))]
        table = [density.address, density.table.ctypes.data, len(index), *(a.ctypes.data for a in arrays)]
        super().__init__(_IN_COORDINATES, table, (density, arrays), density.beside)


_IN_COORDINATES = """
define i64 @run(i64 %n, ptr noalias %z, ptr noalias %out, ptr noalias %value, ptr %table) nounwind {
entry:
  %density_at = getelementptr ptr, ptr %table, i64 0
  %theirs_at = getelementptr ptr, ptr %table, i64 1
  %m_at = getelementptr i64, ptr %table, i64 2
  %index_at = getelementptr ptr, ptr %table, i64 3
  %mean_at = getelementptr ptr, ptr %table, i64 4
  %root_at = getelementptr ptr, ptr %table, i64 5
  %density = load ptr, ptr %density_at
  %theirs = load ptr, ptr %theirs_at
  %m = load i64, ptr %m_at
  %index = load ptr, ptr %index_at
  %mean = load ptr, ptr %mean_at
  %root = load ptr, ptr %root_at
  %bytes = shl i64 %n, 3
  %x = call ptr @malloc(i64 %bytes)
  %none = icmp eq ptr %x, null
  br i1 %none, label %no_memory, label %copy
no_memory:
  ret i64 -12
copy:
  call void @llvm.memcpy.p0.p0.i64(ptr %x, ptr %z, i64 %bytes, i1 false)
  br label %row
row:
  %i = phi i64 [ 0, %copy ], [ %i_next, %row_end ]
  %first = mul i64 %i, %m
  %mean_i_at = getelementptr double, ptr %mean, i64 %i
  %mean_i = load double, ptr %mean_i_at
  br label %term
term:
  %j = phi i64 [ 0, %row ], [ %j_next, %term ]
  %sum = phi double [ %mean_i, %row ], [ %sum_next, %term ]
  %ij = add i64 %first, %j
  %r_at = getelementptr double, ptr %root, i64 %ij
  %r = load double, ptr %r_at
  %from_at = getelementptr i64, ptr %index, i64 %j
  %from = load i64, ptr %from_at
  %z_at = getelementptr double, ptr %z, i64 %from
  %z_j = load double, ptr %z_at
  %rz = fmul double %r, %z_j
  %sum_next = fadd double %sum, %rz
  %j_next = add i64 %j, 1
  %more = icmp sle i64 %j_next, %i
  br i1 %more, label %term, label %row_end
row_end:
  %to_at = getelementptr i64, ptr %index, i64 %i
  %to = load i64, ptr %to_at
  %x_at = getelementptr double, ptr %x, i64 %to
  store double %sum_next, ptr %x_at
  %i_next = add i64 %i, 1
  %rows = icmp slt i64 %i_next, %m
  br i1 %rows, label %row, label %ready
ready:
  %status = call i64 %density(i64 %n, ptr %x, ptr %out, ptr %value, ptr %theirs)
  br label %take
take:
  %k = phi i64 [ 0, %ready ], [ %k_next, %take ]
  %k_from_at = getelementptr i64, ptr %index, i64 %k
  %k_from = load i64, ptr %k_from_at
  %g_at = getelementptr double, ptr %out, i64 %k_from
  %g = load double, ptr %g_at
  %kept_at = getelementptr double, ptr %x, i64 %k
  store double %g, ptr %kept_at
  %k_next = add i64 %k, 1
  %taking = icmp slt i64 %k_next, %m
  br i1 %taking, label %take, label %column
column:
  %c = phi i64 [ 0, %take ], [ %c_next, %column_end ]
  br label %part
part:
  %d = phi i64 [ %c, %column ], [ %d_next, %part ]
  %total = phi double [ 0.0, %column ], [ %total_next, %part ]
  %d_first = mul i64 %d, %m
  %dc = add i64 %d_first, %c
  %root_dc_at = getelementptr double, ptr %root, i64 %dc
  %root_dc = load double, ptr %root_dc_at
  %g_d_at = getelementptr double, ptr %x, i64 %d
  %g_d = load double, ptr %g_d_at
  %rg = fmul double %root_dc, %g_d
  %total_next = fadd double %total, %rg
  %d_next = add i64 %d, 1
  %parts = icmp slt i64 %d_next, %m
  br i1 %parts, label %part, label %column_end
column_end:
  %c_to_at = getelementptr i64, ptr %index, i64 %c
  %c_to = load i64, ptr %c_to_at
  %out_at = getelementptr double, ptr %out, i64 %c_to
  store double %total_next, ptr %out_at
  %c_next = add i64 %c, 1
  %columns = icmp slt i64 %c_next, %m
  br i1 %columns, label %column, label %done
done:
  call void @free(ptr %x)
  ret i64 %status
}
declare ptr @malloc(i64)
declare void @free(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""

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
    for name in ("erfc", "memcpy", "memset", "malloc", "free"):
        llvm.add_symbol(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
    machine = _machine()
    about = (llvm.llvm_version_info, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), text)
    code = kept(private_folder("native"), repr(about), lambda: _machine_code(text, machine))
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
