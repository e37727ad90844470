"""A chart of the largest stable clips over the sparsity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sparsity_theory as st
from torch_models.reports.canvas import new_figure, save_png

COLOURS = ("#E69F00", "#0072B2", "#009E73")


MARKERS = ("o", "s", "^")


def draw(title: str, found: dict[tuple[float, int], st.StableClip], path: Path) -> None:
    """Draw m and V'(q*) over the sparsity, a line for each width, as PNG at ``path``."""
    figure = new_figure(11, 4.4)
    panels = figure.subplots(1, 2)
    widths: Sequence[int] = sorted({w for _, w in found})
    for axes, name, label in zip(panels, ("m", "slope"), ("clip m", "V'(q*)"), strict=True):
        for place, width in enumerate(widths):
            line = sorted((s, getattr(clip, name)) for (s, w), clip in found.items() if w == width)
            axes.plot(
                *zip(*line, strict=True),
                color=COLOURS[place % len(COLOURS)],
                marker=MARKERS[place % len(MARKERS)],
                label=f"width {width}",
            )
        axes.set(xlabel="sparsity s", title=f"largest stable {label}")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    figure.suptitle(title, fontweight="bold")
    save_png(figure, path, 120)
