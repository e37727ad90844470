"""Objects that are values: immutable, equal where their parameters are, and printed in full."""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn

import numpy as np

_PRINTED_IN_FULL = 1000  # entries of an array, as NumPy's own limit


class Value:
    """An immutable object, equal to those of its class that have equal parameters.

    Arrays are equal by shape and entries, and read-only. The ``repr`` is the call that makes the
    object, as long as no array in it has more than a thousand entries. Cached properties work, and
    copies and pickles are equal to the original. The fields of a data class are its parameters;
    other classes name theirs in `_parameters`.
    """

    def _parameters(self) -> dict[str, Any]:
        """The arguments that make this object, by name, in the constructor's order."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def _keep(self, **attributes: Any) -> None:
        """Set attributes, once and for all, with arrays made read-only."""
        for attribute in attributes.values():
            if isinstance(attribute, np.ndarray):
                attribute.setflags(write=False)
        self.__dict__.update(attributes)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be deleted")

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._keep(**state)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or _key(self) == _key(other)

    def __hash__(self) -> int:
        return hash(_key(self))

    def __repr__(self) -> str:
        arguments = (f"{name}={_printed(value)}" for name, value in self._parameters().items())
        return f"{type(self).__name__}({', '.join(arguments)})"


class Summary(Value):
    """A value that holds results: its ``repr`` gives long arrays by their shape and range."""

    def __post_init__(self) -> None:
        """Make the fields read-only, through views of arrays that the caller may hold."""
        for name, value in self._parameters().items():
            if isinstance(value, np.ndarray):
                self._keep(**{name: value.view()})

    def __repr__(self) -> str:
        arguments = (f"{name}={_summarized(value)}" for name, value in self._parameters().items())
        return f"{type(self).__name__}({', '.join(arguments)})"


def _key(value: Value) -> tuple[Any, ...]:
    return (type(value), *map(_hashable, value._parameters().values()))


def _hashable(parameter: object) -> object:
    """An array by its shape and bytes, with one zero for both signs; anything else as it is."""
    if isinstance(parameter, np.ndarray):
        return parameter.shape, (parameter + 0.0).tobytes()
    return parameter


def _printed(parameter: object) -> str:
    if not isinstance(parameter, np.ndarray):
        return repr(parameter)
    if parameter.size > _PRINTED_IN_FULL:
        return f"<array of shape {parameter.shape}>"
    return repr(parameter.tolist())


def _summarized(parameter: object) -> str:
    if not isinstance(parameter, np.ndarray) or parameter.size <= 3:
        return _printed(parameter)
    return f"<{parameter.shape} from {float(parameter.min()):.4g} to {float(parameter.max()):.4g}>"
