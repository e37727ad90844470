"""The clip m from which on V has new fixed points above q* (Sec. 3.1, Fig. 4).

On the edge of chaos V follows the identity above q* ever more closely as m grows, touches it, and
crosses it: a pair of fixed points appears, the lower one unstable, the upper one with chi > 1.
CReLU and CST of equal tau and m have the same V there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from .. import _validation as check
from ..activations.thresholded import (
    ClippedKind,
    ClippedReLU,
    ClippedSoftThreshold,
    clipped_kind,
)
from .edge_of_chaos import edge_of_chaos
from .fixed_points import turning_points

if TYPE_CHECKING:
    from .._types import FloatLike
    from .maps import MeanField

# Logits of V'(q*) between which it is searched: from 4e-18 to 1 - 1e-14.
_LOW, _HIGH = -40.0, 32.0


@dataclass(frozen=True)
class Bifurcation:
    """The clip at which V first touches the identity above q*.

    Attributes:
        m: the clip: three fixed points just above it, one just below.
        slope: V'(q*) at that clip.
        q: the variance at which V touches the identity.
    """

    m: float
    slope: float
    q: float


def bifurcation(kind: ClippedKind | str, s: float, q_star: FloatLike = 1.0) -> Bifurcation:
    """The clip m at which a pair of fixed points appears above q* on the edge of chaos.

    Args:
        kind: ClippedReLU or ClippedSoftThreshold, or its short name "crelu" or "cst".
        s: sparsity, in (0, 1), so large that tau > 0: above 1/2 for ClippedReLU.
        q_star: the fixed point that the initialization is made for, a single number.

    Raises:
        ValueError: for another kind, an s outside (0, 1) or with tau <= 0 (then V follows the
            identity above q* for no clip), or q_star not a single positive number.
    """
    named, q = clipped_kind(kind), check.single("q_star", check.positive("q_star", q_star))

    def clipped(logit: float) -> ClippedReLU | ClippedSoftThreshold:
        return named.for_sparsity(s, scipy.special.expit(logit), q)

    def excess(logit: float) -> float:
        return _highest_above(edge_of_chaos(clipped(logit), q), q)[1]

    if not clipped(0.0).tau > 0.0:
        raise ValueError(f"s must give a positive tau for new fixed points to appear, got {s!r}")
    low, high = _LOW, _HIGH
    while excess(low) == -np.inf:  # V - q has no maximum above q* there: halve the bracket
        middle = 0.5 * (low + high)
        low, high = (low, middle) if excess(middle) > 0.0 else (middle, high)
    phi = clipped(scipy.optimize.brentq(excess, low, high, xtol=1e-13))
    net = edge_of_chaos(phi, q)
    return Bifurcation(float(phi.m), float(net.variance_slope(q)), _highest_above(net, q)[0])


def _highest_above(net: MeanField, q_star: float) -> tuple[float, float]:
    """The largest V(q) / q - 1 at a turning point above q*: the point q and the value."""
    maxima = [
        (point.q, point.excess / point.q)
        for point in turning_points(net)
        if point.q > q_star and point.curvature < 0.0
    ]
    return max(maxima, key=lambda maximum: maximum[1], default=(np.nan, -np.inf))
