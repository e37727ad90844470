"""Newton's method within a bracket: the root to a few ulps, however bad the derivative is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hyp

from sparsity_theory._types import Array
from sparsity_theory.numerics.roots import bracketed_newton

Function = Callable[[Array], Array]

FUNCTIONS: dict[str, tuple[Function, Function]] = {
    "straight": (lambda x: x, np.ones_like),
    "bent": (lambda x: x + 50.0 * x * np.abs(x), lambda x: 1.0 + 100.0 * np.abs(x)),
    "steep": (np.expm1, np.exp),
    "flat, so that Newton leaves the bracket": (np.arctan, lambda x: 1.0 / (1.0 + x * x)),
    "cubic, with no slope at its root": (lambda x: x**3, lambda x: 3.0 * x**2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@given(
    root=hyp.floats(-3.0, 3.0),
    below=hyp.floats(1e-6, 30.0),
    above=hyp.floats(1e-6, 30.0),
    share=hyp.floats(0.0, 1.0),
)
def test_the_root_is_found_to_a_few_ulps_from_anywhere_in_the_bracket(
    name: str, root: float, below: float, above: float, share: float
) -> None:
    """At a triple root a step is a third of the error: one of an ulp leaves two."""
    value, slope = FUNCTIONS[name]
    low, high = np.array([root - below]), np.array([root + above])
    start = low + share * (high - low)
    found = bracketed_newton(lambda x: (value(x - root), slope(x - root)), low, high, start)
    assert abs(float(found[0]) - root) <= 3 * 2.0**-52 * max(1.0, abs(root))


def test_a_bisection_next_to_the_root_is_not_taken_for_convergence() -> None:
    """Its midpoint lies 5e-6 from the root, and one step of Newton's from there lands 1e-9 off.

    A rule that takes the size of this one step for a sign of convergence stops there.
    """

    def bent(x: Array) -> tuple[Array, Array]:
        slope = np.where(np.abs(x) > 0.5, 1e-9, 1.0 + 100.0 * np.abs(x))
        return x + 50.0 * x * np.abs(x), slope

    found = bracketed_newton(bent, np.array([-1.0]), np.array([1.0 + 1e-5]), np.array([-1.0]))
    assert abs(float(found[0])) < 1e-15


def test_many_equations_are_solved_at_once() -> None:
    targets = np.geomspace(1e-3, 1e3, 50)
    log = bracketed_newton(
        lambda x: (np.exp(x) - targets, np.exp(x)),
        np.full(50, -10.0),
        np.full(50, 10.0),
        np.zeros(50),
    )
    assert np.allclose(log, np.log(targets), rtol=0, atol=1e-15 * 7)
