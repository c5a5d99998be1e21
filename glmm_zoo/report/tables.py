"""The tables of a paper: what the model expects, averaged and compared, then ratios at equal group effects, and how groups differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import listing
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.report.answer import Answer
from glmm_zoo.report.imputed import missing_table
from glmm_zoo.report.parts import joined, read_parts
from glmm_zoo.report.serial_words import process_label
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.estimates import NUMBER_NEEDED, Estimates
from glmm_zoo.results.figures.effects import LOGARITHMS, coefficient_words, predictor_words
from glmm_zoo.results.figures.estimated import amount_of, when
from glmm_zoo.results.figures.group_effect_words import effect_words
from glmm_zoo.results.figures.value_words import comparison_words, row_words, value_words
from glmm_zoo.results.findings import findings
from glmm_zoo.results.imputations import imputed_tables
from glmm_zoo.results.network_slopes import slope_words
from glmm_zoo.results.numbers import NONE, Scale, probability, whole, written
from glmm_zoo.results.paper_table import PaperRow, PaperTable
from glmm_zoo.results.report.estimates_text import UNITS, estimate_cells, interval_heading
from glmm_zoo.results.report.stored import summary_of
from glmm_zoo.results.report.wording import EQUAL_EFFECTS, INTERVAL, conditional_words, equal_words
from glmm_zoo.results.storage import metadata, outcome_specs, sd_at_means, stratum_of
from glmm_zoo.results.structures import effects_of_element

MOST_VALUES = 6  # of a number, at which means are given
_HEAD = ("", "Estimate")
_MEASURES = {"difference": "{} difference", "ratio": "{} ratio", "odds_ratio": "Odds ratio, population-averaged", NUMBER_NEEDED: "Number needed to treat", "better": "Probability of a higher score", "rmst": "Difference of the mean time free of the event"}  # fmt: skip
_CORRELATIONS = ("corr", "propensity_correlation", "response_correlation", "cac", "iac", "rho", "ar1")
_RATIOS = {
    "odds_ratio": f"Odds ratio, {EQUAL_EFFECTS}", "odds_ratio_new": f"Odds ratio, {EQUAL_EFFECTS}",
    "ratio_of_means": f"Ratio of means, {EQUAL_EFFECTS}",
    "rate_ratio": f"Rate ratio, {EQUAL_EFFECTS}", "rate_ratio_new": f"Rate ratio, {EQUAL_EFFECTS}",
    **{f"{part}_ratio": f"Ratio of {words}s, {EQUAL_EFFECTS}" for part, words in LOGARITHMS.items()},
    "hazard_ratio": f"Hazard ratio, {EQUAL_EFFECTS}", "time_ratio": f"Ratio of times, {EQUAL_EFFECTS}",
    "surv_hazard_ratio": "Hazard ratio of the event, at an equal marker", "assoc_hazard_ratio": "Hazard ratio for one unit more of the marker",
    "assoc_hazard_ratio_per_sd": "Hazard ratio for one standard deviation more of the marker",
}  # fmt: skip
_BETWEEN = {
    "icc": "Intraclass correlation, latent scale", "median_odds_ratio": "Median odds ratio of two groups",
    "median_rate_ratio": "Median rate ratio of two groups", "median_ratio_of_means": "Median ratio of means of two groups",
    "median_hazard_ratio": "Median hazard ratio of two groups", "median_time_ratio": "Median ratio of times of two groups",
    "propensity_correlation": "Correlation of the propensities for two outcomes",
    **dict.fromkeys(("icc_within_period", "icc_between_period"), "Intraclass correlation, latent scale, under control"),
    **dict.fromkeys(("cac", "iac"), "Autocorrelations"),
}  # fmt: skip
_LABELS = {
    "odds_ratio": "mean trial", "rate_ratio": "mean trial", "odds_ratio_new": "a new trial", "rate_ratio_new": "a new trial",
    "icc_within_period": "same period", "icc_between_period": "two periods", "cac": "of clusters", "iac": "of individuals",
    "nnt": "mean trial", "risk_difference": "mean trial", "rate_difference": "mean trial", "tau": "trials, after covariates",
}  # fmt: skip
_SCALES: dict[str, Scale] = {"icc": "icc", "nnt": "nnt", "rank": "nnt", "risk_difference": "points", "share": "risk"}


@dataclass(frozen=True)
class TableRows:
    """Rows of a table under one heading.

    Attributes
    ----------
    title
        With the unit.
    labels, names
        Of the rows in words, and in the summary ("" of what it does not have).
    rows
        Median, lower and upper of each, on the scale of the draws; with `p`, where it is of an effect, and `mcse`.
    scale
        How they are written.
    """

    title: str
    labels: Sequence[str]
    names: Sequence[str]
    rows: pd.DataFrame
    scale: Scale

    def cells(self) -> list[tuple[str, str]]:
        """Estimate and interval of each row."""
        triples = list(map(tuple, self.rows[INTERVAL].to_numpy(float)))
        scales: list[Scale] = [self.scale] * len(triples)
        return estimate_cells(triples, scales, np.nan_to_num(self.rows["mcse"]).tolist())


# ---------------------------------------------------------------------------------------------------- what the page has


def estimate_tables(tree: xr.DataTree, answer: Answer, prob: float = 0.95) -> dict[str, PaperTable]:
    """The tables of estimates by name, in the order of the page.

    "means" and "comparisons" of the variable that answers, averaged over the population, "conditional" at equal group effects, and
    "parameters" of the model, and "missing" what the gaps of imputed tables cost; a fit has not all of them.
    """
    found, rows = tables_of_answer(tree, answer, prob), summary_of(tree, prob)
    conditional = list(conditional_groups(tree, rows))
    if conditional:
        caption = f"Conditional estimates: {conditional_words(metadata(tree)['spec'])}."
        found["conditional"] = table_of_groups(caption, (*_HEAD, interval_heading(prob)), conditional)
    found["parameters"] = parameter_table(tree, rows, prob)
    if imputed_tables(tree):
        found["missing"] = missing_table(tree)
    return found


def tables_of_answer(tree: xr.DataTree, answer: Answer, prob: float = 0.95) -> dict[str, PaperTable]:
    """ "means" and "comparisons" of the variable that answers."""
    about, head = about_of(tree), (*_HEAD, interval_heading(prob))
    found: dict[str, PaperTable] = {}
    means = list(mean_groups(tree, answer))
    if means:
        found["means"] = table_of_groups(f"Population-averaged estimates{whose(tree, about, answer)}.", head, means)
    compared = list(comparison_groups(tree, answer))
    if compared:
        found["comparisons"] = _compared(tree, answer, about, head, compared)
    return found


def table_of_groups(
    caption: str, head: Sequence[str], groups: Sequence[TableRows], *, named: bool = False
) -> PaperTable:
    """The groups below each other, each under its heading; `named` has the names in the summary in a last column."""
    rows: list[PaperRow] = []
    for group in groups:
        rows.append(PaperRow(group.title))
        told = zip(group.labels, group.cells(), group.names, strict=True)
        rows += [PaperRow(label, (*cells, *([name] if named else []))) for label, cells, name in told]
    return PaperTable(caption, tuple(head), tuple(rows))


def _compared(
    tree: xr.DataTree, answer: Answer, about: About, head: Sequence[str], groups: Sequence[TableRows]
) -> PaperTable:
    """Comparisons with the probability of the good direction, where it is known, else of a higher value."""
    assert answer.variable is not None
    lower = about.good == "lower"
    caption = f"Population-averaged comparisons of {about.name(answer.variable)}{whose(tree, about, answer)}."
    plain = table_of_groups(caption, head, groups)
    p = iter([p for group in groups for p in group.rows["p"]])
    rows = [
        row if row.heading else PaperRow(row.label, (*row.cells, _probability(next(p), lower))) for row in plain.rows
    ]
    return PaperTable(
        plain.caption, (*head, f"P({'lower' if lower else 'higher'})"), tuple(rows), _of_numbers_needed(answer)
    )


def _probability(p: float, lower: bool) -> str:
    return NONE if np.isnan(p) else probability(1 - p if lower else p)


def _of_numbers_needed(answer: Answer) -> str:
    """Why some comparisons have no number needed to treat."""
    assert answer.comparisons is not None
    table = answer.comparisons.table
    without = ((table["measure"] == NUMBER_NEEDED) & table["median"].isna()).any()
    return "No number needed to treat is given where the interval of the difference includes zero." if without else ""


def whose(tree: xr.DataTree, about: About, answer: Answer) -> str:
    """ " in the population of herds", with the values that other columns have."""
    parts = read_parts(tree)
    groups = [parts.group_plural(tuple(name.split(":"))) for name in parts.groups]
    words = f" in the population of {joined(groups)}" if groups and metadata(tree)["spec"]["groups"] else ""
    at = listing(value_words(about, name, value) for name, value in answer.at.items())
    return f"{words}, with {at}" if at else words


# ----------------------------------------------------------------------------------------------------- groups of rows


def mean_groups(tree: xr.DataTree, answer: Answer) -> Iterator[TableRows]:
    """Averages at the values of the variable that answers, those of each outcome and of each scale under a heading."""
    about = about_of(tree)
    for estimates in filter(None, (answer.means, *answer.further.values())):
        for measure, outcome, rows in _parts(estimates):
            if answer.numeric:
                rows = _some_values(estimates.table, rows, str(answer.variable))
            amount, scale = amount_of(tree, about, measure, outcome), estimates.scales[rows[0]]
            yield _group(about, estimates, rows, _with_unit(amount.title + when(tree, about, estimates), scale))


def comparison_groups(tree: xr.DataTree, answer: Answer) -> Iterator[TableRows]:
    """Comparisons of the variable that answers, those of each measure under a heading."""
    if answer.comparisons is None:
        return
    about, table = about_of(tree), answer.comparisons.table
    for measure, outcome, rows in _parts(answer.comparisons):
        told = [row for row in rows if pd.notna(table["median"].iloc[row])]
        if not told:
            continue
        amount = amount_of(tree, about, "mean", outcome)
        own = table[table["outcome"] == outcome] if outcome else table
        shares = NUMBER_NEEDED in set(own["measure"])
        kind = "risk" if shares else amount.words.split(" of ")[0]
        words = _MEASURES.get(measure, measure).format(kind[:1].upper() + kind[1:])
        if "{}" in _MEASURES.get(measure, "") and kind not in ("risk", "rate"):
            words = f"{measure.capitalize()} of the {amount.words}"
        name = about.outcome_of(outcome).outcome or outcome if outcome else ""
        words = words.replace(",", f" of {name},") if name and "," in words else words
        unit = f", {amount.unit}" if amount.unit and measure == "difference" else ""
        of = f" of {name}" if name and f" {name}" not in words else ""
        title = words + of + when(tree, about, answer.comparisons, measure) + unit
        yield _group(about, answer.comparisons, told, _with_unit(title, answer.comparisons.scales[told[0]]))


def _parts(estimates: Estimates) -> Iterator[tuple[str, str | None, list[int]]]:
    """Measure, outcome (None of a single one) and rows of what stands under one heading."""
    table = estimates.table
    columns = ["measure", *(["outcome"] if "outcome" in table else [])]
    for key, rows in table.groupby(columns, sort=False, dropna=False).indices.items():
        measure, outcome = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
        yield str(measure[0] if isinstance(measure, tuple) else measure), outcome, list(map(int, rows))


def _some_values(table: pd.DataFrame, rows: Sequence[int], variable: str) -> list[int]:
    """The rows of at most `MOST_VALUES` values of a number, from its lowest to its highest."""
    values = np.unique(table[variable].to_numpy(float)[rows])
    kept = values[np.unique(np.linspace(0, len(values) - 1, MOST_VALUES).round().astype(int))]
    return [row for row in rows if float(table[variable].iloc[row]) in kept]


def _group(about: About, estimates: Estimates, rows: Sequence[int], title: str) -> TableRows:
    table = estimates.table.iloc[list(rows)]
    labels = [
        words or "averaged over all rows"
        for words in row_words(table[[c for c in estimates.of if c != "outcome"]], about)
    ]
    if "note" in table:
        labels = [
            f"{label}, {_to_what(note, about)}" if note else label
            for label, note in zip(labels, table["note"], strict=True)
        ]
    shown = table[[*INTERVAL, "mcse"]].assign(p=table["p_positive"])
    return TableRows(title, labels, [""] * len(table), shown, estimates.scales[rows[0]])


def _to_what(note: str, about: About) -> str:
    """Whether a number needed to treat is one of benefit or of harm, if it was said which direction is good."""
    fewer = "fewer" in note
    if about.good is None:
        return f"for one event {'fewer' if fewer else 'more'}"
    return "to benefit" if fewer == (about.good == "lower") else "to harm"


def _with_unit(title: str, scale: Scale) -> str:
    return f"{title}, {UNITS[scale]}" if scale in UNITS else title


def conditional_groups(tree: xr.DataTree, rows: pd.DataFrame) -> Iterator[TableRows]:
    """What the summary `rows` has at equal group effects, then how groups differ."""
    about, spec = about_of(tree), metadata(tree)["spec"]
    meanings = {
        name: words for finding in findings(tree, checks=False).values() for name, words in finding.meanings.items()
    }
    rows = rows[[not _far_beyond(rows, str(name)) for name in rows.index]]
    bases = list(rows.index.str.split("[").str[0])
    found: dict[tuple[bool, str], list[str]] = {}
    for name, base in zip(rows.index, bases, strict=True):
        key = _of_groups(base, spec, about) or _at_equal_effects(base, spec, about, meanings, bases)
        if key:
            found.setdefault(key, []).append(str(name))
    for (_, title), names in sorted(found.items(), key=lambda item: item[0][0]):
        shown = rows.loc[names, [*INTERVAL, "mcse_mean"]].rename(columns={"mcse_mean": "mcse"})
        scale = scale_of(names[0])
        yield TableRows(_with_unit(title, scale), [_label(name, about, spec) for name in names], names, shown, scale)


def _far_beyond(rows: pd.DataFrame, name: str) -> bool:
    """Whether a rate at zero covariates is of another world than that at their means: zero is far outside the data."""
    at_means = name.replace("at zero]", "at means]")
    if at_means == name or at_means not in rows.index:
        return False
    return not 1e-3 < rows.loc[name, "median"] / rows.loc[at_means, "median"] < 1e3


def _of_groups(base: str, spec: Mapping[str, Any], about: About) -> tuple[bool, str] | None:
    """The heading of a variable that says how groups differ; of effects with slopes those at the means of their columns."""
    groups = list(spec["groups"].values())
    corr = [g.get("at_means", {}).get("corr", g["sd"].replace("sd_", "corr_", 1)) for g in groups]
    links = {of["link"] for of in outcome_specs(spec).values()}
    scale = f", {links.pop().replace('_', ' ')} scale" if len(links) == 1 and links != {"identity"} else ""
    moved = {g["at_means"].get(what, "") for g in groups if g.get("at_means") for what in ("sd", "corr")}
    where = ", at the means of the columns of slopes" if base in moved else ""
    if base in map(sd_at_means, groups) or base == "tau":
        return True, f"Standard deviations between groups{scale}{where}"
    if base in [g.get("df") for g in groups]:
        return True, "Degrees of freedom of Student-t group effects"
    if base in corr:
        return True, f"Correlations of group effects{where}"
    process = next((g["process"] for g in groups if g.get("process", {}).get("parameter") == base), None)
    if process is not None:
        return True, "Autocorrelations of one step" if process["kind"] == "ar1" else "Ranges of correlation over time"
    known = next((n for n in _BETWEEN if base == n or base.endswith(f"_{n}")), "")
    of = base.removesuffix(known).removesuffix("_")
    return (True, f"{_BETWEEN[known]}{f', {predictor_words(spec, of, about)}' if of else ''}") if known else None


def _at_equal_effects(
    base: str, spec: Mapping[str, Any], about: About, meanings: Mapping[str, str], bases: Sequence[str]
) -> tuple[bool, str] | None:
    """The heading of a ratio, of a coefficient that is a difference, and of what a finding has derived."""
    causes = [p for p, link in spec["links"].items() if link == "log_hazard"]
    prefix = next((p for p in (*outcome_specs(spec), *causes) if p and base.startswith(f"{p}_")), "")
    lead = f"{prefix}_" if prefix else ""
    of = f" of {about.outcome_of(prefix).outcome or prefix}" if prefix else ""
    own = base.removeprefix(lead)
    if own in _RATIOS:
        where = " where disc is 1" if own == "odds_ratio" and f"{lead}disc" in spec["formulas"] else ""
        return False, _RATIOS[own].replace(EQUAL_EFFECTS, equal_words(spec)).replace(",", f"{of},") + where
    if own == "beta" and not {f"{lead}{ratio}" for ratio in _RATIOS} & set(bases):
        unit = about.outcome_of(prefix).unit
        return False, f"Difference{of}{f', {unit}' if unit else ''}"
    if base.endswith("odds_ratio"):
        return False, f"Odds ratio of {predictor_words(spec, base.removesuffix('_odds_ratio'), about)}"
    if own == "sigma":
        return True, f"Residual standard deviation{of}"
    meaning = meanings.get(base, "").split(";")[0]
    return (False, meaning[:1].upper() + meaning[1:]) if meaning else None


def _label(name: str, about: About, spec: Mapping[str, Any]) -> str:
    """ "quarter 4" of "odds_ratio[period[4]]", "herd" of "icc[herd]", "herd, slope of age" of "sd_herd[age]"."""
    base, _, inside = name.partition("[")
    inside = inside.removesuffix("]")
    of_factor = re.match(r"(?:(.*)_)?(?:sd|corr)_(.+?)(?:_at_means)?$", base)
    if of_factor:
        predictor, factor = of_factor.groups()
        group = spec["groups"].get(prefixed(predictor or "", factor), {})
        stratum, inside = stratum_of(group, inside)
        effects = [
            effect_words(spec, e, [*outcome_specs(spec), *spec["formulas"], *spec["links"]], about)
            for e in effects_of_element(group, inside)
        ]
        of = f"{predictor_words(spec, predictor, about)}: " if predictor else ""
        where = f" in {about.level(group['by']['column'], stratum)}" if stratum else ""
        return f"{coefficient_words(about, factor)}{where}, {of}{' and '.join(effects)}"
    if base == "propensity_correlation":
        factor, _, outcomes = inside.partition(": ")
        return f"{coefficient_words(about, factor)}: {' and '.join(predictor_words(spec, of, about) for of in outcomes.split(', '))}"
    if inside and spec["builder"] == "network_meta_analysis":
        return _network_label(base, inside, about, spec)
    if base == "sigma" and inside:
        return f"{about.name(str(spec['facts']['visit']))} {inside}"
    if inside:
        return coefficient_words(about, inside)
    if any(g.get("process", {}).get("parameter") == base for g in spec["groups"].values()):
        return process_label(spec, base, about)
    if base.endswith("sigma"):
        return "residual"
    of_df = next((name for name, g in spec["groups"].items() if g.get("df") == base), "")
    if of_df:
        return coefficient_words(about, of_df)
    return _LABELS.get(base, base.replace("_", " "))


def _network_label(base: str, inside: str, about: About, spec: Mapping[str, Any]) -> str:
    """ "B vs A, new study" of "odds_ratio_new[B vs A]", "B" of "rank[B]", "one more of age" of "odds_ratio[age]"."""
    if base != "rank" and inside in spec["facts"].get("slopes", ()):
        return f"one more of {slope_words(spec, about, inside)}"
    told = value_words if base == "rank" else comparison_words
    return f"{told(about, spec['options']['treatment'], inside, short=True)}{', new study' if base.endswith('_new') else ''}"


def scale_of(name: str) -> Scale:
    """How a row of the summary is written."""
    base = name.split("[")[0]
    if "ratio" in base:
        return "ratio"
    if base.startswith(_CORRELATIONS):
        return "correlation"
    known: Iterator[Scale] = (
        scale
        for word, scale in _SCALES.items()
        if base == word or base.startswith(f"{word}_") or base.endswith(f"_{word}")
    )
    return next(known, None) or "number"


def parameter_table(tree: xr.DataTree, rows: pd.DataFrame, prob: float) -> PaperTable:
    """The model's own parameters, in the names of the summary."""
    own = rows[rows.index.str.split("[").str[0].isin([str(name) for name in tree["posterior"].data_vars])]
    scales: list[Scale] = [scale_of(str(name)) for name in own.index]
    cells = estimate_cells(list(map(tuple, own[INTERVAL].to_numpy(float))), scales, own["mcse_mean"].tolist())
    told = [
        (str(name), *texts, whole(min(row["ess_bulk"], row["ess_tail"])), written(row["r_hat"], 3))
        for (name, row), texts in zip(own.iterrows(), cells, strict=True)
    ]
    head = ("Parameter", "Estimate", interval_heading(prob), "ESS", "R-hat")
    return PaperTable.of("The model's own parameters, on the scale of the linear predictor.", head, told)
