"""Operating characteristics: what a design and its analysis find, again and again, where the truth is known.

    data ~ p(y | truth),   fit,   decide if P(value > above) > probability:   bias, coverage, interval width, and how often it is decided so

A study is a TOML file:

    schema = 1
    title = "Two arms of 60"
    model = "hierarchical_linear"
    data = "design.csv"            # rows and covariates, with any response; beside this file. Or [design], of simulate_design
    formula = "y ~ treat"

    [priors]
    beta = "Normal(0, 1)"

    [decide]
    comparison = "treat"           # or parameter = "beta[treat]"
    above = 0.0                    # or below
    probability = 0.975

    [[truth]]
    name = "no effect"
    parameters = { Intercept = 0, "beta[treat]" = 0, sigma = 1 }

Parameters that a truth does not name are drawn from their priors in each simulation, so that a study may average over them. The intercept is
that at zero covariates: models are built with center=False.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.calibration.calibrate import first_data_set_that_is_taken
from glmm_zoo.calibration.records import lost_simulation, simulations
from glmm_zoo.errors import FitError, InputError, did_you_mean, listing, plural
from glmm_zoo.estimands.comparisons import comparisons
from glmm_zoo.inference.fit import fit_draws
from glmm_zoo.inference.prior_draws import prior_as_fit
from glmm_zoo.refits.spread import Workers
from glmm_zoo.registry import Card, Sampling, find_card_or_builder
from glmm_zoo.results.diagnostics import check
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.numbers import percent
from glmm_zoo.results.parameter_statistics import element_labels, elements
from glmm_zoo.results.storage import metadata, reported_variables
from glmm_zoo.tables.card_files import not_exactly_one, read_toml
from glmm_zoo.tables.files import read_table
from glmm_zoo.trials.simulation import simulate_design

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

_PROB = 0.95  # of the intervals whose coverage is told


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [decide] of a study: for an effect is decided if P(value > above), or P(value < below), is larger than `probability`."""

    parameter: str = ""
    comparison: str = ""
    scale: str = "mean"
    measure: str = ""
    above: float | None = None
    below: float | None = None
    probability: float = 0.975


class Truth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table [[truth]] of a study: values of parameters by their names in `summary`."""

    name: str
    parameters: dict[str, float]


class StudyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A study file; see the module."""

    schema: int
    title: str
    model: str
    decide: Decision
    truth: list[Truth]
    formula: str
    data: str | None = None
    design: dict[str, Any] | None = None
    options: dict[str, Any] = {}
    priors: dict[str, str] = {}
    sampling: Sampling = Sampling()
    seed: int = 1


