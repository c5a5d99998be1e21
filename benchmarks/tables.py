"""The table of `README.md` here and the picture, from the medians of `results.csv`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
TITLES = {
    "zoo": "glmm_zoo", "zoo_400": "glmm_zoo --effective 400", "pymc": "PyMC", "nutpie": "nutpie", "bambi": "bambi", "brms": "brms",
    "lme4": "lme4", "glmmTMB": "glmmTMB",
}  # fmt: skip
OURS = ("zoo", "zoo_400")
PYMC_ROUTES = ("pymc", "nutpie", "bambi")
MAXIMUM = ("lme4", "glmmTMB")
ENOUGH = 400  # effective draws
WRONG = 4.0  # |z| from which a fit does not count, as in tests/validation/test_peers.py
START, END = "<!-- results -->\n", "\n<!-- /results -->"
HEADER = (
    "posterior", "effective draws / s", "x best of PyMC", "x brms", "s to 400", "nutpie", "PyMC", "lme4", "glmmTMB",
    "nutpie / ours", "ours / glmmTMB",
)  # fmt: skip


def table(medians: Sequence[Row]) -> str:
    """Markdown: effective draws per second and their ratios, then processor seconds to 400 effective draws, or of a fit by maximum
    likelihood, and their ratios. A cell is empty where a tool was not run."""
    by = {(r["posterior"], r["tool"]): r for r in medians}
    lines = [HEADER, ["---"] * len(HEADER)]
    for posterior in dict.fromkeys(r["posterior"] for r in medians):
        rates = rates_of([by[posterior, t] for t in TITLES if (posterior, t) in by])
        ours, best = rates.get("zoo"), max((rates[t] for t in PYMC_ROUTES if t in rates), default=None)
        cpu = {t: seconds_to_enough(by.get((posterior, t), {})) for t in TITLES}
        lines.append([
            f"`{posterior}`", short(ours), ratio(ours, best), ratio(ours, rates.get("brms")), short(cpu["zoo_400"]), short(cpu["nutpie"]),
            short(cpu["pymc"]), short(cpu["lme4"]), short(cpu["glmmTMB"]), ratio(cpu["nutpie"], cpu["zoo_400"]),
            ratio(cpu["zoo_400"], cpu["glmmTMB"]),
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rates_of(rows: Sequence[Row]) -> dict[str, float]:
    """Effective draws per second by tool: of processor time where all rows of a posterior have it, of wall time elsewhere."""
    rows = [r for r in rows if r.get("ess_per_s") and r["tool"] != "zoo_400"]
    by_processor = all(r.get("cpu_s") for r in rows)
    return {r["tool"]: float(r["ess"]) / float(r["cpu_s"]) if by_processor else float(r["ess_per_s"]) for r in rows}


def seconds_to_enough(row: Row) -> float | None:
    """Of a fit by maximum likelihood, all of its processor seconds."""
    value = row.get("cpu_s" if row.get("tool") in MAXIMUM else "cpu_to_400")
    return float(value) if value else None


def ratio(a: float | None, b: float | None) -> str:
    return short(a / b) if a and b else ""


def short(number: float | None) -> str:
    """Two significant digits below 100, whole numbers above, as `8.3`, `21` and `1067`."""
    return "" if number is None else f"{number:.0f}" if number >= 10 else f"{number:.1f}"


def summary(medians: Sequence[Row]) -> str:
    """Markdown: least, median and largest of the ratios of the table, of the posteriors that have them."""
    rows = [line.strip("| ").split(" | ") for line in table(medians).splitlines()[2:]]
    cells = {HEADER[k]: [float(row[k]) for row in rows if len(row) > k and row[k].strip()] for k in (2, 3, 9, 10)}
    lines = ["| ratio | posteriors | least | median | largest |", "| --- | --- | --- | --- | --- |"]
    for name, values in cells.items():
        if values:
            shown = (min(values), statistics.median(values), max(values))
            lines.append(f"| {name} | {len(values)} | {' | '.join(short(v) for v in shown)} |")
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """Put the table between its marks in a file."""
    before, _, rest = path.read_text().partition(START)
    path.write_text(before + START + text + END + rest.partition(END)[2])


def picture(medians: Sequence[Row], path: Path) -> None:
    """Effective draws per second, and processor seconds to 400 of them or of maximum likelihood, on log scales; hollow where means are
    not the reference's."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(r["posterior"] for r in medians))[::-1]
    rates = {name: rates_of([r for r in medians if r["posterior"] == name]) for name in names}
    fig, axes = plt.subplots(1, 2, figsize=(11, 1.2 + 0.36 * len(names)), sharey=True, layout="constrained")
    looks = zip(
        TITLES,
        "oosD^vPX",
        ("#d62728", "#ff9896", "#1f77b4", "#2ca02c", "#ff7f0e", "#7f7f7f", "#000000", "#9467bd"),
        strict=True,
    )
    for tool, marker, colour in looks:
        rows = [r for r in medians if r["tool"] == tool]
        values = ([rates[r["posterior"]].get(tool) for r in rows], [seconds_to_enough(r) for r in rows])
        for ax, of, label in zip(axes, values, (TITLES[tool], None), strict=True):
            if tool in OURS and (tool == "zoo") != (ax is axes[0]):
                of = [None] * len(of)
            there = [(float(v), names.index(r["posterior"]), r) for v, r in zip(of, rows, strict=True) if v]
            faces = ["none" if float(r.get("z_max") or 0) >= WRONG else colour for *_, r in there]
            x, y = [v for v, *_ in there], [n for _, n, _ in there]
            ax.scatter(x, y, s=36, marker=marker, facecolors=faces, edgecolors=colour, label=label, zorder=3)
    axes[0].set_yticks(range(len(names)), names)
    for ax, label in zip(
        axes,
        ("effective draws per second", "processor seconds to 400 effective draws, or of a maximum"),
        strict=True,
    ):
        if any(len(c.get_offsets()) for c in ax.collections):
            ax.set_xscale("log")
        ax.set_xlabel(label)
        ax.grid(axis="both", which="both", alpha=0.3)
        ax.margins(y=0.3 / len(names))
    fig.legend(loc="outside upper center", ncols=len(TITLES), frameon=False)
    fig.savefig(path, dpi=130)
