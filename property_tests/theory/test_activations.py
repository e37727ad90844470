"""The four activations (Eqs. 7-10, Fig. 1) and the piecewise-linear functions that hold them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.references import definitions
from property_tests.references.definitions import mp
from property_tests.support.agreement import agree
from property_tests.support.controls import doubled, shifted
from property_tests.support.strategies import (
    ACTIVATIONS,
    CLIPPED,
    KINDS,
    ODD,
    UNCLIPPED,
    Generic,
    Point,
    generic_points,
    points,
)

EQUATION = {"relu": "Eq. 7", "st": "Eq. 8", "crelu": "Eq. 9", "cst": "Eq. 10"}


def by_equation(kinds: tuple[str, ...]) -> pytest.MarkDecorator:
    """Run a test once for each kind, judging that kind's equation."""
    return pytest.mark.parametrize(
        "kind", [pytest.param(kind, marks=pytest.mark.claim(EQUATION[kind])) for kind in kinds]
    )


@hyp.composite
def arguments(draw: hyp.DrawFn, point: Point) -> float:
    """x: anywhere, and at and next to the kinks."""
    kinks = [0.0, point.tau, point.tau + (point.m or 0.0)]
    near = draw(hyp.sampled_from([s * x for x in kinks for s in (1.0, -1.0)]))
    return draw(
        hyp.one_of(
            hyp.sampled_from(
                [near, math.nextafter(near, math.inf), math.nextafter(near, -math.inf)]
            ),
            hyp.floats(-3.0, 3.0).map(lambda x: near + x * math.sqrt(point.q)),
            hyp.floats(allow_nan=False),
        )
    )


@pytest.mark.control("Eq. 7", replace="sparsity_theory.ShiftedReLU.__call__", by=shifted)
@pytest.mark.control("Eq. 8", replace="sparsity_theory.SoftThreshold.__call__", by=shifted)
@pytest.mark.control("Eq. 9", replace="sparsity_theory.ClippedReLU.__call__", by=shifted)
@pytest.mark.control("Eq. 10", replace="sparsity_theory.ClippedSoftThreshold.__call__", by=shifted)
@by_equation(KINDS)
@given(data=hyp.data())
def test_values_are_the_definition_rounded_once(kind: str, data: hyp.DataObject) -> None:
    """Differences of two doubles, clipped: correctly rounded, so equality and no tolerance."""
    point = data.draw(points([kind]))
    x = data.draw(arguments(point))
    m = math.inf if point.m is None else point.m
    exact = float(definitions.phi(kind, x, point.tau, m)) if math.isfinite(x) else None
    if exact is None:
        exact = {"relu": max(x, 0.0), "st": x, "crelu": max(math.copysign(m, x), 0.0)}.get(
            kind, math.copysign(m, x)
        )
    assert float(point.activation(x)) == exact, f"phi({x!r}) of {point}"


@by_equation(KINDS)
@given(data=hyp.data())
def test_derivatives_are_one_between_the_kinks_and_zero_elsewhere(
    kind: str, data: hyp.DataObject
) -> None:
    """Zero at the kinks themselves, the upper one taken as it is rounded."""
    point = data.draw(points([kind]))
    x = data.draw(arguments(point))
    size = mp.mpf(x if kind not in ODD else abs(x))
    end = mp.inf if point.m is None else mp.mpf(point.tau) + mp.mpf(point.m)
    at_rounded_end = point.m is not None and float(size) == point.tau + point.m
    inside = mp.mpf(point.tau) < size < end and not at_rounded_end
    if kind == "st" and point.tau == 0 and x == 0:
        assume(False)  # the identity has no kink at zero
    if kind == "cst" and point.tau == 0 and x == 0:
        assume(False)
    assert float(point.activation.derivative(x)) == float(inside), f"phi'({x!r}) of {point}"


@by_equation(KINDS)
@given(data=hyp.data())
def test_activations_are_continuous_and_never_steeper_than_one(
    kind: str, data: hyp.DataObject
) -> None:
    """|phi(x) - phi(y)| <= |x - y|, but for the rounding of both values."""
    point = data.draw(points([kind]))
    x, y = (data.draw(arguments(point)) for _ in range(2))
    assume(max(abs(x), abs(y)) < 1e300)
    ends = [float(point.activation(each)) for each in (x, y)]
    rounding = 2.0**-52 * max(map(abs, ends))
    assert abs(ends[0] - ends[1]) <= abs(x - y) * (1 + 2.0**-52) + rounding


@by_equation(ODD)
@given(data=hyp.data())
def test_soft_thresholds_are_odd(kind: str, data: hyp.DataObject) -> None:
    point = data.draw(points([kind]))
    x = data.draw(arguments(point))
    assert float(point.activation(-x)) == -float(point.activation(x))


