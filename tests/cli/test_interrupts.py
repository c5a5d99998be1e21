"""Ctrl-C and SIGTERM at any moment: one line, the exit code of a shell, no draw lost and nothing left behind."""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import glmm_zoo as zoo
from glmm_zoo.results import storage

SIGNALS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "interrupted by SIGTERM")}
FIT = ["fit", "logistic", "d.csv", "--formula", "y ~ x + (1 | g)", "--draws", "200", "--tune", "150"]
FIT += ["--chains", "2", "--seed", "1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    frame = pd.DataFrame({"y": rng.binomial(1, 1 / (1 + np.exp(-x))), "x": x, "g": np.repeat(np.arange(20), 10)})
    frame.assign(g="g" + frame["g"].astype(str)).to_csv(tmp_path / "d.csv", index=False)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@contextlib.contextmanager
def started(folder: Path, tokens: list[str], *before: str) -> Iterator[subprocess.Popen[str]]:
    command = [*before, sys.executable, "-m", "glmm_zoo", *tokens]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            yield run
        finally:
            run.kill()


def signalled_at(
    folder: Path, where: str, number: int, tokens: list[str] = FIT, delay: float = 0
) -> tuple[int, str, str]:
    """Exit code, output and messages of a command that gets the signal as `where`, "module:function", is called, or later."""
    module, function = where.split(":")
    code = f"""
        import importlib.abc, importlib.machinery, os, sys, threading, time

        class Loader(importlib.abc.Loader):
            def __init__(self, loader): self.loader = loader
            def create_module(self, spec): return self.loader.create_module(spec)
            def exec_module(self, module):
                self.loader.exec_module(module)
                if {function!r} == "":
                    return os.kill(os.getpid(), {int(number)}), time.sleep(0.1)
                called, first = getattr(module, {function!r}), [True]
                def signalled(*arguments, **options):
                    if first.pop() if first else False:
                        if {delay}:
                            threading.Timer({delay}, os.kill, (os.getpid(), {int(number)})).start()
                        else:
                            os.kill(os.getpid(), {int(number)})
                    return called(*arguments, **options)
                setattr(module, {function!r}, signalled)

        class Finder(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path, target=None):
                if name == {module!r}:
                    spec = importlib.machinery.PathFinder.find_spec(name, path)
                    spec.loader = Loader(spec.loader)
                    return spec

        sys.meta_path.insert(0, Finder())
        sys.argv = ["glmm-zoo", *{tokens!r}]
        from glmm_zoo.cli import main
        main()
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=folder, capture_output=True, text=True, timeout=300
    )
    return run.returncode, run.stdout, run.stderr


BEFORE_DRAWS = [
    "cyclopts:",
    "numpy:",
    "pyarrow:",
    "pymc:",
    "filelock:",
    "glmm_zoo.inference.locks:_made",
    "glmm_zoo.tables.files:read_table",
    "glmm_zoo.inference.parameterization:parameterize",
    "glmm_zoo.inference.kernel.machine:_compiled",
    "nutpie:",
]


@pytest.mark.parametrize(("where", "number"), [*zip(BEFORE_DRAWS, itertools.cycle(SIGNALS))])
def test_before_there_are_draws_the_program_leaves_at_once(folder: Path, where: str, number: int) -> None:
    before = files(folder)
    code, out, err = signalled_at(folder, where, number)
    told = SIGNALS[number]
    assert (code, out) == (told[0], "") and re.fullmatch(rf"{told[1]}(; nothing was saved)?\n", err), err
    assert files(folder) == before


AFTER_DRAWS = [
    "glmm_zoo.inference.nuts:beside_each_other",
    "glmm_zoo.inference.datatree:log_likelihood",
    "glmm_zoo.inference.posterior_predictive:posterior_predictive",
    "glmm_zoo.results.storage:replace_file_by",
]


@pytest.mark.parametrize(("where", "number"), [*zip(AFTER_DRAWS, itertools.cycle(SIGNALS))])
def test_draws_that_exist_are_saved(folder: Path, where: str, number: int) -> None:
    code, out, err = signalled_at(folder, where, number)
    told = SIGNALS[number]
    assert (code, out) == (told[0], ""), err
    further = ", without the further draws that it would have made: --resume makes them"
    saved = f"{told[1]}; the fit is complete and saved in fits/hierarchical_logistic.nc"
    assert err == f"{saved}{further if 'nuts' in where else ''}\n"
    (made,) = {f for f in files(folder) if ".parts" not in f} - {"d.csv", "fits"}
    tree = zoo.load(folder / made)
    assert storage.metadata(tree)["sampling"]["finished"] == [200, 200] and zoo.summary(tree) is not None


def test_a_second_signal_leaves_at_once(folder: Path) -> None:
    """But not one that comes with the first, as of a key press that a shell and `make` hand on."""
    code = """
        import os, signal, sys, time
        from glmm_zoo.inference import interrupts
        interrupts.listen()
        with interrupts.sampling():
            pass
        interrupts._SAME = 0.3
        for wait in (0, 0, 0.5):
            time.sleep(wait)
            print("waits", flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
        print("stays", flush=True)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (143, "waits\n" * 3, "interrupted by SIGTERM\n")


def test_a_signal_after_saving_says_where_the_fit_is(folder: Path) -> None:
    code, out, err = signalled_at(folder, "glmm_zoo.report.terminal:full_report", signal.SIGINT)
    assert (code, out) == (130, "") and re.fullmatch(
        r"interrupted; the fit is complete and saved in fits/\w+\.nc\n", err
    )


@pytest.mark.parametrize("number", SIGNALS)
def test_while_sampling_the_draws_so_far_are_saved(folder: Path, number: int) -> None:
    tokens = [t if t != "200" else "200000" for t in FIT]  # as many draws as are not made in time
    tokens += ["--thin", "1", "--out", "f.nc"]
    code, out, err = signalled_at(folder, "nutpie:sample", number, tokens, delay=0.5)
    told = SIGNALS[number]
    assert (code, out) == (told[0], ""), err
    assert re.fullmatch(
        rf"{told[1]}; draws made so far \(\d+, \d+ by chain\) are in f\.partial\.nc, marked as interrupted; "
        r"no finished chain is kept: run it again\n",
        err,
    ), err
    assert files(folder) == ["d.csv", "f.partial.nc"]
    tree = zoo.load(folder / "f.partial.nc")
    sampling = storage.metadata(tree)["sampling"]
    assert sampling["interrupted"] and sampling["draws"] == 200_000 > max(sampling["finished"])
    for group in ("posterior", "sample_stats"):
        assert tree[group].sizes["draw"] == max(sampling["finished"])  # and none of the draws that were not made
    verdict = zoo.check(tree)
    assert not verdict.sound and verdict.problems[0].check == "complete"
    assert f"of 200000 draws each, chain 0 has {sampling['finished'][0]}" in str(verdict)
    with pytest.raises(zoo.InputError, match="interrupted"):
        zoo.summary(tree)


def test_while_warming_up_there_is_nothing_to_save(folder: Path) -> None:
    tokens = [t if t != "150" else "2000000" for t in FIT]  # of warm-up
    code, out, err = signalled_at(folder, "nutpie:sample", signal.SIGINT, tokens, delay=0.5)
    told = "interrupted; the warm-up was not over, nothing was saved; no finished chain is kept: run it again\n"
    assert (code, out, err) == (130, "", told)
    assert files(folder) == ["d.csv"]


def wait_for(run: subprocess.Popen[str], path: Path) -> None:
    """Until a process has made a file."""
    began = time.monotonic()
    while not path.exists():
        assert run.poll() is None and time.monotonic() - began < 120
        time.sleep(0.05)


@pytest.mark.parametrize("number", SIGNALS)
def test_in_the_first_second(folder: Path, number: int) -> None:
    before = files(folder)
    imported = []
    with started(folder, FIT, "env", "PYTHONPROFILEIMPORTTIME=1") as run:
        assert run.stderr is not None
        for line in run.stderr:
            imported.append(line.split("|")[-1].strip())
            if "glmm_zoo.cli" in imported and imported[-1] != "glmm_zoo.cli":
                break  # `main` has begun
        run.send_signal(number)
        out, err = run.communicate(timeout=120)
    told = SIGNALS[number]
    assert (run.returncode, out) == (told[0], "")
    assert err.splitlines()[-1] in (told[1], f"{told[1]}; nothing was saved") and "Traceback" not in err
    assert files(folder) == before and not {"numpy", "cyclopts", "rich", "pandas"} & set(imported)


def test_signals_that_a_shell_ignores_for_background_jobs_are_handled(folder: Path) -> None:
    with started(folder, FIT, "sh", "-c", 'trap "" INT; exec "$@"', "sh") as run:
        wait_for(run, folder / "fits")
        run.send_signal(signal.SIGINT)
        assert run.communicate(timeout=60)[1] == "interrupted; nothing was saved\n" and run.returncode == 130


@pytest.mark.parametrize("formula", ["y ~ x + (1 | none)", "z ~ x"])
def test_a_refusal_leaves_nothing_behind(folder: Path, formula: str) -> None:
    before = files(folder)
    with started(folder, ["fit", "logistic", "d.csv", "--formula", formula]) as run:
        _, err = run.communicate(timeout=60)
    assert run.returncode == 2 and err.startswith("error: ") and files(folder) == before


def test_what_a_killed_fit_left_is_no_obstacle(folder: Path) -> None:
    with started(folder, [*FIT, "--out", "f.nc"]) as run:
        wait_for(run, folder / ".f.nc.pid")
    assert {".f.nc.lock", ".f.nc.pid"} <= set(files(folder))
    with started(folder, ["fit", "logistic", "d.csv", "--formula", "y ~ q", "--out", "f.nc"]) as run:
        _, err = run.communicate()
    assert "no column 'q'" in err and files(folder) == ["d.csv"]


def test_a_signal_while_the_lock_is_taken_leaves_nothing(folder: Path) -> None:
    code = """
        import os, signal
        from pathlib import Path
        from glmm_zoo.inference import interrupts, locks

        interrupts.listen()
        wanted = Path("fits/f.nc")
        write = Path.write_text
        def write_then_signal(path, text):
            write(path, text)
            os.kill(os.getpid(), signal.SIGTERM)
            print("held", flush=True)
        Path.write_text = write_then_signal
        with locks.locked(wanted):
            print("not reached", flush=True)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=folder, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (143, "held\n", "interrupted by SIGTERM\n")
    assert files(folder) == ["d.csv"]
