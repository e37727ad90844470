"""Tables and numbers as every command prints them: whole, however narrow the terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table

if TYPE_CHECKING:
    from sparsity_theory.published.rows import Design

Item = TypeVar("Item")

WIDEST = 10_000
"""Columns of the widest table."""


def table(*columns: str, left: Collection[str] = ()) -> Table:
    """A table without lines; columns are right-aligned but for those in ``left``."""
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="italic")
    for column in columns:
        made.add_column(column, justify="left" if column in left else "right", no_wrap=True)
    return made


def print_table(console: Console, shown: Table) -> None:
    """Print a table as wide as it is: a narrow terminal wraps its lines and cuts no number."""
    narrow, options = console.width, console.options.update(width=WIDEST)
    console.width = max(narrow, console.measure(shown, options=options).maximum)
    try:
        console.print(shown)
    finally:
        console.width = narrow


def tracked(items: Sequence[Item], what: str) -> Iterable[Item]:
    """The items, with a bar on standard error that says what is done, if it is a terminal."""
    console = Console(stderr=True)
    return track(items, what, console=console, transient=True) if console.is_terminal else items


def inputs_of(row: Design) -> dict[str, Any]:
    """What a row was designed for, by the names of the options that say it."""
    return {"activation": row.kind, "sparsity": row.sparsity, "slope": row.slope}
