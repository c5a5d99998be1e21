"""Studies of a design: under which truths data are drawn, what is estimated in each fit, and when it is decided for an effect.

A study is a TOML file, or a model with the same words as arguments of `simulate`:

    schema = 1
    title = "Two arms of 60"
    model = "hierarchical_linear"
    data = "design.csv"            # rows and covariates, with any response, as seen from this file. Or [design], of simulate_design
    formula = "y ~ treat"

    [priors]
    beta = "Normal(0, 1)"

    [[decide]]                     # once for each quantity; or one table [decide]
    comparison = "treat"           # or parameter = "beta[treat]"
    above = 0.0                    # or below; neither where the quantity is estimated and nothing decided
    probability = 0.975

    [[decide]]
    parameter = "sigma"

    [[truth]]
    name = "no effect"
    parameters = { Intercept = 0, "beta[treat]" = 0, sigma = 1 }

Parameters that a truth does not name are drawn from their priors in each simulation, so that a study may average over them. The intercept is
that at zero covariates: models of a file are built with center=False.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.inference.prior_draws import prior_as_fit
from glmm_zoo.registry import Card, Sampling, find_card_or_builder
from glmm_zoo.results.parameter_statistics import element_labels
from glmm_zoo.results.storage import metadata, reported_variables
from glmm_zoo.tables.card_files import not_exactly_one, read_toml, without_unknown_key
from glmm_zoo.tables.files import read_table
from glmm_zoo.trials.simulation import simulate_design

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table [[decide]] of a study: what is estimated, a parameter or the first row of `comparisons` of a variable, and when it is decided for an
    effect: if P(value > above), or P(value < below), is larger than `probability`."""

    name: str = ""
    parameter: str = ""
    comparison: str = ""
    scale: str = "mean"
    measure: str = ""
    above: float | None = None
    below: float | None = None
    probability: float = 0.975

    @property
    def label(self) -> str:
        """The name of the quantity in tables."""
        of = self.parameter or f"comparison of {self.comparison}"
        return self.name or (f"{of}, {self.measure}" if self.measure else of)

    @property
    def rule(self) -> str:
        """When it is decided for an effect, in words; "" where nothing is decided."""
        if self.above is None and self.below is None:
            return ""
        at = f"> {self.above:g}" if self.above is not None else f"< {self.below:g}"
        return f"P({self.label} {at}) > {self.probability:g}"

    def holds(self, value: np.ndarray) -> np.ndarray:
        """Where values are such that it is right to decide for an effect."""
        return value > self.above if self.above is not None else value < np.array(self.below)


class Truth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table [[truth]] of a study: values of parameters by their names in `summary`."""

    name: str
    parameters: dict[str, float]


class StudyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A study file; see the module."""

    schema: int
    title: str
    model: str
    decide: Decision | list[Decision]
    truth: list[Truth]
    formula: str
    data: str | None = None
    design: dict[str, Any] | None = None
    options: dict[str, Any] = {}
    priors: dict[str, str] = {}
    sampling: Sampling = Sampling()
    seed: int = 1


class Study(msgspec.Struct, frozen=True):
    """What is simulated: title, quantities, truths, settings of `fit` and seed; `of` is what else its design depends on."""

    title: str
    decide: list[Decision]
    truth: list[Truth]
    seed: int
    sampling: dict[str, Any]
    of: dict[str, Any]


def read_study(path: Path) -> tuple[Study, Model]:
    """A study and its model.

    Raises
    ------
    InputError
        A file that is no study, with what is wrong.
    """
    file = read_toml(path, StudyFile, (Decision, Truth, Sampling), "study")
    decide = file.decide if isinstance(file.decide, list) else [file.decide]
    problems = [*_problems(decide, file.truth)]
    if (file.data is None) == (file.design is None):
        problems.append('a study has data = "FILE", or a table [design] of a stepped wedge, one of them')
    if problems:
        raise InputError(*(f"{path}: {problem}" for problem in problems))
    rest = {
        k: v for k, v in msgspec.to_builtins(file).items() if k not in ("title", "decide", "truth", "seed", "sampling")
    }
    study = Study(file.title, decide, file.truth, file.seed, file.sampling.given, rest)
    try:
        return study, _model(file, path.parent)
    except InputError as err:
        raise InputError(*(f"{path}: {problem}" for problem in err.problems)) from None


def study_of_model(
    model: Model,
    truth: Mapping[str, Mapping[str, float]],
    decide: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    sampling: Mapping[str, Any],
    seed: int,
) -> Study:
    """The study of a model's design under truths, by name.

    Raises
    ------
    InputError
        Tables that are not those of a study file.
    """
    decided = [decide] if isinstance(decide, Mapping) else [*decide]
    under = [{"name": name, "parameters": values} for name, values in truth.items()]
    try:
        decisions, truths = msgspec.convert(decided, list[Decision]), msgspec.convert(under, list[Truth])
        settings = msgspec.convert(dict(sampling), Sampling).given
    except (msgspec.ValidationError, ValueError) as err:
        raise InputError(f"simulate: {without_unknown_key(str(err), (Decision, Truth, Sampling))}") from None
    problems = [*_problems(decisions, truths)]
    if problems:
        raise InputError(*(f"simulate: {problem}" for problem in problems))
    spec = model.spec
    of = {"model": spec["builder"], "formula": spec["formula"], "priors": spec["priors"]}
    return Study(f"{spec['builder']}, {spec['formula']}", decisions, truths, seed, settings, of)


def _problems(decide: Sequence[Decision], truth: Sequence[Truth]) -> Iterator[str]:
    for one in decide:
        said = not_exactly_one(one, "parameter", "comparison")
        if said is not None:
            yield f"[decide] has {said}; give one"
        if one.above is not None and one.below is not None:
            yield "[decide] has both above and below; give one, or neither where nothing is decided"
        if not 0 < one.probability < 1:
            yield f"[decide] probability must be between 0 and 1, not {one.probability:g}"
    labels = [one.label for one in decide]
    if not decide or len({*labels}) < len(labels):
        yield "a study has one [[decide]] or more, with names that differ; give each its name"
    if not truth or len({one.name for one in truth}) < len(truth):
        yield "a study has one [[truth]] or more, with names that differ"


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
