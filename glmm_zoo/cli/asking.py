"""What the commands that estimate for people share: whose groups, which rows, averaged how, and where the answer goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from glmm_zoo.cli.arguments import Count, Flag, Reading, Repeated, TableFormat, name_value_pairs
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import computing, print_for_programs, print_rich
from glmm_zoo.errors import InputError, attempt, raise_all, shown

if TYPE_CHECKING:
    import xarray as xr

    from glmm_zoo.results.estimates import Estimates

Hyphened = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


@Parameter(name="*")
@dataclass(frozen=True)
class Asking:
    """Whose groups, which rows, averaged how.

    Parameters
    ----------
    at
        Values of a column that are set in every row, such as age=40,60; may be repeated.
    by
        Columns whose values are kept apart, separated by commas; "true" for one average of all rows.
    over
        A column whose levels count alike in an average.
    weights
        A column with the weights of rows in an average.
    groups
        population, typical, observed or new; or one for each factor, site=population,patient=observed.
    unseen
        What a level has that the fit lacks, for observed groups: error, population or new.
    scale
        mean, linear, probability, zero, positive, response; of an event survival, incidence, rmst or rmtl, at --times.
    outcome
        One outcome of several.
    times
        Of survival, incidence, rmst and rmtl: increasing times, separated by commas.
    per
        Units of exposure that counts are for.
    prob
        Probability inside the intervals.
    draws
        About how many draws of the posterior are used.
    seed
        Of new levels and new observations.
    """

    at: Annotated[list[str] | None, Parameter(consume_multiple=False, negative="", allow_leading_hyphen=True)] = None
    by: str | None = None
    over: str | None = None
    weights: str | None = None
    groups: str = "population"
    unseen: str = "error"
    scale: str = "mean"
    outcome: str | None = None
    times: str | None = None
    per: float | None = None
    prob: float = 0.95
    draws: Count = 1000
    seed: Count = 0

    def arguments(self) -> dict[str, Any]:
        """The keywords of `predictions` and its kin."""
        problems: list[str] = []
        pairs = name_value_pairs(self.at or [], "at", "age=40,60", problems)
        times = attempt(lambda: numbers(self.times, "times", "6,8,10"), problems)
        groups: Any = self.groups
        if "=" in self.groups:
            groups = name_value_pairs(self.groups.split(","), "groups", "site=population", problems)
        raise_all(problems)
        by: Any = self.by
        if by is not None:
            by = True if by.lower() == "true" else [name.strip() for name in by.split(",")]
        return {
            "at": {name: [v.strip() for v in values.split(",")] for name, values in pairs.items()} or None,
            "by": by, "over": self.over, "weights": self.weights, "groups": groups, "unseen": self.unseen, "scale": self.scale,
            "outcome": self.outcome, "times": times, "per": self.per, "prob": self.prob, "draws": self.draws, "seed": self.seed,
        }  # fmt: skip


@Parameter(name="*")
@dataclass(frozen=True)
class Answer:
    """Where the answer goes.

    Parameters
    ----------
    format
        table for people; csv or json, in full precision, for programs.
    out
        Also write it: the ending says how, .csv, .tex, .docx, .html, .md or .nc.
    overwrite
        Replace an existing file.
    store
        A name under which the estimates are kept in the fit's file, where its report shows them.
    """

    format: TableFormat = "table"
    out: str | None = None
    overwrite: Flag = False
    store: str | None = None

    def check(self) -> None:
        """Refuse a file that cannot be written and a name that cannot be stored, before anything is computed."""
        from glmm_zoo.results.estimates_files import check_estimates_target, check_name

        if self.out is not None:
            check_estimates_target(self.out, overwrite=self.overwrite)
        if self.store is not None:
            check_name(self.store)

    def give(self, estimates: Estimates, tree: xr.DataTree, file: str) -> None:
        """Print the estimates, and write and store them where that was asked for."""
        from glmm_zoo.report.terminal import estimates_table
        from glmm_zoo.results.estimates_files import store_estimates, write_estimates
        from glmm_zoo.results.storage import save

        if self.format == "table":
            print_rich(*estimates_table(estimates))
        else:
            print_for_programs(estimates.table, self.format, labels=False)
        if self.store is not None:
            save(store_estimates(tree, self.store, estimates), file, overwrite=True)
            if self.format == "table":
                print_rich(f"stored {self.store} in {file}")
        if self.out is not None:
            written = write_estimates(estimates, self.out, overwrite=self.overwrite)
            if self.format == "table":
                print_rich(f"saved {written}")


def answer_with(
    estimate: Callable[[xr.DataTree, Any], Estimates],
    file: str,
    answer: Answer | None,
    data: str | None = None,
    reading: Reading | None = None,
) -> ExitCode:
    """Give the answer that `estimate` makes of the fit in `file` and the rows in `data`, None without any."""
    from glmm_zoo.results import storage

    answer = answer or Answer()
    answer.check()
    tree, (rows,) = storage.load(file), (reading or Reading()).tables([data])
    with computing():
        estimates = estimate(tree, rows)
    answer.give(estimates, tree, file)
    return ExitCode.DONE


def numbers(text: str | None, option: str, example: str) -> list[float] | None:
    """Numbers separated by commas.

    Raises
    ------
    InputError
        Text that is none.
    """
    if text is None:
        return None
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--{option} is numbers separated by commas, such as {example}, not {shown(text)}") from None


def region(text: str | None) -> Any:
    """--rope as LOW,HIGH, or by measure as difference=LOW,HIGH;ratio=LOW,HIGH."""
    if text is None:
        return None
    problems: list[str] = []
    if "=" in text:
        pairs = name_value_pairs(text.split(";"), "rope", "difference=-0.1,0.1", problems)
        read = {name: attempt(lambda v=v: _two(v), problems) for name, v in pairs.items()}
        raise_all(problems)
        return read
    return _two(text)


def _two(text: str) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in text.split(","))
    except ValueError:
        raise InputError(f"--rope is two numbers LOW,HIGH such as -0.1,0.1, not {shown(text)}") from None
    return low, high


def words(text: str | None) -> Sequence[str] | None:
    """Words separated by commas."""
    return None if text is None else [word.strip() for word in text.split(",")]


def contrasts(given: Repeated) -> Any:
    """--contrast: one for all variables, or VARIABLE=VALUES for each."""
    if not given:
        return "reference"
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    problems: list[str] = []
    pairs = name_value_pairs(given, "contrast", "age=10", problems)
    raise_all(problems)
    return {
        name: tuple(v.strip() for v in value.split(",")) if "," in value else value for name, value in pairs.items()
    }
