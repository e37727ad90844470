"""What convolutional networks do at initialization, for every row of Table 2, as a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparsity_theory.published.rows import Design
from sparsity_theory.published.tables import published_rows
from torch_models.measurements.device_draws import draws_on
from torch_models.measurements.gradient_growth import described, noise
from torch_models.networks.convolutional import ConvolutionalEnsemble
from torch_models.networks.observe import observe, observe_gradients

IMAGE_CHANNELS = 3
DIGITS = 4

PAPER_SIZE = {"channels": 300, "depth": 50, "side": 32, "networks": 3}
"""And how many networks of a row; arguments of `measure`."""


def measure(
    channels: int,
    depth: int,
    side: int,
    networks: int,
    device: str = "cpu",
    on_step: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """For every row of Table 2, q^l, sparsity and squared gradients of two-dimensional networks.

    Every network has one image of side x side pixels, of noise, with the row's input variance, and
    3 x 3 kernels; its gradient is backpropagated from a random direction at h^L, and counted
    relative to layer L.

    Returns:
        A record; its ``rows`` have, by slug, ``variance``, ``sparsity`` and ``growth``, each
        (networks, depth). What is not finite is None.
    """
    rows = {}
    for published in published_rows(2):
        on_step(published.design.label)
        of_row = [
            _network(published.design, channels, depth, side, seed, device)
            for seed in range(networks)
        ]
        rows[published.design.slug] = {
            name: [_rounded(values[name]) for values in of_row] for name in of_row[0]
        }
    return {
        "channels": channels,
        "depth": depth,
        "side": side,
        "networks": networks,
        "device": described(device),
        "torch": torch.__version__,
        "rows": rows,
    }


def _network(
    row: Design, channels: int, depth: int, side: int, seed: int, device: str
) -> dict[str, NDArray[np.float64]]:
    """The statistics of one network, each (depth,)."""
    ensemble = ConvolutionalEnsemble(
        [row.net()],
        IMAGE_CHANNELS,
        channels,
        depth,
        [seed],
        dimensions=2,
        device=device,
        draw=draws_on(device, seed),
    )
    x = noise(row.input_variance(), IMAGE_CHANNELS, side, side)
    statistics = observe(ensemble, x)
    squares = observe_gradients(ensemble, x, seed=seed)[0] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = squares / squares[-1]
    return {
        "variance": statistics.variance[0],
        "sparsity": statistics.sparsity[0],
        "growth": growth,
    }


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in values]
