"""Array types shared by the package."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
"""A float64 array of any shape, 0-d included."""

FloatLike: TypeAlias = Any
"""Anything that ``numpy.asarray(..., dtype=float)`` accepts: a number, a sequence, an array."""


def plain(value: Array) -> object:
    """A number for a 0-d array, the array otherwise: for printing."""
    return value.item() if value.ndim == 0 else value
