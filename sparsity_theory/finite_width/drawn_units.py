"""Units that are drawn: phi and phi' of their pre-activations, and networks block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validation as check
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


def in_blocks(
    networks: int, size: int, seed: int | np.random.Generator
) -> list[tuple[int, np.random.Generator]]:
    """So many networks in blocks of ``size``, the last of the rest, each with its generator."""
    numbers = [min(size, networks - begun) for begun in range(0, networks, size)]
    rngs = check.generator(seed).spawn(len(numbers))
    return list(zip(numbers, rngs, strict=True))
