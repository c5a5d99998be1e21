"""A density for chains that are there already: the sampler runs all chains or none, and these must cost nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmm_zoo.inference.kernel.machine import Function

DISTANCE = 2.0**30  # sds from the centre in every coordinate at once, where no other chain comes


class NormalFarOut(Function):
    """A density with its gradient, but a normal one about (DISTANCE, DISTANCE, ...) where all coordinates are above DISTANCE / 2."""

    def __init__(self, density: Function):
        super().__init__(_NORMAL_FAR_OUT, [density.address, density.table.ctypes.data], density)


def normal_far_out(
    density: Callable[[np.ndarray], tuple[float, np.ndarray]],
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """The same of a density in Python."""

    def value_and_gradient(z: np.ndarray) -> tuple[float, np.ndarray]:
        if not (z > DISTANCE / 2).all():
            return density(z)
        return -float((z - DISTANCE) @ (z - DISTANCE)) / 2, DISTANCE - z

    return value_and_gradient


_NORMAL_FAR_OUT = f"""
define i64 @run(i64 %n, ptr noalias %z, ptr noalias %out, ptr noalias %value, ptr %table) nounwind {{
entry:
  br label %look
look:
  %i = phi i64 [ 0, %entry ], [ %i_next, %look_on ]
  %z_at = getelementptr double, ptr %z, i64 %i
  %z_i = load double, ptr %z_at
  %far = fcmp ogt double %z_i, {DISTANCE / 2}
  br i1 %far, label %look_on, label %near
look_on:
  %i_next = add i64 %i, 1
  %more = icmp slt i64 %i_next, %n
  br i1 %more, label %look, label %term
near:
  %density_at = getelementptr ptr, ptr %table, i64 0
  %theirs_at = getelementptr ptr, ptr %table, i64 1
  %density = load ptr, ptr %density_at
  %theirs = load ptr, ptr %theirs_at
  %status = call i64 %density(i64 %n, ptr %z, ptr %out, ptr %value, ptr %theirs)
  ret i64 %status
term:
  %j = phi i64 [ 0, %look_on ], [ %j_next, %term ]
  %sum = phi double [ 0.0, %look_on ], [ %sum_next, %term ]
  %at = getelementptr double, ptr %z, i64 %j
  %z_j = load double, ptr %at
  %back = fsub double {DISTANCE}, %z_j
  %out_at = getelementptr double, ptr %out, i64 %j
  store double %back, ptr %out_at
  %square = fmul double %back, %back
  %sum_next = fadd double %sum, %square
  %j_next = add i64 %j, 1
  %terms = icmp slt i64 %j_next, %n
  br i1 %terms, label %term, label %done
done:
  %half = fmul double %sum_next, -0.5
  store double %half, ptr %value
  ret i64 0
}}
"""
