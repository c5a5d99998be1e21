"""Pages compared loosely with small grey pictures of them in the folder screenshots; `UPDATE_SCREENSHOTS=1` writes these.

Texts are unseen and take one line each, so that neither fonts nor wording move what stands below.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page

STORED = Path(__file__).with_name("screenshots")
WIDTH = 96  # px
ROW = 13  # px of the page in a row of the picture
TOLERANCE = 0.6  # of 255, the mean absolute difference: another font makes 0.3, a moved verdict 0.9, a missing figure 2
TEXTS = """
* {color: transparent !important; line-height: 24px !important}
svg text {fill: transparent !important}
p, h1, h2, h3, th, td, dt, dd, caption, caption span, figcaption, summary, pre, nav, footer {
  white-space: nowrap !important; overflow: hidden !important; max-height: 24px}
nav {flex-wrap: nowrap !important}
dl {grid-template-columns: 100px 1fr !important}
table {table-layout: fixed}
math {display: none !important}
"""


def check_looks(page: Page, name: str) -> None:
    """The page as it is shown against the stored picture of that name."""
    page.add_style_tag(content=TEXTS)
    with Image.open(io.BytesIO(page.screenshot(full_page=True))) as whole:
        seen = whole.convert("L").resize((WIDTH, whole.height // ROW), Image.Resampling.BOX)
    path = STORED / f"{name}.png"
    if os.environ.get("UPDATE_SCREENSHOTS"):
        seen.save(path, optimize=True)
    with Image.open(path) as stored:
        assert difference(seen, stored) < TOLERANCE, f"{name} looks different; if it should: UPDATE_SCREENSHOTS=1"


def difference(seen: Image.Image, stored: Image.Image) -> float:
    """The mean absolute difference of two pictures, the first at the size of the second."""
    values = (np.asarray(image.resize(stored.size, Image.Resampling.BOX), float) for image in (seen, stored))
    return float(np.abs(np.subtract(*values)).mean())
