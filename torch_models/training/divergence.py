"""When a member counts as diverged, and detecting it without synchronizing with the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sparsity_theory import MeanField

GRADIENT_LIMIT = 1e6
"""A member has diverged if the norm of its gradient by the first layer's weights is above this."""

KEPT_SPARSITY = 0.5
"""A member has diverged if its sparsity is below this share of the mean field's."""

DivergenceKind = Literal["non-finite loss", "gradient above 1e6", "sparsity halved"]

STEP_DIVERGENCES: tuple[DivergenceKind, ...] = ("non-finite loss", "gradient above 1e6")
"""The kinds that `DivergenceMonitor` detects; the first is reported where both hold."""


@dataclass(frozen=True)
class Divergence:
    """In which step and epoch (both counted from 1) a member diverged, and how."""

    step: int
    epoch: int
    kind: DivergenceKind


class DivergenceMonitor:
    """Records, on the device, the first step in which each member of an ensemble diverged.

    Args:
        members: of the ensemble.
        step: number of steps already taken.
        device: of the ensemble.
    """

    def __init__(self, members: int, step: int, device: torch.device) -> None:
        self._now = torch.full((), step, dtype=torch.int64, device=device)
        self._step = torch.zeros(members, dtype=torch.int64, device=device)  # 0: not diverged
        self._kind = torch.zeros(members, dtype=torch.int64, device=device)

    @property
    def frozen(self) -> Tensor:
        """Which members have diverged, (members,), bool."""
        return self._step > 0

    def update(self, losses: Tensor, norms: Tensor) -> None:
        """Check one more step: its losses and first-layer gradient norms, both (members,)."""
        self._now.add_(1)
        passed = torch.stack([losses.isfinite(), norms <= GRADIENT_LIMIT])  # False for NaN
        new = passed.all(0).logical_not() & (self._step == 0)
        kind = passed.to(torch.int8).argmin(0)  # the first check that failed
        torch.where(new, kind, self._kind, out=self._kind)
        torch.where(new, self._now, self._step, out=self._step)

    def read(self) -> Iterator[tuple[int, int, DivergenceKind]]:
        """Synchronize, and yield the index, step and kind of every diverged member."""
        found = zip(self._step.tolist(), self._kind.tolist(), strict=True)
        for index, (step, kind) in enumerate(found):
            if step:
                yield index, step, STEP_DIVERGENCES[kind]


def sparsity_halved(net: MeanField, sparsity: float) -> bool:
    """Whether a sparsity is below `KEPT_SPARSITY` times the mean field's (at q*, or else at 1)."""
    q = 1.0 if net.q_star is None else net.q_star
    return sparsity < KEPT_SPARSITY * float(net.activation.sparsity(q))
