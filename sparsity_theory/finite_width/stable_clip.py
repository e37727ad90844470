"""The largest clip m at which networks of a given width and depth are stable (open in Sec. 5)."""

from __future__ import annotations

from dataclasses import dataclass

import scipy

from .. import _validation as check
from ..activations.thresholded import ClippedKind, ClippedReLU, ClippedSoftThreshold
from ..mean_field.edge_of_chaos import edge_of_chaos
from ..mean_field.maps import MeanField
from .failure import exploding_share
from .layer_law import draw_layers

KINDS: dict[str, ClippedKind] = {kind.name: kind for kind in (ClippedReLU, ClippedSoftThreshold)}

# Logits of V'(q*) between which it is searched: from 1e-3 to 1 - 1e-6.
_LOWEST, _HIGHEST = -6.9, 13.8
_RESOLUTION = 0.02


@dataclass(frozen=True)
class StableClip:
    """The largest clip whose failure probability stays within the risk.

    Attributes:
        m: the clip. Where none is needed, one of V'(q*) = 1 - 1e-6, which hardly ever acts.
        slope: V'(q*) there.
        curvature: V''(q*) there.
        failure_probability: as forecast, at most the risk.
    """

    m: float
    slope: float
    curvature: float
    failure_probability: float


def largest_stable_clip(
    kind: ClippedKind | str,
    sparsity: float,
    width: int = 300,
    depth: int = 100,
    q_star: float = 1.0,
    risk: float = 0.01,
    networks: int = 1000,
    seed: int = 0,
) -> StableClip:
    """The largest m for which at most a share ``risk`` of random networks fails.

    By bisection in V'(q*), which grows with m, with the same random numbers for every m. The
    failure probability has a standard error of sqrt(risk (1 - risk) / networks), 0.003 by default.

    Args:
        kind: ClippedReLU or ClippedSoftThreshold, or its short name "crelu" or "cst".
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
    clipped = _clipped_kind(kind)
    check.fraction("risk", risk)

    def failing(net: MeanField) -> float:
        return float(exploding_share(draw_layers(net, width, depth, networks, seed)))

    def activation(logit: float) -> ClippedReLU | ClippedSoftThreshold:
        return clipped.for_sparsity(sparsity, slope=scipy.special.expit(logit), q_star=q_star)

    def initialization(logit: float) -> MeanField:
        return edge_of_chaos(activation(logit), q_star)

    low, high = _LOWEST, _HIGHEST
    if failing(initialization(low)) > risk:
        raise ValueError(
            f"no clip keeps the failures of {clipped.name} at sparsity {sparsity:g}, width {width} "
            f"and depth {depth} within risk = {risk:g}"
        )
    if failing(initialization(high)) <= risk:
        low = high
    while high - low > _RESOLUTION:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if failing(initialization(middle)) <= risk else (low, middle)
    phi, net = activation(low), initialization(low)
    return StableClip(
        m=float(phi.m),
        slope=float(net.variance_slope(q_star)),
        curvature=float(net.variance_curvature(q_star)),
        failure_probability=failing(net),
    )


def _clipped_kind(kind: ClippedKind | str) -> ClippedKind:
    """The class itself, or the one with this short name."""
    for name, clipped in KINDS.items():
        if kind in (name, clipped):
            return clipped
    raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
