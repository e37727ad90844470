"""What is run, as data: rows of the paper's tables, and the settings of a run."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass

import sparsity_theory as st

DATA_SETS = ("digits", "mnist", "cifar10")
"""Names of `torch_models.data.LOADERS`, here so that records are read without loading torch."""

Phi = st.ShiftedReLU | st.SoftThreshold | st.ClippedReLU | st.ClippedSoftThreshold
"""The four kinds of the paper."""

UNCLIPPED_VARIANCE = 0.75
"""q^0 / q^* for ReLU_tau and ST_tau with tau > 0: below q*, "to give the best chance" (App. C)."""


@dataclass(frozen=True)
class Row:
    """One row of a table: an activation kind, its sparsity s, and V'(q*) where it is clipped.

    ``kind`` is a key of ``sparsity_theory.ACTIVATIONS``. Raises ``ValueError`` for values that no
    activation has: s outside (0, 1), a slope outside (0, 1), none where one is needed, one too
    many.
    """

    kind: str
    sparsity: float
    slope: float | None = None

    def __post_init__(self) -> None:
        """Refuse at once what could not be built later."""
        if self.kind not in st.ACTIVATIONS:
            known = ", ".join(st.ACTIVATIONS)
            raise ValueError(f"activation must be one of {known}, got {self.kind!r}")
        if not 0 < self.sparsity < 1:
            raise ValueError(f"sparsity must lie strictly between 0 and 1, got {self.sparsity!r}")
        if not self.clipped and self.slope is not None:
            raise ValueError(
                f"slope applies to the clipped activations only; {self.kind} has V'(q*) = 1 on the "
                f"edge of chaos, got {self.slope!r}"
            )
        if self.clipped and self.slope is None:
            raise ValueError(f"slope is needed for {self.kind}, between 0 and 1, for example 0.7")
        if self.slope is not None and not 0 < self.slope < 1:
            raise ValueError(f"slope must lie strictly between 0 and 1, got {self.slope!r}")

    @property
    def clipped(self) -> bool:
        """Whether the activation has a clip m."""
        return bool(st.ACTIVATIONS[self.kind].clipped)

    @property
    def label(self) -> str:
        """The row for people: ``CReLU s=0.85 V'=0.7``."""
        slope = "" if self.slope is None else f" V'={self.slope:g}"
        return f"{st.ACTIVATIONS[self.kind].label} s={self.sparsity:g}{slope}"

    @property
    def slug(self) -> str:
        """The row for file names: ``crelu-0.85-0.7``."""
        slope = "" if self.slope is None else f"-{self.slope:g}"
        return f"{self.kind}-{self.sparsity:g}{slope}"

    def activation(self, q_star: float = 1.0) -> Phi:
        """Return the activation with this sparsity, and this slope if clipped, at ``q_star``."""
        kind = st.ACTIVATIONS[self.kind]
        if self.slope is not None and issubclass(kind, st.ClippedReLU | st.ClippedSoftThreshold):
            return kind.for_sparsity(self.sparsity, slope=self.slope, q_star=q_star)
        return kind.for_sparsity(self.sparsity, q_star=q_star)

    def net(self, q_star: float = 1.0) -> st.MeanField:
        """Return the mean-field network on the edge of chaos."""
        return st.edge_of_chaos(self.activation(q_star), q_star=q_star)

    def input_variance(self, q_star: float = 1.0) -> float:
        """q^0: q* where q* is stable, three quarters of it for the unclipped kinds with tau > 0."""
        unstable = not self.clipped and float(self.activation(q_star).tau) > 0
        return UNCLIPPED_VARIANCE * q_star if unstable else q_star


DEFAULT_SPARSITY = 0.85
DEFAULT_SLOPE = 0.7
DEFAULT_ROWS = (Row("crelu", 0.85, 0.7), Row("cst", 0.85, 0.9), Row("st", 0.8))
"""The story of the paper in three rows: one that trains and stays sparse, two that do not."""


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


def chosen_rows(
    activation: str | None = None, sparsity: float | None = None, slope: float | None = None
) -> tuple[Row, ...]:
    """Return the default three rows, or the one row that was asked for.

    A row of one's own needs an activation; s = 0.85 and, if clipped, V'(q*) = 0.7 stand unless
    told.
    """
    if activation is None:
        if sparsity is not None or slope is not None:
            kinds = ", ".join(st.ACTIVATIONS)
            raise ValueError(f"sparsity and slope need an activation beside them: {kinds}")
        return DEFAULT_ROWS
    clipped = activation in st.ACTIVATIONS and bool(st.ACTIVATIONS[activation].clipped)
    return (
        Row(
            activation,
            DEFAULT_SPARSITY if sparsity is None else sparsity,
            DEFAULT_SLOPE if slope is None and clipped else slope,
        ),
    )


def run_name(row: Row, settings: Settings) -> str:
    """Name a run's files: the row, the data, and a digest of everything that decides the outcome.

    The same row and settings always have the same name; two different ones never share a file.
    """
    described = json.dumps([asdict(row), asdict(settings)], sort_keys=True)
    digest = hashlib.sha256(described.encode()).hexdigest()[:8]
    return f"{row.slug}-{settings.data}-{digest}"
