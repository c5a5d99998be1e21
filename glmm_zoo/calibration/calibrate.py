"""Simulation-based calibration of a model: many data sets drawn from it, each fitted, and where the truths rank.

    theta ~ prior,   y ~ p(y | theta),   draws ~ p(theta | y):   the rank of theta among the draws is uniform

for every quantity, if the sampler, the density and the simulation are right (Talts, Betancourt, Simpson, Vehtari & Gelman 2018).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.calibration.data_sets import DrawnDataSet, data_set_of, draw_data_set
from glmm_zoo.calibration.rank_picture import rank_picture
from glmm_zoo.calibration.ranks import ranks_of_truth, spread_of_kinds
from glmm_zoo.calibration.records import lost_simulation, simulations
from glmm_zoo.errors import FitError, InputError, check_kind, listing, plural
from glmm_zoo.inference.fit import fit_draws
from glmm_zoo.inference.prior_draws import prior_as_fit
from glmm_zoo.refits.spread import Workers
from glmm_zoo.report.certificate import code_of_draws
from glmm_zoo.results.diagnostics import check
from glmm_zoo.results.figures.picture import Picture
from glmm_zoo.results.numbers import written

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ATTEMPTS = 100  # to draw data that the builder takes
AT_ONCE = 20  # simulations whose parameters are drawn together
LIMIT = 0.01  # of the smallest p adjusted for all quantities
LEAST = 20  # simulations before anything is judged
_PICTURE = "ranks.svg"


@dataclass(frozen=True, repr=False, eq=False)
class SimulationBasedCalibration:
    """What came of a calibration.

    Attributes
    ----------
    simulations
        One record for each simulation: its `ranks` by quantity, whether the fit was `sound`, `divergences`, `seconds`, how many data
        sets were `refused` before; or the reason why it `failed`.
    """

    simulations: tuple[Mapping[str, Any], ...]

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """The ranks (simulations, quantities)."""
        return pd.DataFrame([s["ranks"] for s in self._fitted], index=[s["simulation"] for s in self._fitted])

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each quantity, the least uniform first: how many ranks, their mean and standard deviation, the p-value of
        uniformity (POT-C, Tesso & Vehtari 2026) and that adjusted for all quantities (Holm 1979); and one row for the spread of all
        quantities of a kind together, such as group effects, which are too narrow or too wide by little each."""
        from arviz_stats.base.array import array_stats

        rows = {
            str(name): [len(r), r.mean(), r.std(ddof=1), float(array_stats.uniformity_test(r.to_numpy())[0])]
            for name, column in self.ranks.items()
            if len(r := column.dropna()) > 1
        }
        rows |= dict(spread_of_kinds(self.ranks))
        table = pd.DataFrame.from_dict(rows, orient="index", columns=["simulations", "mean", "sd", "p"]).sort_values(
            "p"
        )
        table["p_adjusted"] = np.minimum(np.maximum.accumulate(table["p"] * np.arange(len(table), 0, -1)), 1.0)
        return table.rename_axis("quantity")

    @property
    def calibrated(self) -> bool:
        """Whether no quantity departs from uniformity: the smallest adjusted p is at least 0.01, after 20 simulations or more."""
        return self.enough and bool(self.table["p_adjusted"].min() >= LIMIT)

    @property
    def enough(self) -> bool:
        """Whether there are enough fits to judge, 20."""
        return len(self._fitted) >= LEAST

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        fitted, failed = len(self._fitted), len(self.simulations) - len(self._fitted)
        unsound = sum(not s["sound"] for s in self._fitted)
        refused = sum(s["refused"] for s in self.simulations)
        asides = [
            f"{plural(count, what)} {text}"
            for count, what, text in (
                (refused, "data set", "refused by the builder and drawn anew"),
                (failed, "simulation", "failed"),
                (unsound, "fit", "not sound"),
            )
            if count
        ]
        lead = (
            f"{plural(fitted, 'data set')} drawn from the model and fitted{f' ({listing(asides)})' if asides else ''}"
        )
        if not self.enough:
            return (
                f"{lead}: too few to judge; {LEAST} at least, 200 to find a standard deviation that is 20 % too small."
            )
        worst = self.table.iloc[0]
        p = f"p {written(worst['p_adjusted'], 3)} for {self.table.index[0]!r}, adjusted for {plural(len(self.table), 'test')}"
        if self.calibrated:
            return f"{lead}: the ranks of the truth are uniform for every quantity (smallest {p})."
        beyond = self.table.index[self.table["p_adjusted"] < LIMIT]
        return f"{lead}: the ranks of the truth are not uniform for {listing(map(repr, beyond), 5)} (smallest {p})."

    @property
    def picture(self) -> Picture:
        """The ranks of every quantity within the band of uniform ones; `picture.save("ranks.svg")` writes it."""
        return rank_picture(self.ranks)

    def __repr__(self) -> str:
        return f"{self.sentence}\n\n{self.table.to_string(float_format='%.3g')}"

    @property
    def _fitted(self) -> list[Mapping[str, Any]]:
        return [s for s in self.simulations if "ranks" in s]


