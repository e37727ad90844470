"""A lower bound on the time of a training step: its matrix products alone.

Three for each layer: W x, W^T times the error, and error times x^T for the gradient of W. There is
no bias, activation, loss or update.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torch_models.networks.dense import DenseEnsemble


class MatrixProducts:
    """The products of one step of an ensemble, into preallocated memory.

    Inputs and errors are random: the time of a dense product does not depend on its values.
    """

    def __init__(self, ensemble: DenseEnsemble, batch: int) -> None:
        self.weights = [weight.detach().clone() for weight in ensemble.weights]

        def rows(width: int) -> Tensor:
            like = self.weights[0]
            return torch.randn(ensemble.members, batch, width, device=like.device).to(like)

        self.inputs = [rows(weight.shape[-1]) for weight in self.weights]
        self.errors = [rows(weight.shape[-2]) for weight in self.weights]
        self.outputs = {weight.shape[-2]: rows(weight.shape[-2]) for weight in self.weights}
        self.gradients = {weight.shape: torch.empty_like(weight) for weight in self.weights}

    def step(self) -> None:
        """All products, in the order of a step."""
        self.passes()
        self.gradients_of_later_layers()

    @torch.no_grad()
    def passes(self) -> None:
        """Those of the forward pass, of the backward pass, and the gradient of the first layer."""
        layers = list(zip(self.weights, self.inputs, self.errors, strict=True))
        for weight, x, _ in layers:
            torch.bmm(x, weight.mT, out=self.outputs[weight.shape[-2]])
        for weight, _, error in layers[:0:-1]:  # the gradient by the images is not needed
            torch.bmm(error, weight, out=self.outputs[weight.shape[-1]])
        self._gradient(0)

    @torch.no_grad()
    def gradients_of_later_layers(self) -> None:
        """Those of the update."""
        for layer in range(1, len(self.weights)):
            self._gradient(layer)

    def _gradient(self, layer: int) -> None:
        out = self.gradients[self.weights[layer].shape]
        torch.bmm(self.errors[layer].mT, self.inputs[layer], out=out)
