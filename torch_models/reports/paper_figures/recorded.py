"""Which records a figure is drawn from: the largest networks of a row that there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparsity_theory.published.rows import Design
from torch_models.records.results import RecordGroup, TableSummary, summarize
from torch_models.records.run_record import RunRecord

TABLES = (2, 4, 5)


class MissingRecords(ValueError):  # noqa: N818 - what it is, as FileNotFoundError's argument
    """There are no records that a figure could be drawn from; ``rows`` are what it needs."""

    def __init__(self, message: str, rows: Sequence[Design]) -> None:
        super().__init__(message)
        self.rows = rows


@dataclass(frozen=True)
class Recorded:
    """Runs of one row and of one group, with the summary of the table that they belong to."""

    runs: tuple[RunRecord, ...]
    group: RecordGroup
    summary: TableSummary

    @property
    def size(self) -> str:
        """How large the networks are, in words, and whether the paper's are as large."""
        experiment = self.group.experiment
        whose = "the paper's size" if of_papers_size(self.summary) else "smaller than the paper's"
        return f"width {experiment.width}, depth {experiment.depth}: {whose}"


def of_papers_size(summary: TableSummary) -> bool:
    """Whether networks are as wide and as deep as the paper's."""
    assert summary.group is not None
    experiment, published = summary.group.experiment, summary.rows[0].published
    return (experiment.width, experiment.depth) == (published.width, published.depth)


def dense_summaries(records: Sequence[RunRecord], budget: str | None = None) -> list[TableSummary]:
    """The dense networks of all tables, those of the paper's size first.

    Raises:
        ValueError: for a budget that there is not.
    """
    found = [each for table in TABLES for each in summarize(records, table, "dnn", budget)]
    some = [each for each in found if each.group is not None]
    return sorted(some, key=lambda each: not of_papers_size(each))


def runs_of(
    summaries: Sequence[TableSummary], row: Design, wanted: Callable[[RunRecord], bool]
) -> Recorded | None:
    """The wanted runs of a row in the first of the summaries that has any."""
    for summary in summaries:
        runs = tuple(
            record
            for each in summary.rows
            if each.published.design == row
            for record in each.records
            if wanted(record)
        )
        if runs and summary.group is not None:
            return Recorded(runs, summary.group, summary)
    return None


def runs_of_each(
    name: str,
    what: str,
    summaries: Sequence[TableSummary],
    rows: Sequence[Design],
    wanted: Callable[[RunRecord], bool],
) -> list[Recorded]:
    """`runs_of` each row.

    Raises:
        MissingRecords: if a row has none, saying what figure needs what.
    """
    found = {row: runs_of(summaries, row, wanted) for row in rows}
    missing = " and ".join(row.label for row, runs in found.items() if runs is None)
    if missing:
        raise MissingRecords(
            f"{name} needs a record of a {what} of {missing}, and there is none", rows
        )
    return [runs for runs in found.values() if runs is not None]


def end_of(record: RunRecord) -> str:
    """How a run ended, for a legend."""
    if record.divergence is None:
        return f"test accuracy {record.final.accuracy:.2f}"
    return f"{record.outcome_in_detail} at step {record.divergence.step}"
