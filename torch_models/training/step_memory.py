"""The memory that a training step of a stack of dense networks writes, besides its weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from torch_models.networks.dense import DenseEnsemble


@dataclass(frozen=True)
class StepMemory:
    """Allocated once, written by every batch: fresh memory costs a CPU more than it seems.

    Attributes:
        inputs: x^0, ..., x^L: what enters layer 1, ..., L and the readout, (members, batch, in).
        errors: delta^1, ..., delta^L and the readout's: the loss's gradient by each layer's
            pre-activations, (members, batch, out).
        first_gradient: by the weights of layer 1, (members, width, in_features).
        gradient: by those of another layer, one after the other, (members, width, width).
        last_gradient: by those of the readout, (members, out_features, width).
    """

    inputs: list[Tensor]
    errors: list[Tensor]
    first_gradient: Tensor
    gradient: Tensor
    last_gradient: Tensor

    @staticmethod
    def of(stack: DenseEnsemble, batch: int) -> StepMemory:
        """Room for batches of at most this size."""
        sides = [(weight.shape[-1], weight.shape[-2]) for weight in stack.weights]

        def empty(*shape: int) -> Tensor:
            room: Tensor = stack.weights[0].detach().new_empty(stack.members, *shape)
            return room

        return StepMemory(
            [empty(batch, into) for into, _ in sides],
            [empty(batch, out) for _, out in sides],
            first_gradient=empty(stack.width, stack.in_features),
            gradient=empty(stack.width, stack.width),
            last_gradient=empty(stack.out_features, stack.width),
        )

    @property
    def batch(self) -> int:
        """The largest batch that fits."""
        return self.inputs[0].shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of it all."""
        gradients = [self.first_gradient, self.gradient, self.last_gradient]
        parts = [*self.inputs, *self.errors, *gradients]
        return sum(part.nbytes for part in parts)

    def cut(self, batch: int) -> StepMemory:
        """The part of it that a smaller batch takes, every tensor contiguous."""
        return replace(
            self,
            inputs=[_first_rows(own, batch) for own in self.inputs],
            errors=[_first_rows(own, batch) for own in self.errors],
        )


def _first_rows(memory: Tensor, batch: int) -> Tensor:
    members, _, width = memory.shape
    return memory.view(-1).narrow(0, 0, members * batch * width).view(members, batch, width)
