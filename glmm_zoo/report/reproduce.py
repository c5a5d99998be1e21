"""How a fit is made again: commands with what its file holds, and the lines on data, sampler, time and versions."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any

import xarray as xr

from glmm_zoo.errors import listing, plural
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results.imputations import IMPUTATIONS, imputed_tables
from glmm_zoo.results.numbers import written
from glmm_zoo.results.report.wording import USUAL_OPTIONS
from glmm_zoo.results.storage import metadata, outcome_formulas

FILES = (".csv", ".tsv", ".tab", ".txt", ".gz", ".parquet")


@dataclass(frozen=True)
class Reproduction:
    """The commands, an argument on each line, and lines of (name, text)."""

    command: str
    lines: tuple[tuple[str, str], ...]


def reproduce(tree: xr.DataTree, path: str = "fit.nc") -> Reproduction:
    """How the fit whose file is `path` is made again.

    Options of the builder and settings at their usual values go without saying, and so do default priors: they follow from the data.
    """
    content = metadata(tree)
    spec = content["spec"]
    fit = [f"glmm-zoo fit {_model_and_data(spec)}"]
    fit += [
        f"{name} {shlex.quote(value)}"
        for name, value in (*_model_arguments(spec, imputed_tables(tree)), *_settings(content["sampling"]))
    ]
    fit.append(f"--out {shlex.quote(path)}")
    commands = [" \\\n    ".join(fit), f"glmm-zoo report {shlex.quote(path)}"]
    return Reproduction("\n".join(commands), tuple(_lines(content)))


def prior_command(spec: Mapping[str, Any]) -> str:
    """The command that says what the priors of a fit allow before the data."""
    arguments = " ".join(f"{name} {shlex.quote(value)}" for name, value in _model_arguments(spec))
    return f"glmm-zoo prior {_model_and_data(spec)} {arguments}"


def _model_and_data(spec: Mapping[str, Any]) -> str:
    return " ".join(map(shlex.quote, [spec["builder"], _file(spec["data"]["source"], "DATA.csv")]))


def _file(source: str, otherwise: str) -> str:
    """The name of the file that a table is from; what stands for it where the table was none."""
    return source if PurePath(source).suffix.lower() in FILES else otherwise


def _model_arguments(spec: Mapping[str, Any], imputed: Sequence[Mapping[str, Any]] = ()) -> Iterator[tuple[str, str]]:
    """Options of the command line that say what the model is, and their values; of several imputed tables the others too."""
    for table in imputed[1:]:
        yield "--data", _file(table["spec"]["data"]["source"], "IMPUTED.csv")
    if "event" in spec and spec["event"]["data"]["source"] != spec["data"]["source"]:
        yield "--survival", _file(spec["event"]["data"]["source"], "SURVIVAL.csv")
    for formula in outcome_formulas(spec):
        yield "--formula", formula
    for name, table in spec["data"].get("tables", {}).items():
        yield "--table", f"{name}={_file(table['source'], f'{name}.csv')}"
    options = {k: v for k, v in spec["options"].items() if v is not None and USUAL_OPTIONS.get(k) != v}
    if "outcomes" in spec and "families" not in options:
        families = [f"{of['family']}({of['link']})" for of in spec["outcomes"].values()]
        options |= {"families": families} if families != ["gaussian(identity)"] else {}
    for name in ("event", "missing"):
        if name in options:
            yield f"--{name}", str(options.pop(name))
    yield from (("--option", f"{name}={_as_text(value)}") for name, value in options.items())
    yield from (("--prior", f"{name}={prior}") for name, prior in spec.get("given", {}).items())


def _settings(sampling: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Options of the command line for the settings that were asked for; of the seed the one that was taken."""
    asked = {**_come_to(sampling), **sampling.get("asked", {}), "seed": sampling["seed"]}
    for setting in fields(Settings):
        value = asked.get(setting.name)
        if value is not None and value != setting.default and setting.name != "cores":
            yield f"--{setting.name.replace('_', '-')}", f"{value}"


def _come_to(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Of a file that does not keep what was asked for: what `fit` does not choose itself."""
    return {name: sampling[name] for name in ("draws", "tune", "chains") if name in sampling}


def _as_text(value: object) -> str:
    """A value as an option is written: lists and dicts as JSON, logicals as true and false."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --------------------------------------------------------------------------------------------------------------- lines


def _lines(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    spec = content["spec"]
    data = spec["data"]
    tables = content.get(IMPUTATIONS, [])
    for of in [table["spec"]["data"] for table in tables] or [data]:
        yield "data", f"{of['source']}, {plural(of['rows'], 'row')}, {of['dropped']} dropped; SHA-256 {of['sha256']}"
    if "event" in spec:
        events = spec["event"]["data"]
        yield "events", f"{events['source']}, {plural(events['rows'], 'row')}; SHA-256 {events['sha256']}"
    for name, table in data.get("tables", {}).items():
        yield f"table {name}", f"{table['source']}, {plural(table['levels'], 'level')}; SHA-256 {table['sha256']}"
    if "given" not in spec:
        yield (
            "priors",
            "an older glmm_zoo wrote the file, which does not tell which priors were given; those in force are in the table of priors",
        )
    each = f"; so for each of {len(tables)} imputed tables, with seeds that follow" if tables else ""
    yield "sampler", sampler_words(tables[0]["sampling"] if tables else content["sampling"]) + each
    seconds = content["seconds"]
    yield "time", f"{written(seconds['all'], 1)} s, of which sampling {written(seconds['sample'], 1)} s"
    yield "made", content["created"].replace("T", " ").split("+")[0][:16] + " UTC"
    yield "machine", content["machine"]
    yield "versions", listing((f"{name} {version}" for name, version in content["versions"].items()), 99)


def sampler_words(sampling: Mapping[str, Any]) -> str:
    """ "nutpie NUTS; 4 chains x 1000 draws kept (each the last of 4) after 500 for warm-up; target acceptance 0.8; seed 1"."""
    on = (sampling.get("runs") or [{}])[-1].get("target_on")
    target = f"target acceptance {sampling['target_accept']:g}{f' and, after the first part, {on:g}' if on else ''}"
    thinned = f" (each the last of {sampling['thin']})" if sampling["thin"] > 1 else ""
    return (
        f"{sampling['sampler']}; {plural(sampling['chains'], 'chain')} × {sampling['draws']} draws kept{thinned} after "
        f"{sampling['tune']} for warm-up; {target}; seed {sampling['seed']}"
    )
