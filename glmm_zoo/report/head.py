"""The head of the page: what was fitted to what, and the question."""

from __future__ import annotations

from importlib.resources import files

import xarray as xr

from glmm_zoo.report.model_words import outcome_words
from glmm_zoo.report.parts import read_parts, sizes
from glmm_zoo.results.about import about_of
from glmm_zoo.results.storage import metadata


def kicker(tree: xr.DataTree) -> str:
    """ "Logistic mixed model · 15 herds, 56 rows"."""
    builder = metadata(tree)["spec"]["builder"]
    text = files("glmm_zoo.builders").joinpath(f"{builder}.py").read_text(encoding="utf-8")
    words = text.removeprefix('"""').partition(":")[0]  # the title that the builder's file begins with
    return f"{words} · {', '.join(sizes(read_parts(tree)))}"


def question(tree: xr.DataTree) -> str:
    """The question as it was told, or else what is modelled by what."""
    about = about_of(tree)
    if about.question:
        return about.question
    parts = read_parts(tree)
    outcomes = " and ".join(outcome_words(parts, outcome) for outcome in parts.outcomes)
    of = about.of and f" and {about.name(about.of)}"
    return f"{outcomes[:1].upper()}{outcomes[1:]}{of}"