@dataclass(frozen=True, repr=False, eq=False)
class OperatingCharacteristics:
    """What came of a study.

    Attributes
    ----------
    study
        The file that was read.
    simulations
        One record for each: the name of its `truth`, the `value` of what is estimated, its `mean`, `lower` and `upper` in the fit, whether it was
        `decided` for an effect, whether the fit was `sound`; or the reason why it `failed`.
    """

    study: StudyFile
    simulations: tuple[Mapping[str, Any], ...]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each truth: `simulations`, the true `value`, `bias`, `rmse`, `coverage` of 95 % intervals, their `width`, the share `decided`
        for an effect, each with its Monte Carlo error `mcse_...`; the share of `sound` fits, and how many `failed`."""
        rows = {}
        for truth in self.study.truth:
            of = [s for s in self.simulations if s["truth"] == truth.name]
            found = pd.DataFrame([s for s in of if "mean" in s])
            rows[truth.name] = {
                "simulations": len(found),
                **(_characteristics(found) if len(found) else {}),
                "failed": len(of) - len(found),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("truth")

    @property
    def sentence(self) -> str:
        """How often it was decided for an effect under each truth, in words."""
        decide, table = self.study.decide, self.table
        at = f"> {decide.above:g}" if decide.above is not None else f"< {decide.below:g}"
        rule = f"P({decide.parameter or decide.comparison} {at}) > {decide.probability:g}"
        told = [
            f"in {percent(row['decided'])} of {plural(int(row['simulations']), 'simulation')} under {name!r} (Monte Carlo error {percent(row['mcse_decided'])})"
            for name, row in table.iterrows() if row["simulations"]
        ]  # fmt: skip
        return (
            f"{self.study.title}: decided for an effect, {rule}, {listing(told, 99)}."
            if told
            else f"{self.study.title}: no simulation succeeded."
        )

    def __repr__(self) -> str:
        return f"{self.sentence}\n\n{self.table.T.to_string(float_format='%.3g')}"


def _characteristics(found: pd.DataFrame) -> dict[str, float]:
    n, error = len(found), found["mean"] - found["value"]
    covered = (found["lower"] <= found["value"]) & (found["value"] <= found["upper"])
    width = found["upper"] - found["lower"]

    def sd(x: pd.Series) -> float:
        return float(x.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan

    def share(x: pd.Series) -> tuple[float, float]:
        p = float(x.mean())
        return p, float(np.sqrt(p * (1 - p) / n))

    coverage, decided = share(covered), share(found["decided"])
    rmse = float(np.sqrt((error**2).mean()))
    return {
        "value": float(found["value"].mean()),
        "bias": float(error.mean()), "mcse_bias": sd(error),
        "rmse": rmse, "mcse_rmse": sd(error**2) / (2 * rmse) if rmse else 0.0,
        "coverage": coverage[0], "mcse_coverage": coverage[1],
        "width": float(width.mean()), "mcse_width": sd(width),
        "decided": decided[0], "mcse_decided": decided[1],
        "sound": float(found["sound"].mean()),
    }  # fmt: skip


def simulate(
    study: str | os.PathLike[str],
    n: int = 200,
    *,
    folder: str | os.PathLike[str] | None = None,
    workers: Workers = None,
) -> OperatingCharacteristics:
    """The operating characteristics of a design and its analysis under each truth of a study.

    In each simulation group effects and responses are drawn anew, and parameters that the truth does not name from their priors; the model
    of these data, with the same priors, is fitted, and what the study asks for is decided.

    Parameters
    ----------
    study
        A TOML file; see `glmm_zoo.calibration.operating` for what is in it.
    n
        How many simulations there are of each truth in the end, those in `folder` among them.
    folder
        Where a line is added for each simulation as it ends; what is there already is not done again.
    workers
        As in `calibrate`.

    Returns
    -------
    OperatingCharacteristics
        A `table` with a row for each truth, a `sentence`, and the `simulations`.

    Raises
    ------
    InputError
        A file that is no study, parameters that the model does not have, data that the builder refuses; a folder of another study.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InputError(f"n must be a whole number of at least 1, not {n!r}")
    path = Path(study)
    file, model = read_study(path)
    fixed = {truth.name: fixed_values(model, truth) for truth in file.truth}
    design = {"study": msgspec.to_builtins(file), "data": model.spec["data"]["sha256"], "version": version("glmm-zoo")}
    done = simulations(
        _simulate,
        n * len(file.truth),
        file,
        model,
        fixed,
        None if workers is None else 1,
        folder=folder,
        design=design,
        workers=workers,
        lost=lambda i, why: {**lost_simulation(i, why), "truth": _truth(file, i).name},
    )
    return OperatingCharacteristics(file, tuple(done))


def _truth(file: StudyFile, i: int) -> Truth:
    """The truth of simulation i: i modulo their number, so that more simulations of each come after those that are there."""
    return file.truth[i % len(file.truth)]


def _simulate(
    i: int, file: StudyFile, model: Model, fixed: Mapping[str, Mapping[str, np.ndarray]], cores: int | None
) -> dict[str, Any]:
    """The record of simulation i."""
    began, truth = time.perf_counter(), _truth(file, i)
    refused, drawing, data_set = first_data_set_that_is_taken(model, file.seed, i, fixed[truth.name])
    record = {"simulation": i, "truth": truth.name, "refused": refused}
    try:
        tree = fit_draws(data_set.model, seed=drawing, cores=cores, **file.sampling.given)
    except FitError as err:
        return {**record, "failed": str(err), "seconds": time.perf_counter() - began}
    draws, decide = value_draws(tree, file.decide).ravel(), file.decide
    lower, upper = np.quantile(draws, [(1 - _PROB) / 2, (1 + _PROB) / 2])
    beyond = draws > decide.above if decide.above is not None else draws < decide.below
    return {
        **record,
        "value": float(value_draws(data_set.truth, decide).item()),
        "mean": float(draws.mean()), "lower": float(lower), "upper": float(upper),
        "decided": bool(beyond.mean() > decide.probability),
        "sound": check(tree).sound,
        "seconds": round(time.perf_counter() - began, 2),
    }  # fmt: skip


