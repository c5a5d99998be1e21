"""The guides: every message of the code has its entry and every entry its message; the code that they show runs."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import glmm_zoo as zoo
from glmm_zoo import cli, errors, registry
from glmm_zoo.cli.explain import entries
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results.parameter_statistics import STATISTICS

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
NEW_MODEL = ROOT / "docs" / "guides" / "new-model.md"
BLOCK = re.compile(r"^```(?:python|\{code-cell\}[^\n]*)\n((?::[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)


# ------------------------------------------------------------------------------------------------ messages and entries


def kinds_of_messages(source: str) -> set[str]:
    """The names that a file gives to its problems, checks of the fit and limits of the design: first arguments of these calls."""
    tree, found = ast.parse(source), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Problem", "FitCheck", "Limit"):
            name = node.args[0]
            found |= {name.value} if isinstance(name, ast.Constant) else {"ess_bulk", "ess_tail"} & set(STATISTICS)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Judgement" and len(node.args) > 3:
            literal = node.args[3].elts if isinstance(node.args[3], ast.Tuple) else []
            found |= {c.value for c in literal if isinstance(c, ast.Constant)}
    return found


def kinds_of_errors() -> set[str]:
    """ "input_error" of InputError: the exceptions and the warning of the zoo."""
    classes = (c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, Exception))
    names = {re.sub(r"(?<!^)(?=[A-Z])", "_", c.__name__.removeprefix("Zoo")).lower() for c in classes}
    return {*names, "exit_codes"}


def test_every_message_has_an_entry_and_every_entry_a_message() -> None:
    results = ROOT / "glmm_zoo" / "results"
    said = {name for path in results.rglob("*.py") for name in kinds_of_messages(path.read_text())}
    findings = {path.stem for path in (results / "findings").glob("*.py")} - {"__init__", "finding"}
    assert {"rhat", "ess_tail", "spread", "few_levels", "not_checked"} <= said
    assert set(entries()) == said | findings | kinds_of_errors()


def test_a_message_without_a_name_in_the_guide_is_found() -> None:
    planted = 'def f():\n    yield Limit("moon_phase", "The moon was full.")\n'
    assert kinds_of_messages(planted) == {"moon_phase"} and "moon_phase" not in entries()


@pytest.mark.parametrize("name", entries())
def test_an_entry_says_what_it_means_and_what_to_do_first(name: str) -> None:
    title, *rest = entries()[name].splitlines()
    labels = re.findall(r"^- (\w+): ", "\n".join(rest), re.MULTILINE)
    assert title.endswith(".") and labels == ["Says", "Means", "First", "Then", "Example"]


def test_calls_in_entries_have_arguments_that_there_are() -> None:
    options = {name for builder in registry.builders().values() for name in builder.options}
    for name, text in entries().items():
        for code in re.findall(r"`(zoo\.[^`]+\))`", text.replace("\n", " ")):
            call = next(n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call))
            while isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Call):
                call = call.func.value
            function = getattr(zoo, ast.unparse(call.func).removeprefix("zoo."))
            known = set(inspect.signature(function).parameters) | options | set(Settings.__dataclass_fields__)
            assert {k.arg for k in call.keywords} <= known, (name, code)


def test_explain_prints_entries_and_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "rhat", "zeros"]) == 0
    said = capsys.readouterr().out
    assert (
        said.startswith("rhat\nThe chains do not agree") and "- First: `negative_binomial`" in said and "##" not in said
    )
    assert cli.run(["explain", "rhatt"]) == 2
    assert "no message 'rhatt'; did you mean 'rhat'?" in capsys.readouterr().err
    assert cli.run(["explain"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(entries())


# ------------------------------------------------------------------------------------------------------ the guides run


def blocks(text: str) -> list[str]:
    """The code of a guide, without commands to Jupyter."""
    return [re.sub(r"^%.*\n", "", code, flags=re.MULTILINE) for _, code in BLOCK.findall(text)]


@pytest.mark.slow
@pytest.mark.parametrize("guide", [g for g in GUIDES if g != NEW_MODEL and blocks(g.read_text())], ids=lambda p: p.stem)
def test_the_code_of_a_guide_runs(guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks in order, in one namespace and an empty folder; warnings of the zoo are for the reader."""
    import matplotlib

    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.simplefilter("default", zoo.ZooWarning)
        for code in blocks(guide.read_text()):
            exec(compile(code, f"{guide.name}: {code.splitlines()[0]}", "exec"), names)


@pytest.mark.slow
def test_a_new_model_as_the_guide_has_it(tmp_path: Path) -> None:
    """Files, change and code of the guide in a copy of the package."""
    text = NEW_MODEL.read_text()
    for part in ("glmm_zoo", "models"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    files = re.findall(r"^```\{code-block\} python\n:caption: (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert [Path(name).parent.name for name, _ in files] == ["families", "builders"]
    for name, code in files:
        (tmp_path / name).write_text(code)
    (change,) = re.findall(r"^```diff\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    apply = ["git", "apply", "--unsafe-paths", "--unidiff-zero", "-"]
    subprocess.run(apply, input=change, cwd=tmp_path, text=True, check=True, capture_output=True)
    (code,) = blocks(text)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "fit.html").exists()
