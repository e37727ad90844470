"""The strategies reach the corners that matter, and the comparison can fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from property_tests.references.definitions import mp
from property_tests.support.agreement import agree, error, printed
from property_tests.support.strategies import (
    KINDS,
    Generic,
    Point,
    edges,
    generic_points,
    points,
    slopes,
    sparsities,
    variances,
)

SEARCH = settings(
    max_examples=2000,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def scaled(point: Point) -> tuple[float, float]:
    """tau and m in units of sqrt(q)."""
    root = math.sqrt(point.q)
    return point.tau / root, (point.m or math.inf) / root


def is_of_kind(kind: str, point: Point) -> bool:
    """Whether the point is of this kind."""
    return point.kind == kind


CORNERS: dict[str, Callable[[Point], bool]] = {
    **{kind: partial(is_of_kind, kind) for kind in KINDS},
    "threshold zero": lambda p: p.tau == 0,
    "threshold in the tail": lambda p: scaled(p)[0] > 25,
    "threshold tiny": lambda p: 0 < scaled(p)[0] < 1e-6,
    "thin piece": lambda p: scaled(p)[1] < 1e-4,
    "thin piece in the tail": lambda p: scaled(p)[1] < 1e-3 and scaled(p)[0] > 10,
    "distant clip": lambda p: 1e3 < scaled(p)[1] < math.inf,
    "ordinary": lambda p: 0.5 < scaled(p)[0] < 2 and 0.5 < scaled(p)[1] < 2,
    "small variance": lambda p: p.q < 1e-4,
    "large variance": lambda p: p.q > 1e4,
}


@pytest.mark.parametrize("corner", CORNERS)
def test_activations_reach_every_corner(corner: str) -> None:
    find(points(), CORNERS[corner], settings=SEARCH)


@pytest.mark.parametrize(
    ("strategy", "holds"),
    [
        (variances(), lambda q: q < 1),
        (variances(), lambda q: q > 1),
        (variances(), lambda q: q == 1),
        (sparsities("relu"), lambda s: s == 0.5),
        (sparsities("cst"), lambda s: s < 1e-3),
        (sparsities("crelu"), lambda s: 1 - s < 1e-9),
        (slopes(), lambda v: v < 1e-3),
        (slopes(), lambda v: 1 - v < 1e-6),
        (generic_points(), lambda p: len(p.knots) == 1),
        (generic_points(), lambda p: len(p.knots) >= 4),
        (generic_points(), lambda p: p.knots[0] < 0 < p.knots[-1]),
        (generic_points(), lambda p: min(p.slopes) < 0 < max(p.slopes)),
    ],
)
def test_other_strategies_reach_both_sides(strategy: Any, holds: Callable[[Any], bool]) -> None:
    find(strategy, holds, settings=SEARCH)


@pytest.mark.parametrize(
    ("strategy", "never"),
    [
        (points(), lambda p: scaled(p)[0] > 30.001 or not scaled(p)[1] > 0.999e-6),
        (edges(), lambda p: scaled(p)[0] > 8.001),
        (sparsities("relu"), lambda s: not 0.5 <= s < 1),
        (sparsities("st"), lambda s: not 0 < s < 1),
        (slopes(), lambda v: not 0 < v < 1),
        (generic_points(), lambda p: list(p.knots) != sorted(set(p.knots))),
    ],
)
def test_strategies_stay_in_their_domain(strategy: Any, never: Callable[[Any], bool]) -> None:
    with pytest.raises(NoSuchExample):
        find(strategy, never, settings=settings(SEARCH, max_examples=100))


def test_points_build_the_same_function_in_both_worlds() -> None:
    point = Point("cst", 1.0, 0.5, 2.0)
    assert [float(kink) for kink in point.function.kinks()] == point.activation.knots.tolist()
    generic = Generic((-1.0, 0.5), (2.0, -1.0, 0.0), 0.25, 1.0)
    for x in (-3.0, -1.0, 0.0, 0.5, 2.0):
        assert float(generic.function(x)) == float(generic.activation(x))


def test_errors_are_relative_unless_a_scale_is_given() -> None:
    assert error(1.0, 1) == 0
    assert error(1.5, 1) == 0.5
    assert error(1.5, 1, scale=10) == pytest.approx(0.05)
    assert error(1e-9, 0) == math.inf
    assert error(0.0, 0) == 0


@pytest.mark.parametrize("number", [1 + 1e-9, math.nan, math.inf])
def test_a_disagreement_is_an_error_that_prints_the_point(number: float) -> None:
    with pytest.raises(AssertionError, match=r"V is .* should be 1.0.* at q = 2.5"):
        agree("V", number, mp.mpf(1), 1e-10, search=False, q=2.5)


def test_printed_digits_are_compared_by_half_a_unit_of_the_last() -> None:
    assert printed(0.8055, "0.81")
    assert not printed(0.8049, "0.81")
    assert printed(-0.0001, "0.00")
    assert printed(0.35, "0.3")
    assert not printed(0.351, "0.3")
