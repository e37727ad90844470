"""Floating-point formats: rounding, neighbours and ulps, in NumPy alone.

Numbers of every format are kept as float64, which represents all of them exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._types import Array


@dataclass(frozen=True)
class Format:
    """A binary format: its bits of significand and its range of exponents.

    Attributes:
        name: its name in array libraries.
        bits: stored bits of the significand: an ulp of 1 is 2^-bits.
        lowest: exponent of the smallest normal number.
        highest: exponent of the largest finite number.
    """

    name: str
    bits: int
    lowest: int
    highest: int

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2.0 - 2.0**-self.bits) * 2.0**self.highest

    @property
    def smallest_normal(self) -> float:
        """The smallest number with a full significand; smaller ones are subnormal."""
        return float(2.0**self.lowest)

    @property
    def smallest(self) -> float:
        """The smallest positive number, even where arithmetic flushes it to zero."""
        lowest = self.lowest - self.bits
        return float(2.0**lowest if lowest > -1074 else np.nextafter(0.0, 1.0))

    def ulp(self, x: Array) -> Array:
        """The distance from |x| to the next number away from zero; at 0 the smallest number."""
        x = np.asarray(x, dtype=np.float64)
        _, exponent = np.frexp(x)
        exponent = np.where(np.abs(x) < self.smallest_normal, self.lowest, exponent - 1)
        return np.asarray(np.ldexp(1.0, exponent - self.bits))

    def rounded(self, x: Array) -> Array:
        """The nearest number of the format, ties to even; beyond its range the largest one."""
        x = np.asarray(x, dtype=np.float64)
        if self.bits < 52:  # doubles are kept as they are
            ulp = self.ulp(x)
            x = np.rint(x / ulp) * ulp
        return np.clip(x, -self.largest, self.largest)

    def is_subnormal(self, x: Array) -> NDArray[np.bool_]:
        """Whether x is subnormal, judged by its bits: comparisons may take subnormals for zero."""
        x = np.asarray(x, dtype=np.float64)
        nonzero = x.view(np.uint64) << np.uint64(1) != 0
        return np.asarray(nonzero & (np.abs(x) < self.smallest_normal))

    def around(self, x: Array, steps: int) -> Array:
        """The numbers up to ``steps`` ulps from the number nearest to any x, flattened."""
        centre = self.rounded(np.atleast_1d(x))
        half_steps = np.arange(-2 * steps, 2 * steps + 1) / 2  # below a power of two they are whole
        offsets = half_steps[:, None] * self.ulp(centre)
        return np.unique(self.rounded(centre + offsets))


FORMATS = {
    each.name: each
    for each in (
        Format("float64", 52, -1022, 1023),
        Format("float32", 23, -126, 127),
        Format("float16", 10, -14, 15),
        Format("bfloat16", 7, -126, 127),
    )
}
