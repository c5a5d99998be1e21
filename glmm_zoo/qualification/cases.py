"""Cases: a model, its data, and numbers that its fit should find, or should not.

A case is a TOML file of a user's study, or one of those in the folder `published` beside this file:

    schema = 1
    title = "Our trial of 2019"
    source = "Table 2 of the paper, lme4 1.1-35"
    model = "hierarchical_logistic"      # a builder, or a card, whose data, formula, options and priors are meant where none are given
    data = "trial.csv"                   # beside this file
    formula = "died ~ treat + age + (1 | site)"

    [priors]
    beta = "Normal(0, 1)"

    [[numbers]]
    parameter = "beta[treat]"            # a row of `summary`
    value = -0.52
    within = 0.05

    [[numbers]]
    comparison = "treat"                 # a variable of `comparisons`
    measure = "difference"
    value = -0.08
    within = 0.01
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import pandas as pd
import xarray as xr

from glmm_zoo.calibration.operating import row_of_measure
from glmm_zoo.errors import FitError, InputError, did_you_mean, listing
from glmm_zoo.estimands.comparisons import comparisons
from glmm_zoo.inference.fit import fit
from glmm_zoo.qualification.results import Result, judged
from glmm_zoo.refits.described import DescribedFit, described_model
from glmm_zoo.registry import Sampling
from glmm_zoo.results.diagnostics import check
from glmm_zoo.results.numbers import written
from glmm_zoo.results.summary import summary
from glmm_zoo.tables.card_files import not_exactly_one, read_toml

PUBLISHED, DISAGREEMENTS = "published", "disagreements"  # folders beside this file
_DIGITS = 4


class KnownNumber(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table [[numbers]] of a case: a statistic of a parameter of `summary`, or of the first row of `comparisons` of a variable, on a
    `scale` and of a `measure` where that is given. What is found is `within` so much of the value; or, where two programs are known to
    disagree, `beyond`, and `why`."""

    value: float
    parameter: str = ""
    comparison: str = ""
    scale: str = "mean"
    measure: str = ""
    statistic: Literal["mean", "median", "sd", "lower", "upper"] = "mean"
    within: float | None = None
    beyond: float | None = None
    why: str = ""


class CaseFile(DescribedFit, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A case file; see the module."""

    schema: int
    title: str
    source: str
    numbers: list[KnownNumber]


@dataclass(frozen=True)
class Case:
    """A case and the model of it."""

    file: CaseFile
    model: Any

    def results(self) -> Iterator[Result]:
        """Where the numbers are from, whether the fit is sound, and each number as the fit has it."""
        yield Result(self.file.title, "source", "", self.file.source, "noted")
        try:
            tree = fit(self.model, seed=self.file.seed, progress=False, **self.file.sampling.given)
        except FitError as err:
            yield judged(self.file.title, "fit", "a fit", str(err), False)
            return
        verdict = check(tree)
        yield judged(self.file.title, "diagnostics", "sound", "sound" if verdict.sound else str(verdict), verdict.sound)
        table = summary(tree)
        for number in self.file.numbers:
            yield self._result(number, tree, table)

    def _result(self, number: KnownNumber, tree: xr.DataTree, table: pd.DataFrame) -> Result:
        value, of = (
            f"{number.value:g}",
            f"{number.statistic} of {number.parameter or f'comparison of {number.comparison}'}",
        )
        if number.measure:
            of += f", {number.measure}"
        try:
            found = float(_row(number, tree, table)[number.statistic])
        except InputError as err:
            return judged(self.file.title, of, value, str(err), False)
        away = abs(found - number.value)
        if number.within is not None:
            return judged(
                self.file.title, of, f"{value} ± {number.within:g}", written(found, _DIGITS), away <= number.within
            )
        assert number.beyond is not None
        expected = f"at least {number.beyond:g} from {value}: {number.why}"
        return judged(self.file.title, of, expected, written(found, _DIGITS), away >= number.beyond)


def read_case(path: Path) -> Case:
    """Read a case and make its model.

    Raises
    ------
    InputError
        A file that is not such a case, an unknown model, data or formula that the builder refuses.
    """
    file = read_toml(path, CaseFile, (KnownNumber, Sampling), "case")
    if not file.numbers:
        raise InputError(f"{path}: a case has numbers that its fit should find; add a table [[numbers]]")
    for number in file.numbers:
        for names in (("parameter", "comparison"), ("within", "beyond")):
            said = not_exactly_one(number, *names)
            if said is not None:
                raise InputError(f"{path}: the number {number.value:g} has {said}; give one of them")
    try:
        return Case(file, described_model(file, path.parent, "a case"))
    except InputError as err:
        raise InputError(f"{path}: {err}") from None


def _row(number: KnownNumber, tree: xr.DataTree, table: pd.DataFrame) -> pd.Series:
    """The row of the summary, or of comparisons, that a number is of."""
    if number.parameter:
        if number.parameter not in table.index:
            known = list(map(str, table.index))
            raise InputError(
                f"the fit has no parameter {number.parameter!r}{did_you_mean(number.parameter, known) or ';'} it has {listing(known, 30)}"
            )
        return table.loc[number.parameter]
    found = comparisons(tree, number.comparison, scale=number.scale)
    return found.table.iloc[row_of_measure(found, number.comparison, number.measure)]
