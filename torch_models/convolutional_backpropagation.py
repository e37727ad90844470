"""Backpropagation through a stack of convolutional networks, written out.

It is what autograd computes. Every gradient is there before any weight changes, so that a step can
still be refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torch_models.circular import bias_gradient, kernel_gradient, norms, pull_back
from torch_models.losses import cross_entropy, cross_entropy_error

if TYPE_CHECKING:
    from torch_models.convolutional import ConvolutionalEnsemble


@dataclass(frozen=True)
class ConvolutionalBackpropagation:
    """One batch's way through a stack, there and back; nothing has been updated yet.

    Attributes:
        stack: the networks.
        losses: mean cross-entropy of every member, (members,).
        weight_gradients, bias_gradients: of the members' losses, one for each of the stack's
            weights and biases, in their shapes.
    """

    stack: ConvolutionalEnsemble
    losses: Tensor
    weight_gradients: list[Tensor]
    bias_gradients: list[Tensor]

    def first_gradient_norm(self) -> Tensor:
        """Frobenius norm of the gradient by the first layer's weights, (members,)."""
        return norms(self.weight_gradients[0])

    def gradient_norms(self) -> Tensor:
        """Frobenius norms by every layer's weights, (members, depth + 1), the readout last."""
        return torch.stack([norms(gradient) for gradient in self.weight_gradients], dim=1)

    @torch.no_grad()
    def descend(self, learning_rate: float) -> None:
        """Take the step of plain gradient descent, in place."""
        for weight, gradient in zip(self.stack.weights, self.weight_gradients, strict=True):
            weight.sub_(gradient, alpha=learning_rate)
        for bias, gradient in zip(self.stack.biases, self.bias_gradients, strict=True):
            bias.sub_(gradient, alpha=learning_rate)


@torch.no_grad()
def backpropagate(
    stack: ConvolutionalEnsemble, x: Tensor, labels: Tensor
) -> ConvolutionalBackpropagation:
    """Send a batch (batch, in_channels, *positions) forward and its errors back.

    The loss of a member is the mean cross-entropy over the batch; members do not mix.
    """
    weights, inputs = list(stack.weights), [stack.scaled(x)]
    inputs += [activations for _, activations in stack.propagate(x)]
    averages, positions = stack.averages(inputs[-1]), inputs[-1][0, 0, 0].numel()
    logits = stack.readout(inputs[-1])
    error = cross_entropy_error(logits, labels)
    errors = [error.view(*error.shape, *averages.shape[3:])]
    shares = pull_back(errors[0], weights[-1]).expand_as(inputs[-1]) / positions
    errors.append(stack.pull_back(shares, inputs[-1]))
    for weight, activations in zip(reversed(weights[1:-1]), reversed(inputs[1:-1]), strict=True):
        errors.append(stack.pull_back(pull_back(errors[-1], weight), activations))

    errors.reverse()
    entering = [*inputs[:-1], averages]
    return ConvolutionalBackpropagation(
        stack,
        cross_entropy(logits, labels).mean(-1),
        weight_gradients=list(map(kernel_gradient, entering, errors, weights)),
        bias_gradients=list(map(bias_gradient, errors)),
    )
