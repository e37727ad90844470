"""The whole spectrum of J J^T: density, edges, atoms and moments, by free probability."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hyp
from scipy import optimize, stats

import sparsity_theory as st
from property_tests.references.definitions import Number, mp
from property_tests.support.agreement import agree
from property_tests.support.chance import atypical, typical
from property_tests.support.controls import one_layer_more, opposite
from property_tests.support.matrices import random_weights
from property_tests.support.scores import Floats
from property_tests.support.strategies import Generic, Point, activation_for, edges, generic_points

ULPS = 16 * 2.0**-52
ONE = np.ones(())


def at_chi(phi: Any, chi: float = 1.0) -> st.MeanField:
    """Weights with chi_1 = chi at q* = 1; the spectrum does not depend on biases."""
    return st.MeanField(phi, chi / float(phi.mean_derivative_power(ONE, 2)), 0.0, 1.0)


TANH = st.Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2)
LEAKY = st.PiecewiseLinear([0.0], [0.1, 1.0])
THREE = st.PiecewiseLinear([-0.5, 0.7], [0.02, 1.0, 3.0])
HARD_TANH = st.ClippedSoftThreshold(0.0, 1.5)
CRELU = activation_for("crelu", 0.85, 0.7)
SMOOTH = st.SmoothClippedReLU(CRELU.tau, CRELU.m, 16.0)
LINEAR = st.SoftThreshold(0.0)

# ---------------------------------------------------------------- moments


def powers_of_two_values(mass: Number, k: int, depth: int, orthogonal: bool) -> Number:
    """m_k for slopes 0 and 1 and chi = 1, by binomials.

    Lagrange's inversion of z = (1 + y) / y (1 + y / mu)^L, for orthogonal weights with (1 + y)^(1 -
    L): the coefficient of y^(k - 1) in the k-th power of the numerator, over k.
    """
    power = k * (1 - depth) if orthogonal else k
    terms = (
        mp.binomial(power, j) * mp.binomial(k * depth, k - 1 - j) / mass ** (k - 1 - j)
        for j in range(k)
    )
    return sum(terms, mp.mpf(0)) / k


@pytest.mark.claim("Spectrum: moments")
@pytest.mark.control(
    "Spectrum: moments", replace="sparsity_theory.jacobian_density", by=one_layer_more
)
@given(
    point=edges(most=4.0),
    depth=hyp.integers(1, 100),
    k=hyp.integers(1, 6),
    orthogonal=hyp.booleans(),
)
def test_moments_of_slopes_zero_and_one_are_sums_of_binomials(
    point: Point, depth: int, k: int, orthogonal: bool
) -> None:
    """Their condition in the mass is at most k L; the mass is good to a few ulps."""
    net = st.edge_of_chaos(point.activation, point.q)
    mass = point.function.mean_square_derivative(point.q)
    expected = powers_of_two_values(mass, k, depth, orthogonal)
    found = st.jacobian_density(net, depth, orthogonal).moment(k)
    agree("m_k", found, expected, 2 * k * depth * ULPS, point=point, k=k, depth=depth)


@pytest.mark.claim("Spectrum: moments")
@given(
    point=generic_points(),
    chi=hyp.floats(0.5, 1.5),
    depth=hyp.integers(1, 50),
    orthogonal=hyp.booleans(),
)
def test_the_first_two_moments_are_those_of_the_paper(
    point: Generic, chi: float, depth: int, orthogonal: bool
) -> None:
    """For any number of slopes, on the edge of chaos and off it: `jacobian_moments` to rounding."""
    mean = float(point.activation.mean_derivative_power(np.array(point.q), 2))
    if mean < 1e-12:
        return
    net = st.MeanField(point.activation, chi / mean, 0.0, point.q)
    found = st.jacobian_density(net, depth, orthogonal)
    m1, m2, _ = st.jacobian_moments(net, depth, orthogonal)
    assert found.moment(1) == pytest.approx(float(m1), rel=ULPS)
    assert found.moment(2) == pytest.approx(float(m2), rel=4 * depth * ULPS)


@pytest.mark.claim("Spectrum: moments")
def test_moments_beyond_doubles_are_infinite() -> None:
    assert st.jacobian_density(at_chi(CRELU, 1.5), 1000).moment(2) == math.inf
    sparse = st.jacobian_density(at_chi(st.ShiftedReLU(6.0)), 10**9)
    assert math.isfinite(sparse.moment(10))
    assert sparse.moment(20) == math.inf


# ---------------------------------------------------------------- density


def marchenko_pastur(x: Floats, ratio: float, scale: float) -> Floats:
    """Of D W W^T D, a share ``ratio`` of rows kept, that share of the spectrum."""
    low, high = (scale * (1 + sign * np.sqrt(ratio)) ** 2 for sign in (-1, 1))
    return np.asarray(np.sqrt((high - x) * (x - low)) / (2 * np.pi * scale * x))


@pytest.mark.claim("Spectrum: density")
@pytest.mark.control(
    "Spectrum: density", replace="sparsity_theory.jacobian_density", by=one_layer_more
)
def test_of_one_layer_of_relu_the_spectrum_is_that_of_marchenko_and_pastur() -> None:
    """With an atom of a half; edges to a few ulps, density to 1e-11."""
    density = st.jacobian_density(st.edge_of_chaos(st.ShiftedReLU(0.0)), 1)
    low, high = 2 * (1 - math.sqrt(0.5)) ** 2, 2 * (1 + math.sqrt(0.5)) ** 2
    assert density.edges == pytest.approx((low, high), rel=1e-14)
    assert density.atom_at_zero == pytest.approx(0.5, rel=1e-14)
    x = np.linspace(low, high, 41)[1:-1]
    assert np.allclose(density(x), marchenko_pastur(x, 0.5, 2.0), rtol=1e-11)
    assert float(density.cdf(low)) == pytest.approx(0.5, abs=1e-10)
    assert list(density([low / 2, high * 2])) == [0, 0]


@pytest.mark.claim("Spectrum: density")
@pytest.mark.parametrize("depth", [1, 2, 10, 100])
def test_linear_networks_with_gaussian_weights_have_the_spectrum_of_fuss_and_catalan(
    depth: int,
) -> None:
    """By its parametrization in an angle, to 1e-11; moments are the Fuss-Catalan numbers."""
    density = st.jacobian_density(at_chi(LINEAR), depth)
    angle = np.linspace(0, np.pi / (depth + 1), 17)[1:-1]
    one_more, same = np.sin((depth + 1) * angle), np.sin(depth * angle)
    x = one_more ** (depth + 1) / (np.sin(angle) * same**depth)
    expected = np.sin(angle) ** 2 * same ** (depth - 1) / (np.pi * one_more**depth)
    assert np.allclose(density(x), expected, rtol=1e-11)
    assert density.edges[0] == 0
    assert density.edges[1] == pytest.approx((depth + 1) ** (depth + 1) / depth**depth, rel=1e-12)
    for k in range(1, 6):
        fuss_catalan = Fraction(math.comb((depth + 1) * k, k), depth * k + 1)
        assert density.moment(k) == pytest.approx(float(fuss_catalan), rel=1e-13)


SPECTRA = [
    pytest.param(st.ShiftedReLU(0.0), 2, False, id="relu 2 Gaussian"),
    pytest.param(st.ShiftedReLU(0.0), 3, True, id="relu 3 orthogonal"),
    pytest.param(CRELU, 4, True, id="crelu 4 orthogonal"),
    pytest.param(LEAKY, 2, True, id="leaky 2 orthogonal"),
    pytest.param(LEAKY, 1, False, id="leaky 1 Gaussian"),
    pytest.param(THREE, 3, False, id="three slopes 3 Gaussian"),
    pytest.param(HARD_TANH, 2, True, id="hard tanh 2 orthogonal"),
    pytest.param(HARD_TANH, 12, False, id="hard tanh 12 Gaussian"),
    pytest.param(TANH, 3, True, id="tanh 3 orthogonal"),
    pytest.param(SMOOTH, 2, False, id="smooth crelu 2 Gaussian"),
]


@pytest.mark.claim("Spectrum: density", "Spectrum: moments")
@pytest.mark.parametrize(("phi", "depth", "orthogonal"), SPECTRA)
def test_density_and_atoms_add_up_to_the_moments(phi: Any, depth: int, orthogonal: bool) -> None:
    """The density solves an equation on a curve, the moments are series: two routes, to 1e-8.

    Integrated by Gauss-Legendre rules in the angle or root in which edges are smooth.
    """
    density = st.jacobian_density(at_chi(phi), depth, orthogonal)
    nodes, weights = np.polynomial.legendre.leggauss(150)
    totals = np.array([sum((p * x**k for x, p in density.atoms), 0.0) for k in range(5)])
    for low, high in density.intervals:
        if low == 0:
            s = 0.5 * 6.0 * (nodes + 1)
            x, stretch = high * np.exp(-s * s), 2 * s * 3.0
        else:
            s = 0.5 * np.pi * (nodes + 1)
            half = 0.5 * math.log(high / low)
            x, stretch = (
                math.sqrt(low * high) * np.exp(half * np.cos(s)),
                half * np.sin(s) * np.pi / 2,
            )
        values = density(x) * x * stretch * weights
        totals += [np.sum(values * x**k) for k in range(5)]
    expected = [1.0, *(density.moment(k) for k in range(1, 5))]
    assert np.allclose(totals[1:], expected[1:], rtol=1e-8)
    below = float(density.cdf(density.intervals[0][1] * math.exp(-36))) - density.atom_at_zero
    least = below if density.intervals[0][0] == 0 else 0.0
    assert totals[0] + least == pytest.approx(1, abs=1e-8)


@pytest.mark.claim("Spectrum: density")
@pytest.mark.parametrize(("phi", "depth", "orthogonal"), SPECTRA[::3])
def test_shares_are_integrals_of_the_density(phi: Any, depth: int, orthogonal: bool) -> None:
    """By a Gauss-Legendre rule within an interval, and from nothing to one over the spectrum."""
    density = st.jacobian_density(at_chi(phi), depth, orthogonal)
    low, high = density.intervals[-1]
    nodes, weights = np.polynomial.legendre.leggauss(40)
    begin, end = (low + share * (high - low) for share in (0.3, 0.8))
    between = (
        float(weights @ density(0.5 * (end - begin) * (nodes + 1) + begin)) * (end - begin) / 2
    )
    assert np.diff(density.cdf([begin, end])) == pytest.approx(between, abs=1e-10)
    assert float(density.cdf(0.0)) == density.atom_at_zero
    assert float(density.cdf(density.edges[1] * 1.01)) == 1
    assert np.all(np.diff(density.cdf(np.geomspace(1e-9, 2 * high, 50))) >= -1e-12)


@pytest.mark.claim("Spectrum: density")
def test_clusters_of_slopes_have_their_shares_however_close_they_come() -> None:
    """Of leaky ReLU's two, cut off in one layer, and of three that nearly are in two layers."""
    apart = st.jacobian_density(at_chi(LEAKY), 1)
    (_, end), (begin, _) = apart.intervals
    assert end < begin
    assert list(apart.cdf([end, 0.5 * (begin + end), begin])) == pytest.approx([0.5] * 3, abs=1e-10)
    close = st.jacobian_density(at_chi(THREE), 2, True)
    assert len(close.intervals) == 1
    assert float(close.cdf(close.edges[0] * 1.000001)) == pytest.approx(0, abs=1e-6)


