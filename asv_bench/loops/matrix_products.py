"""The floor of a training step: its matrix products, and nothing else.

Each layer of each member is multiplied forward, by the error, and by both for the gradient of its
weights, with weights, inputs and errors of its own: no bias, no activation, no loss, no update.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torch_models.networks.dense import DenseEnsemble


class MatrixProducts:
    """Those of one step of a stack on batches of one size, into memory that is there.

    The numbers are not those of the networks, which does not matter to a dense product.
    """

    def __init__(self, stack: DenseEnsemble, batch: int) -> None:
        self.weights = [weight.detach().clone() for weight in stack.weights]

        def rows(width: int) -> Tensor:
            return torch.randn(stack.members, batch, width).to(self.weights[0])

        self.inputs = [rows(weight.shape[-1]) for weight in self.weights]
        self.errors = [rows(weight.shape[-2]) for weight in self.weights]
        self.outputs = {weight.shape[-2]: rows(weight.shape[-2]) for weight in self.weights}
        self.gradients = {weight.shape: torch.empty_like(weight) for weight in self.weights}

    @torch.no_grad()
    def step(self) -> None:
        """Take them in the order of a step."""
        for weight, x in zip(self.weights, self.inputs, strict=True):
            torch.bmm(x, weight.mT, out=self.outputs[weight.shape[-2]])
        layers = zip(self.weights, self.inputs, self.errors, strict=True)
        for layer, (weight, x, error) in reversed(list(enumerate(layers))):
            if layer:  # nobody needs the error of the images
                torch.bmm(error, weight, out=self.outputs[weight.shape[-1]])
            torch.bmm(error.mT, x, out=self.gradients[weight.shape])
