"""DenseBackpropagation through a stack of convolutional networks, written out.

It is what autograd computes. Every gradient is there before any weight changes, so that a step can
still be refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torch_models.networks.circular import bias_gradient, kernel_gradient, norms, pull_back
from torch_models.networks.losses import cross_entropy, cross_entropy_error
from torch_models.training.sgd import sgd_step_

if TYPE_CHECKING:
    from torch_models.networks.convolutional import ConvolutionalEnsemble


class ConvolutionalBackpropagation:
    """The way of batches through a stack, there and back, one after the other.

    Attributes:
        stack: the networks, not updated until `sgd_step`.
        losses: mean cross-entropy of every member in the last batch, (members,).
        weight_gradients, bias_gradients: of the members' losses, one for each of the stack's
            weights and biases, in their shapes.
    """

    stack: ConvolutionalEnsemble
    losses: Tensor
    weight_gradients: list[Tensor]
    bias_gradients: list[Tensor]

    def __init__(self, stack: ConvolutionalEnsemble) -> None:
        self.stack = stack

    @torch.no_grad()
    def forward_backward(self, x: Tensor, labels: Tensor) -> ConvolutionalBackpropagation:
        """Send a batch (batch, in_channels, *positions) there and back; returns itself.

        The loss of a member is the mean cross-entropy over the batch; members do not mix.
        """
        stack = self.stack
        weights, inputs = list(stack.weights), [stack.scaled(x)]
        inputs += [activations for _, activations in stack.propagate(x)]
        averages, positions = stack.averages(inputs[-1]), inputs[-1][0, 0, 0].numel()
        logits = stack.readout(inputs[-1])
        self.losses = cross_entropy(logits, labels).mean(-1)
        error = cross_entropy_error(logits, labels)
        errors = [error.view(*error.shape, *averages.shape[3:])]
        shares = pull_back(errors[0], weights[-1]).expand_as(inputs[-1]) / positions
        errors.append(stack.pull_back(shares, inputs[-1]))
        for weight, activations in zip(
            reversed(weights[1:-1]), reversed(inputs[1:-1]), strict=True
        ):
            errors.append(stack.pull_back(pull_back(errors[-1], weight), activations))

        errors.reverse()
        entering = [*inputs[:-1], averages]
        self.weight_gradients = list(map(kernel_gradient, entering, errors, weights))
        self.bias_gradients = list(map(bias_gradient, errors))
        return self

    def first_gradient_norm(self) -> Tensor:
        """Frobenius norm of the gradient by the first layer's weights, (members,)."""
        return norms(self.weight_gradients[0])

    def gradient_norms(self) -> Tensor:
        """Frobenius norms by every layer's weights, (members, depth + 1), the readout last."""
        return torch.stack([norms(gradient) for gradient in self.weight_gradients], dim=1)

    @torch.no_grad()
    def sgd_step(self, learning_rate: float, frozen: Tensor | None = None) -> None:
        """Take the step of plain gradient descent, in place.

        Args:
            learning_rate: of all members.
            frozen: (members,), True for those that keep their weights whatever their gradients.
        """
        parameters = [*self.stack.weights, *self.stack.biases]
        gradients = self.weight_gradients + self.bias_gradients
        for parameter, gradient in zip(parameters, gradients, strict=True):
            sgd_step_(parameter, gradient, learning_rate, frozen)
