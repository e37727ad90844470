"""The spectrum of J J^T: its moments and its generating function (Eqs. 26-31, Table 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as hyp
from scipy.special import erf

import sparsity_theory as st
from property_tests.references.definitions import mp, normal_cdf
from property_tests.support.agreement import agree
from property_tests.support.chance import atypical, typical
from property_tests.support.controls import (
    always_gaussian,
    each_doubled,
    one_layer_more,
    opposite,
    spread_inverted,
)
from property_tests.support.matrices import random_weights
from property_tests.support.strategies import (
    ACTIVATIONS,
    CLIPPED,
    UNCLIPPED,
    Generic,
    Point,
    edges,
    generic_points,
)

ULPS = 16 * 2.0**-52
"""Tolerance for the moments: chi_1 is good to a few ulps, and mu_2 / mu_1^2 to a few more."""

DEPTHS = hyp.integers(1, 50)


# ---------------------------------------------------------------- moments, in closed form


def moments_of_slopes(point: Point) -> tuple[Any, Any]:
    """mu_1 and mu_2 by definition: E phi'^2 and E phi'^4, Eq. 27."""
    squared = point.function.mean(point.q, lambda p: (p.slope**2,))
    fourth = point.function.mean(point.q, lambda p: (p.slope**4,))
    return squared, fourth


@pytest.mark.claim("Eq. 27", "Table 3")
@pytest.mark.control("Eq. 27", "Table 3", replace="moments_of_slopes", by=each_doubled)
@given(point=edges())
def test_the_moments_of_the_slopes_are_all_the_mass_between_the_kinks(point: Point) -> None:
    """mu_k = mu for every k, and sigma_w^2 = 1 / mu on the edge of chaos."""
    first, second = moments_of_slopes(point)
    assert first == second
    net = st.edge_of_chaos(point.activation, point.q)
    agree("sigma_w^2", net.sigma_w2, 1 / first, ULPS, point=point)
    sides = 2 if point.kind in ("st", "cst") else 1
    root, tau = mp.sqrt(point.q), mp.mpf(point.tau)
    with mp.workdps(100):
        end = mp.mpf(1) if point.m is None else normal_cdf((tau + mp.mpf(point.m)) / root)
        mass = sides * (end - normal_cdf(tau / root))  # Table 3, with its sign for ST corrected
    agree("mu of Table 3", mass, first, 1e-25, search=False, point=point)


@pytest.mark.claim("Eq. 28", "Eq. 29", "Eq. 30", "Table 3")
@pytest.mark.control(
    "Eq. 29", "Eq. 30", replace="sparsity_theory.jacobian_moments", by=one_layer_more
)
@given(point=edges(), depth=DEPTHS, orthogonal=hyp.booleans())
def test_the_moments_of_the_spectrum_on_the_edge_of_chaos(
    point: Point, depth: int, orthogonal: bool
) -> None:
    """m_1 = 1, m_2 = 1 + variance, and the variance is L (mu_2 / mu_1^2 - 1 - s_1)."""
    net = st.edge_of_chaos(point.activation, point.q)
    m1, m2, variance = st.jacobian_moments(net, depth, orthogonal)
    first, second = moments_of_slopes(point)
    s1 = 0 if orthogonal else -1
    ratio = second / first**2
    agree("m_1", m1, 1, depth * ULPS, point=point)
    # mu_2 / mu_1^2 - 1 is exactly zero for the identity: compare to the ratio itself
    expected = depth * (ratio - 1 - s1)
    agree(
        "variance", variance, expected, depth * ULPS, scale=depth * ratio, point=point, depth=depth
    )
    expected = depth * (ratio + 1 / mp.mpf(depth) - 1 - s1)
    agree("m_2", m2, expected, depth * ULPS, scale=depth * ratio, point=point, depth=depth)


@pytest.mark.claim("Eq. 28", "Eq. 29")
@pytest.mark.control("Eq. 28", replace="sparsity_theory.jacobian_moments", by=one_layer_more)
@given(point=edges(most=3.0), chi=hyp.floats(0.5, 1.5), depth=DEPTHS, orthogonal=hyp.booleans())
def test_the_moments_of_the_spectrum_off_the_edge_of_chaos(
    point: Point, chi: float, depth: int, orthogonal: bool
) -> None:
    """chi_1^L and chi_1^{2L} L (mu_2 / mu_1^2 + 1/L - 1 - s_1)."""
    first, second = moments_of_slopes(point)
    sigma_w2 = chi / float(first)
    net = st.MeanField(point.activation, sigma_w2, 0.0, q_star=point.q)
    m1, m2, variance = st.jacobian_moments(net, depth, orthogonal)
    exact_chi = mp.mpf(sigma_w2) * first
    s1 = 0 if orthogonal else -1
    expected = exact_chi ** (2 * depth) * depth * (second / first**2 + 1 / mp.mpf(depth) - 1 - s1)
    agree("m_1", m1, exact_chi**depth, 2 * depth * ULPS, point=point, depth=depth)
    size = exact_chi ** (2 * depth) * depth * second / first**2
    agree("m_2", m2, expected, 3 * depth * ULPS, scale=size, point=point, depth=depth)
    agree(
        "variance",
        variance,
        expected - exact_chi ** (2 * depth),
        3 * depth * ULPS,
        scale=size,
        point=point,
    )


@pytest.mark.claim("App. A spectrum")
@pytest.mark.control(
    "App. A spectrum", replace="sparsity_theory.jacobian_moments", by=always_gaussian
)
@given(
    kind=hyp.sampled_from(UNCLIPPED),
    s=hyp.floats(0.5, 0.999),
    depth=DEPTHS,
    q_star=hyp.floats(0.1, 10),
)
def test_unclipped_spectra_spread_with_depth_whatever_the_fixed_point(
    kind: str, s: float, depth: int, q_star: float
) -> None:
    """L / (1 - s) and L s / (1 - s); the rounding of tau counts tau^2 / q* times, at most 11."""
    net = st.edge_of_chaos(ACTIVATIONS[kind].for_sparsity(s, q_star=q_star), q_star)
    gaussian, orthogonal = (
        float(st.jacobian_moments(net, depth, o).variance) for o in (False, True)
    )
    size = depth / (1 - mp.mpf(s))
    agree("Gaussian", gaussian, size, 1e-13, s=s, depth=depth)
    agree("orthogonal", orthogonal, mp.mpf(s) * size, 1e-13, scale=size, s=s, depth=depth)
    assert orthogonal >= 0.99 * depth * s / (1 - s) >= 0.99 * depth  # no isometry: s >= 1/2


@pytest.mark.claim("App. F rate")
@pytest.mark.control("App. F rate", replace="sparsity_theory.jacobian_moments", by=spread_inverted)
@given(point=edges(CLIPPED), depth=DEPTHS, orthogonal=hyp.booleans())
def test_clipped_spectra_spread_no_slower_than_unclipped_ones(
    point: Point, depth: int, orthogonal: bool
) -> None:
    unclipped = ACTIVATIONS[UNCLIPPED[CLIPPED.index(point.kind)]](point.tau)
    clipped_net = st.edge_of_chaos(point.activation, point.q)
    unclipped_net = st.edge_of_chaos(unclipped, point.q)
    clipped = float(st.jacobian_moments(clipped_net, depth, orthogonal).variance)
    least = float(st.jacobian_moments(unclipped_net, depth, orthogonal).variance)
    rounding = depth * depth * ULPS * float(clipped_net.sigma_w2)
    assert clipped >= least - rounding


@pytest.mark.claim("Eq. 31")
@pytest.mark.control("Eq. 31", replace="sparsity_theory.jacobian_moments", by=always_gaussian)
@given(depth=hyp.integers(1, 100), m=hyp.floats(0.1, 10.0))
def test_hard_tanh_with_orthogonal_weights_tends_to_isometry(depth: int, m: float) -> None:
    """The spectrum's variance vanishes with q*; with Gaussian weights it stays above L."""
    hard_tanh = st.ClippedSoftThreshold(0.0, m)
    spread = []
    for q_star in (m * m, m * m / 4, m * m / 25, m * m / 100):
        net = st.edge_of_chaos(hard_tanh, q_star)
        spread.append(float(st.jacobian_moments(net, depth, orthogonal=True).variance))
        assert float(st.jacobian_moments(net, depth).variance) >= depth * (1 - 1e-12)
    assert spread == sorted(spread, reverse=True)
    assert spread[-1] < 1e-12 * depth


