"""The same posteriors by this project and its peers: seconds, effective draws, and whether they agree with the reference.

`make bench`, or `.venv/bin/python benchmarks/bench.py --runs 1 --only cbpp_binomial --tools zoo,pymc`. See README.md here.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
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
from data_sets import MissingDataError, data_path
from prepare import POSTERIORS, prepare
from reference_posteriors import reference

HERE = Path(__file__).parent
CORES = str(min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))
BAMBI = HERE.parent / ".venv-bambi" / "bin" / "python"
TOOLS: Mapping[str, Callable[[str, Path, Path], list[str]]] = {  # name, spec, out -> command without draws and seed
    "zoo": lambda name, spec, out: [sys.executable, f"{HERE}/fit_zoo.py", name, f"{out}.nc"],
    "pymc": lambda name, spec, out: [sys.executable, f"{HERE}/fit_pymc.py", "pymc", f"{spec}", f"{out}.nc"],
    "nutpie": lambda name, spec, out: [sys.executable, f"{HERE}/fit_pymc.py", "nutpie", f"{spec}", f"{out}.nc"],
    "bambi": lambda name, spec, out: [f"{BAMBI}", f"{HERE}/fit_bambi.py", f"{spec}", f"{out}.nc"],
    "brms": lambda name, spec, out: ["Rscript", f"{HERE}/fit_brms.R", f"{spec}", f"{out}.rds"],
}
TITLES = {"zoo": "glmm_zoo", "pymc": "PyMC", "nutpie": "nutpie", "bambi": "bambi", "brms": "brms"}
WRONG = 4.0  # |z| from which a fit does not count, as in tests/validation/test_peers.py
KEY = ("posterior", "tool", "run")
ESS = ("ess_bulk", "ess_tail", "ess_bulk_groups", "ess_tail_groups")
NUMBERS = (
    "wall_s", "compile_s", "sample_s", *ESS, "ess", "ess_per_s", "gradients", "ess_per_1000_gradients", "divergences", "z_max",
)  # fmt: skip
RUN_FIELDS = (*KEY, *NUMBERS, "z_at", "draws", "version", "reason")
MEDIAN_FIELDS = ("posterior", "tool", "runs", *NUMBERS, "draws", "version", "reason")
Row = dict[str, Any]


# ---------------------------------------------------------------------------------------------------------- what can be


def absent(tool: str) -> str:
    """Why a tool cannot run here; empty where it can."""
    if tool == "bambi" and not BAMBI.exists():
        return "no .venv-bambi; make bench makes it"
    if tool == "brms":
        if shutil.which("Rscript") is None:
            return "R is not installed"
        probe = "quit(status = !all(sapply(c('brms', 'jsonlite'), requireNamespace, quietly = TRUE)))"
        if subprocess.run(["Rscript", "-e", probe], capture_output=True).returncode:
            return "brms is not installed"
    return ""


def impossible(tool: str, spec: Mapping[str, Any]) -> str:
    """Why a tool does not have this model; empty where it does."""
    if spec["family"] == "never_at_risk" and tool in ("bambi", "brms"):
        return "no such family; needs a likelihood written by hand"
    if "corr" in spec["priors"] and tool == "bambi":
        return "group effects cannot be correlated"
    if spec["smooths"] and tool == "bambi":
        return "no penalised smooths"
    return ""


# -------------------------------------------------------------------------------------------------------------- one fit


def fit(tool: str, name: str, run: int, draws: int, timeout: float, folder: Path) -> Row:
    """Run one tool in a process of its own and judge what it saved."""
    row: Row = {"posterior": name, "tool": tool, "run": run, "draws": draws}
    spec = json.loads((folder / "spec.json").read_text())
    out = folder / tool
    for old in folder.glob(f"{tool}.*"):
        old.unlink()
    command = [*TOOLS[tool](name, folder / "spec.json", out), str(draws), str(run)]
    command += [] if tool == "zoo" else [CORES]
    wall, reason = _timed(command, folder / f"{tool}.log", timeout)
    if reason:
        return {**row, "wall_s": wall, "reason": reason}
    row |= {"wall_s": wall, **json.loads(out.with_suffix(".json").read_text())}
    if tool == "brms":
        subprocess.run(["Rscript", f"{HERE}/draws_brms.R", f"{out}.rds"], check=True, capture_output=True)
    saved = evaluate.read(tool, out.with_suffix(".rds" if tool == "brms" else ".nc"), spec)
    row |= evaluate.worth(saved, POSTERIORS[name].names, reference(name)["parameters"])
    row["ess"] = min(row[k] for k in ESS if k in row)
    row["ess_per_s"] = row["ess"] / wall
    row["ess_per_1000_gradients"] = 1000 * row["ess"] / row["gradients"]
    return row


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
                row |= {k: done[-1][k] for k in ("draws", "version")}
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


def table(medians: Sequence[Row]) -> str:
    """Markdown: our ESS per second, and how many times that of each peer it is."""
    tools = [t for t in TOOLS if any(r["tool"] == t for r in medians)]
    peers = [t for t in tools if t != "zoo"]
    by = {(r["posterior"], r["tool"]): r for r in medians}
    lines = [
        f"| posterior | {TITLES['zoo']}: s | ESS / s | " + " | ".join(f"x {TITLES[t]}" for t in peers) + " |",
        "|---|---|---|" + "---|" * len(peers),
    ]
    for posterior in dict.fromkeys(r["posterior"] for r in medians):
        ours = by.get((posterior, "zoo"), {})
        cells = [f"{ours['wall_s']:.1f}", _per_second(ours)] if ours.get("ess_per_s") else ["", ""]
        for tool in peers:
            theirs = by.get((posterior, tool), {})
            comparable = ours.get("ess_per_s") and theirs.get("ess_per_s")
            ratio = f"{ours['ess_per_s'] / theirs['ess_per_s']:.3g}" if comparable else ""
            cells.append(ratio + (" (wrong)" if theirs.get("z_max", 0) >= WRONG else ""))
        lines.append(f"| {posterior} | " + " | ".join(cells) + " |")
    reasons = [f"{r['posterior']}, {TITLES[r['tool']]}: {r['reason']}" for r in medians if r.get("reason")]
    return "\n".join([*lines, "", *reasons])


def _per_second(row: Row) -> str:
    return f"{row['ess_per_s']:.3g}" + (" (wrong)" if row["z_max"] >= WRONG else "")


def picture(medians: Sequence[Row], path: Path) -> None:
    """ESS per second of every posterior and tool on a log scale; hollow where the means are not the reference's."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    done = [r for r in medians if r.get("ess_per_s")]
    names = list(dict.fromkeys(r["posterior"] for r in done))[::-1]
    fig, ax = plt.subplots(figsize=(8, 1.2 + 0.42 * len(names)), layout="constrained")
    for (tool, title), marker, colour in zip(
        TITLES.items(), "osD^v", ("#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#7f7f7f"), strict=True
    ):
        rows = [r for r in done if r["tool"] == tool]
        faces = ["none" if r["z_max"] >= WRONG else colour for r in rows]
        x, y = [r["ess_per_s"] for r in rows], [names.index(r["posterior"]) for r in rows]
        ax.scatter(x, y, s=48, marker=marker, facecolors=faces, edgecolors=colour, label=title, zorder=3)
    ax.set_xscale("log")
    ax.set_yticks(range(len(names)), names)
    ax.set_xlabel("effective draws of the worst parameter per second, from process start to saved draws")
    ax.grid(axis="x", which="both", alpha=0.3)
    ax.grid(axis="y", alpha=0.3)
    ax.margins(y=0.3 / len(names))
    fig.legend(loc="outside upper center", ncols=len(TITLES), frameon=False)
    fig.savefig(path, dpi=150)


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
        picture(medians, arguments.out / "results.png")
    print("\n" + table(medians))


if __name__ == "__main__":
    main()
