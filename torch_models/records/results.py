"""What came of the runs: records read back, and summed up row by row beside the paper's figures."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sparsity_theory.published.rows import Design
from sparsity_theory.published.tables import PublishedRow, Scores
from torch_models.records.outcomes import CHANCE, FAILED, LEARNED, OUTCOMES
from torch_models.records.run_record import RunRecord, read_run_record
from torch_models.records.runs import (
    CUSTOM,
    NETWORKS,
    Experiment,
    Run,
    budget_in_words,
    budget_names,
    rows_named,
)

TABLE_BUDGETS = (*budget_names(), CUSTOM)
"""What the runs of a table can have been trained on; ``"custom"`` is a budget that was changed."""


@dataclass(frozen=True)
class RecordGroup:
    """What runs must have in common to be summed up together, and every word of it counts.

    ``images`` are checksums of what was trained and tested on, with the numbers of images.
    """

    budget: str
    experiment: Experiment
    images: tuple[str, ...]
    source: str = field(compare=False)

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """The group that a record belongs to."""
        run = record.run
        return cls(run.budget, run.experiment, record.images, record.data["source"])

    @property
    def as_published(self) -> bool:
        """Whether the images are those of the published data set, or some of them."""
        return not re.search(r"\d of \d+ as published|not the published", self.source)

    @property
    def description(self) -> str:
        """Networks and training in a line: width, depth, epochs, learning rate, batch size."""
        return f"{self.experiment.trained_as}, {self.experiment.not_in_the_paper}"

    @property
    def trained_on(self) -> int:
        """The number of images in an epoch."""
        return int(self._counts["train"])

    @property
    def images_described(self) -> str:
        """The images in a line, with their source and numbers."""
        counts = self._counts
        return (
            f"{self.experiment.data} ({self.source}; {counts['train']} images to train on, "
            f"{counts['validation']} held out, {counts['test']} to test on)"
        )

    @property
    def _counts(self) -> dict[str, str]:
        return dict(each.split() for each in self.images[-3:])


@dataclass(frozen=True)
class Found:
    """Records, one a run, in the order of their paths, and what was left out, with the reason."""

    records: list[RunRecord]
    left_out: list[str]


@dataclass(frozen=True)
class RowSummary:
    """What came of the networks of one row in one group of records, beside what the paper reports.

    ``ours`` is None without runs, ``paper`` where the paper has no such networks.
    """

    published: PublishedRow
    records: tuple[RunRecord, ...]
    ours: Scores | None
    paper: Scores | None

    @property
    def outcomes(self) -> dict[str, int]:
        """Runs by outcome, every one of `OUTCOMES` listed."""
        seen = Counter(record.outcome for record in self.records)
        return {name: seen[name] for name in OUTCOMES}

    @property
    def failures(self) -> int:
        """How many runs failed: diverged, or lost their sparsity."""
        return sum(self.outcomes[name] for name in FAILED)

    @property
    def failed(self) -> bool:
        """Whether our networks failed; there must be some.

        Dense ones by their mean accuracy. None of our convolutional ones passes half of the images:
        they fail if one of them does not stay sparse, or learns nothing.
        """
        if self.records[0].run.experiment.network == "dnn":
            return self.ours is not None and self.ours.accuracy_mean < LEARNED
        return self.failures > 0 or any(each.final.accuracy <= CHANCE for each in self.records)

    @property
    def as_in_the_paper(self) -> bool:
        """Whether our networks failed where the paper's did, and trained where they trained.

        Also if some trained and some failed, both here and in the paper.
        """
        network = "dnn" if self.records[0].run.experiment.network == "dnn" else "cnn"
        split = self.outcomes["trained"] > 0 and self.failures > 0
        both_split = network == "dnn" and split and self.published.split
        return both_split or self.failed == self.published.failed_as(network)

    @property
    def divergences(self) -> dict[str, int]:
        """Runs that diverged, by kind; a sparsity that was halved while it trained is one."""
        return dict(Counter(r.divergence.kind for r in self.records if r.divergence is not None))


@dataclass(frozen=True)
class TableSummary:
    """All rows of a table, in the paper's order; ``group`` is None if there are no records."""

    table: int
    network: str
    budget: str | None
    group: RecordGroup | None
    rows: tuple[RowSummary, ...]

    @property
    def budget_in_words(self) -> str | None:
        """Also of which budget a custom one is a part; see `runs.budget_in_words`."""
        if self.group is None:
            return self.budget
        return budget_in_words(self.table, self.group.budget, self.group.experiment)