@pytest.mark.claim("Spectrum: atoms")
@pytest.mark.control(
    "Spectrum: atoms", replace="sparsity_theory.jacobian_density", by=one_layer_more
)
def test_atoms_are_where_slopes_meet_in_all_layers() -> None:
    """Hard tanh with orthogonal weights: 1 - L (1 - mu) of the spectrum is at sigma_w^(2L).

    It is cut off from the rest, which for two layers ends at 4 mu (1 - mu) of it: two projections.
    """
    net = at_chi(HARD_TANH)
    mu = float(HARD_TANH.mean_derivative_power(ONE, 2))
    density = st.jacobian_density(net, 2, True)
    (zero, nothing), (place, share) = density.atoms
    assert zero == 0
    assert nothing == pytest.approx(1 - mu, rel=1e-13)
    assert place == pytest.approx(mu**-2, rel=1e-13)
    assert share == pytest.approx(1 - 2 * (1 - mu), rel=1e-13)
    ((low, high),) = density.intervals
    assert low == 0
    assert high == pytest.approx(4 * (1 - mu) / mu, rel=1e-12)
    assert len(st.jacobian_density(net, 8, True).atoms) == 1  # 8 (1 - mu) is more than one
    assert len(st.jacobian_density(net, 2).atoms) == 1
    assert st.jacobian_density(at_chi(LEAKY), 3).atoms == ()
    one = st.jacobian_density(at_chi(LEAKY), 1, True)
    assert one.intervals == ()
    scale = 2 / 1.01
    assert np.allclose(one.atoms, [(0.01 * scale, 0.5), (scale, 0.5)], rtol=1e-14)
    assert st.jacobian_density(at_chi(LINEAR), 7, True).atoms == ((1.0, 1.0),)


