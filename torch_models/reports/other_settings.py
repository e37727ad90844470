"""Networks of the paper's tables that were trained with what the paper does not state changed."""

from __future__ import annotations

from collections.abc import Sequence

from sparsity_theory.finite_width.failure import PAPER_TIME
from sparsity_theory.published.tables import Scores
from torch_models.records.run_record import RunRecord
from torch_models.records.runs import rows_named
from torch_models.reports.numbers import mean_and_deviation

COLUMNS = ("row", "depth", "batch", "momentum", "rate", "time", "accuracy", "paper", "reached at",
           "sparsity", "paper")  # fmt: skip


def other_settings(records: Sequence[RunRecord]) -> str:
    """A line for each network in Markdown; the training time of the paper's batch of 100 is 1.

    "Reached at" is the time at which a network first had the paper's accuracy on held-out images.
    """
    ordered = sorted(records, key=lambda each: (each.run.table or 0, each.run.name))
    rule = [":---", *["---:"] * (len(COLUMNS) - 1)]
    lines = [COLUMNS, rule, *map(_cells, ordered)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def reached_at(record: RunRecord, accuracy: float) -> float | None:
    """The training time, the paper's being 1, after which this accuracy was first measured."""
    whole = record.training_time / PAPER_TIME
    for epoch in record.epochs:
        if epoch.validation_accuracy >= accuracy:
            return whole * epoch.epoch / record.run.experiment.epochs
    return None


def paper_scores(record: RunRecord) -> Scores:
    """What the paper has for the row of a dense network."""
    assert record.run.table is not None
    (row,) = rows_named(record.run.table, "dnn", (record.run.design.slug,))
    return row.dnn


def _cells(record: RunRecord) -> tuple[str, ...]:
    experiment, paper = record.run.experiment, paper_scores(record)
    reached = reached_at(record, paper.accuracy_mean)
    return (
        record.run.design.label,
        str(experiment.depth),
        str(experiment.batch_size),
        f"{experiment.momentum:g}",
        f"{experiment.learning_rate:g}",
        f"{record.training_time / PAPER_TIME:.2f}",
        f"{record.final.accuracy:.3f}",
        mean_and_deviation(paper.accuracy_mean, paper.accuracy_std, 2),
        "never" if reached is None else f"{reached:.2f}",
        f"{record.final.sparsity:.3f}",
        mean_and_deviation(paper.sparsity_mean, paper.sparsity_std, 2),
    )
