"""What a certificate says of the calibration of a builder: its file, which comes with the package, and the line of a page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from glmm_zoo.errors import listing, plural
from glmm_zoo.results.numbers import percent, written

SOURCES = Path(__file__).parent.parent
CERTIFICATES = SOURCES / "calibration" / "certificates"
CERTIFICATE_SCHEMA = 2
REPEATED = 5  # simulations that are made again to see whether other sources draw the same
_SHAPE_DRAWS = (
    "tables",
    "formulas",
    "priors.py",
    "families",
    "plans",
    "trials",
    "graph",
    "inference",
    "joint",
    "estimands",
    "builders",
)


class Repetition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first simulations of a certificate were made again with other sources, of hash `code`, and gave the same ranks."""

    code: str
    commit: str
    date: str


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate file, NAME.json: what was calibrated, a `design` of a builder's model, with what, when, and what came of it.

    `rows` and `groups` are the sizes of the design, whose table has `data_sha256`; `simulations` were asked for, of which `failed` have no
    fit; `refused` data sets were drawn anew before. Of the fits a share is `sound`. `p_adjusted` is the smallest p, adjusted by Holm over
    all `tests`, and `quantity` what it is of; `spread_p` is the smallest of the tests of spread, None where there are none. `code` is the
    hash of the sources on which draws depend, `commit` the last that changed the package, where it was a checkout. `first` is the hash of
    all ranks of the first 5 simulations, which tells whether later sources draw the same: if so, `repeated` names these.
    """

    schema: int
    design: str
    builder: str
    formula: str | list[str]
    options: dict[str, Any]
    priors: dict[str, str]
    rows: int
    groups: dict[str, int]
    data_sha256: str
    simulations: int
    seed: int
    draws: int
    tune: int
    chains: int
    version: str
    commit: str
    code: str
    versions: dict[str, str]
    date: str
    calibrated: bool
    tests: int
    quantity: str
    p_adjusted: float
    spread_p: float | None
    sound: float
    divergences: int
    refused: int
    failed: int
    seconds: float
    command: str
    first: str
    repeated: Repetition | None = None


def certificates() -> dict[str, Certificate]:
    """The certificates that come with the package, by the names of their designs."""
    return {p.stem: msgspec.json.decode(p.read_bytes(), type=Certificate) for p in sorted(CERTIFICATES.glob("*.json"))}


def certificate_texts(builder: str, fitted_with: str) -> list[str]:
    """What a page says of the calibration of its builder; of a fit made with another version, or sources that have changed since, so."""
    return [
        f"{certificate_words(of)}. {changed_since(of, fitted_with)}To do it again: `{of.command}`"
        for of in certificates().values()
        if of.builder == builder
    ] or [f"No certificate of calibration of {builder} comes with this version of glmm_zoo."]


def certificate_words(found: Certificate) -> str:
    """What was calibrated and what came of it."""
    formulas = [found.formula] if isinstance(found.formula, str) else found.formula
    size = listing([plural(found.rows, "row"), *(f"{n} levels of {g}" for g, n in found.groups.items())], 9)
    p = f"smallest p {written(found.p_adjusted, 3)}, of {found.quantity!r}, adjusted for {plural(found.tests, 'test')}"
    fits = f"{percent(found.sound)} of the fits sound" + (f", {found.failed} failed" if found.failed else "")
    return (
        f"{'Calibrated' if found.calibrated else 'Found not to be calibrated'}: {found.simulations:,} simulated data sets of "
        f"`{'; '.join(formulas)}` ({size}) on {found.date} with version {found.version}; {p}; {fits}{_repeated(found)}"
    )


def _repeated(found: Certificate) -> str:
    """What was found when the first simulations were made again with the sources of today."""
    if found.repeated is None or found.repeated.code != code_of_draws():
        return ""
    return f". Sources have changed since, but not the draws: made again on {found.repeated.date}, the first {REPEATED} simulations had the same ranks"


def changed_since(found: Certificate, fitted_with: str | None = None) -> str:
    """What is other than when the certificate was made, of this installation and the version that a fit was made with; "" for nothing.

    A certificate is made before its sources are released, with the version in development; a release with these sources is no other one.
    """
    installed, unchanged = version("glmm-zoo"), code_of_draws() in {found.code, found.repeated and found.repeated.code}
    known = {None, found.version, installed if unchanged else None}
    others = dict.fromkeys(v for v in (fitted_with, installed) if v not in known)
    if others:
        return f"This is version {listing(others)}, which was not calibrated. "
    return "" if unchanged else "Sources on which draws depend have changed since. "


@cache
def code_of_draws() -> str:
    """One hash of the sources on which the draws and ranks of a fit depend, wherever they are installed."""
    of = (SOURCES / name for name in _SHAPE_DRAWS)
    return digest_of_sources(path for place in of for path in ([place] if place.is_file() else place.rglob("*.py")))


def digest_of_sources(paths: Iterable[Path]) -> str:
    """One hash of source files of the package, the same wherever and however it is installed."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()
