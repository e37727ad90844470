"""phi and its backward pass in place, for the training step that is written out (Eqs. 20-23).

The values are those of `activations.SparseActivation`, which autograd needs out of place. There are
two implementations. On a CPU, torch's own kernels with Python numbers for bounds run several times
faster than any with tensors, and a call is cheap: adjacent members with the same kinks share one.
On a GPU a launch takes longer than the elements: all members share one, whatever their kinks, and
``torch.compile`` fuses its few operations into one kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from torch_models.networks.activations import shrink_and_clip, to_nearest_kink
from torch_models.training.gpu import compiled

if TYPE_CHECKING:
    from torch_models.networks.activations import Kinks, SparseActivation

aten = torch.ops.aten


class InPlaceActivation(Protocol):
    """phi of an ensemble, on tensors (members, batch, width)."""

    def activate_(self, h: Tensor) -> Tensor:
        """Overwrite ``h`` by phi(h), and return it."""

    def pull_back_(self, error: Tensor, y: Tensor) -> Tensor:
        """Overwrite ``error`` by error * phi'(h), where y = phi(h), and return it."""


def in_place_activation(
    activation: SparseActivation, members: int, like: Tensor
) -> InPlaceActivation:
    """The implementation for the device of ``like``, with kinks in its dtype."""
    kinks = activation.kinks(like.dtype)
    return AllMembers(kinks) if like.is_cuda else group_by_kinks(kinks, activation.odd, members)


def group_by_kinks(kinks: Kinks, odd: Tensor, members: int) -> InPlaceActivation:
    """phi with Python numbers: one call per group of adjacent members that have the same kinks."""
    dtype = kinks.tau.dtype
    values = torch.stack([kinks.tau, kinks.m, kinks.top, odd.to(dtype)])
    rows = values.reshape(4, -1).expand(4, members).T.tolist()
    phis: list[InPlaceActivation] = []
    sizes = []
    for (tau, m, top, is_odd), run in groupby(rows):
        one_sided = OneSided(torch.tensor(tau, dtype=dtype), m, top)
        phis.append(Odd(tau, m, top) if is_odd else one_sided)
        sizes.append(len(list(run)))
    return phis[0] if len(phis) == 1 else MemberGroups(phis, sizes)


@dataclass(frozen=True)
class MemberGroups:
    """Groups of adjacent members, each with a phi of its own.

    Attributes:
        phis: one per group.
        sizes: number of members in each group.
    """

    phis: list[InPlaceActivation]
    sizes: list[int]

    def activate_(self, h: Tensor) -> Tensor:
        """Overwrite ``h`` by phi(h), and return it."""
        for phi, part in zip(self.phis, torch.split(h, self.sizes), strict=True):
            phi.activate_(part)
        return h

    def pull_back_(self, error: Tensor, y: Tensor) -> Tensor:
        """Overwrite ``error`` by error * phi'(h), where y = phi(h), and return it."""
        parts = torch.split(error, self.sizes), torch.split(y, self.sizes)
        for phi, own_error, own_y in zip(self.phis, *parts, strict=True):
            phi.pull_back_(own_error, own_y)
        return error


@dataclass(frozen=True)
class OneSided:
    """ReLU_tau and CReLU_{tau,m} (Eqs. 7 and 9)."""

    tau: Tensor  # (): a number would be converted to a tensor in every call
    m: float
    top: float

    def activate_(self, h: Tensor) -> Tensor:
        """Shift and clip."""
        shifted: Tensor = aten.hardtanh_(h.sub_(self.tau), 0.0, self.m)
        return shifted

    def pull_back_(self, error: Tensor, y: Tensor) -> Tensor:
        """Zero ``error`` except strictly between the kinks."""
        aten.hardtanh_backward.grad_input(error, y, 0.0, self.top, grad_input=error)
        return error


@dataclass(frozen=True)
class Odd:
    """ST_tau and CST_{tau,m} (Eqs. 8 and 10)."""

    tau: float
    m: float
    top: float

    def activate_(self, h: Tensor) -> Tensor:
        """Shrink and clip."""
        aten.softshrink.out(h, self.tau, out=h)
        clipped: Tensor = aten.hardtanh_(h, -self.m, self.m)
        return clipped

    def pull_back_(self, error: Tensor, y: Tensor) -> Tensor:
        """Zero ``error`` except strictly between the kinks."""
        aten.hardtanh_backward.grad_input(error, y, -self.top, self.top, grad_input=error)
        if self.tau > 0:  # otherwise there is no kink at zero
            aten.softshrink_backward.grad_input(error, y, 0.0, grad_input=error)
        return error


@dataclass(frozen=True)
class AllMembers:
    """All members in one compiled kernel, each with its own kinks."""

    kinks: Kinks

    def activate_(self, h: Tensor) -> Tensor:
        """Overwrite ``h`` by phi(h), and return it."""
        return compiled(shrink_and_clip)(h, self.kinks, out=h)

    def pull_back_(self, error: Tensor, y: Tensor) -> Tensor:
        """Overwrite ``error`` by error * phi'(h), where y = phi(h), and return it."""
        return compiled(_pull_back_)(error, y, self.kinks.bottom, self.kinks.top)


def _pull_back_(error: Tensor, y: Tensor, bottom: Tensor, top: Tensor) -> Tensor:
    return error.masked_fill_(to_nearest_kink(y, bottom, top) <= 0, 0.0)