@pytest.mark.claim("App. A isometry")
@pytest.mark.control(
    "App. A isometry", replace="sparsity_theory.jacobian_moments", by=always_gaussian
)
@given(depth=hyp.integers(1, 100), a=hyp.floats(0.2, 3.0))
def test_erf_with_orthogonal_weights_tends_to_isometry_and_relu_does_not(
    depth: int, a: float
) -> None:
    """Of erf(a x), mu_k is proportional to (1 + 4 k a^2 q)^(-1/2); quadrature is good to 1e-10.

    With Gaussian weights the spectrum's variance is L more; of ReLU it is L and 2 L for every q*.
    """
    smooth = st.Activation(
        lambda x: erf(a * x), lambda x: 2 * a / np.sqrt(np.pi) * np.exp(-((a * x) ** 2))
    )
    for q_star in (1.0, 1e-2, 1e-4):
        net, scaled = st.edge_of_chaos(smooth, q_star), 4 * a * a * q_star
        expected = depth * ((1 + scaled) / np.sqrt(1 + 2 * scaled) - 1)
        for orthogonal, more in ((True, 0), (False, depth)):
            found = float(st.jacobian_moments(net, depth, orthogonal).variance)
            agree("variance", found, expected + more, 1e-9, scale=depth, search=False, q=q_star)
        relu = st.edge_of_chaos(st.ShiftedReLU(0.0), q_star)
        spreads = [float(st.jacobian_moments(relu, depth, each).variance) for each in (True, False)]
        assert np.allclose(spreads, [depth, 2 * depth], rtol=1e-13, atol=0)
    assert expected < 1e-4 * depth