@pytest.mark.claim("Spectrum: atoms")
@given(point=edges(most=3.0), depth=hyp.integers(1, 30), orthogonal=hyp.booleans())
def test_zero_has_the_share_of_units_that_pass_nothing_on_at_any_depth(
    point: Point, depth: int, orthogonal: bool
) -> None:
    density = st.jacobian_density(st.edge_of_chaos(point.activation, point.q), depth, orthogonal)
    mass = point.function.mean_square_derivative(point.q)
    agree("atom", density.atom_at_zero, 1 - mass, 1e-12, scale=1, point=point)


# ---------------------------------------------------------------- random matrices


def spectrum_of(
    rng: np.random.Generator, slopes: Floats, depth: int, sigma_w2: float, orthogonal: bool
) -> Floats:
    """Eigenvalues of J J^T, with these slopes in a random order in every layer."""
    n = slopes.size
    jacobian = np.eye(n)
    for _ in range(depth):
        weights = random_weights(rng, n, orthogonal)
        jacobian = rng.permutation(slopes)[:, None] * (weights @ jacobian)
    return np.asarray(np.linalg.svd(jacobian, compute_uv=False) ** 2 * sigma_w2**depth)


def slopes_of(phi: Any, n: int) -> Floats:
    """phi' at n quantiles of the normal distribution, which have its law up to 1 / n."""
    return np.asarray(phi.derivative(stats.norm.ppf((np.arange(n) + 0.5) / n)))


