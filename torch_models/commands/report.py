"""``sparsity-theory report``: what was run in a folder, as a page for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from torch_models.commands.errors import FAILED, fail, require
from torch_models.commands.outputs import write_to
from torch_models.commands.printing import tracked
from torch_models.commands.table import RECORDS, found_records
from torch_models.records.files import ensure_writable, write_text
from torch_models.records.prediction import predict
from torch_models.records.row_report import RowReport
from torch_models.records.run_record import RunRecord
from torch_models.records.settings import settings_of
from torch_models.records.unfinished import unfinished_runs
from torch_models.reports.run_page import Row, drawn_part, drawn_row, page

NAME = "report.html"


def report(
    runs: Annotated[
        Path, typer.Argument(metavar="RUNS", help="Folder of records, and of folders of them.")
    ] = RECORDS,
    output: Annotated[
        Path | None, typer.Option(help="File to write.", show_default=f"{NAME} in RUNS")
    ] = None,
) -> None:
    """Write one page of HTML that says what was run in a folder, and what came of it.

    For a person who was not there: a summary, then every row with its forecast, its pictures, its
    outcomes beside the paper's, and the command that runs it again. The page needs no network.
    """
    require("report", "matplotlib", "jinja2")
    path = runs / NAME if output is None else output
    try:
        found = found_records([runs])
    except ValueError as error:
        fail(str(error))
    unfinished = unfinished_runs(runs)
    if not found.records:
        begun = f"; unfinished runs: {len(unfinished)}" if unfinished else ""
        makes = f"sparsity-theory reproduce --output {runs} makes some"
        fail(f"there is no record of a run in {runs}{begun}; {makes}")
    _check(path)
    settings = settings_of(found.records)
    rows = [row for setting in settings for row in setting.rows]
    drawn = iter([_row(records) for records in tracked(rows, "forecasting and drawing rows")])
    parts = [drawn_part(setting, [next(drawn) for _ in setting.rows]) for setting in settings]
    text = page(runs, parts, found.left_out, unfinished)
    write_to(path, lambda path: write_text(path, text))


def _check(path: Path) -> None:
    """End with one line, before anything is drawn, if there can be no file at ``path``."""
    folder = path.absolute().parent
    try:
        if path.is_dir():
            raise OSError("it is a folder")
        if path.exists() and not path.is_file():
            raise OSError("it is no regular file")
        if not folder.is_dir():
            raise OSError(f"there is no folder {path.parent}")
        ensure_writable(folder)
    except OSError as error:
        fail(f"output {path} cannot be written: {error.strerror or error}", FAILED)


def _row(records: tuple[RunRecord, ...]) -> Row:
    """Forecast a row from its setting, judge it by its records, and draw it."""
    first = records[0]
    prediction = predict(first.run.design, first.run.experiment, first.data["train"])
    return drawn_row(RowReport.of(prediction, records))
