"""Figures as parts of a page: SVG that takes the page's letters and its colours, light or dark."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

from torch_models.reports.palette import BLACK, FAINT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {
    BLACK: "currentColor",
    "#000000": "currentColor",
    "#ffffff": "var(--paper)",
    FAINT: "var(--line)",
}
"""Of the figure, and what the page has in their place; the others are seen on light and dark."""

LEFT_OUT = (
    r"<metadata>.*?</metadata>",
    r'<style type="text/css">.*?</style>',
    r'(?<=<g) id="[^"]*"',  # the same in every figure, while a page must have each once
    r"font-family: [^;\"]*;? ?",
)
"""Parts of what matplotlib writes that a page has no use for."""

COORDINATES = r' (?:d|x|y|transform)="[^"]*"'
"""Attributes whose numbers are rounded to a tenth of a point."""


def inline_svg(figure: Figure, label: str, name: str) -> str:
    """The figure as an element of a page, as wide as what is around it.

    Args:
        figure: is drawn; the same one gives the same text.
        label: what a screen reader says in its place.
        name: no other figure on the page has it: parts of a figure are named after it, and those
            of one that is hidden cannot be used by another.
    """
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    _, _, drawn = text.getvalue().partition("<svg ")
    for pattern in LEFT_OUT:
        drawn = re.sub(pattern, "", drawn, flags=re.DOTALL)
    for colour, of_page in COLOURS.items():
        drawn = re.sub(colour, of_page, drawn, flags=re.IGNORECASE)
    drawn = re.sub(r'(?:width|height)="[\d.]*pt" ', "", drawn)
    drawn = re.sub(COORDINATES, lambda found: re.sub(r"(\.\d)\d+", r"\1", found[0]), drawn)
    drawn = re.sub(r"\s*\n\s*", "\n", drawn)
    return f'<svg role="img" aria-label="{html.escape(label)}" {drawn}'
