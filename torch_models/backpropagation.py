"""Backpropagation through a stack of dense networks, written out (Eqs. 20-23).

It is what autograd computes, but for one thing: with plain gradient descent the update rides inside
the product that makes a weight's gradient, so that no gradient is stored. The errors of all layers
are there before any weight changes, so that a step can still be refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torch_models.activations import pass_between_kinks_, shrink_and_clip_
from torch_models.losses import cross_entropy, cross_entropy_error

if TYPE_CHECKING:
    from torch_models.networks import DenseEnsemble


@dataclass(frozen=True)
class Backpropagation:
    """One batch's way through a stack, there and back.

    Attributes:
        stack: the networks, not updated until `descend`.
        losses: mean cross-entropy of every member, (members,).
        inputs: x^0, ..., x^L: what enters layer 1, ..., L and the readout, (members, batch, in).
        errors: delta^1, ..., delta^L and the readout's: the loss's gradient by each layer's
            pre-activations, (members, batch, out).
    """

    stack: DenseEnsemble
    losses: Tensor
    inputs: list[Tensor]
    errors: list[Tensor]

    def first_gradient_norm(self) -> Tensor:
        """Norm of the gradient by the first layer's weights, (members,)."""
        return next(self._norms())

    def gradient_norms(self) -> Tensor:
        """Frobenius norm of the gradient by each layer's weights, (members, depth + 1) (Eq. 23)."""
        return torch.stack(list(self._norms()), dim=-1)

    def _norms(self) -> Iterator[Tensor]:
        for error, entering in zip(self.errors, self.inputs, strict=True):
            yield torch.linalg.vector_norm(torch.bmm(error.mT, entering), dim=(1, 2))

    @torch.no_grad()
    def descend(self, learning_rate: float) -> None:
        """Take the step of plain gradient descent, in place (Eqs. 22 and 23)."""
        layers = zip(self.stack.weights, self.stack.biases, self.inputs, self.errors, strict=True)
        for weight, bias, entering, error in layers:
            weight.baddbmm_(error.mT, entering, alpha=-learning_rate)
            bias.add_(error.sum(1, keepdim=True), alpha=-learning_rate)


@torch.no_grad()
def backpropagate(stack: DenseEnsemble, x: Tensor, labels: Tensor) -> Backpropagation:
    """Send a batch (batch, in_features) forward and its errors back.

    The loss of a member is the mean cross-entropy over the batch; members do not mix.
    """
    kinks = stack.activation.kinks(stack.weights[0].dtype)  # once, not once a layer
    weights, biases = list(stack.weights), list(stack.biases)
    inputs = [stack.scaled(x)]
    scratch = inputs[0].new_empty(2, stack.members, len(x), stack.width)
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        h = torch.baddbmm(bias, inputs[-1], weight.mT)
        inputs.append(shrink_and_clip_(h, kinks, scratch[0]))
    logits = stack.readout(inputs[-1])
    errors = [cross_entropy_error(logits, labels)]
    for weight, activations in zip(reversed(weights[1:]), reversed(inputs[1:]), strict=True):
        # Eq. 21, as D^l (W^{l+1})^T delta^{l+1}.
        error = torch.bmm(errors[-1], weight)
        errors.append(pass_between_kinks_(error, activations, kinks.top, scratch))
    return Backpropagation(stack, cross_entropy(logits, labels).mean(-1), inputs, errors[::-1])
