"""Phases, the fixed point of R, depth scales (App. A), and the edge at a given bias (Fig. 8)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.references.definitions import Number, mp, of_kind
from property_tests.support.agreement import agree
from property_tests.support.strategies import Point, edges

CLIPPED_EDGES = edges(["crelu", "cst"])


def off_the_edge(point: Point, chi: float) -> st.MeanField | None:
    """The same q* with chi_1 = chi, where there is such a network."""
    edge = st.edge_of_chaos(point.activation, point.q)
    sigma_w2 = chi * float(edge.sigma_w2)
    mean_square = float(st.MeanField(point.activation, 1.0).variance_map(point.q))
    sigma_b2 = point.q - sigma_w2 * mean_square
    if sigma_b2 < 0:
        return None
    return st.MeanField(point.activation, sigma_w2, sigma_b2, point.q)


@pytest.mark.claim("App. A ordered", "App. A chaotic")
@given(point=CLIPPED_EDGES, chi=hyp.sampled_from([0.5, 0.99, 1.01, 1.5]))
def test_the_phase_is_told_by_chi(point: Point, chi: float) -> None:
    net = off_the_edge(point, chi)
    if net is not None:
        assert str(st.phase(net)) == ("ordered" if chi < 1 else "chaotic")
    assert str(st.phase(st.edge_of_chaos(point.activation, point.q))) == "critical"


@pytest.mark.claim("App. A chaotic", "Fig. 12", "Fig. 13")
@given(point=CLIPPED_EDGES, chi=hyp.floats(1.001, 1.6))
def test_in_the_chaotic_phase_rho_star_is_a_stable_fixed_point_below_one(
    point: Point, chi: float
) -> None:
    """R(rho*) = rho* to the rounding of R, a few ulps of 1; R' < 1 there, so it attracts."""
    net = off_the_edge(point, chi)
    if net is None:
        return
    rho = float(st.correlation_fixed_point(net))
    assert 0 <= rho < 1
    agree("R", net.correlation_map(rho, point.q), rho, 1e-14, scale=1, point=point, chi=chi)
    assert float(net.correlation_slope(rho, point.q)) < 1


@pytest.mark.claim("App. A ordered")
@given(point=CLIPPED_EDGES)
def test_without_chaos_inputs_end_fully_aligned(point: Point) -> None:
    assert float(st.correlation_fixed_point(st.edge_of_chaos(point.activation, point.q))) == 1
    net = off_the_edge(point, 0.8)
    assert net is not None
    assert float(st.correlation_fixed_point(net)) == 1


@pytest.mark.claim("App. A ordered", "App. A chaotic")
@pytest.mark.parametrize("chi", [0.9, 1.2])
def test_correlations_approach_rho_star_over_the_depth_scale(chi: float) -> None:
    """One e-fold in xi_c layers: a hundred layers from nearby, where R is nearly linear."""
    net = off_the_edge(Point("crelu", 1.0, 1.2, 1.0), chi)
    assert net is not None
    rho_star = float(st.correlation_fixed_point(net))
    _, xi = st.depth_scales(net)
    gaps = [-1e-6]
    for _ in range(20):
        gaps.append(float(net.correlation_map(rho_star + gaps[-1])) - rho_star)
    rate = math.log(gaps[10] / gaps[20]) / 10
    # R bends: R'' is of order 10 near rho* (or gap^(-1/2) at 1), times a distance below 1e-6.
    assert rate == pytest.approx(1 / float(xi), rel=0.02)


@pytest.mark.claim("Eq. 4", "Eq. 5")
@pytest.mark.parametrize("chi", [0.9, 1.0, 1.3])
def test_the_covariance_of_a_ring_has_the_correlations_fixed_point(chi: float) -> None:
    """It is a fixed point to rounding, and layers approach it from unequal correlations."""
    net = off_the_edge(Point("cst", 0.8, 1.2, 1.0), chi)
    assert net is not None
    fixed = st.covariance_fixed_point(net, 6)
    assert np.allclose(st.covariance_map(net, fixed, 1), fixed, rtol=0, atol=1e-14)
    lag = np.abs(np.subtract.outer(range(6), range(6)))
    sigma = 0.6 ** np.minimum(lag, 6 - lag)
    distance = [float(np.max(np.abs(sigma - fixed)))]
    for _ in range(30):
        sigma = st.covariance_map(net, sigma / sigma[0, 0], 1)
        np.fill_diagonal(sigma, 1.0)
        distance.append(float(np.max(np.abs(sigma - fixed))))
    assert distance[-1] < 0.1 * distance[0] if chi == 1 else distance[-1] < 0.05 * distance[0]


