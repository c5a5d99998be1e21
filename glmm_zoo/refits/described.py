"""A model that a file describes: a builder with data, or a card, whose data, formula, options and priors are meant
where the file gives none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from glmm_zoo.errors import InputError
from glmm_zoo.registry import Card, Sampling, find_card_or_builder
from glmm_zoo.tables.files import read_table

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


class DescribedFit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a file says of a fit; `data`, `survival` and `tables`, by name, are paths as seen from its folder."""

    model: str
    data: str | None = None
    survival: str | None = None
    formula: str | list[str] | None = None
    tables: dict[str, str] = {}
    options: dict[str, Any] | None = None
    priors: dict[str, str] | None = None
    sampling: Sampling = Sampling()
    seed: int = 1


def described_model(file: DescribedFit, folder: Path, what: str) -> Model:
    """The model that a file in this folder describes; `what` is the word for it.

    Raises
    ------
    InputError
        An unknown model, a builder without data or formula, whatever the builder refuses.
    """
    found = find_card_or_builder(file.model)
    own = file.data is not None
    if not isinstance(found, Card):
        if not own or file.formula is None:
            raise InputError(f"{what} of the builder {file.model!r} needs data and formula; or name a card")
        builder, formula, options, priors = found, file.formula, file.options or {}, file.priors or {}
    else:
        builder, formula = found.builder, file.formula or found.file.formula
        options = found.file.options if file.options is None else file.options
        priors = found.file.priors if file.priors is None else file.priors
    if own:
        names = builder.table_arguments(file.data, file.survival)
        tables = [None if name is None else read_table(folder / name) for name in names]
        beside = {k: read_table(folder / v) for k, v in file.tables.items()}
    else:
        assert isinstance(found, Card)
        tables, beside = found.tables(), found.level_tables()
    return builder.function()(*tables, formula, tables=beside, priors=priors, **options)
