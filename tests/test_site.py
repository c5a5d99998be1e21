"""The site of the documentation: each public name, builder and command has an entry and an example that runs, links lead somewhere, and
nothing comes from a network."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import glmm_zoo as zoo
from tests.report.browser import headless_chromium, opened

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted((DOCS / "reference").glob("*.md"))
sys.path.append(str(DOCS / "_ext"))
docstrings, reference = import_module("docstrings"), import_module("reference")


def python_of(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def entries_with_examples(text: str) -> set[str]:
    """The names whose entry is followed by lines of Python before the next heading; those of a function call it."""
    parts = re.split(r"^#+ ", text, flags=re.MULTILINE)
    named = [(name, "\n".join(python_of(part))) for part in parts for name in reference.ENTRY.findall(part)]
    return {name for name, code in named if code and (name[0].isupper() or f"zoo.{name}(" in code)}


# ----------------------------------------------------------------------------------------------- entries and examples


def test_every_public_name_has_one_entry_and_an_example() -> None:
    texts = [page.read_text() for page in PAGES]
    named = [name for text in texts for name in reference.ENTRY.findall(text)]
    assert sorted(named) == sorted(zoo.__all__)
    assert {name for text in texts for name in entries_with_examples(text)} == set(zoo.__all__)


def test_a_name_without_an_example_is_seen() -> None:
    page = "## fit\n<!-- entry: fit -->\n```python\nzoo.fit(m)\n```\n## quick\n<!-- entry: quick -->\n## load\n<!-- entry: load -->\n```python\nzoo.save(t)\n```\n"
    assert entries_with_examples(page) == {"fit"}


def test_every_command_has_an_example_of_itself() -> None:
    assert len(reference.commands()) > 20
    for name, app in reference.commands().items():
        assert f"glmm-zoo {name}" in docstrings.example_of(app.default_command.__doc__)


def test_a_docstring_as_markdown() -> None:
    doc = """Sum a_i * b_<g>, as in `fit`.

        y = *x*

    Parameters
    ----------
    a, b
        Numbers [0, 1]; `c_<g>` stays.

        A second paragraph.

    Returns
    -------
    A number
    in two lines.

    Examples
    --------
    glmm-zoo fit a
    """
    told = docstrings.markdown_of(doc, {"fit": "fitting.md#fit"})
    assert told.startswith(
        "Sum a_i \\* b\\_\\<g\\>, as in [`fit`](fitting.md#fit).\n\n```text\ny = *x*\n```\n\n**Parameters**"
    )
    assert (
        "`a`, `b`\n: Numbers \\[0, 1\\]; `c_<g>` stays.\n\n  A second paragraph.\n\n**Returns**\n\nA number\nin two lines."
        in told
    )
    assert "glmm-zoo" not in told and docstrings.example_of(doc) == "glmm-zoo fit a"


def test_the_function_builders_stays_where_it_is() -> None:
    """Importing a builder makes the package of builders an attribute of the same name, which would hide the function."""
    assert zoo.poisson and "poisson" in zoo.builders()


def follow(command: list[str] | str, folder: Path, *, fine: tuple[int, ...] = (0,)) -> str:
    environment = (
        f"PATH={shlex.quote(str(folder / 'bin'))}:$PATH; export PYTHONPATH={shlex.quote(str(ROOT))} MPLBACKEND=agg; "
    )
    line = command if isinstance(command, str) else shlex.join(command)
    done = subprocess.run(["bash", "-c", environment + line], cwd=folder, capture_output=True, text=True)
    assert done.returncode in fine, f"{line}\n{done.stdout}{done.stderr}"
    assert "ZooWarning" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which `glmm-zoo`, `python` and the files that the examples read are found."""
    (tmp_path / "bin").mkdir()
    for name, arguments in {"glmm-zoo": " -m glmm_zoo", "python": ""}.items():
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{arguments} "$@"\n')
        script.chmod(0o755)
    (tmp_path / "models").symlink_to(ROOT / "models")
    for file in (DOCS / "reference" / "examples").glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text())
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", [*PAGES, DOCS / "index.md"], ids=lambda p: p.stem)
def test_examples_of_a_page_run_from_top_to_bottom(page: Path, folder: Path) -> None:
    (folder / "page.py").write_text("\n".join(python_of(page.read_text())))
    follow(["python", "page.py"], folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(zoo.builders()))
