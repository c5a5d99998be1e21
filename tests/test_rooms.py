"""The house: a room imports only rooms to its left, and nothing is listed twice."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from glmm_zoo import zoo

PACKAGE = Path(__file__).parents[1] / "glmm_zoo"
LEFT_TO_RIGHT = (
    "errors",
    "kernel",
    "data",
    "formula",
    "smooths",
    "design",
    "priors",
    "families",
    "counts",
    "subjects",
    "ordered",
    "intake",
    "studies",
    "wedge",
    "terms",
    "outcomes",
    "events",
    "courses",
    "baselines",
    "association",
    "hazards",
    "joint",
    "survival",
    "geometry",
    "builders",
    "zoo",
)
READING_A_FIT = (
    "errors",
    "smooths",
    "storage",
    "kernel",
    "moments",
    "sampling",
    "convergence",
    "landmarks",
    "diagnostics",
    "bands",
    "aspects",
    "estimands",
    "report",
)
LAST = ("fitting", "prediction", "cli")


def allowed(room: str) -> set[str]:
    """The rooms that a room may import."""
    if room in LAST:
        return {*LEFT_TO_RIGHT, *READING_A_FIT, *LAST[: LAST.index(room)]}
    if room in READING_A_FIT:
        return set(READING_A_FIT[: READING_A_FIT.index(room)])
    return set(LEFT_TO_RIGHT[: LEFT_TO_RIGHT.index(room)])


def imported(path: Path) -> set[str]:
    """Rooms that a file imports, wherever in the file, except for type checking."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in typing_only and node.module:
            parts = node.module.split(".")
            if parts[0] == "glmm_zoo":
                found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found


FOLDERS = ("builders", "aspects", "kernel")
FILES = [p for p in PACKAGE.rglob("*.py") if p.parent.name in FOLDERS or p.stem not in ("__init__", "__main__")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_imports_only_rooms_to_the_left(path: Path) -> None:
    room = path.parent.name if path.parent.name in FOLDERS else path.stem
    own = {room} if room in FOLDERS else set()
    assert imported(path) - own <= allowed(room), f"{room} imports {imported(path) - allowed(room)}"


def test_every_file_is_a_room() -> None:
    rooms = {p.stem for p in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert {p.parent.name for p in PACKAGE.glob("*/*.py")} == set(FOLDERS)
    assert rooms | set(FOLDERS) == {*LEFT_TO_RIGHT, *READING_A_FIT, *LAST}


def test_an_upward_import_is_caught(tmp_path: Path) -> None:
    planted = tmp_path / "data.py"
    planted.write_text("def f():\n    from glmm_zoo import design\n")
    assert not imported(planted) <= allowed("data")


def test_builders_are_found_as_files() -> None:
    files = {p.stem for p in (PACKAGE / "builders").glob("*.py")} - {"__init__"}
    assert set(zoo.builders()) == files
    aliases = [a for b in zoo.builders().values() for a in (b.name, *b.aliases)]
    assert len(aliases) == len(set(aliases)) and not set(aliases) & set(zoo.cards())


@pytest.mark.parametrize("name", sorted(zoo.builders()))
def test_builder_has_its_docstring_and_function(name: str) -> None:
    builder = zoo.builders()[name]
    assert builder.title and "Parameters" in builder.doc and "Raises" in builder.doc
    assert builder.function().__name__ == name
    assert len(builder.in_order("data.csv", None)) == len(builder.tables)
    assert zoo.example_of(builder).builder.name == name
