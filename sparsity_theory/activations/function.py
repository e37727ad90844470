"""Activations given as functions: Gaussian expectations by quadrature, split at the kinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _validation as check
from .._types import Array, FloatLike, scalar_or_array
from .._values import Value
from ..numerics.quadrature import (
    FARTHEST,
    NODES,
    WEIGHTS,
    QuadratureError,
    expectation,
    product_expectation,
)
from .derivative import check_derivative
from .features import Features, find_features
from .jumps import Jumps

# Where arguments are closer than the first, and values than the second relative to their size, the
# difference of values would lose digits.
_CLOSE, _EQUAL = 1e-3, 1e-2
# Of q E phi'^2: a smaller deficit, of either sign, is the rounding of expectations, and zero.
_DEFICIT_ROUNDING = 1e-13
# Panels of a standard deviation, where the law of phi'^2 is wanted.
_PANELS, _LEAST_SLOPE = 4, 1e-70
# Features are looked for at least this far, in the largest kink or 1.
_REACH = 64.0


class Activation(Value):
    """Any activation, by its function, its derivative and the points where it has kinks.

    Args:
        function: phi, elementwise on float64 arrays of any shape.
        derivative: phi', likewise; its values at the kinks themselves do not matter.
        kinks: where phi or phi' is not smooth, or phi jumps.

    Expectations agree with exact values to about 1e-10 relative to the integral of the absolute
    value, for functions whose mass lies within 13 standard deviations; where the estimated error is
    larger they raise a ``ValueError``. Fast changes are found (`find_features`) at zero and at the
    kinks, and elsewhere if phi is not the same on both sides: list the place of a narrow bump.

    The function may jump, at kinks or not. The derivatives of its expectations then have the terms
    of its jumps, and E phi'^2, with it chi and R'(1), is infinite: it has no edge of chaos. Where
    jumps cannot be told, since phi changes too often or phi' is not exactly its derivative, V',
    V'', chi, R' and the edge of chaos raise a ``ValueError``.

    Function and derivative are compared by `check_derivative`, as a wrong derivative would give
    wrong slopes of every map.

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
        return _elementwise(self._function, x)

    def derivative(self, x: FloatLike) -> Array:
        """phi'(x), elementwise."""
        return _elementwise(self._derivative, x)

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

    def mean_square_slope(self, q: Array) -> Array:
        """The derivative in q of E phi^2: E z phi phi' / sqrt(q), and a term for every jump."""
        jumps = self._jumps(q)
        product = self._expectation(q, lambda x, z: z * self(x) * self.derivative(x))
        return product / np.sqrt(q) + 0.5 * jumps.of_square(q, lambda a: a) / q

    def mean_square_curvature(self, q: Array) -> Array:
        """The second derivative in q of E phi^2: E He_3(z) phi phi' / (2 q^(3/2)), and jumps."""
        jumps = self._jumps(q)
        product = self._expectation(
            q, lambda x, z: z * (z * z - 3.0) * self(x) * self.derivative(x)
        )
        of_jumps = jumps.of_square(q, lambda a: a * (a * a - 3.0))
        return 0.5 * product / np.sqrt(q) / q + 0.25 * of_jumps / q / q

    def mean_derivative_power(self, q: Array, power: int) -> Array:
        """E phi'^power for a power above 1: infinite if phi jumps."""
        if self._jumps(q).at.size:
            return np.full(np.shape(q), np.inf)
        return self._expectation(q, lambda x, z: self.derivative(x) ** power)

    def squared_slopes(self, q: Array) -> tuple[Array, Array]:
        """A law close to that of phi'(sqrt(q) z)^2 for a single q: values and masses.

        That of a quadrature with panels of a quarter of a standard deviation, split at kinks and
        fast changes; values ascend. Those below 1e-140 of the largest, but not zero, are that.
        """
        breaks = np.concatenate([self.kinks, self._marks(q)]) / np.sqrt(q)
        steps = np.linspace(-FARTHEST, FARTHEST, int(2 * FARTHEST * _PANELS) + 1)
        edges = np.unique(np.concatenate([steps, np.clip(breaks, -FARTHEST, FARTHEST)]))
        widths = np.diff(edges)[:, None]
        z = edges[:-1, None] + widths * NODES
        masses = widths * WEIGHTS * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
        slopes = np.abs(self.derivative(np.sqrt(q) * z)).ravel()
        least = _LEAST_SLOPE * np.max(slopes)
        squares = np.where(slopes == 0.0, 0.0, np.maximum(slopes, least) ** 2)
        order = np.argsort(squares)
        return squares[order], masses.ravel()[order]

    def edge_deficit(self, q: Array) -> Array:
        """q E phi'^2 - E phi^2.

        With phi = c_0 + c_1 z + psi, the first two terms of the Hermite series, this is
        q E psi'^2 - E psi^2 - c_0^2, and E psi^2 is at most half of q E psi'^2. It is infinite if
        phi jumps.
        """
        q = np.asarray(q)
        if self._jumps(q).at.size:
            return np.full(q.shape, np.inf)
        return np.array([self._edge_deficit(np.asarray(point)) for point in q.flat]).reshape(
            q.shape
        )

    def _edge_deficit(self, q: Array) -> Array:
        mean = self.mean(q)
        slope = self._expectation(q, lambda x, z: self.derivative(x))
        slope_rest = self._expectation(q, lambda x, z: (self.derivative(x) - slope) ** 2)
        rest = self._expectation(q, lambda x, z: (self(x) - mean - slope * x) ** 2)
        deficit = q * slope_rest - rest - mean**2
        scale = q * (slope_rest + slope**2)  # q E phi'^2
        return np.where(np.abs(deficit) <= _DEFICIT_ROUNDING * scale, 0.0, deficit)

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
        with self._named(max(q1, q2)):
            return product_expectation(
                lambda x, d: self(root1 * (x + d)) * self(root2 * (x - d)),
                (self.kinks / root1, self.kinks / root2),
                np.sqrt(0.5 * (1.0 + rho)),
                np.sqrt(0.5 * (1.0 - rho)),
                (self._marks(q1) / root1, self._marks(q2) / root2),
            )

    def mean_product_of_derivatives(self, rho: Array, q: Array) -> Array:
        """E phi'(u1) phi'(u2): infinite at correlation 1 if phi jumps."""
        jumps = self._jumps(q)
        smooth = self._product(
            lambda x, d: self.derivative(x + d) * self.derivative(x - d), 1.0 - rho, q
        )
        if jumps.at.size == 0:
            return smooth
        rho, q = np.broadcast_arrays(rho, q)
        of_jumps = np.empty(rho.shape)
        for place in np.ndindex(rho.shape):
            of_jumps[place] = self._slopes_at_jumps(float(rho[place]), float(q[place]), jumps)
        return smooth + of_jumps

    def _slopes_at_jumps(self, rho: float, q: float, jumps: Jumps) -> float:
        """What jumps add to E phi'(u1) phi'(u2): of one of the two with phi', and of both."""
        mean = rho * jumps.at
        spread = np.sqrt(q * (1.0 - rho) * (1.0 + rho))
        ends = np.concatenate([self.kinks, self._marks(q)])

        def slope(z: Array, jump: NDArray[np.intp]) -> Array:
            return self.derivative(mean[jump, None] + spread * z)

        breaks = (ends - mean[:, None]) / spread if spread > 0.0 else np.zeros((mean.size, 1))
        with self._named(q):
            other = expectation(slope, breaks)
        of_one = 2.0 * float(np.sum(jumps.sizes * jumps.densities(q) * other))
        return of_one + jumps.of_pairs(rho, q)

    def mean_product_gap(self, gap: Array, q: Array) -> Array:
        """E phi^2 - E phi(u1) phi(u2) = E (phi(u1) - phi(u2))^2 / 2."""
        jumps = self._jumps(q)
        return self._product(lambda x, d: 0.5 * self._difference(x, d, jumps) ** 2, gap, q)

    def _difference(self, x: Array, d: Array, jumps: Jumps) -> Array:
        """phi(x + d) - phi(x - d), by integrating phi' where it is small beside phi."""
        ahead, behind = self(x + d), self(x - d)
        difference = ahead - behind
        equal = np.abs(difference) <= _EQUAL * np.maximum(np.abs(ahead), np.abs(behind))
        close = (np.abs(d) < _CLOSE) & equal
        near, half = x[close], np.abs(d[close])
        inner = np.clip(self.kinks[:, None] - near, -half, half)
        ends = np.sort(np.concatenate([-half[None], inner, half[None]]), axis=0)
        lengths = np.diff(ends, axis=0)[..., None]
        t = ends[:-1, :, None] + lengths * NODES
        slopes = self.derivative(near[:, None] + t)
        rise = (lengths * slopes * WEIGHTS).sum(axis=(0, 2))
        for at, size in zip(jumps.at, jumps.sizes, strict=True):
            rise = rise + np.where(np.abs(at - near) < half, size, 0.0)
        difference[close] = np.sign(d[close]) * rise
        return difference

    def _expectation(self, q: Array, integrand: Callable[[Array, Array], Array]) -> Array:
        """E integrand(sqrt(q) z, z), in the shape of q."""
        root = np.sqrt(np.ravel(q))

        def on_panels(z: Array, point: NDArray[np.intp]) -> Array:
            return integrand(root[point, None] * z, z)

        breaks = np.concatenate([self.kinks, self._marks(q)]) / root[:, None]
        with self._named(q):
            return expectation(on_panels, breaks).reshape(np.shape(q))

    def _product(self, integrand: Callable[[Array, Array], Array], gap: Array, q: Array) -> Array:
        gap, q = np.broadcast_arrays(gap, q)
        common = np.sqrt(q * (1.0 - 0.5 * gap))  # of (u1 + u2) / 2
        spread = np.sqrt(q * 0.5 * gap)  # of (u1 - u2) / 2
        result = np.empty(gap.shape)
        for place in np.ndindex(gap.shape):
            marks = self._marks(q[place])
            with self._named(q[place]):
                result[place] = product_expectation(
                    integrand,
                    (self.kinks, self.kinks),
                    float(common[place]),
                    float(spread[place]),
                    (marks, marks),
                )
        return result

    def _marks(self, q: FloatLike) -> Array:
        """Where panels should end at these variances, besides at the kinks."""
        return self._features(q).marks_for(np.sqrt(q))

    def _jumps(self, q: FloatLike) -> Jumps:
        """Where phi jumps, as far as variables of these variances come.

        Raises:
            ValueError: if that cannot be told.
        """
        features = self._features(q)
        if not features.searched:
            raise ValueError(
                f"{self!r} changes too often, or its derivative does not give its changes to a "
                "billionth, as in single precision or where it is NaN, so that it cannot be told "
                f"where it jumps at q = {_range(q)}"
            )
        return features.jumps

    def _features(self, q: FloatLike) -> Features:
        """Of phi, as far as variables of these variances come."""
        deviation = float(np.sqrt(np.max(q, initial=0.0)))
        size = max(1.0, float(np.max(np.abs(self.kinks), initial=0.0)))
        # Within powers of two, so that few searches serve all variances.
        reach = 2.0 ** np.ceil(np.log2(max(_REACH * size, FARTHEST * deviation)))
        if reach not in self._searches:
            self._searches[reach] = find_features(self, self.derivative, self.kinks, reach)
        return self._searches[reach]

    @cached_property
    def _searches(self) -> dict[float, Features]:
        """What was found, by how far it was looked for."""
        return {}

    @contextmanager
    def _named(self, q: FloatLike) -> Iterator[None]:
        """Errors of quadrature name the activation and its variances."""
        try:
            yield
        except QuadratureError as error:
            raise ValueError(f"{self!r} has no expectations at q = {_range(q)}: {error}") from error


def _elementwise(function: Callable[[Array], Array], x: FloatLike) -> Array:
    """The function's values at x in the shape of x, also if it gives one number for all."""
    points = check.real("x", x)
    if points.size == 0:  # np.vectorize takes none
        return points
    values = np.asarray(function(points.copy()), dtype=np.float64)  # it may write into them
    if values.shape != points.shape:
        values = np.broadcast_to(values, points.shape)
    return scalar_or_array(values)


def _range(q: FloatLike) -> str:
    least, most = f"{np.min(q):.6g}", f"{np.max(q):.6g}"
    return least if least == most else f"{least} to {most}"
