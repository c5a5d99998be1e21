"""From the SVG that matplotlib writes to SVG for a page: text stays text, colours are the page's variables, and nothing is there twice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from html import escape
from xml.etree import ElementTree

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
SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_DECIMAL = re.compile(r"-?\d+\.\d+")
_KEPT = ("fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity", "font-size", "font-weight", "font-style", "text-anchor")  # fmt: skip
_USUAL = {"fill-opacity": "1", "stroke-opacity": "1", "opacity": "1", "stroke-width": "1", "font-weight": "400"}


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


def page_svg(svg: str, colours: Mapping[str, str], styles: Stylesheet, prefix: str) -> str:
    """SVG to stand inside HTML; `colours` are those that it was drawn with, by role.

    Clip paths, metadata and ids that nothing refers to are left out, so nothing may be drawn outside its axes.
    """
    root = ElementTree.fromstring(re.sub(r"<!DOCTYPE.*?>", "", svg, count=1, flags=re.DOTALL))
    referred = {node.get(_HREF, "")[1:] for node in root.iter() if node.get(_HREF)}
    _strip(root, colours, styles, prefix, referred)
    _flatten(root)
    width, height = (float(v) for v in root.get("viewBox", "0 0 1 1").split()[2:])
    root.attrib = {"viewBox": f"0 0 {width:g} {height:.0f}", "aria-hidden": "true", "focusable": "false"}
    text = ElementTree.tostring(root, encoding="unicode")
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("ns0:", "").replace(":ns0", "")
    return re.sub(r"\s*\n\s*", "", text)


def _compact_path(path: str) -> str:
    """A path with one decimal, its lines relative to the point before; one with curves stays absolute."""
    if "C" in path or "Q" in path:
        return re.sub(r"\s*([MLCQz])\s*", r"\1", re.sub(r"\s+", " ", _rounded(path)))
    written, at, steps = [], (0, 0), iter(path.split())
    for letter in steps:
        if letter == "z":
            written.append("z")
            continue
        to = round(10 * float(next(steps))), round(10 * float(next(steps)))
        x, y = to if letter == "M" else (to[0] - at[0], to[1] - at[1])
        written.append(f"{'M' if letter == 'M' else 'l'}{x / 10:g} {y / 10:g}")
        at = to
    return "".join(written).replace(" -", "-")


def standalone_svg(svg: str, colours: Mapping[str, str], title: str) -> str:
    """SVG as a file of its own, in light colours, or in dark ones where its reader prefers them."""
    styles = Stylesheet()
    body = page_svg(svg, colours, styles, "")
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


def _strip(node: ElementTree.Element, colours: Mapping[str, str], styles: Stylesheet, prefix: str, referred: set[str]) -> None:  # fmt: skip
    """Leave out what is not seen, and put classes for styles, below a node."""
    for child in list(node):
        tag = child.tag.rsplit("}", 1)[-1]
        if tag in ("metadata", "style", "clipPath") or _unseen(child, tag):
            node.remove(child)
            continue
        _strip(child, colours, styles, prefix, referred)
        if tag in ("defs", "g") and not len(child):
            node.remove(child)
            continue
        _attributes(child, tag, colours, styles, prefix, referred)


def _attributes(child: ElementTree.Element, tag: str, colours: Mapping[str, str], styles: Stylesheet, prefix: str, referred: set[str]) -> None:  # fmt: skip
    path = child.get("d")
    kept = {k: _rounded(v) for k, v in child.attrib.items() if k in ("x", "y", "transform", "cx", "cy", "r", "rx", "ry", "width", "height")}  # fmt: skip
    if child.get("id") in referred:
        kept["id"] = prefix + child.attrib["id"]
    if child.get(_HREF):
        kept["href"] = f"#{prefix}{child.attrib[_HREF][1:]}"
    style = _style(child.get("style", ""), tag, tuple(colours.items()))
    if style:
        kept["class"] = styles.name(style)
    child.attrib = kept
    disc = _disc(path) if path and "id" not in kept else None
    if path and disc is None:
        kept["d"] = _compact_path(path)
    if disc is not None:
        child.tag = f"{{{SVG}}}circle"
        child.attrib |= dict(zip(("cx", "cy", "r"), (f"{v:.1f}" for v in disc), strict=True))


def _disc(path: str) -> tuple[float, float, float] | None:
    """Centre and radius of a path that is a disc as matplotlib draws one, of eight curves; None of another."""
    if (path.count("M"), path.count("C"), path.count("z"), path.count("L"), path.count("Q")) != (1, 8, 1, 0, 0):
        return None
    numbers = [float(word) for word in path.split() if word not in "MCz"]
    (left, right), (top, bottom) = ((min(v), max(v)) for v in (numbers[::2], numbers[1::2]))
    return (left + right) / 2, (top + bottom) / 2, (right - left) / 2


def _unseen(child: ElementTree.Element, tag: str) -> bool:
    """Whether a shape has neither fill nor stroke, as the background of a figure."""
    style = child.get("style", "")
    if tag == "path" and not style and not child.get("id"):
        return False
    return tag in ("path", "rect") and "fill: none" in style and ("stroke: none" in style or "stroke" not in style)


@cache
def _style(style: str, tag: str, colours_by_role: tuple[tuple[str, str], ...]) -> str:
    colours = dict(colours_by_role)
    given = dict(part.strip().split(": ", 1) for part in style.split(";") if ": " in part)
    if "font" in given:  # "12px 'DejaVu Sans', ..." with the weight before the size
        found = re.search(r"([\d.]+)px", given["font"])
        given["font-size"] = f"{float(found[1]):g}px" if found else given["font"]
        if re.search(r"\b(bold|[67]00)\b", given["font"]):
            given["font-weight"] = "700"
    if tag == "text":
        given.setdefault("fill", colours["ink"])
        given["font-weight"] = "700" if given.get("font-weight") in ("bold", "700") else "400"
    variables = {value: f"var({VARIABLES[role]})" for role, value in colours.items()}
    said = {}
    for name in _KEPT:
        value = given.get(name)
        if value is None or value == _USUAL.get(name):
            continue
        said[name] = variables.get(value, value)
    if tag != "text" and said.get("stroke") == "none":
        del said["stroke"]
    return ";".join(f"{name}:{_rounded(value, 2)}" for name, value in said.items())


def _flatten(node: ElementTree.Element) -> None:
    """Put the content of groups without attributes in their place."""
    children = []
    for child in list(node):
        _flatten(child)
        tag = child.tag.rsplit("}", 1)[-1]
        children += list(child) if tag == "g" and not child.attrib else [child]
    node[:] = children


def _rounded(text: str, decimals: int = 1) -> str:
    """Numbers with at most so many decimals."""
    if "." not in text:
        return text.strip()
    return _DECIMAL.sub(lambda m: f"{float(m[0]):.{decimals}f}".rstrip("0").rstrip("."), text).strip()
