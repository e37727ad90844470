"""Colours that readers of every kind of sight tell apart, on screens and in print.

Okabe and Ito's palette, without its yellow, which is too pale on white.
"""

from __future__ import annotations

BLACK = "#222222"
GREY = "#8A8A8A"
FAINT = "#E6E6E6"

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"

SEEDS = (VERMILION, BLUE, PURPLE, ORANGE, SKY)
"""Of networks that differ in their seed alone."""


def shades(number: int) -> list[str]:
    """Colours from dark to light, along which lightness grows: of steps, or of sizes."""
    return [_between(place / max(1, number - 1)) for place in range(number)]


_DARK_TO_LIGHT = ((68, 1, 84), (49, 104, 142), (143, 215, 68))


def _between(place: float) -> str:
    """The colour at a place from 0 to 1."""
    first = 0 if place < 0.5 else 1
    share = 2 * place - first
    ends = zip(_DARK_TO_LIGHT[first], _DARK_TO_LIGHT[first + 1], strict=True)
    return "#" + "".join(f"{round((1 - share) * a + share * b):02X}" for a, b in ends)
