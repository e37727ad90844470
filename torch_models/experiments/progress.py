"""Callbacks while runs train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch_models.records.run_record import RunRecord
from torch_models.records.runs import Run
from torch_models.training.loop import Training


class Progress(Protocol):
    """Callbacks, called in this process; of runs on a cluster only ``on_record``."""

    def on_start(self, runs: Sequence[Run], training: Training) -> None:
        """Runs begin to train together, or resume."""

    def on_step(self, training: Training) -> None:
        """One more step is taken."""

    def on_record(self, record: RunRecord) -> None:
        """A run is finished and its record is written."""


class NoProgress:
    """Callbacks that do nothing."""

    def on_start(self, runs: Sequence[Run], training: Training) -> None:
        """Do nothing."""

    def on_step(self, training: Training) -> None:
        """Do nothing."""

    def on_record(self, record: RunRecord) -> None:
        """Do nothing."""
