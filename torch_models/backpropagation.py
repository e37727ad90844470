"""Backpropagation through a stack of dense networks, written out (Eqs. 20-23).

It is what autograd computes, but for one thing: with plain gradient descent the update rides inside
the product that makes a weight's gradient, so that no gradient is stored. The errors of all layers
are there before any weight changes, so that a step can still be refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch_models.networks import DenseEnsemble


@dataclass(frozen=True)
class Backpropagation:
    """One batch's way through a stack, there and back; nothing has been updated yet.

    Attributes:
        losses: mean cross-entropy of every member, (members,).
        inputs: x^0, ..., x^L: what enters layer 1, ..., L and the readout, (members, batch, in).
        errors: delta^1, ..., delta^L and the readout's: the loss's gradient by each layer's
            pre-activations, (members, batch, out).
    """

    losses: Tensor
    inputs: list[Tensor]
    errors: list[Tensor]

    def first_gradient(self) -> Tensor:
        """The gradient by the first layer's weights, (members, out, in) (Eq. 23)."""
        return torch.bmm(self.errors[0].mT, self.inputs[0])


@torch.no_grad()
def backpropagate(stack: DenseEnsemble, x: Tensor, labels: Tensor) -> Backpropagation:
    """Send a batch (batch, in_features) forward and its errors back.

    The loss of a member is the mean cross-entropy over the batch; members do not mix.
    """
    inputs = [x.expand(stack.members, -1, -1)]
    inputs += [activations for _, activations in stack.propagate(x)]
    log_probability = stack.readout(inputs[-1]).log_softmax(-1)  # (members, batch, classes)
    target = labels.expand(log_probability.shape[:-1]).unsqueeze(-1)  # (members, batch, 1)
    losses = -log_probability.gather(-1, target).mean((-2, -1))

    error = log_probability.exp()
    error.scatter_add_(-1, target, torch.full_like(error[..., :1], -1.0))
    error /= len(x)
    errors = [error]
    for weight, activations in zip(
        reversed(list(stack.weights)[1:]), reversed(inputs[1:]), strict=True
    ):
        # Eq. 21, as D^l (W^{l+1})^T delta^{l+1}.
        error = stack.activation.pull_back(torch.bmm(error, weight), activations)
        errors.append(error)
    return Backpropagation(losses, inputs, errors[::-1])


@torch.no_grad()
def descend(stack: DenseEnsemble, batch: Backpropagation, learning_rate: float) -> None:
    """Take the step of plain gradient descent, in place (Eqs. 22 and 23)."""
    layers = zip(stack.weights, stack.biases, batch.inputs, batch.errors, strict=True)
    for weight, bias, entering, error in layers:
        weight.baddbmm_(error.mT, entering, alpha=-learning_rate)
        bias.add_(error.sum(1, keepdim=True), alpha=-learning_rate)
