"""What the terminal and the web page show alike: the overview of a fit, the headings of tables, and numbers as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.diagnostics import abandoned_runs
from glmm_zoo.results.storage import metadata, outcome_specs

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
}


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
        "priors": "; ".join(
            f"{name} ~ {prior if isinstance(prior, str) else ', '.join(prior.values())}"
            for name, prior in spec["priors"].items()
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
    thinned = f", each the last of {settings['thin']}," if settings["thin"] > 1 else ""
    joined = ""
    if last["parts"] > 1:
        anew = " in new coordinates" if last["coordinates_from_draws"] else ""
        joined = (
            f", in {last['parts']} parts, each chain going on from its own last draw after "
            f"{settings['tune_between']} of warm-up{anew}"
        )
    target = f"target_accept {settings['target_accept']:g}" + (f" ({abandoned})" if abandoned else "")
    return (
        f"{settings['chains']} chains x {settings['draws']} draws{thinned} after {settings['tune']}{joined}, {target}, "
        f"seed {settings['seed']}, {seconds:.1f} s"
    )


def is_derived(tree: xr.DataTree, summary: pd.DataFrame) -> np.ndarray:
    """Which rows of a summary (n,) are derived quantities: not in the posterior, but computed from it."""
    return ~summary.index.str.split("[").str[0].isin([str(name) for name in tree["posterior"].data_vars])


def summary_headings(prob: float) -> list[str]:
    """The headings of a table of estimates whose intervals hold the probability `prob`."""
    tail = 100 * (1 - prob) / 2
    return ["mean", "median", "sd", f"{tail:g}%", f"{100 - tail:g}%", "ESS", "R-hat"]


def summary_cells(row: pd.Series) -> list[str]:
    """One row of a summary as text, under the headings of `summary_headings`; ESS is the smaller of bulk and tail."""
    numbers = [number(row[name]) for name in ("mean", "median", "sd", "lower", "upper")]
    return [*numbers, f"{min(row['ess_bulk'], row['ess_tail']):.0f}", f"{row['r_hat']:.3f}"]


def cell(value: Any) -> str:
    """One value of a finding's table as text."""
    if isinstance(value, str):
        return value
    return f"{value:d}" if isinstance(value, int | np.integer) else number(value)


def number(value: float) -> str:
    """Three decimals, or three digits where the number is large or small; "-" where it is not finite."""
    if not np.isfinite(value):
        return "-"
    return f"{value:.3f}" if 0.01 <= abs(value) < 1000 or value == 0 else f"{value:.3g}"
