"""The tests stand alone: data and references are in the repository or named, and nothing else outside is read."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import data_sets
import pytest
from data_sets import ALLOW, CARDS, FOLDER, RESTRICTED, ROOT, MissingDataError, data_path, data_set

TESTS = ROOT / "tests"
SOURCES = [p for folder in ("tests", "benchmarks") for p in sorted((ROOT / folder).rglob("*.py"))]
ALLOWED = (  # the helper, planted faults, and what no text may name
    TESTS / "data_sets.py",
    TESTS / "test_data_sets.py",
    TESTS / "test_docs.py",
)
COPIED = sorted(p.name for p in (TESTS / "data").glob("*.csv"))
RECORDS = sorted(p.stem for p in (TESTS / "references").glob("*.json"))


# ------------------------------------------------------------------------------------------------------- paths and skips


def outside(text: str, depth: int) -> Iterator[str]:
    """What a source looks up outside of the checkout, or skips; `depth` folders lie between the root and the file."""
    tree = ast.parse(text)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    prose |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values[1:]}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            if re.search(r"(^|\s|=)(~|/\w[\w.-]*)/\w|(^|/)\.\.(/|$)", node.value):
                yield repr(node.value)
        elif isinstance(node, ast.Subscript | ast.Attribute):
            source = ast.unparse(node)
            ups = re.fullmatch(r"Path\(__file__\)(?:\.resolve\(\))?(?:\.parents\[(\d+)\]|((?:\.parent)+))", source)
            above = ups and (int(ups[1]) if ups[1] else ups[2].count(".") - 1) > depth
            if above or re.fullmatch(r"ROOT\.parents?|pytest\.(mark\.)?(skip|skipif|importorskip|xfail)", source):
                yield source


@pytest.mark.parametrize("path", [p for p in SOURCES if p not in ALLOWED], ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_read_outside_the_checkout_and_nothing_skipped(path: Path) -> None:
    assert list(outside(path.read_text(), len(path.relative_to(ROOT).parents) - 1)) == []


@pytest.mark.parametrize(
    "line",
    [
        'AIDS = Path("/work/shared/data/tests-only")',
        'SHARED = Path(__file__).parents[3] / "data"',
        "SHARED = Path(__file__).parent.parent.parent.parent",
        'd = pd.read_csv("../shared/d.csv")',
        'd = pd.read_csv("~/data/d.csv")',
        'd = pd.read_csv(ROOT.parent / "shared" / "d.csv")',
        'subprocess.run("Rscript --file=/home/me/fit.R")',
        'd = pd.read_csv(f"/home/me/{name}.csv")',
        'pytest.skip("../data is not there")',
        '@pytest.mark.skipif(True, reason="data")\ndef test(): ...',
        "@pytest.mark.skip\ndef test(): ...",
    ],
)
def test_a_planted_path_or_skip_is_caught(line: str) -> None:
    assert len(list(outside(line, depth=2))) >= 1


@pytest.mark.parametrize(
    "line",
    [
        'd = Path(__file__).parents[2] / "models"',
        "d = Path(__file__).parent.parent.parent",
        'formula = "y ~ x + (1 | a/b)"',
        'command = f"{HERE}/fit_zoo.py"',
        '"""\n    git worktree add /tmp/before REVISION\n"""',
        'model = build(d, shared="loading")',
    ],
)
def test_a_path_inside_is_not_caught(line: str) -> None:
    assert list(outside(line, depth=2)) == []


# ------------------------------------------------------------------------------------------------------------------ data


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without restricted data."""
    monkeypatch.setattr(data_sets, "OUTSIDE", tmp_path / "shared")
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.delenv(ALLOW, raising=False)
    return tmp_path


@pytest.mark.parametrize("name", [*CARDS, *COPIED])
def test_copied_data_are_found_in_the_repository(name: str, nowhere: Path) -> None:
    assert data_path(name).is_relative_to(ROOT) and len(data_set(name)) > 10


@pytest.mark.parametrize("name", RESTRICTED)
def test_missing_restricted_data_fail_with_their_source_and_the_way_out(name: str, nowhere: Path) -> None:
    with pytest.raises(pytest.fail.Exception) as failed:
        data_set(name)
    for words in (name, RESTRICTED[name], FOLDER, ALLOW, "tests/data/README.md"):
        assert words in str(failed.value)
    with pytest.raises(MissingDataError):
        data_path(name)


def test_a_skip_is_allowed_by_1_only(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "0"):
        monkeypatch.setenv(ALLOW, value)
        with pytest.raises(pytest.fail.Exception):
            data_set("JM_aids.csv")
    monkeypatch.setenv(ALLOW, "1")
    with pytest.raises(pytest.skip.Exception, match=r"JM_aids\.csv"):
        data_set("JM_aids.csv")


def test_restricted_data_are_found_in_the_folder_named(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nowhere / "JM_aids.csv").write_text("patient,CD4\n1,4\n")
    monkeypatch.setenv(FOLDER, str(nowhere))
    assert data_set("JM_aids.csv")["CD4"].tolist() == [4]


def test_the_readme_names_every_data_set_and_both_variables() -> None:
    text = (TESTS / "data" / "README.md").read_text()
    named = set(re.findall(r"^\| `([^`]+\.csv)` \|", text, re.MULTILINE))
    assert named == {*COPIED, *CARDS, *RESTRICTED}
    assert f"`{FOLDER}`" in text and f"`{ALLOW}=1`" in text


# ------------------------------------------------------------------------------------------------------------ references


@pytest.mark.parametrize("name", RECORDS)
def test_a_reference_says_where_it_comes_from_and_is_used(name: str) -> None:
    record = json.loads((TESTS / "references" / f"{name}.json").read_text())
    assert record["peer"] and record["parameters"] and ("model" in record or "design" in record)
    bayesian = any("mean" in p for p in record["parameters"].values())
    assert "priors" in record or not bayesian
    files = record["data"] if isinstance(record["data"], list) else [record["data"]]
    assert set(files) <= {
        *COPIED,
        *CARDS,
        *RESTRICTED,
        *(name for name in files if name.startswith(("models/", "glmm_zoo/")) and (ROOT / name).is_file()),
    }
    assert any(f'"{name}"' in path.read_text() for path in SOURCES), "no test uses it"
    assert f"`{name}" in (TESTS / "references" / "README.md").read_text()
