"""Many fits of one file, a manifest, each of which is made once, wherever and however often it is asked for:

schema = 1

[all]                                  # of every fit that does not say otherwise
model = "hierarchical_logistic"
formula = "died ~ treat + age + (1 | site)"
seed = 1

[[fits]]
name = "2019"                          # saved as 2019.nc
data = "visits_2019.csv"               # beside the manifest

[[fits]]
name = "2020"
data = "visits_2020.csv"
priors = { beta = "Normal(0, 1)" }
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import FitError, InputError, listing, raise_all
from glmm_zoo.inference.fit import fit
from glmm_zoo.inference.locks import locked
from glmm_zoo.inference.settings import Settings
from glmm_zoo.refits.complete import complete_fit
from glmm_zoo.refits.described import DescribedFit, described_model
from glmm_zoo.refits.spread import Workers, spread_tasks
from glmm_zoo.registry import Sampling
from glmm_zoo.results.report.stored import stored_diagnostics, stored_verdicts
from glmm_zoo.results.storage import metadata, random_effect_variables, save
from glmm_zoo.tables.card_files import read_toml, without_unknown_key

COLUMNS = ("sampling", "to the data", "rows", "draws", "r_hat", "ess", "divergences", "seconds", "made", "says")
FAILED = "failed"
_NAME = re.compile(r"\w[\w.-]*")


class NamedFit(DescribedFit, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table [[fits]] of a manifest, with what [all] says; its file has its name."""

    name: str


class ManifestFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A manifest; see the module."""

    schema: int
    fits: list[dict[str, Any]]
    all: dict[str, Any] = {}


def fit_many(
    manifest: str | os.PathLike[str], *, folder: str | os.PathLike[str] = "fits", workers: Workers = None
) -> pd.DataFrame:
    """Make the fits of a manifest, save each in a file of its own, and say what came of each.

    A fit that its file holds already, with the same data, model, settings, seed and versions, is not made again; one that was
    interrupted goes on. Each has the same bits wherever it is made.

    Parameters
    ----------
    manifest
        A TOML file; see `glmm_zoo.refits.many` for what is in it.
    folder
        Where NAME.nc of each fit goes.
    workers
        As in `calibrate`; those of a scheduler on other machines see manifest, data and folder under the same paths.

    Returns
    -------
    DataFrame
        A row for each fit: the verdicts on its sampling and its fit `to the data`, or "failed"; `rows`, `draws` of all chains, the
        largest `r_hat`, the fewest effective draws of a parameter that is no group effect, `divergences`, the `seconds` that it took, whether
        it was `made` now, and in `says` the doubts, or why it failed.

    Raises
    ------
    InputError
        A file that is no manifest, names that are the same.
    """
    path, into = Path(manifest), Path(folder)
    fits = read_manifest(path)
    into.mkdir(parents=True, exist_ok=True)
    one = None if workers is None else 1
    found = {
        record["name"]: record
        for record in spread_tasks(
            _made, fits, path.parent.resolve(), into.resolve(), one, workers=workers, lost=_failed
        )
    }
    table = pd.DataFrame([found[of.name] for of in fits]).set_index("name")
    return table[list(COLUMNS)]


def read_manifest(path: Path) -> list[NamedFit]:
    """The fits of a manifest, each whole.

    Raises
    ------
    InputError
        A file that is no manifest, keys that are unknown, names that are the same or cannot be those of files.
    """
    file = read_toml(path, ManifestFile, (NamedFit, Sampling), "manifest")
    problems: list[str] = []
    fits = []
    for i, own in enumerate(file.fits, start=1):
        try:
            fits.append(msgspec.convert({**file.all, **own}, NamedFit))
        except msgspec.ValidationError as err:
            problems.append(
                f"{path}: fit {own.get('name', i)!r}: {without_unknown_key(str(err), (NamedFit, Sampling))}"
            )
    problems += [
        f"{path}: the name {of.name!r} is not that of a file; use letters, digits, _ - and ."
        for of in fits
        if not _NAME.fullmatch(of.name)
    ]
    twice = [name for name, times in Counter(of.name.lower() for of in fits).items() if times > 1]
    if twice:
        problems.append(
            f"{path}: several fits have the name {listing(map(repr, twice))}, and each is saved under its own"
        )
    if not file.fits:
        problems.append(f"{path}: a manifest has one table [[fits]] or more")
    raise_all(problems)
    return fits


def _made(of: NamedFit, data: Path, folder: Path, cores: int | None) -> dict[str, Any]:
    """What came of a fit, which is made where its file does not hold it."""
    target = folder / f"{of.name}.nc"
    settings = replace(Settings(cores=cores, seed=of.seed), **of.sampling.given)
    try:
        model = described_model(of, data, "a fit")
        with locked(target):
            tree = complete_fit(target, model, settings, "remove it, or give another folder")
            made = tree is None
            if tree is None:
                tree = fit(model, **asdict(settings), progress=False, resume=target)
                save(tree, target, overwrite=True)
    except (InputError, FitError, OSError) as err:
        return _failed(of, str(err))
    return {"name": of.name, **_told(tree), "made": made}


def _told(tree: xr.DataTree) -> Mapping[str, Any]:
    content, table, verdicts = metadata(tree), stored_diagnostics(tree), stored_verdicts(tree)
    effects = table.index.str.split("[").str[0].isin(random_effect_variables(content["spec"]))
    doubts = [judged.title for judged in (verdicts.sampling, verdicts.fit) if judged.state != "sound"]
    return {
        "sampling": verdicts.sampling.state,
        "to the data": verdicts.fit.state,
        "rows": content["spec"]["data"]["rows"],
        "draws": tree["posterior"].sizes["chain"] * tree["posterior"].sizes["draw"],
        "r_hat": float(np.nanmax(table["r_hat"])),
        "ess": float(table.loc[~effects, ["ess_bulk", "ess_tail"]].min(axis=None)),
        "divergences": int(tree["sample_stats"].dataset["diverging"].sum()),
        "seconds": round(sum(content["seconds"].values()), 1),
        "says": " ".join(doubts),
    }


def _failed(of: NamedFit, why: str) -> dict[str, Any]:
    nothing = dict.fromkeys(COLUMNS, np.nan)
    return {"name": of.name, **nothing, "sampling": FAILED, "to the data": "", "made": False, "says": why}
