"""``sparsity-theory figure``: Figs. 5 and 14 of the paper, drawn from records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from torch_models.commands.errors import FAILED, fail, require
from torch_models.commands.options import folded
from torch_models.commands.table import RecordFolders, found_records
from torch_models.records.results import BUDGETS, summarize
from torch_models.reports.training_figures import FIGURES, MissingRecords


def figure(
    number: Annotated[int, typer.Argument(metavar="FIGURE", help="5 or 14.")],
    budget: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(BUDGETS)}.", show_default="the first that has records"),
    ] = None,
    records: RecordFolders = None,
    output: Annotated[
        Path | None, typer.Option(help="PNG file to write.", show_default="figure-FIGURE.png")
    ] = None,
) -> None:
    """Draw Fig. 5 (gradients of failed runs) or Fig. 14 (losses of slow ones) from records."""
    if number not in FIGURES:
        fail(f"figure must be one of {', '.join(map(str, FIGURES))}, got {number}")
    path = output or Path(f"figure-{number}.png")
    if path.suffix != ".png":
        fail(f"output must end in .png, got {str(path)!r}")
    require("figure", "matplotlib")
    try:
        wanted = 2, "dnn", folded(budget)
        summarize([], *wanted)  # raises for what there is not, before records are looked for
        FIGURES[number](summarize(found_records(records).records, *wanted), path)
    except MissingRecords as error:
        rows = " ".join(f"--row {row.slug}" for row in error.rows)
        command = f"sparsity-theory train-table 2 {rows} --budget {budget or 'short'}"
        fail(f"{error}; to make them: {command} --seeds 5", FAILED)
    except ValueError as error:
        fail(str(error))
    except OSError as error:
        fail(f"output {path} cannot be written: {error.strerror or error}", FAILED)
    typer.echo(f"drawn to {path}", err=True)
