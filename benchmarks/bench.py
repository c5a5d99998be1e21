"""The same posteriors by this project and its peers: seconds, effective draws, and whether they agree with the reference.

`make bench`, or `.venv/bin/python benchmarks/bench.py --runs 1 --only cbpp_binomial --tools zoo,pymc`. See README.md here.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import evaluate
import tables
from data_sets import MissingDataError, data_path
from prepare import POSTERIORS, prepare
from reference_posteriors import reference
from tables import ENOUGH, MAXIMUM, OURS, TITLES

HERE = Path(__file__).parent
CORES = str(min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))
BAMBI = HERE.parent / ".venv-bambi" / "bin" / "python"
TOOLS: Mapping[str, Callable[[str, Path, Path], list[str]]] = {  # name, spec, out -> command without draws and seed
    "zoo": lambda name, spec, out: [sys.executable, f"{HERE}/fit_zoo.py", "0", name, f"{out}.nc"],
    "zoo_400": lambda name, spec, out: [sys.executable, f"{HERE}/fit_zoo.py", f"{ENOUGH}", name, f"{out}.nc"],
    "pymc": lambda name, spec, out: [sys.executable, f"{HERE}/fit_pymc.py", "pymc", f"{spec}", f"{out}.nc"],
    "nutpie": lambda name, spec, out: [sys.executable, f"{HERE}/fit_pymc.py", "nutpie", f"{spec}", f"{out}.nc"],
    "bambi": lambda name, spec, out: [f"{BAMBI}", f"{HERE}/fit_bambi.py", f"{spec}", f"{out}.nc"],
    "brms": lambda name, spec, out: ["Rscript", f"{HERE}/fit_brms.R", f"{spec}", f"{out}.rds"],
    "lme4": lambda name, spec, out: ["Rscript", f"{HERE}/fit_maximum.R", "lme4", f"{spec}", f"{out}.rds"],
    "glmmTMB": lambda name, spec, out: ["Rscript", f"{HERE}/fit_maximum.R", "glmmTMB", f"{spec}", f"{out}.rds"],
}
WARM_UP = {"pymc": 1000, "nutpie": 400, "bambi": 1000, "brms": 1000}  # draws, by default
KEY = ("posterior", "tool", "run")
ESS = ("ess_bulk", "ess_tail", "ess_bulk_groups", "ess_tail_groups")
NUMBERS = (
    "wall_s", "cpu_s", "cpu_to_400", "compile_s", "sample_s", *ESS, "ess", "ess_per_s", "gradients", "ess_per_1000_gradients", "divergences", "z_max",
)  # fmt: skip
RUN_FIELDS = (*KEY, *NUMBERS, "z_at", "draws", "version", "reason", "day")
MEDIAN_FIELDS = ("posterior", "tool", "runs", *NUMBERS, "draws", "version", "reason", "day")
Row = dict[str, Any]


# ---------------------------------------------------------------------------------------------------------- what can be


def absent(tool: str) -> str:
    """Why a tool cannot run here; empty where it can."""
    if tool == "bambi" and not BAMBI.exists():
        return "no .venv-bambi; make bench makes it"
    if tool in ("brms", *MAXIMUM):
        if shutil.which("Rscript") is None:
            return "R is not installed"
        probe = f"quit(status = !all(sapply(c('{tool}', 'jsonlite'), requireNamespace, quietly = TRUE)))"
        if subprocess.run(["Rscript", "-e", probe], capture_output=True).returncode:
            return f"{tool} is not installed"
    return ""


def impossible(tool: str, spec: Mapping[str, Any]) -> str:
    """Why a tool does not have this model; empty where it does."""
    if spec["family"] == "never_at_risk" and tool in ("bambi", "brms"):
        return "no such family; needs a likelihood written by hand"
    if "corr" in spec["priors"] and tool == "bambi":
        return "group effects cannot be correlated"
    if spec["smooths"] and tool == "bambi":
        return "no penalised smooths"
    if tool in MAXIMUM and (spec["smooths"] or spec["family"] in ("never_at_risk", "ordinal")):
        return "no such model"
    if tool == "lme4" and (not spec["groups"] or spec["family"].startswith("zero_inflated")):
        return "no such model"
    return ""


# -------------------------------------------------------------------------------------------------------------- one fit


def fit(tool: str, name: str, run: int, draws: int, timeout: float, folder: Path) -> Row:
    """Run one tool in a process of its own and judge what it saved."""
    row: Row = {"posterior": name, "tool": tool, "run": run, "draws": draws, "day": time.strftime("%Y-%m-%d")}
    spec = json.loads((folder / "spec.json").read_text())
    out = folder / tool
    for old in folder.glob(f"{tool}.*"):
        old.unlink()
    command = [*TOOLS[tool](name, folder / "spec.json", out), str(draws), str(run)]
    command += [] if tool in OURS else [CORES]
    before = _processor_seconds()
    wall, reason = _timed(command, folder / f"{tool}.log", timeout)
    row |= {"wall_s": wall, "cpu_s": _processor_seconds() - before}
    if reason:
        return {**row, "reason": reason}
    row |= json.loads(out.with_suffix(".json").read_text())
    if tool in MAXIMUM:
        return row
    if tool == "brms":
        subprocess.run(["Rscript", f"{HERE}/draws_brms.R", f"{out}.rds"], check=True, capture_output=True)
    saved = evaluate.read(tool, out.with_suffix(".rds" if tool == "brms" else ".nc"), spec)
    row |= evaluate.worth(saved, POSTERIORS[name].names, reference(name)["parameters"])
    row["ess"] = min(row[k] for k in ESS if k in row)
    row["ess_per_s"] = row["ess"] / wall
    row["ess_per_1000_gradients"] = 1000 * row["ess"] / row["gradients"]
    row["cpu_to_400"] = _to_enough(row)
    return row


def _to_enough(row: Row) -> float:
    """Processor seconds to so many effective draws of every parameter of the population.

    Ours stops there by itself; a peer's sampling is taken to be shorter or longer by the draws that it takes, its warm-up not.
    """
    warm_up = WARM_UP.get(row["tool"])
    if warm_up is None:
        return row["cpu_s"]
    share = (warm_up + row["draws"] * ENOUGH / min(row["ess_bulk"], row["ess_tail"])) / (warm_up + row["draws"])
    sampling = row["cpu_s"] * row["sample_s"] / row["wall_s"]
    return row["cpu_s"] + (share - 1) * sampling


def _processor_seconds() -> float:
    """User's and system's, of all processes that have ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _timed(command: Sequence[str], log: Path, timeout: float) -> tuple[float, str]:
    """Seconds from the start of a process to its end, and what went wrong."""
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(timeout)
            wall = time.perf_counter() - began
        except BaseException as err:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the workers too
            process.wait()
            if isinstance(err, subprocess.TimeoutExpired):
                return timeout, f"not done after {timeout:g} s"
            raise
    if status:
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
        return wall, f"failed: {last[0][:150]}"
    return wall, ""


