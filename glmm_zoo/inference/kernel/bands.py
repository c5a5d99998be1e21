"""Triangular systems whose rows have known widths, K = A + s B: K^-1 x and K'^-1 x as expressions and as LLVM code, and A x."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from glmm_zoo.inference.kernel.expression import Expressions, Node

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.emit import Emitter

_BETWEEN = """
  %begin_at = getelementptr i32, ptr %starts, i64 %i
  %end_at = getelementptr i32, ptr %begin_at, i64 1
  %begin32 = load i32, ptr %begin_at, align 4
  %end32 = load i32, ptr %end_at, align 4
  %begin = sext i32 %begin32 to i64
  %end = sext i32 %end32 to i64
  %width = sub i64 %end, %begin
  %first = sub i64 %i, %width
  %ar = getelementptr double, ptr %a, i64 %begin
  %br = getelementptr double, ptr %b, i64 %begin
  %whole = and i64 %width, -WIDTH
  %da_at = getelementptr double, ptr %da, i64 %i
  %db_at = getelementptr double, ptr %db, i64 %i
  %dai = load double, ptr %da_at, align 8
  %dbi = load double, ptr %db_at, align 8
  %d = call double @llvm.fma.f64(double %s, double %dbi, double %dai)
  %xi_at = getelementptr double, ptr %x, i64 %i
  %oi_at = getelementptr double, ptr %out, i64 %i
"""
_ARGUMENTS = "(ptr noalias %out, ptr noalias %starts, ptr noalias %a, ptr noalias %da, ptr noalias %b, ptr noalias %db, double %s, ptr noalias %x, i64 %rows) nounwind {"
_ENTRIES = """
  %aw_at = getelementptr double, ptr %ar, i64 %j
  %bw_at = getelementptr double, ptr %br, i64 %j
  %aw = load VECTOR, ptr %aw_at, align 8
  %bw = load VECTOR, ptr %bw_at, align 8
  %kw = call VECTOR @llvm.fma.vWIDTHf64(VECTOR %sw, VECTOR %bw, VECTOR %aw)
  %place = add i64 %first, %j
  %ow_at = getelementptr double, ptr %FROM, i64 %place
  %ow = load VECTOR, ptr %ow_at, align 8
"""
_ENTRY = """
  %a1_at = getelementptr double, ptr %ar, i64 %k
  %b1_at = getelementptr double, ptr %br, i64 %k
  %a1 = load double, ptr %a1_at, align 8
  %b1 = load double, ptr %b1_at, align 8
  %k1 = call double @llvm.fma.f64(double %s, double %b1, double %a1)
  %place1 = add i64 %first, %k
  %o1_at = getelementptr double, ptr %FROM, i64 %place1
  %o1 = load double, ptr %o1_at, align 8
"""
_SPREAD = """entry:
  %s1 = insertelement VECTOR undef, double %s, i32 0
  %sw = shufflevector VECTOR %s1, VECTOR undef, <WIDTH x i32> zeroinitializer
"""
_ROWS = f"""define private void @band_NAME{_ARGUMENTS}
{_SPREAD}  br label %row
row:
  %i = phi i64 [ 0, %entry ], [ %i1, %done ]
{_BETWEEN}
  %wide = icmp sgt i64 %whole, 0
  br i1 %wide, label %lanes, label %between
lanes:
  %j = phi i64 [ 0, %row ], [ %j1, %lanes ]
  %t = phi VECTOR [ zeroinitializer, %row ], [ %t1, %lanes ]
{_ENTRIES}
  %t1 = call VECTOR @llvm.fma.vWIDTHf64(VECTOR %kw, VECTOR %ow, VECTOR %t)
  %j1 = add i64 %j, WIDTH
  %more = icmp slt i64 %j1, %whole
  br i1 %more, label %lanes, label %between
between:
  %tw = phi VECTOR [ zeroinitializer, %row ], [ %t1, %lanes ]
  %sum = call reassoc double @llvm.vector.reduce.fadd.vWIDTHf64(double 0x8000000000000000, VECTOR %tw)
  %narrow = icmp slt i64 %whole, %width
  br i1 %narrow, label %single, label %done
single:
  %k = phi i64 [ %whole, %between ], [ %kn, %single ]
  %c = phi double [ %sum, %between ], [ %c1, %single ]
{_ENTRY}
  %c1 = call double @llvm.fma.f64(double %k1, double %o1, double %c)
  %kn = add i64 %k, 1
  %again = icmp slt i64 %kn, %width
  br i1 %again, label %single, label %done
