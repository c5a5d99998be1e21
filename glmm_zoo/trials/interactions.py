"""How the effects of a network of trials change with covariates of the studies, and with the studies' level under the reference.

    D_t(i) = effect_t + sum over covariates j of (x_ij - mean of x_j) beta_jt,   D of the reference = 0       (NICE DSU TSD 3)

beta_jt is one for all treatments ("common"), or one for each. The last covariate may be the level of the study under the reference,
which is a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.errors import listing
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.priors import Parameter, Prior, beta_defaults, coefficients

INTERACTIONS = ("common", "exchangeable", "independent")
BASELINE = "baseline"  # the level under the reference as a covariate, and a column that rows may have: risk, or rate, under control


@dataclass(frozen=True)
class Interactions:
    """Slopes of the effects of `treatments`, those but the reference, over covariates.

    `covariates` (S, p) are those of the studies, as coded, None where there are none; `level` is where the effects are those without
    a slope over the level under the reference, None where they do not change with it; `level_spread` is that of the levels.
    """

    kind: str
    treatment: str
    treatments: tuple[str, ...]
    covariates: DesignMatrix | None = None
    level: float | None = None
    level_spread: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        """The covariates, the level last."""
        own = () if self.covariates is None else self.covariates.labels
        return own if self.level is None else (*own, BASELINE)

    @property
    def middles(self) -> dict[str, float]:
        """Where the effects are those without slopes."""
        means = [] if self.covariates is None else self.covariates.means.tolist()
        return dict(zip(self.names, means if self.level is None else [*means, self.level], strict=True))

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of the slopes: "x", or "x:treat[B]"."""
        if self.kind == "common":
            return self.names
        return tuple(f"{name}:{self.treatment}[{label}]" for name in self.names for label in self.treatments)

    @property
    def of_covariates(self) -> int:
        """How many slopes are over covariates; those over the level come after them."""
        return len(self.labels) - (0 if self.level is None else self.per_covariate)

    @property
    def per_covariate(self) -> int:
        return 1 if self.kind == "common" else len(self.treatments)

    def columns(self, x: np.ndarray, against: np.ndarray) -> np.ndarray:
        """What slopes over the covariates x (m, p) are multiplied with in m effects; `against` (m, treatments) has 1 at the treatment of
        each and -1 at the one it is against."""
        if self.kind == "common":
            return x * against.sum(axis=1, keepdims=True)
        return (x[:, :, None] * against[:, None, :]).reshape(len(x), -1)

    def over_covariates(self, study: np.ndarray, against: np.ndarray) -> np.ndarray:
        """`columns` of the covariates of these studies (m,)."""
        X = np.empty((len(study), 0)) if self.covariates is None else self.covariates.centred[study]
        return self.columns(X, against)

    def over_level(self, against: np.ndarray) -> np.ndarray:
        """`columns` of a level that is one more than where effects are those without a slope."""
        return self.columns(np.ones((len(against), 1)), against)

    def effects(
        self, study: np.ndarray, against: np.ndarray, effect: np.ndarray, beta: np.ndarray, level: np.ndarray | None
    ) -> np.ndarray:
        """Draws (..., m) of D_t(i) - D_s(i) in these studies i (m,), given those of effects, of slopes, at zero of products, and of the
        studies' levels under the reference."""
        value = effect @ against.T
        own, X = self.of_covariates, self.covariates
        if X is not None:
            value = value + beta[..., :own] @ self.columns((X.values - X.means)[study], against).T
        if self.level is not None:
            assert level is not None  # a model with slopes over levels has them
            value = value + (level[..., study] - self.level) * (beta[..., own:] @ self.over_level(against).T)
        return value

    def parameters(self) -> list[Parameter]:
        """What needs a prior: the slopes, or their mean and standard deviation over the treatments."""
        if not self.names:
            return []
        spreads = [] if self.covariates is None else self.covariates.spreads.tolist()
        spreads += [] if self.level is None else [self.level_spread]
        defaults = beta_defaults(spreads, 1.0)
        if self.kind != "exchangeable":
            every = [prior for prior in defaults for _ in range(self.per_covariate)]
            return [coefficients("beta", self.labels, every)]
        keys = tuple((f"beta_sd[{name}]", "beta_sd") for name in self.names)
        sds = tuple(Prior("HalfNormal", {"sigma": float(f"{1 / spread:.4g}")}) for spread in spreads)
        return [coefficients("beta_mean", self.names, defaults), Parameter("beta_sd", "positive", keys, sds)]

    def facts(self) -> dict[str, Any]:
        """How covariates are coded, where the level has its middle, the labels of slopes; JSON-able."""
        X = self.covariates
        coded = {"means": dict(zip(X.labels, X.means.tolist(), strict=True)), **X.learnt} if X else {"means": {}}
        return {"covariates": coded, "reference_level": self.level, "slopes": list(self.labels)}

    def notes(self, study: np.ndarray, against: np.ndarray, level: np.ndarray) -> list[str]:
        """A sentence about slopes that the comparisons of studies (m,) say nothing of; `level` (S,) are rough levels."""
        X = self.over_covariates(study, against)
        if self.level is not None:
            X = np.hstack([X, (level - self.level)[study, None] * self.over_level(against)])
        X = np.hstack([against, X])
        rank, first = np.linalg.matrix_rank(X), len(self.treatments)
        unknown = [
            label
            for j, label in enumerate(self.labels, start=first)
            if np.linalg.matrix_rank(np.delete(X, j, axis=1)) == rank
        ]
        rest = (
            "exchangeable ones have what is known of the others"
            if self.kind == "exchangeable"
            else "known from its prior alone"
        )
        return [
            f"no comparison of studies that differ in it tells the slope of {listing(unknown, 6)}: {rest}; interactions='common' has one "
            "slope for all treatments"
        ] * bool(unknown and self.kind != "common") + [
            f"the slope of {listing(unknown, 6)} is known from its prior alone: it is the same in all studies with the reference"
        ] * bool(unknown and self.kind == "common")


def interaction_problems(options: Mapping[str, Any], covariates: bool) -> list[str]:
    """Sentences about slopes beside other options."""
    problems: list[str] = []
    level = options["baseline_regression"] is not False
    if options["consistency"] == "ume" and (covariates or level):
        problems.append(
            "consistency='ume' has effects of pairs, and slopes are of effects against the reference: use "
            "consistency='consistency', or leave the covariates out"
        )
    if level and options["baseline"] == "random":
        problems.append(
            "baseline_regression=True has slopes over each study's own level, and baseline='random' draws the levels together: "
            "use baseline='fixed'"
        )
    if options["interactions"] != "common" and not (covariates or level):
        problems.append(
            f"interactions={options['interactions']!r} says how slopes differ, and the model has none: add a study covariate to the formula, or "
            "baseline_regression=True"
        )
    return problems
