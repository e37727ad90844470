"""The members that still train, as an ensemble of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch_models.training.sgd import Direction, Momentum, gradient_itself

if TYPE_CHECKING:
    from torch import Tensor

    from torch_models.networks.ensemble import Ensemble


class TrainingMembers:
    """The members of an ensemble that have not diverged, and the velocity of their parameters.

    Attributes:
        full: the ensemble of all members; up to date after `write_back`.
        full_velocity: v of each of its parameters, up to date after `write_back`; empty without
            momentum.
        indices: of those that train, in ``full``.
        ensemble: only those, in this order: ``full`` itself until a member is dropped, copies
            after that.
        velocity: v of each of theirs, likewise.
    """

    def __init__(self, full: Ensemble, full_velocity: list[Tensor]) -> None:
        self.full, self.full_velocity = full, full_velocity
        self.ensemble, self.velocity = full, full_velocity
        self.indices = list(range(full.members))

    def direction(self, momentum: float) -> Direction:
        """What their steps follow."""
        if not self.velocity:
            return gradient_itself
        return Momentum(momentum, self.ensemble.parameters(), self.velocity)

    def drop(self, positions: Iterable[int]) -> None:
        """Remove the members at these positions of ``ensemble``; ``full`` keeps their weights."""
        self.write_back()
        dropped = set(positions)
        kept = [position for position in range(len(self.indices)) if position not in dropped]
        self.indices = [self.indices[position] for position in kept]
        if not kept:
            return
        self.ensemble = self.ensemble.select(kept)
        self.velocity = [values[kept] for values in self.velocity]

    def write_back(self) -> None:
        """Copy the parameters of ``ensemble`` into ``full``, and likewise their velocity."""
        if self.indices and self.ensemble is not self.full:
            self.full.assign(self.indices, self.ensemble)
            for own, theirs in zip(self.full_velocity, self.velocity, strict=True):
                own[self.indices] = theirs
