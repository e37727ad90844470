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


@pytest.mark.parametrize("x", [1e3, 1e14, 1e300])
def test_smooth_variants_are_clipped_at_m_however_large_the_input(x: float) -> None:
    relu, soft = (
        kind(1.0, 1.2, 20.0) for kind in (st.SmoothClippedReLU, st.SmoothClippedSoftThreshold)
    )
    assert [float(phi(x)) for phi in (relu, soft)] == [1.2, 1.2]
    assert [float(phi(-x)) for phi in (relu, soft)] == [0.0, -1.2]


@pytest.mark.parametrize("x", ["1", None, 1j, True])
def test_what_is_no_real_number_is_no_input_of_a_function_either(x: Any) -> None:
    for method in (tanh_activation(), tanh_activation().derivative):
        with pytest.raises(ValueError, match=r"^x must be real"):
            method(x)


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


def test_a_steep_rise_at_a_kink_is_no_jump() -> None:
    steep = st.Activation(
        lambda x: np.minimum(np.maximum(1e4 * x, 0.0), 1.0),
        lambda x: np.where((x > 0) & (x < 1e-4), 1e4, 0.0),
        [0.0, 1e-4],
    )
    exact = st.PiecewiseLinear([0.0, 1e-4], [0.0, 1e4, 0.0], 0.0)
    found, expected = (st.MeanField(phi, 1.0).chi(1.0) for phi in (steep, exact))
    assert float(found) == pytest.approx(float(expected), rel=1e-9)


def arcsine(q: float) -> Number:
    """E erf(u)^2."""
    return 2 / mp.pi * mp.asin(2 * mp.mpf(q) / (1 + 2 * mp.mpf(q)))


@pytest.mark.parametrize("q", [1e-12, 2.66e6, 1e8, 1e20, 1e200])
def test_features_of_the_activation_are_found_however_large_the_variance(q: float) -> None:
    """erf changes within a few units of x, which are 1e-4 and less of sqrt(q)."""
    net, wide = st.MeanField(erf_activation(), 1.0), 1 + 4 * mp.mpf(q)
    agree("V", net.variance_map(q), arcsine(q), TO_1E_10, search=False, q=q)
    slope = 4 / mp.pi / (1 + 2 * mp.mpf(q)) / mp.sqrt(wide)
    agree("V'", net.variance_slope(q), slope, TO_1E_10, search=False, q=q)
    agree("chi", net.chi(q), 4 / mp.pi / mp.sqrt(wide), TO_1E_10, search=False, q=q)


def test_correlations_of_erf_are_those_of_williams_at_a_large_variance() -> None:
    q, net = 2.66e6, st.MeanField(erf_activation(), 1.0)
    ratio = mp.mpf(q) / (1 + 2 * mp.mpf(q))
    agree("R", net.correlation_map(0.5, q), 2 / mp.pi * mp.asin(ratio) / q, 1e-10, search=False)
    slope = 4 / mp.pi / (1 + 2 * mp.mpf(q)) / mp.sqrt(1 - ratio**2)
    agree("R'", net.correlation_slope(0.5, q), slope, 1e-10, search=False)


def test_a_steep_and_an_oscillating_function_have_their_variances() -> None:
    """tanh(5000 x) by mpmath; E sin(a z)^2 = 1/2 for large a."""
    steep = st.Activation(
        lambda x: np.tanh(5000 * x), lambda x: 5000 * (1 - np.tanh(5000 * x) ** 2)
    )
    edges = [mp.mpf(0), *(mp.mpf(2) ** k for k in range(-20, 4))]
    exact = 2 * mp.quad(lambda z: mp.tanh(5000 * z) ** 2 * mp.npdf(z), edges)
    agree("V", st.MeanField(steep, 1.0).variance_map(1.0), exact, TO_1E_10, search=False)
    wave = st.Activation(lambda x: np.sin(1000 * x), lambda x: 1000 * np.cos(1000 * x))
    agree("V", st.MeanField(wave, 1.0).variance_map(1.0), 0.5, TO_1E_10, search=False)


