"""Array libraries: conversion from NumPy and back, and gradients where they have them.

A library is imported only if an implementation uses it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from .._types import Array

Implementation = Callable[[Any], Any]

_POWERS = np.array([1.0, -0.5, 2.0, -1.0, 0.5, -2.0, 0.25])
"""Gradients that come from behind a kernel: they differ, and multiply and divide exactly."""


class Library(Protocol):
    """What the checks need of an array library."""

    name: str

    def array(self, x: Array, dtype: str) -> Any:
        """Numbers of that type, which hold x exactly."""

    def numbers(self, x: Any) -> Array:
        """Its values as float64."""

    def dtype(self, x: Any) -> str:
        """Name of the type, such as "float32"; for what is no array, that of its class."""

    def gradient(self, implementation: Implementation, x: Array, dtype: str) -> Array | None:
        """Derivative by the library's own differentiation; None if it has none.

        Raises:
            RuntimeError: if the values do not depend on x for it.
        """


_X64 = ": set jax_enable_x64, as by jax.config.update('jax_enable_x64', True)"


class _ArrayModule:
    """A library with NumPy's interface: NumPy itself, JAX."""

    def __init__(self, name: str, module: str) -> None:
        self.name, self._module = name, module

    def array(self, x: Array, dtype: str) -> Any:
        module = import_module(self._module)
        kind = getattr(module, dtype, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # JAX warns of a type that it lacks: an error below
            made = None if kind is None else module.array(x, dtype=kind)
        if made is None or self.dtype(made) != dtype:  # JAX has float64 only with x64 enabled
            hint = _X64 if (self.name, dtype) == ("jax", "float64") else ""
            raise ValueError(f"dtype must be one that {self.name} has here, got {dtype!r}{hint}")
        return made

    def numbers(self, x: Any) -> Array:
        return np.asarray(x).astype(np.float64)

    def dtype(self, x: Any) -> str:
        return str(x.dtype) if hasattr(x, "dtype") else type(x).__name__

    def gradient(self, implementation: Implementation, x: Array, dtype: str) -> Array | None:
        return None


class _Torch:
    """PyTorch, on the CPU, with its autograd."""

    name = "torch"

    def array(self, x: Array, dtype: str) -> Any:
        torch = import_module("torch")
        return torch.tensor(x, dtype=torch.float64).to(getattr(torch, dtype))

    def numbers(self, x: Any) -> Array:
        return np.asarray(x.detach().double().cpu().numpy())

    def dtype(self, x: Any) -> str:
        return str(x.dtype).removeprefix("torch.") if hasattr(x, "dtype") else type(x).__name__

    def gradient(self, implementation: Implementation, x: Array, dtype: str) -> Array | None:
        points = self.array(x, dtype).requires_grad_()
        incoming = _POWERS[np.arange(x.size) % _POWERS.size].reshape(x.shape)
        (passed,) = import_module("torch").autograd.grad(
            implementation(points), points, self.array(incoming, dtype)
        )
        return np.asarray(self.numbers(passed) / incoming)


LIBRARIES: dict[str, Library] = {
    "numpy": _ArrayModule("numpy", "numpy"),
    "torch": _Torch(),
    "jax": _ArrayModule("jax", "jax.numpy"),
}


def library_of(implementation: Implementation) -> Library:
    """The library that an implementation belongs to, judged by the module that defines it.

    A user's function that raises for a NumPy array is taken for one of torch, if torch has been
    imported.
    """
    places = [getattr(implementation, "__module__", None) or ""]
    places += [cls.__module__ for cls in type(implementation).__mro__]
    for name in ("torch", "jax"):
        if any(place.partition(".")[0].startswith(name) for place in places):
            return LIBRARIES[name]
    if "torch" in sys.modules:
        try:
            implementation(np.zeros(1))
        except (TypeError, AttributeError):
            return LIBRARIES["torch"]
    return LIBRARIES["numpy"]
