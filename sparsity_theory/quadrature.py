"""Activations given as functions: Gaussian expectations by quadrature, split at the kinks.

Panels of 16 Gauss-Legendre nodes are halved until the result settles, vectorized over points. For
two inputs the plane is turned by 45 degrees: their sum and difference are independent, and the
kinks of the product are straight lines that cross where the difference is zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import _validation as check
from ._types import Array, FloatLike

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_EDGES = np.array([-13.0, -9.0, -6.0, -4.0, -2.5, -1.2, 0.0, 1.2, 2.5, 4.0, 6.0, 9.0, 13.0])
_TOLERANCE = 1e-13
_MOST_HALVINGS = 7

# Along the sum of two inputs the inner integral bends where two kinks meet, over a few of these
# multiples of the spread of their difference.
_LAYER = np.array([-12.0, -6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0, 12.0])


class Activation:
    """Any activation, by its function, its derivative and the points where it has kinks.

    Args:
        function: phi, elementwise on float64 arrays of any shape.
        derivative: phi', likewise; its values at the kinks themselves do not matter.
        kinks: where phi or phi' is not smooth.

    Expectations agree with exact values to about 1e-10 relative to the integral of the absolute
    value, for functions whose mass lies within 13 standard deviations.

    Raises:
        ValueError: if function or derivative cannot be called, or a kink is not finite.
    """

    def __init__(
        self,
        function: Callable[[Array], Array],
        derivative: Callable[[Array], Array],
        kinks: FloatLike = (),
    ) -> None:
        for name, value in (("function", function), ("derivative", derivative)):
            if not callable(value):
                raise ValueError(f"{name} must be callable, got {value!r}")
        self._function, self._derivative = function, derivative
        self.kinks = np.unique(check.finite("kinks", kinks))

    def __repr__(self) -> str:
        return f"Activation({self._function!r}, kinks={self.kinks.tolist()})"

    def __call__(self, x: FloatLike) -> Array:
        """phi(x), elementwise."""
        return np.asarray(self._function(np.asarray(x, dtype=np.float64)), dtype=np.float64)

    def derivative(self, x: FloatLike) -> Array:
        """phi'(x), elementwise."""
        return np.asarray(self._derivative(np.asarray(x, dtype=np.float64)), dtype=np.float64)

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

    def mean_square_slope(self, q: Array) -> Array:
        """The derivative in q of E phi^2, E z phi phi' / sqrt(q)."""
        product = self._expectation(q, lambda x, z: z * self(x) * self.derivative(x))
        return product / np.sqrt(q)

    def mean_square_curvature(self, q: Array) -> Array:
        """The second derivative in q of E phi^2, E He_3(z) phi phi' / (2 q^(3/2))."""
        product = self._expectation(
            q, lambda x, z: z * (z * z - 3.0) * self(x) * self.derivative(x)
        )
        return product / (2.0 * q * np.sqrt(q))

    def mean_derivative_power(self, q: Array, power: int) -> Array:
        """E phi'^power."""
        return self._expectation(q, lambda x, z: self.derivative(x) ** power)

    def edge_deficit(self, q: Array) -> Array:
        """q E phi'^2 - E phi^2.

        With phi = c_0 + c_1 z + psi, the first two terms of the Hermite series, this is
        q E psi'^2 - E psi^2 - c_0^2, and E psi^2 is at most half of q E psi'^2.
        """
        mean = self.mean(q)
        slope = self._expectation(q, lambda x, z: self.derivative(x))
        bend = self._expectation(q, lambda x, z: (self.derivative(x) - slope[..., None]) ** 2)
        rest = self._expectation(
            q, lambda x, z: (self(x) - mean[..., None] - slope[..., None] * x) ** 2
        )
        return q * bend - rest - mean**2

    def mean_product(self, rho: Array, q: Array) -> Array:
        """E phi(u1) phi(u2)."""
        return self._product(lambda x, y: self(x) * self(y), 1.0 - rho, q)

    def mean_product_of_derivatives(self, rho: Array, q: Array) -> Array:
        """E phi'(u1) phi'(u2)."""
        return self._product(lambda x, y: self.derivative(x) * self.derivative(y), 1.0 - rho, q)

    def mean_product_gap(self, gap: Array, q: Array) -> Array:
        """E phi^2 - E phi(u1) phi(u2) = E (phi(u1) - phi(u2))^2 / 2."""
        return self._product(lambda x, y: 0.5 * (self(x) - self(y)) ** 2, gap, q)

    def _expectation(self, q: Array, integrand: Callable[[Array, Array], Array]) -> Array:
        """E integrand(sqrt(q) z, z), in the shape of q."""
        root = np.sqrt(q)[..., None]
        return expectation(lambda z: integrand(root * z, z), self.kinks / root)

    def _product(self, integrand: Callable[[Array, Array], Array], gap: Array, q: Array) -> Array:
        return product_expectation(integrand, self.kinks, *np.broadcast_arrays(gap, q))


