"""A row of the paper's tables: an activation kind, its sparsity, and V'(q*) where it is clipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..activations.thresholded import (
    ACTIVATIONS,
    ClippedReLU,
    ClippedSoftThreshold,
    ShiftedReLU,
    SoftThreshold,
)
from ..mean_field.edge_of_chaos import edge_of_chaos
from ..mean_field.maps import MeanField

Phi = ShiftedReLU | SoftThreshold | ClippedReLU | ClippedSoftThreshold
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
        if self.kind not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
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
        return bool(ACTIVATIONS[self.kind].clipped)

    @property
    def label(self) -> str:
        """The row for people: ``CReLU s=0.85 V'=0.7``."""
        slope = "" if self.slope is None else f" V'={self.slope:g}"
        return f"{ACTIVATIONS[self.kind].label} s={self.sparsity:g}{slope}"

    @property
    def slug(self) -> str:
        """The row for file names: ``crelu-0.85-0.7``."""
        slope = "" if self.slope is None else f"-{self.slope:g}"
        return f"{self.kind}-{self.sparsity:g}{slope}"

    def activation(self, q_star: float = 1.0) -> Phi:
        """Return the activation with this sparsity, and this slope if clipped, at ``q_star``."""
        kind = ACTIVATIONS[self.kind]
        if self.slope is not None and issubclass(kind, ClippedReLU | ClippedSoftThreshold):
            return kind.for_sparsity(self.sparsity, slope=self.slope, q_star=q_star)
        return kind.for_sparsity(self.sparsity, q_star=q_star)

    def net(self, q_star: float = 1.0) -> MeanField:
        """Return the mean-field network on the edge of chaos."""
        return edge_of_chaos(self.activation(q_star), q_star=q_star)

    def input_variance(self, q_star: float = 1.0) -> float:
        """q^0: q* where q* is stable, three quarters of it for the unclipped kinds with tau > 0."""
        unstable = not self.clipped and float(self.activation(q_star).tau) > 0
        return UNCLIPPED_VARIANCE * q_star if unstable else q_star


DEFAULT_SPARSITY = 0.85


DEFAULT_SLOPE = 0.7


DEFAULT_ROWS = (Row("crelu", 0.85, 0.7), Row("cst", 0.85, 0.9), Row("st", 0.8))
"""The story of the paper in three rows: one that trains and stays sparse, two that do not."""


def chosen_rows(
    activation: str | None = None, sparsity: float | None = None, slope: float | None = None
) -> tuple[Row, ...]:
    """Return the default three rows, or the one row that was asked for.

    A row of one's own needs an activation; s = 0.85 and, if clipped, V'(q*) = 0.7 stand unless
    told.
    """
    if activation is None:
        if sparsity is not None or slope is not None:
            kinds = ", ".join(ACTIVATIONS)
            raise ValueError(f"sparsity and slope need an activation beside them: {kinds}")
        return DEFAULT_ROWS
    clipped = activation in ACTIVATIONS and bool(ACTIVATIONS[activation].clipped)
    return (
        Row(
            activation,
            DEFAULT_SPARSITY if sparsity is None else sparsity,
            DEFAULT_SLOPE if slope is None and clipped else slope,
        ),
    )


def expected_sparsity(row: Row, depth: int) -> float:
    """The mean field's share of zeros, over all hidden layers, of networks of this row.

    For the clipped kinds it is s; the others start below q* (App. C) and are sparser for a while.
    """
    variances = row.net().trajectory(row.input_variance(), depth - 1)
    return float(np.mean(row.activation().sparsity(variances)))
