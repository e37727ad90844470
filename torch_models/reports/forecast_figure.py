"""What was forecast beside what came out: both ways to fail in one picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparsity_theory.finite_width.forecast import SLOW_BELOW
from torch_models.reports.palette import BLUE, GREEN, GREY, ORANGE
from torch_models.reports.panels import Axis, Curve, Panel, Picture, Points, in_one_row

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


def forecast_picture(groups: dict[str, Sequence[Outcome]]) -> Picture:
    """Accuracy over learnability, and failures in the plane of both forecasts.

    Args:
        groups: outcomes by what they are outcomes of; at most three.
    """
    learned = Axis(r"learnability + log$_{10}$(training time / the paper's)")
    needed = Curve.of([SLOW_BELOW, SLOW_BELOW], [0, 1], colour=GREY, width=1.0)
    accuracy = Panel(
        "what is learned",
        learned,
        Axis("test accuracy"),
        curves=(needed,),
        points=_points(groups, lambda outcome: outcome.accuracy),
        legend="upper left",
    )
    plane = Panel(
        "which networks fail (open symbols)",
        learned,
        Axis("failure probability", scale="logit"),
        points=_points(groups, lambda outcome: max(outcome.failure_probability, LEAST_PROBABILITY)),
    )
    return Picture("Forecast and outcome", in_one_row([accuracy, plane]), panel_size=(6.5, 4.6))


def _points(
    groups: dict[str, Sequence[Outcome]], height: Callable[[Outcome], float]
) -> tuple[Points, ...]:
    """Every group over what is learned, the failed ones of each as open symbols."""
    return tuple(
        Points.of(
            [each.learned for each in outcomes if each.failed == failed],
            [height(each) for each in outcomes if each.failed == failed],
            f"{name}, failed" if failed else name,
            colour=colour,
            marker=marker,
            filled=not failed,
        )
        for (name, outcomes), colour, marker in zip(groups.items(), COLOURS, MARKERS, strict=False)
        for failed in (False, True)
    )
