"""Draws panels with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torch_models.reports.canvas import new_figure, save, save_small_png
from torch_models.reports.palette import BLACK, FAINT
from torch_models.reports.panels import BELOW, Axis, Panel, Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE, SMALL = 12, 8.5
"""Sizes of letters, in points: of the picture's title, and of everything that is not a label."""

TITLE_HEIGHT, LINE = 0.35, 0.25
"""Inches that the title above the panels takes, and a line of words below them."""


DOTS_OF_SMALL = 100
"""Dots per inch of a picture on a page."""

MOST_IN_A_LINE = 8
"""Entries of a legend below all panels."""


def save_picture(picture: Picture, path: Path) -> None:
    """Draw a picture and write it at ``path``, atomically: .svg, .pdf or .png."""
    save(drawn(picture), path, stamp=picture.stamp)


def save_small(picture: Picture, path: Path) -> None:
    """Draw a picture and write it at ``path`` as a small PNG, for a page."""
    save_small_png(drawn(picture), path, DOTS_OF_SMALL, picture.stamp)


def drawn(picture: Picture) -> Figure:
    """The picture as a figure of matplotlib.

    Panels of a column share their x axis, and those of a row their y axis, where these are alike.
    """
    rows, columns = len(picture.rows), len(picture.rows[0])
    width, height = picture.panel_size
    heights = picture.row_heights or (height,) * rows
    legend = _lines_of_legend(picture) * LINE
    notes = len(picture.note.splitlines()) * LINE
    figure = new_figure(columns * width, sum(heights) + TITLE_HEIGHT + legend + notes)
    share_x = _alike(zip(*picture.rows, strict=True), "x")
    share_y = _alike(picture.rows, "y")
    grid = figure.subplots(
        rows,
        columns,
        squeeze=False,
        height_ratios=heights,
        sharex="col" if share_x else False,
        sharey="row" if share_y else False,
    )
    for axes, panel in zip(grid.flat, picture.panels, strict=True):
        _draw(axes, panel)
    for axes, panel in zip(grid.flat, picture.panels, strict=True):  # limits of all that is drawn
        _scale(axes, panel.x, "x")
        _scale(axes, panel.y, "y")
    for axes in grid[:-1].flat if share_x else ():
        axes.set_xlabel("")
    for axes in grid[:, 1:].flat if share_y else ():
        axes.set_ylabel("")
    figure.suptitle(picture.title, fontsize=TITLE, fontweight="bold")
    _write_below(figure, picture, legend, notes)
    return figure


def _alike(lines: Iterable[Sequence[Panel]], name: str) -> bool:
    """Whether in every line all panels have the same axis of that name."""
    return all(len({getattr(panel, name) for panel in line}) == 1 for line in lines)


def _lines_of_legend(picture: Picture) -> int:
    """Lines of the legend below all panels; none if each has its own."""
    if not picture.shared_legend:
        return 0
    labels = {curve.label for panel in picture.panels for curve in panel.curves}
    labels |= {points.label for panel in picture.panels for points in panel.points}
    return math.ceil(len(labels - {""}) / MOST_IN_A_LINE)


def _write_below(figure: Figure, picture: Picture, legend: float, notes: float) -> None:
    """The note at the lower border, and above it the legend: so many inches without panels."""
    engine = figure.get_layout_engine()
    assert engine is not None
    total = figure.get_figheight()
    bottom = (legend + notes) / total
    engine.set(rect=(0, bottom, 1, 1 - bottom))  # type: ignore[call-arg]
    if notes:
        middle = 0.5 * notes / total
        figure.text(0.5, middle, picture.note, ha="center", va="center", fontsize=SMALL)
    if legend:
        _legend_of_all(figure, notes / total)


def _draw(axes: Axes, panel: Panel) -> None:
    for band in panel.bands:
        axes.fill_between(
            band.x, band.low, band.high, color=band.colour, alpha=0.3, lw=0, label=band.label
        )
    for height in panel.levels:
        axes.axhline(height, color=BLACK, lw=0.8, ls="--", zorder=1)
    for curve in panel.curves:
        shown = np.where(np.isfinite(curve.y), curve.y, np.nan)
        axes.plot(
            curve.x,
            shown,
            color=curve.colour,
            ls=curve.dashes,
            lw=curve.width,
            marker=curve.marker,
            ms=3.5,
            label=curve.label or None,
        )
    for points in panel.points:
        axes.plot(
            points.x,
            points.y,
            ls="none",
            marker=points.marker,
            ms=6,
            color=points.colour,
            markerfacecolor=points.colour if points.filled else "white",
            markeredgewidth=1.4,
            label=points.label or None,
            zorder=4,
            clip_on=False,
        )
    for x, y, words in panel.notes:
        axes.text(x, y, words, fontsize=SMALL, color=BLACK, va="center", zorder=5)
    axes.set_title(panel.title, fontsize=10)
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=FAINT, lw=0.6)
    axes.set_axisbelow(True)
    if panel.legend:
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16)}
        where: dict[str, Any] = below if panel.legend == BELOW else {"loc": panel.legend}
        axes.legend(fontsize=SMALL, frameon=False, **where)


def _scale(axes: Axes, axis: Axis, name: str) -> None:
    axes.set(**{f"{name}scale": axis.scale, f"{name}label": axis.label, f"{name}lim": axis.limits})
    if axis.names:
        getattr(axes, f"set_{name}ticks")(range(len(axis.names)), labels=axis.names)
    if axis.ticks:
        set_ticks = getattr(axes, f"set_{name}ticks")
        set_ticks(axis.ticks, labels=[f"{tick:g}" for tick in axis.ticks])
        set_ticks([], minor=True)


def _legend_of_all(figure: Figure, bottom: float) -> None:
    """One legend of every label, each once, that begins at a share ``bottom`` of the height."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="lower center",
        bbox_to_anchor=(0.5, bottom),
        borderaxespad=0.1,
        ncols=min(len(handles), MOST_IN_A_LINE),
        frameon=False,
        fontsize=SMALL + 0.5,
    )
