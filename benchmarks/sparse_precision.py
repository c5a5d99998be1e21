"""NUTS preconditioned by the joint precision at the Laplace mode (SparseNUTS), on our densities, beside ours: effective draws per gradient.

    .venv/bin/python benchmarks/sparse_precision.py cbpp_binomial toenail_logit --seeds 3

SparseNUTS (Monnahan et al., arXiv 2603.02437) finds the mode of the Laplace-marginal density of what is no group effect and that of the group
effects given it, takes the joint precision Q there as TMB's `getJointPrecision` does,

    Q = [[A, B], [B', M + B' A^-1 B]],   A = -d2 log p / du2,  B = -d2 log p / du dtheta,  M = -d2 log(marginal) / dtheta2,

and moves z with x = mode + L'^-1 z, Q = L L'. Here nutpie moves it, whose diagonal metric adapts to what Q leaves, with 300 warm-up draws where
SparseNUTS has 150 and the unit metric. Group effects are themselves unknowns (`centered`, as in glmmTMB) or in units of their standard
deviations (`noncentered`). Ours are draws until 4000 effective ones, none thinned. Effective draws are the fewest of any population parameter,
bulk and tails, and gradients are all of them, warm-up too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import linalg, optimize

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from fit_zoo import build
from reference_posteriors import REFERENCES

import glmm_zoo as zoo
from glmm_zoo.errors import FitError
from glmm_zoo.inference import datatree, nuts
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.coordinates import GaussianBlock, SamplerStart
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results import convergence
from glmm_zoo.results.storage import metadata, random_effect_variables

STEP = 1e-4
OUTER_STEP = 1e-3
WARM_UP = 300
EFFECTIVE = 4000


class Laplace:
    """The Laplace approximation of a density of theta and group effects u, whose `gradient` is of all unknowns x."""

    def __init__(self, density: Callable[[np.ndarray], tuple[float, np.ndarray]], x: np.ndarray, theta: np.ndarray):
        self.density, self.x, self.theta = density, x.copy(), theta
        self.u = np.setdiff1d(np.arange(len(x)), theta)
        self._root: tuple[np.ndarray, bool] | None = None

    def second(self, x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Minus second derivatives (unknowns, columns), by differences of gradients."""
        there = [
            (self.density(x - step)[1] - self.density(x + step)[1]) / (2 * STEP)
            for step in STEP * np.eye(len(x))[columns]
        ]
        return np.array(there).T

    def marginal(self, theta: np.ndarray) -> float:
        """Minus the log of the approximate marginal density of theta; u of `x` becomes the mode given theta."""
        x = self.x.copy()
        x[self.theta] = theta
        for _ in range(60):
            value, gradient = self.density(x)
            if not np.isfinite(value):
                return np.inf
            if np.abs(gradient[self.u]).max() < 1e-9:
                break
            if self._root is None:
                self._root = linalg.cho_factor(self._of_effects(x))
            step, size = linalg.cho_solve(self._root, gradient[self.u]), 1.0
            while size > 1e-6 and not self._better(x, size * step, value):
                size /= 2
            x[self.u] += size * step
            if size < 1.0:
                self._root = None
        try:
            root = linalg.cho_factor(self._of_effects(x))
        except linalg.LinAlgError:
            self._root = None
            return np.inf
        self.x, self._root = x, root
        return float(-self.density(x)[0] + np.log(np.diag(root[0])).sum())

    def _slope(self, theta: np.ndarray) -> np.ndarray:
        steps = OUTER_STEP * np.eye(len(theta))
        return np.array([self.marginal(theta + d) - self.marginal(theta - d) for d in steps]) / (2 * OUTER_STEP)

    def _curvature(self, theta: np.ndarray) -> np.ndarray:
        """Second derivatives (k, k)."""
        steps = OUTER_STEP * np.eye(len(theta))
        found = np.array([self._slope(theta + d) - self._slope(theta - d) for d in steps]) / (2 * OUTER_STEP)
        return (found + found.T) / 2

    def _of_effects(self, x: np.ndarray) -> np.ndarray:
        second = self.second(x, self.u)[self.u]
        return (second + second.T) / 2

    def _better(self, x: np.ndarray, step: np.ndarray, value: float) -> bool:
        there = x.copy()
        there[self.u] += step
        return self.density(there)[0] >= value - 1e-9

    def mode_and_root(self) -> tuple[np.ndarray, np.ndarray]:
        """The mode (n,) and R (n, n) with R R' = Q^-1."""
        found = optimize.minimize(
            self.marginal, self.x[self.theta], jac=self._slope, method="BFGS", options={"gtol": 1e-3}
        )
        theta = found.x
        for _ in range(3):  # the search stops where its line search sees rounding only
            outer = self._curvature(theta)
            theta = theta - linalg.solve(outer, self._slope(theta), assume_a="pos")
        self.marginal(theta)
        A, B = self._of_effects(self.x), self.second(self.x, self.theta)[self.u]
        n = len(self.x)
        Q = np.empty((n, n))
        Q[np.ix_(self.u, self.u)], Q[np.ix_(self.u, self.theta)], Q[np.ix_(self.theta, self.u)] = A, B, B.T
        Q[np.ix_(self.theta, self.theta)] = outer + B.T @ linalg.solve(A, B, assume_a="pos")
        return self.x, linalg.solve_triangular(np.linalg.cholesky(Q), np.eye(n), lower=True).T