@pytest.mark.claim("Sec. 3 rate")
@pytest.mark.parametrize("slope", [0.5, 0.7, 0.9])
def test_on_the_edge_only_the_variance_has_a_depth_scale(slope: float) -> None:
    xi_q, xi_c = st.depth_scales(st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope)))
    assert float(xi_q) == pytest.approx(-1 / math.log(slope), rel=1e-13)
    assert float(xi_c) == math.inf


@pytest.mark.claim("Eq. 3")
@pytest.mark.parametrize("depth", [0, 1, 7])
def test_a_trajectory_is_the_variance_map_time_and_again(depth: int) -> None:
    """From q^0 to q^depth, for starts of any shape."""
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85))
    start = np.array([0.5, 1.0, 3.0])
    path = net.trajectory(start, depth)
    assert path.shape == (depth + 1, 3)
    assert np.array_equal(path[0], start)
    assert np.array_equal(path[1:], net.variance_map(path[:-1]))


@pytest.mark.claim("Fig. 8")
@pytest.mark.parametrize(
    "phi",
    [
        st.ShiftedReLU(1.0),
        st.SoftThreshold(0.25),
        st.ClippedReLU(1, 1),
        st.PiecewiseLinear([1.0, 2.0], [0.0, 2.0, 0.5]),
    ],
)
def test_the_edge_is_found_for_any_bias(phi: st.PiecewiseLinear) -> None:
    """sigma_b^2 comes back to a few ulps: an ulp of q* moves it by at most two."""
    wanted = np.array([[0.01, 0.5], [3.0, 100.0]])
    net = st.edge_of_chaos_for_bias(phi, wanted)
    assert net.q_star is not None
    assert np.shape(net.q_star) == wanted.shape
    assert np.allclose(net.sigma_b2, wanted, rtol=1e-14, atol=0)
    assert np.allclose(net.variance_map(net.q_star), net.q_star, rtol=1e-13, atol=0)
    assert np.allclose(net.chi(net.q_star), 1, rtol=1e-13, atol=0)


@pytest.mark.claim("Fig. 8")
def test_the_edge_is_found_for_a_small_bias_where_biases_begin_below_zero() -> None:
    """Functions that are not 0 at 0 have no edge at small variances; q* is there to 1e-13."""
    net = st.edge_of_chaos_for_bias(st.ClippedReLU(-0.3, 1.0), [1e-8, 1e-4])
    assert np.allclose(net.sigma_b2, [1e-8, 1e-4], rtol=0, atol=1e-13)


@pytest.mark.claim("Fig. 8")
def test_along_the_edge_weights_fall_and_biases_grow_with_the_fixed_point() -> None:
    """For the unclipped kinds sigma_w^2 falls towards 2 and 1, its values at tau = 0."""
    q_star = np.geomspace(0.1, 1e8, 60)
    for phi, limit in ((st.ShiftedReLU(1.0), 2.0), (st.SoftThreshold(1.0), 1.0)):
        net = st.edge_of_chaos(phi, q_star)
        assert np.all(np.diff(net.sigma_w2) < 0)
        assert np.all(np.diff(net.sigma_b2) > 0)
        assert np.asarray(net.sigma_w2)[-1] == pytest.approx(limit, rel=2e-4)


def test_a_bias_that_the_edge_never_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sigma_b2 is at most 0 .*got 0\.1"):
        st.edge_of_chaos_for_bias(st.ShiftedReLU(0.0), 0.1)
    for kind in (st.ShiftedReLU(1.0), st.SoftThreshold(1.0), st.ClippedReLU(1, 1)):
        with pytest.raises(ValueError, match=r"sigma_b2 is at least 0\.000\d* .*got 1e-06"):
            st.edge_of_chaos_for_bias(kind, [1.0, 1e-6])
    with pytest.raises(ValueError, match="scalar parameters"):
        st.edge_of_chaos_for_bias(st.ShiftedReLU([1.0, 2.0]), 0.1)
    with pytest.raises(ValueError, match="q_star is not known"):
        st.phase(st.MeanField(st.ShiftedReLU(1.0), 2.0, 0.1))


