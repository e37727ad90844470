"""Every zero of a function on an interval, each proved to be there and to be the only one nearby.

Opposite signs at two ends prove that a zero lies between them, a derivative that does not vanish in
between that it is the only one, and Newton's iteration on intervals makes the enclosure small.
Needs python-flint.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .._extras import needs

try:
    from flint import arb, ctx
except ModuleNotFoundError as missing:
    raise needs("sparsity_theory.testing.zeros", "flint") from missing

from sparsity_theory._validation import count

from .certify import Interval, ball

_CUTS = (0.5, 0.4375, 0.5625, 0.375, 0.625)
"""Where an interval may be cut, as a share of it: a cut must not fall on a zero."""


@dataclass(frozen=True)
class Zeros:
    """The zeros of a function on an interval.

    Attributes:
        isolated: disjoint balls in ascending order, each with exactly one zero in it, which is
            simple. If the function has balls for parameters, so it is for each of their values.
        undecided: intervals that may have more zeros; outside all of these there are no others.
        boxes: how many intervals were evaluated.
    """

    isolated: tuple[arb, ...]
    undecided: tuple[Interval, ...]
    boxes: int


def isolate_zeros(
    f: Callable[[arb], arb],
    derivative: Callable[[arb], arb],
    low: float,
    high: float,
    budget: int = 10_000,
    precision: int = 64,
) -> Zeros:
    """Find and enclose all zeros of a function on an interval.

    Args:
        f: the function, continuously differentiable; encloses its values on a ball.
        derivative: encloses the values of f' on a ball.
        low: lower end, finite; the function must not vanish there.
        high: upper end, finite, above ``low``; the function must not vanish there.
        budget: the largest number of intervals to evaluate.
        precision: bits of the balls' midpoints.

    Returns:
        The zeros. A double zero stays undecided, and so does one at an end.

    Raises:
        ValueError: for ends that are not finite or not ascending, a budget or precision below one,
            or a derivative that cannot be that of f.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"low and high must be finite and ascending, got {low!r} and {high!r}")
    budget, precision = count("budget", budget), count("precision", precision)
    queue, undecided = deque([(float(low), float(high))]), list[Interval]()
    isolated, boxes = list[arb](), 0
    with ctx.workprec(precision):
        while queue and boxes < budget:
            ends = queue.popleft()
            boxes += 1
            slope = derivative(ball(*ends))
            if _free_of_zeros(f, slope, ends):
                continue
            signs = _sign(f(arb(ends[0]))), _sign(f(arb(ends[1])))
            if 0 in slope or 0 in signs:
                cut = _cut(f, ends)
                if cut is None:
                    undecided.append(ends)
                else:
                    queue.extend([(ends[0], cut), (cut, ends[1])])
            elif signs[0] != signs[1]:
                isolated.append(_newton(f, derivative, ball(*ends)))
    return Zeros(
        tuple(sorted(isolated, key=lambda zero: float(zero.mid()))), (*undecided, *queue), boxes
    )


def _free_of_zeros(f: Callable[[arb], arb], slope: arb, ends: Interval) -> bool:
    """By the mean-value form, which is sharper than f of the interval if that is small, or by f."""
    x = ball(*ends)
    middle = x.mid()
    return 0 not in f(middle) + slope * (x - middle) or 0 not in f(x)


def _sign(value: arb) -> int:
    """+1 or -1, or 0 where it is not known."""
    return int(value > 0) - int(value < 0)


def _cut(f: Callable[[arb], arb], ends: Interval) -> float | None:
    """A point well inside where the sign of f is known."""
    low, high = ends
    for share in _CUTS:
        cut = low + share * (high - low)
        if low < cut < high and _sign(f(arb(cut))):
            return cut
    return None


def _newton(f: Callable[[arb], arb], derivative: Callable[[arb], arb], x: arb) -> arb:
    """Shrink a ball around its only zero until the balls of f allow no more."""
    while True:
        middle = x.mid()
        step = middle - f(middle) / derivative(x)
        if not step.overlaps(x):
            raise ValueError(f"derivative must be that of f, and is not near {float(middle)!r}")
        closer = x.intersection(step)
        if not closer.rad() < 0.9 * x.rad():
            return closer
        x = closer