def value_draws(tree: xr.DataTree, decide: Decision) -> np.ndarray:
    """The draws (chain, draw) of what is decided on."""
    if decide.comparison:
        found = comparisons(tree, decide.comparison, scale=decide.scale)
        return found.draws["value"].values[:, :, row_of_measure(found, decide.comparison, decide.measure)]
    posterior = tree["posterior"].dataset
    for array in posterior.data_vars.values():
        labels = element_labels(array)
        if decide.parameter in labels:
            return elements(array)[:, :, labels.index(decide.parameter)]
    known = [label for array in posterior.data_vars.values() for label in element_labels(array)]
    raise InputError(f"the model has no parameter {decide.parameter!r}{did_you_mean(decide.parameter, known) or ''}")


def row_of_measure(found: Estimates, variable: str, measure: str) -> int:
    """The first row of comparisons of a variable that has a measure, or any where "" is asked for."""
    rows = np.flatnonzero(found.table["measure"] == measure) if measure else np.array([0])
    if not len(rows):
        raise InputError(
            f"comparisons of {variable!r} have no measure {measure!r}; they have {listing(found.table['measure'].unique())}"
        )
    return int(rows[0])


def read_study(path: Path) -> tuple[StudyFile, Model]:
    """A study and its model.

    Raises
    ------
    InputError
        A file that is no study, with what is wrong.
    """
    file = read_toml(path, StudyFile, (Decision, Truth, Sampling), "study")
    decide, problems = file.decide, []
    for names in (("parameter", "comparison"), ("above", "below")):
        said = not_exactly_one(decide, *names)
        if said is not None:
            problems.append(f"[decide] has {said}; give one")
    if not 0 < decide.probability < 1:
        problems.append(f"[decide] probability must be between 0 and 1, not {decide.probability:g}")
    if not file.truth or len({truth.name for truth in file.truth}) < len(file.truth):
        problems.append("a study has one [[truth]] or more, with names that differ")
    if (file.data is None) == (file.design is None):
        problems.append('a study has data = "FILE", or a table [design] of a stepped wedge, one of them')
    if problems:
        raise InputError(*(f"{path}: {problem}" for problem in problems))
    try:
        return file, _model(file, path.parent)
    except InputError as err:
        raise InputError(*(f"{path}: {problem}" for problem in err.problems)) from None


def _model(file: StudyFile, folder: Path) -> Model:
    found = find_card_or_builder(file.model)
    builder = found.builder if isinstance(found, Card) else found
    if file.design is not None:
        try:
            table: Any = simulate_design(**file.design)
        except TypeError as err:
            raise InputError(f"[design] has what simulate_design takes: {err}") from None
    else:
        assert file.data is not None
        table = read_table(folder / file.data)
    options = {"center": False, **file.options} if "center" in builder.options else file.options
    return builder.function()(table, file.formula, priors=file.priors, **options)


def fixed_values(model: Model, truth: Truth) -> dict[str, np.ndarray]:
    """The random variables that a truth fixes, with all their elements.

    Raises
    ------
    InputError
        Parameters that the model does not have, or a variable of which some elements are named and others not.
    """
    tree = prior_as_fit(model, 1, 0)
    drawn = tree["posterior"].dataset
    random = {rv.name for rv in model.free_RVs}
    labels = {name: element_labels(drawn[name]) for name in map(str, drawn.data_vars) if name in random}
    names = {*reported_variables(drawn, metadata(tree)["spec"])} & {*labels}
    known = [label for name in labels if name in names for label in labels[name]]
    unknown = [name for name in truth.parameters if name not in known]
    if unknown:
        raise InputError(
            f"truth {truth.name!r}: the model has no parameter {unknown[0]!r} of its own{did_you_mean(unknown[0], known) or ';'} it has {listing(known, 30)}"
        )
    values = {}
    for name in names:
        given = [label for label in labels[name] if label in truth.parameters]
        if given and len(given) < len(labels[name]):
            missing: Sequence[str] = [label for label in labels[name] if label not in given]
            raise InputError(
                f"truth {truth.name!r} names {listing(given, 9)} and not {listing(missing, 9)}; name all of {name}, or none"
            )
        if given:
            shape = drawn[name].isel(chain=0, draw=0).shape
            values[name] = np.array([truth.parameters[label] for label in labels[name]], float).reshape(shape)
    return values