def find_records(folders: Iterable[Path]) -> Found:
    """Read every ``.json`` file in folders and all that is in them.

    What is no record of a run (it cannot be read, is half of one, or something else
    altogether) is left out with its reason, and so is a second record of the same run. Records that
    lie in hidden folders, or have a hidden name, are not looked at.

    Raises:
        ValueError: for a folder that is not there.
    """
    records: dict[tuple[Run, tuple[str, ...]], tuple[Path, RunRecord]] = {}
    left_out = []
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"records must be a folder that exists, got {str(folder)!r}")
        for path in sorted(folder.rglob("*.json")):
            if any(part.startswith(".") for part in path.relative_to(folder).parts):
                continue
            try:
                record = read_run_record(path)
            except OSError as error:
                left_out.append(f"{path} cannot be read: {error.strerror or error}")
                continue
            except ValueError as error:
                left_out.append(str(error))
                continue
            first, _ = records.setdefault((record.run, record.images), (path, record))
            if first.resolve() != path.resolve():
                left_out.append(f"{path} repeats the run of {first}")
    return Found([record for _, record in records.values()], left_out)


def summarize(
    records: Sequence[RunRecord], table: int, network: str | None = None, budget: str | None = None
) -> list[TableSummary]:
    """Sum up the records of a table, each group by itself, the largest networks first.

    Of networks of one size, those that were trained on more images come first.

    Args:
        records: of any tables.
        table: 2, 4 or 5.
        network: one of ``NETWORKS``; None is every one that has records.
        budget: one of `TABLE_BUDGETS`; None is every one that has records.

    Raises:
        ValueError: for a table, network or budget that there is not.
    """
    if network is not None and network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {network!r}")
    if budget is not None and budget not in TABLE_BUDGETS:
        raise ValueError(f"budget must be one of {', '.join(TABLE_BUDGETS)}, got {budget!r}")
    rows_named(table, network or "dnn", ())  # raises where there are none
    groups: dict[RecordGroup, list[RunRecord]] = {}
    for record in records:
        run = record.run
        if (
            run.table == table
            and network in (None, run.experiment.network)
            and budget in (None, run.budget)
        ):
            groups.setdefault(RecordGroup.of(record), []).append(record)
    if not groups:
        network = network or "dnn"
        rows = tuple(row_summary(row, network, ()) for row in rows_named(table, network, ()))
        return [TableSummary(table, network, budget, None, rows)]
    return [_in_group(table, group, groups[group]) for group in sorted(groups, key=_place)]


def largest_of_each_row(
    summaries: Sequence[TableSummary],
) -> list[tuple[TableSummary, RowSummary]]:
    """Of each row with records the first summary that has some, and the row in it.

    Args:
        summaries: of one table and kind of network, as `summarize` orders them.
    """
    found = []
    for same_row in zip(*(summary.rows for summary in summaries), strict=True):
        some = [each for each in zip(summaries, same_row, strict=True) if each[1].records]
        found += some[:1]
    return found


def figures_of(records: Sequence[RunRecord]) -> Scores | None:
    """Mean and standard deviation over runs, None over no runs.

    The deviation is that of a sample, with n - 1 below the line, and None for a single run. The
    paper's is of the same kind: it prints 0.37 where one of five networks ended otherwise than the
    rest, at .94 and .1, and dividing by n could give no more than 0.34.
    """
    if not records:
        return None
    accuracy = [record.final.accuracy for record in records]
    sparsity = [record.final.sparsity for record in records]
    return Scores(
        statistics.fmean(accuracy), _deviation(accuracy),
        statistics.fmean(sparsity), _deviation(sparsity),
    )  # fmt: skip


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _in_group(table: int, group: RecordGroup, records: Sequence[RunRecord]) -> TableSummary:
    by_row: dict[Design, list[RunRecord]] = {}
    for record in records:
        by_row.setdefault(record.run.design, []).append(record)
    network = group.experiment.network
    rows = tuple(
        row_summary(published, network, by_row.get(published.design, ()))
        for published in rows_named(table, network, ())
    )
    return TableSummary(table, network, group.budget, group, rows)


def row_summary(published: PublishedRow, network: str, records: Sequence[RunRecord]) -> RowSummary:
    """Sum up the records of a row, all of one group."""
    paper = published.dnn if network == "dnn" else published.cnn
    return RowSummary(published, tuple(records), figures_of(records), paper)


def _place(group: RecordGroup) -> tuple[Any, ...]:
    """Dense networks first, then by size, the largest first, and by the images trained on."""
    experiment = group.experiment
    return (
        NETWORKS.index(experiment.network),
        -experiment.width,
        -experiment.depth,
        -experiment.epochs * group.trained_on,
        TABLE_BUDGETS.index(group.budget),
        str(experiment),
        group.images,
    )
