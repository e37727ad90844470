"""Error-free transformations, and the exponentials that are made with them, against exact numbers.

Python's fractions are exact, so equality is asked for where it is promised.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.references.definitions import mp
from property_tests.support.agreement import agree
from sparsity_theory.numerics import double_double

numbers = hyp.floats(-1e50, 1e50).filter(lambda x: x == 0 or abs(x) > 1e-50)
positive = hyp.floats(1e-3, 1e3)


@given(x=numbers, y=numbers)
def test_a_sum_and_its_error_are_exact_together(x: float, y: float) -> None:
    total, error = double_double.two_sum(np.array(x), np.array(y))
    assert float(total) == x + y
    assert Fraction(float(total)) + Fraction(float(error)) == Fraction(x) + Fraction(y)


@given(x=numbers, y=numbers)
def test_a_product_and_its_error_are_exact_together(x: float, y: float) -> None:
    product, error = double_double.two_product(np.array(x), np.array(y))
    assert float(product) == x * y
    assert Fraction(float(product)) + Fraction(float(error)) == Fraction(x) * Fraction(y)


@given(x=positive, part=hyp.floats(-1.0, 1.0), divisor=positive)
def test_a_quotient_with_its_remainder_has_twice_the_digits(
    x: float, part: float, divisor: float
) -> None:
    """The remainder is rounded itself: an ulp of an ulp, times three."""
    low = part * 2.0**-53 * x
    ratio, rest = double_double.quotient(np.array(x), np.array(low), np.array(divisor))
    exact = (Fraction(x) + Fraction(low)) / Fraction(divisor)
    assert abs(Fraction(float(ratio)) + Fraction(float(rest)) - exact) <= 2.0**-104 * exact


@given(x=positive, part=hyp.floats(-1.0, 1.0), q=positive)
def test_a_square_over_a_variance_has_twice_the_digits(x: float, part: float, q: float) -> None:
    low = part * 2.0**-53 * x
    ratio, rest = double_double.square_over(np.array(x), np.array(low), np.array(q))
    exact = (Fraction(x) + Fraction(low)) ** 2 / Fraction(q)
    assert abs(Fraction(float(ratio)) + Fraction(float(rest)) - exact) <= 2.0**-102 * exact


@given(a=hyp.floats(0.0, 37.0), part=hyp.floats(-1.0, 1.0), q=positive)
def test_a_density_far_out_keeps_its_digits(a: float, part: float, q: float) -> None:
    """Rounding the exponent, 684 at most, would cost 342 ulps."""
    high = a * float(np.sqrt(q))
    low = part * 2.0**-53 * high
    found = double_double.exp_minus_half_square(np.array(high), np.array(low), np.array(q))
    exact = mp.exp(-((mp.mpf(high) + mp.mpf(low)) ** 2) / (2 * mp.mpf(q)))
    agree("exp", found, exact, 1e-15, a=a, q=q)


@given(exponent=hyp.floats(0.0, 700.0), part=hyp.floats(-1.0, 1.0), q=positive)
def test_a_density_of_a_divisor_used_again_keeps_its_digits(
    exponent: float, part: float, q: float
) -> None:
    high = -exponent * q
    low = part * 2.0**-53 * high
    exact = 0.4 * mp.exp((mp.mpf(high) + mp.mpf(low)) / mp.mpf(q))
    for number in (q, np.array([q])):
        divisor = double_double.Divisor.of(number)
        found = np.ravel(double_double.exp_of_quotient(high, low, divisor, 0.4))[0]
        agree("exp", found, exact, 1e-15, search=False, exponent=exponent, q=q)


@given(
    high=hyp.floats(0.0, 300.0),
    part=hyp.floats(-1.0, 1.0),
    rho=hyp.floats(-0.5, 1.0),
)
def test_a_density_of_two_inputs_takes_one_plus_their_correlation_without_rounding(
    high: float, part: float, rho: float
) -> None:
    """Rounding 1 + rho would cost up to 600 half ulps of it."""
    low = part * 2.0**-53 * high
    found = double_double.exp_minus_over_one_plus(np.array(high), np.array(low), np.array(rho))
    exact = mp.exp(-(mp.mpf(high) + mp.mpf(low)) / (1 + mp.mpf(rho)))
    agree("exp", found, exact, 1e-15, high=high, rho=rho)


@pytest.mark.parametrize(("high", "expected"), [(0.0, 1.0), (1e-9, 0.0), (3.0, 0.0)])
def test_at_opposite_inputs_the_density_is_its_limit(high: float, expected: float) -> None:
    zero, minus_one = np.zeros(()), -np.ones(())
    assert double_double.exp_minus_over_one_plus(np.array(high), zero, minus_one) == expected


def test_expectations_take_a_plain_number_as_they_take_an_array() -> None:
    phi = st.ClippedReLU(1.0, 1.0)
    for name in ("mean_square", "mean_square_slope", "mean_square_curvature"):
        expectation = getattr(phi, name)
        assert float(expectation(0.75)) == float(expectation(np.array(0.75)))
        assert float(expectation(0.75)) == expectation(np.array([[0.75]])).item()
