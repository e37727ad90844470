"""``sparsity-theory observe``: random networks, layer by layer, against the theory."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from sparsity_theory.published.rows import DEFAULT_SLOPE, DEFAULT_SPARSITY, Design, chosen_designs
from torch_models.commands.errors import fail, require
from torch_models.commands.pictures import Plot, check_plot, draw_to
from torch_models.commands.printing import inputs_of, print_table, table
from torch_models.measurements.layers import observed_layers
from torch_models.records.files import to_plain
from torch_models.records.layers import TITLES, Layers
from torch_models.reports.layer_figure import draw


def observe(
    activation: Annotated[str, typer.Option(help="relu, st, crelu or cst.")] = "crelu",
    sparsity: Annotated[float, typer.Option(help="Its share of zeros s.")] = DEFAULT_SPARSITY,
    slope: Annotated[
        float | None,
        typer.Option(help="Its V'(q*), if clipped.", show_default=str(DEFAULT_SLOPE)),
    ] = None,
    width: Annotated[int, typer.Option(help="Units in every layer.")] = 300,
    depth: Annotated[int, typer.Option(help="Hidden layers.")] = 50,
    networks: Annotated[int, typer.Option(help="Networks to draw.")] = 20,
    correlation: Annotated[float, typer.Option(help="Of the two inputs, in [-1, 1].")] = 0.5,
    seed: Annotated[int, typer.Option(help="Of the first network; others follow.")] = 0,
    plot: Plot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Build random networks and hold every layer against theory; nothing is trained."""
    require("observe", "torch")
    check_plot(plot)
    try:
        (row,) = chosen_designs(activation, sparsity, slope)
        if not -1 <= correlation <= 1:
            raise ValueError(f"correlation must be in [-1, 1], got {correlation!r}")
        for name, number, least in (
            ("width", width, 1),
            ("depth", depth, 2),
            ("networks", networks, 1),
            ("seed", seed, 0),
        ):
            if number < least:
                raise ValueError(f"{name} must be at least {least}, got {number}")
        seen = observed_layers(row, width, depth, networks, correlation, seed)
    except ValueError as error:
        fail(str(error))
    if as_json:
        inputs = {**inputs_of(row), "width": width, "depth": depth, "networks": networks}
        layers = {name: asdict(each) for name, each in seen.items()}
        content = {**inputs, "correlation": correlation, "seed": seed, "layers": layers}
        typer.echo(json.dumps(to_plain(content), indent=1))
    else:
        _print(row, seen, width, networks)
    if plot is not None:
        title = f"{row.label}, width {width}, {networks} networks"
        draw_to(plot, lambda path: draw(title, seen, path))


def _print(row: Design, seen: dict[str, Layers], width: int, networks: int) -> None:
    console = Console(highlight=False)
    console.print(
        f"[bold]{row.label}[/bold], width {width}: the median of {networks} networks, in brackets "
        "the limit of infinite width",
        soft_wrap=True,
    )
    shown = table("layer", *TITLES.values())
    depth = seen["variance"].limit.size
    for layer in np.unique(np.linspace(0, depth - 1, min(depth, 11)).astype(int)):
        cells = [
            f"{np.median(each.seen[:, layer]):.3f} [{each.limit[layer]:.3f}]"
            for each in seen.values()
        ]
        shown.add_row(str(layer + 1), *(cell.replace("[", "\\[") for cell in cells))
    print_table(console, shown)
    for name, each in seen.items():
        if each.law is not None:
            low, high = each.law
            inside = np.mean((each.seen >= low[None]) & (each.seen <= high[None]))
            console.print(
                f"{TITLES[name]}: {inside:.0%} within the law's 5% and 95% quantiles at width "
                f"{width} (90% expected)",
                soft_wrap=True,
            )
