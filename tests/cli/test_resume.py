"""Fits that are killed, interrupted or out of disk space go on by --resume, and come out as if nothing had happened."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo import cli
from glmm_zoo.inference import interrupts, kept, nuts
from glmm_zoo.inference.locks import locked
from glmm_zoo.results import storage
from glmm_zoo.results.parts import parts_folder

FIT = ["fit", "logistic", "d.csv", "--formula", "y ~ x + (1 | g)", "--draws", "200", "--tune", "150"]
FIT += ["--chains", "2", "--seed", "1", "--out", "f.nc"]
GOES_ON = r"f\.parts keeps (1 finished run|\d+ finished runs) of chains, with which --resume goes on"


def with_data(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    frame = pd.DataFrame({"y": rng.binomial(1, 1 / (1 + np.exp(-x))), "x": x, "g": np.repeat(np.arange(20), 10)})
    frame.assign(g="g" + frame["g"].astype(str)).to_csv(folder / "d.csv", index=False)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(with_data(tmp_path))
    monkeypatch.setattr(interrupts._state, "saved", "")
    return tmp_path


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> xr.DataTree:
    folder = with_data(tmp_path_factory.mktemp("uninterrupted"))
    run = subprocess.run([sys.executable, "-m", "glmm_zoo", *FIT], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert sorted(p.name for p in folder.iterdir()) == ["d.csv", "f.nc"]  # a short fit keeps no chains
    tree = zoo.load(folder / "f.nc")
    assert storage.metadata(tree)["sampling"]["runs"][0]["parts"] > 1  # or chains that go on are not tested
    return tree


@pytest.fixture
def same_bits(uninterrupted: xr.DataTree) -> Callable[[Path], None]:
    def compare(file: Path) -> None:
        tree = zoo.load(file)
        assert set(tree.children) == set(uninterrupted.children)
        for name in set(tree.children) - {"report"}:
            assert tree[name].dataset.identical(uninterrupted[name].dataset), name
            for variable, values in tree[name].dataset.data_vars.items():
                if values.dtype.kind == "f":
                    assert values.values.tobytes() == uninterrupted[name].dataset[variable].values.tobytes()

    return compare


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def run_with(folder: Path, code: str, tokens: list[str] = FIT) -> tuple[int, str]:
    """Exit code and messages of a command that keeps each chain at once, after code that changes modules."""
    code = f"""
import os, resource, signal, sys, threading, time
from importlib import import_module
from glmm_zoo.inference import kept, nuts
kept.SELDOM, nuts.LOOK = 0.0, 0.01
def before(module, function, number, act):
    called, left = getattr(import_module(module), function), [number]
    def instead(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            act()
        return called(*arguments, **options)
    setattr(import_module(module), function, instead)
def kill():
    os.kill(os.getpid(), signal.SIGKILL)
{textwrap.dedent(code)}
sys.argv = ["glmm-zoo", *{tokens!r}]
from glmm_zoo.cli import main
main()
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300)
    return run.returncode, run.stderr


def resumed(monkeypatch: pytest.MonkeyPatch, tokens: list[str] = FIT) -> int:
    monkeypatch.setattr(kept, "SELDOM", 0.0)
    monkeypatch.setattr(nuts, "LOOK", 0.01)
    return cli.run([*tokens, "--resume"])


MOMENTS = {
    "while the first chain is written": ("os", "fsync", 3),
    "before the first chain has its name": ("os", "replace", 2),
    "when one chain is there": ("glmm_zoo.inference.kept", "replace_file", 3),
    "while a chain of the second run is written": ("os", "fsync", 7),
    "between two runs": ("glmm_zoo.inference.nuts", "by_seed", 2),
    "before a chain was finished": ("glmm_zoo.inference.nuts", "by_seed", 1),
    "when all chains are there": ("glmm_zoo.inference.datatree", "log_likelihood", 1),
    "while the report is made": ("glmm_zoo.inference.fit", "with_report", 1),
    "before the fit has its name": ("glmm_zoo.results.storage", "replace_file_by", 1),
    "before the chains are removed": ("glmm_zoo.results.storage", "discard_parts_of", 1),
    "while the chains are removed": ("glmm_zoo.results.parts", "discard_parts", 2),
}
QUICK = ("while a chain of the second run is written", "before the chains are removed")


@pytest.mark.parametrize("moment", [m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in MOMENTS])
def test_a_fit_that_was_killed_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, same_bits: Callable[[Path], None], moment: str
) -> None:
    assert run_with(folder, f"before(*{MOMENTS[moment]!r}, kill)")[0] == -signal.SIGKILL
    if (folder / "f.nc").exists():
        same_bits(folder / "f.nc")
    there = [p.name for p in folder.glob("f.parts/chain-*.npz")]
    assert resumed(monkeypatch) == 0
    same_bits(folder / "f.nc")
    assert files(folder) == ["d.csv", "f.nc"], there


