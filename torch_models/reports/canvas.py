"""Figures that are drawn without a screen and written whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch_models.records.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("svg", "pdf", "png")
"""What pictures can be written as, by the suffix of their file."""

STAMP = "drawn from "
"""Before the digest of what a picture was drawn from, in the description that its file carries."""


PALETTE_SIZE = 64
"""Colours of a small picture: a few of lines, and their shades at edges."""


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


def check_format(path: Path) -> str:
    """The format that the suffix of a file names. Raises ``ValueError`` if there is none."""
    chosen = path.suffix.removeprefix(".").casefold()
    if chosen not in FORMATS:
        allowed = ", ".join(f".{each}" for each in FORMATS)
        raise ValueError(f"must end in one of {allowed}, got {str(path)!r}")
    return chosen


def save(figure: Figure, path: Path, dots_per_inch: int = 130, stamp: str = "") -> None:
    """Write the figure at ``path``, atomically, as its suffix says.

    The same figure gives the same bytes: nothing tells when it was written.

    Raises:
        ValueError: for a suffix that is none of `FORMATS`.
    """
    from matplotlib import rc_context

    chosen = check_format(path)
    told = f"{STAMP}{stamp}" if stamp else ""
    metadata: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, "Creator": "sparsity-theory", "Description": told},
        "pdf": {"CreationDate": None, "Creator": "sparsity-theory", "Subject": told},
        "png": {"Software": None, "Description": told},
    }
    fixed = rc_context({"svg.hashsalt": "sparsity-theory", "pdf.fonttype": 42})
    with replacing(path) as temporary, fixed:
        figure.savefig(temporary, format=chosen, dpi=dots_per_inch, metadata=metadata[chosen])


def save_small_png(figure: Figure, path: Path, dots_per_inch: int, stamp: str) -> None:
    """Write the figure as PNG at ``path``, atomically, with a palette of `PALETTE_SIZE` colours."""
    import io

    from PIL import Image, PngImagePlugin

    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dots_per_inch)
    image = Image.open(content).convert("RGB")
    told = PngImagePlugin.PngInfo()
    told.add_text("Description", f"{STAMP}{stamp}")
    with replacing(path) as temporary:
        image.quantize(PALETTE_SIZE, dither=Image.Dither.NONE).save(
            temporary, format="png", optimize=True, pnginfo=told
        )


def stamp_of(path: Path) -> str:
    """The stamp that a picture was saved with; empty if it has none, or is not there."""
    content = path.read_bytes() if path.is_file() else b""
    _, found, rest = content.partition(STAMP.encode())
    return rest[:16].decode("ascii", "replace") if found else ""
