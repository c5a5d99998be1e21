"""Pages in a real browser, on a telephone and on a screen, light, dark and printed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

import glmm_zoo as zoo
from tests.report.browser import headless_chromium, opened
from tests.report.screenshots import check_looks

PHONE, SCREEN = 375, 1280
WIDTHS = (PHONE, SCREEN)
LEAST_TEXT = 11  # px
FOOT = 48 + 36  # points from the lower edge of a printed page: its margin, and a heading with one line

FIGURES = """[...document.querySelectorAll('figure')].map(figure => {
  const [wide, narrow] = ['wide', 'narrow'].map(look => {
    const svg = figure.querySelector(`.${look} svg`), box = svg.getBoundingClientRect()
    const marks = [...svg.querySelectorAll('path, circle, rect, use')].map(mark => mark.getBoundingClientRect())
    return {
      shown: svg.checkVisibility({visibilityProperty: true, opacityProperty: true}), width: box.width, height: box.height,
      marks: marks.filter(mark => mark.width + mark.height > 0).length,
      outside: [...svg.querySelectorAll('text')].filter(text => {
        const at = text.getBoundingClientRect()
        return at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1
      }).map(text => text.textContent),
    }
  })
  return {id: figure.id, wide, narrow}
})"""

SMALL_TEXTS = """least => [...document.querySelectorAll('body *')].filter(node =>
  node.checkVisibility() && [...node.childNodes].some(c => c.nodeType === Node.TEXT_NODE && c.data.trim())
).map(node => {
  const svg = node.closest('svg'), scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1
  return [parseFloat(getComputedStyle(node).fontSize) * scale, node.textContent]
}).filter(([size]) => size < least - 0.05)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with headless_chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(card_fit: tuple[str, xr.DataTree], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a card, named by the card."""
    name, tree = card_fit
    return zoo.write_report(tree, tmp_path_factory.mktemp("report") / f"{name}.html")


def test_a_missing_browser_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(AssertionError, match="make browser"), headless_chromium():
        pass


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_are_whole_at_the_width_of_a_telephone_and_of_a_screen(
    browser: Browser, report: Path, width: int
) -> None:
    with opened(browser, report, width=width) as shown:
        page = shown.page
        unfold(page)
        assert not shown.errors
        assert shown.requests == [report.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not page.evaluate(SMALL_TEXTS, LEAST_TEXT)
        figures = page.evaluate(FIGURES)
        assert figures
        for figure in figures:
            check_figure(figure, "narrow" if width == PHONE else "wide", "wide" if width == PHONE else "narrow")
        check_looks(page, f"{report.stem}_{width}")


def check_figure(figure: dict[str, Any], look: str, other: str) -> None:
    """One of its two pictures is seen, has marks, and keeps its texts inside."""
    assert figure[look]["shown"] and not figure[other]["shown"], figure["id"]
    assert figure[look]["width"] > 300 and figure[look]["height"] > 50 and figure[look]["marks"] > 3, figure["id"]
    assert not figure[look]["outside"], figure["id"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_are_accessible(browser: Browser, report: Path, width: int, dark: bool) -> None:
    with opened(browser, report, width=width, dark=dark) as shown:
        unfold(shown.page)
        violations = Axe().run(shown.page).response["violations"]
        assert not [(v["id"], v["help"], [node["html"][:200] for node in v["nodes"]]) for v in violations]


def test_printed_pages_are_open_without_buttons_and_keep_headings_with_their_text(
    browser: Browser, report: Path
) -> None:
    with opened(browser, report, width=SCREEN, dark=True) as shown:
        page = shown.page
        page.emulate_media(media="print")
        folded = page.locator("details > :not(summary)")
        assert folded.count() and all(folded.nth(i).is_visible() for i in range(folded.count()))
        assert not any(button.is_visible() for button in page.locator("button, nav").all())
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        printed = page.pdf(prefer_css_page_size=True, tagged=True, outline=True)
        headings = [float(y) for y in re.findall(rb"/Dest \[\d+ 0 R /XYZ [\d.]+ ([\d.]+) ", printed)]
        assert len(headings) == page.locator("h1, h2, h3").count()
        assert min(headings) > FOOT


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
