"""Pictures that a command is asked to draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from torch_models.commands.errors import FAILED, fail, require
from torch_models.commands.outputs import write_to
from torch_models.reports.canvas import check_format

Plot = Annotated[
    Path | None,
    typer.Option("--plot", help="Picture to draw: .svg, .pdf or .png.", show_default="none"),
]


def check_plot(path: Path | None) -> None:
    """End with one line, before anything is computed, if there can be no picture at ``path``."""
    if path is None:
        return
    require("the picture", "matplotlib")
    try:
        check_format(path)
    except ValueError as error:
        fail(f"plot {error}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        fail(f"plot {path} cannot be written: {what}", FAILED)


def draw_to(path: Path, draw: Callable[[Path], None]) -> None:
    """Draw, say where, and end with one line if the file cannot be written."""
    write_to(path, draw, what="plot", done="drawn")
