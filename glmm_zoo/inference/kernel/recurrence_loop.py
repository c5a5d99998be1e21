"""The loop of a vector whose elements are made one after another, as LLVM code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmm_zoo.inference.kernel.expression import Node
from glmm_zoo.inference.kernel.loop_body import LoopBody

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.emit import Emitter


def write_recurrence(emitter: Emitter, node: Node, stage: int, k: int) -> None:
    """Loop k, which stores the vector of a recurrence in scratch memory."""
    assert node.domain is not None
    b, base, n = emitter.main, emitter.scratch(node), emitter.slot("size", node.domain)
    body = LoopBody(emitter, 1, stage, f"r{k}_", node.domain)
    count, before = (f"%rn{k}", f"%rb{k}")
    body.b.do(
        f"{body.i} = sub i64 {b(f'sub i64 {n}, 1')}, {count}" if node.op == "back" else f"{body.i} = add i64 {count}, 0"
    )
    args = [body.floats(a) for a in node.args]
    if node.op == "predicted":
        own, slope, information = args
        slope = body.b.div(slope, body.b.add(body.b.number(1.0), body.b.mul(information, before)))
    else:
        slope, own = args
    made = body.b.add(own, body.b.mul(slope, before))
    body.store(base, 1, made)
    emitter.used |= body.b.used
    b.do(f"br label %rbefore{k}")
    b.lines += [f"rbefore{k}:", f"  br label %rloop{k}", f"rloop{k}:"]
    b.do(f"{count} = phi i64 [ 0, %rbefore{k} ], [ %ri{k}, %rloop{k} ]")
    b.do(f"{before} = phi double [ {b.number(0.0)}, %rbefore{k} ], [ {made}, %rloop{k} ]")
    b.lines += body.b.lines
    b.do(f"%ri{k} = add i64 {count}, 1")
    b.do(f"%rc{k} = icmp slt i64 %ri{k}, {n}")
    b.do(f"br i1 %rc{k}, label %rloop{k}, label %rafter{k}")
    b.lines.append(f"rafter{k}:")
