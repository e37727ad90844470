"""What stacks of networks have in common, whatever their architecture: their members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from sparsity_theory import MeanField

Stack = TypeVar("Stack", bound="Members")


class Members(nn.Module):
    """Networks side by side: every parameter and buffer has the members as its first axis.

    Attributes:
        nets: the mean field of every member.
        seeds: what each was drawn from.
        weights, biases: those of the hidden layers and, last, of the readout.
    """

    nets: tuple[MeanField, ...]
    seeds: tuple[int, ...]
    weights: nn.ParameterList
    biases: nn.ParameterList

    @property
    def members(self) -> int:
        """Number of networks in the stack."""
        return len(self.nets)

    def propagate(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (h^l, x^l), pre-activations and activations, for l = 1..depth."""
        raise NotImplementedError

    def readout(self, x: Tensor) -> Tensor:
        """Logits (members, batch, out_features) of the last activations."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Logits (members, batch, out_features); takes ``x`` as ``propagate`` does."""
        for _, activations in self.propagate(x):
            last = activations
        return self.readout(last)

    def copied_into(self, chosen: Stack, members: Sequence[int]) -> Stack:
        """``chosen``, a stack without memory of its own, with copies of these members."""
        state = {name: values[list(members)] for name, values in self.state_dict().items()}
        chosen.load_state_dict(state, assign=True)
        return chosen

    @torch.no_grad()
    def assign(self, members: Sequence[int], other: Members) -> None:
        """Overwrite the given members' weights and biases with those of ``other``, in its order."""
        rows = list(members)
        for own, theirs in zip(self.parameters(), other.parameters(), strict=True):
            own[rows] = theirs
