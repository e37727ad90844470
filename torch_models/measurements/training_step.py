"""What a training step costs, beside its matrix products alone and beside other loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from torch_models.measurements.matrix_products import MatrixProducts
from torch_models.measurements.noise_training import (
    Batches,
    Shape,
    in_training,
    networks,
    past_the_first_steps,
    random_dataset,
    ready,
    shuffled_batches,
)
from torch_models.measurements.timing import clock, interleaved, median_ratio, milliseconds
from torch_models.networks.dense import DenseEnsemble
from torch_models.training.gpu import CapturedStep
from torch_models.training.loop import RECORDED_STEPS, Training
from torch_models.training.precision import PRECISIONS, cast_ensemble, matmul_precision

Peer = Callable[[nn.Module, Batches], float]
"""Trains a network for an epoch; returns the seconds of a step, from the second step on."""

PRODUCTS = "products"


def measure(
    device: str,
    peers: Mapping[str, Peer],
    members: Sequence[int] = (1, 33),
    shape: Shape | None = None,
    rounds: int = 5,
    steps: int = 10,
) -> Iterator[dict[str, Any]]:
    """For every precision that the device has and number of networks, a step beside each peer's.

    The first peer is the step's matrix products alone, of the same networks; on a GPU both are CUDA
    graphs. The others, given by name, train a single network: ``ratio`` is then the time of a step
    for each network over theirs. Times are medians over rounds in which both take turns.
    """
    shape = shape or Shape()
    for precision in PRECISIONS:
        if precision == "tf32" and device == "cpu":
            continue
        for count in members:
            ensemble = networks(shape, count, device)
            training = ready(ensemble, shape.batch, (rounds + 1) * steps, precision)
            yield {
                "peer": PRODUCTS,
                **_beside_products(training, ensemble, shape, device, precision, rounds, steps),
            }
        for name, peer in peers.items():
            for count in members:
                yield {
                    "peer": name,
                    **_beside_peer(peer, shape, count, device, precision, rounds, steps),
                }


def _beside_products(
    training: Training,
    ensemble: DenseEnsemble,
    shape: Shape,
    device: str,
    precision: str,
    rounds: int,
    steps: int,
) -> dict[str, Any]:
    products = MatrixProducts(cast_ensemble(ensemble, precision), shape.batch)
    with matmul_precision(precision):
        works = {"step": training.advance, "products": _as_one_call(products, device)}
        seconds = interleaved(works, device, rounds, steps)
    return _entry(precision, ensemble.members, seconds["step"], seconds["products"], 1)


def _as_one_call(products: MatrixProducts, device: str) -> Callable[[], None]:
    """The products; on a GPU as a CUDA graph, so that they do not wait for the host."""
    if device == "cpu":
        return products.step
    products.step()
    batch = torch.zeros(1, dtype=torch.int64, device=device)
    captured = CapturedStep(lambda _: products.step(), batch)
    return lambda: captured(batch)


def _beside_peer(
    peer: Peer, shape: Shape, members: int, device: str, precision: str, rounds: int, steps: int
) -> dict[str, Any]:
    ensemble = networks(shape, members, device)
    training = in_training(ensemble, shape.batch, RECORDED_STEPS + 2 + steps, precision)
    network = ensemble.network(0)
    noise = random_dataset((steps + 1) * shape.batch, shape.features, shape.classes)
    batches = shuffled_batches(noise, shape.batch)
    ours, theirs = [], []
    for _ in range(rounds + 1):
        # Captured anew: Lightning frees cuBLAS's scratch memory, which captured products still use.
        past_the_first_steps(training).advance()
        start = clock(device)
        for _ in range(steps):
            training.advance()
        ours.append((clock(device) - start) / steps)
        with as_torch_does(precision, device):
            theirs.append(peer(network, batches))
    return _entry(precision, members, ours[1:], theirs[1:], members)


def as_torch_does(precision: str, device: str) -> AbstractContextManager[object]:
    """The precision of a loop that takes it from torch's settings."""
    if precision == "bf16":
        return torch.autocast(torch.device(device).type, torch.bfloat16)
    return matmul_precision(precision)


def _entry(
    precision: str, members: int, ours: list[float], theirs: list[float], networks: int
) -> dict[str, Any]:
    return {
        "precision": precision,
        "members": members,
        "step_ms": milliseconds(ours),
        "peer_ms": milliseconds(theirs),
        "ratio": median_ratio([seconds / networks for seconds in ours], theirs),
    }
