"""Array types shared by the package."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
"""A float64 array of any shape.

Without axes it may be the scalar ``np.float64`` that NumPy's arithmetic makes of an array without
axes: a float that has an array's attributes, ``shape`` and indexing by ``...`` among them.
"""

Number: TypeAlias = Any
"""A ``float`` or a float64 array, in formulas that are written once for both."""

FloatLike: TypeAlias = Any
"""A real number, a sequence or an array of them, of any type but bool: converted to float64."""

Parameter: TypeAlias = float | Any
"""A parameter that an object keeps: a ``float``, or a read-only float64 array with axes.

``Any`` stands for the array, so that type checkers let a single parameter pass for the float it is.
"""


_Scalar = TypeVar("_Scalar", bound=np.generic)


def scalar_or_array(value: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """NumPy's scalar for an array without axes, as its arithmetic gives; the array otherwise."""
    result: NDArray[_Scalar] = value[()]
    return result


def plain(value: Array) -> Parameter:
    """A float for an array without axes, the array itself otherwise."""
    return value.item() if value.ndim == 0 else value
