"""One smooth of a linear predictor: a curve, a curve times numbers, a curve for each level of a factor, or a surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from glmm_zoo.errors import InputError, listing
from glmm_zoo.formulas.smooths.bases import Basis, group_curve_basis, spline_basis
from glmm_zoo.formulas.smooths.tensor_products import TensorProduct, tensor_product

Levels = tuple[Sequence[str], np.ndarray]  # of a factor, and the code of every row (n,)


@dataclass(frozen=True)
class Smooth:
    """One smooth of a linear predictor: Xf (n, p) `linear`, Zs (n, q) `penalised`, and which sd each weight has.

    `curves` names its curves, one for each level of a factor, "" where there is one; each has as many columns of either
    kind, one curve's after the other's. `sds` names the standard deviations and `sd_of` (q,) is that of each weight: one for
    each curve with `by`, one for each part of every curve with bs="fs" and t2.
    """

    name: str  # "x", "x:arm"
    label: str  # as written, "s(x, by=arm)"
    variables: tuple[str, ...]
    basis: Basis | TensorProduct
    linear: np.ndarray
    penalised: np.ndarray
    curves: tuple[str, ...]
    sds: tuple[str, ...]
    sd_of: np.ndarray

    @property
    def linear_labels(self) -> tuple[str, ...]:
        """A label for each column of Xf: the line, or the constant and the line, of each curve; x, z and x:z of a surface."""
        if len(self.variables) == 2:
            return (*self.variables, ":".join(self.variables))
        return self._of_every_curve(("constant", "line")[-(self.linear.shape[1] // len(self.curves)) :])

    @property
    def weight_labels(self) -> tuple[str, ...]:
        """A label for each column of Zs: numbers from 1, of each curve."""
        return self._of_every_curve([str(j + 1) for j in range(self.penalised.shape[1] // len(self.curves))])

    def _of_every_curve(self, labels: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{curve}: {label}" if curve else label for curve in self.curves for label in labels)

    def spread(self, sd: int) -> float:
        """Standard deviation over its rows of the part of the curves that has this sd, if the sd is 1."""
        square = (self.penalised[:, self.sd_of == sd] ** 2).sum(axis=1)
        return float(np.sqrt(square[square > 0].mean()))


def plain_smooth(label: str, variable: str, x: np.ndarray, bs: str, k: int) -> Smooth:
    """s(x), x (n,)."""
    basis = spline_basis(variable, x, bs, k)
    one_curve, one_sd = ("",), ("",)
    return _smooth(
        variable, label, (variable,), basis, basis.columns(x), [np.ones(len(x))], one_curve, one_sd, np.zeros(1, int)
    )


def smooth_by_numbers(
    label: str, variable: str, x: np.ndarray, bs: str, k: int, by: str, numbers: np.ndarray
) -> Smooth:
    """s(x, by=z): a curve times numbers (n,). It is not centred, because only constant numbers would repeat the intercept."""
    basis = spline_basis(variable, x, bs, k, centred=False, by=numbers)
    one_curve, one_sd = ("",), ("",)
    return _smooth(
        f"{variable}:{by}", label, (variable,), basis, basis.columns(x), [numbers], one_curve, one_sd, np.zeros(1, int)
    )


def smooth_by_factor(label: str, variable: str, x: np.ndarray, bs: str, k: int, by: str, levels: Levels) -> Smooth:
    """s(x, by=f): a curve with an sd of its own for each level."""
    in_level = _indicators(levels)
    few = [level for level, rows in zip(levels[0], in_level, strict=True) if len(np.unique(x[rows > 0])) == 1]
    if few:
        raise InputError(
            f"{label}: {listing([f'{by} {level!r}' for level in few])} occurs at one value of {variable!r} only, which makes no curve; join "
            f"levels, leave out these rows, or write s({variable}) without by="
        )
    basis = spline_basis(variable, x, bs, k, by=in_level[0])
    curves = tuple(levels[0])
    sd_of = np.arange(len(curves))[:, None]
    return _smooth(f"{variable}:{by}", label, (variable,), basis, basis.columns(x), in_level, curves, curves, sd_of)


def factor_smooth(label: str, variable: str, x: np.ndarray, k: int, by: str, levels: Levels) -> Smooth:
    """s(x, g, bs="fs"): a random curve for each level, with one sd for constants, one for slopes, one for bends."""
    basis = group_curve_basis(variable, x, k)
    sds = ("constant", "line", "bends")
    sd_of = np.r_[0, 1, np.full(basis.penalised.shape[1] - 2, 2)]
    return _smooth(
        f"{variable}:{by}",
        label,
        (variable,),
        basis,
        basis.columns(x),
        _indicators(levels),
        tuple(levels[0]),
        sds,
        sd_of,
    )


def surface_smooth(label: str, names: tuple[str, str], x: np.ndarray, bs: str, k: int) -> Smooth:
    """t2(x, z), x (n, 2)."""
    basis = tensor_product(names, x, bs, k)
    sds, sd_of = (*names, ":".join(names)), np.repeat(np.arange(3), basis.parts)
    return _smooth(":".join(names), label, names, basis, basis.columns(x), [np.ones(len(x))], ("",), sds, sd_of)


def smooth_in_rows(smooth: Smooth, x: np.ndarray, multipliers: Sequence[np.ndarray]) -> Smooth:
    """The smooth at other values x (m, variables); each curve has its multiplier (m,)."""
    values, of_row = np.unique(x, axis=0, return_inverse=True)  # many rows may have few
    columns = smooth.basis.columns(values if len(smooth.variables) == 2 else values[:, 0])  # pyright: ignore[reportArgumentType]
    linear, penalised = (np.hstack([m[:, None] * part[of_row.ravel()] for m in multipliers]) for part in columns)
    return replace(smooth, linear=linear, penalised=np.ascontiguousarray(penalised))


def _indicators(levels: Levels) -> list[np.ndarray]:
    """For each level, 1 in its rows and 0 in the others (n,)."""
    return [(levels[1] == j).astype(float) for j in range(len(levels[0]))]


def _smooth(
    name: str,
    label: str,
    variables: tuple[str, ...],
    basis: Basis | TensorProduct,
    columns: tuple[np.ndarray, np.ndarray],
    multipliers: Sequence[np.ndarray],
    curves: tuple[str, ...],
    sds: tuple[str, ...],
    sd_of: np.ndarray,
) -> Smooth:
    """For every curve, the `columns` Xf and Zs of one times its multiplier (n,).

    `sd_of` broadcasts to (curves, columns of Zs of one curve).
    """
    linear, penalised = (np.hstack([m[:, None] * part for m in multipliers]) for part in columns)
    sd_of_weights = np.broadcast_to(sd_of, (len(curves), columns[1].shape[1])).ravel()
    return Smooth(name, label, variables, basis, linear, np.ascontiguousarray(penalised), curves, sds, sd_of_weights)
