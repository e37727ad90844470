"""What was run in a folder, as a page for a person: forecasts, pictures, outcomes, commands."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sparsity_theory as st
from torch_models.records.outcomes import OUTCOMES
from torch_models.records.prediction import PREDICTIONS, RULE
from torch_models.records.results import TableSummary
from torch_models.records.row_report import RowReport
from torch_models.records.run_record import RunRecord
from torch_models.records.runs import Budget, budget_in_words, find_budget
from torch_models.records.settings import Setting
from torch_models.reports.before_training import COLUMNS, before_training
from torch_models.reports.canvas import new_figure
from torch_models.reports.drawing import drawn
from torch_models.reports.inline_svg import inline_svg
from torch_models.reports.numbers import mean_and_deviation, number
from torch_models.reports.page import choices, rendered
from torch_models.reports.panels import Picture
from torch_models.reports.rerun import AGAIN, command_of
from torch_models.reports.row_figure import draw_accuracy, draw_sparsity, draw_variance_map
from torch_models.reports.table_figure import table_picture

NETWORK_NAMES = {
    "dnn": "dense networks",
    "cnn": "convolutional networks",
    "cnn-1d": "convolutional networks in one dimension",
}

VERDICT_TONES = {
    "as the theory says": "good",
    "not as the theory says": "bad",
    "undecided": "unsure",
}

IN_PAPER, OTHERWISE, NOT_IN_PAPER = (
    "as in the paper",
    "otherwise than in the paper",
    "not in the paper",
)
PAPER_TONES = {IN_PAPER: "good", OTHERWISE: "bad", NOT_IN_PAPER: ""}

PANELS = {
    "variance map and q^l at initialization": draw_variance_map,
    "sparsity before training and at its end": draw_sparsity,
    "accuracy while training": draw_accuracy,
}
"""The pictures of a row, with what a screen reader says of them."""

PANEL_SIZE = (4.5, 4.7)
"""Inches, in which letters are as large as the page's small ones where three stand side by side."""

FEW_ROWS = 6
"""Rows up to which the page opens with everything shown."""


@dataclass(frozen=True)
class Row:
    """A row on the page: its report, where it stands, and its pictures."""

    report: RowReport
    pictures: tuple[str, ...]

    @property
    def paper(self) -> str:
        """How it came out beside the paper."""
        summary = self.report.summary
        if summary is None:
            return NOT_IN_PAPER
        return IN_PAPER if summary.as_in_the_paper else OTHERWISE

    @property
    def outcomes(self) -> list[str]:
        """Those of its networks, best first."""
        seen = {record.outcome for record in self.report.records}
        return [outcome for outcome in OUTCOMES if outcome in seen]

    @property
    def command(self) -> str | None:
        """What trains it again."""
        return command_of(self.report.records)


@dataclass(frozen=True)
class Part:
    """A setting on the page, with its rows."""

    setting: Setting
    rows: tuple[Row, ...]
    pictures: tuple[str, ...]

    @property
    def title(self) -> str:
        """What was trained, in a line."""
        experiment, table = self.setting.group.experiment, self.setting.table
        where = "Single rows" if table is None else f"Table {table}"
        wide = "width" if experiment.network == "dnn" else "channels"
        budget = budget_in_words(table, self.setting.group.budget, experiment)
        return (
            f"{where}, {NETWORK_NAMES[experiment.network]}, {wide} {experiment.width}, "
            f"depth {experiment.depth}, budget {budget}"
        )

    @property
    def paper(self) -> Budget | None:
        """How the paper's networks were trained, as far as it says; None outside of tables."""
        table = self.setting.table
        if table is None:
            return None
        return find_budget("full", table, self.setting.group.experiment.network)

    @property
    def seeds(self) -> str:
        """Those of its networks, some of which a row may lack."""
        seeds = {record.run.seed for row in self.rows for record in row.report.records}
        return ", ".join(map(str, sorted(seeds)))

    @property
    def networks(self) -> int:
        """How many were trained."""
        return sum(len(row.report.records) for row in self.rows)

    @property
    def as_forecast(self) -> int:
        """How many of them ended as was forecast."""
        return sum(row.report.as_forecast for row in self.rows)

    @property
    def compared(self) -> list[Row]:
        """Rows that the paper has."""
        return [row for row in self.rows if row.paper != NOT_IN_PAPER]

    @property
    def as_in_the_paper(self) -> int:
        """How many rows came out as in the paper."""
        return sum(row.paper == IN_PAPER for row in self.rows)


