"""What a row of the paper's tables stands for: an activation kind, its sparsity s and V'(q*)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np

from .. import _validation as check
from ..activations.thresholded import (
    ACTIVATIONS,
    ClippedReLU,
    ClippedSoftThreshold,
    ShiftedReLU,
    SoftThreshold,
)
from ..mean_field.edge_of_chaos import edge_of_chaos_of_sparsity
from ..mean_field.maps import MeanField

Phi = ShiftedReLU | SoftThreshold | ClippedReLU | ClippedSoftThreshold
"""The four kinds of the paper."""

DEFAULT_SPARSITY, DEFAULT_SLOPE = 0.85, 0.7

UNCLIPPED_VARIANCE = 0.75
"""q^0 / q* for ReLU_tau and ST_tau with tau > 0: below q*, "to give the best chance" (App. C)."""


@dataclass(frozen=True)
class Design:
    """What an activation is designed for: its kind, its sparsity s, and V'(q*) if it is clipped.

    Args:
        kind: a key of ``sparsity_theory.ACTIVATIONS``.
        sparsity: s, in (0, 1).
        slope: V'(q*) in (0, 1) for the clipped kinds, None for the others.

    Raises:
        ValueError: for any other kind, sparsity or slope.
    """

    kind: str
    sparsity: float
    slope: float | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        if not isinstance(self.kind, str) or self.kind not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"activation must be one of {known}, got {check.shown(self.kind)}")
        self._check_fraction("sparsity")
        if not self.clipped and self.slope is not None:
            raise ValueError(
                f"slope applies to the clipped activations only; {self.kind} has V'(q*) = 1 on the "
                f"edge of chaos, got {self.slope!r}"
            )
        if self.clipped and self.slope is None:
            raise ValueError(f"slope is needed for {self.kind}, between 0 and 1, for example 0.7")
        if self.slope is not None:
            self._check_fraction("slope")

    def _check_fraction(self, name: str) -> None:
        """Replace a field by the float that it stands for, strictly between 0 and 1."""
        value = check.single(name, check.fraction(name, getattr(self, name)))
        object.__setattr__(self, name, value)

    @classmethod
    def of(cls, kind: str, sparsity: float = DEFAULT_SPARSITY, slope: float | None = None) -> Self:
        """A design whose slope, if the kind is clipped and none is given, is `DEFAULT_SLOPE`.

        The kind is taken in any case: labels are printed as ``CReLU``.
        """
        if isinstance(kind, str) and kind.casefold() in ACTIVATIONS:
            kind = kind.casefold()
            slope = DEFAULT_SLOPE if slope is None and ACTIVATIONS[kind].clipped else slope
        return cls(kind, sparsity, slope)

    @property
    def clipped(self) -> bool:
        """Whether the activation has a clip m."""
        return bool(ACTIVATIONS[self.kind].clipped)

    @property
    def label(self) -> str:
        """The design in tables and pictures: ``CReLU s=0.85 V'=0.7``."""
        slope = "" if self.slope is None else f" V'={self.slope:g}"
        return f"{ACTIVATIONS[self.kind].label} s={self.sparsity:g}{slope}"

    @property
    def slug(self) -> str:
        """The design in file names: ``crelu-0.85-0.7``."""
        slope = "" if self.slope is None else f"-{self.slope:g}"
        return f"{self.kind}-{self.sparsity:g}{slope}"

    def activation(self, q_star: float = 1.0) -> Phi:
        """Return the activation with this sparsity, and this slope if clipped, at ``q_star``."""
        kind = ACTIVATIONS[self.kind]
        if self.slope is not None and issubclass(kind, ClippedReLU | ClippedSoftThreshold):
            return kind.for_sparsity(self.sparsity, slope=self.slope, q_star=q_star)
        return kind.for_sparsity(self.sparsity, q_star=q_star)

    def net(self, q_star: float = 1.0) -> MeanField:
        """Return the mean-field network on the edge of chaos.

        Raises:
            ValueError: if there is none for this sparsity, or q_star is not positive and finite.
        """
        return edge_of_chaos_of_sparsity(self.activation(q_star), self.sparsity, q_star)

    def input_variance(self, q_star: float = 1.0) -> float:
        """q^0: q* where q* is stable, three quarters of it for the unclipped kinds with tau > 0."""
        unstable = not self.clipped and self.activation(q_star).tau > 0
        return UNCLIPPED_VARIANCE * q_star if unstable else q_star


DEFAULT_DESIGNS = (Design("crelu", 0.85, 0.7), Design("cst", 0.85, 0.9), Design("st", 0.8))
"""Rows of Tables 2 and 4: one that trains and stays sparse, two that fail."""


def chosen_designs(
    activation: str | None = None, sparsity: float | None = None, slope: float | None = None
) -> tuple[Design, ...]:
    """The three default designs, or the one that is asked for, as by `Design.of`.

    Raises:
        ValueError: for a sparsity or slope without an activation, and as `Design` does.
    """
    if activation is not None:
        return (Design.of(activation, DEFAULT_SPARSITY if sparsity is None else sparsity, slope),)
    if sparsity is not None or slope is not None:
        raise ValueError(f"sparsity and slope need an activation: {', '.join(ACTIVATIONS)}")
    return DEFAULT_DESIGNS


@cache
def expected_sparsity(design: Design, depth: int) -> float:
    """The mean-field share of zeros, over all hidden layers, of networks of this design.

    For the clipped kinds it is s; the others start below q* (App. C), sparser at first.
    """
    variances = design.net().trajectory(design.input_variance(), depth - 1)
    return float(np.mean(design.activation().sparsity(variances)))
