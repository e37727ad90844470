"""Commands that are listed without being loaded: only that which is used is."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


class LazyGroup(TyperGroup):
    """A group whose commands have a name and a line of help, until one of them is used."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, loaded, and the arguments left for it."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else load(name), rest


def load(name: str) -> Any:
    """The command of that name: the function so named in the file so named.

    Its help ends with the ``EPILOG`` of the file, if there is one.
    """
    identifier = name.replace("-", "_")
    module = import_module(f"torch_models.commands.{identifier}")
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, epilog=getattr(module, "EPILOG", None))(getattr(module, identifier))
    return typer.main.get_command(alone)
