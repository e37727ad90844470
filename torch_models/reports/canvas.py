"""Figures that are drawn without a screen and written whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from torch_models.records.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, whatever backend the environment names.

    A backend that cannot be loaded would fail the import of matplotlib.
    """
    named = os.environ.pop("MPLBACKEND", None)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Figure, path: Path, dots_per_inch: int = 130) -> None:
    """Write the figure as PNG at ``path``, atomically."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dots_per_inch)
