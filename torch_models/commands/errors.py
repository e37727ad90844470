"""How every command of ``sparsity-theory`` ends when it fails."""

from __future__ import annotations

from typing import NoReturn

import typer

FAILED, BAD_VALUE, INTERRUPTED = 1, 2, 130
"""Exit codes."""


def fail(message: str, code: int = BAD_VALUE) -> NoReturn:
    """Say what is wrong in one line on standard error, and end with ``code``."""
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    raise typer.Exit(code)
