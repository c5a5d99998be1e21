"""The command line: `glmm-zoo list | show | fit | check | summary | predict | report`. Imports what a command needs, when it needs it.

Exit codes: 0 fitted and sound; 3 fitted and saved, but the diagnostics failed; 2 the input is wrong; 130 interrupted;
1 anything else.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from glmm_zoo.errors import FitError, InputError, ZooWarning, attempt, did_you_mean, listing, raise_all

if TYPE_CHECKING:
    from glmm_zoo.registry import Builder
    from glmm_zoo.tables.data import RawTable

MIN_DRAWS = 100
Names = Annotated[list[str] | None, Parameter(consume_multiple=False, negative="")]
Flag = Annotated[bool, Parameter(negative="")]


@Parameter(name="*")
@dataclass(frozen=True)
class Reading:
    """How the files of a command are read.

    Parameters
    ----------
    encoding
        Of a text file: utf-8, latin-1, utf-16, ...
    sep
        Separator of a text file; by default tab for .tsv and .tab, else comma.
    decimal
        Decimal mark of a text file.
    na
        A further code for a missing value; may be repeated.
    comment
        Lines that start with this are skipped.
    strip
        Remove spaces around names and values.
    """

    encoding: str = "utf-8"
    sep: str | None = None
    decimal: str = "."
    na: Names = None
    comment: str | None = None
    strip: Flag = False

    def tables(self, files: Sequence[str | None]) -> list[RawTable | None]:
        """The files as tables, None for one that is not given."""
        from glmm_zoo.tables.data import ReadOptions, read_table

        separator = {"tab": "\t", "\\t": "\t"}.get(self.sep or "", self.sep)
        options = ReadOptions(self.encoding, separator, self.decimal, tuple(self.na or ()), self.comment, self.strip)
        return [None if file is None else read_table(file, options) for file in files]


app = App(
    name="glmm-zoo",
    help="A zoo of Bayesian generalized linear mixed models: fit, check, summarise, report.",
    version=lambda: _version(),
    result_action="return_value",
)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(alone(lambda: run(sys.argv[1:])))


def alone(command: Callable[[], Any]) -> Any:
    """Run what this process was started for. Most of what it makes lives to its end, so looking for garbage is in vain: 0.2 s
    of a small fit, and 0.3 s on the way out."""
    gc.set_threshold(200_000, 20, 20)
    result = command()
    gc.freeze()
    return result


def run(tokens: list[str]) -> int:
    """Run one command and return its exit code; every message for the user goes to standard error."""
    warnings.showwarning = _show_warning
    warnings.filterwarnings("always", category=ZooWarning)
    try:
        return app(tokens, exit_on_error=False, print_error=False) or 0
    except CycloptsError as err:
        _say(f"error: {' '.join(str(err).split())}")
        return 2
    except InputError as err:
        _say(f"error: {err}")
        return 2
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (FitError, OSError) as err:
        _say(f"error: {err}")
        return 1


def _version() -> str:
    from importlib.metadata import version

    return version("glmm-zoo")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, ZooWarning):
        _say(f"warning: {message}")


def _print(*things: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    for thing in things:
        console.print(thing)


# ------------------------------------------------------------------------------------------------------------- looking


@app.command(name="list")
def list_() -> int:
    """List the models: builders with their aliases, and cards with real data."""
    from rich.table import Table
    from rich.text import Text

    from glmm_zoo import registry

    table = Table(box=None, pad_edge=False, title="builders", title_justify="left", title_style="bold")
    for name in ("name", "aliases", "what"):
        table.add_column(name, overflow="fold")
    for builder in registry.builders().values():
        table.add_row(Text(builder.name), Text(", ".join(builder.aliases)), Text(builder.title))
    cards = Table(box=None, pad_edge=False, title="cards", title_justify="left", title_style="bold")
    for name in ("name", "builder", "what"):
        cards.add_column(name, overflow="fold")
    for card in registry.cards().values():
        cards.add_row(Text(card.name), Text(card.file.builder), Text(card.file.summary))
    _print(table, "", cards)
    return 0


@app.command
def show(model: str) -> int:
    """Show a model card, or what a builder takes.

    Parameters
    ----------
    model
        A card, a builder or its alias, or a path to a card file.
    """
    from rich.text import Text

    from glmm_zoo import registry

    found = registry.resolve(model)
    if isinstance(found, registry.Builder):
        aliases = f" (alias {', '.join(found.aliases)})" if found.aliases else ""
        _print(Text(f"{found.name}{aliases}: {found.title}\n", style="bold"), Text(found.doc))
        return 0
    file = found.file
    options = "".join(f"\n  option {k} = {v}" for k, v in file.options.items())
    priors = "".join(f"\n  prior {k} ~ {v}" for k, v in file.priors.items())
    _print(
        Text(f"{file.name}: {file.title}", style="bold"), Text(f"  {file.builder}: {file.formulas}{options}{priors}")
    )
    for title, body in (
        ("Question", file.card.question),
        ("Model", file.card.model),
        ("When to use it", file.card.when),
        ("When not", file.card.when_not),
        ("How to read the result", file.card.reading),
        ("Data", "\n".join(filter(None, (file.source.citation, f"Licence: {file.source.licence}", file.source.note)))),
    ):
        _print("", Text(title, style="bold"), Text(body.strip()))
    return 0


# ------------------------------------------------------------------------------------------------------------- fitting


@app.command
def fit(
    model: str,
    data: str | None = None,
    /,
    *,
    survival: str | None = None,
    formula: Names = None,
    event: str | None = None,
    prior: Names = None,
    option: Names = None,
    draws: int | None = None,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    seed: int | None = None,
    thin: int | None = None,
    target_accept: float | None = None,
    parameterization: Literal["auto", "noncentered", "centered"] = "auto",
    keep_group_effects: Literal["auto", "draws", "moments"] = "auto",
    out: str | None = None,
    overwrite: Flag = False,
    missing: Literal["error", "drop"] | None = None,
    prob: float = 0.95,
    reading: Reading | None = None,
) -> int:
    """Fit a model, check it, save it and print the summary.

    Parameters
    ----------
    model
        A card, a builder or its alias, or a path to a card file.
    data
        CSV, TSV or Parquet, also gzipped. Without it the card's own data are fitted.
    survival
        A second file, for a joint model of visits and survival: one row for each subject, its follow-up and event.
        It is read as the data are.
    formula
        lme4's notation: "y ~ x + (1 + x | g)"; repeated for a model of several outcomes, in step with
        --option families=bernoulli,poisson.
    event
        For a joint model of survival: "Surv(years, death) ~ drug".
    prior
        NAME=DIST, for example "beta=Normal(0, 2.5)"; may be repeated.
    option
        NAME=VALUE for any keyword of the builder, for example center=false; may be repeated.
    draws
        Draws kept for each chain; 1000, or what the card says.
    tune
        Warm-up draws for each chain; 500, or what the card says.
    chains
        Number of chains.
    cores
        Chains that run at a time; by default one for small data, where that is faster.
    seed
        The same seed gives the same draws.
    thin
        Keep every N-th draw; by default up to 8, as long as that gains more than it costs.
    target_accept
        Nearer to 1 is slower and safer; 0.8, then 0.95 and 0.99 if there are divergences, or what the card says.
    parameterization
        What the sampler moves for group effects; auto adapts to the data.
    keep_group_effects
        Their draws, or only mean, sd and R-hat of each; by default what fits in memory.
    out
        The NetCDF file to write; by default fits/MODEL.nc.
    overwrite
        Replace an existing file.
    missing
        What to do with rows that have missing values.
    prob
        Probability inside the printed intervals.
    reading
        How the files are read.
    """
    from glmm_zoo import registry

    found = registry.resolve(model)
    card = found if isinstance(found, registry.Card) else registry.example_of(found) if data is None else None
    builder = found if isinstance(found, registry.Builder) else found.builder
    usual = card.file.sampling if card is not None else registry.Sampling()
    draws = usual.draws if draws is None else draws
    tune = usual.tune if tune is None else tune
    thin = usual.thin if thin is None else thin
    target_accept = usual.target_accept if target_accept is None else target_accept
    problems = _bad_numbers(draws, tune, chains, cores, seed, thin, target_accept, prob)
    given = _pairs(prior or [], "prior", "beta=Normal(0, 2.5)", problems)
    in_step = _in_step(option or [], builder)
    options = {k: _value(v) for k, v in _pairs(in_step, "option", "center=false", problems).items()}
    for name, value in (("event", event), ("missing", missing)):
        if value is not None:
            problems += [f"--{name} and --option {name}= say the same thing twice; keep one"] if name in options else []
            options[name] = value
    if card is not None:
        given = {**card.file.priors, **given}
        options = {**card.file.options, **options}
    problems += [
        f"{builder.name} has no option {name!r}{did_you_mean(name, builder.options) or ';'} options: {listing(builder.options)}"
        for name in options
        if name not in builder.options or name == "priors"
    ]
    problems += [
        f"{builder.name} needs {name}: --option {name}=VALUE; glmm-zoo show {builder.name} tells what it is"
        for name in builder.required
        if name not in options
    ]
    if data is None and survival is not None:
        problems.append(f"--survival {survival!r} goes with a data file; give both, or neither for the card's own data")
    files = attempt(lambda: builder.in_order(data, survival), problems)
    if formula is None and card is None:
        problems.append(f'{builder.name} needs a formula for {data}: --formula "y ~ x + (1 | g)"')
    raise_all(problems)
    assert files is not None
    written: Any = card.file.formula if formula is None and card else formula
    if formula is not None and "families" not in builder.options:
        if len(formula) > 1:
            raise InputError(
                f"{builder.name} takes one --formula, not {len(formula)}; for several outcomes see joint_outcomes"
            )
        written = formula[0]
    if chains == 1:
        _say("warning: R-hat needs several chains to compare; with --chains 1 agreement is not checked")
    target = _target(out, found.name, files, overwrite)
    tables = card.tables() if card and data is None else (reading or Reading()).tables(files)
    with _locked(target):
        return _fit(
            builder, tables, written, options, given, target, overwrite, prob,
            draws=draws, tune=tune, chains=chains, cores=cores, seed=seed, thin=thin,
            target_accept=target_accept,
            parameterization=parameterization, keep_group_effects=keep_group_effects,
        )  # fmt: skip


def _fit(
    builder: Builder,
    tables: Sequence[RawTable | None],
    formula: Any,
    options: dict[str, Any],
    priors: dict[str, str],
    target: Path,
    overwrite: bool,
    prob: float,
    **settings: Any,
) -> int:
    model = builder.function()(*tables, formula, priors=priors, **options)
    from glmm_zoo.inference.fit import Interrupted, fit
    from glmm_zoo.results import diagnostics, report, storage

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        tree = fit(model, **settings)
    except Interrupted as stop:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C leaves at once
        partial = target.with_suffix(".partial.nc")
        storage.save(stop.tree, partial, overwrite=True)
        made = storage.about(stop.tree)["sampling"]["finished"]
        _say(f"interrupted; draws made so far ({listing(made)} by chain) are in {partial}, marked as interrupted")
        return 130
    storage.save(tree, target, overwrite=overwrite)
    verdict = diagnostics.judge(tree, report.diagnosed(tree))
    _print(*report.text(tree, prob=prob), _verdict_text(verdict), f"saved {target}")
    return 0 if verdict.sound else 3


def _verdict_text(verdict: Any) -> Any:
    from rich.text import Text

    return Text(str(verdict), style="green" if verdict.sound else "red")


def _bad_numbers(
    draws: int,
    tune: int,
    chains: int,
    cores: int | None,
    seed: int | None,
    thin: int | None,
    target_accept: float | None,
    prob: float,
) -> list[str]:
    problems = []
    for name, value, least in (
        ("draws", draws, MIN_DRAWS), ("tune", tune, MIN_DRAWS), ("chains", chains, 1), ("cores", cores, 1), ("seed", seed, 0),
        ("thin", thin, 1),
    ):  # fmt: skip
        if value is not None and value < least:
            problems.append(f"--{name} must be >= {least}, not {value}")
    for name, number in (("target-accept", target_accept), ("prob", prob)):
        if number is not None and not 0 < number < 1:
            problems.append(f"--{name} must be in (0, 1), not {number:g}")
    return problems


def _in_step(entries: list[str], builder: Builder) -> list[str]:
    """The options with `family=`, one for each --formula of a model of several outcomes, as one `families=`."""
    if "families" not in builder.options:
        return entries
    of_each = [e.partition("=")[2] for e in entries if e.partition("=")[0].strip() == "family"]
    rest = [e for e in entries if e.partition("=")[0].strip() != "family"]
    return [*rest, *([f"families={','.join(of_each)}"] if of_each else [])]


def _pairs(entries: list[str], what: str, example: str, problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or not value:
            problems.append(f"--{what} {entry!r} is not NAME=VALUE; write for example --{what} {example!r}")
        elif name in found:
            problems.append(f"--{what} {name} is given twice")
        else:
            found[name] = value
    return found


def _value(text: str) -> Any:
    """true, false, none and numbers as such; all else as text."""
    plain = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in plain:
        return plain[text.lower()]
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text


def _target(out: str | None, name: str, files: Sequence[str | None], overwrite: bool) -> Path:
    from glmm_zoo.results import storage

    if out is None:
        target = Path("fits") / f"{name}.nc"
        if target.exists() and not overwrite:
            raise InputError(
                f"out: {str(target)!r} exists; use --overwrite to replace it (make fit ... ARGS=--overwrite), or --out"
            )
        if not target.parent.exists():
            target.parent.mkdir()
        return storage.check_target(target, overwrite=overwrite)
    target = Path(out)
    if target.suffix != ".nc":
        raise InputError(f"out: {out!r} should end in .nc; the fit is a NetCDF file")
    if any(f is not None and target.exists() and Path(f).exists() and target.samefile(f) for f in files):
        raise InputError(f"out: {out!r} is the data file; give another name")
    return storage.check_target(target, overwrite=overwrite)


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Refuse a second fit that would write the same file."""
    from filelock import FileLock, Timeout

    path = target.with_name(f".{target.name}.lock")
    owner = target.with_name(f".{target.name}.pid")
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        pid = owner.read_text() if owner.exists() else "unknown"
        raise InputError(f"another fit (pid {pid}) is writing {target}; wait for it, or give another --out") from None
    try:
        owner.write_text(str(os.getpid()))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
        path.unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------------- reading a fit


