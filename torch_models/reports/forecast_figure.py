"""What was forecast beside what came out: both ways to fail in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsity_theory.finite_width.forecast import SLOW_BELOW
from torch_models.reports.canvas import new_figure, save
from torch_models.reports.palette import BLUE, GREEN, ORANGE

COLOURS = (BLUE, ORANGE, GREEN)
MARKERS = ("o", "s", "^")
LEAST_PROBABILITY = 1e-3
"""Smaller failure probabilities are drawn as this one."""


@dataclass(frozen=True)
class Outcome:
    """A forecast and what came of it: ``failed`` is exploded, or its sparsity lost.

    ``learned`` is the learnability plus log10 of the training time over the paper's.
    """

    learned: float
    failure_probability: float
    accuracy: float
    failed: bool


def draw(groups: dict[str, Sequence[Outcome]], path: Path) -> None:
    """Draw accuracy over learnability, and failures in the plane of both forecasts.

    Args:
        groups: outcomes by what they are outcomes of; at most three.
        path: where the picture goes.
    """
    figure = new_figure(13, 4.8)
    accuracy, plane = figure.subplots(1, 2)
    for (name, outcomes), colour, marker in zip(groups.items(), COLOURS, MARKERS, strict=False):
        for failed in (False, True):
            some = [each for each in outcomes if each.failed == failed]
            style = {
                "marker": marker,
                "edgecolors": colour,
                "facecolors": "none" if failed else colour,
                "s": 28,
                "label": f"{name}, failed" if failed else name,
            }
            learned = [each.learned for each in some]
            accuracy.scatter(learned, [each.accuracy for each in some], **style)
            probability = [max(each.failure_probability, LEAST_PROBABILITY) for each in some]
            plane.scatter(learned, probability, **style)
    label = r"learnability + log$_{10}$(training time / the paper's)"
    accuracy.set(xlabel=label, ylabel="test accuracy", title="what is learned")
    accuracy.axvline(SLOW_BELOW, color="0.7", linewidth=1, zorder=0)
    plane.set(
        xlabel=label,
        ylabel="failure probability",
        yscale="logit",
        title="which networks fail (open symbols)",
    )
    for axes in (accuracy, plane):
        axes.spines[["top", "right"]].set_visible(False)
    accuracy.legend(frameon=False, fontsize="small")
    save(figure, path, 110)
