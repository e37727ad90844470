"""The activations of the paper: ReLU_tau, ST_tau, CReLU_{tau,m} and CST_{tau,m} (Eqs. 7-10).

``tau`` is the threshold up to which they vanish, ``m`` the clip: the largest |phi| of the clipped
kinds. They are floats, or read-only arrays that broadcast against every other argument. Of the
clipped kinds m must be finite: without a clip CReLU is ReLU and CST is ST.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _validation as check
from .._types import Array, FloatLike, Parameter, plain, scalar_or_array
from ..numerics.double_double import two_sum
from .design import clip_for_slope, one_sided_threshold, two_sided_threshold
from .piecewise_linear import Kinks, PiecewiseLinear, ramp_kinks


class _Thresholded(PiecewiseLinear):
    """What the four kinds share: a threshold tau, a short name and the paper's name."""

    name: str
    label: str
    clipped = False
    tau: Parameter
    _tau: Array  # the same, as an array that arithmetic need not convert

    def _parameters(self) -> dict[str, Any]:
        return {"tau": self.tau}


class _Clipped(_Thresholded):
    """What the two clipped kinds share: the clip m."""

    clipped = True
    m: Parameter
    _m: Array

    def _parameters(self) -> dict[str, Any]:
        return {"tau": self.tau, "m": self.m}


class ShiftedReLU(_Thresholded):
    """ReLU_tau(x) = max(0, x - tau) (Eq. 7). tau = 0 is the ReLU.

    Raises:
        ValueError: if tau is not finite.
    """

    name, label = "relu", "ReLU"

    def __init__(self, tau: FloatLike = 0.0) -> None:
        threshold = check.parameter(check.finite("tau", tau))
        self._keep(tau=plain(threshold), _tau=threshold)
        zero = np.zeros_like(threshold)
        self._set(Kinks((threshold,), (zero,), (), (zero,)), (0.0, 1.0))

    def __call__(self, x: FloatLike) -> Array:
        """phi(x), elementwise."""
        return np.maximum(check.real("x", x) - self._tau, 0.0)

    def derivative(self, x: FloatLike) -> Array:
        """phi'(x), elementwise; 0 at the kink."""
        x = check.real("x", x)
        return _indicator(x, x > self._tau)

    @classmethod
    def for_sparsity(cls, s: FloatLike, q_star: FloatLike = 1.0) -> Self:
        """The activation that is zero with probability s at variance q_star (Eq. 57).

        Raises:
            ValueError: for s outside (0, 1), q_star not positive and finite.
        """
        return cls(one_sided_threshold(s, q_star))


class SoftThreshold(_Thresholded):
    """ST_tau(x) = sign(x) max(0, |x| - tau) (Eq. 8). tau = 0 is the identity.

    Raises:
        ValueError: if tau is negative or not finite.
    """

    name, label, odd = "st", "ST", True

    def __init__(self, tau: FloatLike = 0.0) -> None:
        threshold = check.parameter(check.nonnegative("tau", tau))
        self._keep(tau=plain(threshold), _tau=threshold)
        zero = np.zeros_like(threshold)
        self._set(
            Kinks((-threshold, threshold), (zero, zero), (2.0 * threshold,), (zero, zero)),
            (1.0, 0.0, 1.0),
        )

    def __call__(self, x: FloatLike) -> Array:
        """phi(x), elementwise."""
        x = check.real("x", x)
        return np.asarray(x - _within(x, self._tau))[()]

    def derivative(self, x: FloatLike) -> Array:
        """phi'(x), elementwise; 0 at the kinks, and everywhere 1 for the identity."""
        x = check.real("x", x)
        return _indicator(x, (np.abs(x) > self._tau) | (self._tau == 0.0))

    @classmethod
    def for_sparsity(cls, s: FloatLike, q_star: FloatLike = 1.0) -> Self:
        """The activation that is zero with probability s at variance q_star (Eq. 58).

        Raises:
            ValueError: for s outside (0, 1), q_star not positive and finite.
        """
        return cls(two_sided_threshold(s, q_star))


class ClippedReLU(_Clipped):
    """CReLU_{tau,m}(x) = min(m, max(0, x - tau)) (Eq. 9).

    Raises:
        ValueError: if tau is not finite, or m not positive and finite.
    """

    name, label = "crelu", "CReLU"

    def __init__(self, tau: FloatLike, m: FloatLike) -> None:
        threshold, clip = _broadcast(check.finite("tau", tau), check.positive("m", m))
        self._keep(tau=plain(threshold), m=plain(clip), _tau=threshold, _m=clip)
        self._set(ramp_kinks(threshold, clip), (0.0, 1.0, 0.0))

    def __call__(self, x: FloatLike) -> Array:
        """phi(x), elementwise."""
        return np.minimum(np.maximum(check.real("x", x) - self._tau, 0.0), self._m)

    def derivative(self, x: FloatLike) -> Array:
        """phi'(x), elementwise; 0 at the kinks."""
        x = check.real("x", x)
        return _indicator(x, (x > self._tau) & (x < self._tau + self._m))

    @classmethod
    def for_sparsity(cls, s: FloatLike, slope: FloatLike = 0.7, q_star: FloatLike = 1.0) -> Self:
        """Zero with probability s at variance q_star, and V'(q_star) = slope on the edge of chaos.

        tau is that of Eq. 57, and m is solved for.

        Raises:
            ValueError: for s or slope outside (0, 1), q_star not positive and finite, or shapes
                that do not broadcast.
        """
        return cls(*_designed(one_sided_threshold, s, slope, q_star))


