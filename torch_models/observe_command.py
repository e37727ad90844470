"""``sparsity-theory observe``: random networks, layer by layer, against the theory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import sparsity_theory as st
from sparsity_theory.command_errors import FAILED, fail
from torch_models.experiments import DEFAULT_SLOPE, DEFAULT_SPARSITY, Row, chosen_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

FEATURES = 100
"""Inputs of the networks: two random vectors, of the row's input variance."""

CHAIN_NETWORKS = 2000
"""Networks from which the quantiles of the law at finite width are taken."""

SEEN, LAW, LIMIT = "#0072B2", "#B8B8B8", "#222222"

TITLES = {
    "variance": "variance q^l",
    "sparsity": "share of zeros",
    "correlation": "correlation of two inputs",
    "gain": "gradient gain from h^L, log10",
}


@dataclass(frozen=True)
class Layers:
    """One quantity in every layer.

    Attributes:
        limit: in infinite width, (depth,).
        seen: in every network, (networks, depth).
        law: the 5% and 95% quantiles at the networks' width, (2, depth), where the law is known.
    """

    limit: Floats
    seen: Floats
    law: Floats | None = None


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("observe")(observe)


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
    picture: Annotated[
        Path | None, typer.Option(help="PNG to draw, layer by layer.", show_default="none")
    ] = None,
) -> None:
    """Build random networks and hold every layer against theory; nothing is trained."""
    for module, package in (("torch", "torch"), ("matplotlib", "matplotlib")):
        if find_spec(module) is None and (module == "torch" or picture is not None):
            fail(f"observe needs {package}: pip install 'sparsity-theory[all]'", FAILED)
    if picture is not None and not picture.absolute().parent.is_dir():
        fail(f"picture {picture} cannot be written: there is no folder {picture.parent}", FAILED)
    try:
        (row,) = chosen_rows(activation, sparsity, slope)
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
    _print(row, seen, width, networks)
    if picture is not None:
        draw(f"{row.label}, width {width}, {networks} networks", seen, picture)
        typer.echo(f"\ndrawn to {picture}")


def observed_layers(
    row: Row, width: int, depth: int, networks: int, correlation: float, seed: int
) -> dict[str, Layers]:
    """Everything in `TITLES`, of networks with these seeds and of theory."""
    import torch

    from torch_models.networks import DenseEnsemble
    from torch_models.observe import observe as observe_layers
    from torch_models.observe import observe_covariances, observe_gradients

    net, q0 = row.net(), row.input_variance()
    seeds = range(seed, seed + networks)
    ensemble = DenseEnsemble([net] * networks, FEATURES, width, depth, 1, seeds)
    pair = _pair_of_inputs(q0, correlation)
    first = torch.as_tensor(pair[:1], dtype=torch.float32)
    layers, covariances = observe_layers(ensemble, first), observe_covariances(ensemble, pair)
    sizes = observe_gradients(ensemble, first, seed=seed) ** 2
    variance = np.asarray(net.trajectory(q0, depth - 1))
    chain = st.draw_chain(net, width, depth, CHAIN_NETWORKS, seed, q0)
    gradients = st.draw_gradients(net, width, depth, CHAIN_NETWORKS, seed, q0) / np.log(10)
    units = np.random.default_rng(seed).chisquare(width, chain.variance.shape) / width
    with np.errstate(divide="ignore", invalid="ignore"):
        roots = np.sqrt(covariances[..., 0, 0] * covariances[..., 1, 1])
        gain = np.log10(sizes / sizes[:, -1:])
        limit = np.log10(_backward_products(net.chi(variance)))
    return {
        "variance": Layers(variance, layers.variance, _quantiles(chain.variance * units)),
        "sparsity": Layers(
            np.asarray(net.activation.sparsity(variance)),
            layers.sparsity,
            _quantiles(chain.sparsity),
        ),
        "correlation": Layers(
            _correlations(net, variance, correlation), covariances[..., 0, 1] / roots
        ),
        "gain": Layers(limit, gain, _quantiles(gradients)),
    }


def _pair_of_inputs(variance: float, correlation: float) -> Floats:
    gaussian = np.random.default_rng(0).standard_normal((FEATURES, 2))
    u, v = np.linalg.qr(gaussian).Q.T
    other = correlation * u + np.sqrt(1 - correlation**2) * v
    return np.asarray(np.sqrt(FEATURES * variance) * np.stack([u, other]))


def _correlations(net: st.MeanField, variance: Floats, start: float) -> Floats:
    """Of two inputs with the same variance in every layer, which V moves along with it."""
    correlations = [start]
    for q, following in itertools.pairwise(variance):
        covariance = float(net.correlation_map(correlations[-1], q)) * q
        correlations.append(min(covariance / float(following), 1.0))
    return np.array(correlations)


def _backward_products(chi: Floats) -> Floats:
    """chi(q^l) ... chi(q^{L-1}) for every l (Eq. 24)."""
    return np.append(np.cumprod(chi[-2::-1])[::-1], 1.0)


def _quantiles(drawn: Floats) -> Floats:
    return np.asarray(np.quantile(drawn, (0.05, 0.95), axis=-1, method="inverted_cdf"))


def _print(row: Row, seen: dict[str, Layers], width: int, networks: int) -> None:
    console = Console(highlight=False)
    console.print(
        f"[bold]{row.label}[/bold], width {width}: the median of {networks} networks, in brackets "
        "the limit of infinite width",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in ("layer", *TITLES.values()):
        table.add_column(column, justify="right")
    depth = seen["variance"].limit.size
    for layer in np.unique(np.linspace(0, depth - 1, min(depth, 11)).astype(int)):
        cells = [
            f"{np.median(each.seen[:, layer]):.3f} [{each.limit[layer]:.3f}]"
            for each in seen.values()
        ]
        table.add_row(str(layer + 1), *(cell.replace("[", "\\[") for cell in cells))
    console.print(table)
    for name, each in seen.items():
        if each.law is not None:
            low, high = each.law
            inside = np.mean((each.seen >= low[None]) & (each.seen <= high[None]))
            console.print(
                f"{TITLES[name]}: {inside:.0%} within the law's 5% and 95% quantiles at width "
                f"{width} (90% expected)"
            )


def draw(title: str, seen: dict[str, Layers], path: Path) -> None:
    """Draw one panel for each quantity and write the picture as PNG at ``path``, atomically."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from torch_models.records import replacing

    figure = Figure(figsize=(15, 4.2), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    for axes, (name, each) in zip(figure.subplots(1, len(seen)), seen.items(), strict=True):
        _draw_panel(axes, each)
        axes.set(xlabel="layer l", title=TITLES[name])
        if name == "variance" and float(np.max(each.seen)) > 20:
            axes.set_yscale("log")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title, fontweight="bold")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _draw_panel(axes: Axes, each: Layers) -> None:
    layers = np.arange(1, each.limit.size + 1)
    if each.law is not None:
        axes.fill_between(layers, *each.law, color=LAW, alpha=0.6, label="law at this width, 90%")
    for network, line in enumerate(each.seen):
        label = "networks" if network == 0 else None
        axes.plot(layers, line, color=SEEN, lw=0.8, alpha=0.6, label=label)
    axes.plot(layers, each.limit, color=LIMIT, lw=2, ls="--", label="infinite width")
    axes.spines[["top", "right"]].set_visible(False)
