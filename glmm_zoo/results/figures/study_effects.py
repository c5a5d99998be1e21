"""What the pictures of a meta-analysis share: each study's own ratio and the model's, its name, its covariate, and words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.families.links import LINKS
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.group_names import FactorRows, rows_of_factor
from glmm_zoo.results.figures.picture import BANDS
from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.findings.pooled import find, own_ratios
from glmm_zoo.results.numbers import MINUS, alone
from glmm_zoo.results.storage import metadata, stored_table


@dataclass(frozen=True)
class Covariate:
    """A covariate of the studies: its values by study, and its mean, NaN of a factor."""

    column: str
    values: pd.Series
    mean: float

    @property
    def numeric(self) -> bool:
        """Whether it is a number."""
        return self.values.dtype.kind in "iuf"


@dataclass(frozen=True)
class StudyEffects:
    """The effects of S studies as ratios.

    Attributes
    ----------
    own
        The study's own ratio and its Wald interval of 95 % (3, S): lower end, estimate, upper end; NaN where an arm is empty or full.
    information
        1 over the squared standard error of its log ratio (S,), 0 where there is none.
    model, mean, new
        Quantiles at `BANDS` of the model's ratio of each study (5, S), of the mean study and of a new one (5,).
    ratio
        "odds ratio" or "rate ratio".
    """

    labels: list[str]
    own: np.ndarray
    information: np.ndarray
    model: np.ndarray
    mean: np.ndarray
    new: np.ndarray
    ratio: str
    covariate: Covariate | None
    rows: FactorRows

    def order(self) -> np.ndarray:
        """The studies from the highest covariate to the lowest, and else from that with most information to that with least."""
        if self.covariate is None:
            return np.argsort(-self.information, kind="stable")
        values = pd.factorize(self.covariate.values, sort=True)[0]
        return np.lexsort((-self.information, -values if self.covariate.numeric else values))


def study_effects(tree: xr.DataTree, about: About) -> StudyEffects:
    """The effects of the studies of a meta-analysis."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    facts, ratio = spec["facts"], str(LINKS[spec["link"]].ratio)
    totals = {name: np.array(sums) for name, sums in facts["totals"].items()}
    log_ratio, half_width = own_ratios(totals, spec["link"] == "logit", 0.95)
    half_widths = half_width * np.array([[-1.0], [0.0], [1.0]])
    ratios = find(tree, 0.95).quantities
    effects = np.exp(draws_of(posterior, "study_effect"))
    rows = rows_of_factor(tree, facts["study"])
    return StudyEffects(
        rows.labels(about, np.arange(len(rows.first))), np.exp(log_ratio + half_widths),
        np.nan_to_num(1 / half_width**2), np.quantile(effects, BANDS, axis=(0, 1)),
        np.quantile(ratios[ratio], BANDS), np.quantile(ratios[f"{ratio}_new"], BANDS),
        ratio.replace("_", " "), _covariate(tree, facts["covariates"]["means"], rows), rows,
    )  # fmt: skip


def numeric_covariate(tree: xr.DataTree) -> str | None:
    """The first covariate of the studies that is a column of numbers; None where there is none."""
    table, means = stored_table(tree), metadata(tree)["spec"]["facts"]["covariates"]["means"]
    return next((label for label in means if label in table), None)


def _covariate(tree: xr.DataTree, means: dict[str, float], rows: FactorRows) -> Covariate | None:
    """The first that is a number, else the first that is a column."""
    columns = [numeric_covariate(tree), *(label.split("[")[0] for label in means)]
    column = next((c for c in columns if c in rows.table), None)
    return None if column is None else Covariate(column, rows.table[column].iloc[rows.first], means.get(column, np.nan))


def at_mean(study: StudyEffects, about: About) -> str:
    """Where the mean study lies: " (33.5°)", " (x 0.4)"; "" where that is not one number."""
    covariate = study.covariate
    if covariate is None or not np.isfinite(covariate.mean):
        return ""
    unit = about.unit_of(covariate.column)
    name = "" if unit else f"{about.name(covariate.column)} "
    return f" ({name}{with_unit(alone(covariate.mean), unit)})"


def covariate_text(about: About, column: str, value: float) -> str:
    """A value of a covariate as the data have it, with its unit."""
    return with_unit(f"{value:.6g}".replace("-", MINUS), about.unit_of(column))


def with_unit(number: str, unit: str) -> str:
    """ "33.5°", "12 years"."""
    return f"{number}{'' if unit in ('', '°', '%') else chr(0xA0)}{unit}"


def of_what(tree: xr.DataTree, about: About) -> tuple[str, str, str]:
    """The names of the treated and of the control arm, and of the events: "vaccinated", "not", "cases"."""
    spec = metadata(tree)["spec"]
    control, treated = (about.level(spec["options"]["treatment"], label) for label in spec["facts"]["labels"])
    return treated, control, about.plural(about.outcome or "event")
