"""Options that the commands which train networks have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

MOST_THREADS = 64
"""Threads that are allowed whatever the number of processors; far more crash torch."""

DEFAULT_THREADS = 2
"""Threads by default: the products are small, and more threads mostly wait for each other."""

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the official files of MNIST or CIFAR-10.", show_default="from OpenML"
    ),
]
Output = Annotated[Path, typer.Option(help="Folder for records and pictures.")]
Threads = Annotated[
    int | None, typer.Option(help="CPU threads.", show_default=f"at most {DEFAULT_THREADS}")
]
Together = Annotated[
    int | None,
    typer.Option(
        help="Networks trained together at most, as one ensemble.",
        show_default="4, on a GPU all that fit",
    ),
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes of this machine that train ensembles, of one thread each.",
        show_default="none, only this process",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        help="Dask scheduler whose workers train ensembles, tcp://HOST:PORT.", show_default="none"
    ),
]
SaveWeights = Annotated[
    bool,
    typer.Option(
        "--save-weights",
        help="Keep trained weights beside their record, as safetensors named by their checksum.",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Repeat finished runs.")]


def changed(what: str, default: str) -> Any:
    """An option that changes a part of the budget, whose value is shown as ``default``."""
    return typer.Option(help=what, show_default=default)


def folded(name: str | None) -> str | None:
    """A name as it is known here, from one in any case: tables print ``CNN``."""
    return None if name is None else name.casefold()


def thread_count(asked: int | None) -> int:
    """CPU threads to use. Raises ``ValueError`` for none, or far more than there are processors."""
    most = max(MOST_THREADS, os.cpu_count() or 1)
    if asked is not None and not 1 <= asked <= most:
        raise ValueError(f"threads must be between 1 and {most}, got {asked}")
    return asked or min(DEFAULT_THREADS, os.cpu_count() or 1)


def sizes_of_positions(text: str) -> list[int]:
    """32x32 as [32, 32], and 1024 as [1024]."""
    sizes = text.casefold().split("x")
    if not all(size.strip().isdecimal() for size in sizes):
        raise ValueError(f"positions must be a number or a pair such as 32x32, got {text!r}")
    return [int(size) for size in sizes]
