"""Files that a command is asked to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from torch_models.commands.errors import FAILED, fail


def write_to(
    path: Path, write: Callable[[Path], None], *, what: str = "output", done: str = "written"
) -> None:
    """Write, say where, and end with one line if the file cannot be written."""
    try:
        write(path)
    except OSError as error:
        fail(f"{what} {path} cannot be written: {error.strerror or error}", FAILED)
    typer.echo(f"{done} to {path}", err=True)
