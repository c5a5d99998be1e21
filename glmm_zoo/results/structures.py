"""What a fit says of group effects whose levels depend on each other, and of rows that belong to several levels."""

from __future__ import annotations

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
