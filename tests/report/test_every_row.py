"""The page, the figures, the tables and the terminal's report of every structure of models, of fits that are as short as can be."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from rich.console import Console
from rows import ROWS, gaps, patients, ratings, visits

import glmm_zoo as zoo
from glmm_zoo.report.answer_text import answer_text
from glmm_zoo.report.catalogue import Catalogue
from glmm_zoo.report.fit_table import NETWORK_TABLES, TABLES
from glmm_zoo.report.terminal import full_report
from tests.report.parsed import Node, parsed
from tests.report.test_page import check_figures, check_tables

WRONG = re.compile(r"\b(?:None|nan|NaN|inf)\b|zi_gen|__|−−|(?<!\.)\.\.(?!\.)|\(\)|,,|\b([A-Za-z]+) \1\b")
FAST = (
    "binomial, offset, no intercept", "wedge, monotone", "meta, rates", "ordinal, nominal", "never at risk, occupancy",
    "joint, residuals",
)  # fmt: skip


def subjects() -> pd.DataFrame:
    """A row for each subject of `patients`, with a column that its visits lack."""
    of_subject = patients().groupby("id").first().reset_index()[["id", "years", "death", "drug"]]
    return of_subject.assign(stage=np.array(["I", "II", "III"])[np.arange(len(of_subject)) % 3])


def exploding() -> pd.DataFrame:
    """Counts over a number with a long tail, at whose end what the model expects is absurd."""
    rng = np.random.default_rng(5)
    x = rng.exponential(1.0, 120) ** 3
    return pd.DataFrame({"c": rng.poisson(np.exp(1 + 0.1 * np.minimum(x, 20))), "x": x, "g": np.arange(120) % 8})


MADE: dict[str, Callable[[], Any]] = {
    "no covariate": lambda: zoo.hierarchical_logistic(visits(), "ill ~ 1 + (1 | g)"),
    "surface": lambda: zoo.gamm(visits(), "y ~ t2(x, w, k=4) + (1 + x | g)"),
    "two markers": lambda: zoo.joint_survival(
        patients(), subjects(), ["y ~ time + (1 | id)", "ill ~ time + (1 | id)"], families="gaussian, bernoulli",
        event="Surv(years, death) ~ stage",
    ),
    "long tail": lambda: zoo.poisson(exploding(), "c ~ x + (1 | g)"),
}  # fmt: skip
MADE_SLOW: dict[str, Callable[[], Any]] = {
    "no covariate, categories": lambda: zoo.ordinal(ratings(), "rating ~ 1 + (1 | g)"),
    "no covariate, counts": lambda: zoo.zero_inflated_poisson(visits(), "c ~ 1 + (1 | g)"),
    "no covariate, outcomes": lambda: zoo.joint_outcomes(
        gaps(), ["ill ~ 1 + (1 |p| g)", "c ~ 1 + (1 |p| g)"], families="bernoulli, poisson"
    ),
    "no covariate, event": lambda: zoo.joint_survival(
        patients(), subjects(), "y ~ 1 + (1 | id)", event="Surv(years, death) ~ 1"
    ),
    "many levels": lambda: zoo.hierarchical_linear(
        visits().assign(f=lambda d: [f"L{i:02d}" for i in d.index % 30]), "y ~ f * x"
    ),
    "logicals": lambda: zoo.hierarchical_logistic(visits().assign(flag=lambda d: d["sex"] == "f"), "flag ~ x * w"),
}


@functools.cache
def short_fit(name: str) -> xr.DataTree:
    """A fit of a row, or of another model."""
    made = {**MADE, **MADE_SLOW}
    model = made[name]() if name in made else row_models.model_of(name)
    keep: Any = "moments" if name == "surface" else "auto"
    return zoo.fit(model, draws=60, tune=100, chains=2, thin=1, seed=1, keep_group_effects=keep, progress=False)


def structures() -> Any:
    fast = [*FAST, *MADE]
    slow = [*(row.name for row in ROWS if row.name not in FAST), *MADE_SLOW]
    return pytest.mark.parametrize("name", [*fast, *(pytest.param(name, marks=pytest.mark.slow) for name in slow)])


@structures()
def test_every_structure_has_a_report(name: str, tmp_path: Path) -> None:
    tree = short_fit(name)
    catalogue = Catalogue(tree)
    root = parsed(zoo.write_report(tree, tmp_path / "page.html").read_text(encoding="utf-8"))
    ids = [n.attributes["id"] for n in root.every() if "id" in n.attributes]
    assert len(ids) == len(set(ids))
    check_tables(root)
    check_figures(root, ids, key=any(entry.section == "key" for entry in catalogue.entries.values()))
    words = [*answer_text(tree, catalogue.answer), *_texts(root.all("body")[0])]
    for figure, entry in catalogue.entries.items():
        if entry.section == "asked":
            picture = catalogue.picture(figure)
            words += [picture.caption, picture.alt]
            for width in (720, 343):
                plt.close(picture.figure(width))
    wrong = [(found[0], text) for text in words if (found := WRONG.search(text))]
    assert not wrong


def _texts(node: Node) -> list[str]:
    """The texts of a page that readers see or hear."""
    found = [n.attributes["aria-label"] for n in node.every() if "aria-label" in n.attributes]
    leaves = ("p", "h1", "h2", "h3", "figcaption", "caption", "th", "td", "text", "summary", "dd")
    return [*found, *(n.text for n in node.every() if n.tag in leaves)]


@structures()
def test_every_structure_has_tables_and_a_report_in_the_terminal(name: str, tmp_path: Path) -> None:
    tree = short_fit(name)
    answer = Catalogue(tree).answer
    for of in (*TABLES, *(NETWORK_TABLES if name.startswith("network") else ())):
        if of in ("means", "comparisons") and getattr(answer, of) is None:
            continue
        made = zoo.table(tree, of)
        assert len(made.data) and not any(WRONG.search(cell) for row in made.text.rows for cell in row.texts)
        for ending in (".md", ".csv", ".tex", ".html", *([".docx"] if of == "estimates" else [])):
            assert zoo.write_table(made, tmp_path / f"{of}{ending}").stat().st_size
    console = Console(width=100)
    with console.capture() as shown:
        console.print(*full_report(tree))
    assert not re.search(r"\bNone\b|zi_gen|no averages over the population", shown.get())
    assert len(zoo.sensitivity(tree).table)


def test_means_are_told_where_the_data_are() -> None:
    answer = Catalogue(short_fit("long tail")).answer
    low, high = np.quantile(exploding()["x"], [0.025, 0.975])
    assert answer.means is not None
    values = answer.means.table["x"]
    assert len(values) > 20 and values.is_unique
    assert values.min() == pytest.approx(low, abs=0.1) and values.max() == pytest.approx(high, abs=0.1)


def test_words_are_given_to_a_report_alone(tmp_path: Path) -> None:
    """Here of a variable that only the table of the events has."""
    tree = short_fit("two markers")
    before = dict(tree.attrs)
    about = tmp_path / "about.toml"
    about.write_text(
        'of = "stage"\ncontrol = "II"\n[levels.stage]\nIII = "the third"\n[outcomes.ill]\noutcome = "relapse"\n'
    )
    page = zoo.write_report(tree, tmp_path / "page.html", about=about).read_text(encoding="utf-8")
    texts = _texts(parsed(page).all("main")[0])
    assert any("the third" in text for text in texts) and any("relapse" in text for text in texts)
    assert tree.attrs == before


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        ({"of": "stge"}, "about: of: the model has no variable 'stge'; did you mean 'stage'?"),
        ({"of": "stage", "control": "IV"}, "about: control: 'stage' has no level 'IV'"),
        ({"levels": {"stage": {"IV": "last"}}}, "about: levels: 'stage' has no level 'IV'"),
        ({"outcomes": {"event": {"unit": "m"}}}, "about: outcomes: the model has no outcome 'event'; outcomes: y, ill"),
        ({"label": ["ward"]}, "about: label: the file holds no column 'ward'"),
        ({"question": 3}, "about: Expected `str`, got `int` - at `$.question`"),
    ],
)
def test_words_about_nothing_are_refused(about: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(zoo.InputError, match=re.escape(sentence)):
        zoo.write_report(short_fit("two markers"), tmp_path / "page.html", about=about)
    assert not any(tmp_path.iterdir())