class ClippedSoftThreshold(_Clipped):
    """CST_{tau,m}(x) = sign(x) min(m, max(0, |x| - tau)) (Eq. 10). tau = 0 is HardTanh.

    Raises:
        ValueError: if tau is negative or not finite, or m not positive and finite.
    """

    name, label, odd = "cst", "CST", True

    def __init__(self, tau: FloatLike, m: FloatLike) -> None:
        threshold, clip = _broadcast(check.nonnegative("tau", tau), check.positive("m", m))
        self._keep(tau=plain(threshold), m=plain(clip), _tau=threshold, _m=clip)
        zero = np.zeros_like(threshold)
        end, rounding = two_sum(threshold, clip)
        self._set(
            Kinks(
                (-end, -threshold, threshold, end),
                (-rounding, zero, zero, rounding),
                (clip, 2.0 * threshold, clip),
                (-clip, zero, zero, clip),
            ),
            (0.0, 1.0, 0.0, 1.0, 0.0),
        )

    def __call__(self, x: FloatLike) -> Array:
        """phi(x), elementwise."""
        x = check.real("x", x)
        return _within(x - _within(x, self._tau), self._m)

    def derivative(self, x: FloatLike) -> Array:
        """phi'(x), elementwise; 0 at the kinks."""
        x = check.real("x", x)
        size = np.abs(x)
        rising = (size > self._tau) | (self._tau == 0.0)
        return _indicator(x, rising & (size < self._tau + self._m))

    @classmethod
    def for_sparsity(cls, s: FloatLike, slope: FloatLike = 0.7, q_star: FloatLike = 1.0) -> Self:
        """Zero with probability s at variance q_star, and V'(q_star) = slope on the edge of chaos.

        tau is that of Eq. 58, and m is solved for.

        Raises:
            ValueError: for s or slope outside (0, 1), q_star not positive and finite, or shapes
                that do not broadcast.
        """
        return cls(*_designed(two_sided_threshold, s, slope, q_star))


def _designed(
    threshold: Callable[[FloatLike, FloatLike], Array],
    s: FloatLike,
    slope: FloatLike,
    q_star: FloatLike,
) -> tuple[Array, Array]:
    """tau and m of a clipped activation."""
    check.together({"s": np.shape(s), "slope": np.shape(slope), "q_star": np.shape(q_star)})
    tau = threshold(s, q_star)
    return tau, clip_for_slope(tau, slope, q_star)


def _broadcast(tau: Array, m: Array) -> tuple[Array, Array]:
    """tau and m in one shape, copied and read-only.

    Raises:
        ValueError: if their shapes do not broadcast.
    """
    if tau.shape == m.shape:
        return check.parameter(tau), check.parameter(m)
    check.together({"tau": tau.shape, "m": m.shape})
    threshold, clip = np.broadcast_arrays(tau, m)
    return check.parameter(threshold), check.parameter(clip)


def _within(x: Array, bound: Array) -> Array:
    """x, moved into [-bound, bound]."""
    return np.minimum(np.maximum(x, -bound), bound)


def _indicator(x: Array, inside: NDArray[np.bool_]) -> Array:
    """1 inside, 0 elsewhere, NaN where x is."""
    return scalar_or_array(np.where(np.isnan(x), x, inside))


ClippedKind: TypeAlias = type[ClippedReLU] | type[ClippedSoftThreshold]
"""One of the two classes with a clip m."""

CLIPPED_KINDS: Mapping[str, ClippedKind] = MappingProxyType(
    {kind.name: kind for kind in (ClippedReLU, ClippedSoftThreshold)}
)
"""They by their short names: crelu, cst."""


def clipped_kind(kind: ClippedKind | str) -> ClippedKind:
    """The class itself, or the one with this short name.

    Raises:
        ValueError: for anything else.
    """
    for name, clipped in CLIPPED_KINDS.items():
        if kind is clipped or (isinstance(kind, str) and kind == name):
            return clipped
    allowed = ", ".join(CLIPPED_KINDS)
    raise ValueError(f"kind must be one of {allowed}, got {check.shown(kind)}")


ACTIVATIONS: Mapping[
    str, type[ShiftedReLU] | type[SoftThreshold] | type[ClippedReLU] | type[ClippedSoftThreshold]
] = MappingProxyType(
    {kind.name: kind for kind in (ShiftedReLU, SoftThreshold, ClippedReLU, ClippedSoftThreshold)}
)
"""The four kinds by their short names: relu, st, crelu, cst."""
