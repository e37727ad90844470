"""The certifier itself: what it proves, refutes and leaves open, and what it takes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as hyp

from sparsity_theory.testing.certify import Proved, Refuted, Undecided, certify, every, positive
from sparsity_theory.testing.zeros import isolate_zeros


def square_above(level: float) -> Any:
    """x^2 - x > -level, which holds everywhere for level > 1/4."""
    return lambda x: positive(x * x - x + arb(level))


def test_what_holds_everywhere_is_proved() -> None:
    verdict = certify(square_above(0.26), {"x": (0, 1)})
    assert isinstance(verdict, Proved)
    assert verdict.precision == 64
    assert verdict.boxes > 1


def test_what_fails_somewhere_is_refuted_with_a_box_where_it_fails() -> None:
    verdict = certify(square_above(0.24), {"x": (0, 1)})
    assert isinstance(verdict, Refuted)
    low, high = verdict.witness["x"]
    assert 0.4 <= low < high <= 0.6


def test_what_holds_with_equality_at_a_point_stays_undecided_there() -> None:
    verdict = certify(square_above(0.25), {"x": (0, 1)}, budget=200)
    assert isinstance(verdict, Undecided)
    assert verdict.boxes == 200
    assert any(box["x"][0] <= 0.5 <= box["x"][1] for box in verdict.left)
    assert math.isclose(verdict.share, sum(b["x"][1] - b["x"][0] for b in verdict.left))


def test_a_box_that_cannot_be_bisected_is_left() -> None:
    verdict = certify(lambda x, y: None, {"x": (1, 1), "y": (0, math.ulp(0.0))})
    assert isinstance(verdict, Undecided)
    assert verdict.left == ({"x": (1.0, 1.0), "y": (0.0, math.ulp(0.0))},)


def test_not_a_number_is_never_a_proof() -> None:
    verdict = certify(lambda x: positive(x.sqrt()), {"x": (-2, -1)}, budget=10)
    assert isinstance(verdict, Undecided)


def test_ends_that_no_double_holds_are_rounded_outwards() -> None:
    """What fails at 2/3 is not proved by the double below it."""
    two_thirds = arb(2) / 3
    box: Any = {"x": (0, Fraction(2, 3))}
    assert not isinstance(certify(lambda x: positive(two_thirds - x), box, budget=300), Proved)
    assert isinstance(certify(lambda x: positive(arb(0.67) - x), box), Proved)


def test_equal_ends_make_a_constant() -> None:
    assert isinstance(certify(lambda x, c: positive(c - x), {"x": (0, 1), "c": (2, 2)}), Proved)


@given(
    low=hyp.floats(-1e6, 1e6), width=hyp.floats(0, 1e6), share=hyp.floats(0, 1), bits=hyp.just(53)
)
def test_balls_contain_their_intervals(low: float, width: float, share: float, bits: int) -> None:
    seen = []

    def look(x: arb) -> bool:
        seen.append(x)
        return True

    high = low + width
    certify(look, {"x": (low, high)}, precision=bits)
    assert all(arb(point) in seen[0] for point in (low, high, min(low + share * width, high)))


def test_every_is_the_three_valued_and() -> None:
    assert every(True, True) is True
    assert every(True, None) is None
    assert every(None, False, True) is False


@pytest.mark.claim("Oracle: input")
@pytest.mark.parametrize(
    ("box", "budget", "message"),
    [
        ({"x": (0, math.inf)}, 10, r"box\['x'\] must be finite .*got \(0, inf\)"),
        ({"x": (math.nan, 1)}, 10, r"box\['x'\] must be finite"),
        ({"x": (1, 0)}, 10, r"low <= high, got \(1, 0\)"),
        ({"x": 3}, 10, r"box\['x'\] must be"),
        ({"x": ("a", "b")}, 10, r"box\['x'\] must be"),
        ({}, 10, "box must have at least one variable"),
        ({"x": (0, 1)}, 0, "budget must be an integer of at least 1, got 0"),
        ({"x": (0, 1)}, 1.5, "budget must be an integer of at least 1, got 1.5"),
    ],
)
def test_a_bad_box_or_budget_is_named(box: Any, budget: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        certify(lambda x: True, box, budget)


@pytest.mark.claim("Oracle: input")
def test_a_bad_precision_or_predicate_is_named() -> None:
    with pytest.raises(ValueError, match="precision must be an integer of at least 1, got 0"):
        certify(lambda x: True, {"x": (0, 1)}, precision=0)
    answer: Any = arb(1)
    with pytest.raises(ValueError, match="predicate must return True, False or None, got 1"):
        certify(lambda x: answer, {"x": (0, 1)})


def test_every_zero_is_found_and_enclosed() -> None:
    found = isolate_zeros(lambda x: x.sin(), lambda x: x.cos(), 1, 10)
    assert found.undecided == ()
    assert len(found.isolated) == 3
    for k, zero in enumerate(found.isolated, start=1):
        assert (k * arb.pi()).overlaps(zero)
        assert zero.rad() < 1e-15


def test_with_balls_for_parameters_each_value_of_them_has_its_zero_enclosed() -> None:
    squares = arb(2).union(arb(2.01))
    (zero,) = isolate_zeros(lambda x: x * x - squares, lambda x: 2 * x, 0, 5).isolated
    assert arb(2).sqrt() in zero
    assert arb("2.01").sqrt() in zero
    assert zero.rad() < 0.01


@pytest.mark.parametrize(
    ("low", "high", "at"), [(-1, 2, math.pi / 2), (0, 1, None)], ids=["double", "none"]
)
def test_a_double_zero_stays_undecided(low: float, high: float, at: float | None) -> None:
    found = isolate_zeros(lambda x: 1 - x.sin(), lambda x: -x.cos(), low, high)
    assert found.isolated == ()
    assert bool(found.undecided) == (at is not None)
    assert all(abs(end - math.pi / 2) < 1e-6 for ends in found.undecided for end in ends)


def test_a_zero_at_an_end_stays_undecided() -> None:
    found = isolate_zeros(lambda x: x, lambda x: arb(1), 0, 1)
    assert found.isolated == ()
    assert found.undecided[0][0] == 0


@pytest.mark.claim("Oracle: input")
@pytest.mark.parametrize(
    ("low", "high", "budget", "message"),
    [
        (0, math.inf, 10, "low and high must be finite and ascending, got 0 and inf"),
        (1, 1, 10, "low and high must be finite and ascending, got 1 and 1"),
        (math.nan, 1, 10, "low and high must be finite"),
        (0, 1, 0, "budget must be an integer of at least 1, got 0"),
    ],
)
def test_a_bad_interval_is_named(low: float, high: float, budget: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        isolate_zeros(lambda x: x, lambda x: x, low, high, budget)


@pytest.mark.claim("Oracle: input")
def test_a_derivative_of_another_function_is_named_where_it_shows() -> None:
    with pytest.raises(ValueError, match="derivative must be that of f, and is not near"):
        isolate_zeros(lambda x: x - 3, lambda x: arb(10), 0, 4)
