"""A table of a fit as a paper has it, in words and with all digits, and in a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, check_kind, did_you_mean, listing
from glmm_zoo.report.answer import Answer, answering
from glmm_zoo.report.prior_text import prior_text
from glmm_zoo.report.tables import (
    comparison_groups,
    conditional_groups,
    mean_groups,
    table_of_groups,
    tables_of_answer,
    whose,
)
from glmm_zoo.results import diagnostics
from glmm_zoo.results.about import about_of
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.findings.finding import Finding
from glmm_zoo.results.findings.network import comparison_tables
from glmm_zoo.results.network_slopes import place_words, read_place
from glmm_zoo.results.networks import network_of
from glmm_zoo.results.numbers import nominal, whole, written
from glmm_zoo.results.paper_table import PaperTable
from glmm_zoo.results.replacement import replace_file
from glmm_zoo.results.report.estimates_text import interval_heading
from glmm_zoo.results.report.wording import conditional_words, finding_tables
from glmm_zoo.results.storage import check_target, metadata
from glmm_zoo.results.summary import summary
from glmm_zoo.results.table_forms import FORMS, check_ending, html_table, text_table
from glmm_zoo.results.whole_fit import of_a_whole_fit


@dataclass(frozen=True, repr=False, eq=False)
class FitTable:
    """A table of a fit.

    Attributes
    ----------
    text
        As readers see it: caption, headings, rows of text.
    data
        The same rows with all digits.
    """

    text: PaperTable
    data: pd.DataFrame

    def __repr__(self) -> str:
        return text_table(self.text)

    def _repr_html_(self) -> str:
        return html_table(self.text)


@of_a_whole_fit
def table(
    tree: xr.DataTree, of: str = "estimates", *, prob: float = 0.95, at: Mapping[str, Any] | None = None
) -> FitTable:
    """A table of a fit.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    of
        "league" and "ranks": all pairs, and the order, of the treatments of a network meta-analysis. "estimates": averages over the population and comparisons of the variable that answers the fit's question, then ratios and
        differences at equal group effects, and how groups differ. "means" and "comparisons": what `predictions` and `comparisons`
        give for that variable. "diagnostics": R-hat and effective draws of each parameter. "priors": by name.
    prob
        Probability inside the intervals.
    at
        Of "league" and "ranks" where effects change with covariates: their values, by name, and of "baseline", the risk or rate under the
        reference; means of the studies, where they are not given.

    Raises
    ------
    InputError
        Another table; comparisons of a fit without covariates, means of a meta-analysis.
    """
    known = (*TABLES, *NETWORK_TABLES)
    if of not in known:
        raise InputError(f"there is no table {of!r}{did_you_mean(str(of), known) or ';'} tables: {listing(known)}")
    if of in NETWORK_TABLES:
        return _of_network(tree, of, prob, at)
    if at is not None:
        raise InputError(
            f"at= is of the tables {listing(NETWORK_TABLES)} of a network_meta_analysis; ask for comparisons(tree, ..., at=...)"
        )
    return TABLES[of](tree, prob)


def write_table(table: FitTable, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a table to a file in the form that its ending says, and return its path.

    .csv is the data with all digits; .html, .tex (for the package booktabs), .docx and .md are for readers.

    Raises
    ------
    InputError
        Another ending, or a target that cannot be written.
    """
    check_kind("write_table", table, "FitTable")
    path = check_table_target(path, overwrite=overwrite)
    ending = path.suffix.lower()
    replace_file(path, table.data.to_csv(index=False).encode() if ending == ".csv" else FORMS[ending](table.text))
    return path


