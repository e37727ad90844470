"""How every command of ``sparsity-theory`` ends when it fails."""

from __future__ import annotations

from typing import NoReturn

import typer

from sparsity_theory._extras import missing, needs

FAILED, BAD_VALUE, INTERRUPTED = 1, 2, 130
"""Exit codes."""


class Interrupted(typer.TyperException):
    """Ctrl-C in a command that can say what it has kept: its message, shown by the application."""

    exit_code = INTERRUPTED


def require(command: str, *modules: str) -> None:
    """End with one line that says what to install, if one of the modules is not there."""
    module = missing(*modules)
    if module is not None:
        fail(str(needs(command, module)), FAILED)


def fail(message: str, code: int = BAD_VALUE) -> NoReturn:
    """Say what is wrong in one line on standard error, and end with ``code``."""
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    raise typer.Exit(code)
