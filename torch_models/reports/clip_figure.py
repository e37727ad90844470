"""A chart of the largest stable clips over the sparsity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import sparsity_theory as st
from torch_models.reports.canvas import new_figure, save
from torch_models.reports.palette import BLUE, GREEN, ORANGE

COLOURS = (ORANGE, BLUE, GREEN)
MARKERS = ("o", "s", "^")


def draw(title: str, found: dict[tuple[float, int], st.StableClip | None], path: Path) -> None:
    """Draw m, V'(q*) and learnability over s, a line for each width, at ``path``.

    Bars span the ranges of m. A line ends where no clip is stable.
    """
    figure = new_figure(14, 4.4)
    panels = figure.subplots(1, 3)
    widths: Sequence[int] = sorted({w for _, w in found})
    labels = {
        "m": "largest stable clip m",
        "slope": "its V'(q*)",
        "learnability": "its learnability",
    }
    for axes, (name, label) in zip(panels, labels.items(), strict=True):
        for place, width in enumerate(widths):
            of_width = {s: clip for (s, w), clip in sorted(found.items()) if w == width and clip}
            if not of_width:
                continue
            values = [getattr(clip, name) for clip in of_width.values()]
            axes.errorbar(
                list(of_width),
                values,
                yerr=_bars(of_width.values()) if name == "m" else None,
                color=COLOURS[place % len(COLOURS)],
                marker=MARKERS[place % len(MARKERS)],
                label=f"width {width}",
            )
        axes.set(xlabel="sparsity s", title=label)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    figure.suptitle(title, fontweight="bold")
    save(figure, path, 120)


def _bars(clips: Iterable[st.StableClip]) -> list[list[float]]:
    """How far the ranges of m reach below and above."""
    low, high = zip(*((c.m - c.m_range[0], c.m_range[1] - c.m) for c in clips), strict=True)
    return [list(low), list(high)]
