"""phi and phi' at drawn pre-activations, which explode where a network does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._types import Array

if TYPE_CHECKING:
    from ..activations.expectations import GaussianExpectations


def values_and_slopes(phi: GaussianExpectations, h: Array) -> tuple[Array, Array]:
    """phi(h) and phi'(h).

    Raises:
        ValueError: where one is NaN: everything that is drawn from there on would be.
    """
    values, slopes = phi(h), phi.derivative(h)
    for name, found in (("phi", values), ("phi'", slopes)):
        if np.isnan(found).any():
            at = h[np.isnan(found)][0]
            raise ValueError(
                f"activation must be a number everywhere, got {name} = NaN at {at:.6g} of {phi!r}: "
                "variances explode in some networks; write it so that nothing overflows, for "
                "example 1 / (1 + exp(-x)) as scipy.special.expit(x)"
            )
    return values, slopes
