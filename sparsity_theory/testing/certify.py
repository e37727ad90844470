"""Proofs by ball arithmetic: a predicate over a box, bisected until every part of it is decided.

A ball (``flint.arb``) encloses all values of a formula on a box, rounding included. So a predicate
that a ball satisfies is satisfied at every point of the box, and one box where it fails everywhere
refutes the claim. Whatever the balls are too wide to decide is bisected, within a budget::

    from sparsity_theory.testing.certify import Proved, certify, positive

    verdict = certify(lambda x, y: positive(2 - x.sin() - y.cos()), {"x": (0, 1), "y": (1, 2)})
    assert isinstance(verdict, Proved), verdict

Needs python-flint.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._extras import needs

try:
    from flint import arb, ctx
except ModuleNotFoundError as missing:
    raise needs("sparsity_theory.testing.certify", "flint") from missing

from sparsity_theory._validation import count

Interval: TypeAlias = tuple[float, float]
"""Lower and upper end, both included."""

Box: TypeAlias = dict[str, Interval]
"""One interval for each variable, by name."""


@dataclass(frozen=True)
class Proved:
    """The predicate holds at every point of the box.

    Attributes:
        boxes: how many boxes were evaluated.
        precision: bits of the balls' midpoints.
    """

    boxes: int
    precision: int


@dataclass(frozen=True)
class Refuted:
    """The predicate fails at every point of ``witness``, a part of the box.

    Attributes:
        witness: the first such box that was found.
        boxes: how many boxes were evaluated.
        precision: bits of the balls' midpoints.
    """

    witness: Box
    boxes: int
    precision: int


@dataclass(frozen=True)
class Undecided:
    """Neither: on the boxes that are ``left`` the balls were still too wide.

    Attributes:
        left: what remains of the box; on all of the rest the predicate holds.
        share: the volume of what is left, as a share of the box.
        boxes: how many boxes were evaluated.
        precision: bits of the balls' midpoints.
    """

    left: tuple[Box, ...]
    share: float
    boxes: int
    precision: int


Verdict: TypeAlias = Proved | Refuted | Undecided


def certify(
    predicate: Callable[..., bool | None],
    box: Mapping[str, Interval],
    budget: int = 100_000,
    precision: int = 64,
) -> Verdict:
    """Decide by bisection whether a predicate holds at every point of a box.

    Args:
        predicate: takes one ball a variable, by name, and returns True if it holds at every point
            of the balls, False if it fails at every point of them, and None if it cannot tell.
            Comparisons of balls (``x > y``) are true where they certainly hold, so they cannot
            tell False from None: build the predicate of ``positive`` and ``every``. The balls
            contain their intervals and may exceed them by a billionth of their width.
        box: the variables' intervals, finite; one with equal ends is a constant.
        budget: the largest number of boxes to evaluate. The widest side of a box, relative to what
            it was, is bisected first, and the largest boxes are evaluated first.
        precision: bits of the balls' midpoints.

    Returns:
        ``Proved``, ``Refuted`` with a witness, or ``Undecided`` with what is left.

    Raises:
        ValueError: for a box without variables, an interval that is not finite or is reversed, a
            budget or precision below one, or a predicate that returns something else.
    """
    whole = _checked(box)
    budget, precision = count("budget", budget), count("precision", precision)
    queue, stuck, boxes = deque([whole]), list[Box](), 0
    with ctx.workprec(precision):
        while queue and boxes < budget:
            part = queue.popleft()
            boxes += 1
            answer = predicate(**{name: ball(*ends) for name, ends in part.items()})
            if answer is False:
                return Refuted(part, boxes, precision)
            if answer is None:
                halves = _halves(part, whole)
                queue.extend(halves)
                stuck += [] if halves else [part]
            elif answer is not True:
                raise ValueError(f"predicate must return True, False or None, got {answer!r}")
    left = (*stuck, *queue)
    if left:
        share = sum(_share(part, whole) for part in left)
        return Undecided(left, share, boxes, precision)
    return Proved(boxes, precision)


def ball(low: float, high: float) -> arb:
    """A ball that contains the interval."""
    return arb(low).union(arb(high))


def positive(x: arb) -> bool | None:
    """Whether all of a ball is above zero (True), or none of it (False)."""
    if x > 0:
        return True
    return False if x <= 0 else None


def every(*answers: bool | None) -> bool | None:
    """Whether all hold (True), or one of them fails (False)."""
    if False in answers:
        return False
    return None if None in answers else True


def _checked(box: Mapping[str, Interval]) -> Box:
    if not box:
        raise ValueError("box must have at least one variable")
    for name, ends in box.items():
        try:
            low, high = ends
            valid = math.isfinite(low) and math.isfinite(high) and low <= high
        except (TypeError, ValueError, OverflowError):
            valid = False
        if not valid:
            raise ValueError(f"box[{name!r}] must be finite (low, high), low <= high, got {ends!r}")
    return {
        name: (_rounded(low, -math.inf), _rounded(high, math.inf))
        for name, (low, high) in box.items()
    }


def _rounded(end: Any, outwards: float) -> float:
    """The double at an end of an interval, or the next one outside of it."""
    nearest = float(end)
    inside = nearest > end if outwards < 0 else nearest < end
    return math.nextafter(nearest, outwards) if inside else nearest


def _halves(part: Box, whole: Box) -> list[Box]:
    """Both halves along the relatively widest side; none if no number lies between any ends."""
    for name in sorted(part, key=lambda name: -_width(part[name], whole[name])):
        low, high = part[name]
        middle = low + (high - low) / 2
        if low < middle < high:
            return [{**part, name: (low, middle)}, {**part, name: (middle, high)}]
    return []


def _width(part: Interval, whole: Interval) -> float:
    length = whole[1] - whole[0]
    return (part[1] - part[0]) / length if length else 0.0


def _share(part: Box, whole: Box) -> float:
    """The volume, constants left out."""
    return math.prod(_width(part[name], ends) for name, ends in whole.items() if ends[0] < ends[1])
