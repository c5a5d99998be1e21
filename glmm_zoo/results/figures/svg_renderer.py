"""What matplotlib draws, as SVG for a page: text stays text, colours are the page's variables, styles are classes.

Nothing is clipped, so nothing may be drawn outside its axes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.colors import rgb2hex, to_rgba
from matplotlib.path import Path as Outline

from glmm_zoo.results.figures.svg import COLOURS, VARIABLES, Stylesheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.text import Text
    from matplotlib.transforms import Transform

_VARIABLE = {colour: f"var({VARIABLES[role]})" for role, colour in COLOURS.items()}
_LETTERS = {1: "M", 2: "l", 3: "Q", 4: "C", 79: "z"}  # by the codes that matplotlib has for them
_POINTS = {"Q": 2, "C": 3}  # of a curve
_ANCHORS = {"left": "start", "center": "middle", "right": "end"}
_DISC = np.asarray(Outline.unit_circle().codes).tolist()
_FLIP = np.array([1.0, -1.0])


def svg_of(figure: Figure, styles: Stylesheet) -> str:
    """A figure of 72 dpi as an element of SVG; its classes are those of `styles`."""
    width, height = figure.bbox.size
    renderer = SvgRenderer(float(width), float(height), styles)
    with warnings.catch_warnings():  # letters that matplotlib's font lacks are there as text
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.draw(renderer)
    head = f'<svg viewBox="0 0 {width:g} {height:.0f}" aria-hidden="true" focusable="false">'
    return f"{head}{''.join(renderer.elements)}</svg>"


@dataclass(frozen=True)
class _Shape:
    """The points (n, 2) of a path in px, y upwards, and their codes."""

    points: np.ndarray
    codes: list[int]

    @cached_property
    def disc(self) -> tuple[float, float, float] | None:
        """The centre and the radius of a disc; None of another shape."""
        if self.codes != _DISC:
            return None
        (left, low), (right, high) = self.points.min(axis=0).tolist(), self.points.max(axis=0).tolist()
        return (left + right) / 2, (low + high) / 2, (right - left) / 2


class SvgRenderer(RendererBase):
    """Collects the elements of what is drawn on it, `width` by `height` px."""

    def __init__(self, width: float, height: float, styles: Stylesheet):
        super().__init__()
        self.width, self.height, self.styles = width, height, styles
        self.elements: list[str] = []

    def get_canvas_width_height(self) -> tuple[float, float]:
        """Width and height in px."""
        return self.width, self.height

    def draw_path(
        self, gc: GraphicsContextBase, path: Outline, transform: Transform, rgbFace: Any = None
    ) -> None:  # fmt: skip
        """A line, an area or a disc."""
        self._draw(self._class(gc, rgbFace), self._outline(path, transform), 0.0, 0.0)

    def draw_markers(
        self, gc: GraphicsContextBase, marker_path: Outline, marker_trans: Transform, path: Outline, trans: Transform,
        rgbFace: Any = None,
    ) -> None:  # fmt: skip
        """A mark at each point of a path."""
        named, mark = self._class(gc, rgbFace), self._outline(marker_path, marker_trans)
        for x, y in trans.transform(path.vertices).tolist():
            if isfinite(x + y):
                self._draw(named, mark, x, y)

    def draw_path_collection(
        self, gc: GraphicsContextBase, master_transform: Transform, paths: Sequence[Outline], all_transforms: Any,
        *places_and_styles: Any, **options: Any,
    ) -> None:  # fmt: skip
        """Many paths, each at its place; the points of each are found once."""
        backend: Any = self  # which has these two for backends, without a type
        unique = [*backend._iter_collection_raw_paths(master_transform, paths, all_transforms)]
        outlines = {id(one): self._outline(*one) for one in unique}
        classes: dict[Any, str | None] = {}
        for x, y, one, own, face in backend._iter_collection(gc, unique, *places_and_styles, **options):
            dashes = own.get_dashes()[1]
            key = own.get_rgb(), own.get_linewidth(), own.get_alpha(), None if face is None else tuple(face)
            key = *key, None if dashes is None else tuple(dashes)
            if key not in classes:
                classes[key] = self._class(own, face)
            self._draw(classes[key], outlines[id(one)], float(x), float(y))

    def _outline(self, path: Outline, transform: Transform) -> _Shape:
        vertices = np.asarray(path.vertices, float)
        if path.should_simplify or not np.isfinite(vertices).all():
            cleaned = path.cleaned(transform, remove_nans=True, simplify=path.should_simplify, curves=True)
            return _Shape(np.asarray(cleaned.vertices), np.asarray(cleaned.codes).tolist())
        lines = [1, *[2] * (len(vertices) - 1)]
        codes = lines if path.codes is None else np.asarray(path.codes).tolist()
        return _Shape(transform.transform(vertices), codes)

    def _draw(self, named: str | None, outline: _Shape, x: float, y: float) -> None:
        """An outline moved by (x, y) px, if it is seen."""
        if named is None:
            return
        if outline.disc is None:
            points = outline.points * _FLIP + (x, self.height - y)
            self.elements.append(f'<path d="{_path_data(points, outline.codes)}"{named}/>')
        else:
            right, up, radius = outline.disc
            at = f'cx="{_px(x + right)}" cy="{_px(self.height - y - up)}" r="{_px(radius)}"'
            self.elements.append(f"<circle {at}{named}/>")

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: bool | Literal["TeX"]
    ) -> tuple[float, float, float]:  # fmt: skip
        """Width, height and descent of text in px; those of words that come again, as in both widths of a figure, are found once."""
        return super().get_text_width_height_descent(s, prop, ismath) if ismath else _text_size(s, prop)

    def _get_font_height_metrics(self, prop: FontProperties) -> tuple[float, float, float]:
        """Ascent, descent and gap between lines in px, for which matplotlib reads the tables of the font with every text unless a
        renderer tells them."""
        return _font_heights(prop)

    def draw_text(
        self, gc: GraphicsContextBase, x: float, y: float, s: str, prop: FontProperties, angle: float,
        ismath: bool | str = False, mtext: Text | None = None,
    ) -> None:  # fmt: skip
        """One line of text; where its artist has an anchor, the reader's font is anchored there, however wide it is."""
        colour = rgb2hex(gc.get_rgb())
        style = {"fill": _VARIABLE.get(colour, colour), "font-size": f"{prop.get_size():g}px"}
        if str(prop.get_weight()) in ("bold", "700"):
            style["font-weight"] = "700"
        if (opacity := gc.get_alpha() if gc.get_forced_alpha() else gc.get_rgb()[3]) != 1:
            style["opacity"] = _px(opacity, 2)
        if mtext is not None and (angle == 0 or mtext.get_rotation_mode() == "anchor"):
            anchor_x, anchor_y = mtext.get_transform().transform(mtext.get_unitless_position())
            down = np.array([np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))])
            anchor = np.array([anchor_x, self.height - anchor_y])
            x, y = anchor + down * (down @ (np.array([x, y]) - anchor))
            style["text-anchor"] = _ANCHORS[mtext.get_horizontalalignment()]
        turned = f' transform="rotate({-angle:g} {_px(x)} {_px(y)})"' if angle else ""
        self._write(x, y, s, style, turned)

    def draw_labels(self, x: np.ndarray, y: np.ndarray, labels: Sequence[Label], colour: str) -> None:
        """Labels at points (n,) in px, as `draw_text` draws them, without an artist for each."""
        for at_x, at_y, label in zip(x.tolist(), y.tolist(), labels, strict=True):
            style = {"fill": _VARIABLE.get(colour, colour), "font-size": f"{label.size:g}px"}
            if len(label.lines) == 1:  # which the reader's font is anchored for
                style["text-anchor"] = _ANCHORS[label.ha]
            for line_x, line_y, line in label.lines:
                self._write(at_x + line_x * (len(label.lines) > 1), self.height - (at_y + line_y), line, style)

    def draw_marks(self, x: np.ndarray, y: np.ndarray, mark: np.ndarray, colour: str, width: float) -> None:
        """Lines from points (n,) in px to the `mark` (2,) beside each, upwards."""
        seen = _VARIABLE.get(colour, colour)
        style = {"fill": seen, "stroke": seen, "stroke-width": _px(width, 2)}
        named, outline = self._named(style), _Shape(np.array([[0.0, 0.0], mark]), [1, 2])
        for at_x, at_y in zip(x.tolist(), y.tolist(), strict=True):
            self._draw(named, outline, at_x, at_y)

    def _write(self, x: float, y: float, text: str, style: dict[str, str], turned: str = "") -> None:
        at = f'x="{_px(x)}" y="{_px(y)}"{turned}'
        self.elements.append(f"<text {at}{self._named(style)}>{escape(text, quote=False)}</text>")

    def _class(self, gc: GraphicsContextBase, face: Any) -> str | None:
        """The class of a shape as an attribute; None of one that is not seen."""
        rgb, width, whole = gc.get_rgb(), gc.get_linewidth(), bool(gc.get_forced_alpha())
        face = None if face is None else to_rgba(face)
        filled = face is not None and (whole or face[3] > 0)
        stroked = width > 0 and (whole or rgb[3] > 0)
        if not (filled or stroked):
            return None
        style = {"fill": "none"}
        if face is not None and filled:
            colour = rgb2hex(face)
            style["fill"] = _VARIABLE.get(colour, colour)
            if not whole and face[3] != 1:
                style["fill-opacity"] = _px(face[3], 2)
        if stroked:
            colour = rgb2hex(rgb)
            style["stroke"] = _VARIABLE.get(colour, colour)
            if width != 1:
                style["stroke-width"] = _px(width, 2)
            if not whole and rgb[3] != 1:
                style["stroke-opacity"] = _px(rgb[3], 2)
            if (dashes := gc.get_dashes()[1]) is not None:
                style["stroke-dasharray"] = ",".join(_px(v, 2) for v in np.asarray(dashes).tolist())
        if whole and gc.get_alpha() != 1:
            style["opacity"] = _px(gc.get_alpha(), 2)
        return self._named(style)

    def _named(self, style: dict[str, str]) -> str:
        return f' class="{self.styles.name(";".join(f"{name}:{value}" for name, value in style.items()))}"'


