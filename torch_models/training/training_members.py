"""The members that still train, as an ensemble of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch_models.training.sgd import Direction, Momentum, gradient_itself

if TYPE_CHECKING:
    from torch_models.networks.ensemble import Ensemble


class TrainingMembers:
    """The members of an ensemble that have not diverged, with their velocity if there is one.

    Attributes:
        full: the ensemble of all members; up to date after `write_back`.
        full_velocity: its velocity, up to date after `write_back`; None without momentum.
        indices: of those that train, in ``full``.
        ensemble: only those, in this order: ``full`` itself until a member is dropped, copies
            after that.
        velocity: theirs, likewise.
    """

    def __init__(self, full: Ensemble, full_velocity: Ensemble | None = None) -> None:
        self.full, self.full_velocity = full, full_velocity
        self.ensemble, self.velocity = full, full_velocity
        self.indices = list(range(full.members))

    def direction(self, momentum: float) -> Direction:
        """What their steps follow."""
        if self.velocity is None:
            return gradient_itself
        return Momentum(momentum, self.ensemble, self.velocity)

    def drop(self, positions: Iterable[int]) -> None:
        """Remove the members at these positions of ``ensemble``; ``full`` keeps their weights."""
        self.write_back()
        dropped = set(positions)
        kept = [position for position in range(len(self.indices)) if position not in dropped]
        self.indices = [self.indices[position] for position in kept]
        if not kept:
            return
        self.ensemble = self.ensemble.select(kept)
        if self.velocity is not None:
            self.velocity = self.velocity.select(kept)

    def write_back(self) -> None:
        """Copy the parameters of ``ensemble`` into ``full``, and likewise their velocity."""
        if not self.indices or self.ensemble is self.full:
            return
        self.full.assign(self.indices, self.ensemble)
        if self.full_velocity is not None and self.velocity is not None:
            self.full_velocity.assign(self.indices, self.velocity)
