"""How much squared gradients grow at initialization, for every row of Table 2, as a record."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsity_theory.published.rows import Design
from sparsity_theory.published.tables import published_rows
from torch_models.measurements.device_draws import draws_on
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.observe import observe_gradients

FEATURES = 50
LARGEST_GROWTH = 1e12
"""Larger growths count as this one, and so do networks whose values are not finite."""

PAPER_SIZE = {"width": 300, "depth": 100, "networks": 200}
"""And how many networks of a row; arguments of `measure`."""

AT_ONCE = {"cpu": 20, "gpu": 100}
"""Networks in memory at a time; of the paper's size, 100 take 8 GB."""


def largest_growths(
    row: Design, width: int, depth: int, networks: int, device: str = "cpu"
) -> NDArray[np.float64]:
    """Growth of the squared gradient from h^L to whichever layer has the largest, (networks,).

    Backpropagated from a random direction at h^L, through networks with the seeds 0, 1, ... and one
    input of the row's variance. `AT_ONCE` are held in memory; on a GPU `device_draws` draws them.
    """
    net, x = row.net(), noise(row.input_variance(), FEATURES)
    at_once = AT_ONCE["cpu" if device == "cpu" else "gpu"]
    growths = []
    for start in range(0, networks, at_once):
        seeds = range(start, min(start + at_once, networks))
        nets = [net] * len(seeds)
        draw = draws_on(device, seed=start)
        ensemble = DenseEnsemble(nets, FEATURES, width, depth, 1, seeds, device=device, draw=draw)
        sizes = observe_gradients(ensemble, x) ** 2
        growths.append(sizes.max(axis=1) / sizes[:, -1])
    growth = np.nan_to_num(np.concatenate(growths), nan=LARGEST_GROWTH, posinf=LARGEST_GROWTH)
    return np.asarray(np.minimum(growth, LARGEST_GROWTH))


def measure(
    width: int,
    depth: int,
    networks: int,
    device: str = "cpu",
    on_step: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """For every row of Table 2, log10 of the mean of `largest_growths`, as a record.

    The mean, as the median network of a row that fails is no worse than those of other rows.
    """
    growth = {}
    for published in published_rows(2):
        on_step(published.design.label)
        growths = largest_growths(published.design, width, depth, networks, device)
        growth[published.design.slug] = round(float(np.log10(np.mean(growths))), 4)
    return {
        "width": width,
        "depth": depth,
        "networks": networks,
        "device": described(device),
        "torch": torch.__version__,
        "growth": growth,
    }


def described(device: str) -> str:
    """A device with the name of its card, or of the machine."""
    name = torch.cuda.get_device_name(device) if device != "cpu" else platform.machine()
    return f"{device}, {name}"


def noise(variance: float, *shape: int) -> Tensor:
    """One input of normal noise, (1, *shape), the mean of whose squares is the variance."""
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(8))
    return x / x.square().mean().sqrt() * math.sqrt(variance)
