"""Cross-entropy, the loss that networks are trained on, and its gradient."""

from __future__ import annotations

import torch
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy (members, batch) of logits (members, batch, classes) for labels (batch,)."""
    return -logits.log_softmax(-1).gather(-1, _class_indices(logits, labels)).squeeze(-1)


def cross_entropy_error(logits: Tensor, labels: Tensor, out: Tensor | None = None) -> Tensor:
    """Gradient of each member's mean cross-entropy over the batch by its logits, in their shape."""
    error = logits.softmax(-1)
    target = _class_indices(logits, labels)
    error.scatter_add_(-1, target, torch.full_like(target, -1.0, dtype=error.dtype))
    return torch.div(error, len(labels), out=out)


def _class_indices(logits: Tensor, labels: Tensor) -> Tensor:
    """Each sample's label as an index into its logits, (members, batch, 1)."""
    return labels.expand(logits.shape[:-1]).unsqueeze(-1)
