"""A wheel in an empty environment fits a card from outside the checkout."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "PYTENSOR"))}
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_fits_a_card_from_outside(tmp_path: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    assert uv.exists(), "uv is not in this environment: run make setup"
    run(uv, "build", "--wheel", "--python", sys.executable, "--out-dir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {n.split("/")[0] for n in names} == {"glmm_zoo", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}
    assert "glmm_zoo/models/multicenter/card.toml" in names and "glmm_zoo/models/multicenter/data.csv" in names
    assert "glmm_zoo/py.typed" in names and any(n.endswith(".dist-info/licenses/LICENSE") for n in names)
    assert {"glmm_zoo/report/page.html.jinja", "glmm_zoo/report/page.css", "glmm_zoo/constraints.txt"} <= set(names)
    assert {"glmm_zoo/qualification/dossier.html.jinja", "glmm_zoo/qualification/published/wine_ordinal.toml"} <= set(
        names
    )
    run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    install = ("pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "constraints.txt", wheel)
    run(uv, *install, cwd=tmp_path)
    short = ("--draws", "500", "--tune", "500", "--seed", "1")
    out = run(tmp_path / "env" / "bin" / "glmm-zoo", "fit", "multicenter", *short, cwd=tmp_path)
    assert "odds_ratio[period[2]]" in out and (tmp_path / "fits" / "multicenter.nc").exists()


@pytest.mark.slow
def test_a_cluster_of_two_workers_goes_on_without_one(tmp_path: Path) -> None:
    """In an environment with the extra `cluster`: one of two workers is killed while both fit."""
    uv = Path(sys.executable).parent / "uv"
    run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "env", cwd=tmp_path)
    bin = tmp_path / "env" / "bin"
    install = ("pip", "install", "--quiet", "--python", bin / "python", "--constraint", ROOT / "constraints.txt")
    run(uv, *install, f"{ROOT}[cluster]", cwd=tmp_path)
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
