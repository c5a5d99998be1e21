"""Bases of two variables: t2(x, z), the products of two bases of one variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.smooths.bases import Basis, spline_basis


@dataclass(frozen=True)
class TensorProduct:
    """t2(x, z): products of two bases, split (Wood, Scheipl & Faraway 2013), each column less its mean over the rows.

    Of each margin N = (1, line) is not penalised and P is. Xf = N1 N2 but the constant: x, z and x z. Zs are
    P1 N2, N1 P2 and P1 P2, with an sd each; they are divided by `size`, the largest absolute row sum, as mgcv does.
    """

    margins: tuple[Basis, Basis]
    size: float
    linear_means: np.ndarray  # (3,) of Xf over the rows of the data
    means: np.ndarray  # (q,) of Zs

    @property
    def parts(self) -> tuple[int, int, int]:
        """How many columns P1 N2, N1 P2 and P1 P2 have."""
        q1, q2 = (margin.penalised.shape[1] for margin in self.margins)
        return 2 * q1, 2 * q2, q1 * q2

    def columns(self, x: np.ndarray, derivative: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Xf (n, 3) and Zs (n, q) at x (n, 2), or their first derivatives in the first variable."""
        (N1, P1), (N2, P2) = self.margins[0].columns(x[:, 0], derivative), self.margins[1].columns(x[:, 1])
        linear = _products(N1, N2)[:, [2, 1, 3]]
        penalised = np.hstack([_products(P1, N2), _products(N1, P2), _products(P1, P2)]) / self.size
        return (linear, penalised) if derivative else (linear - self.linear_means, penalised - self.means)

    def to_json(self) -> dict[str, Any]:
        return {
            "bs": "t2", "margins": [margin.to_json() for margin in self.margins], "size": self.size,
            "linear_means": self.linear_means.tolist(), "means": self.means.tolist(),
        }  # fmt: skip


def tensor_product(names: tuple[str, str], x: np.ndarray, bs: str, k: int) -> TensorProduct:
    """The basis of t2(x, z), x (n, 2), with k functions in each direction."""
    if bs == "cc":
        raise InputError(f't2({", ".join(names)}): bs="cc" has no line; use "cr", "ps" or "tp"')
    first, second = (_scaled_margin(name, x[:, j], bs, k) for j, name in enumerate(names))
    raw = TensorProduct((first, second), 1.0, np.zeros(3), np.zeros(1))
    linear, penalised = raw.columns(x)
    size = float((1.0 + np.abs(linear).sum(axis=1) + np.abs(penalised).sum(axis=1)).max())
    return TensorProduct((first, second), size, linear.mean(axis=0), penalised.mean(axis=0) / size)


def _scaled_margin(name: str, x: np.ndarray, bs: str, k: int) -> Basis:
    """A basis whose columns have mean square one over the rows: each of Xf, and those of Zs together."""
    basis = spline_basis(name, x, bs, k, centred=False)
    line, bends = basis.columns(x)
    linear = basis.linear / np.sqrt(np.mean(line**2, axis=0))
    return replace(basis, linear=linear, penalised=basis.penalised / np.sqrt(np.mean(bends**2)))


def _products(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Row by row, every column of A (n, p) times every column of B (n, q): (n, p q)."""
    return (A[:, :, None] * B[:, None, :]).reshape(len(A), -1)


def basis_from_json(text: Mapping[str, Any]) -> Basis | TensorProduct:
    """The basis that `to_json` wrote."""
    if text["bs"] != "t2":
        return Basis.from_json(text)
    first, second = (Basis.from_json(part) for part in text["margins"])
    return TensorProduct((first, second), text["size"], np.array(text["linear_means"]), np.array(text["means"]))
