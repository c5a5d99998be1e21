"""The qualification of an installation: installation, operation and performance, in one page and one file for programs."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from glmm_zoo.errors import InputError, plural
from glmm_zoo.estimands.progress import block_by_block
from glmm_zoo.qualification.cases import Case, read_case
from glmm_zoo.qualification.installation import installation
from glmm_zoo.qualification.operation import operation_steps
from glmm_zoo.qualification.results import Result
from glmm_zoo.report.page import page_style
from glmm_zoo.results.replacement import replace_file

PAGE, RECORD = "qualification.html", "qualification.json"
_WHAT = {
    "installation": "What is installed",
    "operation": "Whether it does here what it does elsewhere",
    "performance": "Whether it finds what is expected in cases of your own",
}


@dataclass(frozen=True, repr=False, eq=False)
class Qualification:
    """What came of it: the results by part, "installation", "operation" and "performance", and when."""

    results: dict[str, tuple[Result, ...]]
    date: str

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self._count("failed")

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each check: part, of, what, expected, found, state."""
        return pd.DataFrame([{"part": part, **asdict(r)} for part, found in self.results.items() for r in found])

    @property
    def sentence(self) -> str:
        """What came of it, in words."""
        checks = self._count("passed") + self._count("failed")
        lead = f"glmm_zoo {version('glmm-zoo')} on this machine: "
        if self.passed:
            return f"{lead}all {plural(checks, 'check')} passed."
        return f"{lead}{self._count('failed')} of {plural(checks, 'check')} failed."

    def __repr__(self) -> str:
        return f"{self.sentence}\n\n{self.table.to_string(index=False)}"

    def _count(self, state: str) -> int:
        return sum(r.state == state for found in self.results.values() for r in found)


def qualify(
    out: str | os.PathLike[str],
    cases: Sequence[str | os.PathLike[str]] = (),
    *,
    overwrite: bool = False,
) -> Qualification:
    """Check this installation, and write `qualification.html` and `qualification.json` into a folder.

    The parts are the installation (files against the hashes that their installer kept, versions against those tested, the machine),
    the operation (log densities of all cards, the same bits from the same seed and from a file, numbers of other programs and
    of publications, and numbers in which another program is known to be off), and the performance in cases of the user's own.

    Parameters
    ----------
    out
        A folder, made if it is not there.
    cases
        Paths of case files in TOML: a model, data, a formula, and numbers with how near the fit should come to them.
    overwrite
        Replace what an earlier qualification left in the folder.

    Returns
    -------
    Qualification
        A `table` with a row for each check, a `sentence`, and whether all `passed`.

    Raises
    ------
    InputError
        A folder that cannot be made or holds a qualification, a case that cannot be read or whose model the builder refuses.
    """
    folder = _folder(Path(out), overwrite)
    own = [read_case(Path(path)) for path in cases]
    steps = [*_steps(own)]
    found: dict[str, list[Result]] = {part: [] for part in _WHAT}
    for part, step in block_by_block(steps):
        found[part] += step()
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    qualification = Qualification({part: tuple(results) for part, results in found.items()}, now)
    replace_file(folder / RECORD, (json.dumps(_record(qualification), indent=1, ensure_ascii=False) + "\n").encode())
    replace_file(folder / PAGE, _page(qualification).encode())
    return qualification


def _steps(own: Sequence[Case]) -> Iterator[tuple[str, Callable[[], Iterator[Result]]]]:
    yield "installation", installation
    for step in operation_steps():
        yield "operation", step
    for case in own:
        yield "performance", case.results


def _folder(folder: Path, overwrite: bool) -> Path:
    """The folder of the results, made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise InputError(f"out: folder {str(folder)!r} cannot be made: {err.strerror}") from None
    if not overwrite and (found := [name for name in (PAGE, RECORD) if (folder / name).exists()]):
        raise InputError(
            f"out: {str(folder / found[0])!r} exists; use --overwrite (overwrite=True) to replace it, or another folder"
        )
    return folder


def _record(qualification: Qualification) -> dict[str, Any]:
    parts = {part: [asdict(r) for r in found] for part, found in qualification.results.items()}
    return {
        "glmm_zoo": version("glmm-zoo"),
        "date": qualification.date,
        "passed": qualification.passed,
        "sentence": qualification.sentence,
        **parts,
    }


def _page(qualification: Qualification) -> str:
    """The page: the verdict, then a table for each part."""
    import jinja2

    template = files("glmm_zoo.qualification").joinpath("dossier.html.jinja").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(template).render(
        css=Markup(page_style()), qualification=qualification, titles=_WHAT
    )  # fmt: skip