# ---------------------------------------------------------------- random matrices


def random_jacobian(
    rng: np.random.Generator, n: int, depth: int, mu: float, orthogonal: bool
) -> np.ndarray:
    """J with chi_1 = 1 and slopes that are one with probability mu, zero otherwise."""
    jacobian = np.eye(n)
    for _ in range(depth):
        weights = random_weights(rng, n, orthogonal)
        slopes = (rng.random(n) < mu).astype(float)
        jacobian = slopes[:, None] * (weights @ jacobian) / np.sqrt(mu)
    return jacobian


@pytest.mark.claim("Eq. 29", "Eq. 30", evidence="statistical")
@pytest.mark.claim("Misprint Eq. 29", "Misprint Eq. 30", reading="both")
@pytest.mark.parametrize("orthogonal", [False, True], ids=["Gaussian", "orthogonal"])
@pytest.mark.parametrize(("depth", "mu"), [(1, 0.5), (3, 0.5), (2, 0.15)])
def test_random_matrices_have_the_second_moment_with_mu_2_over_mu_1_squared(
    orthogonal: bool, depth: int, mu: float
) -> None:
    """24 matrices of size 150, seed fixed; the mean m_2 is compared by its own standard error.

    As many standard errors as chance allows, plus 3% for the size of the matrices, whose
    correction is of relative order L / (N mu). Printed, with mu_1 / mu_2 = 1, m_2 would be smaller
    by the factor of at least 1.3 that the last assertion asks for.
    """
    rng = np.random.default_rng(20240)
    jacobians = [random_jacobian(rng, 150, depth, mu, orthogonal) for _ in range(24)]
    second = [np.sum((j @ j.T) ** 2) / len(j) for j in jacobians]
    s1 = 0.0 if orthogonal else -1.0
    meant = depth * (mu / mu**2 + 1 / depth - 1 - s1)
    as_printed = depth * (mu / mu + 1 / depth - 1 - s1)
    error = np.std(second, ddof=1) / np.sqrt(len(second))
    finite_size = 0.03 * meant + depth / (150 * mu) * meant
    beyond = max(abs(np.mean(second) - meant) - finite_size, 0.0)
    assert typical(beyond / error), f"m_2 = {np.mean(second)}, meant {meant}, error {error}"
    assert atypical((abs(np.mean(second) - as_printed) - finite_size) / error)
    assert meant > 1.3 * as_printed


