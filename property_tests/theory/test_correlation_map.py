"""The correlation map R and its slope (Eqs. 4-6, 11, 19, Sec. 2, App. A, Figs. 6, 7, 12, 13).

The independent route fixes the first input, averages over the second in closed form, and leaves
one integral to SciPy's adaptive quadrature, split wherever either activation bends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as hyp
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr

import sparsity_theory as st
from property_tests.references.definitions import mp
from property_tests.support.agreement import agree
from property_tests.support.controls import doubled
from property_tests.support.strategies import (
    ACTIVATIONS,
    CLIPPED,
    KINDS,
    ODD,
    Generic,
    Point,
    edges,
    generic_points,
    log_uniform,
    points,
    sparsities,
)

INTEGRAL = 1e-10
"""Tolerance against numerical integration, relative to E[phi^2] (or to chi): SciPy's quad is asked
for 1e-12 on each of up to twenty pieces."""

WEIGHTS = (1.75, 0.25)
"""sigma_w^2 and sigma_b^2 where any do."""

CORRELATIONS = hyp.one_of(
    hyp.sampled_from([-1.0, 0.0, 1.0, 0.5, 1 - 1e-9, -1 + 1e-9]),
    hyp.floats(-1.0, 1.0),
    log_uniform(1e-12, 1.0).map(lambda gap: 1 - gap),
)


def hinges(point: Point) -> list[tuple[float, float]]:
    """Slope changes (where, by how much), with the slope zero at the left end (one-sided kinds)."""
    ends = [] if point.m is None else [(point.tau + point.m, -1.0)]
    return [(point.tau, 1.0), *ends]


def phi(point: Point, x: float) -> float:
    """The activation, as a sum of hinges."""
    right = math.fsum(by * max(x - at, 0.0) for at, by in hinges(point))
    left = math.fsum(by * max(-x - at, 0.0) for at, by in hinges(point))
    return right - left if point.kind in ODD else right


def smoothed(point: Point, mean: float, spread: float) -> float:
    """E[phi(mean + spread z)]."""

    def hinge(distance: float) -> float:
        if spread == 0:
            return max(distance, 0.0)
        a = distance / spread
        return distance * float(ndtr(a)) + spread * math.exp(-a * a / 2) / math.sqrt(2 * math.pi)

    right = math.fsum(by * hinge(mean - at) for at, by in hinges(point))
    left = math.fsum(by * hinge(-mean - at) for at, by in hinges(point))
    return right - left if point.kind in ODD else right


def smoothed_slope(point: Point, mean: float, spread: float) -> float:
    """E[phi'(mean + spread z)]."""

    def step(distance: float) -> float:
        return float(distance > 0) if spread == 0 else float(ndtr(distance / spread))

    right = math.fsum(by * step(mean - at) for at, by in hinges(point))
    left = math.fsum(by * step(-mean - at) for at, by in hinges(point))
    return right + left if point.kind in ODD else right


def gaussian_mean(
    point: Point,
    rho: float,
    integrand: Callable[[float, float, float], float],
    other: float | None = None,
) -> float:
    """E over u of integrand(u, mean and spread of the other input given u).

    ``other`` is the variance of the other input, that of the point where it is not given.
    """
    root, root2 = math.sqrt(point.q), math.sqrt(point.q if other is None else other)
    spread = root2 * math.sqrt((1 - rho) * (1 + rho))
    bends = [at / root for at, _ in hinges(point)] + [-at / root for at, _ in hinges(point)]
    # where the other activation bends, and the width over which it does so
    for at, _ in hinges(point):
        for sign in (1, -1):
            if rho:
                bends += [(sign * at + k * spread) / (rho * root2) for k in (-6, -2, 0, 2, 6)]
    cuts = sorted({-12.0, 12.0, 0.0, *(min(max(b, -12.0), 12.0) for b in bends)})

    def weighted(z: float) -> float:
        return integrand(root * z, rho * root2 * z, spread) * math.exp(-z * z / 2)

    parts = [
        quad(weighted, a, b, epsabs=1e-14, epsrel=1e-12, limit=200)[0] for a, b in pairwise(cuts)
    ]
    return math.fsum(parts) / math.sqrt(2 * math.pi)


def mean_product(point: Point, rho: float) -> float:
    """E[phi(u_1) phi(u_2)]."""
    return gaussian_mean(point, rho, lambda u, m, s: phi(point, u) * smoothed(point, m, s))


def mean_product_of_slopes(point: Point, rho: float) -> float:
    """E[phi'(u_1) phi'(u_2)]."""
    return gaussian_mean(
        point, rho, lambda u, m, s: smoothed_slope(point, u, 0.0) * smoothed_slope(point, m, s)
    )


ordinary = points(most=4.0, thinnest=0.05, thickest=20.0)


@pytest.mark.claim("Eq. 6")
@pytest.mark.control("Eq. 6", replace="sparsity_theory.PiecewiseLinear.mean_product", by=doubled)
@given(point=ordinary, rho=CORRELATIONS)
def test_the_correlation_map_is_the_mean_product_of_two_activations(
    point: Point, rho: float
) -> None:
    net = point.net(1.75, 0.25 * point.q)
    unit = Point(
        point.kind, point.tau / math.sqrt(point.q), point.m and point.m / math.sqrt(point.q), 1.0
    )
    expected = 1.75 * mean_product(unit, rho) + 0.25
    scale = 1.75 * float(unit.net().variance_map(1.0))
    agree(
        "R",
        net.correlation_map(rho, point.q),
        expected,
        INTEGRAL,
        scale=scale + 1e-3,
        point=point,
        rho=rho,
    )


@pytest.mark.claim("Eq. 19")
@pytest.mark.control(
    "Eq. 19", replace="sparsity_theory.PiecewiseLinear.mean_product_of_derivatives", by=doubled
)
@given(point=ordinary, rho=CORRELATIONS)
def test_the_slope_of_the_correlation_map_is_the_mean_product_of_two_slopes(
    point: Point, rho: float
) -> None:
    net = point.net(1.75)
    scale = float(net.chi(point.q))
    unit = Point(
        point.kind, point.tau / math.sqrt(point.q), point.m and point.m / math.sqrt(point.q), 1.0
    )
    expected = 1.75 * mean_product_of_slopes(unit, rho)
    agree(
        "R'",
        net.correlation_slope(rho, point.q),
        expected,
        INTEGRAL,
        scale=scale + 1e-3,
        point=point,
        rho=rho,
    )


@pytest.mark.claim("Eq. 19")
@given(point=points(most=3.0, thinnest=0.1, thickest=10.0), rho=hyp.floats(-0.9, 0.9))
def test_the_slope_is_the_derivative_of_the_correlation_map(point: Point, rho: float) -> None:
    """A central difference of step 1e-3, improved once: h^4 / 120 of the fifth derivative is left.

    That is at most 1e-9 at |rho| <= 0.9, times the size of the activation's fifth Hermite terms.
    """
    net = point.net()

    def difference(h: float) -> float:
        ends = net.correlation_map(np.array([rho + h, rho - h]), point.q)
        return float(ends[0] - ends[1]) / (2 * h)

    slope = (4 * difference(1e-3) - difference(2e-3)) / 3
    scale = float(net.chi(point.q)) + 1e-3
    agree("R'", net.correlation_slope(rho, point.q), slope, 1e-6, scale=scale, point=point, rho=rho)


@pytest.mark.claim("Eq. 6", "Eq. 11", "Eq. 19")
@given(point=edges(most=6.0))
def test_equal_inputs_stay_equal_and_the_slope_there_is_chi(point: Point) -> None:
    """R(1) = 1 at the fixed point, R'(1) = chi_1, and the gap closes by chi_1 to leading order.

    The next term of the gap is of relative order sqrt(gap), 1e-7 here, times a density of order
    1 / mass at a kink.
    """
    net = st.edge_of_chaos(point.activation, point.q)
    agree("R(1)", net.correlation_map(1.0, point.q), 1, 1e-14, point=point)
    chi = float(net.chi(point.q))
    agree("R'(1)", net.correlation_slope(1.0, point.q), chi, 1e-14, point=point)
    assume(float(net.sigma_w2) < 1e3)
    gap = 1e-14
    closed = float(net.correlation_gap(gap, point.q)) / gap
    agree("gap", closed, chi, 1e-7 * (10 + float(net.sigma_w2)), point=point)


@pytest.mark.claim("Eq. 6")
@given(point=edges(most=4.0, thinnest=0.05, thickest=20.0), gap=hyp.floats(0.0, 2.0))
@example(point=Point("relu", 0.0, None, 1.0), gap=2.0)
def test_the_correlation_gap_is_what_the_correlation_map_leaves(point: Point, gap: float) -> None:
    """1 - R(1 - gap), to the rounding of R; the quadratures of both routes allow 1e-12."""
    net = st.edge_of_chaos(point.activation, point.q)
    direct = 1 - float(net.correlation_map(1 - gap, point.q))
    agree(
        "the gap", net.correlation_gap(gap, point.q), direct, 1e-11, scale=1, point=point, gap=gap
    )


# ---------------------------------------------------------------- order, edge and chaos


def with_chi(activation: object, chi: float) -> st.MeanField | None:
    """The network with fixed point q* = 1 and this chi_1, if it exists (sigma_b^2 >= 0)."""
    plain = st.MeanField(activation, 1.0, 0.0)  # type: ignore[arg-type]
    sigma_w2 = chi / float(plain.chi(1.0))
    sigma_b2 = 1 - sigma_w2 * float(plain.variance_map(1.0))
    return None if sigma_b2 < 0 else st.MeanField(activation, sigma_w2, sigma_b2, 1.0)  # type: ignore[arg-type]


def crossings_below_one(net: st.MeanField) -> list[float]:
    """Every rho in [-1, 1) with R(rho) = rho that changes of sign show."""
    gaps = np.concatenate([np.geomspace(1e-9, 0.1, 40), np.linspace(0.12, 2.0, 95)])

    def excess(gap: float) -> float:
        return gap - float(net.correlation_gap(gap))

    signs = np.sign(gaps - net.correlation_gap(gaps))
    where = np.flatnonzero(signs[:-1] * signs[1:] < 0)
    return [1 - float(brentq(excess, gaps[i], gaps[i + 1])) for i in where]


activations = edges(most=3.0, thinnest=0.1, thickest=10.0).filter(
    lambda p: p.tau > 0.01 * math.sqrt(p.q)
)


@pytest.mark.claim("Sec. 2 correlations")
@given(point=activations, gap=hyp.one_of(log_uniform(1e-6, 1.0), hyp.floats(0.01, 2.0)))
def test_on_the_edge_of_chaos_correlations_grow(point: Point, gap: float) -> None:
    """R(rho) > rho, by so much that they reach one, and slower than any fixed factor a layer."""
    net = st.edge_of_chaos(point.activation, point.q)
    closed = float(net.correlation_gap(gap, point.q))
    assert closed < gap, f"R(rho) <= rho at gap {gap}, {point}"


@pytest.mark.claim("Sec. 2 correlations")
@given(rho=hyp.floats(-1.0, 1.0))
def test_a_linear_network_keeps_every_correlation(rho: float) -> None:
    """Why the claim needs an activation that is not linear."""
    net = st.edge_of_chaos(st.SoftThreshold(0.0))
    agree("R", net.correlation_map(rho), rho, 1e-15, scale=1, rho=rho)


@pytest.mark.claim("App. A ordered", "Misprint App. B", reading="both")
@given(kind=hyp.sampled_from(KINDS), chi=hyp.floats(0.1, 0.95), data=hyp.data())
def test_in_the_ordered_phase_nearby_inputs_align(
    kind: str, chi: float, data: hyp.DataObject
) -> None:
    """chi_1 < 1 makes rho = 1 stable (App. B prints unstable): gaps shrink by chi_1 a layer."""
    s = data.draw(hyp.floats(0.5, 0.95))
    phi_s = _designed(kind, s)
    net = with_chi(phi_s, chi)
    assert net is not None  # lower weights than on the edge leave more for the bias
    gaps = np.geomspace(1e-10, 1e-2, 9)
    closed = net.correlation_gap(gaps) / gaps
    assert np.all(closed <= chi * (1 + 1e-9))
    assert crossings_below_one(net) == []


@pytest.mark.claim("App. A chaotic")
@given(kind=hyp.sampled_from(KINDS), chi=hyp.floats(1.05, 1.5), data=hyp.data())
def test_in_the_chaotic_phase_a_fixed_point_below_one_emerges(
    kind: str, chi: float, data: hyp.DataObject
) -> None:
    """One crossing, at which R' < 1; nearby inputs part."""
    net = with_chi(_designed(kind, data.draw(hyp.floats(0.55, 0.95))), chi)
    assume(net is not None)
    assert net is not None
    assert float(net.correlation_gap(1e-9)) > 1e-9
    crossings = crossings_below_one(net)
    assert len(crossings) == 1
    assert float(net.correlation_slope(crossings[0])) < 1


def _designed(kind: str, s: float) -> object:
    if kind in CLIPPED:
        return ACTIVATIONS[kind].for_sparsity(s, slope=0.7)
    return ACTIVATIONS[kind].for_sparsity(s)


FIGURES = [
    pytest.param(
        ACTIVATIONS[kind](*parameters),
        id=f"{name} tau={parameters[0]}" + "".join(f" m={m}" for m in parameters[1:]),
        marks=pytest.mark.claim(name, evidence="identity"),
    )
    for name, kind, grid in (
        ("Fig. 6", "relu", [(0.25,), (0.5,), (1.0,)]),
        ("Fig. 7", "st", [(0.25,), (0.5,), (1.0,)]),
        ("Fig. 12", "crelu", [(t, m) for t in (0.0, 0.25, 0.5, 1.0) for m in (1.0, 1.5, 2.0)]),
        ("Fig. 13", "cst", [(t, m) for t in (0.0, 0.25, 0.5, 1.0) for m in (1.0, 1.5, 2.0)]),
    )
    for parameters in grid
]


@pytest.mark.parametrize("activation", FIGURES)
def test_correlation_maps_cross_the_diagonal_below_one_in_the_chaotic_phase_only(
    activation: object,
) -> None:
    """On, and on either side of, the edge; networks without a fixed point are left out."""
    for chi, expected in ((0.8, 0), (1.0, 0), (1.25, 1)):
        net = with_chi(activation, chi)
        if net is not None:
            assert len(crossings_below_one(net)) == expected, f"chi_1 = {chi}"
        else:
            assert chi > 1


# ---------------------------------------------------------------- convolutional layers


@pytest.mark.claim("Eq. 4", "Eq. 5")
@pytest.mark.control("Eq. 4", "Eq. 5", replace="sparsity_theory.covariance_map", by=doubled)
@given(
    kind=hyp.sampled_from(KINDS),
    rho=hyp.floats(-0.1, 1.0),
    n=hyp.integers(2, 6),
    k=hyp.integers(0, 2),
    data=hyp.data(),
)
def test_equally_correlated_positions_stay_so_with_the_maps_of_dense_layers(
    kind: str, rho: float, n: int, k: int, data: hyp.DataObject
) -> None:
    """At the fixed point q = 1 the diagonal stays, and rho off it goes to R(rho)."""
    phi_s = _designed(kind, data.draw(sparsities(kind).filter(lambda s: 0.5 <= s < 0.95)))
    net = st.edge_of_chaos(phi_s)  # type: ignore[arg-type]
    delta = np.eye(n)
    after = st.covariance_map(net, delta + (1 - delta) * rho, k)
    expected = delta + (1 - delta) * float(net.correlation_map(rho))
    assert np.allclose(after, expected, rtol=0, atol=1e-12)


@pytest.mark.claim("Eq. 4")
@given(kind=hyp.sampled_from(KINDS), k=hyp.integers(0, 2), angle=hyp.floats(0.1, 1.5))
def test_the_covariance_map_averages_over_the_kernel(kind: str, k: int, angle: float) -> None:
    """Eq. 4 summed position by position, positions taken modulo their number."""
    n, q = 5, 0.8
    net = st.MeanField(_designed(kind, 0.7), 1.75, 0.25)  # type: ignore[arg-type]
    positions = np.arange(n)
    sigma = q * np.cos(angle * np.abs(positions[:, None] - positions[None, :]))
    products = (q * net.correlation_map(sigma / q, q) - 0.25) / 1.75
    after = st.covariance_map(net, sigma, k)
    for i in range(n):
        for j in range(n):
            terms = [products[(i + b) % n, (j + b) % n] for b in range(-k, k + 1)]
            expected = 0.25 + 1.75 / (2 * k + 1) * math.fsum(terms)
            assert math.isclose(after[i, j], expected, rel_tol=0, abs_tol=1e-13)


DEAD_ZONES = [([-1.5, 2.0], [0.7, 0.0, 1.0]), ([-3.0, 0.5, 1.0], [-1.0, 0.0, 2.0, 0.5])]
"""Silent around zero, with kinks on both sides that are no mirror images."""


@pytest.mark.claim("Eq. 6")
@pytest.mark.parametrize(("knots", "slopes"), DEAD_ZONES)
@pytest.mark.parametrize("rho", [-1.0, -0.999, -0.9, -0.5, -0.1, 0.3, 0.95])
def test_an_uneven_dead_zone_has_its_correlations_at_every_sign(
    knots: list[float], slopes: list[float], rho: float
) -> None:
    """Both inputs beyond different ends of it: an expansion from rho = -1, against quadrature."""
    phi = st.PiecewiseLinear(knots, slopes)
    by_quadrature = st.Activation(phi, phi.derivative, knots)
    one, at = np.ones(()), np.array(rho)
    for name in ("mean_product", "mean_product_of_derivatives"):
        exact = float(getattr(by_quadrature, name)(at, one))
        scale = float(getattr(by_quadrature, name)(np.ones(()), one))
        agree(name, getattr(phi, name)(at, one), exact, 1e-10, scale=scale, search=False)


@pytest.mark.claim("Eq. 6")
def test_correlations_broadcast_over_thresholds_variances_and_correlations() -> None:
    """Every entry is what it is alone, up to the rounding of sums of another length."""
    tau, q, rho = (
        np.array([-0.5, 0.3, 2.0]),
        np.array([[0.5], [1.0]]),
        np.array([[[-0.5]], [[0.9]]]),
    )
    net = st.MeanField(st.ClippedReLU(tau, 0.8), 1.75, 0.25)
    together = net.correlation_map(rho, q)
    assert together.shape == (2, 2, 3)
    for i, j, k in np.ndindex(together.shape):
        alone = st.MeanField(st.ClippedReLU(tau[k], 0.8), 1.75, 0.25)
        expected = float(alone.correlation_map(rho[i, 0, 0], q[j, 0]))
        agree("R", together[i, j, k], expected, 1e-14, search=False)


@pytest.mark.claim("Eq. 4")
@given(point=ordinary, ratio=log_uniform(0.1, 10.0), rho=CORRELATIONS)
def test_positions_of_different_variance_are_covered_too(
    point: Point, ratio: float, rho: float
) -> None:
    """Price's integral over the covariance, against one over an input and a closed form."""
    q1, q2 = point.q, ratio * point.q
    cross = rho * math.sqrt(q1) * math.sqrt(q2)
    sigma = np.array([[q1, cross], [cross, q2]])
    after = st.covariance_map(point.net(*WEIGHTS), sigma, 0)
    mean = gaussian_mean(point, rho, lambda u, m, s: phi(point, u) * smoothed(point, m, s), q2)
    expected = WEIGHTS[0] * mean + WEIGHTS[1]
    assert after[0, 1] == after[1, 0]
    scale = float(np.max(after))
    agree("Eq. 4", after[0, 1], expected, INTEGRAL, scale=scale, point=point, ratio=ratio, rho=rho)
    for place, q in enumerate((q1, q2)):
        agree(
            f"V at {place}",
            after[place, place],
            point.net(*WEIGHTS).variance_map(q),
            1e-12,
            scale=scale,
        )


def test_any_activation_has_a_covariance_map_at_different_variances() -> None:
    """By nested quadrature: the same function given as a function, and as straight pieces."""
    phi = st.ClippedReLU(0.3, 1.1)
    given_as_function = st.Activation(phi, phi.derivative, phi.knots)
    sigma = np.array([[0.7, 0.5, -0.2], [0.5, 1.6, 0.1], [-0.2, 0.1, 0.9]])
    found, expected = (
        st.covariance_map(st.MeanField(each, *WEIGHTS), sigma, 1)
        for each in (given_as_function, phi)
    )
    assert np.allclose(found, expected, rtol=1e-10, atol=0)


@pytest.mark.claim("Eq. 4")
@given(point=points(most=4.0, thinnest=0.05, thickest=1e3), rho=hyp.floats(-1.0, 1.0))
def test_the_route_for_unequal_variances_agrees_with_the_one_for_equal_ones(
    point: Point, rho: float
) -> None:
    """The first is one integral from zero correlation; the second is many routes, each exact.

    The two ends of a piece of width w cancel in the first to a part w^2 of their size: 1e-16 / w^2.
    """
    q, correlation = np.array(point.q), np.array(rho)
    found = point.activation.mean_product_between(correlation, q, q)
    expected = point.activation.mean_product(correlation, q)
    scale = float(point.activation.mean_square(q))
    agree("E phi phi", found, float(expected), 1e-12, scale=scale, point=point, rho=rho)


@given(point=generic_points())
def test_the_mean_slope_counts_both_halves_of_the_line_with_their_signs(point: Generic) -> None:
    """E phi' enters the covariance at unequal variances; Stein's lemma gives it as E z phi."""
    q = point.q
    root = mp.sqrt(q)
    stein = point.function.mean(q, lambda p: (0, p.intercept / root, p.slope))
    found = point.activation.mean_derivative_power(np.array(q), 1)
    agree("E phi'", found, stein, 1e-14, scale=max(map(abs, point.slopes)) + 1e-300, point=point)


@pytest.mark.claim("Misprint Eq. 5", reading="both")
@given(q=log_uniform(0.01, 100.0), rho=hyp.floats(-1.0, 0.99))
def test_equation_5_needs_its_bracket_closed_before_the_correlation(q: float, rho: float) -> None:
    """As printed the diagonal would be q (2 - rho), and off it q, whatever rho."""

    def meant(delta: int) -> float:
        return q * (delta + (1 - delta) * rho)

    def as_printed(delta: int) -> float:
        return q * (delta + (1 - delta * rho))

    assert (meant(1), meant(0)) == (q, q * rho)
    assert as_printed(1) != q
    assert as_printed(0) != q * rho
