"""What is run, as data: rows of the paper's tables, and the settings of a run."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass

from sparsity_theory.published.rows import Row

DATA_SETS = ("digits", "mnist", "cifar10")
"""Names of `torch_models.data.LOADERS`, here so that records are read without loading torch."""


@dataclass(frozen=True)
class Budget:
    """How long and how fast to train on one data set: ours, and far shorter than the paper's."""

    epochs: int
    learning_rate: float
    batch_size: int


BUDGETS = {
    "digits": Budget(epochs=22, learning_rate=0.006, batch_size=32),
    "mnist": Budget(epochs=1, learning_rate=0.006, batch_size=64),
}
"""Default budgets, by data set."""


@dataclass(frozen=True)
class Settings:
    """Everything besides the row that decides the outcome of a run. Counts are at least 1."""

    data: str = "digits"
    width: int = 300
    depth: int = 30
    seeds: int = 3
    epochs: int = BUDGETS["digits"].epochs
    learning_rate: float = BUDGETS["digits"].learning_rate
    batch_size: int = BUDGETS["digits"].batch_size

    def __post_init__(self) -> None:
        """Refuse at once what would fail, or mean nothing, in mid-run."""
        if self.data not in BUDGETS:
            raise ValueError(f"data must be one of {', '.join(BUDGETS)}, got {self.data!r}")
        for name, least in (("width", 1), ("depth", 2), ("seeds", 1), ("epochs", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.batch_size < 1:
            raise ValueError(f"batch size must be at least 1, got {self.batch_size}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(
                f"learning rate must be positive and finite, got {self.learning_rate!r}"
            )


def run_name(row: Row, settings: Settings) -> str:
    """Name a run's files: the row, the data, and a digest of everything that decides the outcome.

    The same row and settings always have the same name; two different ones never share a file.
    """
    described = json.dumps([asdict(row), asdict(settings)], sort_keys=True)
    digest = hashlib.sha256(described.encode()).hexdigest()[:8]
    return f"{row.slug}-{settings.data}-{digest}"