def test_what_cannot_be_integrated_to_the_promise_is_refused() -> None:
    """Too many oscillations; phi' of a root is not square integrable."""
    wave = st.Activation(lambda x: np.sin(1e6 * x), lambda x: 1e6 * np.cos(1e6 * x))
    with pytest.raises(ValueError, match=r"no expectations at q = 1: .* varies too fast"):
        st.MeanField(wave, 1.0).variance_map(1.0)
    root = st.Activation(
        lambda x: np.sqrt(np.abs(x)),
        lambda x: np.sign(x) / (2 * np.sqrt(np.maximum(np.abs(x), 1e-300))),
        [0.0],
    )
    net = st.MeanField(root, 1.0)
    agree("V", net.variance_map(1.0), mp.sqrt(2 / mp.pi), TO_1E_10, search=False)
    with pytest.raises(ValueError, match="too large near a point"):
        net.chi(1.0)
    with pytest.raises(ValueError, match="cannot be told where it jumps"):
        st.MeanField(wave, 1.0).variance_slope(1.0)


def test_a_function_that_gives_one_number_for_all_points_is_constant() -> None:
    """V = sigma_w^2 c^2 + sigma_b^2, of any variance, and no slope."""
    phi = st.Activation(lambda x: 3.0, lambda x: 0.0)  # type: ignore[arg-type, return-value]
    assert phi(np.zeros((2, 5))).shape == phi.derivative(np.zeros((2, 5))).shape == (2, 5)
    net = st.MeanField(phi, 2.0, 0.5)
    assert net.variance_map([0.1, 1.0, 40.0]) == pytest.approx([18.5] * 3, rel=1e-12)
    assert net.variance_slope(1.0) == pytest.approx(0.0, abs=1e-12)


def hardshrink(kinks: tuple[float, ...] = (-1.0, 1.0)) -> st.Activation:
    return st.Activation(
        lambda x: np.where(np.abs(x) > 1, x, 0.0),
        lambda x: np.where(np.abs(x) > 1, 1.0, 0.0),
        kinks,
    )


@pytest.mark.claim("Oracle: input")
@pytest.mark.parametrize("kinks", [(-1.0, 1.0), ()], ids=["listed", "found"])
@pytest.mark.parametrize("q", [0.05, 1.0, 30.0])
def test_a_function_that_jumps_has_the_derivatives_of_its_variance_map(
    q: float, kinks: tuple[float, ...]
) -> None:
    """E phi^2 = 2 q (a gamma(a) + Q(a)) with a = 1 / sqrt(q), differentiated by mpmath."""

    def exact(q: Number) -> Number:
        a = 1 / mp.sqrt(q)
        return 2 * q * (a * mp.npdf(a) + mp.erfc(a / mp.sqrt(2)) / 2)

    net = st.MeanField(hardshrink(kinks), 1.0)
    agree("V", net.variance_map(q), exact(mp.mpf(q)), TO_1E_10, search=False)
    for name, order in (("variance_slope", 1), ("variance_curvature", 2)):
        derivative = mp.diff(exact, mp.mpf(q), order, relative=True)
        scale = exact(mp.mpf(q)) / mp.mpf(q) ** order  # V''(1) = 0
        agree(name, getattr(net, name)(q), derivative, TO_1E_10, scale, search=False, q=q)


@pytest.mark.parametrize("q", [0.3, 30.0, 1e4])
def test_a_staircase_has_the_slope_of_its_variance_map(q: float) -> None:
    """E round(u)^2 is the sum of (2 n - 1) P(|u| > n - 1/2), and its derivative a density."""
    stairs = st.Activation(lambda x: np.round(x), lambda x: np.zeros_like(x))
    exact = mp.nsum(
        lambda n: (2 * n - 1) * (n - 0.5) * mp.npdf((n - 0.5) / mp.sqrt(q)) / q ** mp.mpf(1.5),
        [1, math.ceil(13 * math.sqrt(q))],
    )
    agree("V'", st.MeanField(stairs, 1.0).variance_slope(q), exact, TO_1E_10, search=False, q=q)


@pytest.mark.parametrize("place", [-7.0, 0.1, 3.0, 40.0])
def test_a_steep_rise_is_found_where_no_kink_is(place: float) -> None:
    """chi of tanh(a (x - c)) for large a is the density at c times 4 a / 3, phi'^2 integrated."""
    a = 1e6
    steep = st.Activation(
        lambda x: np.tanh(a * (x - place)),
        lambda x: a / np.cosh(np.minimum(a * np.abs(x - place), 300)) ** 2,
    )
    q = max(1.0, place**2)
    expected = 4 * a / 3 * mp.npdf(place, 0, math.sqrt(q))
    assert float(st.MeanField(steep, 1.0).chi(q)) == pytest.approx(float(expected), rel=1e-9)


