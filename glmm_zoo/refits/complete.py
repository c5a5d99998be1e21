"""Whether a file holds already what a fit would make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from glmm_zoo.errors import InputError, listing
from glmm_zoo.inference.kept import differences
from glmm_zoo.inference.settings import Settings
from glmm_zoo.refits.imputed import keys_of_models
from glmm_zoo.results import storage

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


def complete_fit(
    target: Path, model: Model | Sequence[Model], settings: Settings, advice: str, *, overwrite: bool = False
) -> xr.DataTree | None:
    """The fit in a file, where it is all that is asked for; None where there is none, it lacks draws or is to be replaced.

    `advice` says what to do about another fit.

    Raises
    ------
    InputError
        A fit of something else that is not to be overwritten.
    """
    if not target.exists():
        return None
    asked = keys_of_models(model if isinstance(model, Sequence) else [model], settings)
    try:
        tree = storage.load(target)
        content = storage.metadata(tree)
    except InputError:
        if overwrite:
            return None
        raise
    there = storage.keys_of(content)
    if there == asked:
        return tree if storage.is_finished(content) else None
    if overwrite:
        return None
    told = listing(differences(there[0], asked[0])) if there else "what is not told in it"
    raise InputError(f"{target} holds another fit, which differs in {told}; {advice}")
