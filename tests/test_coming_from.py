"""The pages of docs/coming-from: each has twenty tasks or more, its Python runs as it stands, and so does its R where R is there.

Fits of a page are made with a few hundred draws here, in place of the default, so that all pages run in minutes; everything else of
a call is what a reader runs.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

import glmm_zoo as zoo

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "coming-from"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "index.md")
WITH_R = {
    "lme4-and-glmmtmb.md": "lme4 glmmTMB emmeans",
    "metafor.md": "metafor lme4",
    "mgcv.md": "mgcv",
}  # pages whose R has been run, and its packages
NO_PACKAGE = 77  # exit status of a script that lacks a package
INSTALL_R = "apt-get install r-base-core r-cran-lme4 r-cran-glmmtmb r-cran-emmeans r-cran-metafor r-cran-mgcv (Debian)"
QUICK = {"draws": 200, "tune": 300, "chains": 2}
# what fits of these small data warn of, and ArviZ of their leave-one-out
EXPECTED = re.compile(
    r"\d+ events for \d+ association and covariate parameters"
    r"|the model was fitted to these subjects and their events"
    r"|Estimated shape parameter of Pareto distribution"
)


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The line where each block of code in a language begins, and the block."""
    text = page.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n") + 1, match.group(1)) for match in found]


def names_of_zoo(code: str) -> set[str]:
    """What a block takes from `zoo`."""
    nodes = ast.walk(ast.parse(code))
    return {
        n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "zoo"
    }


def test_there_are_six_pages_and_all_are_in_the_index() -> None:
    index = (FOLDER / "index.md").read_text()
    assert len(PAGES) == 6
    assert all(index.count(f"({page.name})") == 1 and f"\n{page.stem}\n" in index for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_has_twenty_tasks_side_by_side(page: Path) -> None:
    theirs = "py" if page.stem == "bambi" else "r"
    text = page.read_text()
    tasks = re.split(r"^### ", text.partition("\n## Where")[0], flags=re.MULTILINE)[1:]
    assert len(tasks) >= 20
    assert [int(task.split(".")[0]) for task in tasks] == list(range(1, len(tasks) + 1))
    assert not [task for task in tasks if not (f"```{theirs}\n" in task and "```python\n" in task)]
    assert not {name for _, code in blocks(page, "python") for name in names_of_zoo(code)} - set(PUBLIC)
    assert not [line for _, code in blocks(page, "python") for line in code.splitlines() if len(line) > 62]


PUBLIC = {*zoo.__all__, *zoo.builders()}


def test_a_name_that_is_not_public_is_seen() -> None:
    assert names_of_zoo("tree = zoo.fit(zoo.nothing(data))") - PUBLIC == {"nothing"}


@pytest.fixture
def quick_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder that looks like a checkout, and fits of few draws where a page does not say how many; what `update` repeats is few too."""
    fit = zoo.fit
    monkeypatch.setattr(zoo, "fit", lambda model, **settings: fit(model, **{**QUICK, **settings}))
    for name in ("models", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "fits").mkdir()
    monkeypatch.chdir(tmp_path)
    yield
    plt.close("all")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
@pytest.mark.usefixtures("quick_fits")
def test_the_python_of_a_page_runs_as_it_stands(page: Path) -> None:
    known: dict[str, Any] = {}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for line, code in blocks(page, "python"):
            exec(compile("\n" * line + code, str(page), "exec"), known)
    assert not [str(w.message) for w in said if not EXPECTED.search(str(w.message))]


def run_r(code: str) -> None:
    """Runs R in this folder."""
    assert shutil.which("Rscript"), f"R is missing: {INSTALL_R}"
    Path("page.R").write_text(code)
    run = subprocess.run(["Rscript", "page.R"], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert run.returncode != NO_PACKAGE, f"a package of R is missing: {INSTALL_R}"
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_R)
@pytest.mark.usefixtures("quick_fits")
def test_the_r_of_a_page_runs_as_it_stands(name: str) -> None:
    needed = [
        f'if (!requireNamespace("{p}", quietly = TRUE)) quit(status = {NO_PACKAGE})' for p in WITH_R[name].split()
    ]
    run_r("\n".join([*needed, "pdf(NULL)", *(code for _, code in blocks(FOLDER / name, "r"))]))


@pytest.mark.slow
def test_the_r_of_every_page_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for page in PAGES:
        (tmp_path / f"{page.stem}.R").write_text("\n".join(code for _, code in blocks(page, "r")))
    run_r("".join(f'invisible(parse("{page.stem}.R"))\n' for page in PAGES))
