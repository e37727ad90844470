"""Names and units that asv reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Benchmark = TypeVar("Benchmark", bound=Callable[..., object])


def labelled(name: str, unit: str = "seconds") -> Callable[[Benchmark], Benchmark]:
    """Set the name and the unit of a benchmark."""

    def label(benchmark: Benchmark) -> Benchmark:
        vars(benchmark).update(pretty_name=name, unit=unit)
        return benchmark

    return label
