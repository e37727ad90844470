"""The balls that proofs are made of: against definitions, the library, and as enclosures."""

from __future__ import annotations

from typing import Any

import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.references.balls import (
    CorrelationMap,
    Network,
    density,
    mass,
    mean_square,
    quantile,
    stability_growth,
    with_chi,
)
from property_tests.references.definitions import (
    Function,
    mp,
    normal_quantile,
    of_kind,
    partial_moments,
)
from property_tests.references.forms import CURVATURE, MASS, MEAN_SQUARE, SLOPE, W, Z
from property_tests.support.agreement import agree
from property_tests.support.strategies import ACTIVATIONS, CLIPPED, KINDS, Point, points

PRECISION = 400
"""Bits enough for closed forms that cancel to 1e-60 of their terms."""


def exactly(x: Any) -> arb:
    """A ball around a 50-digit number."""
    return arb(mp.nstr(x, 45))


def network(point: Point) -> Network:
    """E[phi^2] alone: sigma_w^2 = 1 and sigma_b^2 = 0."""
    m = None if point.m is None else arb(point.m)
    return Network(point.kind, arb(point.tau), m, arb(1), arb(0))


@given(point=points(most=8.0, thinnest=1e-3, thickest=1e3))
def test_balls_are_the_expectations_of_the_definitions(point: Point) -> None:
    """To 1e-30 of the 50-digit references, whose derivatives are numerical.

    The worst of 300 random points is off by 5e-38, in V'.
    """
    with ctx.workprec(PRECISION):
        net, q, function = network(point), arb(point.q), point.function
        for what, value, expected in (
            ("V", net.variance_map(q), function.mean_square(point.q)),
            ("V'", net.variance_slope(q), function.mean_square_slope(point.q)),
            ("chi", net.chi(q), function.mean_square_derivative(point.q)),
        ):
            agree(what, mp.mpf(value.str(45, radius=False)), expected, 1e-30, point=point)
        curvature = net.variance_curvature(q)
        scale = function.mean_square(point.q) / point.q**2
        agree(
            "V''",
            mp.mpf(curvature.str(45, radius=False)),
            function.mean_square_curvature(point.q),
            1e-30,
            scale=scale,
            point=point,
        )


@given(point=points(most=8.0, thinnest=1e-2, thickest=1e2))
def test_the_library_agrees_with_the_balls(point: Point) -> None:
    """To 1e-13, the accuracy that it states; the worst of 300 random points is off by 9e-16."""
    with ctx.workprec(PRECISION):
        net, balls = point.net(), network(point)
        for what, value, ball in (
            ("V", net.variance_map(point.q), balls.variance_map(arb(point.q))),
            ("V'", net.variance_slope(point.q), balls.variance_slope(arb(point.q))),
            ("chi", net.chi(point.q), balls.chi(arb(point.q))),
        ):
            agree(what, value, mp.mpf(ball.str(45, radius=False)), 1e-13, point=point)


@given(
    point=points(kinds=CLIPPED, most=3.0, thinnest=0.1, thickest=5.0),
    width=hyp.floats(0, 0.2),
    shares=hyp.tuples(*[hyp.floats(0, 1)] * 3),
)
def test_wide_balls_enclose_the_values_inside(
    point: Point, width: float, shares: tuple[float, float, float]
) -> None:
    """What every proof rests on: no value of a formula on a box is outside of its ball."""
    assert point.m is not None
    low = [arb(x) for x in (point.tau, point.m, point.q)]
    high = [x * (1 + arb(width)) for x in low]
    wide = [x.union(y) for x, y in zip(low, high, strict=True)]
    inside = [x + s * (y - x) for x, y, s in zip(low, high, shares, strict=True)]
    for name in ("variance_map", "variance_slope", "variance_curvature", "chi"):
        values = [getattr(with_chi(point.kind, tau, m), name)(q) for tau, m, q in (wide, inside)]
        assert not values[0].is_finite() or values[0].overlaps(values[1]), name


@pytest.mark.parametrize("a", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("w", [0.1, 1.0, 6.0])
def test_exact_forms_have_the_values_of_the_balls(a: float, w: float) -> None:
    """The last is the derivative of SLOPE / MASS in w, by the quotient rule."""
    unit = Network("crelu", arb(a), arb(w), arb(1), arb(0))
    with ctx.workprec(PRECISION):
        for form, value in (
            (MASS, mass(arb(a), arb(w))),
            (MEAN_SQUARE, mean_square(arb(a), arb(w))),
            (SLOPE, unit.variance_slope(arb(1))),
            (CURVATURE, unit.variance_curvature(arb(1))),
        ):
            assert abs(form.value(arb(a), arb(w)) - value) < 1e-50
        growth = density(arb(a) + arb(w)) * (MASS.times(W * Z) - SLOPE).value(arb(a), arb(w))
        assert abs(growth / mass(arb(a), arb(w)) ** 2 - stability_growth(arb(a), arb(w))) < 1e-50


@pytest.mark.parametrize("s", ["0.5", "0.6", "0.85", "0.9999"])
def test_the_normal_quantile_is_enclosed(s: str) -> None:
    with ctx.workprec(100):
        assert quantile(arb(s)).overlaps(exactly(normal_quantile(mp.mpf(s))))


def product_mean(function: Function, rho: Any) -> Any:
    """E[phi(u_1) phi(u_2)] at q = 1: over u_2 exactly, given u_1, and over u_1 by quadrature."""
    rest = mp.sqrt(1 - rho**2)

    def mean_given(x: Any) -> Any:
        total = mp.mpf(0)
        for piece in function.pieces:
            ends = (piece.lower - rho * x) / rest, (piece.upper - rho * x) / rest
            none, one = partial_moments(*ends, 1)
            total += (piece.slope * rho * x + piece.intercept) * none if none else 0
            total += piece.slope * rest * one if piece.slope else 0
        return total

    with mp.workdps(20):
        ends = [-12, *function.kinks(), 12]
        return mp.quad(lambda x: function(x) * mean_given(x) * mp.npdf(x), ends)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("angle", [0.25, 1.0, 2.0, 3.0])
def test_correlation_maps_in_balls_are_those_of_the_definition_and_of_the_library(
    kind: str, angle: float
) -> None:
    """Price's theorem and two integrations against quadrature of phi(u_1) phi(u_2).

    To 1e-16, with quadrature to 20 digits; the library to 1e-14, and its own tests say more.
    """
    tau, m = 0.5, None if kind in ("relu", "st") else 1.25
    library = st.edge_of_chaos(ACTIVATIONS[kind](*(x for x in (tau, m) if x is not None)))
    with ctx.workprec(100):
        net = with_chi(kind, arb(tau), None if m is None else arb(m))
        correlations = CorrelationMap(net, arb(1))
        rho = mp.cos(mp.mpf(angle))
        value, slope = correlations.value(arb(angle)), correlations.slope(arb(angle))
        product = exactly(product_mean(of_kind(kind, tau, m), rho))
        assert abs(value - (net.sigma_w2 * product + net.sigma_b2)) < 1e-16
        for what, got, expected in (
            ("R", library.correlation_map(float(rho)), value),
            ("R'", library.correlation_slope(float(rho)), slope),
        ):
            agree(what, got, float(expected), 1e-14, scale=1, search=False)
