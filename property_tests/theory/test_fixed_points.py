"""Fixed points of the variance map and their stability (Secs. 2 and 3.1, Figs. 4, 10 and 11)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.references.definitions import mp, of_kind
from property_tests.support.agreement import agree
from property_tests.support.strategies import (
    ACTIVATIONS,
    CLIPPED,
    KINDS,
    UNCLIPPED,
    sparsities,
    variances,
)
from sparsity_theory.mean_field.fixed_points import FixedPointContinuumError, _roots_in_log


def crossings(kind: str, tau: float, m: float) -> int:
    """Changes of sign of V(q) - q on the edge of chaos with q* = 1, counted by definition.

    On 400 variances between 1e-4 and 1e4, none of them q*; below, V >= sigma_b^2 > q, and above,
    V <= sigma_w^2 m^2 + sigma_b^2 < q, which is checked.
    """
    function = of_kind(kind, tau, m)
    with mp.workdps(20):
        sigma_w2 = 1 / function.mean_square_derivative(1)
        sigma_b2 = 1 - sigma_w2 * function.mean_square(1)
        low, high = mp.mpf("1.1e-4"), mp.mpf("1.1e4")
        assert low < sigma_b2
        assert sigma_w2 * m**2 + sigma_b2 < high
        grid = [low * (high / low) ** (mp.mpf(i) / 399) for i in range(400)]
        signs = [sigma_w2 * function.mean_square(q) + sigma_b2 > q for q in grid]
    return sum(a != b for a, b in pairwise(signs))


def designed(kind: str, slope: float, s: float = 0.85) -> Any:
    """The activation of a row of Table 2."""
    return ACTIVATIONS[kind].for_sparsity(s, slope=slope)


@pytest.mark.claim("Fig. 4a", evidence="identity")
def test_crelu_at_85_percent_and_slope_0_9_has_exactly_one_fixed_point() -> None:
    """And V stays within four percent of q from q = 0.8 to 1.4, as the figure shows."""
    phi = designed("crelu", 0.9)
    net = st.edge_of_chaos(phi)
    (point,) = st.fixed_points(net)
    agree("q*", point.q, 1, 1e-13, search=False)  # 1 - V' = 0.1 magnifies the rounding of V
    assert point.stable
    assert crossings("crelu", float(phi.tau), float(phi.m)) == 1
    near = np.linspace(0.8, 1.4, 61)
    assert np.all(np.abs(net.variance_map(near) / near - 1) < 0.04)


@pytest.mark.claim("Fig. 4b", "Sec. 3.1 bifurcation", evidence="identity")
def test_cst_at_85_percent_and_slope_0_9_has_exactly_three_fixed_points() -> None:
    """q*, an unstable one, and a stable one at which chi is above two."""
    phi = designed("cst", 0.9)
    points = st.fixed_points(st.edge_of_chaos(phi))
    assert [point.stable for point in points] == [True, False, True]
    agree("q*", points[0].q, 1, 1e-13, search=False)
    assert points[1].slope > 1
    assert points[2].slope < 1
    assert points[2].chi > 2
    assert crossings("cst", float(phi.tau), float(phi.m)) == 3


@pytest.mark.claim("Sec. 3.1 bifurcation", evidence="identity")
@pytest.mark.parametrize("kind", CLIPPED)
@pytest.mark.parametrize(("tau", "m", "number"), [(1.0, 1.5, 1), (1.0, 2.0, 3), (0.5, 2.0, 1)])
def test_a_larger_clip_brings_two_new_fixed_points_above(
    kind: str, tau: float, m: float, number: int
) -> None:
    points = st.fixed_points(st.edge_of_chaos(ACTIVATIONS[kind](tau, m)))
    assert len(points) == number == crossings(kind, tau, m)
    agree("q*", points[0].q, 1, 1e-13, search=False)


@pytest.mark.parametrize(
    ("kind", "tau", "m"),
    [
        pytest.param(
            kind, tau, m, marks=pytest.mark.claim(name, evidence="identity"), id=f"{name} {tau} {m}"
        )
        for name, kind in (("Fig. 10", "crelu"), ("Fig. 11", "cst"))
        for tau in (0.0, 0.25, 0.5, 1.0)
        for m in (1.0, 1.5, 2.0)
    ],
)
def test_clipped_variance_maps_are_bounded_and_cross_the_diagonal_at_the_fixed_point_from_above(
    kind: str, tau: float, m: float
) -> None:
    """On the edge and, where the network exists, on either side: chi_1 = 0.8 and 1.25 at q* = 1."""
    phi: Any = ACTIVATIONS[kind](tau, m)
    edge = st.edge_of_chaos(phi)
    for chi in (0.8, 1.0, 1.25):
        sigma_w2 = chi * float(edge.sigma_w2)
        sigma_b2 = 1 - sigma_w2 * float(st.MeanField(phi, 1.0).variance_map(1.0))
        if sigma_b2 < 0:
            assert chi > 1  # no fixed point there to draw
            continue
        net = st.MeanField(phi, sigma_w2, sigma_b2)
        far = float(net.variance_map(1e12))
        assert far <= sigma_w2 * m**2 + sigma_b2
        points = st.fixed_points(net)
        assert any(abs(point.q - 1) < 1e-12 for point in points)
        if chi <= 1:
            assert float(net.variance_slope(1.0)) < 1
    extra = [point.q for point in st.fixed_points(edge) if point.q > 1 + 1e-9]
    assert len(extra) == (2 if (tau, m) == (1.0, 2.0) else 0)


@pytest.mark.claim("Sec. 2 single fixed point")
@given(kind=hyp.sampled_from(UNCLIPPED), q_star=variances(), data=hyp.data())
def test_the_unclipped_kinds_have_one_fixed_point_and_it_is_stable_from_the_left_only(
    kind: str, q_star: float, data: hyp.DataObject
) -> None:
    """V touches the diagonal at q* and lies above it everywhere else.

    V - q is flat there, so q* is found to the root of the rounding, 1e-7, only.
    """
    s = data.draw(sparsities(kind).filter(lambda s: 0.55 <= s <= 0.95))
    net = st.edge_of_chaos(ACTIVATIONS[kind].for_sparsity(s, q_star=q_star), q_star)
    for times in (0.01, 0.5, 0.9, 0.999, 1.001, 1.1, 2.0, 100.0):
        assert float(net.variance_map(times * q_star)) > times * q_star
    if not 1e-6 < q_star < 1e6:
        return
    (point,) = st.fixed_points(net)
    agree("q*", point.q, q_star, 1e-6, s=s, q_star=q_star)
    assert not point.stable


@pytest.mark.parametrize("kind", UNCLIPPED)
@pytest.mark.parametrize("tau", [1e-2, 1e-4, 1e-6, 1e-8, 1e-10])
def test_the_fixed_point_is_found_however_far_beyond_the_threshold_it_lies(
    kind: str, tau: float
) -> None:
    """q* = 1 is where V' - 1 changes sign: V' is good to a few ulps, and rises by 0.4 tau there."""
    (point,) = st.fixed_points(st.edge_of_chaos(ACTIVATIONS[kind](tau)))
    assert point.q == pytest.approx(1, abs=4 * 2.0**-52 / (0.4 * tau))
    assert not point.stable


def test_the_steepest_point_is_the_highest_of_several() -> None:
    """Two ramps far apart make V' rise twice, the second time higher."""
    net = st.edge_of_chaos(st.PiecewiseLinear([1.0, 2.2, 20.0, 30.0], [0.0, 1.0, 0.0, 3.0, 0.0]))
    q = np.geomspace(1.0001, 1e6, 4000)
    slopes = net.variance_slope(q)
    first, beyond = net.variance_slope(1.0018), net.variance_slope(1.1)
    assert max(net.variance_slope(1.0), beyond) < first < 0.5 * np.max(slopes)
    point = st.steepest_point(net)
    assert np.max(slopes) <= point.slope == pytest.approx(np.max(slopes), rel=1e-5)


