"""What a report says of residuals that are correlated within subjects: in the model's words and formula, methods and results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pandas as pd

from glmm_zoo.report.mathml import call, op, power, sub, sym
from glmm_zoo.report.parts import Parts, article, joined

STRUCTURE_WORDS = {
    "unstructured": ("unstructured", "each pair of {visits} has a correlation ρ of its own"),
    "toeplitz": ("Toeplitz", "the correlation ρ depends on how many {visits} apart two of them are"),
    "ar1": (
        "first-order autoregressive",
        "the correlation of neighbours is ρ, and falls by this factor with each further {visit} between two",
    ),
    "car1": (
        "continuous-time first-order autoregressive",
        "the correlation falls by the factor ρ for each unit of {visit} between two",
    ),
    "compound": ("compound symmetric", "any two have the correlation ρ"),
}


def structure_of(parts: Parts) -> str | None:
    """The name of the structure without the mark of standard deviations by visit; None where residuals are independent."""
    residual = parts.spec["options"].get("residual")
    return residual if residual is None or residual in STRUCTURE_WORDS else residual.removesuffix("h")


def sds_by_visit(parts: Parts) -> bool:
    """Whether every visit has a residual sd of its own."""
    return parts.spec["facts"].get("sds_by_visit", False)


def residual_sentences(parts: Parts) -> Iterator[str]:
    """How the residuals of a subject are correlated, in words."""
    structure = structure_of(parts)
    if structure is not None:
        visit, subject = _visit(parts), parts.about.name(parts.spec["options"]["within"])
        words = STRUCTURE_WORDS[structure][1].format(visit=visit, visits=parts.about.plural(visit))
        yield f"What is left of the rows of one {subject} is correlated: {words}{_sds(parts, f', and each {visit} has a σ of its own')}."


def residual_line(
    parts: Parts, response: Callable[[str], str], level: Callable[[str], str]
) -> tuple[str, str, str] | None:
    """corr(y_i, y_j) = ρ ..., i and j of one subject. `response(i)` is y_i, `level(i)` the visit of row i."""
    structure = structure_of(parts)
    if structure is None:
        return None
    i, j, rho = "i", "j", sym("ρ")
    apart = f"{op('|')}{level(i)}{op('−')}{level(j)}{op('|')}"
    right = {
        "unstructured": sub(rho, level(i), level(j)), "toeplitz": sub(rho, apart), "ar1": power(rho, f"<mrow>{apart}</mrow>"),
        "car1": power(rho, f"<mrow>{apart}</mrow>"), "compound": rho,
    }[structure]  # fmt: skip
    whose = sym(f"\N{NO-BREAK SPACE}for rows i and j of one {parts.about.name(parts.spec['options']['within'])}")
    return call(sym("corr"), response(i), response(j)), "=", f"{right}{whose}"


def residual_methods(parts: Parts) -> list[str]:
    """ "an unstructured correlation of the residuals of each patient over month"."""
    structure = structure_of(parts)
    if structure is None:
        return []
    visit, subject = _visit(parts), parts.about.name(parts.spec["options"]["within"])
    sds = _sds(parts, f" and a residual standard deviation for each {visit}")
    return [
        f"{article(STRUCTURE_WORDS[structure][0])} correlation of the residuals of each {subject} over {visit}{sds}"
    ]


def residual_results(parts: Parts, table: pd.DataFrame, written: Callable[[str], str]) -> Iterator[str]:
    """Standard deviations and correlations of residuals; `written(name)` is a row of the summary."""
    if structure_of(parts) is None:
        return
    visit = _visit(parts)
    sds = [name for name in table.index if name.startswith("sigma[")]
    if sds and sds_by_visit(parts):
        told = [f"{written(name)} at {visit} {_inside(name)}" for name in sds]
        yield f"The residual standard deviation was {joined(told)}."
    correlations = [name for name in table.index if name == "rho" or name.startswith(("rho[", "corr_residual["))]
    told = [f"{written(name)}{_between(name, visit)}" for name in correlations]
    if told:
        yield f"The correlation of the residuals of one {parts.about.name(parts.spec['options']['within'])} was {joined(told)}."


def _between(name: str, visit: str) -> str:
    inside = _inside(name)
    if name.startswith("corr"):
        return f" between {visit} {inside.replace(', ', ' and ')}"
    return f" {inside} apart" if inside else ""


def _inside(name: str) -> str:
    return re.sub(r"^.*?\[(.*)\]$|^[^\[]*$", r"\1", name)


def _visit(parts: Parts) -> str:
    return parts.about.name(parts.spec["options"]["time"])


def _sds(parts: Parts, words: str) -> str:
    return words if sds_by_visit(parts) else ""
