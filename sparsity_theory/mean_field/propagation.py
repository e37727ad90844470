"""Depth of information propagation: phases, the fixed point of the correlation map, depth scales.

Schoenholz, Gilmer, Ganguli and Sohl-Dickstein (2017), with App. A of the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import _validation as check
from .._types import Array, FloatLike, scalar_or_array
from ..numerics.roots import bracketed_newton
from .maps import check_net

if TYPE_CHECKING:
    from .maps import MeanField

# chi_1 counts as 1 within its rounding error.
_CRITICAL = 64 * np.finfo(float).eps


def phase(net: MeanField, q: FloatLike | None = None) -> NDArray[np.str_]:
    """Return "ordered", "critical" or "chaotic": chi_1 below, at (to rounding) or above 1 (App. A).

    Args:
        net: the initialization.
        q: a fixed point of its variance map; ``net.q_star`` where not given.

    Raises:
        ValueError: if q is not positive and finite, or neither q nor ``net.q_star`` is known.
    """
    fixed = _fixed_variance(net, q)
    chi = net.chi(fixed)
    return scalar_or_array(
        np.where(
            np.abs(chi - 1.0) <= _CRITICAL, "critical", np.where(chi < 1.0, "ordered", "chaotic")
        )
    )


def correlation_fixed_point(net: MeanField, q: FloatLike | None = None) -> Array:
    """The correlation rho* that those of two inputs converge to (App. A, Figs. 12 and 13).

    It is 1 where chi_1 <= 1. In the chaotic phase it is the one fixed point of R in [0, 1): there
    R is convex with R(0) >= 0 and R'(1) = chi_1 > 1, so gap -> (1 - R(1 - gap)) / gap decreases
    from chi_1 to at most 1, and is solved for its value 1 in log(gap).

    Args:
        net: the initialization.
        q: a fixed point of its variance map; ``net.q_star`` where not given.

    Returns:
        rho* in [0, 1].

    Raises:
        ValueError: if q is not positive and finite, or neither q nor ``net.q_star`` is known.
    """
    q = _fixed_variance(net, q)
    chi = net.chi(q)
    chaotic = chi - 1.0 > _CRITICAL
    if not np.any(chaotic):
        return scalar_or_array(np.ones(np.shape(chi)))

    def excess(log_gap: Array) -> tuple[Array, Array]:
        gap = np.exp(log_gap)
        ratio = net.correlation_gap(gap, q) / gap
        return 1.0 - ratio, ratio - net.correlation_slope(1.0 - gap, q)

    low, high = np.full(np.shape(chi), -80.0), np.zeros(np.shape(chi))
    gap = np.exp(bracketed_newton(excess, low, high, np.full(np.shape(chi), -1.0)))
    return scalar_or_array(np.where(chaotic, 1.0 - gap, 1.0))


def depth_scales(net: MeanField, q: FloatLike | None = None) -> tuple[Array, Array]:
    """The depth scales over which variance and correlation approach their fixed points, per e-fold.

    xi_q = -1 / log |V'(q*)| and xi_c = -1 / log R'(rho*): infinite where the slope is 1, as xi_c is
    on the edge of chaos.

    Args:
        net: the initialization.
        q: a stable fixed point of its variance map; ``net.q_star`` where not given.

    Returns:
        (xi_q, xi_c).

    Raises:
        ValueError: if q is not positive and finite, or neither q nor ``net.q_star`` is known.
    """
    q = _fixed_variance(net, q)
    rho = correlation_fixed_point(net, q)
    return _e_folding(net.variance_slope(q)), _e_folding(net.correlation_slope(rho, q))


def _fixed_variance(net: MeanField, q: FloatLike | None) -> Array:
    check_net(net)
    return net.require_q_star("q") if q is None else check.positive("q", q)


def _e_folding(slope: Array) -> Array:
    size = np.abs(slope)
    attracting = 1.0 - size > _CRITICAL
    with np.errstate(divide="ignore"):
        scale = -1.0 / np.log(np.where(attracting, size, 0.5))
    return scalar_or_array(np.where(attracting, scale, np.inf))
