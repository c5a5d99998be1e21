"""What a person reads: the report group of a fit, its text in a terminal, and one self-contained HTML file.

Imports `errors`, `storage`, `bands`, `diagnostics`, `aspects`, `estimands`; sees a DataTree, never a builder.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.results import diagnostics, storage
from glmm_zoo.results.curves import curves, of_fit
from glmm_zoo.results.findings import Finding, findings
from glmm_zoo.results.storage import about
from glmm_zoo.results.summary import MEANINGS, summary

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_COUNTED = 200  # a rootogram has a bar for every count up to the largest predicted
USUAL = {
    "center": True,
    "link": "logit",
    "collapse": False,
    "clusters": "random",
    "missing": "error",
    "per": 1.0,
    "shared": "correlation",
    "residual_correlation": False,
    "association_scale": "linear_predictor",
    "carry_forward": False,
}  # options that go without saying
MOST_CURVES = 12  # in one picture
SHOWN_ROWS = 25  # of a finding's table in the terminal


def attach(tree: xr.DataTree) -> xr.DataTree:
    """The tree with its `report` group: summary and diagnostics as datasets, the verdict in words."""
    verdict = diagnostics.check(tree)
    estimates = summary(tree)
    words = {
        "sound": int(verdict.sound),
        "verdict": str(verdict),
        "problems": json.dumps([p.check for p in verdict.problems]),
    }
    found = {"summary": _dataset(estimates), "diagnostics": _dataset(verdict.table).assign_attrs(words)}
    for name, finding in findings(tree).items():
        found[name] = xr.Dataset(attrs={"title": finding.title, "sentences": json.dumps(finding.sentences)})
        found.update({f"{name}/{part}": _dataset(table) for part, table in finding.tables.items()})
    return tree.assign(report=xr.DataTree.from_dict({"/": xr.Dataset(attrs=words), **found}))


def diagnosed(tree: xr.DataTree) -> pd.DataFrame:
    """The table of diagnostics that `attach` stored."""
    return tree["report/diagnostics"].dataset.to_dataframe()


def _dataset(table: pd.DataFrame) -> xr.Dataset:
    """A table with its index as a coordinate, named as the index is; text stays text, all else is a number."""
    dim = str(table.index.name or "row")
    return xr.Dataset(
        {
            str(name): (dim, column.to_numpy(float if column.dtype.kind in "fiub" else str))
            for name, column in table.items()
        },
        {dim: np.asarray(table.index, dtype=str)},
    )


# ------------------------------------------------------------------------------------------------------------ terminal


def text(tree: xr.DataTree, *, prob: float = 0.95) -> list[RenderableType]:
    """What `glmm-zoo fit` prints: model, data, notes, tables."""
    from rich.text import Text

    facts = [Text.assemble((f"{name:<9}", "bold"), value) for name, value in _facts(tree).items()]
    notes = [Text(f"note: {note}", style="yellow") for note in about(tree)["spec"]["notes"]]
    estimates = summary(tree, prob=prob)
    return [*facts, *notes, "", *tables(tree, estimates, prob), *_told(findings(tree, prob))]


def _told(found: Mapping[str, Finding]) -> list[RenderableType]:
    """Findings as a terminal shows them: title, sentences, tables of at most `SHOWN_ROWS` rows."""
    from rich.table import Table
    from rich.text import Text

    lines: list[RenderableType] = []
    for finding in (f for f in found.values() if f.sentences or f.tables):
        lines += [Text(finding.title, style="bold"), *(Text(s) for s in finding.sentences)]
        for part in finding.tables.values():
            table = Table(box=None, pad_edge=False)
            for name in ("", *map(str, part.columns)):
                table.add_column(name, justify="left" if name == "" else "right")
            for name, *row in part.head(SHOWN_ROWS).itertuples():
                table.add_row(Text(str(name)), *(_cell(v) for v in row))
            lines.append(table)
            if len(part) > SHOWN_ROWS:
                lines.append(Text(f"... {len(part)} rows in all; the file and the HTML report have them"))
        lines.append("")
    return lines


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:d}" if isinstance(value, int | np.integer) else _number(value)


def _facts(tree: xr.DataTree) -> dict[str, str]:
    content = about(tree)
    spec, ran = content["spec"], content["sampling"]
    data = spec["data"]
    groups = ", ".join(f"{g} ({group['levels']})" for g, group in spec["groups"].items())
    chosen = {
        k: v for k, v in spec["options"].items() if v is not None and USUAL.get(k) != v and k not in spec["formulas"]
    }
    return {
        "model": "; ".join(
            (f"{spec['builder']}: {spec['formula']}", *(f"{p} {text}" for p, text in spec["formulas"].items()))
        ),
        **({"options": ", ".join(f"{k} = {v}" for k, v in chosen.items())} if chosen else {}),
        "response": "; ".join(
            of["response"] + (f"; {of['link']} link" if of["link"] != "identity" else "")
            for of in storage.outcomes(spec).values()
        ),
        "data": f"{data['source']}: {data['rows']} rows{', ' + str(data['dropped']) + ' dropped' if data['dropped'] else ''}"
        + (f"; groups {groups}" if groups else ""),
        "priors": "; ".join(
            f"{k} ~ {v if isinstance(v, str) else ', '.join(v.values())}" for k, v in spec["priors"].items()
        ),
        "sampled": f"{ran['chains']} chains x {ran['draws']} draws"
        + (f", each the last of {ran['thin']}," if ran["thin"] > 1 else "")
        + f" after {ran['tune']}, seed {ran['seed']}, "
        f"{content['seconds']['all']:.1f} s",
    }


def tables(tree: xr.DataTree, summary: pd.DataFrame, prob: float) -> list[RenderableType]:
    """Estimates on the link scale, then on the natural one."""
    from rich.table import Table
    from rich.text import Text

    natural = _derived(tree, summary)
    found: list[RenderableType] = []
    for title, part in (("estimates", summary[~natural]), ("natural scale", summary[natural])):
        if not len(part):
            continue
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("", overflow="fold", min_width=min(60, max(len(str(name)) for name in part.index)))
        for name in _columns(prob):
            table.add_column(name, justify="right")
        for name, row in part.iterrows():
            table.add_row(Text(str(name)), *_cells(row))
        found += [table, ""]
    return found


def _derived(tree: xr.DataTree, summary: pd.DataFrame) -> np.ndarray:
    """Which rows are not parameters of the model but derived from them (n,)."""
    return ~summary.index.str.split("[").str[0].isin([str(name) for name in tree["posterior"].data_vars])


def _columns(prob: float) -> list[str]:
    tail = 100 * (1 - prob) / 2
    return ["mean", "median", "sd", f"{tail:g}%", f"{100 - tail:g}%", "ESS", "R-hat"]


def _cells(row: pd.Series) -> list[str]:
    numbers = [_number(row[c]) for c in ("mean", "median", "sd", "lower", "upper")]
    return [*numbers, f"{min(row['ess_bulk'], row['ess_tail']):.0f}", f"{row['r_hat']:.3f}"]


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{value:.3f}" if 0.01 <= abs(value) < 1000 or value == 0 else f"{value:.3g}"


# ---------------------------------------------------------------------------------------------------------------- HTML

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ facts.model }}</title>
<style>
 body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; }
 table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-variant-numeric: tabular-nums; }
 th, td { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
 th:first-child, td:first-child { text-align: left; }
 .verdict { padding: .8rem 1rem; border-left: .4rem solid {{ '#2a7' if sound else '#c33' }}; background: #f6f6f6; white-space: pre-line; }
 img { max-width: 100%; } dt { font-weight: 600; } dd { margin: 0 0 .4rem 1rem; } .note { color: #8a5a00; }
</style></head><body>
<h1>{{ facts.model }}</h1>
<p class="verdict">{{ verdict }}</p>
{% for note in notes %}<p class="note">Note: {{ note }}</p>{% endfor %}
<h2>Model and data</h2>
<dl>{% for name, value in facts.items() %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
{% for title, rows in estimates.items() %}<h2>{{ title }}</h2>
<table><tr><th></th>{% for c in columns %}<th>{{ c }}</th>{% endfor %}</tr>
{% for name, cells in rows %}<tr><td>{{ name }}</td>{% for c in cells %}<td>{{ c }}</td>{% endfor %}</tr>
{% endfor %}</table>{% endfor %}
<dl>{% for name, value in glossary.items() %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
{% for title, sentences, parts in findings %}<h2>{{ title|capitalize }}</h2>
{% for s in sentences %}<p>{{ s }}</p>{% endfor %}
{% for columns, rows in parts %}<table><tr><th></th>{% for c in columns %}<th>{{ c }}</th>{% endfor %}</tr>
{% for name, cells in rows %}<tr><td>{{ name }}</td>{% for c in cells %}<td>{{ c }}</td>{% endfor %}</tr>
{% endfor %}</table>{% endfor %}{% endfor %}
<h2>Plots</h2>
{% for title, picture in pictures.items() %}<h3>{{ title }}</h3><img alt="{{ title }}" src="data:image/png;base64,{{ picture }}">
{% endfor %}
<h2>Provenance</h2>
<dl>{% for name, value in provenance.items() %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
</body></html>
"""


