"""Certificates of calibration: small designs of builders, files of `designs`, are calibrated, and what came of it written down.

A design is a TOML file, of the name of its builder or, of another structure, another name:

    schema = 1
    builder = "poisson"
    formula = "count ~ time + treat + (1 + time | id)"
    data = "visits.csv"                  # beside it, with any responses
    simulations = 1000

    [priors]
    beta = "Normal(0, 0.5)"
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from glmm_zoo.calibration.calibrate import SimulationBasedCalibration, calibrate
from glmm_zoo.calibration.ranks import SPREAD_OF
from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.inference.kept import versions
from glmm_zoo.inference.settings import Settings
from glmm_zoo.refits.spread import Workers
from glmm_zoo.registry import builders
from glmm_zoo.report.certificate import (
    CERTIFICATE_SCHEMA,
    REPEATED,
    SOURCES,
    Certificate,
    Repetition,
    certificates,
    code_of_draws,
)
from glmm_zoo.results.replacement import replace_file
from glmm_zoo.tables.card_files import card_data_file, read_toml
from glmm_zoo.tables.files import read_table

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

DESIGNS = Path(__file__).parent / "designs"
_SEED = 1


class DesignFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A design file; see the module."""

    schema: int
    builder: str
    formula: str | list[str]
    data: str
    survival: str | None = None
    options: dict[str, Any] = {}
    priors: dict[str, str] = {}
    simulations: int = 1000


@cache
def designs() -> Mapping[str, DesignFile]:
    """Every design by name."""
    return {path.stem: read_toml(path, DesignFile, (), "design") for path in sorted(DESIGNS.glob("*.toml"))}


def design_model(design: str) -> Model:
    """The model of a design."""
    file = designs()[design]
    builder = builders()[file.builder]
    names = builder.table_arguments(file.data, file.survival)
    tables = [None if name is None else read_table(card_data_file(DESIGNS, name)) for name in names]
    return builder.function()(*tables, file.formula, priors=file.priors, **file.options)


def certify(
    design: str,
    n: int | None = None,
    *,
    folder: str | os.PathLike[str],
    workers: Workers = None,
) -> Certificate:
    """Calibrate a design at the usual settings of `fit`, and write its certificate.

    Parameters
    ----------
    design
        The name of a design, most of which have that of their builder.
    n
        How many simulations; by default as many as the design asks for.
    folder
        Where the certificate goes, DESIGN.json, and in a folder DESIGN the simulations, from which the same call goes on.
    workers
        As in `calibrate`.

    Raises
    ------
    InputError
        An unknown design; a folder of another calibration.
    """
    if design not in designs():
        raise InputError(
            f"no design {design!r} to certify{did_you_mean(design, designs()) or ';'} designs: {listing(designs(), 99)}"
        )
    asked, out, model, settings = designs()[design].simulations, Path(folder), design_model(design), _usual_settings()
    n = asked if n is None else n
    calibration = calibrate(model, n, folder=out / design, seed=_SEED, **settings, workers=workers)
    again = ["glmm-zoo", "certify", design, *([] if n == asked else ["--n", str(n)]), "--out", "calibration"]
    certificate = certificate_from(design, calibration, model, settings | {"seed": _SEED}, shlex.join(again))
    _write(certificate, out)
    return certificate


def repeat(design: str, *, folder: str | os.PathLike[str], workers: Workers = None) -> Certificate | None:
    """Make the first five simulations of a certificate of the package again, with the sources and on the machine of today.

    Their ranks are hundreds of numbers each of which depends on every draw: where all are the same, draws are, and what the certificate
    says holds of these sources too, which is written into a copy of it. Other processors and other versions of libraries round
    otherwise, and then draw otherwise where nothing is wrong.

    Parameters
    ----------
    design
        The name of a design that has a certificate in this version.
    folder
        Where the copy goes, DESIGN.json.
    workers
        As in `calibrate`.

    Returns
    -------
    Certificate | None
        The certificate that says so; None where a rank is another, and nothing is written.

    Raises
    ------
    InputError
        A design without a certificate.
    """
    there = certificates()
    if design not in there:
        raise InputError(
            f"no certificate of {design!r} whose simulations could be repeated{did_you_mean(design, there) or ';'} certificates: {listing(there, 99)}"
        )
    again = calibrate(design_model(design), REPEATED, seed=_SEED, **_usual_settings(), workers=workers)
    if _ranks_digest(again) != there[design].first:
        return None
    same = there[design].code == code_of_draws()
    repetition = None if same else Repetition(code=code_of_draws(), commit=_commit(), date=_today())
    certificate = msgspec.structs.replace(there[design], repeated=repetition)
    _write(certificate, Path(folder))
    return certificate


def _usual_settings() -> dict[str, Any]:
    """Those of `fit`."""
    usual = Settings()
    return {"draws": usual.draws, "tune": usual.tune, "chains": usual.chains}


def _write(certificate: Certificate, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(certificate), indent=1) + b"\n"
    replace_file(folder / f"{certificate.design}.json", text)


def _ranks_digest(calibration: SimulationBasedCalibration) -> str:
    """One hash of all ranks of the first simulations."""
    ranks = [[s["refused"], s.get("ranks")] for s in calibration.simulations[:REPEATED]]
    return hashlib.sha256(json.dumps(ranks).encode()).hexdigest()


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def certificate_from(
    design: str, calibration: SimulationBasedCalibration, model: Model, settings: Mapping[str, Any], command: str
) -> Certificate:
    """The certificate of a calibration of a design's model, made by a command.

    Raises
    ------
    InputError
        A calibration with too few fits to judge.
    """
    fits: Sequence[Mapping[str, Any]] = [s for s in calibration.simulations if "ranks" in s]
    if not calibration.enough:
        raise InputError(f"{calibration.sentence} A certificate needs more simulations")
    spec, table = model.spec, calibration.table
    of_spread = table["p"][[str(name).startswith(SPREAD_OF) for name in table.index]]
    return Certificate(
        schema=CERTIFICATE_SCHEMA,
        design=design,
        builder=spec["builder"],
        formula=designs()[design].formula,
        options={name: value for name, value in spec["options"].items() if value is not None},
        priors=spec["priors"],
        rows=spec["data"]["rows"],
        groups={g.factor.name: len(g.factor.levels) for g in model.groups},
        data_sha256=spec["data"]["sha256"],
        simulations=len(calibration.simulations),
        **settings,
        version=version("glmm-zoo"),
        commit=_commit(),
        code=code_of_draws(),
        versions=versions(),
        date=_today(),
        calibrated=calibration.calibrated,
        tests=len(table),
        quantity=str(table.index[0]),
        p_adjusted=float(table["p_adjusted"].iloc[0]),
        spread_p=float(of_spread.min()) if len(of_spread) else None,
        sound=sum(s["sound"] for s in fits) / len(fits),
        divergences=sum(s["divergences"] for s in fits),
        refused=sum(s["refused"] for s in calibration.simulations),
        failed=len(calibration.simulations) - len(fits),
        seconds=round(sum(s.get("seconds", 0.0) for s in calibration.simulations), 1),
        command=command,
        first=_ranks_digest(calibration),
    )  # fmt: skip


def _commit() -> str:
    """The last commit that changed the package; "" where it is not in a repository."""
    git = shutil.which("git")
    if git is None:
        return ""
    return subprocess.run([git, "log", "-1", "--format=%h", "--", "."], cwd=SOURCES, capture_output=True, text=True).stdout.strip()  # fmt: skip
