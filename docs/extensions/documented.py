"""What the reference has an entry for: public names by the package that users import them from."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

from equation_table import LAST, files_of_equations, numbers

PACKAGES = ("sparsity_theory", "sparsity_theory.testing", "torch_models")
"""Where users import from: each name of their ``__all__`` has an entry."""

FILES = (
    "sparsity_theory.activations.expectations",
    "sparsity_theory.testing.certify",
    "sparsity_theory.testing.strategies",
    "sparsity_theory.testing.zeros",
    "torch_models.experiments.weights",
    "torch_models.networks.ensemble",
    "torch_models.training.dense",
    "torch_models.training.memory_plan",
)
"""Files of which users import, or should read, more than the packages give."""


def public_names() -> Iterator[str]:
    """Every public name with its package."""
    for package in PACKAGES:
        yield from (f"{package}.{name}" for name in import_module(package).__all__)


def public_names_of(file: ModuleType) -> list[str]:
    """Those that a file defines."""
    return [
        name for name in public_names() if getattr(value(name), "__module__", "") == file.__name__
    ]


def has_entry(file: ModuleType) -> bool:
    """Whether a file is documented whole: it is one of ``FILES``, or the table names it alone."""
    named = {name for names in files_of_equations().values() for name in names}
    return file.__name__ in FILES or (file.__name__ in named and not public_names_of(file))


def files(name: str) -> Iterator[ModuleType]:
    """The file of this name, or those of the package, without private ones."""
    module = import_module(name)
    if not hasattr(module, "__path__"):
        yield module
        return
    for found in pkgutil.iter_modules(module.__path__, f"{name}."):
        if not found.name.rpartition(".")[2].startswith("_"):
            yield import_module(found.name)


@cache
def known_names() -> frozenset[str]:
    """The full names of files, of what stands in them and of members of classes, private or not."""
    return frozenset(_known_names())


def _known_names() -> Iterator[str]:
    for package in ("sparsity_theory", "torch_models"):
        for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if found.name.endswith("__main__"):
                continue
            yield found.name
            for name, thing in vars(import_module(found.name)).items():
                yield f"{found.name}.{name}"
                if inspect.isclass(thing):
                    yield from (f"{found.name}.{name}.{member}" for member in dir(thing))


def value(name: str) -> Any:
    """What a name stands for."""
    package, _, own = name.rpartition(".")
    return getattr(import_module(package), own)


@cache
def entries_of_equations() -> dict[int, list[str]]:
    """The entries whose docstrings name an equation; those of a class stand for the class."""
    found: dict[int, list[str]] = {number: [] for number in range(1, LAST + 1)}
    for name in [*public_names(), *(name for file in FILES for name in names_of(file))]:
        thing = value(name)
        documented = {name: thing}
        if inspect.isclass(thing):
            documented |= {f"{name}.{own}": each for own, each in public_members(thing)}
        for entry, each in documented.items():
            for number in dict.fromkeys(numbers(each.__doc__ or "")):
                found[number].append(entry)
    return found


def names_of(file: str) -> Iterator[str]:
    """The public classes and functions that a file defines."""
    for name, thing in vars(import_module(file)).items():
        if not name.startswith("_") and getattr(thing, "__module__", "") == file:
            yield f"{file}.{name}"


def public_members(kind: type) -> Iterator[tuple[str, Any]]:
    """The methods and properties that a class defines itself."""
    for name, member in vars(kind).items():
        if not name.startswith("_") and isinstance(member, (FunctionType, classmethod, property)):
            yield name, member
