"""`glmm-zoo update`: a variation of a fit, from its file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from glmm_zoo.cli.arguments import (
    Flag,
    Reading,
    Repeated,
    SamplerArguments,
    name_value_pairs,
    option_name,
    probability_problems,
)
from glmm_zoo.cli.fit import MIN_DRAWS, ModelArguments, given_options
from glmm_zoo.cli.saving import fit_and_save
from glmm_zoo.cli.target import check_fit_file
from glmm_zoo.errors import InputError, attempt, raise_all
from glmm_zoo.inference import interrupts
from glmm_zoo.inference.locks import locked
from glmm_zoo.inference.settings import Settings
from glmm_zoo.tables.memory import check_limit


def update(
    file: str,
    /,
    *,
    formula: Repeated = None,
    data: str | None = None,
    survival: str | None = None,
    event: str | None = None,
    table: Repeated = None,
    prior: Repeated = None,
    option: Repeated = None,
    about: str | None = None,
    sampler: SamplerArguments | None = None,
    out: str | None = None,
    overwrite: Flag = False,
    resume: Flag = False,
    missing: Literal["error", "drop"] | None = None,
    prob: float = 0.95,
    reading: Reading | None = None,
) -> int:
    """Fit a variation of a fit: another formula, other data, priors or options, all else as it was.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    formula
        A change as in R's update(): ". ~ . + age - x", where "." is what stood on that side; repeated for a model of several
        outcomes, in step with them.
    data
        The data, where the file lacks a column or others are meant; the file has only the columns that its fit used.
    survival
        The event's file, for a joint model of survival.
    event
        A formula of the event, or a change of it: ". ~ . + sex".
    table
        NAME=FILE, a table of covariances or neighbours in the place of the one that the file has; may be repeated.
    prior
        NAME=DIST, added to the priors that were given for the fit; NAME=default takes one back. May be repeated.
    option
        NAME=VALUE for any keyword of the builder; may be repeated.
    about
        A .toml file of what is said of the fit in words; by default what was said of the former one.
    sampler
        The options of the sampler; those not given are as they were.
    out
        The NetCDF file to write; by default fits/FILE-updated.nc.
    overwrite
        Replace an existing file, and discard the chains of a fit that was interrupted.
    resume
        Go on with a fit that was interrupted, as `glmm-zoo fit --resume`.
    missing
        What to do with rows that have missing values.
    prob
        Probability inside the printed intervals.
    reading
        How the files are read.

    Examples
    --------
    glmm-zoo update fits/multicenter.nc --formula ". ~ . - C(period)" --out fits/constant.nc
    """
    from glmm_zoo.inference.said import given_words
    from glmm_zoo.refits import variations
    from glmm_zoo.registry import find_builder
    from glmm_zoo.results import storage

    interrupts.nothing_to_lose("nothing was saved")
    tree = storage.load(file)
    builder = find_builder(storage.metadata(tree)["spec"]["builder"])
    if builder is None:
        raise InputError(f"{file} is of a builder that this glmm_zoo does not have")
    settings = (sampler or SamplerArguments()).settings(Settings(**variations.settings_of(tree)))
    problems = settings.problems(least_draws=MIN_DRAWS, spell=option_name) + probability_problems("prob", prob)
    priors = name_value_pairs(prior or [], "prior", "beta=Normal(0, 2.5)", problems)
    arguments = ModelArguments(survival, formula, event, table, prior, option)
    beside = name_value_pairs(table or [], "table", "A=pedigree.csv", problems)
    given = given_options(builder, arguments, missing, problems)
    read = builder.read_options({**variations.options_of(tree), **given}, problems)
    problems += builder.table_problems(survival)
    words = None if about is None else attempt(partial(given_words, about), problems)
    raise_all(problems)
    target = check_fit_file(out, f"{Path(file).stem}-updated", [data, survival, *beside.values()], overwrite or resume)
    check_limit()
    tables = (reading or Reading()).tables([data, survival, *beside.values()])
    with locked(target):
        return fit_and_save(
            lambda: variations.changed_model(
                tree,
                formula=formula,
                data=tables[0],
                survival=tables[1],
                tables=dict(zip(beside, tables[2:], strict=True)),
                priors={name: None if text == "default" else text for name, text in priors.items()},
                options={name: read[name] for name in given},
            ),
            settings,
            target,
            prob,
            overwrite=overwrite,
            resume=resume,
            about=words,
        )
