"""The report as one self-contained web page, made from page.html.jinja and page.css beside this file."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr
from markupsafe import Markup

from glmm_zoo.errors import InputError
from glmm_zoo.inference.said import Words, words_for
from glmm_zoo.report.answer_text import answer_text
from glmm_zoo.report.catalogue import Catalogue, Section
from glmm_zoo.report.certificate import certificate_texts
from glmm_zoo.report.checklist import checklist
from glmm_zoo.report.head import kicker, question
from glmm_zoo.report.methods import methods
from glmm_zoo.report.model_text import model_text
from glmm_zoo.report.page_blocks import Block, Blocks, FoldedBlock, TableBlock, TextBlock, marked, unbroken
from glmm_zoo.report.prior_text import prior_text
from glmm_zoo.report.reproduce import reproduce
from glmm_zoo.report.tables import estimate_tables
from glmm_zoo.results.about import KEY, stored_about
from glmm_zoo.results.estimates_files import stored_estimates
from glmm_zoo.results.figures.svg import DARK, LIGHT, css_variables
from glmm_zoo.results.findings import Finding, findings
from glmm_zoo.results.once import computed_once
from glmm_zoo.results.paper_table import PaperTable
from glmm_zoo.results.replacement import replace_file
from glmm_zoo.results.report.estimates_text import estimates_as_text
from glmm_zoo.results.report.stored import stored_verdicts
from glmm_zoo.results.report.wording import finding_tables
from glmm_zoo.results.storage import metadata, write_metadata
from glmm_zoo.results.verdicts import Verdicts
from glmm_zoo.results.whole_fit import of_a_whole_fit

TEMPLATE, STYLE = "page.html.jinja", "page.css"
PAGE_PARTS = ("Answer", "Estimates", "Verdict", "Model", "Priors", "Checks", "Methods", "Checklist", "Reproduce")
_MOST_ROWS = 60  # of a finding's table; the file has all
_FOLDED = 12  # rows from which on a finding's table is folded
_LOOKS = {"sound": "w", "caution": "y", "unsound": "u"}


@of_a_whole_fit
def write_report(
    tree: xr.DataTree,
    path: str | os.PathLike[str],
    *,
    prob: float = 0.95,
    about: Words | None = None,
    overwrite: bool = False,
) -> Path:
    """Write one HTML file: the answer with its figure, tables, verdict, model, priors, checks. It refers to nothing outside.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    prob
        Probability inside the intervals.
    about
        What is said of the fit in words, in place of what its file says: the fields of `About`, or a TOML file of them. They are on
        the page alone; `update` stores words.

    Raises
    ------
    InputError
        A folder that is not there, an existing file without `overwrite`, a fit that was interrupted, words about columns, levels
        or outcomes that the fit does not have.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"report: folder {str(path.parent)!r} does not exist; make it first")
    if path.exists() and not overwrite:
        raise InputError(
            f"report: {str(path)!r} exists; use --overwrite (overwrite=True) to replace it, or another name"
        )
    if about is not None:
        content = {**metadata(tree), KEY: stored_about(words_for(tree, about))}
        tree = tree.copy()
        write_metadata(tree, content)
        tree["report"] = tree["report"].drop_nodes(
            "verdicts", errors="ignore"
        )  # their sentences are said anew, in these words
    with computed_once(), _uncollected():
        replace_file(path, render(page_content(tree, prob)).encode())
    return path


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's search for cycles of objects, a twentieth of the time of a page, which leaves some 10 MB of them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def render(content: Mapping[str, Any]) -> str:
    """The page: the template filled with `content`; a name that the template wants and the content lacks is an error."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_text_of(TEMPLATE)).render(content)


def _text_of(name: str) -> str:
    """A file beside this one."""
    return files("glmm_zoo.report").joinpath(name).read_text(encoding="utf-8")


def page_content(tree: xr.DataTree, prob: float) -> dict[str, Any]:
    """Everything that the template shows, by the names it uses; figures and tables are numbered in the order of the page."""
    catalogue, blocks = Catalogue(tree, prob=prob), Blocks()
    content, answer = metadata(tree), catalogue.answer
    verdict, model = stored_verdicts(tree), model_text(tree)
    sentence, estimand = answer_text(tree, answer, prob)
    key = next((name for name, entry in catalogue.entries.items() if entry.section == "key"), None)
    asked = question(tree)
    page = {
        "title": asked,
        "kicker": kicker(tree),
        "question": asked,
        "verdict": _strip(verdict),
        "answer": marked(unbroken(_no_answer(verdict) or sentence)),
        "estimand": "" if _no_answer(verdict) else estimand,
        "parts": PAGE_PARTS,
        "key": None if key is None else blocks.figure(catalogue.picture(key), key=True),
        "estimates": list(_estimates(catalogue, blocks)),
        "model": {"words": model.words, "mathml": Markup(model.mathml), "lines": _coded(model.formula_lines)},
        "notes": content["spec"]["notes"],
        "priors": [blocks.table("priors", _priors(tree)), *_figures(catalogue, blocks, "priors")],
        "checks": list(_checks(catalogue, blocks)),
        "methods": methods(tree, answer, prob),
    }
    again = reproduce(tree)
    page["checklist"] = blocks.table("checklist", _checklist(tree, blocks))
    page |= {"command": again.command, "reproduce": again.lines, "footer": _footer(content)}
    return page | {"css": Markup(page_style() + blocks.styles.css())}


def _estimates(catalogue: Catalogue, blocks: Blocks) -> Iterator[Block]:
    """Tables of estimates, then what the builder has of its own, how groups differ, findings, and what was asked of the fit."""
    for name, table in estimate_tables(catalogue.tree, catalogue.answer, catalogue.prob).items():
        block = blocks.table(name, table)
        yield _folded(block, table) if name == "parameters" else block
    told = findings(catalogue.tree, catalogue.prob)
    for section in ("estimates", "groups"):
        yield from _figures(catalogue, blocks, section)
    for name, finding in told.items():
        if not finding.empty:
            yield from _finding(name, finding, blocks)
    stored = stored_estimates(catalogue.tree)
    if stored:
        yield TextBlock("heading", "Asked of this fit")
    for name, estimates in stored.items():
        yield blocks.table(name, estimates_as_text(estimates, about=catalogue.about))
        picture = catalogue.of_stored(estimates)
        if picture is not None:
            yield blocks.figure(picture)


def _figures(catalogue: Catalogue, blocks: Blocks, section: Section) -> Iterator[Block]:
    """The figures of a section, each under its heading where it has one."""
    said = ""
    for name, entry in catalogue.entries.items():
        if entry.section == section:
            if entry.heading not in ("", said):
                yield TextBlock("heading", entry.heading)
                said = entry.heading
            yield blocks.figure(catalogue.picture(name))


def _checks(catalogue: Catalogue, blocks: Blocks) -> Iterator[Block]:
    """The posterior predictive check, open, and further checks, folded; then the calibration of the builder."""
    for name, entry in catalogue.entries.items():
        if entry.section == "checks":
            yield FoldedBlock(entry.heading, (blocks.figure(catalogue.picture(name)),), name == "predictive_check")
    content = metadata(catalogue.tree)
    for text in certificate_texts(content["spec"]["builder"], content["versions"]["glmm-zoo"]):
        yield TextBlock("note", marked(text))


def _finding(name: str, finding: Finding, blocks: Blocks) -> Iterator[Block]:
    """What a finding says, then its tables, the long ones folded."""
    yield TextBlock("heading", finding.title[:1].upper() + finding.title[1:])
    for sentence in finding.sentences:
        yield TextBlock("text", sentence)
    for part, table in finding_tables(finding, _MOST_ROWS).items():
        block = blocks.table(f"{name}/{part}", table)
        yield _folded(block, table) if len(table.rows) > _FOLDED else block


def _folded(block: TableBlock, table: PaperTable) -> FoldedBlock:
    """A table that opens below its caption."""
    return FoldedBlock(f"Table {block.number}: {table.caption}", (block,))


def _strip(verdict: Verdicts) -> dict[str, Any]:
    """The three judgements, and the look of the strip, which is that of the worst."""
    of = (verdict.sampling, verdict.fit, verdict.design)
    states = [judgement.state for judgement in of]
    look = " bad" if states[0] == "unsound" else "" if all(state == "sound" for state in states[:2]) else " warn"
    shown = [(_LOOKS[j.state], j.title, unbroken(" ".join(j.words))) for j in of if j.title]
    return {"unsound": states[0] == "unsound", "look": look, "judgements": shown}


def _no_answer(verdict: Verdicts) -> str:
    """What stands in place of an answer where the draws are not to be trusted."""
    if verdict.sampling.state != "unsound":
        return ""
    return f"No answer yet: the draws of this fit are not to be trusted. {verdict.sampling.sentences[-1]}"


def _priors(tree: xr.DataTree) -> PaperTable:
    """Each prior by the posterior's name, what it allows, why, and whose it is."""
    rows = [
        (
            f"`{p.parameter}`",
            p.prior,
            " ".join(filter(None, (p.allows, p.why, p.origin and f"{p.origin.capitalize()}."))),
        )
        for p in prior_text(tree)
    ]
    return PaperTable.of(
        "Priors in force, by name.", ("Parameter", "Prior", "What it allows, and why"), rows, words=True
    )


