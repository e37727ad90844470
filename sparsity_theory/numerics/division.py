"""Quotients that are 0 where their denominator is."""

from __future__ import annotations

import numpy as np

from .._types import Array


def ratio_or_zero(part: Array, whole: Array) -> Array:
    """part / whole, elementwise, and 0 where whole is not positive: underflowed or empty."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0.0)
