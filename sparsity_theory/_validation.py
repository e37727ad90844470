"""Checks of arguments: one clear ``ValueError`` naming the argument, its value, what is allowed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ._types import Array, FloatLike


def _checked(
    name: str, value: FloatLike, allowed: str, holds: Callable[[Array], np.ndarray]
) -> Array:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be {allowed}, got {value!r}") from error
    valid = np.isfinite(array) & holds(array)
    if not np.all(valid):
        raise ValueError(f"{name} must be {allowed}, got {float(array[~valid].flat[0])!r}")
    return array


def finite(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it finite."""
    return _checked(name, value, "finite", np.isfinite)


def positive(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it positive and finite."""
    return _checked(name, value, "positive and finite", lambda x: x > 0)


def nonnegative(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it at least zero and finite."""
    return _checked(name, value, "nonnegative and finite", lambda x: x >= 0)


def fraction(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it strictly between 0 and 1."""
    return _checked(name, value, "strictly between 0 and 1", lambda x: (x > 0) & (x < 1))


def correlation(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it in [-1, 1]."""
    return _checked(name, value, "in [-1, 1]", lambda x: np.abs(x) <= 1)


def gap(name: str, value: FloatLike) -> Array:
    """``value`` as a float64 array, all of it in [0, 2]."""
    return _checked(name, value, "in [0, 2]", lambda x: (x >= 0) & (x <= 2))


def single(name: str, value: Array) -> float:
    """The one number in ``value``."""
    if value.ndim != 0:
        raise ValueError(f"{name} must be a single number, got shape {value.shape}")
    return float(value)


def count(name: str, value: int, least: int = 1) -> int:
    """``value`` as an int of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """The random numbers that ``seed`` stands for."""
    return (
        seed
        if isinstance(seed, np.random.Generator)
        else np.random.default_rng(count("seed", seed, least=0))
    )
