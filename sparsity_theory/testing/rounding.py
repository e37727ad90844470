"""What an implementation in a floating-point type may differ from the exact activation by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .._types import Array, FloatLike
from .floating import Format


class ExactActivation(Protocol):
    """What the exact activation must provide, besides its ``kinks`` if it has any."""

    def __call__(self, x: FloatLike) -> Array:
        """phi(x)."""

    def derivative(self, x: FloatLike) -> Array:
        """phi'(x)."""


@dataclass(frozen=True)
class Allowance:
    """The rounding that is allowed at every point.

    An implementation evaluates phi in its type, with kinks rounded to that type. If a kink k moves
    by d, phi moves by at most d times the steepest slope s on the far side of k, so rounding k to
    the nearest number shifts phi there by up to s ulp(k) / 2; the subtraction x - k is rounded
    likewise. Far sides are seen from where phi is certain: from the interval nearest to zero on
    which phi = 0, else from the origin if phi(0) = 0; from nowhere if neither is given. So

        |error| <= ulps * ulp(max(|phi(x)|, max(1, s) |k|))

    over the kinks k between there and x, and over those with |k| <= |x|.
    """

    activation: ExactActivation
    format: Format
    ulps: float

    @cached_property
    def kinks(self) -> Array:
        """The kinks, ascending, each once."""
        return np.unique(np.asarray(getattr(self.activation, "kinks", ()), dtype=np.float64))

    def of_values(self, x: Array) -> Array:
        """The error allowed of phi(x); none where phi = 0 nearer to zero than all kinks."""
        scale = self._scale(x)
        return np.where(scale == 0.0, 0.0, self.ulps * self.format.ulp(scale))

    def of_slopes(self, slopes: Array) -> Array:
        """The error allowed of slopes; none of 0."""
        return np.where(slopes == 0.0, 0.0, self.ulps * self.format.ulp(np.abs(slopes)))

    def nearest_slopes(self, x: Array, found: Array, either_slope: bool) -> Array:
        """phi'(x), or next to a kink the slope nearest to ``found`` from one side's to the other's.

        That is so at a kink if ``either_slope`` or if the type rounds a kink, and within an ulp of
        it (two, if kinks are rounded) of the largest number that phi(x) is computed from.
        """
        expected = self.activation.derivative(x)
        low, high = expected.copy(), expected.copy()
        for near, slope in self._slopes_beside_kinks(x, either_slope):
            low, high = (
                np.where(near, pick(end, slope), end)
                for pick, end in ((np.fmin, low), (np.fmax, high))
            )
        return np.where(low < high, np.clip(found, low, high), expected)

    def _slopes_beside_kinks(
        self, x: Array, either_slope: bool
    ) -> Iterator[tuple[NDArray[np.bool_], Array]]:
        """Which x are next to a kink, and a slope there; for every kink and all slopes there."""
        exact = bool(np.all(self.format.rounded(self.kinks) == self.kinks))
        widths = self.format.ulp(np.maximum(np.abs(self.kinks), self._scale(self.kinks)))
        for kink, width in zip(self.kinks, widths if exact else 2.0 * widths, strict=True):
            near = np.abs(x - kink) <= width
            if exact and not either_slope:
                near &= x != kink
            step = max(2.0**-50 * abs(kink), 1e-300)
            for beside in (kink - width, kink - step, kink + step, kink + width):
                yield near, self.activation.derivative(beside)

    def _scale(self, x: Array) -> Array:
        """The size of the largest number that phi(x) is computed from; 0 where it is exactly 0."""
        phi = np.abs(self.activation(x))
        finite = np.where(np.isfinite(phi), np.minimum(phi, self.format.largest), 0.0)
        sizes = self._steepest * np.abs(self.kinks)
        moved = np.where(self._far_side(x), sizes, 0.0)
        return np.asarray(np.maximum(finite, np.max(moved, axis=1, initial=0.0)))

    def _far_side(self, x: Array) -> NDArray[np.bool_]:
        """Whether phi(x) depends on where a kink is: shape (points, kinks)."""
        at, kinks = x[:, None], self.kinks
        rounding = 4.0 * 2.0**-self.format.bits * np.abs(kinks)
        low, high = self._certain
        far = np.abs(kinks) - rounding <= np.abs(at)
        far |= (kinks >= high) & (kinks - rounding <= at)
        far |= (kinks <= low) & (kinks + rounding >= at)
        return np.asarray(far)

    @cached_property
    def _certain(self) -> tuple[float, float]:
        """The ends of the interval where phi is certain, of any two kinks if there is none."""
        if not self.kinks.size:
            return 0.0, 0.0
        ends = np.concatenate([[-np.inf], self.kinks, [np.inf]])
        first, last = self.kinks[[0, -1]]
        middles = 0.5 * self.kinks[1:] + 0.5 * self.kinks[:-1]
        inside = np.array([first - 1.0 - abs(first), *middles, last + 1.0 + abs(last)])
        vanishing = (self.activation(inside) == 0.0) & (self.activation.derivative(inside) == 0.0)
        intervals = np.column_stack([ends[:-1], ends[1:]])[vanishing]
        if intervals.size:
            distances = np.maximum(intervals[:, 0], -intervals[:, 1])
            low, high = intervals[np.argmin(distances)].tolist()
            return low, high
        if self.activation(np.zeros(1))[0] == 0.0:
            return 0.0, 0.0
        return np.inf, -np.inf

    @cached_property
    def _steepest(self) -> float:
        steps = np.maximum(2.0**-50 * np.abs(self.kinks), 1e-300)
        beside = np.concatenate([self.kinks - steps, self.kinks + steps])
        slopes = np.abs(self.activation.derivative(beside))
        return float(np.max(slopes[np.isfinite(slopes)], initial=1.0))
