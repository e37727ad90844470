"""Fig. 14: training losses of very sparse networks, from records."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sparsity_theory.published.rows import Design
from torch_models.records.results import TableSummary
from torch_models.records.run_record import RunRecord
from torch_models.reports.palette import GREY, SEEDS
from torch_models.reports.panels import BELOW, Axis, Curve, Panel, Picture, in_one_row
from torch_models.reports.paper_figures.recorded import (
    Recorded,
    end_of,
    of_papers_size,
    runs_of,
    runs_of_each,
)

TABLE = 2
"""Its networks have 100 layers; those of the same rows in Table 5 have 30, and are not slow."""

SLOW_ROWS = (Design("crelu", 0.85, 0.5), Design("cst", 0.85, 0.5))
"""The two of Table 2 with a small clip and a low accuracy; the caption names none."""

QUICK_ROWS = (Design("crelu", 0.6, 0.5), Design("cst", 0.6, 0.5))
"""As strongly clipped, and less sparse."""

AT_FULL_SIZE = Design("crelu", 0.85, 0.7)
"""As sparse with a larger clip: drawn where it was trained at the paper's size."""

CHANCE = math.log(10)
"""Cross-entropy of a guess among ten classes."""

MOST_MARKED = 30
"""Epochs of the longest run whose epochs are marked one by one."""

NOTE = "MNIST. One value an epoch, as recorded. Dashed: the loss of a guess, log 10."

CAPTION = """\
Training loss by epoch, mean cross-entropy on MNIST, of every recorded run of the two rows of Table
2 at 85% sparsity with the smallest clip, V'(q\\*) = 0.5; the legend has the test accuracy at the
end, and each panel the size of its networks. Grey: runs at 60% sparsity and the same slope. Values
are as recorded, one an epoch, not smoothed. Where there are records of CReLU at 85% sparsity and
V'(q\\*) = 0.7 at the paper's size, a third panel has them. The paper's caption does not name
its two configurations."""


def losses(summaries: Sequence[TableSummary]) -> Picture:
    """A panel for each slow row, and one for the sparse row at full size if it was trained.

    Raises:
        MissingRecords: if a slow row of the table has no run with a finished epoch.
    """
    summaries = [each for each in summaries if each.table == TABLE]
    found = runs_of_each("Fig. 14", "run", summaries, SLOW_ROWS, finished_an_epoch)
    panels = [
        _panel(letter, slow, quick)
        for letter, slow, quick in zip("ab", found, QUICK_ROWS, strict=True)
    ]
    full = [each for each in summaries if of_papers_size(each)]
    sparse = runs_of(full, AT_FULL_SIZE, finished_an_epoch)
    if sparse is not None:
        panels.append(_panel("c", sparse, None))
    return Picture(
        "Figure 14. Training loss of very sparse networks",
        in_one_row(panels),
        CAPTION,
        NOTE,
        panel_size=(4.4, 4.6),
    )


def finished_an_epoch(record: RunRecord) -> bool:
    """Whether there is a loss to be drawn."""
    return bool(record.epochs)


def _panel(letter: str, slow: Recorded, quick: Design | None) -> Panel:
    beside = None if quick is None else runs_of([slow.summary], quick, finished_an_epoch)
    curves = []
    for place, record in enumerate(beside.runs if beside else ()):
        label = "" if place else f"{record.run.design.label}, for comparison"
        curves.append(_curve(record, GREY, label))
    for place, record in enumerate(slow.runs):
        label = f"seed {record.run.seed}: {end_of(record)}"
        curves.append(_curve(record, SEEDS[place % len(SEEDS)], label))
    return Panel(
        f"({letter}) {slow.runs[0].run.design.label}\n{slow.size}",
        Axis("epoch", (0.0, 1.02 * slow.group.experiment.epochs)),
        Axis("training loss (mean cross-entropy)", (0.0, None)),
        tuple(curves),
        levels=(CHANCE,),
        legend=BELOW,
    )


def _curve(record: RunRecord, colour: str, label: str) -> Curve:
    """The loss of every finished epoch."""
    few = len(record.epochs) <= MOST_MARKED
    return Curve.of(
        [each.epoch for each in record.epochs],
        [each.loss for each in record.epochs],
        label,
        colour=colour,
        width=1.6 if few else 1.0,
        marker="o" if few else "",
    )