@pytest.mark.claim("Eq. 7", "Eq. 8")
@given(x=hyp.floats(allow_nan=False))
@example(x=-0.0)
def test_tau_zero_gives_the_relu_and_the_identity(x: float) -> None:
    assert float(st.ShiftedReLU(0.0)(x)) == max(x, 0.0)
    assert float(st.SoftThreshold(0.0)(x)) == x


@by_equation(CLIPPED)
@given(data=hyp.data())
def test_a_clip_that_is_not_reached_changes_nothing(kind: str, data: hyp.DataObject) -> None:
    """The limit m to infinity: equality as soon as m exceeds |x|."""
    point = data.draw(points([kind]))
    x = data.draw(arguments(point).filter(lambda x: abs(x) < 1e300))
    unclipped = ACTIVATIONS[UNCLIPPED[CLIPPED.index(kind)]](point.tau)
    clipped = ACTIVATIONS[kind](point.tau, 2.0 * abs(x) + 1.0)
    assert float(clipped(x)) == float(unclipped(x))


@pytest.mark.claim("Fig. 1")
@pytest.mark.control("Fig. 1", replace="sparsity_theory.ClippedReLU.__call__", by=doubled)
def test_the_five_curves_of_figure_1_go_through_the_points_drawn() -> None:
    x = np.array([-3.0, -2.0, -1.5, -1.0, 0.0, 1.0, 1.5, 2.0, 3.0])
    drawn = {
        st.ShiftedReLU(0.0): [0, 0, 0, 0, 0, 1, 1.5, 2, 3],
        st.ShiftedReLU(1.0): [0, 0, 0, 0, 0, 0, 0.5, 1, 2],
        st.SoftThreshold(1.0): [-2, -1, -0.5, 0, 0, 0, 0.5, 1, 2],
        st.ClippedReLU(1.0, 1.0): [0, 0, 0, 0, 0, 0, 0.5, 1, 1],
        st.ClippedSoftThreshold(1.0, 1.0): [-1, -1, -0.5, 0, 0, 0, 0.5, 1, 1],
    }
    for activation, y in drawn.items():
        assert activation(x).tolist() == y, repr(activation)


@pytest.mark.claim("Misprint Eq. 9", reading="both")
@given(point=points(CLIPPED), side=hyp.sampled_from([-1.0, 1.0]))
def test_the_printed_cases_of_the_clipped_kinds_leave_their_kinks_out(
    point: Point, side: float
) -> None:
    """No case of Eqs. 9 and 10 holds at a kink; the values there must be those of continuity."""
    assert point.m is not None
    for size, value in ((point.tau, 0.0), (point.tau + point.m, point.m)):
        tau, end = mp.mpf(point.tau), mp.mpf(point.tau) + mp.mpf(point.m)
        at = tau if value == 0.0 else end
        assert not any((at < tau, tau < at < end, at > end))
        x = side * size if point.kind in ODD else size
        sign = math.copysign(1.0, x) if point.kind in ODD else 1.0
        rounding = 2.0**-52 * (point.tau + point.m)  # of tau + m
        assert abs(float(point.activation(x)) - sign * value) <= rounding


@by_equation(KINDS)
@given(data=hyp.data())
def test_each_kind_is_the_piecewise_linear_function_of_its_knots(
    kind: str, data: hyp.DataObject
) -> None:
    """knots, slopes and offset describe the function: rebuilt from them it has the same values."""
    point = data.draw(points([kind], thinnest=1e-3, thickest=1e3))
    phi = point.activation
    assume(np.all(np.diff(phi.knots) > 0))
    rebuilt = st.PiecewiseLinear(phi.knots, phi.slopes, float(phi.offset))
    x = data.draw(hyp.floats(-40.0, 40.0)) * math.sqrt(point.q)
    size = abs(x) + point.tau + (point.m or 0.0)  # sums of knots round by ulps of this
    agree("phi", rebuilt(x), mp.mpf(float(phi(x))), 1e-15, scale=size, point=point, x=x)


@given(point=generic_points(), x=hyp.floats(-10.0, 10.0))
def test_piecewise_linear_functions_take_the_values_of_their_definition(
    point: Generic, x: float
) -> None:
    """Six terms, each rounded in a few ulps of the largest value on the way."""
    x *= math.sqrt(point.q)
    steepest = max(1.0, *map(abs, point.slopes))
    size = abs(point.offset) + steepest * (abs(x) + sum(map(abs, point.knots)))
    expected = point.function(x)
    agree("phi", point.activation(x), expected, 4e-15, scale=max(size, 1e-300), point=point, x=x)


@given(x=hyp.floats())
@example(x=-0.0)
@example(x=0.10120812622268481)
def test_the_hard_tanh_of_its_knots_gives_back_what_it_does_not_clip(x: float) -> None:
    hardtanh = st.PiecewiseLinear([-1.0, 1.0], [0.0, 1.0, 0.0], -1.0)
    assert np.array_equal(hardtanh(x), np.clip(x, -1.0, 1.0), equal_nan=True)


