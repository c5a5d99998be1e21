"""A notebook cuts a picture to what it holds and may stand on a dark page."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread

from glmm_zoo.results.figures.picture import Canvas, Picture


def draw(canvas: Canvas) -> None:
    (axis,) = canvas.panels(1, 100, left=60, right=20)
    axis.set(xlim=(0, 2), ylim=(0, 1), xlabel="quarter")
    canvas.ticks(axis, [0, 1, 2], ["first", "second", "third"])
    canvas.ticks(axis, [0, 1], ["none", "all"], vertical=True)


def ink(figure: Figure, cut: str | None) -> float:
    """How much is drawn, in black pixels."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches=cut)
    buffer.seek(0)
    pixels = imread(buffer)
    assert np.all(pixels[..., 3] == 1)  # nothing of the page around it shines through
    return float(np.sum(1 - pixels[..., :3].mean(axis=-1)))


def test_nothing_is_lost_when_a_picture_is_cut_to_what_it_holds() -> None:
    figure = Picture("risk", "Risk", "", "", draw).figure(400)
    np.testing.assert_allclose(ink(figure, "tight"), ink(figure, None), rtol=0.01)
