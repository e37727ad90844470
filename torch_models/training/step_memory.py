"""The memory that a training step of an ensemble of dense networks writes, besides its weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from torch_models.networks.dense import DenseEnsemble


@dataclass(frozen=True)
class StepMemory:
    """Buffers that are allocated once and reused by every batch; allocation is slow on a CPU.

    Attributes:
        inputs: x^0, ..., x^L: the inputs of layer 1, ..., L and the readout, (members, batch, in).
        errors: delta^1, ..., delta^L and the readout's: the loss's gradient by each layer's
            pre-activations, (members, batch, out).
        first_gradient: by the weights of layer 1, (members, width, in_features).
        gradient: by those of one of layers 2, ..., L at a time, (members, width, width).
        last_gradient: by those of the readout, (members, out_features, width).
    """

    inputs: list[Tensor]
    errors: list[Tensor]
    first_gradient: Tensor
    gradient: Tensor
    last_gradient: Tensor

    @staticmethod
    def of(ensemble: DenseEnsemble, batch: int) -> StepMemory:
        """Allocate buffers for batches of at most this size."""
        sides = [(weight.shape[-1], weight.shape[-2]) for weight in ensemble.weights]

        def empty(*shape: int) -> Tensor:
            buffer: Tensor = ensemble.weights[0].detach().new_empty(ensemble.members, *shape)
            return buffer

        return StepMemory(
            [empty(batch, into) for into, _ in sides],
            [empty(batch, out) for _, out in sides],
            first_gradient=empty(ensemble.width, ensemble.in_features),
            gradient=empty(ensemble.width, ensemble.width),
            last_gradient=empty(ensemble.out_features, ensemble.width),
        )

    @property
    def batch(self) -> int:
        """The batch size of ``inputs`` and ``errors``."""
        return self.inputs[0].shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        gradients = [self.first_gradient, self.gradient, self.last_gradient]
        parts = [*self.inputs, *self.errors, *gradients]
        return sum(part.nbytes for part in parts)

    def narrow(self, batch: int) -> StepMemory:
        """Contiguous views for a smaller batch."""
        return replace(
            self,
            inputs=[_narrow(own, batch) for own in self.inputs],
            errors=[_narrow(own, batch) for own in self.errors],
        )


def _narrow(buffer: Tensor, batch: int) -> Tensor:
    members, _, width = buffer.shape
    return buffer.view(-1).narrow(0, 0, members * batch * width).view(members, batch, width)
