"""Quotients that are 0 where their denominator is."""

from __future__ import annotations

import numpy as np

from .._types import Number


def ratio_or_zero(part: Number, whole: Number) -> Number:
    """part / whole, elementwise, and 0 where whole is not positive: underflowed or empty."""
    if type(part) is float and type(whole) is float:
        return part / whole if whole > 0.0 else 0.0
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0.0)
