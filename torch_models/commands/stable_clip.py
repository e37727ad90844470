"""``sparsity-theory stable-clip``: the largest clip for a width and depth."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

import sparsity_theory as st
from sparsity_theory.finite_width.failure import PAPER_TIME
from sparsity_theory.finite_width.stable_clip import NoStableClipError
from sparsity_theory.published.rows import Design
from torch_models.commands.errors import fail
from torch_models.commands.pictures import Plot, check_plot, draw_to
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
    Sizes that no clip makes stable are listed without one.
    """
    check_plot(plot)
    kind = activation.casefold()
    if kind not in KINDS:
        fail(f"activation must be one of {', '.join(KINDS)}, got {activation!r}")
    sizes = [(s, w) for w in width or WIDTHS for s in sparsity or SPARSITIES]
    try:
        for s, _ in sizes:
            Design.of(kind, s)  # raises for a sparsity that is none
        found = {
            (s, w): _stable_clip(kind, s, w, depth, 1.0, risk, networks, seed, training_time)
            for s, w in drawing(sizes)
        }
    except ValueError as error:
        fail(str(error))
    if as_json:
        inputs = {"activation": kind, "depth": depth, "risk": risk, "training_time": training_time}
        clips = [
            {"sparsity": s, "width": w, **(asdict(clip) if clip else {"m": None})}
            for (s, w), clip in found.items()
        ]
        content = {**inputs, "networks": networks, "seed": seed, "clips": clips}
        typer.echo(json.dumps(content, indent=1))
    else:
        _print(found)
    if plot is not None:
        title = f"{st.ACTIVATIONS[kind].label}, depth {depth}, at a risk of {risk:.0%}"
        draw_to(plot, lambda path: draw(title, found, path))


def _stable_clip(*arguments: Any) -> st.StableClip | None:
    """The largest stable clip, None if there is none for that size."""
    try:
        return st.largest_stable_clip(*arguments)
    except NoStableClipError:
        return None


def _print(found: dict[tuple[float, int], st.StableClip | None]) -> None:
    names = ("width", "s", "m", "lowest", "highest", "V'(q*)", "V''(q*)", "failing", "learnability")
    shown = table(*names)
    for (s, w), clip in found.items():
        if clip is None:
            shown.add_row(str(w), f"{s:g}", "none")
            continue
        numbers = map(number, (clip.m, *clip.m_range, clip.slope, clip.curvature))
        learning = f"{clip.learnability:.2f}"
        shown.add_row(str(w), f"{s:g}", *numbers, f"{clip.failure_probability:.1%}", learning)
    console = Console(highlight=False)
    print_table(console, shown)
    console.print(
        "lowest, highest: m if the failure probability were one standard error higher, or lower. "
        "none: whatever the clip, networks of that size fail or pass no gradient too often."
    )