def drawn_row(report: RowReport) -> Row:
    """A row with its pictures."""
    pictures, name = [], report.records[0].run.name
    for what, draw in PANELS.items():
        figure = new_figure(*PANEL_SIZE)
        draw(figure.subplots(), report)
        pictures.append(inline_svg(figure, f"{report.design.label}: {what}", f"{name} {what}"))
    return Row(report, tuple(pictures))


def drawn_part(setting: Setting, rows: Sequence[Row]) -> Part:
    """A setting with its rows, and the pictures of them all if it is that of a table."""
    pictures = []
    summaries = [row.report.summary for row in rows]
    known = tuple(each for each in summaries if each is not None)
    if setting.table is not None:
        group = setting.group
        network = group.experiment.network
        of_all = table_picture([TableSummary(setting.table, network, group.budget, group, known)])
        pictures = [_picture(of_all, place) for place in range(len(of_all.panels))]
    return Part(setting, tuple(rows), tuple(pictures))


def _picture(of_all: Picture, place: int) -> str:
    """One panel of a picture as a picture of its own."""
    panel = of_all.panels[place]
    figure = drawn(replace(of_all, title="", rows=((panel,),)))
    return inline_svg(figure, f"{panel.x.label} by row", f"{of_all.stamp} {place}")


def page(
    folder: Path, parts: Sequence[Part], left_out: Sequence[str], unfinished: Sequence[Path]
) -> str:
    """The whole page.

    Args:
        folder: whose records these are.
        parts: one or more.
        left_out: what is no record, with the reasons.
        unfinished: checkpoints of runs that have no record.
    """
    rows = [row for part in parts for row in part.rows]
    return rendered(
        "runs.html",
        folder=folder,
        parts=parts,
        rows=rows,
        verdicts=choices((row.report.verdict.status for row in rows), VERDICT_TONES),
        left_out=left_out,
        unfinished=[path.name for path in unfinished],
        filters=_filters(parts),
        provenances=_provenances([each for row in rows for each in row.report.records]),
        again=AGAIN,
        before_training=before_training,
        columns=COLUMNS,
        few=FEW_ROWS,
        in_paper=IN_PAPER,
        not_in_paper=NOT_IN_PAPER,
        mean_and_deviation=mean_and_deviation,
        number=number,
        paper_tones=PAPER_TONES,
        predictions=PREDICTIONS,
        rule=RULE,
        verdict_tones=VERDICT_TONES,
        version=st.__version__,
    )


def _filters(parts: Sequence[Part]) -> dict[str, Mapping[str, int]]:
    """What rows are chosen by, with the number of rows that each choice leaves."""
    rows = [row for part in parts for row in part.rows]
    titles = [part.title for part in parts for _ in part.rows]
    return {
        "setting": choices(titles, titles),
        "forecast": choices((row.report.prediction.outcome for row in rows), PREDICTIONS),
        "outcome": choices((each for row in rows for each in row.outcomes), OUTCOMES),
        "verdict": choices((row.report.verdict.status for row in rows), VERDICT_TONES),
        "comparison": choices((row.paper for row in rows), PAPER_TONES),
    }


def _provenances(records: Sequence[RunRecord]) -> list[tuple[int, dict[str, Any]]]:
    """Versions, machines and states of the code, with the number of networks trained there."""
    names = ("versions", "hardware", "commit")
    seen = Counter(
        json.dumps({name: each.provenance.get(name) for name in names}) for each in records
    )
    return [(count, json.loads(text)) for text, count in seen.most_common()]
