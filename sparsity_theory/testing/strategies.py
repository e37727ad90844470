"""Hypothesis strategies: activations, variances, sparsities and slopes, corner cases included.

Everything that matters depends on tau / sqrt(q) and m / sqrt(q) alone, so these ratios are drawn:
tau / sqrt(q) from 0 to 30, deep in the tail, and m / sqrt(q) from 1e-6, a thin piece, to 1e6::

    from hypothesis import given
    from sparsity_theory.testing.strategies import activations, variances

    @given(phi=activations(), q=variances())
    def test_my_variance_map(phi, q): ...
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .._extras import needs

try:
    from hypothesis import strategies
    from hypothesis.strategies import SearchStrategy, composite, one_of, sampled_from
except ModuleNotFoundError as missing:
    raise needs("sparsity_theory.testing.strategies", "hypothesis") from missing

import sparsity_theory as st
from sparsity_theory.mean_field.pre_norm import NORMS

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
    """m / sqrt(q): thin pieces, usual clips, and clips that hardly ever act."""
    return one_of(
        sampled_from([x for x in (1.0, least, most) if least <= x <= most]),
        strategies.floats(max(0.3, least), min(3.0, most)),
        log_uniform(least, most),
    )


@composite
def activations(
    draw: strategies.DrawFn,
    kinds: Sequence[str] = KINDS,
    q: float = 1.0,
    most: float = FARTHEST,
    thinnest: float = THINNEST,
    thickest: float = THICKEST,
) -> Any:
    """An activation of one of the kinds "relu", "st", "crelu" and "cst".

    tau is at most ``most`` deviations sqrt(q), and m from ``thinnest`` to ``thickest`` of them.
    """
    kind = draw(sampled_from(list(kinds)))
    tau = draw(scaled_thresholds(most)) * math.sqrt(q)
    if kind in UNCLIPPED:
        return ACTIVATIONS[kind](tau)
    return ACTIVATIONS[kind](tau, draw(scaled_clips(thinnest, thickest)) * math.sqrt(q))


@composite
def straight_pieces(
    draw: strategies.DrawFn, q: float = 1.0
) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Knots, slopes and offset for `PiecewiseLinear`: one to five knots, on either side of zero."""
    first = draw(strategies.floats(-3.0, 2.0))
    gaps = draw(strategies.lists(log_uniform(1e-3, 3.0), max_size=4))
    knots = [first]
    for gap in gaps:
        knots.append(knots[-1] + gap)
    slope = one_of(sampled_from([0.0, 1.0, -1.0]), strategies.floats(-2.0, 2.0))
    slopes = draw(strategies.lists(slope, min_size=len(knots) + 1, max_size=len(knots) + 1))
    root = math.sqrt(q)
    offset = draw(one_of(sampled_from([0.0]), strategies.floats(-2.0, 2.0)))
    return tuple(knot * root for knot in knots), tuple(slopes), offset * root


def piecewise_linear(q: float = 1.0) -> SearchStrategy[st.PiecewiseLinear]:
    """Continuous activations of two to six linear pieces, on the scale of sqrt(q)."""
    return straight_pieces(q).map(lambda pieces: st.PiecewiseLinear(*pieces))


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


def bad_numbers() -> SearchStrategy[float]:
    """NaN and infinities, which no argument accepts."""
    return sampled_from([math.nan, math.inf, -math.inf])


@composite
def streams(
    draw: strategies.DrawFn, kinds: Sequence[str] = KINDS, most: float = 8.0
) -> st.Residual | st.PreNorm:
    """Residual networks, plain on the edge of chaos and pre-norm; tau no deeper than ``most``."""
    q = draw(variances())
    phi = draw(activations(kinds, q, most, 1e-3, 1e3))
    alpha = draw(one_of(sampled_from([1.0, 0.1]), log_uniform(1e-3, 10.0)))
    if draw(strategies.booleans()):
        skip = draw(one_of(sampled_from([1.0, 0.0]), strategies.floats(0.0, 1.0)))
        return st.Residual(st.edge_of_chaos(phi, q), alpha, skip)
    return st.PreNorm(phi, alpha, q, draw(log_uniform(1e-2, 1e2)), draw(sampled_from(NORMS)))