@pytest.mark.parametrize("sigma_w2", [1.0 - 1e-9, 1.0 - 1e-6, 0.5])
def test_a_fixed_point_far_out_on_a_straight_map_is_found(sigma_w2: float) -> None:
    """ReLU with V(q) = sigma_w^2 q / 2 + sigma_b^2 has no scale of its own to look near."""
    net = st.MeanField(st.ShiftedReLU(0.0), 2.0 * sigma_w2, 0.25)
    (point,) = st.fixed_points(net)
    # 1 - V' has lost this many digits
    assert point.q == pytest.approx(0.25 / (1.0 - sigma_w2), rel=1e-15 / (1.0 - sigma_w2))
    assert point.stable


def test_a_range_of_fixed_points_is_refused_and_named() -> None:
    """HardTanh is linear to rounding while its knots are nine standard deviations away."""
    hard_tanh = st.PiecewiseLinear([-1.0, 1.0], [0.0, 1.0, 0.0], -1.0)
    with pytest.raises(FixedPointContinuumError, match=r"every variance from 5e-05 to 0\.0158 is"):
        st.fixed_points(st.MeanField(hard_tanh, 1.0))
    assert st.fixed_points(st.MeanField(hard_tanh, 0.9)) == ()


def test_beside_a_map_that_tends_to_the_identity_fixed_points_are_found() -> None:
    """ReLU adds sigma_b^2 in every layer; ReLU_tau takes less than q / 2, to which it tends."""
    assert st.fixed_points(st.MeanField(st.ShiftedReLU(0.0), 2.0, 0.1)) == ()
    (point,) = st.fixed_points(st.MeanField(st.ShiftedReLU(1.0), 2.0, 0.1))
    function, q = of_kind("relu", 1.0, None), mp.mpf(point.q)
    assert 2 * function.mean_square(q) + mp.mpf("0.1") == pytest.approx(q, rel=1e-14)
    assert point.stable


