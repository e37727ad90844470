"""Activations given as functions: Gaussian expectations by quadrature, split at the kinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _validation as check
from .._types import Array, FloatLike
from .._values import Value
from ..numerics.quadrature import NODES, WEIGHTS, expectation, product_expectation
from .derivative import check_derivative

# Closer arguments than this have nearly equal values, whose difference would lose digits.
_CLOSE = 1e-3
# A function jumps at a kink where most of its change over a distance on both sides happens within a
# thousandth of that distance, beyond rounding.
_NEAR, _NEARER, _NOISE = 1e-6, 1e-3, 1e-9


class Activation(Value):
    """Any activation, by its function, its derivative and the points where it has kinks.

    Args:
        function: phi, elementwise on float64 arrays of any shape.
        derivative: phi', likewise; its values at the kinks themselves do not matter.
        kinks: where phi or phi' is not smooth. If phi jumps at one, what needs phi' is refused: V',
            V'', chi, R', the gap and the edge of chaos.

    Expectations agree with exact values to about 1e-10 relative to the integral of the absolute
    value, for functions whose mass lies within 13 standard deviations.

    Both are compared with each other by `check_derivative`, as a wrong derivative would give wrong
    slopes of every map.

    Raises:
        ValueError: if function or derivative cannot be called with an array or gives another shape,
            if a kink is not finite, or if the derivative is not that of the function.
    """

    kinks: Array
    _function: Callable[[Array], Array]
    _derivative: Callable[[Array], Array]

    def __init__(
        self,
        function: Callable[[Array], Array],
        derivative: Callable[[Array], Array],
        kinks: FloatLike = (),
    ) -> None:
        for name, value in (("function", function), ("derivative", derivative)):
            if not callable(value):
                raise ValueError(f"{name} must be callable, got {check.shown(value)}")
        points = np.unique(check.finite("kinks", kinks))
        check_derivative(function, derivative, max(1.0, float(np.max(np.abs(points), initial=0.0))))
        self._set(function, derivative, points)

    def _set(
        self,
        function: Callable[[Array], Array],
        derivative: Callable[[Array], Array],
        kinks: Array,
    ) -> None:
        self._keep(_function=function, _derivative=derivative, kinks=kinks)

    def _parameters(self) -> dict[str, Any]:
        return {"function": self._function, "derivative": self._derivative, "kinks": self.kinks}

    def __call__(self, x: FloatLike) -> Array:
        """phi(x), elementwise."""
        return np.asarray(self._function(np.asarray(x, dtype=np.float64)), dtype=np.float64)

    def derivative(self, x: FloatLike) -> Array:
        """phi'(x), elementwise."""
        return np.asarray(self._derivative(np.asarray(x, dtype=np.float64)), dtype=np.float64)

    def scales(self) -> tuple[float, float]:
        """The sizes of the smallest and the largest kink except zero, and 0.01 and 100."""
        sizes = np.abs(self.kinks[self.kinks != 0.0])
        return min([0.01, *sizes.tolist()]), max([100.0, *sizes.tolist()])

    def dead_zone(self) -> tuple[Array, Array]:
        """The empty interval from 0 to 0, as none on which phi = 0 is known."""
        return np.zeros(()), np.zeros(())

    def take(self, index: NDArray[np.intp], shape: tuple[int, ...]) -> Activation:
        """The same activation at every index: a function has no parameters."""
        return self

    def sparsity(self, q: FloatLike = 1.0) -> Array:
        """The expected share of zeros, P(phi(Z) = 0) for Z ~ N(0, q) (Eqs. 12, 56).

        Intervals on which phi vanishes must end at kinks.
        """
        return self._expectation(
            check.positive("q", q), lambda x, z: (self(x) == 0.0).astype(float)
        )

    def mean(self, q: Array) -> Array:
        """E phi."""
        return self._expectation(q, lambda x, z: self(x))

    def mean_square(self, q: Array) -> Array:
        """E phi^2."""
        return self._expectation(q, lambda x, z: self(x) ** 2)

    def mean_fourth_power(self, q: Array) -> Array:
        """E phi^4."""
        return self._expectation(q, lambda x, z: self(x) ** 4)

    def _refuse_jumps(self) -> None:
        """Raise ``ValueError`` if the function jumps at a kink: phi' does not have the jump."""
        if self.kinks.size == 0:
            return
        far = _NEAR * np.where(self.kinks == 0.0, 1.0, np.abs(self.kinks))
        rise, change = (self._change_over(distance) for distance in (_NEARER * far, far))
        jumps = (rise > 0.5 * change) & (rise > _NOISE * np.abs(self(self.kinks + far)))
        if np.any(jumps):
            raise ValueError(
                f"the function must be continuous where its derivative is needed (V', V'', chi, R' "
                f"and the edge of chaos), and it jumps at {float(self.kinks[jumps][0])!r}; its "
                "variance map and correlation map are there, and its chi_1 is infinite"
            )

    def _change_over(self, distance: Array) -> Array:
        """|phi(k + distance) - phi(k - distance)| at every kink k."""
        return np.asarray(np.abs(self(self.kinks + distance) - self(self.kinks - distance)))

    def mean_square_slope(self, q: Array) -> Array:
        """The derivative in q of E phi^2, E z phi phi' / sqrt(q)."""
        self._refuse_jumps()
        product = self._expectation(q, lambda x, z: z * self(x) * self.derivative(x))
        return product / np.sqrt(q)

    def mean_square_curvature(self, q: Array) -> Array:
        """The second derivative in q of E phi^2, E He_3(z) phi phi' / (2 q^(3/2))."""
        self._refuse_jumps()
        product = self._expectation(
            q, lambda x, z: z * (z * z - 3.0) * self(x) * self.derivative(x)
        )
        return 0.5 * product / np.sqrt(q) / q

    def mean_derivative_power(self, q: Array, power: int) -> Array:
        """E phi'^power."""
        self._refuse_jumps()
        return self._expectation(q, lambda x, z: self.derivative(x) ** power)

    def edge_deficit(self, q: Array) -> Array:
        """q E phi'^2 - E phi^2.

        With phi = c_0 + c_1 z + psi, the first two terms of the Hermite series, this is
        q E psi'^2 - E psi^2 - c_0^2, and E psi^2 is at most half of q E psi'^2.
        """
        self._refuse_jumps()
        q = np.asarray(q)
        return np.array([self._edge_deficit(np.asarray(point)) for point in q.flat]).reshape(
            q.shape
        )

    def _edge_deficit(self, q: Array) -> Array:
        mean = self.mean(q)
        slope = self._expectation(q, lambda x, z: self.derivative(x))
        slope_rest = self._expectation(q, lambda x, z: (self.derivative(x) - slope) ** 2)
        rest = self._expectation(q, lambda x, z: (self(x) - mean - slope * x) ** 2)
        return q * slope_rest - rest - mean**2

    def mean_product(self, rho: Array, q: Array) -> Array:
        """E phi(u1) phi(u2)."""
        return self._product(lambda x, d: self(x + d) * self(x - d), 1.0 - rho, q)

    def mean_product_between(self, rho: Array, q1: Array, q2: Array) -> Array:
        """E phi(u1) phi(u2) for u1 of variance q1 and u2 of variance q2."""
        rho, q1, q2 = np.broadcast_arrays(rho, q1, q2)
        result = np.empty(rho.shape)
        for place in np.ndindex(rho.shape):
            result[place] = self._product_between(*(float(x[place]) for x in (rho, q1, q2)))
        return result

    def _product_between(self, rho: float, q1: float, q2: float) -> float:
        root1, root2 = np.sqrt(q1), np.sqrt(q2)
        return product_expectation(
            lambda x, d: self(root1 * (x + d)) * self(root2 * (x - d)),
            (self.kinks / root1, self.kinks / root2),
            np.sqrt(0.5 * (1.0 + rho)),
            np.sqrt(0.5 * (1.0 - rho)),
        )

    def mean_product_of_derivatives(self, rho: Array, q: Array) -> Array:
        """E phi'(u1) phi'(u2)."""
        self._refuse_jumps()
        return self._product(
            lambda x, d: self.derivative(x + d) * self.derivative(x - d), 1.0 - rho, q
        )

    def mean_product_gap(self, gap: Array, q: Array) -> Array:
        """E phi^2 - E phi(u1) phi(u2) = E (phi(u1) - phi(u2))^2 / 2."""
        self._refuse_jumps()
        return self._product(lambda x, d: 0.5 * self._difference(x, d) ** 2, gap, q)

    def _difference(self, x: Array, d: Array) -> Array:
        """phi(x + d) - phi(x - d), by integrating phi' where d is small."""
        difference = self(x + d) - self(x - d)
        close = np.abs(d) < _CLOSE
        near, half = x[close], np.abs(d[close])
        inner = np.clip(self.kinks[:, None] - near, -half, half)
        ends = np.sort(np.concatenate([-half[None], inner, half[None]]), axis=0)
        lengths = np.diff(ends, axis=0)[..., None]
        t = ends[:-1, :, None] + lengths * NODES
        slopes = self.derivative(near[:, None] + t)
        rise = (lengths * slopes * WEIGHTS).sum(axis=(0, 2))
        difference[close] = np.sign(d[close]) * rise
        return difference

    def _expectation(self, q: Array, integrand: Callable[[Array, Array], Array]) -> Array:
        """E integrand(sqrt(q) z, z), in the shape of q."""
        root = np.sqrt(np.ravel(q))

        def on_panels(z: Array, point: NDArray[np.intp]) -> Array:
            return integrand(root[point, None] * z, z)

        return expectation(on_panels, self.kinks / root[:, None]).reshape(np.shape(q))

    def _product(self, integrand: Callable[[Array, Array], Array], gap: Array, q: Array) -> Array:
        gap, q = np.broadcast_arrays(gap, q)
        common = np.sqrt(q * (1.0 - 0.5 * gap))  # of (u1 + u2) / 2
        spread = np.sqrt(q * 0.5 * gap)  # of (u1 - u2) / 2
        result = np.empty(gap.shape)
        for place in np.ndindex(gap.shape):
            result[place] = product_expectation(
                integrand, (self.kinks, self.kinks), float(common[place]), float(spread[place])
            )
        return result