@pytest.mark.slow
@pytest.mark.parametrize("after", np.linspace(0.3, 3.0, 10))
def test_a_fit_that_was_killed_at_any_time_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, same_bits: Callable[[Path], None], after: float
) -> None:
    code = f"threading.Timer({after}, kill).start()"
    for _ in range(3):
        if run_with(folder, code, [*FIT, *(["--resume"] if (folder / "f.parts").exists() else [])])[0] == 0:
            break
    assert resumed(monkeypatch) == 0
    same_bits(folder / "f.nc")
    assert files(folder) == ["d.csv", "f.nc"]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_says_how_to_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    tokens = [*FIT, "--cores", "1", "--thin", "200"]  # the second chain takes longer than the first to be written
    code = f"before('glmm_zoo.inference.kept', 'how_to_go_on', 1, lambda: os.kill(os.getpid(), {int(number)}))"
    status, err = run_with(folder, code, tokens)
    assert status == 128 + number
    assert re.search(rf"; draws made so far \(200, \d+ by chain\) are in f\.partial\.nc, .*; {GOES_ON}\n", err), err
    assert [p for p in files(folder) if "npz" in p] == ["f.parts/chain-1-0.npz"]
    assert cli.run(tokens) == 2
    assert "--resume goes on with them, --overwrite discards them" in capsys.readouterr().err
    assert resumed(monkeypatch, tokens) == 0
    assert "going on with 1 finished run of chains" in capsys.readouterr().err and files(folder) == ["d.csv", "f.nc"]
    assert cli.run([t if t != "f.nc" else "g.nc" for t in tokens]) == 0
    for group in ("posterior", "sample_stats", "log_likelihood"):
        assert zoo.load("f.nc")[group].dataset.identical(zoo.load("g.nc")[group].dataset)


def test_draws_that_a_signal_prevented_are_made_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch, same_bits: Callable[[Path], None]
) -> None:
    code = "before('glmm_zoo.inference.nuts', '_unpack', 1, lambda: os.kill(os.getpid(), signal.SIGTERM))"
    code = f"kept.SELDOM = 100.0\n{code}"  # so that the first chain is unpacked when both have ended
    status, err = run_with(folder, code)
    assert status == 143 and "saved in f.nc, without the further draws that it would have made: --resume" in err, err
    assert zoo.check(zoo.load("f.nc")) is not None
    assert resumed(monkeypatch) == 0
    same_bits(folder / "f.nc")


