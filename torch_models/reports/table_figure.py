"""A table of results as a picture: every run of ours, and the paper's means."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch_models.records.results import RowSummary, TableSummary
from torch_models.records.run_record import RunRecord
from torch_models.reports.palette import BLUE, VERMILION
from torch_models.reports.panels import Axis, Panel, Picture, Points

OURS, PAPER = "a run of ours", "the paper's mean"
FIGURES: dict[str, tuple[Callable[[RunRecord], float], str]] = {
    "test accuracy": (lambda record: record.final.accuracy, "accuracy_mean"),
    "test sparsity": (lambda record: record.final.sparsity, "sparsity_mean"),
}
"""What is drawn, of a run of ours and of the paper's scores."""

LINE = 0.22
"""Inches that a row takes."""


def table_picture(summaries: Sequence[TableSummary]) -> Picture:
    """A line of two panels for each group of records, with the rows that have records.

    Raises:
        ValueError: if there are no records.
    """
    shown = [
        (summary, [row for row in summary.rows if row.records])
        for summary in summaries
        if summary.group is not None
    ]
    if not shown:
        raise ValueError("plot needs records, and there are none")
    return Picture(
        f"Table {summaries[0].table}",
        tuple(_panels(summary, rows) for summary, rows in shown),
        shared_legend=True,
        panel_size=(4.6, 0.0),
        row_heights=tuple(0.8 + LINE * len(rows) for _, rows in shown),
    )


def _panels(summary: TableSummary, rows: Sequence[RowSummary]) -> tuple[Panel, ...]:
    assert summary.group is not None
    names = tuple(row.published.design.label for row in rows)
    experiment = summary.group.experiment
    size = f"width {experiment.width}, depth {experiment.depth}"
    title = f"{summary.network}, {summary.budget_in_words}: {size}"
    return tuple(
        Panel(
            title,
            Axis(figure, (-0.03, 1.03)),
            Axis("", (len(rows) - 0.5, -0.5), names=names),
            points=_points(rows, figure),
        )
        for figure in FIGURES
    )


def _points(rows: Sequence[RowSummary], figure: str) -> tuple[Points, ...]:
    of_run, of_paper = FIGURES[figure]
    ours = [(of_run(record), place) for place, row in enumerate(rows) for record in row.records]
    papers = [
        (getattr(row.paper, of_paper), place)
        for place, row in enumerate(rows)
        if row.paper is not None
    ]
    x, y = zip(*ours, strict=True)
    groups = [Points.of(x, y, OURS, colour=BLUE)]
    if papers:
        x, y = zip(*papers, strict=True)
        groups.append(Points.of(x, y, PAPER, colour=VERMILION, filled=False, marker="D"))
    return tuple(groups)
