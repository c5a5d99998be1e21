"""The notebooks of the gallery: each is short, is listed in docs/examples.md, holds no outputs, and runs without a warning."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_CELLS = 15
MAXIMUM = json.loads((ROOT / "notebooks" / "peers" / "maximum.json").read_text(encoding="utf-8"))


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_has_a_title_and_is_stored_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert len(notebook.cells) <= MOST_CELLS
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    fits = re.findall(r"zoo\.fit\(.*", "\n".join(cell.source for cell in code))
    assert fits and all("seed=" in fit for fit in fits)


def test_the_page_of_examples_lists_every_notebook() -> None:
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"```{toctree}\n(.*?)```", page, re.S)
    missing = {path.stem for path in NOTEBOOKS} - set(re.findall(r"^\.\./notebooks/(\w+)$", listed, re.M))
    assert not missing, f"not in the toctree of docs/examples.md: {missing}"
    unexplained = [p.stem for p in NOTEBOOKS if f"](../notebooks/{p.stem}.ipynb)" not in page]
    assert not unexplained, f"not explained in docs/examples.md: {unexplained}"


def peers_shown(path: Path) -> dict[str, dict[str, str]]:
    """The dictionary `peers` of a notebook: by program and row "estimate (standard error)"."""
    source = next(c.source for c in read(path).cells if c.cell_type == "code" and "peers = {" in c.source)
    (assigned,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "peers"
    )
    return ast.literal_eval(assigned.value)


@pytest.mark.parametrize("name", MAXIMUM)
def test_the_numbers_of_other_programs_are_those_of_the_record(name: str) -> None:
    """Each number that a notebook shows of a maximum of the likelihood is the record's, rounded."""
    record = MAXIMUM[name]
    shown = peers_shown(ROOT / "notebooks" / f"{name}.ipynb")[record["peer"].split(" ")[0]]
    assert list(shown) and set(shown) == set(record["parameters"])
    for row, text in shown.items():
        parameter = record["parameters"][row]
        numbers = text.strip(")").split(" (")
        values = [parameter["estimate"], *([parameter["se"]] if "se" in parameter else [])]
        assert len(numbers) == len(values), row
        for number, value in zip(numbers, values, strict=True):
            half = 0.5 * 10.0 ** -len(number.partition(".")[2]) * (1 + 1e-6)
            assert abs(float(number) - value) <= half, (row, number, value)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    """From another folder, without errors or warnings, and with pictures."""
    notebook = read(path)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert sum(bool({"image/png", "image/svg+xml"} & set(output.get("data", {}))) for output in outputs) >= 2
    assert list(tmp_path.iterdir()) == []
