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

    @torch.no_grad()
    def step(self) -> None:
        """All products, in the order of a step."""
        for weight, x in zip(self.weights, self.inputs, strict=True):
            torch.bmm(x, weight.mT, out=self.outputs[weight.shape[-2]])
        layers = zip(self.weights, self.inputs, self.errors, strict=True)
        for layer, (weight, x, error) in reversed(list(enumerate(layers))):
            if layer:  # the gradient by the images is not needed
                torch.bmm(error, weight, out=self.outputs[weight.shape[-1]])
            torch.bmm(error.mT, x, out=self.gradients[weight.shape])
