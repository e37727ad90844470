"""Hypothesis strategies: activations, variances, sparsities and slopes, with corners on purpose.

Everything that matters depends on tau / sqrt(q) and m / sqrt(q) alone, so these ratios are drawn:
tau / sqrt(q) from 0 to 30, deep in the tail, and m / sqrt(q) from 1e-6, a thin piece, to 1e6.
Tests of ``sparsity_theory`` state their tolerances for this whole domain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hypothesis import strategies
from hypothesis.strategies import SearchStrategy, composite, one_of, sampled_from

import sparsity_theory as st
from property_tests.reference import Function, from_knots, of_kind

KINDS = ("relu", "st", "crelu", "cst")
UNCLIPPED = ("relu", "st")
CLIPPED = ("crelu", "cst")
ONE_SIDED = ("relu", "crelu")
ODD = ("st", "cst")

ACTIVATIONS: dict[str, Any] = dict(st.ACTIVATIONS)
"""The library's four kinds by name: made from tau, or from tau and m if clipped."""

FARTHEST = 30.0
"""Largest tau / sqrt(q)."""

THINNEST, THICKEST = 1e-6, 1e6
"""Range of m / sqrt(q)."""


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


def log_uniform(low: float, high: float) -> SearchStrategy[float]:
    """Positive numbers, evenly spread over orders of magnitude; shrinks towards ``low``."""
    exponents = strategies.floats(math.log(low), math.log(high))
    return exponents.map(lambda x: min(max(math.exp(x), low), high))


def variances() -> SearchStrategy[float]:
    """q: one, or within 1e-8 and 1e8, some of them powers of two and ten."""
    return one_of(
        sampled_from([1.0, 0.75, 4.0, 0.25, 1e-8, 1e8]),
        log_uniform(0.1, 10.0),
        log_uniform(1e-8, 1e8),
    )


def scaled_thresholds(most: float = FARTHEST) -> SearchStrategy[float]:
    """tau / sqrt(q): zero, at least 1e-12, ordinary, and far in the tail."""
    ordinary = [
        x for x in (0.0, 0.2533471031357997, 1.0364333894937898, math.sqrt(3.0)) if x <= most
    ]
    return one_of(
        sampled_from([*ordinary, most]),
        strategies.floats(0.0, min(2.0, most)),
        strategies.floats(0.0, most),
        log_uniform(1e-12, min(1.0, most)),
    ).map(lambda a: a if a >= 1e-12 else 0.0)


def scaled_clips(least: float = THINNEST, most: float = THICKEST) -> SearchStrategy[float]:
    """m / sqrt(q): thin pieces, the usual ones, and clips that hardly ever act."""
    return one_of(
        sampled_from([x for x in (1.0, least, most) if least <= x <= most]),
        strategies.floats(max(0.3, least), min(3.0, most)),
        log_uniform(least, most),
    )


@composite
def points(
    draw: strategies.DrawFn,
    kinds: Sequence[str] = KINDS,
    most: float = FARTHEST,
    thinnest: float = THINNEST,
    thickest: float = THICKEST,
) -> Point:
    """An activation of one of ``kinds`` and a variance to look at it with."""
    kind = draw(sampled_from(list(kinds)))
    q = draw(variances())
    tau = draw(scaled_thresholds(most)) * math.sqrt(q)
    if kind in UNCLIPPED:
        return Point(kind, tau, None, q)
    return Point(kind, tau, draw(scaled_clips(thinnest, thickest)) * math.sqrt(q), q)


@composite
def generic_points(draw: strategies.DrawFn) -> Generic:
    """Continuous piecewise-linear activations with one to five knots, on either side of zero."""
    q = draw(one_of(sampled_from([1.0]), log_uniform(1e-2, 1e2)))
    first = draw(strategies.floats(-3.0, 2.0))
    gaps = draw(strategies.lists(log_uniform(1e-3, 3.0), max_size=4))
    knots = [first]
    for gap in gaps:
        knots.append(knots[-1] + gap)
    slope = one_of(sampled_from([0.0, 1.0, -1.0]), strategies.floats(-2.0, 2.0))
    slopes = draw(strategies.lists(slope, min_size=len(knots) + 1, max_size=len(knots) + 1))
    root = math.sqrt(q)
    offset = draw(one_of(sampled_from([0.0]), strategies.floats(-2.0, 2.0)))
    return Generic(tuple(knot * root for knot in knots), tuple(slopes), offset * root, q)


def sparsities(kind: str) -> SearchStrategy[float]:
    """s: from a half up for the one-sided kinds (tau >= 0), from nearly zero for the odd ones."""
    least = 0.5 if kind in ONE_SIDED else 1e-9
    return one_of(
        sampled_from([least, 0.85, 0.6, 0.99, 1.0 - 1e-9, 0.5]),
        strategies.floats(least, 0.999),
        log_uniform(1e-15, 0.25).map(lambda gap: 1.0 - gap),
    )


def slopes() -> SearchStrategy[float]:
    """Wanted values of V'(q*), between zero and one."""
    return one_of(
        sampled_from([0.5, 0.7, 0.9, 1e-6, 1.0 - 1e-9]),
        strategies.floats(0.001, 0.999),
        log_uniform(1e-9, 0.5),
        log_uniform(1e-9, 0.5).map(lambda gap: 1.0 - gap),
    )


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


def bad_numbers() -> SearchStrategy[float]:
    """Numbers that no argument accepts."""
    return sampled_from([math.nan, math.inf, -math.inf])
