"""What an installation must do, run by its own Python in an empty folder: `python smoke.py`. It imports nothing but what is installed."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import glmm_zoo as zoo


def glmm_zoo(*said: str) -> str:
    """What a command prints; it must end with 0."""
    command = [str(Path(sys.executable).parent / "glmm-zoo"), *said]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HOME": os.getcwd()})
    assert done.returncode == 0, f"glmm-zoo {' '.join(said)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def main() -> None:
    package = Path(str(zoo.__file__)).parent
    assert Path(sys.prefix) in package.parents, f"{package} is not in the environment {sys.prefix}"

    public = [getattr(zoo, name) for name in zoo.__all__]
    builders = [getattr(zoo, name) for name in zoo.builders()]
    assert all(inspect.getdoc(named) for named in public + builders)

    assert glmm_zoo("--version").strip() == version("glmm-zoo")
    listed = glmm_zoo("list")
    assert all(name in listed for name in [*zoo.builders(), *zoo.cards()])
    assert "herd" in glmm_zoo("show", "multicenter")
    glmm_zoo("--install-completion", "--shell", "bash", "--output", "completion")
    assert "comparisons" in Path("completion").read_text(encoding="utf-8")

    fit = "fits/multicenter.nc"
    assert "odds_ratio[period[2]]" in glmm_zoo("fit", "multicenter", "--draws", "500", "--tune", "500", "--seed", "1")
    assert "Sampling: sound" in glmm_zoo("check", fit)
    assert "sd_herd[Intercept]" in glmm_zoo("summary", fit)
    glmm_zoo("report", fit, "--out", "report.html")
    glmm_zoo("plot", fit, "caterpillar", "--out", "herds.svg")
    glmm_zoo("table", fit, "--out", "table.docx")
    kinds = {"report.html": b"<!doctype html>", "herds.svg": b"<", "table.docx": b"pk"}
    assert all(Path(name).read_bytes().lower().startswith(start) for name, start in kinds.items())
    print(
        f"glmm-zoo {version('glmm-zoo')} on Python {sys.version.split()[0]}: {len(public)} public names, {len(builders)} builders"
    )


if __name__ == "__main__":
    main()