@dataclass(frozen=True)
class Label:
    """Words of a size in px, aligned to a point: where each line begins from there, upwards, and the box (2, 2) around them."""

    size: float
    ha: str
    lines: tuple[tuple[float, float, str], ...]
    box: np.ndarray


class _Places(SvgRenderer):
    """Keeps where lines of text are drawn."""

    def __init__(self) -> None:
        super().__init__(0.0, 0.0, Stylesheet())
        self.lines: list[tuple[float, float, str]] = []

    def draw_text(self, gc: GraphicsContextBase, x: float, y: float, s: str, *_: Any, **__: Any) -> None:
        self.lines.append((x, -y, s))


@lru_cache(maxsize=4096)
def label_of(words: str, size: float, ha: str, va: str) -> Label:
    """Words as matplotlib places them; those that come again, as the numbers of axes do, are placed once."""
    from matplotlib.text import Text

    text, places = Text(0.0, 0.0, words, ha=ha, va=va, fontsize=size, parse_math=False), _Places()
    text.set_figure(_figure())
    text.draw(places)
    return Label(size, ha, tuple(places.lines), text.get_window_extent(places).get_points())


@cache
def _figure() -> Figure:
    from matplotlib.figure import Figure

    return Figure(dpi=72)


@lru_cache(maxsize=4096)
def _text_size(text: str, prop: FontProperties) -> tuple[float, float, float]:
    """Width, height and descent in px, of properties that nobody changes."""
    return RendererBase().get_text_width_height_descent(text, prop, False)


