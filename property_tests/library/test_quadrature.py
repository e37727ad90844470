"""Activations given as functions, smooth ones included, against exact routes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import erf

import sparsity_theory as st
from property_tests.references.definitions import Number, mp
from property_tests.support.agreement import agree

TO_1E_10 = 1e-10  # what `Activation` promises, relative

MAPS = ("variance_map", "variance_slope", "variance_curvature", "chi")


def erf_activation() -> st.Activation:
    return st.Activation(erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x))


def tanh_activation() -> st.Activation:
    return st.Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2)


@pytest.mark.parametrize(
    "exact", [st.ClippedReLU(1.0, 1.2), st.ClippedSoftThreshold(0.5, 2.0), st.ShiftedReLU(0.3)]
)
def test_a_kinked_function_has_the_maps_of_its_closed_form(exact: st.PiecewiseLinear) -> None:
    given = st.Activation(exact, exact.derivative, exact.knots)
    net = st.edge_of_chaos(given, 0.8)
    closed = st.edge_of_chaos(exact, 0.8)
    q = np.array([0.2, 0.8, 5.0])
    for name in MAPS:
        for value, expected in zip(getattr(net, name)(q), getattr(closed, name)(q), strict=True):
            agree(name, value, float(expected), TO_1E_10, search=False, phi=exact)
    for rho in (-0.9, 0.0, 0.5, 0.99):
        for name in ("correlation_map", "correlation_slope"):
            expected = float(getattr(closed, name)(rho, 0.8))
            agree(name, getattr(net, name)(rho, 0.8), expected, TO_1E_10, scale=1, search=False)
    for gap in (1e-12 if len(exact.knots) == 1 else 1e-6, 1e-3, 1.5):
        expected = float(closed.correlation_gap(gap, 0.8))
        agree("gap", net.correlation_gap(gap, 0.8), expected, TO_1E_10, search=False, gap=gap)


@pytest.mark.parametrize("q", [1e-4, 0.5, 30.0])
def test_the_erf_network_has_the_arcsine_kernel_of_williams(q: float) -> None:
    """E erf(u1) erf(u2) = (2 / pi) asin(2 q rho / (1 + 2 q)), Williams (1997)."""
    phi = erf_activation()
    net = st.MeanField(phi, 1.0, 0.0)
    for rho in (-0.5, 0.3, 1.0):
        expected = 2 / mp.pi * mp.asin(2 * mp.mpf(q) * rho / (1 + 2 * mp.mpf(q))) / q
        agree("R", net.correlation_map(rho, q), expected, TO_1E_10, search=False, q=q, rho=rho)
    chi = 4 / mp.pi / mp.sqrt(1 + 4 * mp.mpf(q))
    agree("chi", net.chi(q), chi, TO_1E_10, search=False, q=q)


@pytest.mark.parametrize("q_star", [1e-3, 1.0, 10.0])
def test_tanh_has_its_edge_of_chaos(q_star: float) -> None:
    """sigma_b^2 vanishes like q*^2 as q* falls: it is not the difference of two larger numbers."""

    def mean(function: Callable[[Number], Number]) -> Number:
        root = mp.sqrt(mp.mpf(q_star))
        edges = [mp.mpf(k) / 2 for k in range(-28, 29)]
        return mp.quad(lambda z: function(root * z) * mp.npdf(z), edges)

    square = mean(lambda x: mp.tanh(x) ** 2)
    chi = mean(lambda x: mp.sech(x) ** 4)
    net = st.edge_of_chaos(tanh_activation(), q_star)
    agree("sigma_w^2", net.sigma_w2, 1 / chi, TO_1E_10, search=False)
    agree("sigma_b^2", net.sigma_b2, q_star - square / chi, TO_1E_10, search=False)


def test_tanh_has_one_fixed_point_on_its_edge_and_it_is_stable() -> None:
    (point,) = st.fixed_points(st.edge_of_chaos(tanh_activation(), 0.7))
    assert point.q == pytest.approx(0.7, rel=1e-9)
    assert point.stable


SMOOTH = [
    (st.SmoothClippedReLU, st.ClippedReLU),
    (st.SmoothClippedSoftThreshold, st.ClippedSoftThreshold),
]


@pytest.mark.parametrize(("smooth", "sharp"), SMOOTH)
def test_smooth_variants_tend_to_the_clipped_kinds(
    smooth: type[st.SmoothClippedReLU] | type[st.SmoothClippedSoftThreshold],
    sharp: type[st.ClippedReLU] | type[st.ClippedSoftThreshold],
) -> None:
    """Within log(2) / beta for each kink, and sigma_w^2 of the edge with them."""
    x = np.linspace(-5, 5, 1001)
    exact = sharp(1.0, 1.2)
    for beta in (5.0, 50.0, 500.0):
        phi = smooth(1.0, 1.2, beta)
        assert np.max(np.abs(phi(x) - exact(x))) <= math.log(2) / beta * (1 + 1e-12)
    weights = float(st.edge_of_chaos(smooth(1.0, 1.2, 500.0)).sigma_w2)
    assert weights == pytest.approx(float(st.edge_of_chaos(exact).sigma_w2), rel=0.01)


@pytest.mark.parametrize(("smooth", "sharp"), SMOOTH)
@pytest.mark.parametrize("beta", [2.0, 20.0, 200.0])
def test_the_derivative_of_a_smooth_variant_is_its_derivative(
    smooth: type[st.SmoothClippedReLU], sharp: object, beta: float
) -> None:
    """Central differences of step h err by h^2 beta^2 / 6 and by eps / h."""
    x = np.linspace(-4, 4, 401)
    phi, h = smooth(1.0, 1.2, beta), 1e-5 / beta
    difference = (phi(x + h) - phi(x - h)) / (2 * h)
    assert np.allclose(phi.derivative(x), difference, atol=1e-8 + 1e-15 / h)


def test_smooth_variants_can_be_solved_and_correlated() -> None:
    net = st.edge_of_chaos(st.SmoothClippedReLU(1.0364, 1.1704, 50.0))
    assert float(net.variance_map(1.0)) == pytest.approx(1, rel=1e-12)
    assert float(net.correlation_map(1.0)) == pytest.approx(1, rel=1e-11)
    assert float(net.correlation_gap(1e-9)) == pytest.approx(1e-9, rel=1e-3)
    assert st.fixed_points(net)[0].stable


def test_a_function_that_overflows_is_named() -> None:
    phi = st.Activation(lambda x: np.exp(x**3), lambda x: 3 * x**2 * np.exp(x**3))
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="not finite"):
        st.MeanField(phi, 1.0).variance_map(4.0)


@pytest.mark.parametrize(("tau", "m", "beta"), [(-1, 1, 5), (1, 0, 5), (1, 1, math.nan)])
def test_bad_parameters_of_smooth_variants_are_refused(tau: float, m: float, beta: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        st.SmoothClippedReLU(tau, m, beta)


@pytest.mark.parametrize("kink", [0.0, 1e-3, -1.0])
def test_fixed_points_are_found_whatever_the_kinks(kink: float) -> None:
    """A kink at zero is no scale to look near; one at -1 is. V(q) = 0.45 q + 0.3 for kink = 0."""
    relu = st.ShiftedReLU(kink)
    phi = st.Activation(relu, relu.derivative, [kink])
    found, expected = (st.fixed_points(st.MeanField(each, 0.9, 0.3)) for each in (phi, relu))
    assert [p.q for p in found] == pytest.approx([p.q for p in expected], rel=1e-8)
    assert [p.stable for p in found] == [p.stable for p in expected] == [True]


@pytest.mark.parametrize("kinks", [[-1.0, 1.0], [0.0], [1e-3], [-50.0, 50.0]])
@pytest.mark.claim("Oracle: input")
def test_what_needs_the_derivative_of_a_function_that_jumps_is_refused(kinks: list[float]) -> None:
    """Hardshrink, a step and more: phi' lacks the jump, chi_1 is infinite; V and R are right."""
    points = np.array(kinks)

    def function(x: Any) -> Any:
        return np.where(np.abs(x) > np.max(np.abs(points)), x, 0.0) + (x > points[0])

    phi = st.Activation(function, lambda x: (np.abs(x) > np.max(np.abs(points))) * 1.0, kinks)
    net = st.MeanField(phi, 1.0, q_star=1.0)
    assert np.isfinite(net.variance_map(1.0))
    assert np.isfinite(net.correlation_map(0.5))
    for name in ("variance_slope", "variance_curvature", "chi", "correlation_slope"):
        with pytest.raises(ValueError, match="it jumps at"):
            getattr(net, name)(0.5)
    with pytest.raises(ValueError, match="it jumps at"):
        net.correlation_gap(0.5)
    with pytest.raises(ValueError, match="it jumps at"):
        st.edge_of_chaos(phi)


def test_a_steep_rise_at_a_kink_is_no_jump() -> None:
    steep = st.Activation(
        lambda x: np.minimum(np.maximum(1e4 * x, 0.0), 1.0),
        lambda x: np.where((x > 0) & (x < 1e-4), 1e4, 0.0),
        [0.0, 1e-4],
    )
    exact = st.PiecewiseLinear([0.0, 1e-4], [0.0, 1e4, 0.0], 0.0)
    found, expected = (st.MeanField(phi, 1.0).chi(1.0) for phi in (steep, exact))
    assert float(found) == pytest.approx(float(expected), rel=1e-9)
