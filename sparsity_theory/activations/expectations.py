"""What a mean field needs of an activation: a protocol of Gaussian expectations."""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .._types import Array, FloatLike
from .._validation import shown


class GaussianExpectations(Protocol):
    """What a mean field needs of an activation phi: expectations of phi(sqrt(q) z), z ~ N(0, 1)."""

    def __call__(self, x: FloatLike) -> Array:
        """phi(x)."""

    def derivative(self, x: FloatLike) -> Array:
        """phi'(x)."""

    def sparsity(self, q: FloatLike = 1.0) -> Array:
        """P(phi = 0)."""

    def dead_zone(self) -> tuple[Array, Array]:
        """The ends of an interval on which phi = 0, where units are inactive."""

    def take(self, index: NDArray[np.intp], shape: tuple[int, ...]) -> GaussianExpectations:
        """The activations at these indices of the batch of parameters, flattened."""

    def scales(self) -> tuple[float, float]:
        """The sizes of the smallest and the largest kink except zero."""

    def mean(self, q: Array) -> Array:
        """E phi."""

    def mean_square(self, q: Array) -> Array:
        """E phi^2."""

    def mean_fourth_power(self, q: Array) -> Array:
        """E phi^4."""

    def mean_square_slope(self, q: Array) -> Array:
        """The derivative in q of E phi^2."""

    def mean_square_curvature(self, q: Array) -> Array:
        """The second derivative in q of E phi^2."""

    def mean_derivative_power(self, q: Array, power: int) -> Array:
        """E phi'^power."""

    def edge_deficit(self, q: Array) -> Array:
        """q E phi'^2 - E phi^2."""

    def mean_product(self, rho: Array, q: Array) -> Array:
        """E phi(u1) phi(u2) for two inputs with variance q and correlation rho."""

    def mean_product_between(self, rho: Array, q1: Array, q2: Array) -> Array:
        """E phi(u1) phi(u2) for two inputs with variances q1 and q2 and correlation rho."""

    def mean_product_of_derivatives(self, rho: Array, q: Array) -> Array:
        """E phi'(u1) phi'(u2) for two inputs with variance q and correlation rho."""

    def mean_product_gap(self, gap: Array, q: Array) -> Array:
        """E phi^2 - E phi(u1) phi(u2) for two inputs with variance q and correlation 1 - gap."""


def check_activation(activation: GaussianExpectations) -> None:
    """Check that an activation has the methods of `GaussianExpectations`.

    Raises:
        ValueError: if it has not, as a plain function or a name.
    """
    if _has_expectations(type(activation)) or (
        not isinstance(activation, type) and not _missing(activation)
    ):
        return
    raise ValueError(
        "activation must have the methods of GaussianExpectations, as st.ClippedReLU(tau, m) has "
        "and st.Activation(function, derivative) gives to a plain function, "
        f"got {shown(activation)}"
    )


def shape_of(activation: GaussianExpectations) -> tuple[int, ...]:
    """The shape that an activation's parameters broadcast to."""
    return np.shape(activation(0.0))


@cache
def _has_expectations(kind: type) -> bool:
    return not _missing(kind)


def _missing(found: object) -> set[str]:
    """The methods of `GaussianExpectations` that an object or a class does not have."""
    needed = (name for name, value in vars(GaussianExpectations).items() if callable(value))
    return {name for name in needed if name[0] != "_" and not hasattr(found, name)}
