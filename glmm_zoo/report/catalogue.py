"""Which figures a fit has, by name, in the order of the page, and from which estimates each is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import xarray as xr

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.estimands.comparisons import comparisons
from glmm_zoo.report import survival_figures
from glmm_zoo.report.answer import Answer, answering
from glmm_zoo.results import figures
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.figures.picture import Picture
from glmm_zoo.results.storage import metadata
from glmm_zoo.results.whole_fit import of_a_whole_fit

type Section = Literal["key", "estimates", "groups", "priors", "checks", "asked"]
BASELINE_RISKS = (0.001, 0.01, 0.05, 0.1)  # per 1, 10, 50 and 100 in 1000


@dataclass(frozen=True)
class Entry:
    """A figure of a fit: its name, the section of the page that it stands in ("asked" only where it is asked for), the heading above
    it, and how it is made."""

    name: str
    section: Section
    heading: str
    make: Callable[[], Picture]


class Catalogue:
    """The figures of a fit; what several of them need is computed once, when the first is made."""

    def __init__(self, tree: xr.DataTree, *, prob: float = 0.95, answer: Answer | None = None):
        self.tree = tree
        self.prob = prob
        self.spec = metadata(tree)["spec"]
        self.about: About = about_of(tree)
        self._given = answer

    @cached_property
    def answer(self) -> Answer:
        """The answer of the fit."""
        return self._given if self._given is not None else answering(self.tree, prob=self.prob)

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """The figures by name, in the order of the page."""
        return {entry.name: entry for entry in self._entries()}

    def picture(self, name: str) -> Picture:
        """The figure of that name.

        Raises
        ------
        InputError
            A name of no figure of this fit.
        """
        if name not in self.entries:
            near = did_you_mean(name, self.entries) or ";"
            raise InputError(f"this fit has no figure {name!r}{near} its figures: {listing(self.entries, 40)}")
        return self.entries[name].make()
