"""Products of a matrix of data with a vector, as LLVM code: where the sums are too long to be written out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from glmm_zoo.inference.kernel.bands import band_function, write_band
from glmm_zoo.inference.kernel.expression import TRIANGULAR, Node

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.emit import Emitter

_CODE = """
define private void @product(ptr noalias %out, ptr noalias %matrix, ptr noalias %v, i64 %stride, i64 %rows, i64 %columns) nounwind {
entry:
  %together = icmp eq i64 %stride, 1
  %rounded = and i64 %columns, -STEP
  %whole = select i1 %together, i64 %rounded, i64 0
  %wide = icmp sgt i64 %whole, 0
  %narrow = icmp slt i64 %whole, %columns
  br label %row
row:
  %i = phi i64 [ 0, %entry ], [ %i1, %done ]
  %at = mul i64 %i, %columns
  %m = getelementptr double, ptr %matrix, i64 %at
  br i1 %wide, label %lanes, label %between
lanes:
  %j = phi i64 [ 0, %row ], [ %j1, %lanes ]
  %a = phi VECTOR [ zeroinitializer, %row ], [ %a1, %lanes ]
  %b = phi VECTOR [ zeroinitializer, %row ], [ %b1, %lanes ]
  %ma = getelementptr double, ptr %m, i64 %j
  %va = getelementptr double, ptr %v, i64 %j
  %mb = getelementptr double, ptr %ma, i64 WIDTH
  %vb = getelementptr double, ptr %va, i64 WIDTH
  %mal = load VECTOR, ptr %ma, align 8
  %val = load VECTOR, ptr %va, align 8
  %mbl = load VECTOR, ptr %mb, align 8
  %vbl = load VECTOR, ptr %vb, align 8
  %a1 = call VECTOR @llvm.fma.vWIDTHf64(VECTOR %mal, VECTOR %val, VECTOR %a)
  %b1 = call VECTOR @llvm.fma.vWIDTHf64(VECTOR %mbl, VECTOR %vbl, VECTOR %b)
  %j1 = add i64 %j, STEP
  %more = icmp slt i64 %j1, %whole
  br i1 %more, label %lanes, label %between
between:
  %as = phi VECTOR [ zeroinitializer, %row ], [ %a1, %lanes ]
  %bs = phi VECTOR [ zeroinitializer, %row ], [ %b1, %lanes ]
  %ab = fadd VECTOR %as, %bs
  %s = call reassoc double @llvm.vector.reduce.fadd.vWIDTHf64(double 0x8000000000000000, VECTOR %ab)
  br i1 %narrow, label %single, label %done
single:
  %k = phi i64 [ %whole, %between ], [ %k1, %single ]
  %c = phi double [ %s, %between ], [ %c1, %single ]
  %mk = getelementptr double, ptr %m, i64 %k
  %place = mul i64 %k, %stride
  %vk = getelementptr double, ptr %v, i64 %place
  %mkl = load double, ptr %mk, align 8
  %vkl = load double, ptr %vk, align 8
  %c1 = call double @llvm.fma.f64(double %mkl, double %vkl, double %c)
  %k1 = add i64 %k, 1
  %again = icmp slt i64 %k1, %columns
  br i1 %again, label %single, label %done
done:
  %total = phi double [ %s, %between ], [ %c1, %single ]
  %o = getelementptr double, ptr %out, i64 %i
  store double %total, ptr %o, align 8
  %i1 = add i64 %i, 1
  %next = icmp slt i64 %i1, %rows
  br i1 %next, label %row, label %end
end:
  ret void
}
"""


def product_functions(nodes: Iterable[Node], lanes: int) -> list[str]:
    """The functions that these expressions call."""
    ops = {n.op for n in nodes}
    bands = [band_function(op, lanes) for op in sorted(ops & TRIANGULAR)]
    return [_product_function(lanes), *bands] if "product" in ops else bands


def _product_function(lanes: int) -> str:
    """The function `product`, out = matrix v, of a matrix row by row and a vector whose elements are `stride` apart."""
    replaced = {"VECTOR": f"<{lanes} x double>", "WIDTH": str(lanes), "STEP": str(2 * lanes)}
    code = _CODE
    for name, value in replaced.items():
        code = code.replace(name, value)
    return code


def write_product(emitter: Emitter, node: Node) -> None:
    """The call of the function, which stores the vector of a product in scratch memory."""
    if node.op in TRIANGULAR:
        return write_band(emitter, node)
    assert node.domain is not None
    (v,) = node.args
    assert v.domain is not None
    base, stride = emitter.memory(v)
    rows, columns = (emitter.slot("size", size) for size in (node.domain, v.domain))
    places = f"ptr {emitter.scratch(node)}, ptr {emitter.array('data', node.static)}, ptr {base}"
    emitter.main.do(f"call void @product({places}, i64 {stride}, i64 {rows}, i64 {columns})")
