"""``sparsity-theory table``: a table of the paper with ours beside it, from records."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from torch_models.commands.errors import fail
from torch_models.commands.options import folded
from torch_models.commands.outputs import write_to
from torch_models.commands.pictures import Plot, check_plot, draw_to
from torch_models.records.files import write_text
from torch_models.records.results import TABLE_BUDGETS, Found, find_records, summarize
from torch_models.records.runs import NETWORKS
from torch_models.reports.drawing import save_picture
from torch_models.reports.table_figure import table_picture
from torch_models.reports.tables import FORMATS

RECORDS = Path("runs")

RecordFolders = Annotated[
    list[Path] | None,
    typer.Option(
        help="Folder of records, and of folders of them; may be repeated.",
        show_default=str(RECORDS),
    ),
]


def table(
    number: Annotated[int, typer.Argument(metavar="TABLE", help="2, 4 or 5.")],
    network: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(NETWORKS)}.", show_default="all that have records"),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(TABLE_BUDGETS)}.", show_default="each that has records"),
    ] = None,
    records: RecordFolders = None,
    as_format: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS)}.")] = "text",
    output: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="standard output")
    ] = None,
    plot: Plot = None,
) -> None:
    """Print Table 2, 4 or 5, our figures beside the paper's, from the records there are.

    Text leaves out rows without a record; the other formats have all rows. Budgets are never
    merged, nor are runs that differ in anything but their seed. `sparsity-theory train-table 2`
    makes records.
    """
    check_plot(plot)
    chosen = as_format.casefold()
    if chosen not in FORMATS:
        fail(f"format must be one of {', '.join(FORMATS)}, got {as_format!r}")
    try:
        wanted = number, folded(network), folded(budget)
        summarize([], *wanted)  # raises for what there is not, before records are looked for
        summaries = summarize(found_records(records).records, *wanted)
        picture = None if plot is None else table_picture(summaries)
    except ValueError as error:
        fail(str(error))
    if plot is not None and picture is not None:
        draw_to(plot, partial(save_picture, picture))
    text = FORMATS[chosen](summaries)
    if output is None:
        typer.echo(text, nl=False)
        return
    write_to(output, lambda path: write_text(path, text))


def found_records(folders: list[Path] | None) -> Found:
    """Read the records, and name on standard error what is left out, a line for each file.

    Where no folder was named and the usual one is not there, there are no records yet.
    """
    if not folders and not RECORDS.is_dir():
        typer.echo(
            f"there is no folder {RECORDS}: train-table makes records there; the project's own are "
            "shown by --records results/records in a clone",
            err=True,
        )
        return Found([], [])
    found = find_records(folders or [RECORDS])
    for reason in found.left_out:
        typer.echo(f"left out: {' '.join(reason.split())}", err=True)
    return found