done:
  %total = phi double [ %sum, %between ], [ %c1, %single ]
  %xi = load double, ptr %xi_at, align 8
RESULT
  store double %y, ptr %oi_at, align 8
  %i1 = add i64 %i, 1
  %next = icmp slt i64 %i1, %rows
  br i1 %next, label %row, label %end_of_rows
end_of_rows:
  ret void
}}
"""
_BELOW = _ROWS.replace("RESULT", "  %left = fsub double %xi, %total\n  %y = fdiv double %left, %d").replace(
    "%FROM", "%out"
)
_TIMES = _ROWS.replace("RESULT", "  %y = call double @llvm.fma.f64(double %d, double %xi, double %total)").replace(
    "%FROM", "%x"
)
_ABOVE = f"""define private void @band_NAME{_ARGUMENTS}
{_SPREAD}  %bytes = shl i64 %rows, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %out, ptr %x, i64 %bytes, i1 false)
  br label %row
row:
  %left = phi i64 [ %rows, %entry ], [ %i, %done ]
  %i = sub i64 %left, 1
{_BETWEEN}
  %oi = load double, ptr %oi_at, align 8
  %y = fdiv double %oi, %d
  store double %y, ptr %oi_at, align 8
  %less = fneg double %y
  %y1 = insertelement VECTOR undef, double %less, i32 0
  %yw = shufflevector VECTOR %y1, VECTOR undef, <WIDTH x i32> zeroinitializer
  %wide = icmp sgt i64 %whole, 0
  br i1 %wide, label %lanes, label %between
lanes:
  %j = phi i64 [ 0, %row ], [ %j1, %lanes ]
{_ENTRIES}
  %nw = call VECTOR @llvm.fma.vWIDTHf64(VECTOR %kw, VECTOR %yw, VECTOR %ow)
  store VECTOR %nw, ptr %ow_at, align 8
  %j1 = add i64 %j, WIDTH
  %more = icmp slt i64 %j1, %whole
  br i1 %more, label %lanes, label %between
between:
  %narrow = icmp slt i64 %whole, %width
  br i1 %narrow, label %single, label %done
single:
  %k = phi i64 [ %whole, %between ], [ %kn, %single ]
{_ENTRY}
  %n1 = call double @llvm.fma.f64(double %k1, double %less, double %o1)
  store double %n1, ptr %o1_at, align 8
  %kn = add i64 %k, 1
  %again = icmp slt i64 %kn, %width
  br i1 %again, label %single, label %done
done:
  %next = icmp sgt i64 %i, 0
  br i1 %next, label %row, label %end_of_rows
end_of_rows:
  ret void
}}
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
""".replace("%FROM", "%out")
_CODE = {"below": _BELOW, "above": _ABOVE, "times": _TIMES}


def band_function(name: str, lanes: int) -> str:
    """The function that computes one of `TRIANGULAR`."""
    code = _CODE[name].replace("NAME", name)
    return code.replace("VECTOR", f"<{lanes} x double>").replace("WIDTH", str(lanes))


def write_band(emitter: Emitter, node: Node) -> None:
    """The call of the function, which stores the vector in scratch memory."""
    assert node.domain is not None
    *number, x = node.args
    base, stride = emitter.memory(x)
    assert stride == 1
    starts, *matrices = node.static
    s = emitter.number(number[0]) if number else emitter.main.number(0.0)
    data = [f"ptr {emitter.array('data', k)}" for k in (matrices * 2)[:4]]
    places = [f"ptr {emitter.scratch(node)}", f"ptr {emitter.array('index', starts)}", *data]
    size = emitter.slot("size", node.domain)
    emitter.main.do(f"call void @band_{node.op}({', '.join(places)}, double {s}, ptr {base}, i64 {size})")


def passed_through(E: Expressions, node: Node, g: Node) -> Iterable[tuple[Node, Node]]:
    """What a solution passes to s and to x of its own adjoint g: of K^-1 x, K'^-1 g to x and minus its product with B K^-1 x to s."""
    s, x = node.args
    passed = E.band("above" if node.op == "below" else "below", node.static, (s, g))
    left, right = (passed, node) if node.op == "below" else (node, passed)
    starts, _, _, *B = node.static
    return (s, E("neg", E("mul", left, E.band("times", (starts, *B), (right,))))), (x, passed)
