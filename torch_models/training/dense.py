"""DenseBackpropagation through a stack of dense networks, written out (Eqs. 20-23).

It is what autograd computes, but as plain gradient descent needs them one at a time, the gradients
of all layers between the first and the readout share the memory of one. The errors of all layers
are there before any weight changes, so that a step can still be refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torch_models.networks.losses import cross_entropy, cross_entropy_error
from torch_models.networks.threads import reproducible_threads
from torch_models.training.in_place import in_place
from torch_models.training.precision import check_precision, multiplied, products_in
from torch_models.training.sgd import sgd_step_
from torch_models.training.step_memory import StepMemory

if TYPE_CHECKING:
    from torch_models.networks.dense import DenseEnsemble


class DenseBackpropagation:
    """The way of batches through a stack, there and back, one after the other.

    All batches use the same memory, so what is read here is of the last one.

    Args:
        stack: the networks.
        precision: of the products, one of `precision.PRECISIONS`.

    Attributes:
        stack: as given, not updated until `sgd_step`. Its parameters must stay in their memory.
        losses: mean cross-entropy of every member, (members,).
        memory: what enters every layer, and its errors.

    Raises:
        ValueError: for a precision that there is not, or not on this device.
    """

    stack: DenseEnsemble
    losses: Tensor
    memory: StepMemory

    def __init__(self, stack: DenseEnsemble, precision: str = "float32") -> None:
        check_precision(precision, stack.weights[0].device)
        self.stack, self._precision = stack, precision
        self._dtype = stack.weights[0].dtype  # of losses, norms and updates
        self._seen = multiplied(stack, precision)
        self._weights = [weight.detach() for weight in self._seen.weights]  # once, not once a step
        self._transposed = [weight.mT for weight in self._weights]
        self._phi = in_place(self._seen.activation, stack.members, self._seen.weights[0])
        self._room: StepMemory | None = None

    @torch.no_grad()
    def forward_backward(self, x: Tensor, labels: Tensor) -> DenseBackpropagation:
        """Send a batch (batch, in_features) forward and its errors back; returns itself.

        The loss of a member is the mean cross-entropy over the batch; members do not mix.
        """
        self.memory = self._memory_for(len(x))
        stack = self.stack
        with products_in(self._precision):
            with reproducible_threads(stack.members, len(x), stack.width):
                self._forward(x)
            with reproducible_threads(stack.members, len(x), stack.out_features):
                self._compare(labels)
            with reproducible_threads(stack.members, len(x), stack.width, stack.in_features):
                self._backward()
        return self

    def first_gradient_norm(self) -> Tensor:
        """Norm of the gradient by the first layer's weights, (members,)."""
        return self._norm(self.memory.first_gradient)

    def gradient_norms(self) -> Tensor:
        """Frobenius norm of the gradient by each layer's weights, (members, depth + 1) (Eq. 23)."""
        with products_in(self._precision):
            return torch.stack([self._norm(gradient) for gradient in self._gradients()], dim=-1)

    @torch.no_grad()
    def sgd_step(self, learning_rate: float, frozen: Tensor | None = None) -> None:
        """Take the step of plain gradient descent, in place (Eqs. 22 and 23).

        Args:
            learning_rate: of all members.
            frozen: (members,), True for those that keep their weights whatever their gradients.
        """
        stack, errors = self.stack, self.memory.errors
        layers = zip(stack.weights, stack.biases, self._gradients(), errors, strict=True)
        with products_in(self._precision):
            for weight, bias, gradient, error in layers:
                sgd_step_(weight, gradient, learning_rate, frozen)
                share = error.sum(1, keepdim=True, dtype=self._dtype)
                sgd_step_(bias, share, learning_rate, frozen)
        if self._seen is not stack:
            torch._foreach_copy_(list(self._seen.parameters()), list(stack.parameters()))

    def _memory_for(self, batch: int) -> StepMemory:
        if self._room is None or self._room.batch < batch:
            self._room = StepMemory.of(self._seen, batch)
        return self._room if self._room.batch == batch else self._room.cut(batch)

    def _forward(self, x: Tensor) -> None:
        """Eq. 1, layer by layer."""
        seen, inputs = self._seen, self.memory.inputs
        torch.mul(x, self.stack.input_scales, out=inputs[0])
        layers = zip(self._transposed, seen.biases, inputs, inputs[1:], strict=False)
        for weight, bias, entering, leaving in layers:
            self._phi.activate_(torch.baddbmm(bias, entering, weight, out=leaving))

    def _compare(self, labels: Tensor) -> None:
        """The losses, and the readout's errors."""
        logits = self._seen.readout(self.memory.inputs[-1]).to(self._dtype)
        self.losses = cross_entropy(logits, labels).mean(-1)
        cross_entropy_error(logits, labels, out=self.memory.errors[-1])

    def _backward(self) -> None:
        """Eq. 21, as D^l (W^{l+1})^T delta^{l+1}; then layer 1's gradient, which may refuse it."""
        inputs, errors = self.memory.inputs, self.memory.errors
        for layer in range(self.stack.depth, 0, -1):
            error = torch.bmm(errors[layer], self._weights[layer], out=errors[layer - 1])
            self._phi.pull_back_(error, inputs[layer])
        torch.bmm(errors[0].mT, inputs[0], out=self.memory.first_gradient)

    def _gradients(self) -> Iterator[Tensor]:
        """Of every layer's weights (Eq. 23), each in the memory of the one before.

        On a CPU a product into warm memory and a subtraction from cold weights are faster than a
        product that adds to cold weights itself (``asv run --python=same --bench WeightUpdate``).
        """
        memory = self.memory
        yield memory.first_gradient
        members, width = self.stack.members, self.stack.width
        for entering, error in zip(memory.inputs[1:-1], memory.errors[1:-1], strict=True):
            with reproducible_threads(members, width):
                torch.bmm(error.mT, entering, out=memory.gradient)
            yield memory.gradient
        with reproducible_threads(members, self.stack.out_features, width):
            gradient = torch.bmm(memory.errors[-1].mT, memory.inputs[-1], out=memory.last_gradient)
        yield gradient

    def _norm(self, gradient: Tensor) -> Tensor:
        with reproducible_threads(len(gradient), 1):
            norm: Tensor = torch.linalg.vector_norm(gradient, dim=(1, 2), dtype=self._dtype)
        return norm
