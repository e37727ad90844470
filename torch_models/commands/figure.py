"""``sparsity-theory figure``: the figures of the paper, from the theory and from records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from torch_models.commands.errors import FAILED, fail, require
from torch_models.commands.options import folded
from torch_models.commands.outputs import write_to
from torch_models.commands.table import RECORDS, found_records
from torch_models.records.results import TABLE_BUDGETS, TableSummary
from torch_models.reports.canvas import FORMATS, check_format
from torch_models.reports.drawing import save_picture
from torch_models.reports.paper_figures.catalogue import FROM_RECORDS, NUMBERS, picture_of
from torch_models.reports.paper_figures.recorded import MissingRecords, dense_summaries

ALL = "all"
COMMITTED = Path("results") / "records"
"""Where a checkout of this project has records."""


def figure(
    number: Annotated[str, typer.Argument(metavar="FIGURE", help="1 to 14, or all.")],
    budget: Annotated[
        str | None,
        typer.Option(
            help=f"Of the networks of Figs. 5 and 14: {', '.join(TABLE_BUDGETS)}.",
            show_default="the largest networks that have records",
        ),
    ] = None,
    records: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of records for Figs. 5 and 14, and of folders of them; may be repeated.",
            show_default=f"{RECORDS} and {COMMITTED}, if they are there",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Picture to write: .svg, .pdf or .png; with all, the folder to write to.",
            show_default="figure-FIGURE.svg; figures",
        ),
    ] = None,
    as_format: Annotated[
        str | None,
        typer.Option("--format", help=f"{', '.join(FORMATS)}, with all.", show_default=FORMATS[0]),
    ] = None,
) -> None:
    """Draw a figure of the paper, or all: 5 and 14 from records, the others from theory."""
    require("figure", "matplotlib")
    try:
        numbers = _numbers(number)
        paths = _paths(numbers, number, output, as_format)
        dense_summaries([], folded(budget))  # raises for what there is not, before records are read
        needed = any(each in FROM_RECORDS for each in numbers)
        summaries = _summaries(records, folded(budget)) if needed else []
    except ValueError as error:
        fail(str(error))
    missing = []
    for each, path in zip(numbers, paths, strict=True):
        try:
            _draw(each, summaries, path)
        except MissingRecords as error:
            missing.append(f"{error}; to make them: {_command(error, budget)}")
    if missing:
        fail(" ".join(missing), FAILED)


def _numbers(number: str) -> tuple[int, ...]:
    """The figures that are asked for."""
    if number.casefold() == ALL:
        return NUMBERS
    if number not in map(str, NUMBERS):
        raise ValueError(f"figure must be 1 to {NUMBERS[-1]} or {ALL}, got {number!r}")
    return (int(number),)


def _paths(
    numbers: Sequence[int], asked: str, output: Path | None, as_format: str | None
) -> list[Path]:
    """Where each of them goes."""
    chosen = folded(as_format) or FORMATS[0]
    if chosen not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {as_format!r}")
    if asked.casefold() == ALL:
        return [(output or Path("figures")) / f"figure-{each}.{chosen}" for each in numbers]
    if output is None:
        return [Path(f"figure-{numbers[0]}.{chosen}")]
    if as_format is not None:
        raise ValueError(f"format goes with {ALL}; output names that of one figure")
    try:
        check_format(output)
    except ValueError as error:
        raise ValueError(f"output {error}") from error
    return [output]


def _summaries(folders: list[Path] | None, budget: str | None) -> list[TableSummary]:
    """Of the records in the folders, or where they usually are."""
    usual = [folder for folder in (RECORDS, COMMITTED) if folder.is_dir()]
    return dense_summaries(found_records(folders or usual).records, budget)


def _draw(number: int, summaries: Sequence[TableSummary], path: Path) -> None:
    """Draw and say where, or end with one line if the file cannot be written."""
    picture = picture_of(number, summaries)

    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_picture(picture, path)

    write_to(path, write, done="drawn")


def _command(error: MissingRecords, budget: str | None) -> str:
    """What makes the records that are missing."""
    rows = " ".join(f"--row {row.slug}" for row in error.rows)
    return f"sparsity-theory train-table 2 {rows} --budget {budget or 'short'} --seeds 5"
