"""A single network in plain PyTorch: autograd and ``torch.optim.SGD``."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from asv_bench.timing import clock
from torch_models.measurements.noise_training import LEARNING_RATE, Batches


def eager_step(network: nn.Module, batches: Batches) -> float:
    """Train for an epoch; return the seconds of a step, with its batch, from the second step on."""
    device = next(network.parameters()).device
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        loss = cross_entropy(network(x.to(device)), y.to(device))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    drawn = iter(batches)
    step(*next(drawn))
    start = clock()
    for batch in drawn:
        step(*batch)
    return (clock() - start) / (len(batches) - 1)
