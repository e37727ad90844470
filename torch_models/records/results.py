"""What came of the runs: records read back, and summed up row by row beside the paper's figures."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sparsity_theory.published.rows import Row, expected_sparsity
from sparsity_theory.published.tables import Figures, PublishedRow
from torch_models.records.files import read_record
from torch_models.records.outcomes import ENDINGS, ending, kept_within
from torch_models.records.runs import NETWORKS, Experiment, Run, budget_names, rows_named

FORMAT = 2
"""Of the records that are read here: those of single runs."""

BUDGETS = (*budget_names(), "custom")
"""What a run can have been trained on; ``"custom"`` is a budget that was changed."""

COMPRESSED = (".gz", ".xz", ".bz2")


@dataclass(frozen=True)
class Setting:
    """What runs must have in common to be summed up together, and every word of it counts.

    ``images`` are checksums of what was trained and tested on, with the numbers of images.
    """

    table: int
    budget: str
    experiment: Experiment
    images: tuple[str, ...]
    source: str = field(compare=False)

    @property
    def as_published(self) -> bool:
        """Whether the images are those of the published data set, or some of them."""
        return not re.search(r"\d of \d+ as published|not the published", self.source)

    @property
    def description(self) -> str:
        """Networks and training in a line: width, depth, epochs, learning rate, batch size."""
        return f"{trained_as(self.experiment)}, batch size {self.experiment.batch_size}"

    @property
    def images_described(self) -> str:
        """The images in a line, with their source and numbers."""
        counts = dict(each.split() for each in self.images[-3:])
        return (
            f"{self.experiment.data} ({self.source}; {counts['train']} images to train on, "
            f"{counts['validation']} held out, {counts['test']} to test on)"
        )


@dataclass(frozen=True)
class Record:
    """A finished run, with the file that it was read from and all that is in there."""

    run: Run
    setting: Setting
    path: Path
    content: dict[str, Any] = field(compare=False, repr=False)

    @property
    def accuracy(self) -> float:
        """On the test set; of a network that diverged, with the weights of its last sound step."""
        return float(self.content["test"]["accuracy"])

    @property
    def sparsity(self) -> float:
        """Share of zeros over all hidden layers and the test set."""
        return float(self.content["test"]["sparsity"])

    @property
    def divergence(self) -> str | None:
        """The kind of divergence, None for a run that went to its end."""
        kind: str | None = self.content["divergence"] and self.content["divergence"]["kind"]
        return kind

    @cached_property
    def ending(self) -> str:
        """One of `ENDINGS`."""
        experiment = self.run.experiment
        distance = abs(self.sparsity - expected_sparsity(self.run.row, experiment.depth))
        return ending(self.divergence, distance <= kept_within(experiment.width), self.accuracy)


@dataclass(frozen=True)
class Found:
    """Records, one a run, in the order of their paths, and what was left out, with the reason."""

    records: list[Record]
    left_out: list[str]


@dataclass(frozen=True)
class RowSummary:
    """What came of the networks of one row in one setting, beside what the paper reports.

    ``ours`` is None without runs, ``paper`` where the paper has no such networks.
    """

    published: PublishedRow
    records: tuple[Record, ...]
    ours: Figures | None
    paper: Figures | None

    @property
    def endings(self) -> dict[str, int]:
        """Runs by ending, every one of `ENDINGS` listed."""
        seen = Counter(record.ending for record in self.records)
        return {name: seen[name] for name in ENDINGS}

    @property
    def divergences(self) -> dict[str, int]:
        """Runs that diverged, by kind; sparsity that was lost in mid-training is one of them."""
        return dict(Counter(r.divergence for r in self.records if r.divergence is not None))


@dataclass(frozen=True)
class TableSummary:
    """All rows of a table, in the paper's order; ``setting`` is None if there are no records."""

    table: int
    network: str
    budget: str | None
    setting: Setting | None
    rows: tuple[RowSummary, ...]


def trained_as(experiment: Experiment) -> str:
    """Size and training of networks, as far as the paper states it of its own."""
    what = "width" if experiment.network == "dnn" else "channels"
    return (
        f"{what} {experiment.width}, depth {experiment.depth}, {experiment.epochs} epochs, "
        f"learning rate {experiment.learning_rate:g}"
    )


def find_records(folders: Iterable[Path]) -> Found:
    """Read every ``.json`` file in folders and all that is in them.

    What is no record of a table's run (it cannot be read, is half of one, or something else
    altogether) is left out with its reason, and so is a second record of the same run. Records that
    lie in hidden folders, or have a hidden name, are not looked at.

    Raises:
        ValueError: for a folder that is not there.
    """
    records: dict[tuple[Run, Setting], Record] = {}
    left_out = []
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"records must be a folder that exists, got {str(folder)!r}")
        for path in sorted(folder.rglob("*.json")):
            if any(part.startswith(".") for part in path.relative_to(folder).parts):
                continue
            try:
                record = parse_record(path, read_record(path))
            except OSError as error:
                left_out.append(f"{path} cannot be read: {error.strerror or error}")
                continue
            except ValueError as error:
                left_out.append(str(error))
                continue
            first = records.setdefault((record.run, record.setting), record)
            if first.path.resolve() != path.resolve():
                left_out.append(f"{path} repeats the run of {first.path}")
    return Found(list(records.values()), left_out)


