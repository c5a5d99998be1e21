"""Pages compared loosely with small grey pictures of them in the folder screenshots; `UPDATE_SCREENSHOTS=1` writes these."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page

STORED = Path(__file__).with_name("screenshots")
WIDTH = 96  # px
GREYS = 16


def compare(page: Page, name: str) -> None:
    """Compare the page as it is shown with the stored picture of that name."""
    seen, path = small(page), STORED / f"{name}.png"
    if os.environ.get("UPDATE_SCREENSHOTS"):
        seen.save(path, optimize=True)
    with Image.open(path) as stored:
        print(name, difference(seen, stored), seen.size, path.stat().st_size)


def small(page: Page) -> Image.Image:
    with Image.open(io.BytesIO(page.screenshot(full_page=True))) as whole:
        grey = whole.convert("L")
        return grey.resize((WIDTH, round(grey.height * WIDTH / grey.width)), Image.Resampling.BOX)


def difference(seen: Image.Image, stored: Image.Image) -> float:
    a, b = (np.asarray(i.resize(stored.size), float) for i in (seen, stored))
    return float(np.abs(a - b).mean())
