"""Checks of arguments: one clear ``ValueError`` naming the argument, its value, what is allowed."""

from __future__ import annotations

import math
import numbers
import reprlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from ._types import Array, FloatLike

_LARGEST_SIZE = int(np.iinfo(np.int64).max)
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = 60
_SHORT.maxother = 120


def shown(value: object) -> str:
    """``value`` in one line, shortened, for a message."""
    if isinstance(value, np.ndarray) and value.size > _SHORT.maxlist:
        return f"an array of shape {value.shape}"
    return " ".join(_SHORT.repr(value).split())


def _checked(name: str, value: FloatLike, allowed: str, holds: Callable[[Any], Any]) -> Array:
    """``value`` as an array, if it is finite and in an interval: its ends are enough to tell."""
    if isinstance(value, float) and math.isfinite(value) and holds(value):
        return np.array(value)
    array = _numbers(name, value, allowed)
    ends = (array.min(), array.max()) if array.size else ()
    if not all(math.isfinite(end) and holds(end) for end in ends):
        valid = np.isfinite(array) & holds(array)
        raise ValueError(f"{name} must be {allowed}, got {float(array[~valid].flat[0])!r}")
    return array


def _numbers(name: str, value: FloatLike, allowed: str) -> Array:
    """``value`` as a float64 array, if it is a real number or an array of real numbers."""
    try:
        array = np.asarray(value)
        masked = isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value)
        if not masked and (array.dtype.kind in "fiu" or _holds_real_numbers(array)):
            return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(_no_number(name, value, allowed)) from error
    if masked:
        raise ValueError(f"{name} must have no masked entries, got {shown(value)}")
    raise ValueError(_no_number(name, value, allowed))


def _holds_real_numbers(array: np.ndarray) -> bool:
    """Whether all entries are real numbers of Python, such as fractions and large integers."""
    return array.dtype.kind == "O" and all(
        isinstance(entry, numbers.Real | Decimal) and not isinstance(entry, bool)
        for entry in array.flat
    )


def _no_number(name: str, value: object, allowed: str) -> str:
    return f"{name} must be {allowed}, a number or an array of numbers, got {shown(value)}"


def real(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array; infinities and NaN are allowed."""
    if type(value) is np.ndarray and value.dtype == np.float64:
        return value
    return _numbers(name, value, "real")


def finite(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it finite."""
    return _checked(name, value, "finite", lambda x: True)


def positive(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it positive and finite."""
    return _checked(name, value, "positive and finite", lambda x: x > 0)


def nonnegative(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it at least zero and finite."""
    return _checked(name, value, "nonnegative and finite", lambda x: x >= 0)


def fraction(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it strictly between 0 and 1."""
    return _checked(name, value, "strictly between 0 and 1", lambda x: (x > 0) & (x < 1))


def share(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it in [0, 1]."""
    return _checked(name, value, "in [0, 1]", lambda x: (x >= 0) & (x <= 1))


def correlation(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it in [-1, 1]."""
    return _checked(name, value, "in [-1, 1]", lambda x: abs(x) <= 1)


def gap(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it in [0, 2]."""
    return _checked(name, value, "in [0, 2]", lambda x: (x >= 0) & (x <= 2))


def single(name: str, value: Array) -> float:
    """The one number in ``value``."""
    if value.ndim != 0:
        raise ValueError(f"{name} must be a single number, got shape {value.shape}")
    return float(value)


def together(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that arguments of these shapes broadcast."""
    if len(set(shapes.values()) - {()}) < 2:
        return
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        *names, last = shapes
        *sizes, size_of_last = map(str, shapes.values())
        raise ValueError(
            f"{', '.join(names)} and {last} must have shapes that broadcast, "
            f"got {', '.join(sizes)} and {size_of_last}"
        ) from None


def parameter(value: Array) -> Array:
    """A read-only copy of a checked array, which no later change of the caller's can reach."""
    copied = np.array(value)
    copied.setflags(write=False)
    return copied


def count(name: str, value: int, least: int = 1) -> int:
    """``value`` as an int of at least ``least``."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.timedelta64))
    if not whole or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {shown(value)}")
    return int(value)


def size(name: str, value: int, least: int = 1) -> int:
    """``value`` as a `count` that an array may have as its length."""
    checked = count(name, value, least)
    if checked > _LARGEST_SIZE:
        raise ValueError(f"{name} must be at most {_LARGEST_SIZE}, got {shown(value)}")
    return checked


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """The random numbers that ``seed`` stands for."""
    return (
        seed
        if isinstance(seed, np.random.Generator)
        else np.random.default_rng(count("seed", seed, least=0))
    )
