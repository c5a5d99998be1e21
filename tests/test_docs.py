"""The texts: decisions are complete, paths that they name exist, and nothing points to a file that a clone does not have."""

from __future__ import annotations

import re
from pathlib import Path

import promises
import pytest

ROOT = Path(__file__).parents[1]
TEXTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "README.md", ROOT / "models" / "README.md"]
)
DECISIONS = sorted(ROOT.glob("docs/decisions/[0-9]*.md"))
EXTENSIONS = "py|md|csv|toml|json|png|txt|ipynb|cff|R|html.jinja|html"
# what a reader makes, files inside every card and of the built site, groups inside the file of a fit, and a function of R
NOT_OF_THE_REPOSITORY = re.compile(
    r"^(fits/.*|(?:FILE|about|study|manifest|case)\.toml|card\.toml|reference\.json|(?:data|survival|my|risks)\.csv|(?:fit|multicenter)\.html"
    r"|llms\.txt|report/(?:summary|diagnostics|verdicts)|estimands/NAME|\.venv.*|~?/?\.cache.*|read\.csv)$"
)
ABSENT = ("DESIGN.md", "RELIABILITY.md", "ESTIMANDS.md", "JOINT.md", "DECISIONS.md", "../shared", "the issue")


def named_paths(text: str) -> set[str]:
    """Paths of files and folders in a text: whatever ends like a file or begins with a folder of the repository, and links.

    Code between fences makes its own files, and `test_guides.py` runs it.
    """
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    folders = [
        p.name
        for p in (*ROOT.iterdir(), *(ROOT / "glmm_zoo").iterdir())
        if p.is_dir() and not p.name.startswith((".", "_"))
    ]
    without_addresses = re.sub(r"https?://\S+", "", text)
    files = re.findall(rf"(?<![\w./-])[\w./*-]*\w\.(?:{EXTENSIONS})\b(?!\()", without_addresses)
    inside = re.findall(rf"(?<![\w./-])(?:{'|'.join(folders)})/[\w./*-]*", without_addresses)
    links = re.findall(r"\]\(([^)#]+)\)", without_addresses)
    return {path.rstrip(".") for path in (*files, *inside, *links)}


def exists(path: str, beside: Path) -> bool:
    return any(
        list(base.glob(path)) if "*" in path else (base / path).exists() for base in (beside, ROOT, ROOT / "glmm_zoo")
    )


@pytest.mark.parametrize("text", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_paths_in_a_text_exist(text: Path) -> None:
    paths = {path for path in named_paths(text.read_text()) if not NOT_OF_THE_REPOSITORY.match(path)}
    assert not {path for path in paths if not exists(path, text.parent)}


@pytest.mark.parametrize("text", [*TEXTS, ROOT / "pyproject.toml"], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_text_points_to_what_a_clone_does_not_have(text: Path) -> None:
    assert not [word for word in ABSENT if word in text.read_text()]


def test_a_path_that_is_not_there_is_caught() -> None:
    assert named_paths("see `glmm_zoo/nowhere.py` and tests/nothing/.") == {"glmm_zoo/nowhere.py", "tests/nothing/"}
    assert not exists("glmm_zoo/nowhere.py", ROOT) and exists("models/*/card.toml", ROOT)


@pytest.mark.parametrize("path", DECISIONS, ids=lambda p: p.stem)
def test_a_decision_has_its_context_and_its_price(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 25
    assert text.startswith(f"# {int(path.stem[:4])}. ") and re.search(
        r"^Status: (in force\.$|superseded )", text, re.MULTILINE
    )
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Price"]


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.stem[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("text", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_decision_that_is_cited_exists(text: Path) -> None:
    cited = re.findall(r"\bdecisions? ((?:\d+(?:, | and |-)?)+)", text.read_text(), re.IGNORECASE)
    assert all(1 <= int(n) <= len(DECISIONS) for numbers in cited for n in re.findall(r"\d+", numbers))


def test_each_promise_is_held_and_each_holder_is_of_a_promise() -> None:
    assert promises.promises().keys() == promises.holders().keys()


def test_the_table_of_promises_is_up_to_date() -> None:
    """But for what the tests last said: make promises."""
    text = promises.TEXT.read_text().partition(promises.BEGIN)[2].partition(promises.END)[0].strip()
    assert "\n".join(re.sub(r"[^|]*\|$", "", line) for line in text.splitlines()) == promises.table(results=False)


def test_what_tests_said_is_kept_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "SAID", tmp_path / "said.json")
    assert promises.last_said("limits") == "not run"
    promises.keep({"limits": {"a": "passed", "b": "failed"}})
    promises.keep({"limits": {"b": "passed", "c": "failed"}})
    assert promises.last_said("limits").startswith("2 passed, 1 failed, 20")
