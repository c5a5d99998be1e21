"""Mean and variance of one response of an outcome, given its linear predictor, for every draw of a fit with several outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.families.links import LINKS
from glmm_zoo.families.registry import FAMILIES, family_described
from glmm_zoo.results.findings.finding import draws_of

Thinning = tuple[slice, slice]  # chains and draws that a quadrature is done for
NORMAL_NODES = 15


@dataclass(frozen=True)
class ResponseMoments:
    """One outcome of a fit.

    Attributes
    ----------
    family, link
        As the spec names them.
    level
        Draws (chain, draw) of the linear predictor at the covariates' means.
    parameters
        Draws (chain, draw, ...) of the family's own parameters by their names; those with formulas of
        their own at the covariates' means.
    """

    family: str
    link: str
    level: np.ndarray
    parameters: Mapping[str, np.ndarray]

    def moments(self, kept: Thinning, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """E(y) and var(y), both (..., chain, draw), at linear predictors that differ by `deviation` from `level`."""
        eta = self.level[kept] + deviation
        parameters = {name: draws[kept] for name, draws in self.parameters.items()}
        return FAMILIES[self.family].moments(eta, parameters, self.link)

    def expected(self, kept: Thinning, shift: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """Draws (chain, draw) of E(y) over eta ~ Normal(level + shift, sd^2), by quadrature."""
        x, w = normal_nodes()
        return np.tensordot(w, self.moments(kept, shift[kept] + x[:, None, None] * sd[kept])[0], 1)


def response_of(posterior: xr.Dataset, spec: Mapping[str, Any], name: str) -> ResponseMoments:
    """The outcome called `name`."""
    outcome = spec["outcomes"][name]
    family = family_described(outcome)
    parameters = {
        part: draws_of(posterior, f"{name}_{part}")
        for part in (own.name for own in family.own)
        if f"{name}_{part}" in posterior
    }
    for part, link in family.scales.items():
        if f"{name}_{part}" in spec["formulas"]:
            parameters[part] = LINKS[link].inverse(_predictor_at_means(posterior, spec, f"{name}_{part}"))
    return ResponseMoments(outcome["family"], outcome["link"], _predictor_at_means(posterior, spec, name), parameters)


def _predictor_at_means(posterior: xr.Dataset, spec: Mapping[str, Any], prefix: str) -> np.ndarray:
    """A linear predictor at the means of its covariates (chain, draw), without offset."""
    intercept = draws_of(posterior, f"{prefix}_Intercept") if f"{prefix}_Intercept" in posterior else 0.0
    if f"{prefix}_beta" not in posterior:
        return intercept + np.zeros((posterior.sizes["chain"], posterior.sizes["draw"]))
    return intercept + draws_of(posterior, f"{prefix}_beta") @ np.array(spec["learnt"][prefix]["means"])


def normal_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Hermite nodes and weights, both (NORMAL_NODES,), for means over a standard normal."""
    x, w = np.polynomial.hermite_e.hermegauss(NORMAL_NODES)
    return x, w / w.sum()
