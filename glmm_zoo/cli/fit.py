"""`glmm-zoo fit`: the arguments become a checked request, the request a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from cyclopts import Parameter

from glmm_zoo.cli.arguments import (
    Flag,
    Reading,
    Repeated,
    SamplerArguments,
    name_value_pairs,
    option_name,
    probability_problems,
)
from glmm_zoo.cli.saving import fit_and_save
from glmm_zoo.cli.target import check_fit_file
from glmm_zoo.cli.terminal import say
from glmm_zoo.errors import InputError, attempt, raise_all
from glmm_zoo.inference import interrupts
from glmm_zoo.inference.locks import locked
from glmm_zoo.inference.settings import Settings
from glmm_zoo.tables.memory import check_limit

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model
    from glmm_zoo.registry import Builder, Card
    from glmm_zoo.results.about import About
    from glmm_zoo.tables.files import RawTable

MIN_DRAWS = 100  # of each chain, kept and warm-up draws alike; arbitrary, against fits that nothing could be said of


@Parameter(name="*")
@dataclass(frozen=True)
class ModelArguments:
    """What the model is, beside MODEL and DATA.

    Parameters
    ----------
    survival
        A second file, for a joint model of visits and survival: one row for each subject, its follow-up and event.
        It is read as the data are.
    formula
        lme4's notation: "y ~ x + (1 + x | g)"; repeated for a model of several outcomes, in step with
        --option families=bernoulli,poisson.
    event
        For a joint model of survival: "Surv(years, death) ~ drug".
    table
        NAME=FILE, a table of covariances or neighbours that a formula names: A=pedigree.csv for (1 | gr(id, cov=A)); may be repeated.
        It is read as the data are.
    prior
        NAME=DIST, for example "beta=Normal(0, 2.5)"; may be repeated.
    option
        NAME=VALUE for any keyword of the builder, for example center=false; may be repeated.
    about
        A .toml file of what the report says of the fit in words: question, outcome, units, names; by default the card's.
    """

    survival: str | None = None
    formula: Repeated = None
    event: str | None = None
    table: Repeated = None
    prior: Repeated = None
    option: Repeated = None
    about: str | None = None


def fit(
    model: str,
    data: str | None = None,
    /,
    *,
    specification: ModelArguments | None = None,
    sampler: SamplerArguments | None = None,
    out: str | None = None,
    overwrite: Flag = False,
    resume: Flag = False,
    missing: Literal["error", "drop"] | None = None,
    prob: float = 0.95,
    reading: Reading | None = None,
    imputed: Annotated[Repeated, Parameter(name="--data")] = None,
    workers: str | None = None,
) -> int:
    """Fit a model, check it, save it and print the summary.

    Parameters
    ----------
    model
        A card, a builder or its alias, or a path to a card file.
    data
        CSV, TSV or Parquet, also gzipped. Without it the card's own data are fitted.
    specification
        What the model is.
    sampler
        The options of the sampler.
    out
        The NetCDF file to write; by default fits/MODEL.nc.
    overwrite
        Replace an existing file, and discard the chains of a fit that was interrupted.
    resume
        Go on with a fit that was interrupted, killed or had no disk space left: the chains that it finished are kept beside its file, in
        NAME.parts, and the result is what it would have been without the interruption, to the bit.
    missing
        What to do with rows that have missing values.
    prob
        Probability inside the printed intervals.
    reading
        How the files are read.
    imputed
        A further imputed table, repeated: DATA and these have the same rows and differ in imputed covariates. Each is fitted and checked by
        itself, and the draws of all are saved in one file.
    workers
        Who makes the chains: how many processes of this machine, or the address of a scheduler of dask.distributed. The draws are the
        same, and a chain whose worker dies is made by another.

    Examples
    --------
    glmm-zoo fit multicenter --seed 1
    glmm-zoo fit logistic models/multicenter/data.csv --formula "incidence | trials(size) ~ C(period) + (1 | herd)" --out fits/mine.nc
    """
    from glmm_zoo.refits.spread import workers_as_typed

    interrupts.nothing_to_lose("nothing was saved")
    request = read_request(model, data, specification or ModelArguments(), sampler or SamplerArguments(), missing, prob)
    if request.settings.chains == 1:
        say("warning: R-hat needs several chains to compare; with --chains 1 agreement is not checked")
    target = check_fit_file(
        out, request.name, [*request.files, *request.beside.values(), *(imputed or [])], overwrite or resume
    )
    check_limit()
    tables = request.tables(reading or Reading())
    further = (reading or Reading()).tables(imputed or [])
    if further and (data is None or len(tables.data) > 1):
        raise InputError(
            "--data gives further imputed tables beside DATA, for a builder of one table; name the first as DATA"
        )
    with locked(target):
        return fit_and_save(
            lambda: request.models([tables.data[0], *further], tables.beside) if further else request.model(tables),
            request.settings,
            target,
            prob,
            overwrite=overwrite,
            resume=resume,
            about=request.about,
            workers=workers_as_typed(workers),
        )


# ------------------------------------------------------------------------------------------------------ what is asked


class ReadTables(NamedTuple):
    """Tables in the order of a builder's arguments, None for one that is not given; and those between levels, by name."""

    data: list[RawTable | None]
    beside: Mapping[str, RawTable | None]


