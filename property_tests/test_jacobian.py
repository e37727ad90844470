"""DenseBackpropagation and the spectrum of J J^T (Eqs. 1, 20-31, Table 3).

The networks here are small, in NumPy, and written out; larger ones are tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as hyp
from scipy.special import erf

import sparsity_theory as st
from property_tests.agreement import agree
from property_tests.chance import atypical, typical
from property_tests.reference import mp, normal_cdf
from property_tests.strategies import (
    ACTIVATIONS,
    CLIPPED,
    KINDS,
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
        weights = rng.standard_normal((n, n)) / np.sqrt(n)
        if orthogonal:
            weights, upper = np.linalg.qr(weights)
            weights = weights * np.sign(np.diag(upper))
        slopes = (rng.random(n) < mu).astype(float)
        jacobian = slopes[:, None] * (weights @ jacobian) / np.sqrt(mu)
    return jacobian


@pytest.mark.claim("Eq. 29", "Eq. 30", judge="statistical")
@pytest.mark.claim("Misprint Eq. 29", "Misprint Eq. 30", half="both")
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
@pytest.mark.claim("Misprint Table 3 M", half="both")
@given(point=edges(most=4.0), z=hyp.one_of(hyp.floats(1.5, 50.0), hyp.floats(-50.0, -1.5)))
def test_the_moment_generating_function_of_the_slopes_has_z_minus_one_below(
    point: Point, z: float
) -> None:
    """The series of mu_k / z^k; as printed, over 1 - z, it has the wrong sign."""
    mu = point.function.mean_square_derivative(point.q)
    series = mp.nsum(lambda k: mu / mp.mpf(z) ** k, [1, mp.inf])
    agree("mu / (z - 1)", mu / (mp.mpf(z) - 1), series, 1e-25, search=False, point=point, z=z)
    assert mu / (1 - mp.mpf(z)) * series < 0


@pytest.mark.claim("Misprint Table 3 mu", half="both")
@given(point=edges(["st"]))
def test_the_mass_of_soft_thresholding_in_table_3_lies_beyond_the_threshold(point: Point) -> None:
    """As printed, with Phi(-tau / sqrt q), it would be more than one: no probability."""
    if point.tau == 0:
        return
    a = mp.mpf(point.tau) / mp.sqrt(point.q)
    mu = point.function.mean_square_derivative(point.q)
    agree("what is meant", 2 * (1 - normal_cdf(a)), mu, 1e-25, search=False, point=point)
    assert 2 * (1 - normal_cdf(-a)) > 1 > mu


# ---------------------------------------------------------------- one network, written out


@dataclass
class Network:
    """A small dense network of Eq. 1, its widths all different."""

    activation: Any
    weights: Sequence[np.ndarray]
    biases: Sequence[np.ndarray]

    def forward(self, x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Pre-activations h^1..h^L and activations x^0..x^L."""
        hs, xs = [], [x]
        for weight, bias in zip(self.weights, self.biases, strict=True):
            hs.append(weight @ xs[-1] + bias)
            xs.append(self.activation(hs[-1]))
        return hs, xs


def loss(x: np.ndarray) -> float:
    """A linear loss of x^L, so that finite differences have no error but rounding."""
    return float(loss_gradient(x) @ x)


def loss_gradient(x: np.ndarray) -> np.ndarray:
    """Its gradient with respect to x^L."""
    return 1.0 + np.arange(x.size)


def small_network(kind: str, seed: int) -> tuple[Network, np.ndarray]:
    """Widths 4, 6, 5, 3; a finite difference of 1e-6 crosses no kink."""
    rng = np.random.default_rng(seed)
    phi = ACTIVATIONS[kind](*((0.3,) if kind in UNCLIPPED else (0.3, 1.2)))
    widths = (4, 6, 5, 3)
    while True:
        weights = [1.5 * rng.standard_normal((b, a)) for a, b in pairwise(widths)]
        biases = [0.3 * rng.standard_normal(b) for b in widths[1:]]
        network, x = Network(phi, weights, biases), rng.standard_normal(widths[0])
        hs = network.forward(x)[0]
        active = [phi.derivative(h).sum() for h in hs]
        distances = np.abs(np.concatenate(hs)[:, None] - phi.knots[None, :])
        if min(active) >= 1 and active[0] < widths[1] and distances.min() > 1e-3:
            return network, x


def backpropagate(network: Network, hs: list[np.ndarray], xs: list[np.ndarray]) -> list[np.ndarray]:
    """delta^1..delta^L by Eqs. 20 and 21 as they must be meant."""
    slopes = [network.activation.derivative(h) for h in hs]
    deltas = [slopes[-1] * loss_gradient(xs[-1])]
    for weight, slope in zip(network.weights[:0:-1], slopes[-2::-1], strict=True):
        deltas.insert(0, slope * (weight.T @ deltas[0]))
    return deltas


