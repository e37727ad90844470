"""What a picture shows, apart from how it is drawn: panels with curves, points and levels.

Everything here can be compared with numbers that were had in another way, before a line is drawn.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from sparsity_theory._types import Array
from torch_models.reports.palette import BLACK, GREY

STAMP_DIGITS = 4
"""Significant digits that go into a stamp: rounding differs between machines, far behind them."""


BELOW = "below"
"""Where a panel's legend is that has no room in it."""


@dataclass(frozen=True, eq=False)
class Plotted:
    """What is drawn at (x, y), both (n,); without a label it has no place in the legend."""

    x: Array
    y: Array
    label: str = ""
    colour: str = BLACK

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike, label: str = "", **style: Any) -> Self:
        """It, at what can be made arrays."""
        return cls(np.asarray(x, float), np.asarray(y, float), label, **style)


@dataclass(frozen=True, eq=False)
class Curve(Plotted):
    """A line through points; it is broken where y is NaN or infinite.

    ``dashes`` is a line style of matplotlib.
    """

    dashes: str = "-"
    width: float = 1.8
    marker: str = ""


@dataclass(frozen=True, eq=False)
class Points(Plotted):
    """Single points, drawn over the curves; filled ones or rings."""

    filled: bool = True
    marker: str = "o"


@dataclass(frozen=True, eq=False)
class Band:
    """What lies between two curves over x, all (n,)."""

    x: Array
    low: Array
    high: Array
    label: str = ""
    colour: str = GREY


@dataclass(frozen=True)
class Axis:
    """What an axis shows. Where a limit is None it reaches as far as what is drawn.

    ``scale`` is one of matplotlib's; ``names`` are what single places are called, for an axis of
    names; ``ticks`` are the only numbers on the axis, where it is not left to matplotlib.
    """

    label: str = ""
    limits: tuple[float | None, float | None] = (None, None)
    scale: str = "linear"
    names: tuple[str, ...] = ()
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes, with what is drawn in it.

    Attributes:
        levels: heights of dashed lines across the panel.
        notes: words at places (x, y).
        legend: where this panel's own legend is, for matplotlib, or `BELOW`; none if it is empty.
    """

    title: str
    x: Axis
    y: Axis
    curves: tuple[Curve, ...] = ()
    points: tuple[Points, ...] = ()
    bands: tuple[Band, ...] = ()
    levels: tuple[float, ...] = ()
    notes: tuple[tuple[float, float, str], ...] = ()
    legend: str = ""

    def curve(self, label: str) -> Curve:
        """The one curve of this label. Raises ``KeyError`` if there is none."""
        return _labelled(self.curves, label)

    def point(self, label: str) -> Points:
        """The one group of points of this label. Raises ``KeyError`` if there is none."""
        return _labelled(self.points, label)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture: rows of panels, and what is said of it.

    Attributes:
        title: above the picture.
        rows: of panels, all of one length.
        caption: what it shows, for a page that has it, in Markdown.
        note: below the picture, in it.
        shared_legend: whether one legend below serves all panels.
        panel_size: of one panel, in inches.
        row_heights: of the panels of every row, where these differ.
    """

    title: str
    rows: tuple[tuple[Panel, ...], ...]
    caption: str = ""
    note: str = ""
    shared_legend: bool = False
    panel_size: tuple[float, float] = (3.4, 3.2)
    row_heights: tuple[float, ...] = ()

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, row by row."""
        return tuple(panel for row in self.rows for panel in row)

    @property
    def stamp(self) -> str:
        """A digest of all that is drawn, the same wherever it was computed."""
        words = "\n".join(_words((self.title, self.rows, self.note)))
        return hashlib.sha256(words.encode()).hexdigest()[:16]


Drawn = TypeVar("Drawn", Curve, Points)


def in_one_row(panels: Sequence[Panel]) -> tuple[tuple[Panel, ...], ...]:
    """Rows of a picture that has one."""
    return (tuple(panels),)


def diagonal(low: float, high: float) -> Curve:
    """The identity, against which maps are seen."""
    return Curve.of([low, high], [low, high], "identity", colour=GREY, dashes="--", width=1.0)


def _labelled(drawn: Sequence[Drawn], label: str) -> Drawn:
    for each in drawn:
        if each.label == label:
            return each
    raise KeyError(f"{label!r} is none of {[each.label for each in drawn]}")


def _words(value: Any) -> Iterator[str]:
    """Every text and number in a picture."""
    if is_dataclass(value):
        for each in fields(value):
            yield from _words(getattr(value, each.name))
    elif isinstance(value, (tuple, np.ndarray)):
        for item in value:
            yield from _words(item)
    elif isinstance(value, float):
        yield _rounded(value)
    else:
        yield str(value)


def _rounded(value: float) -> str:
    """So many digits; noise around zero is zero."""
    if not math.isfinite(value):
        return str(value)
    return f"{0.0 if abs(value) < 1e-9 else value:.{STAMP_DIGITS}g}"
