"""A picture of random networks beside the theory, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from torch_models.records.layers import TITLES, Layers
from torch_models.reports.canvas import new_figure, save
from torch_models.reports.palette import BLACK, BLUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


SEEN, LAW, LIMIT = BLUE, "#B8B8B8", BLACK


def draw(title: str, seen: dict[str, Layers], path: Path) -> None:
    """Draw one panel for each quantity and write the picture at ``path``, atomically."""
    figure = new_figure(15, 4.2)
    for axes, (name, each) in zip(figure.subplots(1, len(seen)), seen.items(), strict=True):
        _draw_panel(axes, each)
        axes.set(xlabel="layer l", title=TITLES[name])
        if name == "variance" and float(np.max(each.seen)) > 20:
            axes.set_yscale("log")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title, fontweight="bold")
    save(figure, path, 120)


def _draw_panel(axes: Axes, each: Layers) -> None:
    layers = np.arange(1, each.limit.size + 1)
    if each.law is not None:
        axes.fill_between(layers, *each.law, color=LAW, alpha=0.6, label="law at this width, 90%")
    for network, line in enumerate(each.seen):
        label = "networks" if network == 0 else None
        axes.plot(layers, line, color=SEEN, lw=0.8, alpha=0.6, label=label)
    axes.plot(layers, each.limit, color=LIMIT, lw=2, ls="--", label="infinite width")
    axes.spines[["top", "right"]].set_visible(False)
