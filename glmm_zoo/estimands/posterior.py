"""The draws of a fit that estimands are computed from, and the covariances of its group effects."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.plans.groups import Group


@dataclass(frozen=True)
class PosteriorDraws:
    """S draws of a fit, equally many of each chain and equally far apart, in the order chain by chain.

    `places` (draws of each chain,) are those that are used.
    """

    posterior: xr.Dataset
    places: np.ndarray
    moments: frozenset[str] = frozenset()  # of these variables the fit kept no draws
    _read: dict[str, np.ndarray] = field(default_factory=dict, compare=False)

    @property
    def chains(self) -> int:
        return self.posterior.sizes["chain"]

    @property
    def size(self) -> int:
        """S."""
        return self.chains * len(self.places)

    def __contains__(self, name: str) -> bool:
        return name in self.posterior

    def __getitem__(self, name: str) -> np.ndarray:
        """Draws (S, ...) of a variable."""
        if name not in self._read:
            if name in self.moments:
                raise InputError(
                    f"of {name!r} this fit kept the mean and sd, not the draws, so that a level's own effects are not known: ask for "
                    "groups='population' or 'typical', or fit again with keep_group_effects='draws'"
                )
            values = self.posterior[name].isel(draw=self.places).transpose("chain", "draw", ...).values
            self._read[name] = values.reshape(self.size, *values.shape[2:])
        return self._read[name]

    def by_chain(self, values: np.ndarray) -> np.ndarray:
        """Values (S, ...) as (chain, draw, ...)."""
        return values.reshape(self.chains, len(self.places), *values.shape[1:])

    def covariance(self, group: Group) -> np.ndarray:
        """S_g (S, K, K), or (S, strata, K, K), of the effects of one level of a factor, at zero of the covariates; the mean over the levels
        where their variances differ."""
        sd = self[group.name("sd")]
        correlation = self[group.name("corr")] if group.name("corr") in self else np.eye(sd.shape[-1])
        S = sd[..., :, None] * correlation * sd[..., None, :]
        if group.structure is None:
            return S
        rho = self[group.name("rho")][:, None, None] if group.structure.shared else 1.0
        return S * (1.0 + rho * (group.structure.variance - 1.0))


def posterior_draws(tree: xr.DataTree, draws: int) -> PosteriorDraws:
    """About this many draws of a fit, all that it has where these are fewer."""
    posterior = tree["posterior"].dataset
    chains, kept = posterior.sizes["chain"], posterior.sizes["draw"]
    each = min(kept, -(-draws // chains))
    moments = frozenset(map(str, tree["group_effects"].data_vars)) if "group_effects" in tree.children else frozenset()
    return PosteriorDraws(posterior, places_of(each, kept), moments)


def places_of(used: int, kept: int) -> np.ndarray:
    """Which draws (used,) of the `kept` ones of a chain are used, where it is so many of them."""
    return np.arange(used) * kept // used