# -------------------------------------------------------------------------------------------------------------- results


class Results:
    """runs.csv, one row for each fit, written anew after each; results.csv, their medians."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.rows: dict[tuple[str, str, int], Row] = {}
        if (folder / "runs.csv").exists():
            with (folder / "runs.csv").open(newline="") as file:
                for row in csv.DictReader(file):
                    self._put({k: _number(v) for k, v in row.items() if v != ""})

    def _put(self, row: Row) -> None:
        self.rows[row["posterior"], row["tool"], row["run"]] = row

    def add(self, row: Row) -> None:
        self._put(row)
        order = {name: i for i, name in enumerate([*POSTERIORS, *TOOLS])}
        rows = sorted(self.rows.values(), key=lambda r: (order[r["posterior"]], order[r["tool"]], r["run"]))
        self.rows = {(r["posterior"], r["tool"], r["run"]): r for r in rows}
        _write(self.folder / "runs.csv", RUN_FIELDS, rows)
        _write(self.folder / "results.csv", MEDIAN_FIELDS, self.medians())

    def medians(self) -> list[Row]:
        """One row for each posterior and tool; of a tool's fits, those that came to an end."""
        medians = []
        for posterior, tool in dict.fromkeys(key[:2] for key in self.rows):
            rows = [r for key, r in self.rows.items() if key[:2] == (posterior, tool)]
            done = [r for r in rows if "reason" not in r]
            row = {"posterior": posterior, "tool": tool, "runs": len(done)}
            if done:
                row |= {k: statistics.median(r[k] for r in done) for k in NUMBERS if all(k in r for r in done)}
                row |= {k: done[-1][k] for k in ("draws", "version", "day") if k in done[-1]}
            if len(done) < len(rows):
                reason = next(r["reason"] for r in rows if "reason" in r)
                row["reason"] = f"{len(rows) - len(done)} of {len(rows)} fits: {reason}" if done else reason
            medians.append(row)
        return medians