def test_what_is_rounded_to_single_precision_is_refused() -> None:
    single = st.Activation(lambda x: np.tanh(x.astype(np.float32)), lambda x: 1 - np.tanh(x) ** 2)
    with pytest.raises(ValueError, match="rounded too much"):
        st.MeanField(single, 1.0).variance_map(1.0)


def test_fixed_points_of_an_oscillating_function_are_told_as_far_as_its_variance_map() -> None:
    """V of sin(50 x) is sigma_w^2 (1 - exp(-5000 q)) / 2: its fixed point is sigma_w^2 / 2."""
    wave = st.Activation(lambda x: np.sin(50 * x), lambda x: 50 * np.cos(50 * x))
    with pytest.warns(RuntimeWarning, match="are looked for up to"):
        (point,) = st.fixed_points(st.MeanField(wave, 3.0))
    assert point.q == pytest.approx(1.5, rel=1e-10)


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.5, 0.95])
def test_a_function_that_jumps_has_the_slope_of_its_correlation_map(rho: float) -> None:
    """For a step at 0 the arcsine's; for Hardshrink by differences, which err by 1e-7."""
    step = st.Activation(lambda x: np.where(x > 0, 1.0, 0.0), np.zeros_like, [0.0])
    slope = st.MeanField(step, 1.0).correlation_slope(rho, 1.0)
    exact = 1 / (2 * mp.pi * mp.sqrt(1 - mp.mpf(rho) ** 2))
    agree("R'", slope, exact, TO_1E_10, search=False, rho=rho)
    net, h = st.MeanField(hardshrink(), 1.0), 1e-4
    ahead, behind = (float(net.correlation_map(rho + d, 1.0)) for d in (h, -h))
    difference = (ahead - behind) / (2 * h)
    assert float(net.correlation_slope(rho, 1.0)) == pytest.approx(difference, rel=1e-5)
    gap = float(net.correlation_map(1.0, 1.0)) - float(net.correlation_map(rho, 1.0))
    assert float(net.correlation_gap(1 - rho, 1.0)) == pytest.approx(gap, rel=1e-9)


def test_the_slope_of_the_correlation_map_of_a_function_that_jumps_ends_where_it_may() -> None:
    """R'(1) is infinite; so is R'(-1), with the sign of what meets there."""
    net = st.MeanField(hardshrink(), 1.0)
    assert net.correlation_slope([-1.0, 1.0], 1.0).tolist() == [math.inf, math.inf]
    step = st.Activation(lambda x: np.where(x > 1, 1.0, 0.0), np.zeros_like, [1.0])
    assert st.MeanField(step, 1.0).correlation_slope([-1.0, 1.0], 1.0).tolist() == [0.0, math.inf]


def test_the_gap_of_a_step_falls_like_the_root_of_the_gap_of_its_inputs() -> None:
    """1/2 - E = acos(1 - gap) / (2 pi)."""
    step = st.Activation(lambda x: np.where(x > 0, 1.0, 0.0), np.zeros_like, [0.0])
    for gap in (1e-12, 1e-6, 0.3):
        exact = mp.acos(1 - mp.mpf(gap)) / (2 * mp.pi)
        found = st.MeanField(step, 1.0).correlation_gap(gap, 1.0)
        agree("gap", found, exact, 1e-9, search=False, gap=gap)


def test_a_function_that_jumps_has_no_edge_of_chaos_and_is_told_why() -> None:
    net = st.MeanField(hardshrink(), 1.0, q_star=1.0)
    assert float(net.chi(1.0)) == float(net.correlation_slope(1.0)) == math.inf
    for call in (lambda: st.edge_of_chaos(hardshrink()), lambda: st.jacobian_moments(net, 3)):
        with pytest.raises(ValueError, match="jumps, so"):
            call()
    with pytest.raises(ValueError, match="jumps, so"):
        st.edge_of_chaos_for_bias(hardshrink(), 0.1)


@pytest.mark.parametrize("name", MAPS)
def test_of_no_variances_there_are_no_values(name: str) -> None:
    net = st.MeanField(tanh_activation(), 1.0)
    assert getattr(net, name)(np.zeros((0, 3))).shape == (0, 3)
    assert net.correlation_map([], 1.0).shape == (0,)