def test_a_root_exactly_on_a_point_of_the_grid_is_found_once() -> None:
    """A zero between two signs is a change; one between equal signs is none."""

    def through(values: list[float]) -> Any:
        x = np.arange(len(values), dtype=np.float64)
        return lambda t: (np.interp(t, x, values), np.full(np.shape(t), values[-1] - values[0]))

    grid = np.arange(3.0)
    for values, roots in (([-1, 0, 1], [np.e]), ([1, 0, -1], [np.e]), ([-1, 0, -2], [])):
        assert _roots_in_log(through(list(map(float, values))), grid) == pytest.approx(roots)


@given(kind=hyp.sampled_from(CLIPPED), slope=hyp.floats(0.2, 0.99), data=hyp.data())
def test_every_fixed_point_found_is_one_and_says_the_truth_about_its_stability(
    kind: str, slope: float, data: hyp.DataObject
) -> None:
    s = data.draw(hyp.floats(0.5, 0.95))
    net = st.edge_of_chaos(designed(kind, slope, s))
    points = st.fixed_points(net)
    assert [point.q for point in points] == sorted(point.q for point in points)
    assert any(math.isclose(point.q, 1, rel_tol=1e-9) for point in points)
    for point in points:
        agree("V(q)", net.variance_map(point.q), point.q, 1e-14, search=False, s=s, slope=slope)
        assert point.slope == float(net.variance_slope(point.q))
        assert point.chi == float(net.chi(point.q))
        assert point.stable == (abs(point.slope) < 1)


def no_bias(phi: st.PiecewiseLinear, sigma_w2: float) -> list[float]:
    return [point.q for point in st.fixed_points(st.MeanField(phi, sigma_w2))]


def test_without_bias_the_positive_fixed_points_are_found_or_none() -> None:
    """ReLU_1 stays below the identity with the weights of He initialization, ST_1 crosses it."""
    assert no_bias(st.ShiftedReLU(1.0), 2.0) == []
    assert no_bias(st.ClippedReLU(1.0, 1.0), 2.0) == []
    assert no_bias(st.ShiftedReLU(0.0), 1.0) == []
    (q,) = no_bias(st.SoftThreshold(1.0), 4.0)
    agree("V(q)", 4 * of_kind("st", 1.0).mean_square(q), q, 1e-14, search=False)
    lower, upper = no_bias(st.ClippedSoftThreshold(1.0, 2.0), 8.0)
    for q in (lower, upper):
        agree("V(q)", 8 * of_kind("cst", 1.0, 2.0).mean_square(q), q, 1e-13, search=False)


@pytest.mark.parametrize("power", [-1015, -664, -200, 200, 664, 960, 1015])
@pytest.mark.parametrize("kind", KINDS)
def test_fixed_points_scale_with_the_variance_or_are_refused(kind: str, power: int) -> None:
    """In units of 2^power: 1e-200 to 1e289 are no different from 1; at the ends of the doubles."""
    q_star = 2.0**power
    if kind in CLIPPED:
        phi = ACTIVATIONS[kind].for_sparsity(0.85, 0.9, q_star)
    else:
        phi = ACTIVATIONS[kind].for_sparsity(0.85, q_star)
    if abs(power) == 1015:
        with pytest.raises(ValueError, match="fixed points need kinks between"):
            st.fixed_points(st.edge_of_chaos(phi, q_star))
        return
    found = st.fixed_points(st.edge_of_chaos(phi, q_star))
    unit = st.fixed_points(st.edge_of_chaos(designed_or_not(kind)))
    assert [p.q / q_star for p in found] == pytest.approx([p.q for p in unit], rel=1e-6)
    assert [p.stable for p in found] == [p.stable for p in unit]


def designed_or_not(kind: str) -> Any:
    """The activation of a row of Table 2, or of Table 1 for the unclipped kinds."""
    return designed(kind, 0.9) if kind in CLIPPED else ACTIVATIONS[kind].for_sparsity(0.85)
