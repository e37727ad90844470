"""``sparsity-theory stable-clip``: the largest clip for a width and depth."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import sparsity_theory as st
from sparsity_theory.finite_width.failure import PAPER_TIME
from sparsity_theory.finite_width.stable_clip import NoStableClipError
from sparsity_theory.published.rows import Design
from torch_models.commands.errors import fail
from torch_models.commands.pictures import Plot, check_plot, draw_to
from torch_models.commands.printing import print_table, table, tracked
from torch_models.reports import clip_figure, trainable_figure
from torch_models.reports.numbers import number

Found = dict[tuple[float, int, int], st.StableClip | None]
"""By sparsity, width and depth."""

SPARSITIES = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
WIDTHS = (100, 300, 1000)
DEPTH = 100
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
    depth: Annotated[
        list[int] | None,
        typer.Option(help="Hidden layers; may be repeated.", show_default=str(DEPTH)),
    ] = None,
    risk: Annotated[float, typer.Option(help="Largest failure probability allowed.")] = 0.05,
    training_time: Annotated[
        float, typer.Option(help="Learning rate times steps of SGD, 10.8 in the paper.")
    ] = PAPER_TIME,
    networks: Annotated[int, typer.Option(help="Random networks for each clip tried.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
    plot: Plot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Find the largest clip m for which networks fail no more often than the risk.

    It learns best of all clips within the risk. Failing: the forecast probability that a training
    run explodes or loses its sparsity, or that a network passes no gradient; nothing is trained.
    Sizes that no clip makes stable are listed without one. With several depths, the plot is a chart
    of where one can train at all.
    """
    check_plot(plot)
    kind = activation.casefold()
    if kind not in KINDS:
        fail(f"activation must be one of {', '.join(KINDS)}, got {activation!r}")
    depths = depth or [DEPTH]
    sizes = list(product(sparsity or SPARSITIES, width or WIDTHS, depths))
    try:
        for s in sparsity or SPARSITIES:
            Design.of(kind, s)  # raises for a sparsity that is none
        found = {
            size: _stable_clip(kind, *size, 1.0, risk, networks, seed, training_time)
            for size in tracked(sizes, "drawing networks")
        }
    except ValueError as error:
        fail(str(error))
    if as_json:
        inputs = {"activation": kind, "risk": risk, "training_time": training_time}
        clips = [
            {"sparsity": s, "width": w, "depth": d, **(asdict(clip) if clip else {"m": None})}
            for (s, w, d), clip in found.items()
        ]
        content = {**inputs, "networks": networks, "seed": seed, "clips": clips}
        typer.echo(json.dumps(content, indent=1))
    else:
        _print(found)
    if plot is not None:
        draw_to(
            plot, lambda path: _draw(st.ACTIVATIONS[kind].label, risk, found, training_time, path)
        )


def _draw(label: str, risk: float, found: Found, training_time: float, path: Path) -> None:
    """Draw clips over the sparsity for one depth, or where one can train at all for several."""
    depths = list(dict.fromkeys(depth for _, _, depth in found))
    if len(depths) > 1:
        trainable_figure.draw(f"{label}, at a risk of {risk:.0%}", found, training_time, path)
        return
    title = f"{label}, depth {depths[0]}, at a risk of {risk:.0%}"
    clip_figure.draw(title, {(s, w): clip for (s, w, _), clip in found.items()}, path)


def _stable_clip(*arguments: Any) -> st.StableClip | None:
    """The largest stable clip, None if there is none for that size."""
    try:
        return st.largest_stable_clip(*arguments)
    except NoStableClipError:
        return None


def _print(found: Found) -> None:
    names = ("width", "depth", "s", "m", "lowest", "highest", "V'(q*)", "V''(q*)", "failing")
    shown = table(*names, "learnability")
    for (s, w, d), clip in found.items():
        size = str(w), str(d), f"{s:g}"
        if clip is None:
            shown.add_row(*size, "none")
            continue
        numbers = map(number, (clip.m, *clip.m_range, clip.slope, clip.curvature))
        learning = f"{clip.learnability:.2f}"
        shown.add_row(*size, *numbers, f"{clip.failure_probability:.1%}", learning)
    console = Console(highlight=False)
    print_table(console, shown)
    console.print(
        "lowest, highest: m if the failure probability were one standard error higher, or lower. "
        "none: whatever the clip, networks of that size fail or pass no gradient too often."
    )
