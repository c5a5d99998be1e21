"""Advice as it is typed, and completion in the shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glmm_zoo.cli import run
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.spelling import as_typed


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("per= and at= both say it", "--per and --at both say it"),
        ("ask for groups='observed'", "ask for --groups observed"),
        ("scale='survival' is at times; give times=, such as times=[1, 5]", "--scale survival is at times; give --times, such as --times 1,5"),
        ("; refit=True (--refit) fits again", "; --refit fits again"),
        ("fit again (refit=True, --refit)", "fit again (--refit)"),
        ("use --overwrite (overwrite=True) to", "use --overwrite to"),
        ("drop them with missing='drop' (--missing drop)", "drop them with --missing drop"),
        ("zoo.summary(tree, group_effects=True) has", "glmm-zoo summary FILE --group-effects has"),
        ("compare: comparisons('age')", "compare: glmm-zoo comparisons FILE age"),
        ("(draws=1000, tune=500); if", "(--draws 1000, --tune 500); if"),
        ("Give target_accept=0.95 at once.", "Give --target-accept 0.95 at once."),
        ("Try zi='~ x + (1 | g)'.", "Try --option 'zi=~ x + (1 | g)'."),
        ("baseline_risk= gives", "--option baseline_risk=... gives"),
        ("keep --option event=VALUE", "keep --option event=VALUE"),
        ("s(x, by=g) of 'per=1' and `at=2`", "s(x, by=g) of 'per=1' and `at=2`"),
        ("the herds' by= and zoo.curves(tree)", "the herds' --by and zoo.curves(tree)"),
        ("contrast={'age': (from, to)}", "contrast={'age': (from, to)}"),
    ],
)  # fmt: skip
def test_arguments_are_spelled_as_they_are_typed(text: str, typed: str) -> None:
    assert as_typed(text) == typed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fit", "jm", "a.csv", "--families", "gamma"], "--families is no option of the command but of a builder, given as --option families=VALUE"),
        (["prior", "lmm", "a.csv", "--residual=ar1"], "--residual is no option of the command but of a builder, given as --option residual=VALUE"),
        (["fit", "jm", "a.csv", "--drawz", "3"], "Unknown option: --drawz. Did you mean --draws?"),
        (["summary", "a.nc", "--families", "gamma"], "Unknown option: --families."),
    ],
)  # fmt: skip
def test_an_option_of_a_builder_is_told_how_it_is_given(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == ExitCode.WRONG_INPUT
    assert capsys.readouterr().err.splitlines()[0] == f"error: {told}"


def test_the_shell_completes(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "SHELL": "bash"}
    command = [sys.executable, "-m", "glmm_zoo", "--install-completion", "--shell", "bash"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    script = tmp_path / "glmm-zoo.bash"
    files = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    done = subprocess.run(
        [*command, "--output", str(script)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "--group-effects" in script.read_text()
    assert all(path.read_text() == text for path, text in files.items())  # such as .bashrc
    scripts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("glmm-zoo" in text and "--group-effects" in text and "comparisons" in text for text in scripts)