def test_the_example_of_a_builder_makes_its_model(name: str) -> None:
    import pandas as pd

    found: dict[str, Any] = {"pd": pd, "zoo": zoo}
    exec(reference.builder_example(zoo.builders()[name]), found)
    assert found["model"].spec["builder"] and found["model"].free_RVs


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the first fit, as the command makes it."""
    path = tmp_path_factory.mktemp("fitted") / "multicenter.nc"
    tree = zoo.fit(zoo.card("multicenter").model(), seed=1, progress=False)
    return zoo.save(tree, path)


@pytest.mark.slow
@pytest.mark.parametrize("name", reference.commands())
def test_the_example_of_a_command_runs(name: str, folder: Path, fitted: Path) -> None:
    if name != "fit":
        (folder / "fits").mkdir()
        (folder / "fits" / "multicenter.nc").write_bytes(fitted.read_bytes())
    follow(f"set -e\n{docstrings.example_of(reference.commands()[name].default_command.__doc__)}", folder)


@pytest.mark.slow
def test_the_start_runs_from_the_first_fit_on(folder: Path) -> None:
    text = (DOCS / "start.md").read_text()
    printed = ""
    for language, block in re.findall(r"^```(bash|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        (folder / "block").write_text(block)
        printed += follow("python block" if language == "python" else "set -e\n" + block, folder)
    for line in ("Risk difference, percentage points", "Sampling: sound.", "herd,incidence,size,period"):
        assert line in text and line in printed


# ------------------------------------------------------------------------------------------ what pages say of the file


def code_of(text: str) -> set[str]:
    """What stands in backticks in the tables and texts of a page."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return {code.replace("\\|", "|") for code in re.findall(r"`([^`]+)`", prose)}


@cache
def patterns() -> list[str]:
    """Names of the page of names as patterns, `sd_<g>` as "sd_*"."""
    text = (DOCS / "reference" / "names.md").read_text()
    return [re.sub(r"<[^>]*>", "*", code) for code in code_of(text)]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(zoo.cards()))
def test_every_name_in_the_posterior_of_a_card_is_told(name: str) -> None:
    model = zoo.card(name).model()
    names = [v.name for v in (*model.free_RVs, *model.deterministics)]
    assert not [n for n in names if not any(fnmatchcase(n, p) for p in patterns() if p != "*")]


@pytest.mark.slow
def test_every_group_and_key_of_a_file_is_told() -> None:
    tree = zoo.fit(zoo.card("multicenter").model(), seed=1, draws=200, chains=2, progress=False)
    tree = zoo.store_estimates(tree, "risks", zoo.predictions(tree, by="period"))
    told = code_of((DOCS / "reference" / "file.md").read_text())
    groups = {g.path.strip("/").replace("estimands/risks", "estimands/NAME") for g in tree.subtree}
    assert not groups - told - {"", "estimands"}
    variables = [g for path in ("sample_stats", "report/summary", "report/verdicts") for g in tree[path].data_vars]
    content = json.loads(tree.attrs["glmm_zoo"])
    assert not {*map(str, variables), *content, *tree["report"].attrs, *tree["report/verdicts"].attrs} - told
    assert f"version {content['schema']} of its" in " ".join((DOCS / "reference" / "file.md").read_text().split())


# ---------------------------------------------------------------------------------------------------------- the site


class Read(HTMLParser):
    """The ids of a page, the addresses that it leads to, and those that a browser loads for it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.leads: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.leads.append(given["href"])
        loads = given.get("href") if tag == "link" and given.get("rel") != "canonical" else given.get("src")
        if loads is not None:
            self.loads.append(loads)


def broken(site: Path) -> Iterator[str]:
    """Links of a built site that lead to no file or to no place in it."""
    pages = {path: Read(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    for path, read in pages.items():
        for address in (*read.leads, *read.loads):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not target.exists() or (place and target in pages and place not in pages[target].ids):
                yield f"{path.relative_to(site)} -> {address}"


def from_a_network(site: Path) -> Iterator[str]:
    """What pages and their styles load that is not a file of the site."""
    for path in site.rglob("*.html"):
        yield from (f"{path.name}: {url}" for url in Read(path).loads if urlsplit(url).scheme not in ("", "data"))
    for path in site.rglob("*.css"):
        found = re.findall(r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')]+)", path.read_text())
        yield from (f"{path.name}: {url}" for url in found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as built, with notebooks as they are in the repository; a warning is an error."""
    out = tmp_path_factory.mktemp("site").resolve()
    words = ["-q", "-W", "--keep-going", "-D", "nb_execution_mode=off", "-d", str(out / "doctrees"), "-c", str(DOCS)]
    build = [sys.executable, "-m", "sphinx", *words, str(ROOT), str(out / "html")]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}\n(make docs installs what this needs)"
    return out / "html"


@pytest.mark.slow
def test_every_link_and_anchor_leads_somewhere(site: Path) -> None:
    assert len(list(site.rglob("*.html"))) > 100
    assert not list(broken(site))


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="b.html#y"></a><a href="#x"></a><a href="#z"></a><img src="c.png">'
    )
    (tmp_path / "b.html").write_text('<p id="y"><a href="https://elsewhere.org"></a><a href="a.html#q"></a>')
    assert sorted(broken(tmp_path)) == ["a.html -> #z", "a.html -> c.png", "b.html -> a.html#q"]


@pytest.mark.slow
def test_nothing_is_loaded_from_a_network(site: Path) -> None:
    assert not list(from_a_network(site))


def test_what_is_loaded_from_a_network_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<script src="https://cdn.org/a.js"></script><a href="https://b.org"></a>')
    (tmp_path / "a.css").write_text("@import url('//fonts.org/a'); p { background: url(a.png) }")
    assert list(from_a_network(tmp_path)) == ["a.html: https://cdn.org/a.js", "a.css: //fonts.org/a"]


@pytest.mark.slow
def test_the_index_for_programs_names_every_page_once(site: Path) -> None:
    text = (site / "llms.txt").read_text()
    assert re.match(r"# glmm_zoo\n\n> Bayesian .*\.\n\n## Start\n", text)
    named = re.findall(r"^- \[.+?\]\((\S+)\)", text, re.MULTILINE)
    pages = {str(p.relative_to(site)) for p in site.rglob("*.html") if "_static" not in p.parts}
    assert sorted(named) == sorted(pages - {"index.html", "genindex.html", "search.html", "docs/index.html"})


@pytest.mark.slow
def test_pages_fit_a_telephone_and_complain_of_nothing(site: Path) -> None:
    pages = [p for p in sorted(site.rglob("*.html")) if not {"decisions", "_static"} & {*p.parts}]
    pages.remove(site / "index.html")  # which leads on at once
    with headless_chromium() as browser:
        for path in pages:
            with opened(browser, path, width=375, dark=True) as shown:
                wide = shown.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
                assert not wide, f"{path} is wider than 375 px"
                assert not shown.errors, f"{path}: {shown.errors}"
                assert all(url.startswith(("file:", "data:")) for url in shown.requests)


@pytest.mark.slow
def test_the_search_finds_a_page_without_a_server(site: Path) -> None:
    with headless_chromium() as browser, opened(browser, site / "index.html", width=1280) as shown:
        shown.page.wait_for_url("**/docs/index.html")
        shown.page.keyboard.press("Control+k")
        shown.page.keyboard.type("dynamic_prediction")
        shown.page.keyboard.press("Enter")
        shown.page.wait_for_selector("#search-results li a")
        found = [a.get_attribute("href") for a in shown.page.query_selector_all("#search-results li a")]
        assert any("docs/reference/asking.html" in str(address) for address in found) and not shown.errors
