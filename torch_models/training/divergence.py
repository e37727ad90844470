"""When a member counts as diverged, and finding out without waiting for the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

GRADIENT_LIMIT = 1e6
"""A member whose first-layer gradient has a larger norm than this has diverged."""

KEPT_SPARSITY = 0.5
"""A member whose sparsity falls below this part of what it was made for has diverged."""

DivergenceKind = Literal["non-finite loss", "gradient above 1e6", "sparsity lost"]

IN_A_STEP: tuple[DivergenceKind, ...] = ("non-finite loss", "gradient above 1e6")
"""The kinds that a single step shows, the weightier first."""


@dataclass(frozen=True)
class Divergence:
    """How a member left the training: in which step and epoch (both counted from 1), and why."""

    step: int
    epoch: int
    kind: DivergenceKind


class Watch:
    """Looks at every step of a stack, where the stack is; the host may read later what was found.

    Args:
        members: of the stack.
        step: the number of steps already taken.
        device: of the stack.
    """

    def __init__(self, members: int, step: int, device: torch.device) -> None:
        self._now = torch.full((), step, dtype=torch.int64, device=device)
        self._step = torch.zeros(members, dtype=torch.int64, device=device)  # 0: well
        self._kind = torch.zeros(members, dtype=torch.int64, device=device)

    @property
    def frozen(self) -> Tensor:
        """The members that have diverged, (members,) of booleans."""
        return self._step > 0

    def look(self, losses: Tensor, norms: Tensor) -> None:
        """See one more step: the members' losses and the norms of their first gradients."""
        self._now.add_(1)
        sound = torch.stack([losses.isfinite(), norms <= GRADIENT_LIMIT])  # NaN is not
        new = sound.all(0).logical_not() & (self._step == 0)
        kind = sound.to(torch.int8).argmin(0)  # the first that is not
        torch.where(new, kind, self._kind, out=self._kind)
        torch.where(new, self._now, self._step, out=self._step)

    def read(self) -> Iterator[tuple[int, int, DivergenceKind]]:
        """Wait for the device, and give the place, step and kind of all that have diverged."""
        found = zip(self._step.tolist(), self._kind.tolist(), strict=True)
        for place, (step, kind) in enumerate(found):
            if step:
                yield place, step, IN_A_STEP[kind]