def generating_function(values: np.ndarray, z: float) -> float:
    """M(z) of a spectrum: the mean of x / (z - x) over its eigenvalues."""
    return float(np.mean(values / (z - values)))


@pytest.mark.claim("Eq. 26")
@pytest.mark.control("Eq. 26", replace="generating_function", by=opposite)
@given(seed=hyp.integers(0, 2**32 - 1), times=hyp.floats(1.5, 10.0))
def test_the_moment_generating_function_is_the_series_of_its_moments(
    seed: int, times: float
) -> None:
    """The sum of m_k / z^k, for z beyond the largest eigenvalue."""
    jacobian = random_jacobian(np.random.default_rng(seed), 8, 2, 0.6, orthogonal=False)
    values = np.linalg.svd(jacobian, compute_uv=False) ** 2
    z = times * values.max() + 1.0
    series = sum(np.mean(values**k) / z**k for k in range(1, 120))
    agree("M(z)", generating_function(values, z), series, 1e-12, seed=seed, z=z)


@pytest.mark.claim("Table 3")
@pytest.mark.claim("Misprint Table 3 M", reading="both")
@given(point=edges(most=4.0), z=hyp.one_of(hyp.floats(1.5, 50.0), hyp.floats(-50.0, -1.5)))
def test_the_moment_generating_function_of_the_slopes_has_z_minus_one_below(
    point: Point, z: float
) -> None:
    """The series of mu_k / z^k; as printed, over 1 - z, it has the wrong sign."""
    mu = point.function.mean_square_derivative(point.q)
    series = mp.nsum(lambda k: mu / mp.mpf(z) ** k, [1, mp.inf])
    agree("mu / (z - 1)", mu / (mp.mpf(z) - 1), series, 1e-25, search=False, point=point, z=z)
    assert mu / (1 - mp.mpf(z)) * series < 0


@pytest.mark.claim("Misprint Table 3 mu", reading="both")
@given(point=edges(["st"]))
def test_the_mass_of_soft_thresholding_in_table_3_lies_beyond_the_threshold(point: Point) -> None:
    """As printed, with Phi(-tau / sqrt q), it would be more than one: no probability."""
    if point.tau == 0:
        return
    a = mp.mpf(point.tau) / mp.sqrt(point.q)
    mu = point.function.mean_square_derivative(point.q)
    agree("what is meant", 2 * (1 - normal_cdf(a)), mu, 1e-25, search=False, point=point)
    assert 2 * (1 - normal_cdf(-a)) > 1 > mu


@pytest.mark.claim("Eq. 29", "Eq. 30")
@given(point=generic_points(), depth=hyp.integers(1, 20))
def test_slopes_of_any_size_enter_the_spectrum_by_their_second_and_fourth_powers(
    point: Generic, depth: int
) -> None:
    """Of the paper's four kinds, whose slopes are 0 and 1, all powers are the same."""
    first = point.function.mean(point.q, lambda p: (p.slope**2,))
    second = point.function.mean(point.q, lambda p: (p.slope**4,))
    assume(float(first) > 1e-3)
    net = st.MeanField(point.activation, 1 / float(first), 0.0, q_star=point.q)
    m1, _, variance = st.jacobian_moments(net, depth)
    agree("m_1", m1, 1, 2 * depth * ULPS, point=point, depth=depth)
    agree("variance", variance, depth * second / first**2, 1e-12, point=point, depth=depth)
