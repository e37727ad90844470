"""phi and its pull-back in place, for the step that is written out (Eqs. 20-23).

The numbers are those of `activations.SparseActivation`, which autograd needs out of place. There
are two forms. On a CPU the library's own kernels with plain numbers for bounds run several times
faster than any with tensors, and a call costs little: so members that stand side by side with the
same kinks share one. On a GPU a launch costs more than the elements: so all members share it,
whatever their kinks, and the compiler makes one kernel of the few operations.
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


class InPlace(Protocol):
    """phi of a stack, on tensors (members, batch, width)."""

    def activate_(self, h: Tensor) -> Tensor:
        """Put phi(h) in the place of ``h``, and return it."""

    def pull_back_(self, error: Tensor, y: Tensor) -> Tensor:
        """Put ``error`` times phi'(h), where y = phi(h), in its place, and return it."""


def in_place(activation: SparseActivation, members: int, like: Tensor) -> InPlace:
    """The form that is fast where ``like`` is, with kinks in its precision."""
    kinks = activation.kinks(like.dtype)
    return AllMembers(kinks) if like.is_cuda else neighbours(kinks, activation.odd, members)


def neighbours(kinks: Kinks, odd: Tensor, members: int) -> InPlace:
    """phi with plain numbers: one call for all members if they are alike, or one a group."""
    dtype = kinks.tau.dtype
    values = torch.stack([kinks.tau, kinks.m, kinks.top, odd.to(dtype)])
    rows = values.reshape(4, -1).expand(4, members).T.tolist()
    phis: list[InPlace] = []
    sizes = []
    for (tau, m, top, is_odd), run in groupby(rows):
        one_sided = OneSided(torch.tensor(tau, dtype=dtype), m, top)
        phis.append(Odd(tau, m, top) if is_odd else one_sided)
        sizes.append(len(list(run)))
    return phis[0] if len(phis) == 1 else Neighbours(phis, sizes)


@dataclass(frozen=True)
class Neighbours:
    """Members side by side that have the same kinks share a call.

    Attributes:
        phis: of each group of neighbours.
        sizes: how many they are.
    """

    phis: list[InPlace]
    sizes: list[int]

    def activate_(self, h: Tensor) -> Tensor:
        """Put phi(h) in the place of ``h``, and return it."""
        for phi, part in zip(self.phis, torch.split(h, self.sizes), strict=True):
            phi.activate_(part)
        return h

    def pull_back_(self, error: Tensor, y: Tensor) -> Tensor:
        """Put ``error`` times phi'(h), where y = phi(h), in its place, and return it."""
        parts = torch.split(error, self.sizes), torch.split(y, self.sizes)
        for phi, own_error, own_y in zip(self.phis, *parts, strict=True):
            phi.pull_back_(own_error, own_y)
        return error


@dataclass(frozen=True)
class OneSided:
    """ReLU_tau and CReLU_{tau,m} (Eqs. 7 and 9)."""

    tau: Tensor  # (): a number would have to become a tensor at every call
    m: float
    top: float

    def activate_(self, h: Tensor) -> Tensor:
        """Shift and clip."""
        shifted: Tensor = aten.hardtanh_(h.sub_(self.tau), 0.0, self.m)
        return shifted

    def pull_back_(self, error: Tensor, y: Tensor) -> Tensor:
        """Pass what lies strictly between the kinks."""
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
        """Pass what lies strictly between the kinks."""
        aten.hardtanh_backward.grad_input(error, y, -self.top, self.top, grad_input=error)
        aten.softshrink_backward.grad_input(error, y, 0.0, grad_input=error)
        return error


@dataclass(frozen=True)
class AllMembers:
    """All members at once, each with kinks of its own."""

    kinks: Kinks

    def activate_(self, h: Tensor) -> Tensor:
        """Put phi(h) in the place of ``h``, and return it."""
        return compiled(shrink_and_clip)(h, self.kinks, out=h)

    def pull_back_(self, error: Tensor, y: Tensor) -> Tensor:
        """Put ``error`` times phi'(h), where y = phi(h), in its place, and return it."""
        return compiled(_pull_back_)(error, y, self.kinks.top)


def _pull_back_(error: Tensor, y: Tensor, top: Tensor) -> Tensor:
    return error.masked_fill_(to_nearest_kink(y, top) <= 0, 0.0)
