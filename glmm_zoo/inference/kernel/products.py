"""Products of a matrix of data with a vector, as LLVM code: where the sums are too long to be written out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from glmm_zoo.inference.kernel.bands import band_function, write_band
from glmm_zoo.inference.kernel.expression import TRIANGULAR, Node, Nonzeros
from glmm_zoo.inference.kernel.mean_survival import mean_survival_function, write_mean_survival

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


_SPARSE_CODE = """
define private void @sparse_product(ptr noalias %out, ptr noalias %values, ptr noalias %columns, ptr noalias %starts, ptr noalias %v, i64 %stride, i64 %rows) nounwind {
entry:
  br label %row
row:
  %i = phi i64 [ 0, %entry ], [ %i1, %done ]
  %i1 = add i64 %i, 1
  %first = getelementptr i32, ptr %starts, i64 %i
  %after = getelementptr i32, ptr %starts, i64 %i1
  %firstl = load i32, ptr %first, align 4
  %afterl = load i32, ptr %after, align 4
  %from = sext i32 %firstl to i64
  %to = sext i32 %afterl to i64
  %any = icmp slt i64 %from, %to
  br i1 %any, label %item, label %done
item:
  %k = phi i64 [ %from, %row ], [ %k1, %item ]
  %c = phi double [ 0.0, %row ], [ %c1, %item ]
  %column = getelementptr i32, ptr %columns, i64 %k
  %columnl = load i32, ptr %column, align 4
  %j = sext i32 %columnl to i64
  %place = mul i64 %j, %stride
  %m = getelementptr double, ptr %values, i64 %k
  %a = getelementptr double, ptr %v, i64 %place
  %ml = load double, ptr %m, align 8
  %al = load double, ptr %a, align 8
  %c1 = call double @llvm.fma.f64(double %ml, double %al, double %c)
  %k1 = add i64 %k, 1
  %more = icmp slt i64 %k1, %to
  br i1 %more, label %item, label %done
done:
  %total = phi double [ 0.0, %row ], [ %c1, %item ]
  %o = getelementptr double, ptr %out, i64 %i
  store double %total, ptr %o, align 8
  %next = icmp slt i64 %i1, %rows
  br i1 %next, label %row, label %end
end:
  ret void
}
"""


def product_functions(nodes: Iterable[Node], lanes: int) -> list[str]:
    """The functions that the products among the nodes call: out = matrix v, of a matrix row by row, with or without its zeros, and a
    vector whose elements are `stride` apart."""
    sparse = {isinstance(node.static, Nonzeros) for node in nodes if node.op == "product"}
    replaced = {"VECTOR": f"<{lanes} x double>", "WIDTH": str(lanes), "STEP": str(2 * lanes)}
    dense = _CODE
    for name, value in replaced.items():
        dense = dense.replace(name, value)
    bands = [band_function(op, lanes) for op in sorted({n.op for n in nodes} & TRIANGULAR)]
    survivals = {len(node.args) - 1 for node in nodes if node.op == "mean_survival"}
    lines = [line for q in sorted(survivals) for line in mean_survival_function(q)]
    return [
        *(code for code, is_sparse in ((dense, False), (_SPARSE_CODE, True)) if is_sparse in sparse),
        *bands,
        *lines,
    ]


def write_product(emitter: Emitter, node: Node) -> None:
    """The call of the function, which stores the vector of a product in scratch memory."""
    if node.op in TRIANGULAR:
        return write_band(emitter, node)
    if node.op == "mean_survival":
        return write_mean_survival(emitter, node)
    assert node.domain is not None
    (v,) = node.args
    assert v.domain is not None
    base, stride = emitter.memory(v)
    out, rows, of = emitter.scratch(node), emitter.slot("size", node.domain), node.static
    if isinstance(of, Nonzeros):
        values, columns, starts = emitter.array("matrix", of.values), *(emitter.array("places", i) for i in of[1:])
        places = f"ptr {out}, ptr {values}, ptr {columns}, ptr {starts}, ptr {base}"
        emitter.main.do(f"call void @sparse_product({places}, i64 {stride}, i64 {rows})")
        return
    places = f"ptr {out}, ptr {emitter.array('matrix', of)}, ptr {base}"
    emitter.main.do(f"call void @product({places}, i64 {stride}, i64 {rows}, i64 {emitter.slot('size', v.domain)})")
