"""What a person reads: the report group of a fit, its text in a terminal, and one self-contained HTML file.

Imports `errors`, `storage`, `diagnostics`, `estimands`; sees a DataTree, never a builder.
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

from glmm_zoo import diagnostics, estimands
from glmm_zoo.errors import InputError
from glmm_zoo.storage import about

if TYPE_CHECKING:
    from rich.console import RenderableType

NATURAL = {
    "odds_ratio": "odds ratio for one unit more, at equal group effects",
    "hazard_ratio": "hazard ratio for one unit more, at equal group effects",
    "rate_ratio": "rate ratio for one unit more, at equal group effects",
    "icc": "share of the latent variance that lies between levels, at zero of any slope",
    "median_odds_ratio": "median odds ratio between two rows alike but for their level",
}


def attach(tree: xr.DataTree) -> xr.DataTree:
    """The tree with its `report` group: summary and diagnostics as datasets, the verdict in words."""
    verdict = diagnostics.check(tree)
    summary = estimands.summary(tree)
    words = {
        "sound": int(verdict.sound),
        "verdict": str(verdict),
        "problems": json.dumps([p.check for p in verdict.problems]),
    }
    found = {"summary": _dataset(summary), "diagnostics": _dataset(verdict.table).assign_attrs(words)}
    return tree.assign(report=xr.DataTree.from_dict({"/": xr.Dataset(attrs=words), **found}))


def diagnosed(tree: xr.DataTree) -> pd.DataFrame:
    """The table of diagnostics that `attach` stored."""
    return tree["report/diagnostics"].dataset.to_dataframe()


def _dataset(table: pd.DataFrame) -> xr.Dataset:
    return xr.Dataset(
        {column: ("parameter", table[column].to_numpy(float)) for column in table.columns},
        {"parameter": np.asarray(table.index, dtype=str)},
    )


# ------------------------------------------------------------------------------------------------------------ terminal


def text(tree: xr.DataTree, *, prob: float = 0.95) -> list[RenderableType]:
    """What `glmm-zoo fit` prints: model, data, notes, tables."""
    from rich.text import Text

    facts = [Text.assemble((f"{name:<9}", "bold"), value) for name, value in _facts(tree).items()]
    notes = [Text(f"note: {note}", style="yellow") for note in about(tree)["spec"]["notes"]]
    return [*facts, *notes, "", *tables(estimands.summary(tree, prob=prob), prob)]


def _facts(tree: xr.DataTree) -> dict[str, str]:
    content = about(tree)
    spec, ran = content["spec"], content["sampling"]
    data = spec["data"]
    groups = ", ".join(f"{g} ({group['levels']})" for g, group in spec["groups"].items())
    return {
        "model": f"{spec['builder']}: {spec['formula']}",
        "response": f"{spec['response']}; {spec['link']} link",
        "data": f"{data['source']}: {data['rows']} rows{', ' + str(data['dropped']) + ' dropped' if data['dropped'] else ''}"
        + (f"; groups {groups}" if groups else ""),
        "priors": "; ".join(
            f"{k} ~ {v if isinstance(v, str) else ', '.join(v.values())}" for k, v in spec["priors"].items()
        ),
        "sampled": f"{ran['chains']} chains x {ran['draws']} draws after {ran['tune']}, seed {ran['seed']}, "
        f"{content['seconds']['all']:.1f} s",
    }


def tables(summary: pd.DataFrame, prob: float) -> list[RenderableType]:
    """Estimates on the link scale, then on the natural one."""
    from rich.table import Table
    from rich.text import Text

    natural = summary.index.str.split("[").str[0].isin(list(NATURAL))
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
    summary = estimands.summary(tree, prob=prob)
    kinds = summary.index.str.split("[").str[0]
    parts = {
        "Estimates": summary[~kinds.isin(list(NATURAL))],
        "On the natural scale": summary[kinds.isin(list(NATURAL))],
    }
    verdict = diagnostics.check(tree)
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(_PAGE)
    html = page.render(
        facts=_facts(tree),
        verdict=str(verdict),
        sound=verdict.sound,
        notes=content["spec"]["notes"],
        columns=_columns(prob),
        estimates={t: [(n, _cells(r)) for n, r in p.iterrows()] for t, p in parts.items() if len(p)},
        glossary={k: v for k, v in NATURAL.items() if k in set(kinds)},
        pictures=_pictures(tree),
        provenance=_provenance(content),
    )
    path.write_text(html, encoding="utf-8")
    return path


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
        hidden = {*(f"u_{g}" for g in spec["groups"]), *spec["auxiliary"]}
        names = [str(n) for n in tree["posterior"].data_vars if n not in hidden and "corr_" not in str(n)]
        found = {
            "Posterior means and intervals": _png(azp.plot_forest(tree, var_names=names, backend="matplotlib")),
            "Draws and ranks by chain": _png(azp.plot_rank_dist(tree, var_names=names, backend="matplotlib")),
        }
        observed = np.concatenate([v.values for v in tree["observed_data"].data_vars.values()])
        if len(np.unique(observed)) > 2:
            whole = bool(np.all(observed == np.round(observed)))
            plot = azp.plot_ppc_rootogram if whole else azp.plot_ppc_dist
            found["Observed and predicted outcome"] = _png(plot(tree, backend="matplotlib"))
        return found
    finally:
        mpl.use(backend)


def _png(collection: Any) -> str:
    import matplotlib.pyplot as plt

    figure = collection.viz["figure"].item()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, bbox_inches="tight")
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()