def by_sparse_precision(model: Any, form: str, seeds: range) -> Iterator[float]:
    """Effective draws per 1000 gradients of each seed."""
    moved, _ = parameterize(model, form)
    initial = moved.initial_point()
    elements = [(moved.values_to_rvs[v].name, i) for v in moved.value_vars for i in range(np.size(initial[v.name]))]
    effects = {*moved.group_effect_names, *moved.smooth_weight_names}
    own = np.array([k for k, (name, _) in enumerate(elements) if name not in effects])
    plain = compile_model(moved)
    mode, root = Laplace(plain.value_and_gradient, plain.start, own).mode_and_root()
    compiled = compile_model(moved, SamplerStart({}, [GaussianBlock(elements, mode, root)]))
    for seed in seeds:
        settings = Settings(draws=1000, tune=WARM_UP, chains=4, seed=seed, thin=1)
        begin = mode + np.random.default_rng(seed).standard_normal((4, len(mode))) @ root.T
        drawn = nuts.sample(compiled, settings, begin, progress=False)
        posterior, _ = datatree.posterior(moved, compiled, drawn, datatree.kept_variables(moved, settings))
        if drawn.divergences:
            print(f"    {form}, seed {seed}: {drawn.divergences} transitions diverged")
        yield 1000 * fewest_effective(posterior, model) / drawn.gradients


def by_ours(model: Any, seeds: range) -> Iterator[float]:
    """The same of this project."""
    for seed in seeds:
        tree = zoo.fit(model, draws=8000, effective=EFFECTIVE, seed=seed, progress=False)
        yield 1000 * fewest_effective(tree["posterior"].dataset, model) / metadata(tree)["sampling"]["gradients"]


def fewest_effective(posterior: xr.Dataset, model: Any) -> float:
    """Of any parameter that is no group effect, bulk or tails."""
    effects = random_effect_variables(model.spec) | set(model.auxiliary)
    parts = [v.values.reshape(*v.shape[:2], -1) for name, v in posterior.data_vars.items() if name not in effects]
    x = np.concatenate(parts, axis=-1)
    x = x[..., np.ptp(x, axis=(0, 1)) > 0]
    with np.errstate(all="ignore"):
        return float(np.nanmin([convergence.ess_bulk(x), convergence.ess_tail(x)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posteriors", nargs="*", default=[r.file for r in REFERENCES if r.benchmark])
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    seeds = range(1, asked.seeds + 1)
    print("| posterior | unknowns | ours | centered | noncentered |\n| --- | --- | --- | --- | --- |")
    for name in asked.posteriors:
        model = build(name)
        found = {"ours": lambda m=model: by_ours(m, seeds)} | {
            form: lambda m=model, f=form: by_sparse_precision(m, f, seeds) for form in ("centered", "noncentered")
        }
        cells = []
        for what, worth in found.items():
            try:
                cells.append(f"{statistics.median(worth()):.0f}")
            except (FitError, linalg.LinAlgError, ValueError) as err:
                print(f"    {name}, {what}: {str(err).splitlines()[0]}", file=sys.stderr)
                cells.append("")
        size = sum(np.size(v) for v in model.initial_point().values())
        print(f"| `{name}` | {size} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