def _number(text: str) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _write(path: Path, fields: Sequence[str], rows: Sequence[Row]) -> None:
    def shown(value: Any) -> Any:
        return f"{value:.4g}" if isinstance(value, float) else value

    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: shown(row[k]) for k in fields if row.get(k) is not None} for row in rows)
    partial.replace(path)


# ----------------------------------------------------------------------------------------------------------------- main


def _chosen(text: str, known: Sequence[str], what: str) -> list[str]:
    names = [n for n in text.split(",") if n] or list(known)
    if unknown := [n for n in names if n not in known]:
        sys.exit(f"unknown {what} {', '.join(unknown)}; known: {', '.join(known)}")
    return names


def _progress(row: Row) -> str:
    start = f"run {row['run']} {row['posterior']} {TITLES[row['tool']]}:"
    if "reason" in row:
        return f"{start} {row['reason']}"
    if "ess" not in row:
        return f"{start} {row['cpu_s']:.1f} s of processor"
    return (
        f"{start} {row['wall_s']:.1f} s ({row['compile_s']:.1f} compiling, {row['sample_s']:.1f} sampling), worst ESS "
        f"{row['ess']:.0f}, {row['ess_per_s']:.3g} per second, {row['divergences']} divergences, "
        f"z {row['z_max']:.1f} ({row['z_at']})"
    )


def _fits(tools: Sequence[str], posteriors: Sequence[str], arguments: argparse.Namespace) -> Iterator[Row]:
    """Tool by tool within a posterior, posterior by posterior within a run, so that noise meets all alike."""
    missing = {tool: absent(tool) for tool in tools}
    work = arguments.out / "work"
    specs = {name: prepare(name, work / name) for name in posteriors}
    for run in range(1, arguments.runs + 1):
        for name in posteriors:
            for tool in tools:
                if reason := impossible(tool, specs[name]) or missing[tool]:
                    yield {"posterior": name, "tool": tool, "run": run, "reason": reason}
                else:
                    yield fit(tool, name, run, arguments.draws, arguments.timeout, work / name)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare this project with its peers; see benchmarks/README.md.")
    parser.add_argument("--runs", type=int, default=3, help="fits of each; 0 draws table and picture from the CSV")
    parser.add_argument("--only", default="", help=f"posteriors, with commas: {', '.join(POSTERIORS)}")
    parser.add_argument("--tools", default="", help=f"tools, with commas: {', '.join(TOOLS)}")
    parser.add_argument("--draws", type=int, default=1000, help="kept draws of each of the four chains")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds after which a fit is given up")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    arguments = parser.parse_args()
    tools = _chosen(arguments.tools, list(TOOLS), "tool")
    posteriors = _chosen(arguments.only, list(POSTERIORS), "posterior")
    try:
        for name in posteriors:
            data_path(POSTERIORS[name].data)
    except MissingDataError as missing:
        sys.exit(f"{missing}, or leave {name} out with --only")
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = Results(arguments.out)
    for row in _fits(tools, posteriors, arguments):
        results.add(row)
        print(_progress(row), flush=True)
    medians = results.medians()
    if any(r.get("ess_per_s") for r in medians):
        tables.picture(medians, arguments.out / "results.png")
    text = tables.table(medians)
    if arguments.out == HERE:
        tables.write(HERE / "README.md", text)
    print("\n" + text)


if __name__ == "__main__":
    main()
