"""Accuracy, loss and sparsity on labelled data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsity_theory._types import Array
from torch_models.networks.losses import cross_entropy
from torch_models.networks.threads import reproducible_threads

if TYPE_CHECKING:
    from torch_models.networks.ensemble import Ensemble

EVALUATION_BATCH = 512
"""Samples per forward pass in ``evaluate``; bounds its memory, not its result."""


@dataclass(frozen=True)
class Evaluation:
    """Accuracy, loss and sparsity of every member.

    ``accuracy`` counts a sample with a NaN among its logits as wrong; ``loss`` is the mean
    cross-entropy (NaN or inf where the logits are); ``sparsity`` is the share of exact zeros of
    phi(h^l) in every layer.
    """

    accuracy: Array  # (members,)
    loss: Array  # (members,)
    sparsity: Array  # (members, depth)


@torch.inference_mode()  # in which phi takes fewer passes
def evaluate(
    ensemble: Ensemble, x: Tensor | NDArray[np.floating], y: Tensor | NDArray[np.integer]
) -> Evaluation:
    """Accuracy, loss and sparsity of every member, without gradients; NaN if n = 0.

    Args:
        ensemble: the networks.
        x: n inputs shared by the members, as ``ensemble.propagate`` takes them.
        y: their labels (n,).
    """
    x = ensemble.as_tensor(x)
    y = torch.as_tensor(y, dtype=torch.int64, device=x.device)
    correct = torch.zeros(ensemble.members, dtype=torch.int64, device=x.device)
    loss = torch.zeros(ensemble.members, dtype=torch.float64, device=x.device)
    nonzero = torch.zeros(ensemble.members, ensemble.depth, dtype=torch.int64, device=x.device)
    units = 0  # in a layer, over all samples; layers are of one size
    with reproducible_threads(ensemble.members, 1):
        for part in torch.split(torch.arange(len(x), device=x.device), EVALUATION_BATCH):
            inputs, labels = x[part], y[part]
            for layer, (_, activations) in enumerate(ensemble.propagate(inputs)):
                nonzero[:, layer] += activations.flatten(1).count_nonzero(dim=1)
            units += activations[0].numel()
            logits = ensemble.readout(activations)  # (members, batch, classes)
            right = (logits.argmax(-1) == labels) & ~logits.isnan().any(-1)
            correct += right.sum(-1)
            loss += cross_entropy(logits, labels).double().sum(-1)
    return Evaluation(
        accuracy=(correct.double() / len(x)).cpu().numpy(),
        loss=(loss / len(x)).cpu().numpy(),
        sparsity=(1 - nonzero.double() / units).cpu().numpy(),
    )