def edge_excess(tau: float, m: float, q: float) -> Number:
    """V(q) - q on the edge of chaos at q* = 1, from the definition."""
    function = of_kind("crelu", tau, m)
    sigma_w2 = 1 / function.mean_square_derivative(1)
    sigma_b2 = 1 - sigma_w2 * function.mean_square(1)
    return sigma_w2 * function.mean_square(q) + sigma_b2 - mp.mpf(q)


@pytest.mark.claim("Sec. 3.1 bifurcation", evidence="identity")
@pytest.mark.parametrize("kind", [st.ClippedReLU, st.ClippedSoftThreshold])
@pytest.mark.parametrize("s", [0.51, 0.6, 0.85, 0.99])
def test_two_fixed_points_are_born_at_the_bifurcation(
    kind: type[st.ClippedReLU] | type[st.ClippedSoftThreshold], s: float
) -> None:
    """V touches the identity there, and a billionth to either side there are one and three."""
    born = st.bifurcation(kind, s)
    tau = float(kind.for_sparsity(s).tau)
    agree("V - q", 1 + edge_excess(tau, born.m, born.q), 1, 1e-13, search=False, s=s)
    for factor, number in ((1 - 1e-9, 1), (1 + 1e-9, 3)):
        net = st.edge_of_chaos(kind(tau, born.m * factor))
        assert len(st.fixed_points(net)) == number


@pytest.mark.claim("Sec. 3.1 bifurcation", evidence="identity")
def test_the_rows_of_the_paper_lie_where_the_bifurcation_says() -> None:
    """At s = 0.85 new fixed points are born at V'(q*) = 0.921 for CReLU and 0.840 for CST."""
    crelu, cst = (st.bifurcation(kind, 0.85) for kind in (st.ClippedReLU, st.ClippedSoftThreshold))
    assert crelu.slope == pytest.approx(0.92052, abs=5e-6)
    assert cst.slope == pytest.approx(0.84025, abs=5e-6)
    scaled = st.bifurcation(st.ClippedReLU, 0.85, 4.0)
    assert st.bifurcation("cst", 0.85) == cst
    assert (scaled.m, scaled.q) == pytest.approx((2 * crelu.m, 4 * crelu.q), rel=1e-9)


def test_without_a_positive_threshold_there_is_no_bifurcation() -> None:
    with pytest.raises(ValueError, match="positive tau"):
        st.bifurcation(st.ClippedReLU, 0.5)


@pytest.mark.claim("Fig. 4a", evidence="identity")
def test_the_near_tangency_of_crelu_at_slope_0_9_is_a_slope_of_0_976() -> None:
    """V' rises from 0.9 at q* to 0.976 at q = 1.44, and V stays two percent below the identity."""
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, 0.9))
    point = st.steepest_point(net)
    assert point.q == pytest.approx(1.442, abs=5e-4)
    assert point.slope == pytest.approx(0.97590, abs=5e-6)
    assert point.excess == pytest.approx(-0.0209, abs=5e-5)
    around = point.q * np.array([0.99, 1.01])
    assert np.all(net.variance_slope(around) < point.slope)


@pytest.mark.claim("App. A chaotic")
def test_phases_side_by_side_have_the_correlations_that_each_has_alone() -> None:
    """One array of networks, ordered, critical and chaotic at q = 1."""
    phi = st.ClippedReLU(0.5, 1.0)
    chi = np.array([0.8, 1.0, 1.2, 1.5])
    sigma_w2 = chi / float(phi.mean_derivative_power(np.ones(()), 2))
    sigma_b2 = 1 - sigma_w2 * float(phi.mean_square(np.ones(())))
    nets = st.MeanField(phi, sigma_w2, sigma_b2, 1.0)
    assert list(st.phase(nets)) == ["ordered", "critical", "chaotic", "chaotic"]
    together = st.correlation_fixed_point(nets)
    for i in range(4):
        alone = st.MeanField(phi, sigma_w2[i], sigma_b2[i], 1.0)
        assert together[i] == pytest.approx(float(st.correlation_fixed_point(alone)), abs=1e-14)
    assert list(together[:2]) == [1.0, 1.0]
    assert 0 < together[3] < together[2] < 1