@given(point=generic_points())
def test_values_at_kinks_and_infinities_are_exact(point: Generic) -> None:
    """The value at a kink is the one before it and a slope times a gap, and no kink's is lost."""
    phi, value = point.activation, point.offset
    assert float(phi(point.knots[0])) == value
    rises = zip(point.slopes[1:], itertools.pairwise(point.knots), strict=False)
    total = 0.0
    for slope, (left, right) in rises:
        total += slope * (right - left)
        assert float(phi(right)) == value + total
    for end, slope, last in ((-math.inf, point.slopes[0], 0), (math.inf, point.slopes[-1], -1)):
        expected = float(phi(point.knots[last])) if slope == 0.0 else slope * end
        assert float(phi(end)) == expected
    assert math.isnan(phi(math.nan))


@given(point=points(CLIPPED), data=hyp.data())
def test_pieces_give_the_values_of_the_clipped_kinds_up_to_rounding(
    point: Point, data: hyp.DataObject
) -> None:
    """By the knots or by clipping: for one set of parameters and for an array of them."""
    x = data.draw(arguments(point).filter(lambda x: abs(x) < 1e300))
    phi = point.activation
    by_pieces = float(st.PiecewiseLinear.__call__(phi, x))
    size = max(abs(x), point.tau + (point.m or 0.0))
    assert abs(by_pieces - float(phi(x))) <= 2.0**-52 * size
    batch = ACTIVATIONS[point.kind](np.array([[point.tau], [2.0]]), np.array([point.m, 1.0, 3.0]))
    together = st.PiecewiseLinear.__call__(batch, np.full((4, 1, 1), x))
    assert together.shape == (4, 2, 3)
    assert np.all(together[:, 0, 0] == by_pieces)


@by_equation(KINDS)
@given(data=hyp.data())
def test_thresholds_and_clips_may_be_arrays(kind: str, data: hyp.DataObject) -> None:
    """Entry by entry the array gives what its entries give one at a time, bit for bit."""
    chosen = data.draw(hyp.lists(points([kind]), min_size=2, max_size=4))
    columns = [np.array([getattr(p, name) for p in chosen]) for name in ("tau", "m")]
    phi = ACTIVATIONS[kind](*(columns[:1] if kind in UNCLIPPED else columns))
    x = np.linspace(-3.0, 3.0, 7)[:, None] * np.sqrt([p.q for p in chosen])
    together = phi(x), phi.derivative(x)
    assert together[0].shape == together[1].shape == (7, len(chosen))
    for i, point in enumerate(chosen):
        assert np.array_equal(together[0][:, i], point.activation(x[:, i]))
        assert np.array_equal(together[1][:, i], point.activation.derivative(x[:, i]))


@given(point=generic_points(), x=hyp.floats(-10.0, 10.0))
def test_the_derivative_of_any_piecewise_linear_activation_is_its_slope_there(
    point: Generic, x: float
) -> None:
    """Between knots the slope of the piece; at a knot the smaller in size of its two neighbours."""
    phi, x = point.activation, x * math.sqrt(point.q)
    pieces = list(zip(point.slopes[:-1], point.knots, point.slopes[1:], strict=True))
    inside = next((left for left, knot, _ in pieces if x < knot), point.slopes[-1])
    if x not in point.knots:
        assert float(phi.derivative(x)) == inside
    for left, knot, right in pieces:
        smaller = left if abs(left) < abs(right) else right
        assert abs(float(phi.derivative(knot))) == abs(smaller)
    assert math.isnan(phi.derivative(math.nan))
    assert float(phi.derivative(-math.inf)) == point.slopes[0]
    assert float(phi.derivative(math.inf)) == point.slopes[-1]


def test_without_a_threshold_the_unclipped_kinds_are_the_relu_and_the_identity() -> None:
    x = np.linspace(-3.0, 3.0, 13)
    assert np.array_equal(st.ShiftedReLU()(x), np.maximum(x, 0.0))
    assert np.array_equal(st.SoftThreshold()(x), x)
    assert np.array_equal(st.SoftThreshold().derivative(x), np.ones(13))


def test_maps_are_taken_at_variance_one_unless_told() -> None:
    phi = st.ClippedReLU(1.0, 1.5)
    net = st.MeanField(phi, 3.0, q_star=1.0)
    assert net.sigma_b2 == 0.0
    assert phi.sparsity() == phi.sparsity(1.0)
    for name in ("correlation_map", "correlation_slope", "correlation_gap"):
        assert getattr(net, name)(0.3) == getattr(net, name)(0.3, 1.0)
    assert st.PiecewiseLinear([1.0], [0.0, 1.0])(1.0) == 0.0
    assert repr(st.jacobian_moments(net, 3)) == repr(st.jacobian_moments(net, 3, orthogonal=False))
