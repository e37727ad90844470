"""``sparsity-theory stable-clip``: the largest clip for a width and depth."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

import sparsity_theory as st
from sparsity_theory.published.rows import Design
from torch_models.commands.errors import fail
from torch_models.commands.pictures import Picture, check_picture, draw_to
from torch_models.commands.printing import drawing, number, print_table, table
from torch_models.reports.clip_figure import draw

SPARSITIES = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
WIDTHS = (100, 300, 1000)
KINDS = tuple(name for name, kind in st.ACTIVATIONS.items() if kind.clipped)


def stable_clip(
    activation: Annotated[str, typer.Option(help=f"{' or '.join(KINDS)}.")] = "crelu",
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
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
    picture: Picture = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Find the largest clip m for which random networks fail no more often than the risk.

    A network fails whose squared gradients grow a thousandfold on their way back; nothing is
    trained.
    """
    check_picture(picture)
    kind = activation.casefold()
    if kind not in KINDS:
        fail(f"activation must be one of {', '.join(KINDS)}, got {activation!r}")
    sizes = [(s, w) for w in width or WIDTHS for s in sparsity or SPARSITIES]
    try:
        for s, _ in sizes:
            Design.of(kind, s)  # raises for a sparsity that is none
        found = {
            (s, w): st.largest_stable_clip(kind, s, w, depth, 1.0, risk, networks, seed)
            for s, w in drawing(sizes)
        }
    except ValueError as error:
        fail(str(error))
    if as_json:
        inputs = {"activation": kind, "depth": depth, "risk": risk}
        clips = [{"sparsity": s, "width": w, **asdict(clip)} for (s, w), clip in found.items()]
        content = {**inputs, "networks": networks, "seed": seed, "clips": clips}
        typer.echo(json.dumps(content, indent=1))
    else:
        _print(found)
    if picture is not None:
        title = f"{st.ACTIVATIONS[kind].label}, depth {depth}, at a risk of {risk:.0%}"
        draw_to(picture, lambda path: draw(title, found, path))


def _print(found: dict[tuple[float, int], st.StableClip]) -> None:
    shown = table("width", "s", "m", "V'(q*)", "V''(q*)", "failing")
    for (s, w), clip in found.items():
        numbers = map(number, (clip.m, clip.slope, clip.curvature))
        shown.add_row(str(w), f"{s:g}", *numbers, f"{clip.failure_probability:.1%}")
    print_table(Console(highlight=False), shown)