def write_report(
    tree: xr.DataTree, path: str | os.PathLike[str], *, prob: float = 0.95, overwrite: bool = False
) -> Path:
    """Write one HTML file with everything in it: verdict, model, tables, plots, provenance. It refers to nothing outside.

    Raises
    ------
    InputError
        A folder that is not there, an existing file without `overwrite`, a fit that was interrupted.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"report: folder {str(path.parent)!r} does not exist; make it first")
    if path.exists() and not overwrite:
        raise InputError(
            f"report: {str(path)!r} exists; use --overwrite (overwrite=True) to replace it, or another name"
        )
    import jinja2

    content = about(tree)
    estimates = summary(tree, prob=prob)
    derived = _derived(tree, estimates)
    parts = {"Estimates": estimates[~derived], "On the natural scale": estimates[derived]}
    found = findings(tree, prob)
    verdict = diagnostics.check(tree)
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(_PAGE)
    html = page.render(
        facts=_facts(tree),
        verdict=str(verdict),
        sound=verdict.sound,
        notes=content["spec"]["notes"],
        columns=_columns(prob),
        estimates={t: [(n, _cells(r)) for n, r in p.iterrows()] for t, p in parts.items() if len(p)},
        glossary=_glossary(estimates, found),
        findings=[
            (
                f.title,
                f.sentences,
                [
                    (list(t.columns), [(n, [_cell(v) for v in r]) for n, *r in t.itertuples()])
                    for t in f.tables.values()
                ],
            )
            for f in found.values()
            if f.sentences or f.tables
        ],
        pictures=_pictures(tree),
        provenance=_provenance(content),
    )
    path.write_text(html, encoding="utf-8")
    return path


def _glossary(summary: pd.DataFrame, found: Mapping[str, Finding]) -> dict[str, str]:
    """What the derived quantities in the table mean."""
    meanings = dict(MEANINGS)
    for finding in found.values():
        meanings.update(finding.meanings)
    shown = summary.index.str.split("[").str[0].unique()
    return {name: words for name, words in meanings.items() if any(n == name or n.endswith(f"_{name}") for n in shown)}


def _provenance(content: Mapping[str, Any]) -> dict[str, str]:
    return {
        "made": content["created"],
        "SHA-256 of the data used": content["spec"]["data"]["sha256"],
        "machine": content["machine"],
        "versions": ", ".join(f"{k} {v}" for k, v in content["versions"].items()),
        "seconds": ", ".join(f"{k} {v:.1f}" for k, v in content["seconds"].items()),
    }


def _pictures(tree: xr.DataTree) -> dict[str, str]:
    import matplotlib as mpl

    backend = mpl.get_backend()
    mpl.use("agg")
    try:
        import arviz_plots as azp

        spec = about(tree)["spec"]
        hidden = storage.effects(spec) | set(spec["auxiliary"])
        names = [str(n) for n in tree["posterior"].data_vars if n not in hidden and "corr_" not in str(n)]
        found = {
            "Posterior means and intervals": _png(
                azp.plot_forest(tree, var_names=names, backend="matplotlib").viz["figure"].item()
            ),
            "Draws and ranks by chain": _png(
                azp.plot_rank_dist(tree, var_names=names, backend="matplotlib").viz["figure"].item()
            ),
        }
        for name, observed in tree["observed_data"].data_vars.items():
            if len(np.unique(observed)) > 2:
                title = f"Observed and predicted {name if 'outcomes' in spec else 'outcome'}"
                found[title] = _png(_predictive_plot(azp, tree, str(name)).viz["figure"].item())
        lines = [c for c in of_fit(tree) if len(c.variables) == 1]
        if lines:
            found["Smooth curves on the scale of the link, pointwise and simultaneous bands"] = _png(
                _curves_plot(curves(tree).sel(curve=[c.label for c in lines]))
            )
        if "surv_log_hazard" in tree["posterior"]:
            found["Hazard of an average subject whose marker stays at its mean, with a 95 % band"] = _png(
                _hazard_plot(tree["posterior"].dataset["surv_log_hazard"])
            )
        return found
    finally:
        mpl.use(backend)


def _predictive_plot(azp: Any, tree: xr.DataTree, name: str) -> Any:
    """Bars for counts, a density for measurements and for counts too large for bars; the longest tails are cut."""
    observed = tree["observed_data"].dataset[name].values
    counts = bool(np.all(observed == np.round(observed))) and observed.max() <= MOST_COUNTED
    most = 1.5 * observed.max() if counts else np.inf
    shown = xr.DataTree.from_dict(
        {
            group: tree[group].dataset[[name]].map(lambda v: v.clip(max=most).astype(np.int64 if counts else float))
            for group in ("posterior_predictive", "observed_data")
        }
    )
    return (azp.plot_ppc_rootogram if counts else azp.plot_ppc_dist)(shown, backend="matplotlib")


def _curves_plot(found: xr.Dataset) -> Any:
    import matplotlib.pyplot as plt

    n = min(found.sizes["curve"], MOST_CURVES)
    figure, axes = plt.subplots(-(-n // 3), min(n, 3), figsize=(4 * min(n, 3), 3 * -(-n // 3)), squeeze=False)
    for axis, (label, curve) in zip(axes.flat, found.groupby("curve"), strict=False):
        curve = curve.squeeze("curve")
        axis.fill_between(curve["x"], curve["lower_simultaneous"], curve["upper_simultaneous"], alpha=0.2, color="C0")
        axis.fill_between(curve["x"], curve["lower"], curve["upper"], alpha=0.3, color="C0")
        axis.plot(curve["x"], curve["mean"], color="C0")
        axis.set(title=f"{label}, edf {curve['edf'].item():.1f}", xlabel=curve["variable"].item())
    for axis in axes.flat[n:]:
        axis.remove()
    figure.tight_layout()
    return figure


def _hazard_plot(log_hazard: xr.DataArray) -> Any:
    """Hazard per unit of time over the follow-up; one panel for each cause."""
    import matplotlib.pyplot as plt

    causes = log_hazard["cause"].values.tolist() if "cause" in log_hazard.dims else [None]
    figure, axes = plt.subplots(1, len(causes), figsize=(4.5 * len(causes), 3.2), squeeze=False)
    for axis, cause in zip(axes.flat, causes, strict=True):
        of = log_hazard if cause is None else log_hazard.sel(cause=cause)
        low, middle, high = np.exp(of.quantile([0.025, 0.5, 0.975], ("chain", "draw")).values)
        times = of["surv_time"].values.astype(float)
        axis.fill_between(times, low, high, alpha=0.3, color="C0")
        axis.plot(times, middle, color="C0")
        axis.set(title=cause or "", xlabel="time", ylabel="hazard", ylim=(0, None))
    figure.tight_layout()
    return figure


def _png(figure: Any) -> str:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, bbox_inches="tight")
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()