def _checklist(tree: xr.DataTree, blocks: Blocks) -> PaperTable:
    """What guidelines ask for, and where the page has it."""
    shown = {part.lower(): part for part in PAGE_PARTS}
    shown |= {name: f"Figure {i + 1}" for i, name in enumerate(blocks.figures)}
    shown |= {name: f"Table {i + 1}" for i, name in enumerate(blocks.tables)}
    rows = [(item.item, item.guideline, item.state, item.where) for item in checklist(tree, shown)]
    headings = ("Item", "Asked by", "State", "Where, or what does it")
    return PaperTable.of("What reporting guidelines ask of such an analysis.", headings, rows, words=True)


def _coded(lines: Iterator[tuple[str, str]] | Any) -> list[tuple[str, Markup]]:
    """Lines of which the formulas are written as code."""
    return [(name, Markup("<code>{}</code>").format(text) if "~" in text else marked(text)) for name, text in lines]


def _footer(content: Mapping[str, Any]) -> str:
    return f"glmm_zoo {content['versions']['glmm-zoo']} · fitted {content['created'][:10]} · one file, works offline"


def page_style() -> str:
    """The style of a page: its colours and the rules of page.css."""
    light, dark = css_variables(LIGHT), css_variables(DARK)
    return (
        f":root{{color-scheme:light dark;{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        f"{_text_of(STYLE)}"
    )
