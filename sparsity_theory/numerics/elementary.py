"""Functions of a float or of an array, for formulas that are written once for both.

A float stays a float of Python: its arithmetic takes a third of the time of NumPy's scalars, and a
hundredth of that of arrays without axes. Arrays are taken elementwise. NumPy and SciPy give the
values of both, so that a number and an array with that number in it have the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, Self, TypeVar, overload

import numpy as np
import scipy

from .._types import Number

_Result = TypeVar("_Result")


class once(Generic[_Result]):  # noqa: N801 - a decorator
    """A `functools.cached_property` without the lock that makes it slow on Python 3.11."""

    def __init__(self, compute: Callable[[Any], _Result]) -> None:
        self._compute, self.__doc__ = compute, compute.__doc__
        self._name = compute.__name__

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...

    @overload
    def __get__(self, owner: object, kind: type | None = None) -> _Result: ...

    def __get__(self, owner: Any, kind: type | None = None) -> Self | _Result:
        if owner is None:  # asked of the class, as `inspect` does
            return self
        value = owner.__dict__[self._name] = self._compute(owner)
        return value


def exp(x: Number) -> Number:
    """The exponential."""
    return float(np.exp(x)) if type(x) is float else np.exp(x)


def expm1(x: Number) -> Number:
    """The exponential less 1."""
    return float(np.expm1(x)) if type(x) is float else np.expm1(x)


def sqrt(x: Number) -> Number:
    """The square root of x >= 0."""
    return math.sqrt(x) if type(x) is float else np.sqrt(x)


def log(x: Number) -> Number:
    """The natural logarithm of x > 0."""
    return float(np.log(x)) if type(x) is float else np.log(x)


def erfcx(x: Number) -> Number:
    """exp(x^2) erfc(x)."""
    value = scipy.special.erfcx(x)
    return float(value) if type(x) is float else value


def smallest(x: Number) -> float:
    """The least entry, inf for none."""
    return x if type(x) is float else float(np.min(x, initial=np.inf))


def largest(x: Number) -> float:
    """The largest entry of x >= 0, 0 for none."""
    return x if type(x) is float else float(np.max(x, initial=0.0))


def quotient(x: Number, y: Number) -> Number:
    """x / y, infinite or NaN where y is 0."""
    return float(np.divide(x, y)) if type(x) is type(y) is float else np.divide(x, y)


def larger(x: float, y: Number) -> Number:
    """The larger of the two."""
    return max(x, y) if type(y) is float else np.maximum(x, y)


def scaled(factor: float, x: Number) -> Number:
    """factor x: x itself, not a copy, for the factor 1."""
    return x if factor == 1.0 else factor * x


def positive_part(x: Number) -> Number:
    """x where it is positive, else 0."""
    return max(x, 0.0) if type(x) is float else np.maximum(x, 0.0)


def clipped(x: Number, low: float, high: float) -> Number:
    """x, moved into [low, high]."""
    return min(max(x, low), high) if type(x) is float else np.clip(x, low, high)


def is_zero(x: Number) -> bool:
    """Whether all of x is 0."""
    return x == 0.0 if type(x) is float else not np.any(x)


def select(condition: Any, inside: Number, outside: Number) -> Number:
    """``inside`` where the condition holds, ``outside`` elsewhere."""
    if type(condition) is bool:
        return inside if condition else outside
    return np.where(condition, inside, outside)


def anywhere(condition: Any) -> bool:
    """Whether a condition holds for any entry."""
    return condition if type(condition) is bool else bool(np.any(condition))


def choose(condition: Any, inside: Callable[[], Number], outside: Callable[[], Number]) -> Number:
    """``inside()`` where the condition holds, ``outside()`` elsewhere; no more than is needed.

    Where it holds for a part of an array, both are evaluated for all of it.
    """
    if type(condition) is bool:
        return inside() if condition else outside()
    if condition.all():
        return inside()
    if not condition.any():
        return outside()
    return np.where(condition, inside(), outside())


def polynomial(coefficients: Sequence[float], x: Number) -> Number:
    """The polynomial in x with these coefficients, at least two, the constant first."""
    value = x * coefficients[-1]
    value += coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        value *= x
        value += coefficient
    return value
