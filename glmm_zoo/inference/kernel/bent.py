"""A density of bent coordinates in machine code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glmm_zoo.inference.kernel.machine import Function

if TYPE_CHECKING:
    from glmm_zoo.inference.bends import Bends


class Bent(Function):
    """A density with its gradient as a function of z, where w = z but for elements that are bent; with the log Jacobian.

    The bends are of at least one element, and of none twice.
    """

    def __init__(self, density: Function, bends: Bends):
        index = np.ascontiguousarray(bends.index, np.int64)
        numbers = np.column_stack([bends.shift, bends.size, bends.skew, bends.tail]).astype(float)
        table = [density.address, density.table.ctypes.data, len(index), index.ctypes.data, numbers.ctypes.data]
        super().__init__(_BENT, table, (density, index, numbers), density.beside)


_BENT = """
define i64 @run(i64 %n, ptr noalias %z, ptr noalias %out, ptr noalias %value, ptr %table) nounwind {
entry:
  %density_at = getelementptr ptr, ptr %table, i64 0
  %theirs_at = getelementptr ptr, ptr %table, i64 1
  %m_at = getelementptr i64, ptr %table, i64 2
  %index_at = getelementptr ptr, ptr %table, i64 3
  %numbers_at = getelementptr ptr, ptr %table, i64 4
  %density = load ptr, ptr %density_at
  %theirs = load ptr, ptr %theirs_at
  %m = load i64, ptr %m_at
  %index = load ptr, ptr %index_at
  %numbers = load ptr, ptr %numbers_at
  %twice = shl i64 %m, 1
  %doubles = add i64 %n, %twice
  %bytes = shl i64 %n, 3
  %all_bytes = shl i64 %doubles, 3
  %w = call ptr @malloc(i64 %all_bytes)
  %none = icmp eq ptr %w, null
  br i1 %none, label %no_memory, label %copy
no_memory:
  ret i64 -12
copy:
  call void @llvm.memcpy.p0.p0.i64(ptr %w, ptr %z, i64 %bytes, i1 false)
  %slopes = getelementptr double, ptr %w, i64 %n
  %turns = getelementptr double, ptr %slopes, i64 %m
  br label %bend
bend:
  %j = phi i64 [ 0, %copy ], [ %j_next, %bend ]
  %sum = phi double [ 0.0, %copy ], [ %sum_next, %bend ]
  %at_j = getelementptr i64, ptr %index, i64 %j
  %at = load i64, ptr %at_j
  %z_at = getelementptr double, ptr %z, i64 %at
  %y = load double, ptr %z_at
  %four = shl i64 %j, 2
  %shift_at = getelementptr double, ptr %numbers, i64 %four
  %size_at = getelementptr double, ptr %shift_at, i64 1
  %skew_at = getelementptr double, ptr %shift_at, i64 2
  %tail_at = getelementptr double, ptr %shift_at, i64 3
  %shift = load double, ptr %shift_at
  %size = load double, ptr %size_at
  %skew = load double, ptr %skew_at
  %tail = load double, ptr %tail_at
  %yy = fmul double %y, %y
  %one_yy = fadd double %yy, 1.0
  %r = call double @llvm.sqrt.f64(double %one_yy)
  %far = call double @llvm.fabs.f64(double %y)
  %grown = fadd double %far, %r
  %asinh_far = call double @llvm.log.f64(double %grown)
  %asinh = call double @llvm.copysign.f64(double %asinh_far, double %y)
  %s = fadd double %asinh, %skew
  %u = fmul double %s, %tail
  %up = call double @llvm.exp.f64(double %u)
  %down = fdiv double 1.0, %up
  %two_sinh = fsub double %up, %down
  %two_cosh = fadd double %up, %down
  %half_size = fmul double %size, 0.5
  %away = fmul double %half_size, %two_sinh
  %w_j = fadd double %shift, %away
  %w_at = getelementptr double, ptr %w, i64 %at
  store double %w_j, ptr %w_at
  %tail_r = fdiv double %tail, %r
  %steep = fmul double %half_size, %two_cosh
  %slope = fmul double %steep, %tail_r
  %slope_at = getelementptr double, ptr %slopes, i64 %j
  store double %slope, ptr %slope_at
  %tanh = fdiv double %two_sinh, %two_cosh
  %turn_up = fmul double %tanh, %tail_r
  %turn_down = fdiv double %y, %one_yy
  %turn = fsub double %turn_up, %turn_down
  %turn_at = getelementptr double, ptr %turns, i64 %j
  store double %turn, ptr %turn_at
  %log_slope = call double @llvm.log.f64(double %slope)
  %sum_next = fadd double %sum, %log_slope
  %j_next = add i64 %j, 1
  %more = icmp slt i64 %j_next, %m
  br i1 %more, label %bend, label %ready
ready:
  %status = call i64 %density(i64 %n, ptr %w, ptr %out, ptr %value, ptr %theirs)
  %of_w = load double, ptr %value
  %of_z = fadd double %of_w, %sum_next
  store double %of_z, ptr %value
  br label %back
back:
  %k = phi i64 [ 0, %ready ], [ %k_next, %back ]
  %to_k = getelementptr i64, ptr %index, i64 %k
  %to = load i64, ptr %to_k
  %g_at = getelementptr double, ptr %out, i64 %to
  %g = load double, ptr %g_at
  %slope_k_at = getelementptr double, ptr %slopes, i64 %k
  %slope_k = load double, ptr %slope_k_at
  %turn_k_at = getelementptr double, ptr %turns, i64 %k
  %turn_k = load double, ptr %turn_k_at
  %scaled = fmul double %g, %slope_k
  %turned = fadd double %scaled, %turn_k
  store double %turned, ptr %g_at
  %k_next = add i64 %k, 1
  %going = icmp slt i64 %k_next, %m
  br i1 %going, label %back, label %done
done:
  call void @free(ptr %w)
  ret i64 %status
}
declare ptr @malloc(i64)
declare void @free(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare double @llvm.sqrt.f64(double)
declare double @llvm.fabs.f64(double)
declare double @llvm.copysign.f64(double, double)
declare double @llvm.log.f64(double)
declare double @llvm.exp.f64(double)
"""
