"""The training step of an ensemble of dense networks, written out (Eqs. 20-23).

It computes what autograd does, but SGD needs the weight gradients one at a time, so those of
all layers between the first and the readout share one buffer. The errors of all layers are computed
before any weight is updated, so that a diverged member can be left out of the update.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torch_models.networks.losses import cross_entropy, cross_entropy_error
from torch_models.networks.threads import reproducible_threads
from torch_models.training.in_place import in_place_activation
from torch_models.training.precision import cast_ensemble, check_precision, matmul_precision
from torch_models.training.sgd import Direction, gradient_itself, sgd_step_
from torch_models.training.step_memory import StepMemory

if TYPE_CHECKING:
    from torch_models.networks.dense import DenseEnsemble


class DenseBackpropagation:
    """Forward pass, backward pass and SGD step of an ensemble, batch after batch.

    All batches share one set of buffers, so losses, norms and gradients are those of the last one.

    Args:
        ensemble: the networks.
        precision: of matrix products, one of `precision.PRECISIONS`.

    Attributes:
        ensemble: as given, not updated until `sgd_step`. Its parameters must not be reallocated.
        losses: mean cross-entropy of every member over the last batch, (members,).
        memory: the inputs and errors of every layer.

    Raises:
        ValueError: for an unknown precision, or one that the device does not have.
    """

    ensemble: DenseEnsemble
    losses: Tensor
    memory: StepMemory

    def __init__(self, ensemble: DenseEnsemble, precision: str = "float32") -> None:
        check_precision(precision, ensemble.weights[0].device)
        self.ensemble, self._precision = ensemble, precision
        self._dtype = ensemble.weights[0].dtype  # of losses, norms and updates
        self._cast = cast_ensemble(ensemble, precision)
        self._weights = [weight.detach() for weight in self._cast.weights]  # once, not every step
        self._transposed = [weight.mT for weight in self._weights]
        self._phi = in_place_activation(self._cast.activation, ensemble.members, self._weights[0])
        self._allocated: StepMemory | None = None

    @torch.no_grad()
    def forward_backward(self, x: Tensor, labels: Tensor) -> DenseBackpropagation:
        """Compute losses, errors and the first layer's gradient on a batch; returns itself.

        Args:
            x: (batch, in_features).
            labels: (batch,), int64.
        """
        self.memory = self._memory_for(len(x))
        ensemble = self.ensemble
        with matmul_precision(self._precision):
            with reproducible_threads(ensemble.members, len(x), ensemble.width):
                self._forward(x)
            with reproducible_threads(ensemble.members, len(x), ensemble.out_features):
                self._loss_and_error(labels)
            with reproducible_threads(
                ensemble.members, len(x), ensemble.width, ensemble.in_features
            ):
                self._backward()
        return self

    def first_gradient_norm(self) -> Tensor:
        """Frobenius norm of the gradient by the first layer's weights, (members,)."""
        return self._norm(self.memory.first_gradient)

    def gradient_norms(self) -> Tensor:
        """Frobenius norms by every layer's weights, (members, depth + 1), the readout last."""
        with matmul_precision(self._precision):
            return torch.stack([self._norm(gradient) for gradient in self._gradients()], dim=-1)

    @torch.no_grad()
    def sgd_step(
        self,
        learning_rate: float,
        frozen: Tensor | None = None,
        direction: Direction = gradient_itself,
    ) -> None:
        """Update weights and biases in place by SGD (Eqs. 22 and 23).

        Args:
            learning_rate: of all members.
            frozen: (members,), True for members that are not updated.
            direction: of plain SGD, or with momentum.
        """
        ensemble, errors = self.ensemble, self.memory.errors
        layers = zip(ensemble.weights, ensemble.biases, self._gradients(), errors, strict=True)
        with matmul_precision(self._precision):
            for weight, bias, gradient, error in layers:
                sgd_step_(weight, direction(weight, gradient), learning_rate, frozen)
                bias_gradient = error.sum(1, keepdim=True, dtype=self._dtype)
                sgd_step_(bias, direction(bias, bias_gradient), learning_rate, frozen)
        if self._cast is not ensemble:
            torch._foreach_copy_(list(self._cast.parameters()), list(ensemble.parameters()))

    def _memory_for(self, batch: int) -> StepMemory:
        if self._allocated is None or self._allocated.batch < batch:
            self._allocated = StepMemory.of(self._cast, batch)
        same = self._allocated.batch == batch
        return self._allocated if same else self._allocated.narrow(batch)

    def _forward(self, x: Tensor) -> None:
        """Eq. 1, layer by layer."""
        cast, inputs = self._cast, self.memory.inputs
        torch.mul(x, self.ensemble.input_scales, out=inputs[0])
        layers = zip(self._transposed, cast.biases, inputs, inputs[1:], strict=False)
        for weight, bias, x_in, x_out in layers:
            self._phi.activate_(torch.baddbmm(bias, x_in, weight, out=x_out))

    def _loss_and_error(self, labels: Tensor) -> None:
        """The losses, and the error of the readout."""
        logits = self._cast.readout(self.memory.inputs[-1]).to(self._dtype)
        self.losses = cross_entropy(logits, labels).mean(-1)
        cross_entropy_error(logits, labels, out=self.memory.errors[-1])

    def _backward(self) -> None:
        """Errors by Eq. 21, as D^l (W^{l+1})^T delta^{l+1}, and the gradient of layer 1."""
        inputs, errors = self.memory.inputs, self.memory.errors
        for layer in range(self.ensemble.depth, 0, -1):
            error = torch.bmm(errors[layer], self._weights[layer], out=errors[layer - 1])
            self._phi.pull_back_(error, inputs[layer])
        torch.bmm(errors[0].mT, inputs[0], out=self.memory.first_gradient)

    def _gradients(self) -> Iterator[Tensor]:
        """Yield the gradient by every layer's weights (Eq. 23), each overwriting the one before.

        On a CPU a product into a buffer in cache and a subtraction from the weights are faster than
        a product that adds to the weights (``asv run --python=same --bench WeightUpdate``).
        """
        memory = self.memory
        yield memory.first_gradient
        members, width = self.ensemble.members, self.ensemble.width
        for x_in, error in zip(memory.inputs[1:-1], memory.errors[1:-1], strict=True):
            with reproducible_threads(members, width):
                torch.bmm(error.mT, x_in, out=memory.gradient)
            yield memory.gradient
        with reproducible_threads(members, self.ensemble.out_features, width):
            gradient = torch.bmm(memory.errors[-1].mT, memory.inputs[-1], out=memory.last_gradient)
        yield gradient

    def _norm(self, gradient: Tensor) -> Tensor:
        with reproducible_threads(len(gradient), 1):
            norm: Tensor = torch.linalg.vector_norm(gradient, dim=(1, 2), dtype=self._dtype)
        return norm
