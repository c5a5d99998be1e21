"""What is released: wheel and sdist do in empty environments what `smoke.py` asks; the version is by tag.

`make release-check` tries them on each Python of this machine, with the newest and with the lowest versions of what they need.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]


UV = Path(sys.executable).parent / "uv"
PYTHONS = ("3.12", "3.13", "3.14")
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))


def run(*command: str | Path, cwd: Path) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "PYTENSOR"))}
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(source: Path, into: Path) -> tuple[Path, Path]:
    """The wheel and the sdist of a checkout; the wheel is made from the sdist."""
    assert UV.exists(), "uv is not in this environment: run make setup"
    run(UV, "build", "--python", sys.executable, "--out-dir", into, source, cwd=into)
    (wheel,), (sdist,) = into.glob("*.whl"), into.glob("*.tar.gz")
    return wheel, sdist


def python_of(version: str) -> Path | None:
    """The Python of this version on this machine; None without one."""
    folders = [*sorted(PYENV.glob(f"versions/{version}.*/bin"), reverse=True), *os.environ["PATH"].split(os.pathsep)]
    found = shutil.which(f"python{version}", path=os.pathsep.join(map(str, folders)))
    usable = found is not None and not subprocess.run([found, "--version"], capture_output=True).returncode
    return Path(found) if found is not None and usable else None


def smoke(python: Path, folder: Path) -> str:
    """What `smoke.py` says of an installation, in a new folder outside the checkout."""
    folder.mkdir()
    return run(python, ROOT / "tests" / "smoke.py", cwd=folder)


def test_wheel_fits_a_card_from_outside(tmp_path: Path) -> None:
    wheel, sdist = built(ROOT, tmp_path)
    release = "-".join(wheel.name.split("-")[:2])
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {n.split("/")[0] for n in names} == {"glmm_zoo", f"{release}.dist-info"}
    assert "glmm_zoo/models/multicenter/card.toml" in names and "glmm_zoo/models/multicenter/data.csv" in names
    assert "glmm_zoo/py.typed" in names and any(n.endswith(".dist-info/licenses/LICENSE") for n in names)
    assert {"glmm_zoo/report/page.html.jinja", "glmm_zoo/report/page.css", "glmm_zoo/constraints.txt"} <= set(names)
    assert {"glmm_zoo/qualification/dossier.html.jinja", "glmm_zoo/qualification/published/wine_ordinal.toml"} <= set(
        names
    )
    with tarfile.open(sdist) as archive:
        of_sdist = {name.removeprefix(f"{release}/") for name in archive.getnames()}
    texts = {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "constraints.txt", "models/README.md", "PKG-INFO"}
    assert texts | {"pyproject.toml", "version.py", "glmm_zoo/py.typed"} <= of_sdist
    run(UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    install = ("pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "constraints.txt", wheel)
    run(UV, *install, cwd=tmp_path)
    assert f"glmm-zoo {release.partition('-')[2]} on Python" in smoke(python, tmp_path / "elsewhere")


def committed(folder: Path) -> Path:
    """A new repository with one commit: the file that tells the version, and a changelog whose last release is 1.2.3."""
    folder.mkdir()
    shutil.copy(ROOT / "version.py", folder)
    (folder / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-02\n\n## [1.2.2] - 2026-01-01\n"
    )
    said = (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=n", "-c", "user.email=n@m", "commit", "--quiet", "-m", "m"],
    )
    for words in said:
        run("git", *words, cwd=folder)
    return folder


def version_of(folder: Path) -> str:
    """The version of these files as hatchling asks for it."""
    spec = importlib.util.spec_from_file_location("version", folder / "version.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.version_by_tag()


def test_the_version_is_by_tag(tmp_path: Path) -> None:
    checkout = committed(tmp_path / "checkout")
    assert version_of(checkout) == "1.2.4.dev0"
    for tag in ("validated", "v1.3.0rc1", "v1.3.0"):
        run("git", "tag", tag, cwd=checkout)
    assert version_of(checkout) == "1.3.0"
    (inside := checkout / "inside").mkdir()
    for name in ("version.py", "CHANGELOG.md"):
        shutil.copy(checkout / name, inside)
    assert version_of(inside) == "1.2.4.dev0"  # a folder that is no checkout itself
    (checkout / "version.py").write_text((checkout / "version.py").read_text() + "# changed\n")
    assert version_of(checkout) == "1.2.4.dev0"


def test_texts_name_the_last_release() -> None:
    (last, day) = re.findall(r"^## \[(\d\S*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {last}\ndate-released: {day}\n" in citation
    now = version_of(ROOT)
    assert now == last or now.endswith(".dev0"), f"the tag is of {now}, but CHANGELOG.md has {last} as its last release"


@pytest.mark.slow
def test_a_tagged_commit_builds_its_version(tmp_path: Path) -> None:
    run("git", "clone", "--quiet", ROOT, tmp_path / "clone", cwd=tmp_path)
    run("git", "tag", "v97.1.0", cwd=tmp_path / "clone")
    (tmp_path / "dist").mkdir()
    wheel, sdist = built(tmp_path / "clone", tmp_path / "dist")
    assert wheel.name.startswith("glmm_zoo-97.1.0-") and sdist.name == "glmm_zoo-97.1.0.tar.gz"


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_release_installs_by_pip(version: str, kind: str, tmp_path: Path) -> None:
    """With the newest dependencies, all of them wheels, and nothing else in the environment."""
    wheels = ("--only-binary", ":all:", "--output-file", tmp_path / "resolved.txt")
    run(UV, "pip", "compile", "--quiet", "--python-version", version, *wheels, ROOT / "pyproject.toml", cwd=tmp_path)
    python = python_of(version)
    if python is None:  # that every dependency has a wheel for it was seen
        return
    wheel, sdist = built(ROOT, tmp_path)
    run(python, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel if kind == "wheel" else sdist, cwd=tmp_path)
    assert f"on Python {version}." in smoke(python, tmp_path / "elsewhere")


@pytest.mark.slow
def test_release_runs_with_its_lowest_versions(tmp_path: Path) -> None:
    """Each bound of pyproject.toml is the version that is tried here, and with these the tests of builders and results pass."""
    lowest = tmp_path / "lowest.txt"
    resolve = (
        "--python-version",
        PYTHONS[0],
        "--resolution",
        "lowest-direct",
        "--no-annotate",
        "--output-file",
        lowest,
    )
    run(UV, "pip", "compile", "--quiet", *resolve, ROOT / "pyproject.toml", cwd=tmp_path)
    resolved = dict(line.split("==") for line in lowest.read_text().splitlines() if "==" in line)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for needed in map(Requirement, project["dependencies"]):
        (bound,) = (s.version for s in needed.specifier if s.operator == ">=")
        assert Version(resolved[needed.name]) == Version(bound), f"{needed} is tried with {resolved[needed.name]}"
    python = python_of(PYTHONS[0])
    assert python is not None, f"no Python {PYTHONS[0]} on this machine, the lowest of those supported"
    wheel, _ = built(ROOT, tmp_path)
    run(UV, "venv", "--quiet", "--python", python, tmp_path / "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    install = ("pip", "install", "--quiet", "--python", python, "--requirements", lowest)
    run(UV, *install, wheel, "pytest", "polars", cwd=tmp_path)
    smoke(python, tmp_path / "elsewhere")
    tests = (
        "-m",
        "not slow",
        "-W",
        "ignore::DeprecationWarning",
        "-p",
        "no:cacheprovider",
    )  # old packages with new ones
    run(python, "-m", "pytest", *tests, "tests/builders", "tests/results", cwd=ROOT)


@pytest.mark.slow
def test_a_cluster_of_two_workers_goes_on_without_one(tmp_path: Path) -> None:
    """In an environment with the extra `cluster`: one of two workers is killed while both fit."""
    run(UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "env", cwd=tmp_path)
    bin = tmp_path / "env" / "bin"
    install = ("pip", "install", "--quiet", "--python", bin / "python", "--constraint", ROOT / "constraints.txt")
    run(UV, *install, f"{ROOT}[cluster]", cwd=tmp_path)
    calibrate = (
        bin / "glmm-zoo", "calibrate", "multicenter", "--n", "8", "--draws", "60", "--tune", "100", "--out", tmp_path / "c", "--prior",
        "beta=Normal(0, 1)", "--prior", "sd=HalfNormal(1)", "--workers",
    )  # fmt: skip
    refused = subprocess.run([*map(str, calibrate), "tcp://127.0.0.1:1"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2 and "no scheduler of dask answers" in refused.stderr
    with contextlib.ExitStack() as stack:

        def start(*command: str | Path) -> subprocess.Popen[bytes]:
            process = subprocess.Popen([str(c) for c in command], cwd=tmp_path, start_new_session=True)
            stack.callback(process.wait)
            stack.callback(lambda: os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None)
            return process

        start(bin / "dask", "scheduler", "--port", "18786", "--no-dashboard")
        workers = [start(bin / "dask", "worker", "tcp://127.0.0.1:18786", "--nthreads", "1") for _ in range(2)]
        calibration = start(*calibrate, "tcp://127.0.0.1:18786")
        lines = tmp_path / "c" / "simulations.jsonl"
        while calibration.poll() is None and not (lines.exists() and lines.read_text().count("\n") >= 2):
            time.sleep(0.2)
        os.killpg(workers[0].pid, signal.SIGKILL)
        assert calibration.wait(300) == 3  # too few to judge
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert sorted(r["simulation"] for r in records) == list(range(8)) and all("ranks" in r for r in records)
