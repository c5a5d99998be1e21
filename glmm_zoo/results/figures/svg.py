"""The colours of a page, the classes of its pictures, and a picture as a file of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

VARIABLES = {
    "ink": "--ink",
    "muted": "--muted",
    "line": "--line",
    "paper": "--bg",
    "model": "--c1",
    "data": "--c2",
    "control": "--c3",
    "bad": "--bad",
}
# The page's colours by variable, on light and on dark paper.
LIGHT = {"--bg": "#ffffff", "--panel": "#f4f6f8", "--ink": "#1a1f26", "--muted": "#55606c", "--line": "#d5dae0", "--c1": "#1f5fa8", "--c2": "#b04f16", "--c3": "#626d7b", "--good": "#176b43", "--warn": "#7d5200", "--bad": "#b3261e"}  # fmt: skip
DARK = {"--bg": "#14181d", "--panel": "#1d232b", "--ink": "#e6e9ed", "--muted": "#a7b1bc", "--line": "#3a444f", "--c1": "#82b5f0", "--c2": "#f0a36b", "--c3": "#9aa7b4", "--good": "#6fce9d", "--warn": "#e6b84d", "--bad": "#ff8f85"}  # fmt: skip
COLOURS = {role: LIGHT[variable] for role, variable in VARIABLES.items()}  # as they are drawn, on white paper
SVG = "http://www.w3.org/2000/svg"


class Stylesheet:
    """The classes of the pictures of a page: one for each style, however often it is used."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, style: str) -> str:
        """The class of a style."""
        return self._names.setdefault(style, f"z{len(self._names)}")

    def css(self) -> str:
        """The rules."""
        return "".join(f".{name}{{{style}}}" for style, name in self._names.items())


def css_variables(colours: Mapping[str, str]) -> str:
    """Colours by variable as declarations of CSS."""
    return ";".join(f"{name}:{value}" for name, value in colours.items())


def standalone_svg(body: str, styles: Stylesheet, title: str) -> str:
    """An element of SVG with its classes as a file of its own, in light colours, or in dark ones where its reader prefers them."""
    look = (
        f":root{{color-scheme:light dark;{css_variables(LIGHT)}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{css_variables(DARK)}}}}}"
        f"svg{{background:var(--bg)}}text{{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}}{styles.css()}"
    )
    head = body.index(">")
    opening = body[:head].replace(' aria-hidden="true" focusable="false"', ' role="img"')
    size = re.search(r'viewBox="0 0 (\S+) (\S+?)"', body)
    assert size is not None
    return (
        f"{opening.replace('<svg', f'''<svg xmlns="{SVG}" width="{size[1]}" height="{size[2]}" '''.rstrip(), 1)}>"
        f"<title>{escape(title)}</title><style>{look}</style>{body[head + 1 :]}\n"
    )
