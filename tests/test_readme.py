"""The README: its tables are made from the cards, the builders and the benchmark; its commands run as they stand.

`make readme` writes every generated table anew: those of README.md, models/README.md and docs/decisions/README.md.
"""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import tables

from glmm_zoo import registry

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells_by_key(old: str) -> Mapping[str, list[str]]:
    """The cells of each row of a table by the `name` in backticks with which its first cell begins, in the order of the rows."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in old.splitlines()[2:]]
    return {match.group(1): row for row in rows if (match := re.match(r"`(\w+)`", row[0]))}


# ---------------------------------------------------------------------------------------------------- generated tables


def table_of_systems(old: str) -> str:
    """One row for each system. Builders are one system when their names begin with the same word, "network" apart, and they take the
    same tables.

    Rows keep the order that they have in the README; a new system comes last.
    """

    def system_of(builder: registry.Builder) -> tuple[str, tuple[str, ...]]:
        return builder.name.removeprefix("network_").split("_")[0], builder.tables

    builders = sorted(registry.builders().values(), key=system_of)
    systems = {group[0].name: group for group in (list(g) for _, g in groupby(builders, key=system_of))}
    place = {name: i for i, name in enumerate(cells_by_key(old))}
    rows = []
    for name in sorted(systems, key=lambda n: place.get(n, len(place))):
        names = [f"`{b.name}`" + (f" ({', '.join(b.aliases)})" if b.aliases else "") for b in systems[name]]
        cards = [f"`{c.name}`" for c in registry.cards().values() if c.builder in systems[name]]
        rows.append([", ".join(names), "; ".join(b.title for b in systems[name]), ", ".join(cards)])
    return markdown_table(["builder (alias)", "what it models", "cards"], rows)


def medians() -> list[dict[str, str]]:
    with (ROOT / "benchmarks" / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def table_of_cards(_: str) -> str:
    rows = [
        [f"`{c.name}`", f"`{c.file.builder}`", f"`{c.file.formulas}`", c.file.summary]
        for c in registry.cards().values()
    ]
    return markdown_table(["card", "builder", "formula", "question"], rows)


def table_of_licences(_: str) -> str:
    sources = {card.name: card.file.source for card in registry.cards().values()}
    rows = [[f"`{name}`", s.package or "none", s.licence, s.citation] for name, s in sources.items()]
    return markdown_table(["card", "R package", "licence of the data", "source"], rows)


def table_of_decisions(_: str) -> str:
    rows = []
    for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        title, _, status = path.read_text().splitlines()[:3]
        number, _, words = title.removeprefix("# ").partition(". ")
        kept = "in force" if status == "Status: in force." else "superseded"
        rows.append([number, f"[{words}]({path.name})", kept])
    return markdown_table(["", "decision", "status"], rows)


TABLES: Mapping[tuple[Path, str], Callable[[str], str]] = {
    (README, "systems"): table_of_systems,
    (README, "speed"): lambda _: tables.summary(medians()),
    (ROOT / "benchmarks" / "README.md", "results"): lambda _: tables.table(medians()),
    (ROOT / "models" / "README.md", "cards"): table_of_cards,
    (ROOT / "models" / "README.md", "licences"): table_of_licences,
    (ROOT / "docs" / "decisions" / "README.md", "decisions"): table_of_decisions,
}


@pytest.mark.parametrize(("path", "name"), TABLES, ids=[f"{p.relative_to(ROOT)}:{name}" for p, name in TABLES])
def test_a_generated_table_is_up_to_date(path: Path, name: str) -> None:
    text = path.read_text()
    start, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    before, _, rest = text.partition(start)
    old, closed, after = rest.partition(end)
    assert closed, f"{path.name} has no table between {start.strip()} and {end.strip()}"
    fresh = before + start + TABLES[path, name](old) + end + after
    if os.environ.get("UPDATE_README"):
        path.write_text(fresh)
    assert path.read_text() == fresh, "run make readme"


def test_every_builder_is_in_a_system() -> None:
    table = table_of_systems("")
    assert all(table.count(f"`{name}`") >= 1 for name in registry.builders())


# ------------------------------------------------------------------------------------------------------ the README runs


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 150


def commands() -> list[str]:
    """The indented lines of the README that a shell takes, without their comments."""
    lines = [line[4:] for line in README.read_text().splitlines() if line.startswith("    ")]
    return [line for line in lines if line.startswith(("make fit ", ".venv/bin/glmm-zoo "))]


def follow(command: str, folder: Path) -> str:
    """What a command of the README prints in a folder, where `.venv` is the environment of this test run."""
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with all that the README's commands need: a fresh copy of the repository, set up without a download."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "glmm_zoo", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = tmp_path / ".venv"
    (environment / "bin").mkdir(parents=True)
    script = environment / "bin" / "glmm-zoo"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m glmm_zoo "$@"\n')
    script.chmod(0o755)
    (environment / ".ready").touch()
    return tmp_path


@pytest.mark.slow
@pytest.mark.promise("readme")
def test_the_readme_runs_word_for_word(clone: Path) -> None:
    text = README.read_text()
    first, *others = commands()
    printed = follow(first, clone)
    shown = re.search(r"^    (model  .*?)^    saved fits/multicenter.nc$", text, re.DOTALL | re.MULTILINE)
    assert shown is not None
    for line in re.findall(r"^    (\w+(?:\[.*?\])?) +-?\d+\.\d+ ", shown.group(1), re.MULTILINE):
        assert re.search(rf"^{re.escape(line)} ", printed, re.MULTILINE), f"{line} is not printed any more"
    for command in others:
        follow(command, clone)
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        (clone / "block.py").write_text(block)
        follow(f"{shlex.quote(sys.executable)} block.py", clone)