def check_table_target(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """The path, when a table can be written there.

    Raises
    ------
    InputError
        An ending for which there is no form, and all that `check_target` refuses.
    """
    check_ending(path, (".csv", *FORMS))
    return check_target(path, overwrite=overwrite)


def _of_estimates(tree: xr.DataTree, prob: float) -> FitTable:
    answer, about = answering(tree, prob=prob), about_of(tree)
    averaged = [*mean_groups(tree, answer), *comparison_groups(tree, answer)]
    groups = [*averaged, *conditional_groups(tree, summary(tree, prob=prob))]
    first = "Estimates"
    if averaged:
        of = "" if answer.variable is None else f" for {about.name(answer.variable)}"
        first = f"Estimates{of}, population-averaged{whose(tree, about, answer)}; then"
    caption = f"{first} {conditional_words(metadata(tree)['spec'])}. Medians with {nominal(prob)} intervals."
    text = table_of_groups(caption, ("", "Estimate", interval_heading(prob)), groups)
    frames = [
        group.rows.drop(columns="p", errors="ignore").assign(heading=group.title, label=group.labels, name=group.names)
        for group in groups
    ]
    data = pd.concat(frames, ignore_index=True)
    return FitTable(text, data[["heading", "label", "name", *data.columns.drop(["heading", "label", "name"])]])


def _asked(what: str) -> Callable[[xr.DataTree, float], FitTable]:
    """Estimates of the variable that answers, in the words of the page."""

    def made(tree: xr.DataTree, prob: float) -> FitTable:
        answer: Answer = answering(tree, prob=prob)
        estimates: Estimates | None = getattr(answer, what)
        text = tables_of_answer(tree, answer, prob).get(what)
        if estimates is None or text is None:
            raise InputError(f"this fit has no {what} of a variable that answers its question; ask for of='estimates'")
        return FitTable(
            replace(text, caption=f"{text.caption} Medians with {nominal(prob)} intervals."), estimates.table
        )

    return made


def _of_diagnostics(tree: xr.DataTree, prob: float) -> FitTable:
    del prob
    rows = diagnostics.check(tree).table
    columns = {
        "R-hat": [written(v, 3) for v in rows["r_hat"]],
        **{f"ESS, {part}": [whole(v) for v in rows[f"ess_{part}"]] for part in ("bulk", "tail")},
        "MCSE / sd": [written(v, 3) for v in rows["mcse_mean"] / rows["sd"]],
    }
    cells = zip(map(str, rows.index), *columns.values(), strict=True)
    caption = "Convergence: R-hat, effective draws of the middle and of the tails, Monte Carlo error of the mean in standard deviations."
    text = PaperTable.of(caption, ("Parameter", *columns), list(cells))
    return FitTable(text, rows.rename_axis("parameter").reset_index())


def _of_priors(tree: xr.DataTree, prob: float) -> FitTable:
    del prob
    told = prior_text(tree)
    rows = [(p.parameter, p.prior, p.allows) for p in told]
    text = PaperTable.of(
        "Priors, by the name of the parameter.", ("Parameter", "Prior", "What it allows"), rows, words=True
    )
    return FitTable(text, pd.DataFrame([vars(p) for p in told]))


def _of_network(tree: xr.DataTree, of: str, prob: float, at: Mapping[str, Any] | None) -> FitTable:
    """All pairs, as a league table where treatments are not too many, or ranks."""
    spec = metadata(tree)["spec"]
    if spec["builder"] != "network_meta_analysis":
        raise InputError("a league table is of a network_meta_analysis; ask for of='comparisons'")
    if spec["options"]["consistency"] == "ume":
        raise InputError("unrelated mean effects have no league table; fit with consistency='consistency'")
    network = network_of(tree)
    place = read_place(network, at)
    tables = comparison_tables(tree, network, prob, place)
    name = of if of in tables else "pairs"
    where = place_words(tree, network, place)
    found = Finding(f"comparisons of all treatments{f' at {where}' if where else ''}", (), tables)
    texts = finding_tables(found, len(tables[name]))
    return FitTable(texts[name], tables["pairs" if of == "league" else of].reset_index())


NETWORK_TABLES = ("league", "ranks")
TABLES: dict[str, Callable[[xr.DataTree, float], FitTable]] = {
    "estimates": _of_estimates,
    "means": _asked("means"),
    "comparisons": _asked("comparisons"),
    "diagnostics": _of_diagnostics,
    "priors": _of_priors,
}
