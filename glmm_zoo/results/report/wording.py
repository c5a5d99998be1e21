"""What the terminal and the web page show alike: the overview of a fit, the headings of tables, and numbers as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import plural
from glmm_zoo.results.diagnostics import abandoned_runs
from glmm_zoo.results.findings.finding import Finding
from glmm_zoo.results.numbers import NO_BREAK, column_decimals, probability, whole, written
from glmm_zoo.results.paper_table import PaperTable
from glmm_zoo.results.storage import metadata, outcome_specs

EQUAL_EFFECTS = "at equal group effects"
# Builders whose effects differ between studies, which are no groups of a formula.
_OF_STUDIES = ("meta_analysis", "network_meta_analysis")
INTERVAL = ["median", "lower", "upper"]
# Options at these values go without saying.
USUAL_OPTIONS = {
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
    **dict.fromkeys(("residual", "time", "within", "weights")),
}


_ORDINALS = {2: "nd", 3: "rd"}  # and "th"; thin is at most 8 unless it is given


def equal_words(spec: Mapping[str, Any]) -> str:
    """What is equal where a coefficient tells of one covariate: group effects, or in a model without groups all other covariates."""
    return EQUAL_EFFECTS if spec["groups"] or spec["builder"] in _OF_STUDIES else "with all else equal"


def conditional_words(spec: Mapping[str, Any]) -> str:
    """What a table of such effects has."""
    equal = equal_words(spec)
    return f"{equal}, and how groups differ" if equal == EQUAL_EFFECTS else equal


def overview(tree: xr.DataTree) -> dict[str, str]:
    """What was fitted to which data with which priors and how it was sampled, by heading."""
    content = metadata(tree)
    spec = content["spec"]
    options = unusual_options(spec)
    return {
        "model": "; ".join(
            (f"{spec['builder']}: {spec['formula']}", *(f"{part} {text}" for part, text in spec["formulas"].items()))
        ),
        **({"options": ", ".join(f"{name} = {value}" for name, value in options.items())} if options else {}),
        "response": "; ".join(
            outcome["response"] + (f"; {outcome['link']} link" if outcome["link"] != "identity" else "")
            for outcome in outcome_specs(spec).values()
        ),
        "data": _data_and_groups(spec),
        "priors": "\n".join(
            f"{element} ~ {prior}"
            for name, priors in spec["priors"].items()
            for element, prior in ({name: priors} if isinstance(priors, str) else priors).items()
        ),
        "sampled": _sampling(content["sampling"], content["seconds"]["all"]),
    }


def unusual_options(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were given, that are not at their usual value, and that are not formulas, which the model line shows."""
    return {
        name: value
        for name, value in spec["options"].items()
        if value is not None and USUAL_OPTIONS.get(name) != value and name not in spec["formulas"]
    }


def _data_and_groups(spec: dict[str, Any]) -> str:
    data = spec["data"]
    dropped = f", {data['dropped']} dropped" if data["dropped"] else ""
    groups = ", ".join(f"{factor} ({group['levels']})" for factor, group in spec["groups"].items())
    return f"{data['source']}: {data['rows']} rows{dropped}" + (f"; groups {groups}" if groups else "")


def _sampling(settings: dict[str, Any], seconds: float) -> str:
    """In one line: what was made, what is kept of it, where chains go on, and what became of earlier runs."""
    last, abandoned = (settings.get("runs") or [{"parts": 1}])[-1], abandoned_runs(settings)
    thin = settings["thin"]
    thinned = f", thinned: every {thin}{_ORDINALS.get(thin, 'th')} draw was kept," if thin > 1 else ""
    joined = ""
    if last["parts"] > 1:
        anew = " in new coordinates" if last["coordinates_from_draws"] else ""
        if before := last.get("divergences_before", 0):
            anew += f", one part once more in shorter steps after {plural(before, 'divergent transition')}"
        joined = (
            f", in {last['parts']} parts, each chain going on from its own last draw after "
            f"{settings['tune_between']} more{anew}"
        )
    target = f"target_accept {settings['target_accept']:g}"
    target += f", {on:g} after the first part" if (on := last.get("target_on")) else ""
    target += f" ({abandoned})" if abandoned else ""
    return (
        f"{settings['chains']} chains x {settings['draws']} draws{thinned} after {settings['tune']} of warm-up{joined}, {target}, "
        f"seed {settings['seed']}, {written(seconds, 1)}{NO_BREAK}s"
    )


def is_derived(tree: xr.DataTree, summary: pd.DataFrame) -> np.ndarray:
    """Which rows of a summary (n,) are derived quantities: not in the posterior, but computed from it."""
    return ~summary.index.str.split("[").str[0].isin([str(name) for name in tree["posterior"].data_vars])


def summary_headings(prob: float) -> list[str]:
    """The headings of a table of estimates whose intervals hold the probability `prob`."""
    tail = 100 * (1 - prob) / 2
    return ["mean", "median", "sd", *(f"{end:g}{NO_BREAK}%" for end in (tail, 100 - tail)), "ESS", "R-hat"]


def summary_rows(summary: pd.DataFrame) -> list[list[str]]:
    """The rows of a summary as text, under the headings of `summary_headings`; ESS is the smaller of bulk and tail."""
    each = column_decimals("number", list(map(tuple, summary[INTERVAL].to_numpy(float))), summary["mcse_mean"].tolist())
    rows = []
    for (_, row), d in zip(summary.iterrows(), each, strict=True):
        numbers = [written(row[name], d) for name in ("mean", "median", "sd", "lower", "upper")]
        rows.append([*numbers, whole(min(row["ess_bulk"], row["ess_tail"])), written(row["r_hat"], 3)])
    return rows


def finding_rows(table: pd.DataFrame) -> list[list[str]]:
    """The rows of a finding's table as text, the first cell the row's name."""
    return [[str(name), *cells] for name, cells in zip(table.index, rows_as_text(table), strict=True)]


def finding_tables(finding: Finding, most: int) -> dict[str, PaperTable]:
    """The tables of a finding by name, of each the first `most` rows."""
    tables = {}
    for name, table in finding.tables.items():
        headings = (str(table.index.name or ""), *map(str, table.columns))
        note = f"The first {most} of {len(table)} rows; the file of the fit has all." if len(table) > most else ""
        caption = f"{finding.title[:1].upper()}{finding.title[1:]}: {name.replace('_', ' ')}."
        tables[name] = PaperTable.of(caption, headings, finding_rows(table.head(most)), note=note)
    return tables


def rows_as_text(table: pd.DataFrame) -> list[list[str]]:
    """The rows of any table as text: medians with the decimals of their intervals, probabilities with two, other numbers with three
    significant digits, as far as a column can share them."""
    columns = {name: _column_as_text(str(name), values) for name, values in table.items()}
    if set(INTERVAL) <= set(table):
        each = column_decimals("number", list(map(tuple, table[INTERVAL].to_numpy(float))))
        for name in (c for c in ("mean", *INTERVAL) if c in table):
            columns[name] = [written(value, d) for value, d in zip(table[name], each, strict=True)]
    return list(map(list, zip(*columns.values(), strict=True)))


def _column_as_text(name: str, values: pd.Series) -> list[str]:
    if values.dtype.kind != "f":
        return [str(value) for value in values]
    if name in ("p", "probability") or name.startswith("P("):
        return [probability(value) for value in values]
    each = column_decimals("number", [(value,) for value in values])
    return [written(value, d) for value, d in zip(values, each, strict=True)]