@app.command
def check(file: str) -> int:
    """Say whether a fit can be trusted; exit code 3 when not.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    """
    from glmm_zoo.results import diagnostics, storage

    verdict = diagnostics.check(storage.load(file))
    _print(_verdict_text(verdict))
    return 0 if verdict.sound else 3


@app.command
def summary(
    file: str,
    /,
    *,
    prob: float = 0.95,
    group_effects: Flag = False,
    format: Literal["table", "csv", "json"] = "table",
) -> int:
    """Print the estimates of a fit.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    prob
        Probability inside the intervals.
    group_effects
        Also every group effect.
    format
        table for people; csv or json, in full precision, for programs.
    """
    from glmm_zoo.results import report, storage, summary

    tree = storage.load(file)
    found = summary.summary(tree, prob=prob, group_effects=group_effects)
    if format == "table":
        _print(*report.tables(tree, found, prob))
    else:
        sys.stdout.write(
            found.to_csv() if format == "csv" else found.to_json(orient="index", double_precision=15) + "\n"
        )
    return 0


@app.command
def predict(
    file: str,
    /,
    *,
    landmark: float,
    times: str,
    id: Names = None,
    data: str | None = None,
    survival: str | None = None,
    prob: float = 0.95,
    draws: int = 400,
    seed: int = 0,
    format: Literal["table", "csv", "json"] = "table",
    reading: Reading | None = None,
) -> int:
    """Predict survival and marker of subjects from their history up to a time: dynamic prediction of a joint model.

    Parameters
    ----------
    file
        A NetCDF file that `fit jm` wrote.
    landmark
        The time up to which the history is known, free of the event.
    times
        Increasing times, separated by commas: 6,8,10.
    id
        Whose prediction; may be repeated. By default all who were followed at the landmark.
    data
        Visits of new subjects, a file as for `fit`; without it the subjects of the fit.
    survival
        One row for each new subject, with the covariates of the event.
    prob
        Probability inside the intervals.
    draws
        Draws from the posterior.
    seed
        The same seed gives the same numbers.
    format
        table for people; csv or json, in full precision and with all intervals, for programs.
    reading
        How the files are read.
    """
    from glmm_zoo.results import storage

    try:
        at = [float(t) for t in times.split(",")]
    except ValueError:
        raise InputError(f"--times is numbers separated by commas, such as 6,8,10, not {times!r}") from None
    if data is None and survival is not None:
        raise InputError(f"--survival {survival!r} goes with --data; give both, or neither for the subjects of the fit")
    tree = storage.load(file)
    tables = (reading or Reading()).tables([data, survival])
    from glmm_zoo.joint import prediction

    found = prediction.dynamic_prediction(
        tree, *tables, landmark=landmark, times=at, ids=id, prob=prob, draws=draws, seed=seed
    )
    table = prediction.table(found)
    if format == "table":
        _print(*_prediction_text(found, table))
    else:
        sys.stdout.write(
            table.to_csv(index=False)
            if format == "csv"
            else table.to_json(orient="records", double_precision=15) + "\n"
        )
    return 0