def parse_record(path: Path, content: dict[str, Any]) -> Record:
    """The record that a file's content is. Raises ``ValueError`` naming the file if it is none."""
    found = content.get("format")
    if found != FORMAT or "table" not in content:
        what = "" if found is None else f", its format is {found!r}"
        raise ValueError(f"{path} is not the record of a table's run{what}")
    try:
        row = Row(*(content["row"][name] for name in ("kind", "sparsity", "slope")))
        experiment = Experiment(**content["experiment"])
        run = Run(content["table"], row, content["budget"], experiment, content["seed"])
        rows_named(run.table, experiment.network, (row.slug,))
        setting = Setting(
            run.table, run.budget, experiment, _images(content["data"]), content["data"]["source"]
        )
        _check_figures(content)
        hash((run, setting))  # TypeError for lists in the place of numbers
    except (KeyError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} is not a whole record of a table's run ({problem})") from error
    except ValueError as error:
        raise ValueError(f"{path} is not a record of a table's run: {error}") from error
    return Record(run, setting, path, content)


def summarize(
    records: Sequence[Record], table: int, network: str | None = None, budget: str | None = None
) -> list[TableSummary]:
    """Sum up the records of a table, each setting by itself.

    Args:
        records: of any tables.
        table: 2, 4 or 5.
        network: one of ``NETWORKS``; None is every one that has records.
        budget: one of `BUDGETS`; None is every one that has records.

    Raises:
        ValueError: for a table, network or budget that there is not.
    """
    if network is not None and network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {network!r}")
    if budget is not None and budget not in BUDGETS:
        raise ValueError(f"budget must be one of {', '.join(BUDGETS)}, got {budget!r}")
    rows_named(table, network or "dnn", ())  # raises where there are none
    settings = {
        record.setting: None
        for record in records
        if record.run.table == table
        and network in (None, record.run.experiment.network)
        and budget in (None, record.run.budget)
    }
    if not settings:
        network = network or "dnn"
        rows = tuple(_summary(row, network, ()) for row in rows_named(table, network, ()))
        return [TableSummary(table, network, budget, None, rows)]
    return [_in_setting(setting, records) for setting in sorted(settings, key=_place)]


def figures_of(records: Sequence[Record]) -> Figures | None:
    """Mean and standard deviation over runs, None over no runs.

    The deviation is that of a sample, with n - 1 below the line, and None for a single run. The
    paper's is of the same kind: it prints 0.37 where one of five networks ended otherwise than the
    rest, at .94 and .1, and dividing by n could give no more than 0.34.
    """
    if not records:
        return None
    accuracy, sparsity = ([getattr(r, n) for r in records] for n in ("accuracy", "sparsity"))
    return Figures(
        statistics.fmean(accuracy), _deviation(accuracy),
        statistics.fmean(sparsity), _deviation(sparsity),
    )  # fmt: skip


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _in_setting(setting: Setting, records: Sequence[Record]) -> TableSummary:
    by_row: dict[Row, list[Record]] = {}
    for record in records:
        if record.setting == setting:
            by_row.setdefault(record.run.row, []).append(record)
    network = setting.experiment.network
    rows = tuple(
        _summary(published, network, by_row.get(published.row, ()))
        for published in rows_named(setting.table, network, ())
    )
    return TableSummary(setting.table, network, setting.budget, setting, rows)


def _summary(published: PublishedRow, network: str, records: Sequence[Record]) -> RowSummary:
    paper = published.dnn if network == "dnn" else published.cnn
    return RowSummary(published, tuple(records), figures_of(records), paper)


def _place(setting: Setting) -> tuple[Any, ...]:
    """Dense networks first; then by budget, and those of one name in a fixed order."""
    experiment = setting.experiment
    return (
        NETWORKS.index(experiment.network),
        BUDGETS.index(setting.budget),
        str(experiment),
        setting.images,
    )


def _images(data: dict[str, Any]) -> tuple[str, ...]:
    """What the images are: the content of files, however they were compressed, and how many."""
    sums = {k: v for k, v in data["checksums"].items() if not k.endswith(COMPRESSED)}
    counts = (f"{part} {data[part]}" for part in ("train", "validation", "test"))
    return (*(f"{name} {value}" for name, value in sorted(sums.items())), *counts)


def _check_figures(content: dict[str, Any]) -> None:
    """Refuse figures that would spoil a mean, and a budget or seed that is none."""
    for name in ("accuracy", "sparsity"):
        value = content["test"][name]
        if not isinstance(value, (int, float)) or not (math.isfinite(value) and 0 <= value <= 1):
            raise ValueError(f"test {name} must be between 0 and 1, got {value!r}")
    if content["budget"] not in BUDGETS:
        raise ValueError(f"budget must be one of {', '.join(BUDGETS)}, got {content['budget']!r}")
    if not isinstance(content["seed"], int):
        raise ValueError(f"seed must be an integer, got {content['seed']!r}")
    if content["divergence"] is not None:
        _require(content["divergence"], "kind", "step")
    _require(content, "epochs", "gradient_norms")


def _require(content: dict[str, Any], *names: str) -> None:
    for name in names:
        content[name]
