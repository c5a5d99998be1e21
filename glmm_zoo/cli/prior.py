"""`glmm-zoo prior`."""

from __future__ import annotations

from typing import Literal

from glmm_zoo.cli.arguments import Count, Flag, Reading, SamplerArguments, TableFormat
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.fit import ModelArguments, read_request
from glmm_zoo.cli.table_or_picture import check_table_or_picture, print_and_write


def prior(
    model: str,
    data: str | None = None,
    /,
    *,
    specification: ModelArguments | None = None,
    of: str | None = None,
    draws: Count = 1000,
    seed: Count = 0,
    missing: Literal["error", "drop"] | None = None,
    prob: float = 0.95,
    format: TableFormat = "table",
    out: str | None = None,
    overwrite: Flag = False,
    reading: Reading | None = None,
) -> int:
    """Say what the priors of a model hold for possible before the data: risks, rates, means and differences. Nothing is fitted.

    Parameters
    ----------
    model
        A card, a builder or its alias, or a path to a card file.
    data
        CSV, TSV or Parquet, also gzipped. Without it the card's own data.
    specification
        What the model is.
    of
        The variable whose effect is told; by default the treatment, else the first of the formula.
    draws
        How many draws of the prior are made.
    seed
        The same seed gives the same draws.
    missing
        What to do with rows that have missing values.
    prob
        Probability inside the intervals.
    format
        table for people; csv or json, in full precision, for programs.
    out
        Also write the table (.csv), or the picture (.svg, .png or .pdf).
    overwrite
        Replace an existing file.
    reading
        How the files are read.

    Examples
    --------
    glmm-zoo prior multicenter
    """
    from glmm_zoo.estimands.prior_predictive import prior_predictive

    request = read_request(model, data, specification or ModelArguments(), SamplerArguments(), missing, prob)
    target = None if out is None else check_table_or_picture(out, overwrite=overwrite)
    built = request.model(request.tables(reading or Reading()))
    found = prior_predictive(built, draws=draws, seed=seed, variable=of, prob=prob, about=request.about)
    print_and_write(found, found.sentences, format, target)
    return ExitCode.DONE
