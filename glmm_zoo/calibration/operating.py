"""Operating characteristics: what a design and its analysis find, again and again, where the truth is known.

    data ~ p(y | truth),   fit,   decide if P(value > above) > probability:   bias, coverage, interval width, and how often it is decided so

What a study is, and its file, are in `glmm_zoo.calibration.study`.
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
from glmm_zoo.calibration.study import Decision, Study, Truth, fixed_values, read_study, study_of_model
from glmm_zoo.errors import FitError, InputError, did_you_mean, listing, plural
from glmm_zoo.estimands.comparisons import comparisons
from glmm_zoo.inference.fit import fit_draws
from glmm_zoo.inference.prior_draws import prior_as_fit
from glmm_zoo.refits.spread import Workers
from glmm_zoo.report.certificate import code_of_draws
from glmm_zoo.results.diagnostics import check
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.numbers import percent
from glmm_zoo.results.once import computed_once
from glmm_zoo.results.parameter_statistics import element_labels, elements

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

_PROB = 0.95  # of the intervals whose coverage is told
POWER, TYPE_I_ERROR = "power", "type-I error"


@dataclass(frozen=True, repr=False, eq=False)
class OperatingCharacteristics:
    """What came of a study.

    Attributes
    ----------
    study
        Its title, quantities and truths.
    simulations
        One record for each: the name of its `truth`, whether the fit was `sound`, and by the name of each of the `quantities` the true `value`,
        `mean`, `lower` and `upper` in the fit, and whether it was `decided` for an effect; or the reason why it `failed`.
    """

    study: Study
    simulations: tuple[Mapping[str, Any], ...]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each quantity under each truth: `simulations`, the true `value`, `bias`, `rmse`, `coverage` of 95 % intervals, their `width`,
        the share `decided` for an effect, each with its Monte Carlo error `mcse_...`; what that share `is`, "type-I error" where the
        decision is wrong at the true value, "power" where it is right, "" where it is wrong at some of the true values drawn from a prior, or
        nothing is decided; the share of `sound` fits, and how many `failed`."""
        rows = {}
        for decide in self.study.decide:
            for truth in self.study.truth:
                of = [s for s in self.simulations if s["truth"] == truth.name]
                found = pd.DataFrame(
                    [{**s["quantities"][decide.label], "sound": s["sound"]} for s in of if "quantities" in s]
                )
                rows[decide.label, truth.name] = {
                    "simulations": len(found),
                    **(_characteristics(found, decide) if len(found) else {}),
                    "failed": len(of) - len(found),
                }
        return pd.DataFrame(list(rows.values()), index=pd.MultiIndex.from_tuples(rows, names=["quantity", "truth"]))

    @property
    def sentence(self) -> str:
        """How often it was decided for an effect under each truth, in words."""
        table, told = self.table, []
        if not table["simulations"].any():
            return f"{self.study.title}: no simulation succeeded."
        for decide in self.study.decide:
            if not decide.rule:
                continue
            shares = [
                f"{percent(row['decided'])} of {plural(int(row['simulations']), 'simulation')} under {truth!r}"
                f" ({f'{row["is"]}, ' if row['is'] else ''}Monte Carlo error {percent(row['mcse_decided'])})"
                for truth, row in table.loc[decide.label].iterrows() if row["simulations"]
            ]  # fmt: skip
            told.append(f"decided for an effect, {decide.rule}, in {listing(shares, 99)}.")
        if told:
            return f"{self.study.title}: {' And '.join(told)}"
        return f"{self.study.title}: {plural(int(table['simulations'].iloc[0]), 'simulation')} of each truth, in which nothing is decided."

    def __repr__(self) -> str:
        return f"{self.sentence}\n\n{self.table.T.to_string(float_format='{:.3g}'.format)}"