def product_expectation(
    integrand: Callable[[Array, Array], Array], kinks: Array, gap: Array, q: Array
) -> Array:
    """E integrand(u1, u2) for normal u1, u2 of variance q and correlation 1 - gap.

    Args:
        integrand: smooth except where one of its arguments is a kink.
        kinks: shape (k,).
        gap: in [0, 2], any shape.
        q: positive, of the same shape.
    """
    common = np.sqrt(q * (1.0 - 0.5 * gap))  # of u1 + u2, halved
    spread = np.sqrt(q * 0.5 * gap)  # of u1 - u2, halved
    result = np.empty(gap.shape)
    for point in np.ndindex(gap.shape):
        result[point] = _product_at(integrand, kinks, float(common[point]), float(spread[point]))
    return result


def _product_at(
    integrand: Callable[[Array, Array], Array], kinks: Array, common: float, spread: float
) -> float:
    meetings = 0.5 * (kinks[:, None] + kinks).ravel()
    layers = (meetings[:, None] + spread * _LAYER).ravel()

    def inner(x: Array) -> Array:
        centre = common * x.ravel()[:, None]
        crossings = _over(np.concatenate([kinks - centre, centre - kinks], axis=1), spread)
        values = expectation(
            lambda y: integrand(centre + spread * y, centre - spread * y), crossings
        )
        return values.reshape(x.shape)

    return float(expectation(inner, _over(layers[None, :], common))[0])


def _over(x: Array, scale: float) -> Array:
    """x / scale, and zeros where the scale is zero: no break is needed there."""
    return x / scale if scale > 0.0 else np.zeros_like(x)


def expectation(integrand: Callable[[Array], Array], breaks: Array) -> Array:
    """E integrand(z), z ~ N(0, 1).

    Args:
        integrand: takes z of shape (*points, nodes) and returns the same shape.
        breaks: where the integrand is not smooth, shape (*points, any number).

    Returns:
        Shape (*points,).

    Raises:
        ValueError: if the integrand is not finite somewhere within 13 standard deviations.
    """
    fixed = np.broadcast_to(_EDGES, (*breaks.shape[:-1], _EDGES.size))
    edges = np.sort(np.concatenate([fixed, np.clip(breaks, _EDGES[0], _EDGES[-1])], axis=-1))
    coarse, _ = _composite(integrand, edges)
    for _ in range(_MOST_HALVINGS):
        edges = _halved(edges)
        fine, size = _composite(integrand, edges)
        if np.all(np.abs(fine - coarse) <= _TOLERANCE * size):
            break
        coarse = fine
    return fine


def _halved(edges: Array) -> Array:
    halved = np.empty((*edges.shape[:-1], 2 * edges.shape[-1] - 1))
    halved[..., ::2] = edges
    halved[..., 1::2] = 0.5 * (edges[..., 1:] + edges[..., :-1])
    return halved


def _composite(integrand: Callable[[Array], Array], edges: Array) -> tuple[Array, Array]:
    """The integral over all panels, and the integral of the absolute value."""
    half_width = 0.5 * np.diff(edges)[..., None]
    middle = 0.5 * (edges[..., 1:] + edges[..., :-1])[..., None]
    z = (middle + half_width * _NODES).reshape(*edges.shape[:-1], -1)
    weights = (half_width * _WEIGHTS).reshape(z.shape) * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    values = integrand(z)
    if not np.all(np.isfinite(values)):
        raise ValueError("the activation or its derivative is not finite where it is integrated")
    return (weights * values).sum(axis=-1), (weights * np.abs(values)).sum(axis=-1)
