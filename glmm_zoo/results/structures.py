"""What a fit says of group effects whose levels depend on each other, and of rows that belong to several levels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr


def marginal_ratio(posterior: xr.Dataset, group: Mapping[str, Any]) -> xr.DataArray | float:
    """The standard deviation of the effects of a level, in the mean of their variances, as a multiple of `sd_<g>`: 1 where levels
    are independent. `group` is its entry in the spec."""
    if "structure" not in group:
        return 1.0
    variance, rho = group["structure"]["variance"], group["structure"].get("rho")
    return np.sqrt(variance) if rho is None else np.sqrt(1.0 + posterior[rho] * (variance - 1.0))


def row_ratio(posterior: xr.Dataset, group: Mapping[str, Any]) -> xr.DataArray | float:
    """The standard deviation of a row's effect, in the mean of their variances, as a multiple of `sd_<g>`: that of its level, or where it
    has several, mm(g1, g2), of the sum of theirs times their weights."""
    return np.sqrt(group["members"]["variance"]) if "members" in group else marginal_ratio(posterior, group)


def effects_of_element(group: Mapping[str, Any], inside: str) -> tuple[str, ...]:
    """The effects that an element of a group's standard deviations, or correlations, is of, whose names may have commas of their own:
    "Intercept" and "arm[drug, new]" of "Intercept, arm[drug, new]"."""
    known = set(group.get("effects", ()))
    if inside in known:
        return (inside,)
    pairs = [(inside[: cut.start()], inside[cut.end() :]) for cut in re.finditer(", ", inside)]
    return next((pair for pair in pairs if known.issuperset(pair)), tuple(inside.split(", ")))