def _characteristics(found: pd.DataFrame, decide: Decision) -> dict[str, Any]:
    n, error = len(found), found["mean"] - found["value"]
    covered = (found["lower"] <= found["value"]) & (found["value"] <= found["upper"])
    width = found["upper"] - found["lower"]

    def sd(x: pd.Series) -> float:
        return float(x.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan

    def share(x: pd.Series) -> tuple[float, float]:
        p = float(x.mean())
        return p, float(np.sqrt(p * (1 - p) / n))

    coverage, decided, what = share(covered), (np.nan, np.nan), ""
    if decide.rule:
        decided, right = share(found["decided"]), decide.holds(found["value"].to_numpy())
        what = POWER if right.all() else "" if right.any() else TYPE_I_ERROR
    rmse = float(np.sqrt((error**2).mean()))
    return {
        "value": float(found["value"].mean()),
        "bias": float(error.mean()), "mcse_bias": sd(error),
        "rmse": rmse, "mcse_rmse": sd(error**2) / (2 * rmse) if rmse else 0.0,
        "coverage": coverage[0], "mcse_coverage": coverage[1],
        "width": float(width.mean()), "mcse_width": sd(width),
        "decided": decided[0], "mcse_decided": decided[1], "is": what,
        "sound": float(found["sound"].mean()),
    }  # fmt: skip


def simulate(
    study: str | os.PathLike[str] | Model,
    n: int = 200,
    *,
    truth: Mapping[str, Mapping[str, float]] | None = None,
    decide: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    sampling: Mapping[str, Any] | None = None,
    seed: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    workers: Workers = None,
) -> OperatingCharacteristics:
    """The operating characteristics of a design and its analysis under each truth of a study.

    In each simulation group effects and responses are drawn anew, and parameters that the truth does not name from their priors; the model
    of these data, with the same priors, is fitted, and each quantity of the study estimated and decided on.

    Parameters
    ----------
    study
        A TOML file; see `glmm_zoo.calibration.study` for what is in it. Or a model, whose data are the design and whose priors those of the
        analysis.
    n
        How many simulations there are of each truth in the end, those in `folder` among them.
    truth
        With a model: the true values of parameters, by the truth's name and the parameter's.
    decide
        With a model: a mapping for each quantity, of the keys of [decide] in a file, such as `{"comparison": "treat", "above": 0.0}`.
    sampling
        With a model: `draws`, `tune`, `thin`, `target_accept` of its fits.
    seed
        With a model: the same seed gives the same simulations; 1 by default.
    folder
        Where a line is added for each simulation as it ends; what is there already is not done again.
    workers
        As in `calibrate`.

    Returns
    -------
    OperatingCharacteristics
        A `table` with a row for each quantity under each truth, a `sentence`, and the `simulations`.

    Raises
    ------
    InputError
        A file that is no study, parameters that the model does not have, data that the builder refuses; a folder of another study.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InputError(f"n must be a whole number of at least 1, not {n!r}")
    asked, model = _asked(study, truth, decide, sampling, seed)
    fixed = {one.name: fixed_values(model, one) for one in asked.truth}
    of_prior = prior_as_fit(model, 1, 0)
    for one in asked.decide:  # before anything is sampled
        value_draws(of_prior, one)
    design = {
        "study": msgspec.to_builtins(asked),
        "data": model.spec["data"]["sha256"],
        "version": version("glmm-zoo"),
        "code": code_of_draws(),
    }
    done = simulations(
        _simulate,
        n * len(asked.truth),
        asked,
        model,
        fixed,
        None if workers is None else 1,
        folder=folder,
        design=design,
        workers=workers,
        lost=lambda i, why: {**lost_simulation(i, why), "truth": _truth(asked, i).name},
    )
    return OperatingCharacteristics(asked, tuple(done))


def _asked(
    study: Any, truth: Any, decide: Any, sampling: Mapping[str, Any] | None, seed: int | None
) -> tuple[Study, Model]:
    """The study that was asked for and its model."""
    from glmm_zoo.graph.model import Model

    words = {"truth": truth, "decide": decide, "sampling": sampling, "seed": seed}
    if not isinstance(study, Model):
        given = [name for name, value in words.items() if value is not None]
        if given:
            raise InputError(f"simulate: {listing(given)} of a study file are in the file; give them there, or a model")
        return read_study(Path(study))
    missing = [name for name in ("truth", "decide") if not isinstance(words[name], Mapping | list | tuple)]
    if missing:
        raise InputError(
            f'simulate: of a model give {listing(missing)} too, such as truth={{"none": {{"beta[treat]": 0}}}} and '
            'decide={"parameter": "beta[treat]", "above": 0}'
        )
    return study_of_model(study, truth, decide, sampling or {}, 1 if seed is None else seed), study


def _truth(study: Study, i: int) -> Truth:
    """The truth of simulation i: i modulo their number, so that more simulations of each come after those that are there."""
    return study.truth[i % len(study.truth)]


def _simulate(
    i: int, study: Study, model: Model, fixed: Mapping[str, Mapping[str, np.ndarray]], cores: int | None
) -> dict[str, Any]:
    """The record of simulation i."""
    began, truth = time.perf_counter(), _truth(study, i)
    refused, drawing, data_set = first_data_set_that_is_taken(model, study.seed, i, fixed[truth.name])
    record = {"simulation": i, "truth": truth.name, "refused": refused}
    try:
        tree = fit_draws(data_set.model, seed=drawing, cores=cores, **study.sampling)
    except FitError as err:
        return {**record, "failed": str(err), "seconds": time.perf_counter() - began}
    with computed_once():
        found = {decide.label: _found(decide, data_set.truth, tree) for decide in study.decide}
    return {
        **record,
        "quantities": found,
        "sound": check(tree).sound,
        "seconds": round(time.perf_counter() - began, 2),
    }


def _found(decide: Decision, truth: xr.DataTree, tree: xr.DataTree) -> dict[str, Any]:
    """A quantity at the truth and in a fit, and whether it is decided for an effect."""
    draws = value_draws(tree, decide).ravel()
    lower, upper = np.quantile(draws, [(1 - _PROB) / 2, (1 + _PROB) / 2])
    found = {
        "value": float(value_draws(truth, decide).item()),
        "mean": float(draws.mean()), "lower": float(lower), "upper": float(upper),
    }  # fmt: skip
    return found | ({"decided": bool(decide.holds(draws).mean() > decide.probability)} if decide.rule else {})


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