MATRICES = [
    pytest.param(st.ShiftedReLU(0.0), 2, id="relu 2"),
    pytest.param(st.SoftThreshold.for_sparsity(0.7), 2, id="st 2"),
    pytest.param(LEAKY, 3, id="leaky 3"),
    pytest.param(TANH, 2, id="tanh 2"),
]


@pytest.mark.claim("Spectrum: density", "Spectrum: moments", evidence="statistical")
@pytest.mark.parametrize("orthogonal", [False, True], ids=["Gaussian", "orthogonal"])
@pytest.mark.parametrize(("phi", "depth"), MATRICES)
def test_random_matrices_have_the_moments_and_the_shares(
    phi: Any, depth: int, orthogonal: bool
) -> None:
    """Moments to the fourth and shares at four points, of 60 matrices of size 100.

    A mean over matrices is normal about its expectation, by its own standard error. Of that is
    allowed for what the size adds: 1 / N in a share, which is one eigenvalue, and k^2 L / N in m_k,
    relative to it. The spectrum of the other kind of weights is the wrong theory.
    """
    n, rng = 100, np.random.default_rng(11)
    net = at_chi(phi)
    matrices = [
        spectrum_of(rng, slopes_of(phi, n), depth, float(net.sigma_w2), orthogonal)
        for _ in range(60)
    ]
    right, wrong = (st.jacobian_density(net, depth, each) for each in (orthogonal, not orthogonal))
    points = np.quantile(np.concatenate(matrices), [0.75, 0.85, 0.92, 0.97])

    def z(density: st.JacobianDensity) -> Floats:
        shares = np.array([[np.mean(each <= x) for x in points] for each in matrices])
        moments = np.array([[np.mean(each**k) for k in (1, 2, 3, 4)] for each in matrices])
        expected = np.array([density.moment(k) for k in (1, 2, 3, 4)])
        seen = np.concatenate([shares, moments], axis=1)
        meant = np.concatenate([density.cdf(points), expected])
        size = np.concatenate([np.full(4, 1 / n), np.array([1, 4, 9, 16]) * depth / n * expected])
        error = np.std(seen, axis=0) / np.sqrt(len(seen))
        off = np.abs(np.mean(seen, axis=0) - meant)
        return np.asarray(np.maximum(off - size, 0) / error)

    assert typical(z(right)), z(right)
    assert atypical(np.max(z(wrong)[:4]))


# ---------------------------------------------------------------- rounded kinks


