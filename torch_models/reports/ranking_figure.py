"""The forecasts of a table's rows, ranked, beside which of them failed in the paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sparsity_theory.published.ranking import RankedRow
from torch_models.reports.palette import BLUE, VERMILION
from torch_models.reports.panels import Axis, Panel, Picture, Points, in_one_row

TRAINED, FAILED = "trained in the paper", "failed in the paper"

FIGURES: dict[str, Callable[[RankedRow], float | None]] = {
    "severity": lambda row: row.forecast.severity,
    "failure probability": lambda row: row.forecast.failure_probability,
    "learnability": lambda row: row.forecast.learnability,
}
"""What is drawn of each row, a panel each."""


def ranking(rows: Sequence[RankedRow]) -> Picture:
    """Severity, failure probability and learnability of rows, the first row at the top.

    A row without a figure, as learnability of convolutional networks, has no point in its panel.
    """
    names = tuple(
        f"Table {row.published.table}, {row.network}: {row.published.design.label}" for row in rows
    )
    of_names = Axis("", (len(rows) - 0.5, -0.5), names=names)
    panels = [
        Panel("", Axis(name), of_names, points=_points(rows, figure))
        for name, figure in FIGURES.items()
    ]
    return Picture(
        "Forecasts of the paper's rows, by severity",
        in_one_row(panels),
        shared_legend=True,
        panel_size=(3.6, 1.0 + 0.2 * len(rows)),
    )


def _points(
    rows: Sequence[RankedRow], figure: Callable[[RankedRow], float | None]
) -> tuple[Points, ...]:
    """Two groups: rows that trained, and rows that failed as rings."""
    known = [
        (value, place, row.failed)
        for place, row in enumerate(rows)
        if (value := figure(row)) is not None and math.isfinite(value)
    ]
    groups = []
    for failed, label, colour in ((False, TRAINED, BLUE), (True, FAILED, VERMILION)):
        x = [value for value, _, outcome in known if outcome == failed]
        y = [place for _, place, outcome in known if outcome == failed]
        if x:
            groups.append(Points.of(x, y, label, colour=colour, filled=not failed))
    return tuple(groups)
