"""The training step of an ensemble of convolutional networks, written out.

It computes what autograd does. All gradients are computed before any weight is updated, so that a
diverged member can be left out of the update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torch_models.networks.circular import bias_gradient, input_gradient, kernel_gradient, norms
from torch_models.networks.losses import cross_entropy, cross_entropy_error
from torch_models.training.sgd import Direction, gradient_itself, sgd_step_

if TYPE_CHECKING:
    from torch_models.networks.convolutional import ConvolutionalEnsemble


class ConvolutionalBackpropagation:
    """Forward pass, backward pass and SGD step of an ensemble, batch after batch.

    Attributes:
        ensemble: the networks, not updated until `sgd_step`.
        losses: mean cross-entropy of every member over the last batch, (members,).
        weight_gradients, bias_gradients: of each member's loss by each of the ensemble's weights
            and biases, in their shapes.
    """

    ensemble: ConvolutionalEnsemble
    losses: Tensor
    weight_gradients: list[Tensor]
    bias_gradients: list[Tensor]

    def __init__(self, ensemble: ConvolutionalEnsemble) -> None:
        self.ensemble = ensemble

    @torch.no_grad()
    def forward_backward(self, x: Tensor, labels: Tensor) -> ConvolutionalBackpropagation:
        """Compute losses and gradients on a batch; returns itself.

        Args:
            x: (batch, in_channels, *positions).
            labels: (batch,), int64.
        """
        ensemble = self.ensemble
        weights, inputs = list(ensemble.weights), [ensemble.scaled(x)]
        inputs += [activations for _, activations in ensemble.propagate(x)]
        averages, positions = ensemble.averages(inputs[-1]), inputs[-1][0, 0, 0].numel()
        logits = ensemble.readout(inputs[-1])
        self.losses = cross_entropy(logits, labels).mean(-1)
        error = cross_entropy_error(logits, labels)
        errors = [error.view(*error.shape, *averages.shape[3:])]
        shares = input_gradient(errors[0], weights[-1]).expand_as(inputs[-1]) / positions
        errors.append(ensemble.pull_back(shares, inputs[-1]))
        for weight, activations in zip(
            reversed(weights[1:-1]), reversed(inputs[1:-1]), strict=True
        ):
            errors.append(ensemble.pull_back(input_gradient(errors[-1], weight), activations))

        errors.reverse()
        layer_inputs = [*inputs[:-1], averages]
        self.weight_gradients = list(map(kernel_gradient, layer_inputs, errors, weights))
        self.bias_gradients = list(map(bias_gradient, errors))
        return self

    def first_gradient_norm(self) -> Tensor:
        """Frobenius norm of the gradient by the first layer's weights, (members,)."""
        return norms(self.weight_gradients[0])

    def gradient_norms(self) -> Tensor:
        """Frobenius norms by every layer's weights, (members, depth + 1), the readout last."""
        return torch.stack([norms(gradient) for gradient in self.weight_gradients], dim=1)

    @torch.no_grad()
    def sgd_step(
        self,
        learning_rate: float,
        frozen: Tensor | None = None,
        direction: Direction = gradient_itself,
    ) -> None:
        """Update weights and biases in place by SGD.

        Args:
            learning_rate: of all members.
            frozen: (members,), True for members that are not updated.
            direction: of plain SGD, or with momentum.
        """
        parameters = [*self.ensemble.weights, *self.ensemble.biases]
        gradients = self.weight_gradients + self.bias_gradients
        for parameter, gradient in zip(parameters, gradients, strict=True):
            sgd_step_(parameter, direction(parameter, gradient), learning_rate, frozen)
