"""The largest clip m at which networks of a given width and depth are stable (open in Sec. 5).

It is the best one, too: learnability grows with m, so that under a risk nothing learns better than
the largest clip that is within it.

It need not grow with the width. In narrow networks gradients vanish before they explode: a larger
clip is stable there, in a network that learns less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import scipy

from .. import _validation as check
from ..activations.thresholded import (
    ClippedKind,
    ClippedReLU,
    ClippedSoftThreshold,
    clipped_kind,
)
from ..mean_field.edge_of_chaos import edge_of_chaos, edge_of_chaos_of_sparsity
from .failure import PAPER_TIME, dead_share, failure_probability, failure_standard_error
from .layer_law import draw_layers
from .learnability import learnability

# Logits of V'(q*) at which it is looked for first: from 1 - 1e-6 down to 1e-3.
_LOGITS: list[float] = np.linspace(13.8, -6.9, 24).tolist()
_RESOLUTION = 0.02


@dataclass(frozen=True)
class StableClip:
    """The largest clip whose risk stays within the one allowed.

    Attributes:
        m: the clip. Where none is needed, one of V'(q*) = 1 - 1e-6, which hardly ever acts.
        m_range: what m would be if the failure probability were one standard error of the networks
            drawn higher, and lower; the first is 0 if no clip would do.
        slope: V'(q*) at m.
        curvature: V''(q*) there.
        failure_probability: as forecast.
        dead_share: as forecast; together with the above at most the risk.
        learnability: as forecast: no other clip within the risk has a higher one.
    """

    m: float
    m_range: tuple[float, float]
    slope: float
    curvature: float
    failure_probability: float
    dead_share: float
    learnability: float


class NoStableClipError(ValueError):
    """No clip keeps networks of that size within the risk."""


class _Estimate(NamedTuple):
    failure: float
    error: float
    dead: float

    def risk(self, errors: float) -> float:
        """The probability to fail or be dead, ``errors`` standard errors from the estimate."""
        return 1.0 - (1.0 - self.failure - errors * self.error) * (1.0 - self.dead)


def largest_stable_clip(
    kind: ClippedKind | str,
    sparsity: float,
    width: int = 300,
    depth: int = 100,
    q_star: float = 1.0,
    risk: float = 0.05,
    networks: int = 1000,
    seed: int = 0,
    training_time: float = PAPER_TIME,
) -> StableClip:
    """The largest m for which a network fails, or is dead, with at most the probability ``risk``.

    It is searched from above, then by bisection in V'(q*), which grows with m, with the same random
    numbers for every m.

    Args:
        kind: ClippedReLU or ClippedSoftThreshold, or its short name "crelu" or "cst".
        sparsity: s, in (0, 1), from 1/2 for "crelu" (tau >= 0).
        width: units in every layer.
        depth: number of hidden layers.
        q_star: the fixed point, where the networks start.
        risk: largest probability allowed, in (0, 1), that a training run explodes or loses its
            sparsity (`forecast`'s ``failure_probability``) or that a network passes no gradient.
        networks: how many networks it is estimated from.
        seed: of their random numbers.
        training_time: learning rate times steps of plain SGD, as `forecast` takes it.

    Raises:
        NoStableClipError: if no clip keeps within ``risk``.
        ValueError: for an argument outside its range.
    """
    clipped = clipped_kind(kind)
    check.fraction("risk", risk)
    training_time = check.single("training_time", check.positive("training_time", training_time))

    def activation(logit: float) -> ClippedReLU | ClippedSoftThreshold:
        return clipped.for_sparsity(sparsity, slope=scipy.special.expit(logit), q_star=q_star)

    @cache
    def estimate(logit: float) -> _Estimate:
        net = edge_of_chaos_of_sparsity(activation(logit), sparsity, q_star)
        chain = draw_layers(net, width, depth, networks, seed)
        return _Estimate(
            float(failure_probability(chain, training_time)),
            float(failure_standard_error(chain, training_time)),
            float(dead_share(chain)),
        )

    def largest(errors: float) -> float | None:
        return _largest(lambda logit: estimate(logit).risk(errors) <= risk)

    found = largest(0.0)
    if found is None:
        raise NoStableClipError(
            f"no clip keeps the failures of {clipped.name} at sparsity {sparsity:g}, width {width} "
            f"and depth {depth} within risk = {risk:g}"
        )
    low, high = (
        0.0 if logit is None else float(activation(logit).m)
        for logit in (largest(1.0), largest(-1.0))
    )
    phi = activation(found)
    net = edge_of_chaos(phi, q_star)
    return StableClip(
        m=float(phi.m),
        m_range=(low, high),
        slope=float(net.variance_slope(q_star)),
        curvature=float(net.variance_curvature(q_star)),
        failure_probability=estimate(found).failure,
        dead_share=estimate(found).dead,
        learnability=learnability(net, width, depth),
    )


def _largest(stable: Callable[[float], bool]) -> float | None:
    """The largest logit that is stable, to the resolution; None if none is."""
    place = next((index for index, logit in enumerate(_LOGITS) if stable(logit)), None)
    if place is None or place == 0:
        return None if place is None else _LOGITS[0]
    low, high = _LOGITS[place], _LOGITS[place - 1]
    while high - low > _RESOLUTION:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low
