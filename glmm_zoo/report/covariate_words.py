"""Covariates with missing values, mi(x), in the words of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from glmm_zoo.errors import plural
from glmm_zoo.report.parts import OutcomeParts, Parts, joined


def covariate_name(parts: Parts, covariate: OutcomeParts) -> str:
    """The words for its column."""
    return parts.about.name(_described(parts, covariate)["column"])


def gaps_sentence(parts: Parts, covariate: OutcomeParts) -> str:
    """What stands in the rows that have no value."""
    name, missing = covariate_name(parts, covariate), _described(parts, covariate)["missing"]
    if not missing:
        return f"No value of {name} is missing."
    return (
        f"In the {plural(missing, 'row')} without a value, {name} is an unknown of the model, which has this distribution and which the "
        "outcome tells of too."
    )


def covariate_methods(parts: Parts, contents: Sequence[Sequence[str]]) -> Iterator[str]:
    """The sentence on each covariate, whose linear predictor has these contents."""
    for covariate, items in zip(parts.covariates, contents, strict=True):
        of = _described(parts, covariate)
        total = of["missing"] + of["observed"]
        yield (
            f"{of['missing']} of {total} values of {covariate_name(parts, covariate)} were missing; they were unknowns of the model with a "
            f"normal distribution, whose mean had {joined(list(items)) if items else 'a single level'}, estimated together with all else "
            "(missing at random)."
        )


def _described(parts: Parts, covariate: OutcomeParts) -> dict[str, Any]:
    return parts.spec["covariates"][covariate.prefix]
