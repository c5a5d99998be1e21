"""What a report says of a model: in words, as a formula, and the lines of formula, builder, options and data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import xarray as xr

from glmm_zoo.errors import listing, plural
from glmm_zoo.report.model_math import model_math
from glmm_zoo.report.model_words import model_words
from glmm_zoo.report.parts import Parts, read_parts, sizes
from glmm_zoo.results.report.wording import unusual_options
from glmm_zoo.results.storage import outcome_formulas, outcome_specs


@dataclass(frozen=True)
class ModelText:
    """A model in words (plain text), as MathML (markup, its texts escaped), and as lines of (name, text)."""

    words: str
    mathml: str
    formula_lines: tuple[tuple[str, str], ...]


def model_text(tree: xr.DataTree) -> ModelText:
    """The model of a fit as its report tells it."""
    parts = read_parts(tree)
    return ModelText(model_words(parts), model_math(parts), tuple(_lines(parts)))


def _lines(parts: Parts) -> Iterator[tuple[str, str]]:
    spec = parts.spec
    for text in outcome_formulas(spec):
        yield "formula", text
    yield from spec["formulas"].items()
    links = dict.fromkeys(of["link"] for of in outcome_specs(spec).values() if of["link"] != "identity")
    options = [f"{name} = {_option(value)}" for name, value in unusual_options(spec).items()]
    yield "builder", listing([spec["builder"], *(f"{link} link" for link in links), *options], 99)
    yield "data", f"{listing(sizes(parts), 99)}; {_dropped(parts)}"


def _option(value: object) -> str:
    return listing(value, 20) if isinstance(value, list) else str(value)


def _dropped(parts: Parts) -> str:
    """How many rows were left out and why."""
    dropped = parts.spec["data"]["dropped"]
    gaps = [note for note in parts.spec["notes"] if " has no value in " in note]
    if dropped:
        return f"{plural(dropped, 'row')} dropped because of missing values"
    return listing(["no row dropped", *gaps]) if not gaps else f"no row dropped for missing covariates; {listing(gaps)}"
