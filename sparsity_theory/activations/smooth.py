"""Smooth variants of the clipped kinds, which the paper proposes as future work (Sec. 5).

Every kink is rounded by a softplus of sharpness beta, so that as beta grows they tend to CReLU and
CST, uniformly within log(2) / beta for each kink. Their values are nowhere exactly zero: the
sparsity is zero, and values are only small where those of CReLU and CST are zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from .. import _validation as check
from .._types import Array
from .function import Activation


class _SmoothClipped(Activation):
    tau: float
    m: float
    beta: float

    def __init__(self, tau: float, m: float, beta: float) -> None:
        self._keep(
            tau=check.single("tau", check.nonnegative("tau", tau)),
            m=check.single("m", check.positive("m", m)),
            beta=check.single("beta", check.positive("beta", beta)),
        )
        positive = np.array([self.tau, self.tau + self.m])
        self._set(self._phi, self._slope, self._rounded_kinks(positive))

    def _parameters(self) -> dict[str, Any]:
        return {"tau": self.tau, "m": self.m, "beta": self.beta}

    def _phi(self, x: Array) -> Array:
        raise NotImplementedError

    def _slope(self, x: Array) -> Array:
        raise NotImplementedError

    def _rounded_kinks(self, positive: Array) -> Array:
        raise NotImplementedError

    def _ramp(self, x: Array) -> Array:
        """The smooth ramp from 0 to m over [tau, tau + m]."""
        above, low, high = self._folded(x)
        ramp = (np.logaddexp(0.0, low) - np.logaddexp(0.0, high)) / self.beta
        return np.where(above, self.m - ramp, ramp)

    def _ramp_slope(self, x: Array) -> Array:
        _, low, high = self._folded(x)
        return np.asarray(scipy.special.expit(low) - scipy.special.expit(high))

    def _folded(self, x: Array) -> tuple[NDArray[np.bool_], Array, Array]:
        """Whether x is above the middle of the ramp, and beta times how far it is from both kinks.

        Above, for the point as far below the middle, where no digits are lost: the ramp is odd
        about its middle.
        """
        rise = x - self.tau
        folded = np.minimum(rise, self.m - rise)
        return rise > folded, self.beta * folded, self.beta * (folded - self.m)


class SmoothClippedReLU(_SmoothClipped):
    """CReLU_{tau,m} with rounded kinks: softplus(x - tau) - softplus(x - tau - m).

    Args:
        tau: threshold, nonnegative.
        m: clip, positive.
        beta: sharpness: softplus(x) = log(1 + exp(beta x)) / beta.

    Raises:
        ValueError: if a parameter is out of range or not a single number.
    """

    def _phi(self, x: Array) -> Array:
        return self._ramp(x)

    def _slope(self, x: Array) -> Array:
        return self._ramp_slope(x)

    def _rounded_kinks(self, positive: Array) -> Array:
        return positive


class SmoothClippedSoftThreshold(_SmoothClipped):
    """CST_{tau,m} with rounded kinks: the odd difference of two smooth clipped ReLUs.

    Args:
        tau: threshold, nonnegative.
        m: clip, positive.
        beta: sharpness: softplus(x) = log(1 + exp(beta x)) / beta.

    Raises:
        ValueError: if a parameter is out of range or not a single number.
    """

    def _phi(self, x: Array) -> Array:
        return self._ramp(x) - self._ramp(-x)

    def _slope(self, x: Array) -> Array:
        return self._ramp_slope(x) + self._ramp_slope(-x)

    def _rounded_kinks(self, positive: Array) -> Array:
        return np.concatenate([-positive, positive])