@dataclass(frozen=True)
class Request:
    """What a `fit` command asks for, checked as far as that is possible without reading the data.

    `card` is the one named, or the builder's example where no data are given; `files` are in the order of the builder's
    table arguments, None for one that is not given; `beside` are those of tables between levels, by name.
    """

    name: str
    builder: Builder
    card: Card | None
    files: Sequence[str | None]
    beside: Mapping[str, str]
    formula: str | list[str]
    priors: Mapping[str, str]
    options: Mapping[str, Any]
    settings: Settings
    about: About | None

    def tables(self, reading: Reading) -> ReadTables:
        """The files as tables, or the card's own data where no file is given."""
        beside = dict(zip(self.beside, reading.tables(list(self.beside.values())), strict=True))
        if self.card is not None and self.files[0] is None:
            return ReadTables(self.card.tables(), {**self.card.level_tables(), **beside})
        return ReadTables(reading.tables(self.files), beside)

    def model(self, tables: ReadTables) -> Model:
        """The model of these tables, with what its card says of it in words."""
        build, (data, beside) = self.builder.function(), tables
        model = build(*data, self.formula, tables=beside, priors=self.priors, **self.options)
        if self.card is not None:
            model.about = self.card.file.about
        return model

    def models(self, tables: Sequence[RawTable | None], beside: Mapping[str, RawTable | None]) -> list[Model]:
        """The models of imputed tables."""
        from glmm_zoo.refits.imputed import models_of_tables

        models = models_of_tables(self.builder, tables, self.formula, self.priors, {**self.options, "tables": beside})
        for model in models:
            model.about = model.about if self.card is None else self.card.file.about
        return models


def read_request(
    model: str, data: str | None, arguments: ModelArguments, sampler: SamplerArguments, missing: str | None, prob: float
) -> Request:
    """The request that the arguments make; those not given are the card's, or else the usual ones.

    Raises
    ------
    InputError
        With every problem that shows without reading the data.
    """
    from glmm_zoo.inference.said import given_words

    name, builder, card = _find_model(model, data)
    settings = sampler.settings(Settings() if card is None else card.settings)
    problems = settings.problems(least_draws=MIN_DRAWS, spell=option_name) + probability_problems("prob", prob)
    priors = name_value_pairs(arguments.prior or [], "prior", "beta=Normal(0, 2.5)", problems)
    beside = name_value_pairs(arguments.table or [], "table", "A=pedigree.csv", problems)
    options = given_options(builder, arguments, missing, problems)
    if card is not None:
        priors = {**card.file.priors, **priors}
        options = {**card.file.options, **options}
    options = builder.read_options(options, problems)
    if data is None and arguments.survival is not None:
        problems.append(
            f"--survival {arguments.survival!r} goes with a data file; give both, or neither for the card's own data"
        )
    problems += builder.table_problems(arguments.survival)
    if arguments.formula is None and card is None:
        problems.append(f'{builder.name} needs a formula for {data}: --formula "y ~ x + (1 | g)"')
    about = None if arguments.about is None else attempt(partial(given_words, arguments.about), problems)
    raise_all(problems)
    return Request(
        name=name,
        builder=builder,
        card=card,
        files=builder.table_arguments(data, arguments.survival),
        beside=beside,
        formula=_formula(builder, arguments.formula, [] if card is None else card.file.formula),
        priors=priors,
        options=options,
        settings=settings,
        about=about,
    )


def _find_model(model: str, data: str | None) -> tuple[str, Builder, Card | None]:
    """The name of the card or builder, the builder, and the card: the one named, or without data the builder's example."""
    from glmm_zoo import registry

    card_or_builder = registry.find_card_or_builder(model)
    if isinstance(card_or_builder, registry.Card):
        return card_or_builder.name, card_or_builder.builder, card_or_builder
    builder = card_or_builder
    return builder.name, builder, registry.example_card(builder) if data is None else None


def given_options(
    builder: Builder, arguments: ModelArguments, missing: str | None, problems: list[str]
) -> dict[str, Any]:
    """The builder's keywords from --option, --event and --missing; sentences on wrong ones are added to `problems`."""
    entries = _families_as_one_option(arguments.option or [], builder)
    texts = name_value_pairs(entries, "option", "center=false", problems)
    options: dict[str, Any] = dict(texts)
    for name, value in (("event", arguments.event), ("missing", missing)):
        if value is not None:
            if name in options:
                problems.append(f"--{name} and --option {name}= say the same thing twice; keep one")
            options[name] = value
    return options


def _families_as_one_option(entries: list[str], builder: Builder) -> list[str]:
    """For a model of several outcomes: --option family=F, given once for each --formula, as one entry families=F,F,..."""
    if "families" not in builder.options:
        return entries
    families = [entry.partition("=")[2] for entry in entries if _option_of(entry) == "family"]
    others = [entry for entry in entries if _option_of(entry) != "family"]
    return [*others, f"families={','.join(families)}"] if families else others


def _option_of(entry: str) -> str:
    """NAME of NAME=VALUE."""
    return entry.partition("=")[0].strip()


def _formula(builder: Builder, given: list[str] | None, usual: str | list[str]) -> str | list[str]:
    """The formula for the builder: the usual one if none is given; a list only where it takes several outcomes.

    Raises
    ------
    InputError
        Several formulas for a builder of one outcome.
    """
    if given is None:
        return usual
    if "families" in builder.options:
        return given
    if len(given) > 1:
        raise InputError(
            f"{builder.name} takes one --formula, not {len(given)}; for several outcomes see joint_outcomes"
        )
    return given[0]
