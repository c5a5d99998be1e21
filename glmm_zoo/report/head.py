"""The head of the page: what was fitted to what, and the question."""

from __future__ import annotations

import xarray as xr

from glmm_zoo.report.parts import read_parts, sizes
from glmm_zoo.results.about import about_of
from glmm_zoo.results.storage import metadata, outcome_specs

MODELS = {
    "hierarchical_linear": "Linear mixed model",
    "hierarchical_logistic": "Logistic mixed model",
    "poisson": "Poisson mixed model",
    "gamm": "Additive mixed model",
    "ordinal": "Cumulative logit model",
    "stepped_wedge": "Stepped-wedge trial",
    "joint_survival": "Joint model of a marker and survival",
}


def kicker(tree: xr.DataTree) -> str:
    """ "Logistic mixed model · 15 herds, 56 rows"."""
    builder = metadata(tree)["spec"]["builder"]
    words = MODELS.get(builder, builder.replace("_", " ").capitalize())
    return f"{words} · {', '.join(sizes(read_parts(tree)))}"


def question(tree: xr.DataTree) -> str:
    """The question as it was told, or else what is modelled by what."""
    about, spec = about_of(tree), metadata(tree)["spec"]
    if about.question:
        return about.question
    outcomes = " and ".join(about.outcome_of(n).outcome or n or spec["outcome"] for n in outcome_specs(spec))
    of = about.of and f" and {about.name(about.of)}"
    return f"{outcomes[:1].upper()}{outcomes[1:]}{of}"
