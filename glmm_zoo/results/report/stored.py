"""The report that every fit file carries: group `report` with the summary, the diagnostics and the findings as datasets."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results import diagnostics
from glmm_zoo.results.findings import findings
from glmm_zoo.results.summary import summary
from glmm_zoo.results.verdicts import Judgement, Verdicts, table_of_checks, verdicts

JUDGEMENTS = ("sampling", "fit", "design")


def with_report(tree: xr.DataTree) -> xr.DataTree:
    """The tree with its group `report`: summary, diagnostics, findings and checks of the fit to the data as datasets, verdicts as
    attributes.

    The names of groups and attributes are part of the file format.
    """
    verdict = diagnostics.check(tree)
    verdict_attributes = {
        "sound": int(verdict.sound),
        "verdict": str(verdict),
        "problems": json.dumps([problem.check for problem in verdict.problems]),
        "remarks": json.dumps([remark.check for remark in verdict.remarks]),
    }
    datasets = {
        "/": xr.Dataset(attrs=verdict_attributes),
        "summary": _dataset(summary(tree)),
        "diagnostics": _dataset(verdict.table).assign_attrs(verdict_attributes),
    }
    said = verdicts(tree, verdict)
    judgements = {name: getattr(said, name) for name in JUDGEMENTS}
    datasets["verdicts"] = _dataset(table_of_checks(said.checks)).assign_attrs(
        {
            name: json.dumps(
                {
                    "state": judged.state,
                    "title": judged.title,
                    "sentences": judged.sentences,
                    "entries": judged.entries,
                }
            )
            for name, judged in judgements.items()
        }
    )
    for name, finding in findings(tree).items():
        datasets[name] = xr.Dataset(attrs={"title": finding.title, "sentences": json.dumps(finding.sentences)})
        datasets.update({f"{name}/{part}": _dataset(table) for part, table in finding.tables.items()})
    return tree.assign(report=xr.DataTree.from_dict(datasets))


def summary_of(tree: xr.DataTree, prob: float) -> pd.DataFrame:
    """The summary: the one that `with_report` stored, where it has this probability, else as `summary` makes it."""
    if prob == 0.95 and "report" in tree.children and "summary" in tree["report"].children:
        return tree["report/summary"].dataset.to_dataframe()
    return summary(tree, prob=prob)


def stored_diagnostics(tree: xr.DataTree) -> pd.DataFrame:
    """The table of diagnostics that `with_report` stored, one row for each parameter."""
    return tree["report/diagnostics"].dataset.to_dataframe()


def stored_verdicts(tree: xr.DataTree) -> Verdicts:
    """The verdicts that `with_report` stored, without the checks behind them; computed where a file has none."""
    report = tree["report"]
    if "verdicts" not in report.children:
        return verdicts(tree, diagnostics.judge(tree, stored_diagnostics(tree)))
    told = report["verdicts"].attrs
    sampling, fit, design = (json.loads(told[name]) for name in JUDGEMENTS)
    return Verdicts(_judgement(sampling), _judgement(fit), _judgement(design))


def _judgement(told: dict[str, Any]) -> Judgement:
    return Judgement(told["state"], told["title"], tuple(told["sentences"]), tuple(told.get("entries", ())))


def _dataset(table: pd.DataFrame) -> xr.Dataset:
    """A table with its index as a coordinate, named as the index is; text stays text, all else becomes a float.

    A slash in the name of a column, which may be a level of the data, becomes an underscore: in a file it would name a group.
    """
    dim = str(table.index.name or "row")
    return xr.Dataset(
        {
            str(name).replace("/", "_"): (dim, column.to_numpy(float if column.dtype.kind in "fiub" else str))
            for name, column in table.items()
        },
        {dim: np.asarray(table.index, dtype=str)},
    )