@pytest.mark.claim("Eq. 3")
@pytest.mark.parametrize(
    "phi",
    [
        st.ShiftedReLU(1.0),
        st.SoftThreshold(1.0),
        st.ClippedReLU(1.0, 1.0),
        st.Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    ],
)
def test_without_bias_a_variance_may_reach_zero_and_stays_there(phi: Any) -> None:
    """Beside one that lives on with a bias: each has the path that it has alone."""
    nets = st.MeanField(phi, 0.2, [0.0, 0.5])
    path = nets.trajectory(1.0, 500)
    assert path[-1, 0] == 0
    assert path[-1, 1] > 0.5
    for i, bias in enumerate((0.0, 0.5)):
        alone = st.MeanField(phi, 0.2, bias).trajectory(1.0, 500)
        assert np.allclose(path[:, i], alone, rtol=1e-10, atol=1e-300)
    assert list(st.MeanField(phi, 2.0).trajectory(0.0, 2)) == [0, 0, 0]


@pytest.mark.claim("Eq. 3")
@pytest.mark.parametrize(
    "phi",
    [
        st.ShiftedReLU(0.0),
        st.ShiftedReLU(1.0),
        st.SoftThreshold(0.0),
        st.ClippedSoftThreshold(0.5, 1.0),
        st.PiecewiseLinear([0.0, 1.0], [0.1, 1.0, 0.5]),
        st.Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    ],
)
def test_at_variance_zero_the_maps_have_their_limits(phi: Any) -> None:
    net = st.MeanField(phi, 1.75, 0.25)
    for name in ("variance_map", "variance_slope", "chi"):
        here, near = getattr(net, name)(np.array([0.0, 1e-18]))
        assert here == pytest.approx(near, rel=1e-12)
        assert float(getattr(net, name)(0.0)) == here
    assert float(net.variance_map(0.0)) == 0.25


@pytest.mark.claim("Eq. 3")
def test_a_network_of_variance_zero_wakes_up_where_phi_of_zero_is_not_zero() -> None:
    net = st.MeanField(st.PiecewiseLinear([0.0], [0.0, 1.0], 3.0), 2.0)
    assert float(net.variance_map(0.0)) == 18.0


@pytest.mark.claim("Eq. 6")
@given(point=edges(["relu", "st", "crelu", "cst"]))
def test_equal_inputs_have_a_correlation_of_at_most_one(point: Point) -> None:
    """So that its arc cosine exists; -1 likewise, for an odd phi."""
    net = st.edge_of_chaos(point.activation, point.q)
    assert 1 - 1e-14 <= float(net.correlation_map(1.0)) <= 1
    assert -1 <= float(net.correlation_map(-1.0)) <= 1


@pytest.mark.claim("Eq. 6")
def test_a_correlation_of_more_than_one_by_more_than_rounding_says_that_q_is_not_fixed() -> None:
    """ReLU with sigma_w^2 = 2 and a bias of 1e-12 q keeps no variance."""
    net = st.MeanField(st.ShiftedReLU(0.0), 2.0, 1e-12)
    assert float(net.correlation_map(1.0, 1.0)) == pytest.approx(1 + 1e-12, rel=1e-15)


@pytest.mark.claim("Eq. 4")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_covariance_is_symmetric_to_the_rounding_of_its_type(dtype: Any) -> None:
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85))
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((7, 50)).astype(dtype)
    sigma = np.corrcoef(rows, dtype=dtype)
    sigma[0, 1] = np.nextafter(sigma[0, 1], dtype(2))
    mapped = st.covariance_map(net, sigma, 1)
    assert np.array_equal(mapped, mapped.T)
    exact = st.covariance_map(net, 0.5 * (sigma + sigma.T).astype(float), 1)
    assert np.allclose(mapped, exact, rtol=0, atol=4 * np.finfo(dtype).eps)


@pytest.mark.claim("Eq. 4")
def test_a_covariance_that_is_not_symmetric_is_refused_and_told_by_how_much() -> None:
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85))
    sigma = np.array([[1.0, 0.5], [0.5 + 1e-9, 1.0]])
    with pytest.raises(ValueError, match=r"symmetric, got mirrored entries that differ by 1e-09"):
        st.covariance_map(net, sigma, 0)