@pytest.mark.parametrize(("most", "count"), [(150_000, 4), pytest.param(5_000, 0, marks=pytest.mark.slow)])
def test_a_full_disk_says_what_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, same_bits: Callable[[Path], None], most: int, count: int
) -> None:
    limit = f"lambda: resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))"
    status, err = run_with(folder, f"before('glmm_zoo.inference.nuts', '_nutpie', 1, {limit})")
    told = err.splitlines()[-1]
    assert status == 1 and told.startswith("error: f.nc was not written: File too large; it needs"), err
    assert "f.nc" not in files(folder) and not [p for p in files(folder) if "partial" in p]
    there = [p for p in files(folder) if "npz" in p]
    if count:
        assert len(there) >= count and re.search(f"{GOES_ON}$", told)
    else:
        assert not there and told.endswith("no finished chain is kept: run it again")
        assert "chain-1-0.npz was not written" in err and "the fit goes on, but what is not kept is lost" in err
    assert resumed(monkeypatch) == 0
    same_bits(folder / "f.nc")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which some chains are kept."""
    folder = with_data(tmp_path_factory.mktemp("killed"))
    assert run_with(folder, "before('glmm_zoo.inference.kept', 'replace_file', 4, kill)")[0] == -signal.SIGKILL
    assert [p.name for p in sorted(folder.glob("f.parts/c*"))] == ["chain-1-0.npz", "chain-1-1.npz"]
    return folder


@pytest.fixture
def half(folder: Path, killed: Path) -> Path:
    return Path(shutil.copytree(killed, folder, dirs_exist_ok=True))


def test_another_fit_is_refused_and_nothing_is_lost(half: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(half)
    pd.read_csv("d.csv").assign(y=lambda d: 1 - d["y"]).to_csv("e.csv", index=False)
    cases = {
        "seed (1 there, 2 here)": [t if t != "1" else "2" for t in FIT],
        "draws (200 there, 300 here)": [t if t != "200" else "300" for t in FIT],
        "data;": [t if t != "d.csv" else "e.csv" for t in FIT],
        'formula ("y ~ x + (1 | g)" there, "y ~ (1 | g)" here)': [t.replace("x + ", "") for t in FIT],
        "priors": [*FIT, "--prior", "beta=Normal(0, 1)"],
    }
    for told, tokens in cases.items():
        assert cli.run([*tokens, "--resume"]) == 2
        err = capsys.readouterr().err
        assert "f.parts keeps chains of another fit, which differs in" in err and told in err, err
    (half / "e.csv").unlink()
    assert set(files(half)) == {f for f in before if ".lock" not in f and ".pid" not in f}


def test_another_version_is_told(
    half: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = kept.versions()
    monkeypatch.setattr(kept, "versions", lambda backend: now | {"numpy": "1.0"})
    assert cli.run([*FIT, "--resume"]) == 2
    assert f'version of numpy ("{now["numpy"]}" there, "1.0" here)' in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["cut", *(pytest.param(d, marks=pytest.mark.slow) for d in ("flip", "empty"))])
def test_what_is_not_whole_is_made_again(
    half: Path, monkeypatch: pytest.MonkeyPatch, same_bits: Callable[[Path], None], damage: str
) -> None:
    path = half / "f.parts" / "chain-1-1.npz"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 0xFF
    path.write_bytes(content if damage == "flip" else content[: len(content) // 2] if damage == "cut" else b"")
    assert resumed(monkeypatch) == 0
    same_bits(half / "f.nc")


def test_a_second_writer_is_refused(half: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = zoo.hierarchical_logistic(pd.read_csv("d.csv"), "y ~ x + (1 | g)")
    with locked(parts_folder(Path("f.nc"))), pytest.raises(zoo.InputError, match=r"another fit \(pid \d+\) is writing"):
        zoo.fit(model, resume="f.nc", progress=False)
    with locked(Path("f.nc")):
        assert cli.run([*FIT, "--resume"]) == 2
    assert re.search(r"another fit \(pid \d+\) is writing f\.nc", capsys.readouterr().err)


@pytest.mark.slow
def test_of_two_writers_the_second_is_refused_until_the_first_is_dead(
    half: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], same_bits: Callable[[Path], None]
) -> None:
    waits = "import time; from glmm_zoo.inference import nuts; nuts._nutpie = lambda: time.sleep(300)"
    code = (
        f"{waits}; import sys; sys.argv = ['glmm-zoo', *{[*FIT, '--resume']!r}]; from glmm_zoo.cli import main; main()"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=half) as first:
        began = time.monotonic()
        while (half / ".f.parts.pid").read_text() != str(first.pid) and time.monotonic() - began < 120:
            time.sleep(0.05)  # until the lock of the killed fit is taken over
        assert cli.run([*FIT, "--resume"]) == 2
        assert f"another fit (pid {first.pid}) is writing f.nc" in capsys.readouterr().err
        first.kill()
    assert {".f.nc.lock", ".f.parts.lock"} <= set(files(half))
    assert resumed(monkeypatch) == 0
    same_bits(half / "f.nc")
    assert files(half) == ["d.csv", "f.nc"]


@pytest.mark.slow
def test_overwrite_discards_what_is_kept(half: Path) -> None:
    assert cli.run([t if t != "1" else "2" for t in FIT] + ["--overwrite"]) in (0, 3)
    assert files(half) == ["d.csv", "f.nc"]
    assert storage.metadata(zoo.load("f.nc"))["sampling"]["seed"] == 2


def test_a_complete_fit_is_not_made_again(
    half: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resumed(monkeypatch) == 0
    before = (half / "f.nc").read_bytes()
    assert resumed(monkeypatch) == 0
    assert "f.nc is complete, nothing is left to do" in capsys.readouterr().err
    assert cli.run([*[t if t != "1" else "2" for t in FIT], "--resume"]) == 2
    assert "f.nc holds another fit, which differs in seed (1 there, 2 here); use --overwrite" in capsys.readouterr().err
    assert (half / "f.nc").read_bytes() == before


@pytest.mark.slow
def test_a_seed_that_was_drawn_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [t for t in FIT if t not in ("--seed", "1")]
    assert run_with(folder, "before('os', 'replace', 4, kill)", tokens)[0] == -signal.SIGKILL
    assert resumed(monkeypatch, tokens) == 0
    seed = storage.metadata(zoo.load("f.nc"))["sampling"]["seed"]
    assert cli.run([*[t if t != "f.nc" else "g.nc" for t in tokens], "--seed", str(seed)]) == 0
    assert zoo.load("f.nc")["posterior"].dataset.identical(zoo.load("g.nc")["posterior"].dataset)
