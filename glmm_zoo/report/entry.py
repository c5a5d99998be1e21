"""A figure in the catalogue of a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from glmm_zoo.results.figures.picture import Picture

type Section = Literal["key", "estimates", "groups", "priors", "checks", "asked"]


@dataclass(frozen=True)
class Entry:
    """A figure of a fit.

    Attributes
    ----------
    section
        Of the page; "asked" only where it is asked for.
    heading
        Above the figure, or of the folded part that it stands in.
    make
        Draws it.
    """

    section: Section
    heading: str
    make: Callable[[], Picture]
