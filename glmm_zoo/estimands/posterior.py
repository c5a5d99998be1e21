"""The draws of a fit that estimands are computed from, and the covariances of its group effects."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.plans.groups import Group
from glmm_zoo.results.storage import EFFECT_DRAWS


@dataclass(frozen=True)
class PosteriorDraws:
    """S draws of a fit, equally many of each chain and equally far apart, in the order chain by chain.

    `places` (draws of each chain,) are those that are used. Of the variables of `moments` the fit kept the draws of `effects` at most.
    """

    posterior: xr.Dataset
    places: np.ndarray
    moments: frozenset[str] = frozenset()
    effects: xr.Dataset = field(default_factory=xr.Dataset)
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
            array = self._effects(name) if name in self.moments else self.posterior[name].isel(draw=self.places)
            values = array.transpose("chain", "draw", ...).values
            self._read[name] = values.reshape(self.size, *values.shape[2:])
        return self._read[name]

    def _effects(self, name: str) -> xr.DataArray:
        """Draws (chain, draw, ...) of group effects, of which not all are kept."""
        if name not in self.effects:
            raise InputError(
                f"of {name!r} this fit kept the mean and sd, not the draws, so that a level's own effects are not known: ask for "
                "groups='population' or 'typical', or fit again with keep_group_effects='draws'"
            )
        kept = self.effects["effect_draw"].values
        if not np.isin(self.places, kept).all():
            raise InputError(
                f"of {name!r} this fit kept {self.chains * len(kept)} draws, and {self.size} are asked for: ask for "
                f"draws={self.chains * len(kept)} or fewer, or for groups='population' or 'typical'"
            )
        return self.effects[name].isel(effect_draw=np.searchsorted(kept, self.places)).rename(effect_draw="draw")

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
    """About this many draws of a fit, all that it has where these are fewer; those of which it kept group effects where these are
    enough."""
    posterior = tree["posterior"].dataset
    chains, kept = posterior.sizes["chain"], posterior.sizes["draw"]
    each = min(kept, -(-draws // chains))
    if "group_effects" not in tree.children:
        return PosteriorDraws(posterior, places_of(each, kept))
    moments = frozenset(map(str, tree["group_effects"].data_vars))
    effects = tree[EFFECT_DRAWS].to_dataset() if EFFECT_DRAWS in tree.children else xr.Dataset()
    of_effects = effects["effect_draw"].values if effects else np.arange(0)
    places = of_effects[places_of(each, len(of_effects))] if each <= len(of_effects) else places_of(each, kept)
    return PosteriorDraws(posterior, places, moments, effects)


def places_of(used: int, kept: int) -> np.ndarray:
    """Which draws (used,) of the `kept` ones of a chain are used, where it is so many of them."""
    return np.arange(used) * kept // used
