"""The members that still train, as an ensemble of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch_models.networks.ensemble import Ensemble


class TrainingMembers:
    """The members of an ensemble that have not diverged.

    Attributes:
        full: the ensemble of all members; up to date after `write_back`.
        indices: of those that train, in ``full``.
        ensemble: only those, in this order: ``full`` itself until a member is dropped, copies
            after that.
    """

    def __init__(self, full: Ensemble) -> None:
        self.full = full
        self.ensemble = full
        self.indices = list(range(full.members))

    def drop(self, positions: Iterable[int]) -> None:
        """Remove the members at these positions of ``ensemble``; ``full`` keeps their weights."""
        self.write_back()
        dropped = set(positions)
        kept = [position for position in range(len(self.indices)) if position not in dropped]
        ensemble = self.ensemble.select(kept) if kept else self.ensemble
        self.indices, self.ensemble = [self.indices[position] for position in kept], ensemble

    def write_back(self) -> None:
        """Copy the parameters of ``ensemble`` into ``full``."""
        if self.indices and self.ensemble is not self.full:
            self.full.assign(self.indices, self.ensemble)
