"""Floating-point formats: rounding, neighbours and ulps, in NumPy alone.

Numbers of every format are kept as float64, which represents all of them exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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

    def ulp(self, x: Array) -> Array:
        """The distance from |x| to the next number away from zero."""
        _, exponent = np.frexp(np.asarray(x, dtype=np.float64))
        return np.asarray(np.ldexp(1.0, np.maximum(exponent - 1, self.lowest) - self.bits))

    def rounded(self, x: Array) -> Array:
        """The nearest number of the format, ties to even; beyond its range the largest one."""
        x = np.asarray(x, dtype=np.float64)
        ulp = self.ulp(x)
        return np.clip(np.rint(x / ulp) * ulp, -self.largest, self.largest)

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
