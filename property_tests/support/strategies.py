"""Points of this suite: an activation and a variance, beside their definition in many digits.

The strategies that need no such definition are public, in `sparsity_theory.testing.strategies`, and
named here again. Tests of ``sparsity_theory`` state their tolerances for the whole of their domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hypothesis import strategies
from hypothesis.strategies import composite, one_of, sampled_from

import sparsity_theory as st
from property_tests.references.definitions import Function, from_knots, of_kind
from sparsity_theory.testing.strategies import (
    ACTIVATIONS,
    CLIPPED,
    FARTHEST,
    KINDS,
    ODD,
    ONE_SIDED,
    THICKEST,
    THINNEST,
    UNCLIPPED,
    activations,
    bad_numbers,
    log_uniform,
    scaled_clips,
    scaled_thresholds,
    slopes,
    sparsities,
    straight_pieces,
    variances,
)

__all__ = [
    "ACTIVATIONS",
    "CLIPPED",
    "FARTHEST",
    "KINDS",
    "ODD",
    "ONE_SIDED",
    "THICKEST",
    "THINNEST",
    "UNCLIPPED",
    "Generic",
    "Point",
    "activations",
    "bad_numbers",
    "edges",
    "generic_points",
    "log_uniform",
    "points",
    "scaled_clips",
    "scaled_thresholds",
    "slopes",
    "sparsities",
    "variances",
]


@dataclass(frozen=True)
class Point:
    """An activation of one of the four kinds and a variance."""

    kind: str
    tau: float
    m: float | None
    q: float

    @cached_property
    def activation(self) -> Any:
        """The library's activation."""
        if self.m is None:
            return ACTIVATIONS[self.kind](self.tau)
        return ACTIVATIONS[self.kind](self.tau, self.m)

    @cached_property
    def function(self) -> Function:
        """The same activation by definition, in 50-digit arithmetic."""
        return of_kind(self.kind, self.tau, self.m)

    def net(self, sigma_w2: float = 1.0, sigma_b2: float = 0.0) -> Any:
        """A mean field with this activation; by default V is E[phi^2] alone."""
        return st.MeanField(self.activation, sigma_w2, sigma_b2)

    def moved(self, q: float) -> Point:
        """The same activation at another variance."""
        return Point(self.kind, self.tau, self.m, q)


@dataclass(frozen=True)
class Generic:
    """Any continuous piecewise-linear activation and a variance."""

    knots: tuple[float, ...]
    slopes: tuple[float, ...]
    offset: float
    q: float

    @cached_property
    def activation(self) -> Any:
        """The library's activation."""
        return st.PiecewiseLinear(self.knots, self.slopes, self.offset)

    @cached_property
    def function(self) -> Function:
        """The same activation by definition, in 50-digit arithmetic."""
        return from_knots(list(self.knots), list(self.slopes), self.offset)


@composite
def points(
    draw: strategies.DrawFn,
    kinds: Sequence[str] = KINDS,
    most: float = FARTHEST,
    thinnest: float = THINNEST,
    thickest: float = THICKEST,
) -> Point:
    """An activation of one of ``kinds`` and a variance to look at it with."""
    q = draw(variances())
    phi = draw(activations(kinds, q, most, thinnest, thickest))
    return Point(phi.name, float(phi.tau), float(phi.m) if phi.clipped else None, q)


@composite
def generic_points(draw: strategies.DrawFn) -> Generic:
    """Continuous piecewise-linear activations with one to five knots, on either side of zero."""
    q = draw(one_of(sampled_from([1.0]), log_uniform(1e-2, 1e2)))
    return Generic(*draw(straight_pieces(q)), q)


@composite
def edges(
    draw: strategies.DrawFn,
    kinds: Sequence[str] = KINDS,
    most: float = 8.0,
    thinnest: float = 1e-3,
    thickest: float = 1e3,
) -> Point:
    """A point with q = q*, for a network on the edge of chaos: tau no deeper in the tail than 8."""
    return draw(points(kinds, most, thinnest, thickest))


def activation_for(kind: str, s: float, slope: float | None, q_star: float = 1.0) -> Any:
    """The library's activation for a sparsity, and for a slope if the kind is clipped."""
    if kind in UNCLIPPED:
        return ACTIVATIONS[kind].for_sparsity(s, q_star=q_star)
    return ACTIVATIONS[kind].for_sparsity(s, slope=slope, q_star=q_star)
