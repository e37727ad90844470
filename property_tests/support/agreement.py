"""One way to compare two numbers that should agree; a disagreement prints the worst point."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import target

from property_tests.references.definitions import Number, mp


def error(actual: Number, expected: Number, scale: Number | None = None) -> float:
    """|actual - expected| relative to |expected|, or to ``scale`` where one is given."""
    difference = abs(mp.mpf(actual) - mp.mpf(expected))
    if difference == 0:
        return 0.0
    unit = abs(mp.mpf(expected if scale is None else scale))
    return float(difference / unit) if unit else math.inf


def agree(
    what: str,
    actual: Any,
    expected: Number,
    tolerance: float,
    scale: Number | None = None,
    search: bool = True,
    **point: object,
) -> None:
    """Assert that ``actual`` is within ``tolerance`` of ``expected``, relative to it or ``scale``.

    With ``search`` (inside a Hypothesis test) Hypothesis is told the error, and climbs towards
    points where it is large.
    """
    number = actual if isinstance(actual, mp.mpf) else float(actual)
    found = error(number, expected, scale)
    if search and 0 < found < math.inf:
        target(math.log10(found), label=what)
    where = ", ".join(f"{name} = {value!r}" for name, value in point.items())
    assert found <= tolerance, (
        f"{what} is {number!r} and should be {mp.nstr(mp.mpf(expected), 20)}: "
        f"off by {found:.2e} of {'it' if scale is None else mp.nstr(mp.mpf(scale), 3)}, "
        f"tolerance {tolerance:.1e}" + (f", at {where}" if where else "")
    )


def printed(value: Number, text: str) -> bool:
    """Whether ``value`` rounds to the decimal number ``text``, to all of its digits."""
    digits = len(text.partition(".")[2])
    return bool(abs(mp.mpf(value) - mp.mpf(text)) <= mp.mpf(10) ** -digits / 2)
