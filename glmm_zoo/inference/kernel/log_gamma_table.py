"""The logarithm of the gamma function and its slope in LLVM code, for x from 1 to 65,536: polynomials from a table.

A cell is 1 / 32 of an octave, so that the bits of x tell which; its polynomial of degree 7 is the Taylor series about the middle,
made a sum of Chebyshev polynomials, of which those of higher degree are left out.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.functions import Lines

NAME = "log_gamma_table"
_BITS, _OCTAVES = 5, 16  # cells of an octave are 2^5
MOST_TABULATED = 2.0**_OCTAVES
_ORDER, _TAYLOR = 8, 16  # numbers of a cell, and terms that they are made of
_SHIFT = 52 - _BITS  # bits of x beside its cell


@cache
def log_gamma_coefficients() -> np.ndarray:
    """Those of powers of the distance from the middle of each cell (cells, 8)."""
    from numpy.polynomial.chebyshev import cheb2poly, poly2cheb
    from scipy.special import digamma, gammaln, zeta

    octave, part = np.divmod(np.arange(_OCTAVES << _BITS), 1 << _BITS)
    half = np.exp2(octave - _BITS - 1.0)
    x, k = half * (2.0 * part + 1 + (2 << _BITS)), np.arange(2, _TAYLOR)
    higher = (-1.0) ** k * zeta(k, x[:, None]) / k
    series = np.column_stack([gammaln(x), digamma(x), higher]) * half[:, None] ** np.arange(_TAYLOR)
    cut = np.zeros((_TAYLOR, _ORDER))
    for j, power in enumerate(np.eye(_TAYLOR)):
        kept = cheb2poly(poly2cheb(power[: j + 1])[:_ORDER])
        cut[j, : len(kept)] = kept
    return series @ cut / half[:, None] ** np.arange(_ORDER)


def definition(b: Lines, name: str) -> list[str]:
    """The table."""
    numbers = ", ".join(f"double {b.number(x)}" for x in log_gamma_coefficients().ravel())
    return [f"@{name} = internal constant [{_ORDER * (_OCTAVES << _BITS)} x double] [{numbers}], align 64"]


def log_gamma(b: Lines, x: str) -> tuple[str, str]:
    """The value and the slope."""
    b.used.add((NAME, 1))
    bits = b.bits(x)
    cell = b.integers("sub", b.integers("lshr", bits, b.whole(_SHIFT)), b.whole(1023 << _BITS))
    middle = b.integers("or", b.integers("and", bits, b.whole(-(1 << _SHIFT))), b.whole(1 << (_SHIFT - 1)))
    d = b.sub(x, b.from_bits(middle))
    cells = [b(f"getelementptr [{_ORDER} x double], ptr @{NAME}, i64 {at}") for at in b.separate(cell, "i64")]
    *lower, value = b.columns(cells, _ORDER)
    slope = b.number(0.0)
    for c in reversed(lower):
        slope, value = b.fma(slope, d, value), b.fma(value, d, c)
    return value, slope
