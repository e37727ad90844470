"""``sparsity-theory recipe``: what to choose for sparse activations in a network."""

from __future__ import annotations

import json
from typing import Annotated, Any, get_args

import typer

import sparsity_theory as st
from sparsity_theory.finite_width.failure import PAPER_TIME
from sparsity_theory.finite_width.recipe import Architecture, Kind
from torch_models.commands.errors import fail
from torch_models.commands.options import sizes_of_positions

ARCHITECTURES, KINDS = get_args(Architecture), get_args(Kind)


def recipe(
    architecture: Annotated[str, typer.Argument(help=f"One of {', '.join(ARCHITECTURES)}.")],
    sparsity: Annotated[float, typer.Option(help="Share of zeros s, between 0 and 1.")] = 0.85,
    width: Annotated[int, typer.Option(help="Units, channels or features of the stream.")] = 300,
    depth: Annotated[int, typer.Option(help="Hidden layers, or blocks.")] = 100,
    activation: Annotated[
        str, typer.Option(help="relu or st, one-sided or odd; it is clipped where needed.")
    ] = "relu",
    kernel: Annotated[int, typer.Option(help="Of a convolutional network.")] = 3,
    positions: Annotated[str, typer.Option(help="Of a convolutional network.")] = "32x32",
    risk: Annotated[float, typer.Option(help="Largest failure probability allowed.")] = 0.05,
    training_time: Annotated[
        float, typer.Option(help="Learning rate times steps of SGD, 10.8 in the paper.")
    ] = PAPER_TIME,
    networks: Annotated[int, typer.Option(help="Random networks for the forecast.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
) -> None:
    """Say which threshold, clip and variances to choose, what to expect, and if it works."""
    chosen: Any = architecture.casefold()
    kind: Any = activation.casefold()
    try:
        places = sizes_of_positions(positions)
        size = width, depth, kind, kernel, places, risk, networks, seed, training_time
        found = st.recipe(chosen, sparsity, *size)
    except ValueError as error:
        fail(str(error))
    if not as_json:
        typer.echo(str(found))
        return
    first, last = found.sparsity
    record = {
        "architecture": chosen,
        "sparsity": sparsity,
        "width": width,
        "depth": depth,
        "activation": type(found.activation).__name__,
        **found.numbers(),
        "sparsity_first": first,
        "sparsity_last": last,
        "failure_probability": found.forecast.failure_probability,
        "works": found.works,
        "reason": found.reason,
        "watch": found.watch,
    }
    typer.echo(json.dumps(record, indent=1))
