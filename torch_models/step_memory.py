"""The memory that a training step of a stack of dense networks writes, besides its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from torch_models.networks import DenseEnsemble


@dataclass(frozen=True)
class StepMemory:
    """Allocated once, written by every batch: fresh memory costs a CPU more than it seems.

    Attributes:
        inputs: x^0, ..., x^L: what enters layer 1, ..., L and the readout, (members, batch, in).
        errors: delta^1, ..., delta^L and the readout's: the loss's gradient by each layer's
            pre-activations, (members, batch, out).
        first_gradient: by the weights of layer 1, (members, width, in_features).
        gradient: room for any other layer's, (members, out, in), flat.
    """

    inputs: list[Tensor]
    errors: list[Tensor]
    first_gradient: Tensor
    gradient: Tensor

    @staticmethod
    def of(stack: DenseEnsemble, batch: int) -> StepMemory:
        """Room for batches of at most this size."""
        first, *others = stack.weights
        sides = [(weight.shape[-1], weight.shape[-2]) for weight in stack.weights]

        def empty(*shape: int) -> Tensor:
            room: Tensor = first.detach().new_empty(stack.members, *shape)
            return room

        return StepMemory(
            [empty(batch, into) for into, _ in sides],
            [empty(batch, out) for _, out in sides],
            first_gradient=empty(*first.shape[1:]),
            gradient=empty(max(math.prod(weight.shape[1:]) for weight in others)).flatten(),
        )

    @property
    def batch(self) -> int:
        """The largest batch that fits."""
        return self.inputs[0].shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of it all."""
        parts = [*self.inputs, *self.errors, self.first_gradient, self.gradient]
        return sum(part.nbytes for part in parts)

    def cut(self, batch: int) -> StepMemory:
        """The part of it that a smaller batch takes, every tensor contiguous."""
        return StepMemory(
            [_part(own, len(own), batch, own.shape[2]) for own in self.inputs],
            [_part(own, len(own), batch, own.shape[2]) for own in self.errors],
            self.first_gradient,
            self.gradient,
        )

    def gradient_like(self, weight: Tensor) -> Tensor:
        """Room for the gradient by this weight."""
        return _part(self.gradient, *weight.shape)


def _part(memory: Tensor, *shape: int) -> Tensor:
    return memory.view(-1).narrow(0, 0, math.prod(shape)).view(shape)