@lru_cache(maxsize=256)
def _font_heights(prop: FontProperties) -> tuple[float, float, float]:
    """Ascent, descent and gap between lines in px, of properties that nobody changes, by the table that matplotlib takes them from."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(prop))
    tables: Any = [font.get_sfnt_table(name) for name in ("head", "OS/2", "hhea")]
    head, *others = tables
    names = ("sTypoAscender", "sTypoDescender", "sTypoLineGap"), ("ascent", "descent", "lineGap")
    table, (up, down, gap) = next(pair for pair in zip(others, names, strict=True) if pair[0] is not None)
    scale = prop.get_size_in_points() / head["unitsPerEm"]
    return table[up] * scale, -table[down] * scale, table[gap] * scale


def _px(value: float, decimals: int = 1) -> str:
    """A number with at most so many decimals."""
    return f"{round(float(value), decimals) + 0.0:g}"


def _path_data(points: np.ndarray, codes: Sequence[int]) -> str:
    """A path with one decimal, its lines relative to the point before; the points of curves are absolute."""
    written, of_curve, before_x, before_y = [], 0, 0, 0
    for code, (x, y) in zip(codes, np.rint(10 * points).astype(int).tolist(), strict=True):
        letter = _LETTERS.get(code)
        if letter is None:  # the end
            break
        if letter == "l":
            written.append(f"l{(x - before_x) / 10:g} {(y - before_y) / 10:g}")
        elif letter == "z":
            written.append("z")
            continue
        else:
            of_curve = (of_curve or _POINTS.get(letter, 1)) - 1
            written.append(f"{letter if of_curve == _POINTS.get(letter, 1) - 1 else ' '}{x / 10:g} {y / 10:g}")
        before_x, before_y = x, y
    return "".join(written).replace(" -", "-")