def rounded(kind: str, beta: float) -> tuple[Any, Any]:
    """CReLU or CST at s = 0.85, V'(q*) = 0.7, and the same with rounded kinks."""
    phi = activation_for(kind, 0.85, 0.7)
    smooth = {"crelu": st.SmoothClippedReLU, "cst": st.SmoothClippedSoftThreshold}[kind]
    return phi, smooth(phi.tau, phi.m, beta)


def slope_moment(phi: Any, k: int) -> Number:
    """E phi'^(2k) of a smooth kind, by mpmath's quadrature of the definition."""

    def slope(z: Number) -> Number:
        def ramp(x: Number) -> Number:
            low, high = phi.beta * (x - phi.tau), phi.beta * (x - phi.tau - phi.m)
            return 1 / (1 + mp.exp(-low)) - 1 / (1 + mp.exp(-high))

        odd = isinstance(phi, st.SmoothClippedSoftThreshold)
        return ramp(z) + (ramp(-z) if odd else 0)

    with mp.workdps(20):
        tau, end = phi.tau, phi.tau + phi.m
        ends = [-8, -end, -tau, 0, tau, end, 8]
        return mp.quad(lambda z: slope(z) ** (2 * k) * mp.npdf(z), ends)


def slopes_sharp(right: Any) -> Any:
    """Slopes zero and one, as if nothing were rounded."""
    return lambda phi, k: mp.mpf(float(CRELU.mean_derivative_power(ONE, 2)))


@pytest.mark.claim("Spectrum: rounding changes")
@pytest.mark.control("Spectrum: rounding changes", replace="slope_moment", by=slopes_sharp)
@pytest.mark.parametrize("kind", ["crelu", "cst"])
def test_rounding_a_kink_changes_every_moment_but_the_first_and_takes_the_atom_away(
    kind: str,
) -> None:
    """On the edge of chaos m_1 = 1; m_2 has mu_2 / mu_1^2, by definition, and is not 1 / mu_1.

    The atom of mass 1 - mu at zero spreads over small x: no slope is zero any more.
    """
    phi, smooth = rounded(kind, 16.0)
    first, second = slope_moment(smooth, 1), slope_moment(smooth, 2)
    assert float(second / first) < 0.9  # 1 for slopes zero and one
    for depth, orthogonal in ((3, False), (3, True)):
        sharp_one = st.jacobian_density(at_chi(phi), depth, orthogonal)
        soft_one = st.jacobian_density(at_chi(smooth), depth, orthogonal)
        assert soft_one.moment(1) == pytest.approx(1, rel=1e-13)
        expected = 1 + depth * (second / first**2 - (1 if orthogonal else 0))
        assert soft_one.moment(2) == pytest.approx(float(expected), rel=1e-9)
        for k in (2, 3, 4):
            assert soft_one.moment(k) != pytest.approx(sharp_one.moment(k), rel=5e-4)
        assert sharp_one.atom_at_zero > 0.86
        assert soft_one.atom_at_zero == 0
        assert 0.4 < float(soft_one.cdf(1e-30)) < 0.8


def spread(phi: Any) -> float:
    """mu_2 / mu_1^2, which the variance of the spectrum grows with."""
    return float(phi.mean_derivative_power(ONE, 4) / phi.mean_derivative_power(ONE, 2) ** 2)


def slopes_equal(right: Any) -> Any:
    """As if the fourth moment of slopes were the square of the second."""
    return lambda phi: 1.0


@pytest.mark.claim("Spectrum: rounding widens")
@pytest.mark.control("Spectrum: rounding widens", replace="spread", by=slopes_equal)
@pytest.mark.parametrize("kind", ["crelu", "cst"])
def test_a_kink_rounded_a_little_makes_spectrum_and_variance_map_worse(kind: str) -> None:
    """With the same tau and m and sharpness 16, 32 and 64: a wider spectrum and a larger V'(q*).

    With sharpness 4 the spectrum is narrower; but V'(q*) is above one, so that q* is unstable and
    with it all that the initialization was made for.
    """
    for beta in (16.0, 32.0, 64.0):
        phi, smooth = rounded(kind, beta)
        assert spread(smooth) > spread(phi) * 1.0005
        net = st.edge_of_chaos(smooth)
        assert float(net.variance_slope(1.0)) > 0.71
    phi, smooth = rounded(kind, 4.0)
    assert spread(smooth) < spread(phi)
    assert float(st.edge_of_chaos(smooth).variance_slope(1.0)) > 1