def _prediction_text(found: Any, table: Any) -> list[Any]:
    from rich.table import Table
    from rich.text import Text

    landmark, prob = found.landmark.values[0], found.attrs["prob"]
    shown = Table(box=None, pad_edge=False, title_justify="left", title_style="bold")
    shown.title = f"probability of no event until a time, and the marker then, given the history up to {landmark:g}"
    hidden = ("median", "probability_lower", "probability_upper")
    same = [c for c in table if c.startswith("response") and table[c].equals(table[c.replace("response", "marker", 1)])]
    names = [c for c in table if c not in (*hidden, *same)]
    for name in names:
        shown.add_column(Text(name), justify="left" if name == "id" else "right")
    for row in table[names].itertuples(index=False):
        shown.add_row(
            *(Text(str(x) if name in ("id", "time") else f"{x:.3g}") for name, x in zip(names, row, strict=True))
        )
    note = [Text(found.attrs["note"])] if found.attrs["note"] else []
    return [
        shown,
        *note,
        Text(f"lower and upper: {prob:.0%} of subjects with this history and these covariates", style="dim"),
    ]


@app.command
def report(file: str, /, *, out: str | None = None, prob: float = 0.95, overwrite: Flag = False) -> int:
    """Write the report of a fit as one HTML file.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    out
        The HTML file to write; by default beside the fit.
    prob
        Probability inside the intervals.
    overwrite
        Replace an existing file.
    """
    from glmm_zoo.results import storage
    from glmm_zoo.results.report import write_report

    tree = storage.load(file)
    written = write_report(tree, out or Path(file).with_suffix(".html"), prob=prob, overwrite=overwrite)
    _print(f"saved {written}")
    return 0