def differentiate(function: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """Gradient by central differences: exact but for rounding, as all is piecewise linear."""
    gradient = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = 1e-5
        gradient[index] = (function(at + step) - function(at - step)) / 2e-5
    return gradient


def loss_from(network: Network, layer: int, h: np.ndarray) -> float:
    """The loss as a function of h^{layer + 1}."""
    x = network.activation(h)
    for weight, bias in zip(network.weights[layer + 1 :], network.biases[layer + 1 :], strict=True):
        x = network.activation(weight @ x + bias)
    return loss(x)


CASES = pytest.mark.parametrize(
    ("kind", "seed"), [(kind, seed) for kind in KINDS for seed in (0, 1)]
)


@pytest.mark.claim("Eq. 20", "Eq. 21", "Eq. 22", "Eq. 23", "Eq. 1")
@CASES
def test_backpropagation_is_the_gradient_of_the_loss(kind: str, seed: int) -> None:
    """Against finite differences, which are good to 1e-9 here."""
    network, x = small_network(kind, seed)
    hs, xs = network.forward(x)
    deltas = backpropagate(network, hs, xs)
    for layer, delta in enumerate(deltas):
        expected = differentiate(partial(loss_from, network, layer), hs[layer])
        assert np.allclose(delta, expected, rtol=0, atol=1e-8)  # Eqs. 20 and 21

        def with_bias(bias: np.ndarray, layer: int = layer) -> float:
            return loss_from(network, layer, network.weights[layer] @ xs[layer] + bias)

        def with_weight(weight: np.ndarray, layer: int = layer) -> float:
            return loss_from(network, layer, weight @ xs[layer] + network.biases[layer])

        by_bias = differentiate(with_bias, network.biases[layer])
        by_weight = differentiate(with_weight, network.weights[layer])
        assert np.allclose(delta, by_bias, rtol=0, atol=1e-8)  # Eq. 22
        assert np.allclose(np.outer(delta, xs[layer]), by_weight, rtol=0, atol=1e-8)  # Eq. 23


@pytest.mark.claim("Eq. 25")
@CASES
def test_the_jacobian_is_the_product_of_slopes_and_weights(kind: str, seed: int) -> None:
    """Exact: away from the kinks a piecewise-linear network is linear; 1e-9 is rounding."""
    network, x = small_network(kind, seed)
    hs, xs = network.forward(x)
    product = np.eye(x.size)
    for h, weight in zip(hs, network.weights, strict=True):
        product = np.diag(network.activation.derivative(h)) @ weight @ product

    def output(i: int, x0: np.ndarray) -> float:
        return float(network.forward(x0)[1][-1][i])

    for i in range(xs[-1].size):
        row = differentiate(partial(output, i), x)
        assert np.allclose(product[i], row, rtol=0, atol=1e-8)


@pytest.mark.claim("Misprint Eq. 20", "Misprint Eq. 21", "Misprint Eq. 23", half="both")
@CASES
def test_backpropagation_as_printed_is_not_the_gradient(kind: str, seed: int) -> None:
    """Eq. 20 would multiply by D^L twice, Eq. 21 does not fit its shapes, Eq. 23 has h for x."""
    network, x = small_network(kind, seed)
    hs, xs = network.forward(x)
    phi, deltas = network.activation, backpropagate(network, hs, xs)

    # Eq. 20 with a slope that is neither zero nor one, where the two differ
    half = st.PiecewiseLinear([0.0], [0.25, 0.5])
    slope = half.derivative(hs[-1])
    true = differentiate(lambda h: loss(half(h)), hs[-1])
    assert np.allclose(slope * loss_gradient(half(hs[-1])), true, rtol=0, atol=1e-8)
    assert not np.allclose(slope * true, true, rtol=0, atol=1e-3)

    # Eq. 21: (D^l W^{l+1})^T delta^{l+1}
    with pytest.raises(ValueError, match=r"shape|align|mismatch"):
        (np.diag(phi.derivative(hs[0])) @ network.weights[1]).T @ deltas[1]

    # Eq. 23: h_j^{l-1} delta_i^l
    layer = 1

    def with_weight(weight: np.ndarray) -> float:
        return loss_from(network, layer, weight @ xs[layer] + network.biases[layer])

    by_weight = differentiate(with_weight, network.weights[layer])
    assert np.allclose(np.outer(deltas[layer], xs[layer]), by_weight, rtol=0, atol=1e-8)
    assert not np.allclose(np.outer(deltas[layer], hs[layer - 1]), by_weight, rtol=0, atol=1e-3)


@pytest.mark.claim("Misprint Eq. 1 indices", half="both")
def test_the_sum_over_inputs_runs_over_the_second_index_of_the_weights() -> None:
    """With h_i = sum_j W_ij x_j the gradient is x_j delta_i (Eq. 23); as printed its transpose."""
    x, delta = np.array([1.0, -2.0, 0.5]), loss_gradient(np.zeros(3))
    weights = np.array([[0.3, -1.0, 2.0], [0.7, 0.1, -0.4], [1.5, 0.6, -0.2]])
    meant = differentiate(lambda w: loss(w @ x), weights)
    as_printed = differentiate(lambda w: loss(w.T @ x), weights)
    assert np.allclose(meant, np.outer(delta, x), rtol=0, atol=1e-8)
    assert np.allclose(as_printed, np.outer(x, delta), rtol=0, atol=1e-8)
    assert not np.allclose(as_printed, np.outer(delta, x), rtol=0, atol=0.1)


@pytest.mark.claim("Misprint Eq. 1", half="both")
@given(fan_in=hyp.integers(1, 1000), width=hyp.integers(1, 1000), q=hyp.floats(0.1, 10.0))
def test_the_sum_over_inputs_ends_at_the_fan_in(fan_in: int, width: int, q: float) -> None:
    """N_{l-1} weights of variance sigma_w^2 / N_{l-1} give Eq. 3; divided by N_l they do not."""
    if fan_in == width:
        return
    net = st.MeanField(st.ShiftedReLU(0.5), 1.75, 0.25)
    squares = (float(net.variance_map(q)) - 0.25) / 1.75
    meant = fan_in * (1.75 / fan_in) * squares + 0.25
    as_printed = fan_in * (1.75 / width) * squares + 0.25
    agree("what is meant", meant, float(net.variance_map(q)), 1e-14, search=False)
    assert abs(as_printed - meant) > 1e-6 * abs(fan_in - width) / width * squares


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
