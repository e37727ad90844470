"""A chart of where one can train at all: the best clip's learnability over sparsity and depth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sparsity_theory as st
from sparsity_theory.finite_width.forecast import slow_below
from torch_models.reports.canvas import new_figure, save
from torch_models.reports.palette import BLACK, GREY

Size = tuple[float, int, int]
"""Sparsity, width and depth."""

CENTRED: dict[str, Any] = {"ha": "center", "va": "center"}

SPAN = 1.5
"""Learnabilities are coloured up to so much above and below what networks need to learn."""


def draw(
    title: str, found: Mapping[Size, st.StableClip | None], training_time: float, path: Path
) -> None:
    """Draw a panel for each width at ``path``: cells of s and depth, by what the best clip learns.

    White is where networks just learn in the training time; hatched cells have no stable clip.
    """
    widths = sorted({width for _, width, _ in found})
    sparsities = sorted({s for s, _, _ in found})
    depths = sorted({depth for _, _, depth in found})
    least = slow_below(training_time)
    figure = new_figure(4.2 * len(widths) + 1.2, 3.8)
    panels = figure.subplots(1, len(widths), squeeze=False)[0]
    for axes, width in zip(panels, widths, strict=True):
        values = learned(found, width, sparsities, depths)
        axes.set_facecolor("white")
        axes.patch.set(hatch="///", edgecolor=GREY)
        mesh = axes.pcolormesh(
            np.ma.masked_invalid(values), cmap="PuOr", vmin=least - SPAN, vmax=least + SPAN
        )
        axes.set_xticks(np.arange(len(sparsities)) + 0.5, [f"{s:g}" for s in sparsities])
        axes.set_yticks(np.arange(len(depths)) + 0.5, [str(depth) for depth in depths])
        axes.set(xlabel="sparsity s", title=f"width {width}")
        for (row, column), value in np.ndenumerate(values):
            if math.isfinite(value):
                dark = abs(value - least) > 0.6 * SPAN
                colour = "white" if dark else BLACK
                axes.text(column + 0.5, row + 0.5, f"{value:.1f}", color=colour, **CENTRED)
    panels[0].set_ylabel("depth L")
    bar = figure.colorbar(mesh, ax=list(panels), extend="both")
    bar.set_label(f"learnability of the best clip\n(networks need {least:.2g})")
    figure.suptitle(title, fontweight="bold")
    save(figure, path, 110)


def learned(
    found: Mapping[Size, st.StableClip | None],
    width: int,
    sparsities: list[float],
    depths: list[int],
) -> NDArray[np.float64]:
    """The learnability of the best clips of a width, (depths, sparsities); NaN where none is."""
    clips = [[found.get((s, width, depth)) for s in sparsities] for depth in depths]
    return np.array([[clip.learnability if clip else math.nan for clip in row] for row in clips])
