"""``sparsity-theory stable-clip``: how large a clip networks of a width and depth bear."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

import sparsity_theory as st
from torch_models.commands.errors import FAILED, fail
from torch_models.reports.clip_figure import draw

SPARSITIES = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
WIDTHS = (100, 300, 1000)


def stable_clip(
    activation: Annotated[str, typer.Option(help="crelu or cst.")] = "crelu",
    sparsity: Annotated[
        list[float] | None,
        typer.Option(help="May be repeated.", show_default=", ".join(map(str, SPARSITIES))),
    ] = None,
    width: Annotated[
        list[int] | None,
        typer.Option(help="May be repeated.", show_default=", ".join(map(str, WIDTHS))),
    ] = None,
    depth: Annotated[int, typer.Option(help="Hidden layers.")] = 100,
    risk: Annotated[float, typer.Option(help="Largest failure probability allowed.")] = 0.01,
    networks: Annotated[int, typer.Option(help="Random networks for each clip tried.")] = 1000,
    picture: Annotated[
        Path | None, typer.Option(help="PNG chart of V'(q*) to draw.", show_default="none")
    ] = None,
) -> None:
    """Find the largest clip m for which random networks fail no more often than the risk.

    A network fails whose squared gradients grow a thousandfold on their way back; nothing is
    trained.
    """
    if picture is not None and find_spec("matplotlib") is None:
        fail("the chart needs matplotlib: pip install 'sparsity-theory[all]'", FAILED)
    if picture is not None and not picture.absolute().parent.is_dir():
        fail(f"picture {picture} cannot be written: there is no folder {picture.parent}", FAILED)
    sizes = [(s, w) for w in width or WIDTHS for s in sparsity or SPARSITIES]
    console = Console(stderr=True)
    try:
        found = {
            (s, w): st.largest_stable_clip(activation, s, w, depth, 1.0, risk, networks)
            for s, w in track(sizes, "drawing networks", console=console, transient=True)
        }
    except ValueError as error:
        fail(str(error))
    _print(found)
    if picture is not None:
        label = st.ACTIVATIONS[activation].label
        draw(f"{label}, depth {depth}, at a risk of {risk:.0%}", found, picture)
        typer.echo(f"\ndrawn to {picture}")


def _print(found: dict[tuple[float, int], st.StableClip]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in ("width", "s", "m", "V'(q*)", "V''(q*)", "failing"):
        table.add_column(column, justify="right")
    for (s, w), clip in found.items():
        values = (clip.m, clip.slope, clip.curvature)
        numbers = (f"{value:.3f}" for value in values)
        table.add_row(str(w), f"{s:g}", *numbers, f"{clip.failure_probability:.1%}")
    Console(highlight=False).print(table)