DESIGNS = [
    ("crelu", 16.0, 1.0836413628, 0.9846475055),
    ("crelu", 32.0, 1.0469930278, 1.0811595204),
    ("cst", 16.0, 1.4964334968, 0.8000834119),
    ("cst", 32.0, 1.4528344191, 0.9034882822),
]
"""Kind, sharpness, and the tau and m with V'(q*) and the share near zero of the sharp kind."""


def share_near_zero(phi: Any, kind: str) -> float:
    """P(|phi| < m / 20): phi rises for positive arguments."""
    end = optimize.brentq(lambda x: float(phi(x)) - 0.05 * phi.m, 0.0, 10.0)
    return float(2 * stats.norm.cdf(end) - 1 if kind == "cst" else stats.norm.cdf(end))


def curvature(net: st.MeanField) -> float:
    return float(net.variance_curvature(1.0))


@pytest.mark.claim("Spectrum: rounding flattens")
@pytest.mark.control("Spectrum: rounding flattens", replace="curvature", by=opposite)
@pytest.mark.parametrize(("kind", "beta", "tau", "m"), DESIGNS)
def test_at_equal_slope_and_near_sparsity_rounding_flattens_v_and_widens_the_spectrum(
    kind: str, beta: float, tau: float, m: float
) -> None:
    """V'(q*) = 0.7 and as many values below m / 20 as CReLU and CST at s = 0.85 have."""
    sharp, _ = rounded(kind, beta)
    smooth = (st.SmoothClippedReLU if kind == "crelu" else st.SmoothClippedSoftThreshold)(
        tau, m, beta
    )
    assert share_near_zero(smooth, kind) == pytest.approx(share_near_zero(sharp, kind), abs=1e-6)
    net, edge = st.edge_of_chaos(smooth), st.edge_of_chaos(sharp)
    assert float(net.variance_slope(1.0)) == pytest.approx(0.7, abs=1e-6)
    assert curvature(net) < curvature(edge) - 0.04
    assert spread(smooth) > 1.04 * spread(sharp)


# ---------------------------------------------------------------- what makes no sense


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: st.jacobian_density(at_chi(CRELU), 0), "depth must be .* at least 1, got 0"),
        (lambda: st.jacobian_density(CRELU, 3), "net must be a MeanField"),
        (lambda: st.jacobian_density(st.MeanField(CRELU, 1.0), 3), "q_star is not known"),
        (
            lambda: st.jacobian_density(st.edge_of_chaos(st.ShiftedReLU([0.1, 0.2])), 3),
            r"scalar parameters, got shape \(2,\)",
        ),
        (
            lambda: st.jacobian_density(
                st.MeanField(st.Activation(np.sign, np.zeros_like, [0.0]), 1.0, 0.0, 1.0), 3
            ),
            "jumps",
        ),
        (
            lambda: st.jacobian_density(st.MeanField(st.ShiftedReLU(60.0), 1.0, 0.0, 1.0), 3),
            "vanishes at q_star = 1",
        ),
        (lambda: st.jacobian_density(at_chi(TANH), 1, True), "depth must be at least 2 .* got 1"),
        (lambda: st.jacobian_density(at_chi(CRELU), 2)(0.0), r"x must be positive .* got 0\.0"),
        (lambda: st.jacobian_density(at_chi(CRELU), 2).cdf(-1.0), r"x must be .* got -1\.0"),
        (lambda: st.jacobian_density(at_chi(CRELU), 2).moment(0), "k must be .* got 0"),
    ],
)
def test_spectra_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_densities_take_arrays_of_any_shape_and_are_values() -> None:
    density = st.jacobian_density(at_chi(LEAKY), 2)
    x = np.array([[0.1, 1.0], [2.0, 50.0]])
    assert density(x).shape == density.cdf(x).shape == (2, 2)
    assert float(density(1.0)) == pytest.approx(density(x)[0, 1], rel=1e-10)
    assert density == st.jacobian_density(at_chi(LEAKY), 2)
    assert density != st.jacobian_density(at_chi(LEAKY), 2, True)
    assert eval(repr(density), {name: getattr(st, name) for name in st.__all__}) == density
