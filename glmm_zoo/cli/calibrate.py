"""`glmm-zoo calibrate`."""

from __future__ import annotations

from typing import Literal

from glmm_zoo.cli.arguments import Count, Reading, SamplerArguments, TableFormat
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.fit import ModelArguments, read_request
from glmm_zoo.cli.terminal import computing, print_for_programs, print_rich, table_for_people

_PROB = 0.95  # of intervals that are not asked for


def calibrate(
    model: str,
    data: str | None = None,
    /,
    *,
    specification: ModelArguments | None = None,
    n: Count = 200,
    draws: Count = 250,
    tune: Count = 500,
    chains: Count = 4,
    seed: Count = 1,
    workers: str | None = None,
    missing: Literal["error", "drop"] | None = None,
    format: TableFormat = "table",
    out: str | None = None,
    reading: Reading | None = None,
) -> int:
    """Draw data sets from a model with its priors, fit each, and tell whether the truths rank uniformly among the draws.

    Parameters
    ----------
    model
        A card, a builder or its alias, or a path to a card file.
    data
        CSV, TSV or Parquet, also gzipped, of which all but the response is kept. Without it the card's own data.
    specification
        What the model is.
    n
        How many data sets.
    draws
        Draws kept for each chain of a fit.
    tune
        Warm-up draws for each chain.
    chains
        Number of chains.
    seed
        The same seed gives the same data sets and fits.
    workers
        How many processes of this machine fit at a time, or the address of a scheduler of dask.distributed.
    missing
        What to do with rows that have missing values.
    format
        table for people; csv or json, in full precision, for programs.
    out
        A folder that gets a line for each data set as it ends, and from which the same command goes on.
    reading
        How the files are read.

    Examples
    --------
    glmm-zoo calibrate multicenter --n 20 --out calibration/multicenter
    """
    from glmm_zoo.calibration.calibrate import calibrate as calibrate_model
    from glmm_zoo.refits.spread import workers_as_typed

    request = read_request(model, data, specification or ModelArguments(), SamplerArguments(), missing, _PROB)
    built = request.model(request.tables(reading or Reading()))
    with computing():
        found = calibrate_model(
            built,
            n,
            folder=out,
            seed=seed,
            draws=draws,
            tune=tune,
            chains=chains,
            workers=workers_as_typed(workers),
        )
    if format != "table":
        print_for_programs(found.table, format, labels=True)
    else:
        print_rich(*table_for_people(found.table.reset_index(), found.sentence))
    return ExitCode.DONE if found.calibrated else ExitCode.UNSOUND
