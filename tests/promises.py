"""What is promised, which tests hold it, and what they last said: the table of docs/why-believe-it.md.

A promise is a line of docs/promises.toml; a test, or a file of tests by its `pytestmark`, names those that it holds by the marker
`promise`. Each run of the suite keeps what these tests said in `.promises.json`, and `make promises` writes the table.
"""

from __future__ import annotations

import ast
import datetime
import json
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT, PROMISES, SAID = ROOT / "docs" / "why-believe-it.md", ROOT / "docs" / "promises.toml", ROOT / ".promises.json"
BEGIN, END = "<!-- promises -->", "<!-- /promises -->"


@dataclass(frozen=True, order=True)
class Holder:
    """A test, or a file of tests (no `test`), that holds a promise; slow ones are run by `make validate`."""

    slow: bool
    path: str
    test: str = ""


def promises() -> dict[str, str]:
    """The promises by name."""
    return tomllib.loads(PROMISES.read_text(encoding="utf-8"))


def holders() -> dict[str, list[Holder]]:
    """By promise the tests that hold it."""
    found: dict[str, set[Holder]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for promise, holder in _holders_in(path):
            found.setdefault(promise, set()).add(holder)
    return {promise: sorted(of) for promise, of in found.items()}


def _holders_in(path: Path) -> Iterator[tuple[str, Holder]]:
    name, module = path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))
    marks = [n.value for n in module.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "pytestmark"]
    slow = "pytest.mark.slow" in "".join(map(ast.unparse, marks))
    for promise in (p for mark in marks for p in _named(mark)):
        yield promise, Holder(slow, name)
    for function in (n for n in module.body if isinstance(n, ast.FunctionDef)):
        own = slow or "pytest.mark.slow" in map(ast.unparse, function.decorator_list)
        for promise in (p for mark in function.decorator_list for p in _named(mark)):
            yield promise, Holder(own, name, function.name)


def _named(mark: ast.expr) -> Iterator[str]:
    """The promises that a marker, or a list of them, names."""
    for call in (n for n in ast.walk(mark) if isinstance(n, ast.Call) and ast.unparse(n.func) == "pytest.mark.promise"):
        yield from (ast.literal_eval(argument) for argument in call.args)


def keep(outcomes: dict[str, dict[str, str]]) -> None:
    """Keep what tests said, by promise and test, beside what others said before."""
    kept = json.loads(SAID.read_text()) if SAID.exists() else {}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    when = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "commit": commit.stdout.strip()}
    for promise, said in outcomes.items():
        kept.setdefault(promise, {}).update({test: {"outcome": outcome, **when} for test, outcome in said.items()})
    SAID.write_text(json.dumps(kept, indent=1) + "\n")


def last_said(promise: str) -> str:
    """What the tests of a promise last said: how many passed and failed, and the oldest date among them."""
    said = (json.loads(SAID.read_text()) if SAID.exists() else {}).get(promise, {}).values()
    if not said:
        return "not run"
    outcomes = [s["outcome"] for s in said]
    oldest = min(said, key=lambda s: s["date"])
    counts = [f"{n} {word}" for word in ("passed", "failed", "skipped") if (n := outcomes.count(word))]
    return f"{', '.join(counts)}, {oldest['date']}, {oldest['commit']}"


def table(*, results: bool) -> str:
    """The table, with or without what was last said."""
    of = holders()
    lines = [f"| promise | held by |{' last result |' if results else ''}", f"|---|---|{'---|' if results else ''}"]
    for name, text in promises().items():
        quick, slow = ([h for h in of.get(name, ()) if h.slow is is_slow] for is_slow in (False, True))
        held = [", ".join(dict.fromkeys(f"`{h.path}`" for h in part)) for part in (quick, slow)]
        by = "; ".join(filter(None, (held[0], held[1] and f"`make validate`: {held[1]}")))
        lines.append(f"| {text} | {by} |{f' {last_said(name)} |' if results else ''}")
    return "\n".join(lines)


if __name__ == "__main__":
    before, _, rest = TEXT.read_text(encoding="utf-8").partition(BEGIN)
    TEXT.write_text(f"{before}{BEGIN}\n{table(results=True)}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