def calibrate(
    model: Model,
    n: int = 200,
    *,
    folder: str | os.PathLike[str] | None = None,
    seed: int = 1,
    draws: int = 250,
    tune: int = 500,
    chains: int = 4,
    cores: int | None = None,
    workers: Workers = None,
) -> SimulationBasedCalibration:
    """Simulation-based calibration of a model.

    The design is that of the model's data: rows, covariates, groups, offsets, trials. Parameters are drawn from the priors in force,
    group effects and responses anew in each simulation, and the model of these responses with the same priors is fitted. Data that the
    builder refuses, such as responses that are all the same, are drawn anew with their parameters. Priors so wide that they draw
    absurd data calibrate absurd fits: give the model those of interest.

    Times to events are drawn with them, each until the end of its follow-up, which is that of the data where no event cut it short, and else the last
    time in the data; where events are seen at visits only, until these. In a joint model of survival visits end with the event, and who entered late
    is one of those who survived until then. Knots and other things that a baseline hazard learns from times are those of the model's data.

    Parameters
    ----------
    model
        What a builder returned.
    n
        How many simulations there are in the end, those in `folder` among them.
    folder
        Where a line is added for each simulation as it ends, and in the end a picture, `ranks.svg`; what is there already is not
        done again.
    seed
        The same seed gives the same simulations, whatever was done before.
    draws, tune, chains, cores
        As in `fit`, of each fit.
    workers
        None fits one data set after the other; a number is that of processes on this machine; an address, such as
        "tcp://host:8786", that of a scheduler of dask.distributed. Of a script, processes need `if __name__ == "__main__":`.

    Returns
    -------
    SimulationBasedCalibration
        A `table` with a row for each quantity, a `sentence`, the `ranks`, and whether the model is `calibrated`.

    Raises
    ------
    InputError
        Arguments out of range; a folder of another calibration; workers that are not there; a model whose data cannot be drawn, or of whose
        data the builder refuses a hundred draws in a row.
    """
    check_kind("calibrate", model, "Model")
    for name, value, least in (("n", n, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name} must be a whole number of at least {least}, not {value!r}")
    settings = {"draws": draws, "tune": tune, "chains": chains}
    design = {"model": _of(model), "seed": seed, **settings, "version": version("glmm-zoo"), "code": code_of_draws()}
    fitted_with = {**settings, "cores": cores if workers is None else 1}
    done = simulations(
        _simulate, n, model, seed, fitted_with, folder=folder, design=design, workers=workers, lost=lost_simulation
    )
    found = SimulationBasedCalibration(tuple(done))
    if folder is not None and len(found.ranks):
        found.picture.save(Path(folder) / _PICTURE, overwrite=True)
    return found


def _of(model: Model) -> dict[str, Any]:
    """What a calibration is of, JSON-able."""
    spec = model.spec
    return {key: spec[key] for key in ("builder", "formula", "priors")} | {"data": spec["data"]["sha256"]}


def _simulate(i: int, model: Model, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The record of simulation i, which depends on the seed and i only."""
    began = time.perf_counter()
    refused, drawing, data_set = first_data_set_that_is_taken(model, seed, i)
    record = {"simulation": i, "refused": refused}
    try:
        tree = fit_draws(data_set.model, **settings, seed=drawing)
    except FitError as err:
        return {**record, "failed": str(err), "seconds": time.perf_counter() - began}
    found = ranks_of_truth(data_set.truth, tree, data_set.model, np.random.default_rng(drawing))
    return {
        **record,
        "ranks": found,
        "sound": check(tree).sound,
        "divergences": int(tree["sample_stats"].dataset["diverging"].sum()),
        "seconds": round(time.perf_counter() - began, 2),
    }


def first_data_set_that_is_taken(
    model: Model, seed: int, i: int, fixed: Mapping[str, np.ndarray] = MappingProxyType({})
) -> tuple[int, int, DrawnDataSet]:
    """How many data sets of simulation i the builder refused, the seed of the next one, and that one."""
    seeds = np.random.SeedSequence([seed, i]).generate_state(ATTEMPTS)
    block, place = divmod(i, AT_ONCE)
    key = tuple((name, value.shape, value.tobytes()) for name, value in fixed.items())
    for refused, drawing in enumerate(map(int, seeds)):
        if model.event is not None:
            data_set = draw_data_set(model, drawing, fixed)
        else:
            drawn = _drawn_at_once(model, (seed, block, refused), key).isel(draw=[place])
            data_set = data_set_of(model, drawn, drawing)
        if data_set is not None:
            return refused, drawing, data_set
    raise InputError(
        f"the builder refused the data of {ATTEMPTS} draws in a row, so wide are the priors or so extreme the truth; give narrower priors, or other values"
    )


@lru_cache(maxsize=4)
def _drawn_at_once(
    model: Model, seeds: tuple[int, ...], fixed: tuple[tuple[str, tuple[int, ...], bytes], ...]
) -> xr.DataTree:
    """Parameters and responses of several simulations: what takes time is to write down the graph, which is done once."""
    values = {name: np.frombuffer(value).reshape(shape) for name, shape, value in fixed}
    seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
    return prior_as_fit(model, AT_ONCE, seed, responses=True, fixed=values)
