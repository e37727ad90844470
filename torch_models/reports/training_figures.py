"""Figs. 5 and 14 from records: gradient norms of failed runs, and losses of slow ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparsity_theory.published.rows import Design
from torch_models.records.results import RecordGroup, TableSummary
from torch_models.records.run_record import RunRecord
from torch_models.reports.canvas import new_figure, save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAILED_ROWS = (Design("crelu", 0.85, 0.9), Design("cst", 0.85, 0.9))
"""Figs. 5a and 5b. The paper's 5b is at V'(q*) = .8 (m = 1.22), which is no row of Table 2."""

SLOW_ROWS = (Design("crelu", 0.85, 0.5), Design("cst", 0.85, 0.5))
QUICK_ROWS = (Design("crelu", 0.6, 0.5), Design("cst", 0.6, 0.5))
"""As strongly clipped as the slow ones, and less sparse."""

SLOW_COLOURS = ("#D55E00", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9")
QUICK_COLOUR = "#8A8A8A"

PALEST = 0.9
"""How far into the colour map steps go: what follows is too pale on white."""


class MissingRecords(ValueError):  # noqa: N818 - what it is, as FileNotFoundError's argument
    """There are no records that a figure could be drawn from; ``rows`` are what it needs."""

    def __init__(self, message: str, rows: Sequence[Design]) -> None:
        super().__init__(message)
        self.rows = rows


def draw_gradient_norms(summaries: Sequence[TableSummary], path: Path) -> None:
    """Fig. 5: gradient norms by layer over the first steps of a failed run of each kind, as PNG.

    Of the groups of records with failed runs of both, the first is taken, and of its runs the one
    that went through most of the recorded steps before it was stopped.

    Raises:
        MissingRecords: if no group has them.
    """
    group, by_row = _choose("Fig. 5", summaries, FAILED_ROWS, _failed, "failed run")
    figure = new_figure(12, 4.9)
    for axes, letter, row in zip(figure.subplots(1, 2), "ab", FAILED_ROWS, strict=True):
        record = max(by_row[row], key=lambda each: len(each.gradient_norms))
        _draw_norms(figure, axes, record)
        axes.set_title(f"({letter}) {row.label}, seed {record.run.seed}: {_end(record)}")
    note = "The paper's (b) is a run at V' = 0.8 (m = 1.22), which is no row of Table 2."
    _finish(figure, "Gradient norms in the first steps of failed runs", group, note, path)


def draw_losses(summaries: Sequence[TableSummary], path: Path) -> None:
    """Fig. 14: training loss by epoch of all runs of slow rows, beside quick ones, as PNG.

    Raises:
        MissingRecords: if no group has runs of all those rows.
    """
    rows = (*SLOW_ROWS, *QUICK_ROWS)
    group, by_row = _choose("Fig. 14", summaries, rows, lambda record: True, "run")
    figure = new_figure(12, 4.9)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, slow, quick in zip(panels, SLOW_ROWS, QUICK_ROWS, strict=True):
        for place, record in enumerate(by_row[quick]):
            label = None if place else f"{quick.label}, for comparison"
            _draw_loss(axes, record, QUICK_COLOUR, label)
        for place, record in enumerate(by_row[slow]):
            label = f"seed {record.run.seed}: {_end(record)}"
            _draw_loss(axes, record, SLOW_COLOURS[place % len(SLOW_COLOURS)], label)
        axes.set(xlabel="epoch", title=slow.label)
        axes.legend(frameon=False, fontsize=9)
    panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel("training loss (mean cross-entropy)")
    _finish(figure, "High sparsity with a small clip trains slowly", group, "", path)


FIGURES: dict[int, Callable[[Sequence[TableSummary], Path], None]] = {
    5: draw_gradient_norms,
    14: draw_losses,
}
"""By the paper's number; all are drawn from the dense networks of Table 2."""


def _choose(
    name: str,
    summaries: Sequence[TableSummary],
    rows: Sequence[Design],
    wanted: Callable[[RunRecord], bool],
    what: str,
) -> tuple[RecordGroup, dict[Design, list[RunRecord]]]:
    """The first group that has wanted records of all rows, and these records by row."""
    missing: list[Design] = list(rows)
    for summary in summaries:
        by_row = {
            row.published.design: [record for record in row.records if wanted(record)]
            for row in summary.rows
        }
        missing = [row for row in rows if not by_row[row]]
        if summary.group is not None and not missing:
            return summary.group, by_row
    labels = " and ".join(row.label for row in missing)
    raise MissingRecords(f"{name} needs a record of a {what} of {labels}, and there is none", rows)


def _failed(record: RunRecord) -> bool:
    return record.outcome != "trained" and bool(record.gradient_norms)


def _end(record: RunRecord) -> str:
    """How a run ended, for a title or a legend."""
    if record.divergence is None:
        return f"test accuracy {record.final.accuracy:.2f}"
    return f"{record.outcome_in_detail} at step {record.divergence.step}"


def _draw_norms(figure: Figure, axes: Axes, record: RunRecord) -> None:
    """A line for each step, coloured by its number; zeros have no place on a log scale."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    steps = [np.array(norms) for norms in record.gradient_norms]
    colours = ListedColormap(colormaps["plasma"](np.linspace(0, PALEST, len(steps))))
    for step, norms in enumerate(steps):
        drawn = np.where((norms > 0) & np.isfinite(norms), norms, np.nan)
        axes.plot(np.arange(1, len(norms) + 1), drawn, color=colours(step), lw=1.5)
    axes.set(yscale="log", xlabel="layer", ylabel="norm of the gradient by the layer's weights")
    axes.set_xlim(1, len(steps[0]))
    bounds = np.arange(0.5, len(steps) + 1)
    shown = ScalarMappable(BoundaryNorm(bounds, len(steps)), colours)
    bar = figure.colorbar(shown, ax=axes, label="step", pad=0.02)
    bar.set_ticks(list(range(1, len(steps) + 1, 1 if len(steps) < 6 else 2)))
    bar.minorticks_off()


def _draw_loss(axes: Axes, record: RunRecord, colour: str, label: str | None) -> None:
    axes.plot(
        [each.epoch for each in record.epochs],
        [each.loss for each in record.epochs],
        color=colour,
        lw=1.6,
        marker="o",
        ms=3,
        label=label,
    )


def _finish(figure: Figure, title: str, group: RecordGroup, note: str, path: Path) -> None:
    """Say what is drawn and on what budget, and write the PNG."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=14, fontweight="bold")
    budget = "the paper's budget" if group.budget == "full" else f"budget {group.budget}"
    lines = f"{group.experiment.data}, {budget}: {group.description}. {note}"
    figure.supxlabel(lines, fontsize=9, color="#444444")
    save_png(figure, path)
