"""Headless Chromium for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

WHERE = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def headless_chromium() -> Iterator[Browser]:
    """A browser; a test that finds none fails with the command that installs it."""
    found = next(filter(None, map(shutil.which, WHERE)), None)
    assert found, "the tests of pages need Chromium; install it with: make browser"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page that was opened, with what it complained of and what it asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def opened(browser: Browser, path: Path, *, width: int, dark: bool = False) -> Iterator[Opened]:
    """A file in a window of that width."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
    )
    shown = Opened(context.new_page())
    shown.page.on("console", lambda message: shown.errors.append(message.text) if message.type == "error" else None)
    shown.page.on("pageerror", lambda error: shown.errors.append(str(error)))
    shown.page.on("request", lambda request: shown.requests.append(request.url))
    shown.page.goto(path.as_uri())
    yield shown
    context.close()
