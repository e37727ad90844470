"""The largest clip m that networks of a given width and depth bear (what Sec. 5 leaves open)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _validation as check
from ..activations.thresholded import ClippedReLU, ClippedSoftThreshold
from ..mean_field.edge_of_chaos import edge_of_chaos
from ..mean_field.maps import MeanField
from .forecast import failure_probability
from .layer_law import draw_quickly

KINDS = {kind.name: kind for kind in (ClippedReLU, ClippedSoftThreshold)}

# Slopes are searched between these logits: V'(q*) from 1e-3 to 1 - 1e-6.
_LOWEST, _HIGHEST = -6.9, 13.8
_RESOLUTION = 0.02


@dataclass(frozen=True)
class StableClip:
    """The largest clip whose failure probability stays within the risk.

    Attributes:
        m: the clip. Where none is needed, one that is never felt: V'(q*) = 1 - 1e-6.
        slope: V'(q*) there.
        curvature: V''(q*) there.
        failure_probability: as forecast, at most the risk.
    """

    m: float
    slope: float
    curvature: float
    failure_probability: float


def largest_stable_clip(
    kind: str,
    sparsity: float,
    width: int = 300,
    depth: int = 100,
    q_star: float = 1.0,
    risk: float = 0.01,
    networks: int = 1000,
    seed: int = 0,
) -> StableClip:
    """The largest m for which at most a share ``risk`` of random networks fails.

    By bisection in V'(q*), which grows with m, with the same random numbers for every m. What is
    found is as sharp as a share is known from so many networks: its standard error is
    sqrt(risk (1 - risk) / networks), 0.003 by default.

    Args:
        kind: "crelu" or "cst".
        sparsity: s, in (0, 1), from 1/2 for "crelu" (tau >= 0).
        width: units in every layer.
        depth: number of hidden layers.
        q_star: the fixed point, where the networks start.
        risk: largest failure probability allowed, in (0, 1).
        networks: how many networks a failure probability is estimated from.
        seed: of their random numbers.

    Raises:
        ValueError: for an argument outside its range, or if even the smallest clips (V'(q*) =
            0.001) fail more often than ``risk``.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    check.fraction("risk", risk)

    def failing(net: MeanField) -> float:
        return float(failure_probability(draw_quickly(net, width, depth, networks, seed)))

    def activation(logit: float) -> ClippedReLU | ClippedSoftThreshold:
        slope = 1.0 / (1.0 + np.exp(-logit))
        return KINDS[kind].for_sparsity(sparsity, slope=slope, q_star=q_star)

    def clipped(logit: float) -> MeanField:
        return edge_of_chaos(activation(logit), q_star)

    low, high = _LOWEST, _HIGHEST
    if failing(clipped(low)) > risk:
        raise ValueError(
            f"no clip keeps the failures of {kind} at sparsity {sparsity:g}, width {width} and "
            f"depth {depth} within risk = {risk:g}"
        )
    if failing(clipped(high)) <= risk:
        low = high
    while high - low > _RESOLUTION:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if failing(clipped(middle)) <= risk else (low, middle)
    phi, net = activation(low), clipped(low)
    return StableClip(
        m=float(phi.m),
        slope=float(net.variance_slope(q_star)),
        curvature=float(net.variance_curvature(q_star)),
        failure_probability=failing(net),
    )
