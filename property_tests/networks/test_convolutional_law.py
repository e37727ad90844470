"""Convolutional networks of finite width: the exact law, and that of many positions.

Random tests compare laws by the two-sample Kolmogorov-Smirnov test, at the level that `chance` sets
for the whole suite; seeds are fixed. The wrong theories, rejected on the same samples, are dense
networks: as wide as there are channels, or as there are channels at all positions together.
"""

from __future__ import annotations

import itertools
import math
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as hyp
from scipy.integrate import quad
from scipy.stats import ks_2samp, norm

import sparsity_theory as st
from property_tests.support.chance import atypical, implausible, plausible, typical
from property_tests.support.scores import Floats, z_of_mean
from property_tests.support.strategies import activation_for
from sparsity_theory.finite_width.convolution_law import mean_gains
from sparsity_theory.finite_width.position_law import FEW, _Channels
from torch_models.networks.circular import input_gradient
from torch_models.networks.convolutional import ConvolutionalEnsemble
from torch_models.networks.observe import gradient_growth

NETS = {
    kind: st.edge_of_chaos(activation_for(kind, s, slope))
    for kind, s, slope in (
        ("relu", 0.7, None),
        ("st", 0.6, None),
        ("crelu", 0.7, 0.8),
        ("cst", 0.7, 0.9),
    )
}
every_kind = pytest.mark.parametrize("kind", NETS)
every_kind_in_time = pytest.mark.parametrize(
    "kind",
    ["crelu", "st", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("relu", "cst"))],
)
"""Two kinds, one of each sort, by default, all with ``-m slow`` too."""


class Seen(NamedTuple):
    """What torch networks do, one entry each: of Sigma^L, and the logarithms of two gains.

    ``gain`` is the mean over backward weights given phi' at all units; ``growth`` is what a random
    direction at h^L really has become at h^1.
    """

    variance: Floats
    largest: Floats
    correlation: Floats
    gain: Floats
    growth: Floats


def noise(shape: tuple[int, ...]) -> torch.Tensor:
    """An image whose positions are independent and of variance 1, with a channel for each."""
    positions = math.prod(shape)
    image = math.sqrt(positions) * torch.eye(positions)
    return image.reshape(1, positions, *shape)


def ensemble_of(
    net: st.MeanField, shape: tuple[int, ...], channels: int, depth: int, networks: int, seed: int
) -> ConvolutionalEnsemble:
    """Networks with kernels of three in each dimension, for the image `noise`.

    In single precision, in which they are trained: thousands of networks do not resolve it.
    """
    return ConvolutionalEnsemble(
        [net] * networks,
        math.prod(shape),
        channels,
        depth,
        range(seed, seed + networks),
        dimensions=len(shape),
    )


@cache
def real_networks(
    kind: str, shape: tuple[int, ...], channels: int, depth: int, networks: int
) -> Seen:
    """Of torch networks that see an image of noise."""
    net = NETS[kind]
    ensemble, image = ensemble_of(net, shape, channels, depth, networks, seed=5), noise(shape)
    axes, positions = tuple(range(2, 2 + len(shape))), math.prod(shape)
    with torch.no_grad():
        layers = [h[:, 0].double().numpy() for h, _ in ensemble.propagate(image)]
    slopes = [np.mean(net.activation.derivative(h) ** 2, axis=1) for h in layers]
    x = net.activation(layers[-2])
    squares = np.mean(x**2, axis=1)
    for axis in range(1, len(shape) + 1):
        squares = sum(np.roll(squares, beta, axis) for beta in (-1, 0, 1)) / 3
    q = np.asarray(net.sigma_w2 * squares + net.sigma_b2).reshape(networks, -1)
    # A mean over all pairs of positions is one over the squares of means.
    pairs = net.sigma_w2 * np.mean(np.mean(x, axis=axes) ** 2, axis=1) + net.sigma_b2
    variance = np.mean(q, axis=1)
    correlation = (positions * pairs / variance - 1) / (positions - 1)
    with np.errstate(divide="ignore"):
        gains = np.log(mean_gains(net.sigma_w2 * np.stack(slopes), 3)[:-1]).sum(axis=0)
        growth = np.log(gradient_growth(ensemble, image, seed=3))
    return Seen(variance, np.max(q, axis=1), correlation, gains, growth)


def alike(x: Floats, y: Floats) -> float:
    """The p-value of the two samples having one law; networks without any gradient are left out."""
    return float(ks_2samp(x[np.isfinite(x)], y[np.isfinite(y)]).pvalue)


@pytest.mark.claim("Finite width: convolutions")
@every_kind_in_time
@pytest.mark.parametrize(("shape", "channels", "networks"), [((8,), 12, 1500), ((3, 4), 16, 1000)])
def test_the_chain_of_covariances_has_the_law_of_real_convolutional_networks(
    kind: str, shape: tuple[int, ...], channels: int, networks: int
) -> None:
    """Six layers deep: the variance, the largest one, the correlation and the mean gain."""
    net = NETS[kind]
    seen = real_networks(kind, shape, channels, 6, networks)
    drawn = st.draw_convolutions(net, shape, 3, channels, 6, networks, seed=1)
    assert plausible(ks_2samp(seen.variance, drawn.variance[-1]).pvalue)
    assert plausible(ks_2samp(seen.largest, drawn.largest_variance[-1]).pvalue)
    assert plausible(ks_2samp(seen.correlation, drawn.correlation[-1]).pvalue)
    assert plausible(alike(seen.gain, drawn.log_backward_gain[0]))
    alone = st.draw_chain(net, channels, 6, networks, seed=1)
    together = st.draw_layers(net, channels * math.prod(shape), 6, networks, seed=1)
    assert implausible(alike(seen.gain, alone.log_backward_gain[0]))
    assert implausible(ks_2samp(seen.variance, together.variance[-1]).pvalue)


@pytest.mark.claim("Finite width: many positions")
@every_kind_in_time
def test_many_positions_of_real_networks_have_the_law_of_infinitely_many(kind: str) -> None:
    """300 networks, 16 x 16 positions, 20 channels, six layers: gradients are real ones too.

    With so many positions the squared gradient is close to its mean given phi', even at 20
    channels, and even though its weights are the forward ones.
    """
    net, shape, channels, networks = NETS[kind], (16, 16), 20, 300
    seen = real_networks(kind, shape, channels, 6, networks)
    drawn = st.draw_many_positions(net, channels, 6, 2000, seed=1)
    assert plausible(ks_2samp(seen.variance, drawn.variance[-1]).pvalue)
    assert plausible(ks_2samp(seen.correlation, drawn.correlation[-1]).pvalue)
    assert plausible(alike(seen.gain, drawn.log_backward_gain[0]))
    assert plausible(alike(seen.growth, drawn.log_backward_gain[0]))
    alone = st.draw_chain(net, channels, 6, 2000, seed=1)
    together = st.draw_layers(net, channels * 256, 6, 2000, seed=1)
    assert implausible(alike(seen.growth, alone.log_backward_gain[0]))
    assert implausible(ks_2samp(seen.variance, together.variance[-1]).pvalue)


@pytest.mark.claim("Finite width: many positions")
@every_kind
def test_sixteen_positions_of_an_image_are_already_many(kind: str) -> None:
    """3000 networks, 50 channels wide and 12 deep, against the exact law of 4 x 4 positions."""
    net, networks = NETS[kind], 3000
    exact = st.draw_convolutions(net, (4, 4), 3, 50, 12, networks, seed=1)
    many = st.draw_many_positions(net, 50, 12, networks, seed=2)
    assert plausible(ks_2samp(exact.variance[-1], many.variance[-1]).pvalue)
    assert plausible(alike(exact.log_backward_gain[0], many.log_backward_gain[0]))
    assert typical(z_of_difference(exact.sparsity[-1], many.sparsity[-1]))
    dense = st.draw_chain(net, 50, 12, networks, seed=2)
    together = st.draw_layers(net, 50 * 16, 12, networks, seed=2)
    assert implausible(alike(exact.log_backward_gain[0], dense.log_backward_gain[0]))
    assert implausible(ks_2samp(exact.variance[-1], together.variance[-1]).pvalue)


def z_of_difference(x: Floats, y: Floats) -> float:
    """How many standard errors the means of two samples are apart."""
    error = np.sqrt(np.var(x) / len(x) + np.var(y) / len(y))
    return float((np.mean(x) - np.mean(y)) / error)


@pytest.mark.claim("Finite width: many positions")
def test_positions_far_apart_on_a_ring_are_not_alike_in_a_narrow_network() -> None:
    """Where it ends: 25 positions with kernels of three, soft thresholding, 40 channels.

    With 3000 networks of either law p is 1e-9 to 1e-6; the quick one has ten times as many.
    """
    net = NETS["st"]
    exact = st.draw_convolutions(net, 25, 3, 40, 12, 3000, seed=1)
    many = st.draw_many_positions(net, 40, 12, 30_000, seed=2)
    assert implausible(alike(exact.log_backward_gain[0], many.log_backward_gain[0]))
    assert np.mean(exact.correlation[-1]) < np.mean(many.correlation[-1])


@pytest.mark.claim("Finite width: position gain")
@every_kind_in_time
@pytest.mark.parametrize("shape", [(6,), (3, 4)])
def test_gradients_through_independent_weights_gain_what_the_recursion_over_positions_says(
    kind: str, shape: tuple[int, ...]
) -> None:
    """Of 3000 networks four deep, sent back through the weights of as many others.

    Given phi' at all units, the mean of the real gain over the recursion's is 1. A share of
    units with phi' = 1 that is a fifth too low is rejected.
    """
    net, channels, depth, networks = NETS[kind], 6, 4, 3000
    forward, backward = (
        ensemble_of(net, shape, channels, depth, networks, seed) for seed in (0, networks)
    )
    with torch.no_grad():
        layers = [h for h, _ in forward.propagate(noise(shape))]
        units = [torch.from_numpy(net.activation.derivative(h.numpy())).float() for h in layers]
        delta = torch.randn(layers[-1].shape, generator=torch.Generator().manual_seed(2))
        delta /= delta.flatten(1).norm(dim=1).reshape(-1, *(1,) * (delta.ndim - 1))
        for layer in range(depth - 2, -1, -1):
            delta = units[layer] * input_gradient(delta, backward.weights[layer + 1])
    size = delta.double().flatten(1).square().sum(1).numpy()
    slopes = np.stack([float(net.sigma_w2) * each[:, 0].double().mean(1).numpy() for each in units])

    def score(each: Floats) -> float:
        gain = np.prod(mean_gains(each, 3)[:-1], axis=0)
        return z_of_mean(size[gain > 0] / gain[gain > 0], 1.0)

    assert typical(score(slopes))
    assert atypical(score(0.8 * slopes))


@pytest.mark.claim("Finite width: position gain")
@pytest.mark.parametrize("kind", ["relu", "st", "cst"])
def test_few_positions_gain_more_by_weights_that_are_the_forward_ones(kind: str) -> None:
    """By their mean over 1500 networks on a ring of eight, twelve channels wide and six deep.

    Real gradients are larger than their mean through independent weights, as in dense networks;
    among 16 x 16 positions nothing is left of it, by a test above.
    """
    seen = real_networks(kind, (8,), 12, 6, 1500)
    arriving = np.isfinite(seen.gain)
    ratio = np.exp(seen.growth[arriving] - seen.gain[arriving])
    assert atypical(z_of_mean(ratio, 1.0))
    assert np.mean(ratio) > 1


def test_gains_depend_on_where_gradients_come_from() -> None:
    """One position of four passes gradients on, in two layers: 1/4 of 1/4 times the kernel's 1/3.

    The kernel spreads the gradient of that position over three, of which it keeps a third.
    """
    slopes = np.zeros((3, 1, 4))
    slopes[:, 0, 2] = 1.0
    gains = mean_gains(slopes, 3)
    np.testing.assert_allclose(gains[:, 0], [1 / 3, 1 / 4, 1 / 4], rtol=1e-14)
    np.testing.assert_allclose(mean_gains(slopes, 1)[:, 0], [1.0, 1 / 4, 1 / 4], rtol=1e-14)
    assert np.all(mean_gains(np.zeros((3, 2, 4)), 3) == 0)


@pytest.mark.claim("Finite width: convolutions")
@every_kind
def test_a_single_position_is_a_dense_network(kind: str) -> None:
    """4000 of either, ten layers deep; and so are many positions that are all alike."""
    net = NETS[kind]
    dense = st.draw_chain(net, 40, 10, 4000, seed=1)
    one = st.draw_convolutions(net, 1, 1, 40, 10, 4000, seed=2)
    same = st.draw_many_positions(net, 40, 10, 4000, seed=3, rho0=1.0)
    for chain in (one, same):
        assert plausible(ks_2samp(dense.variance[-1], chain.variance[-1]).pvalue)
        assert plausible(alike(dense.log_backward_gain[0], chain.log_backward_gain[0]))
        assert np.all(np.abs(chain.correlation - 1) < 1e-6)


@pytest.mark.claim("Finite width: convolutions")
def test_wide_convolutional_networks_follow_the_covariance_map() -> None:
    """Two layers, from an uneven covariance: 40 networks, 2000 channels, the mean over networks."""
    net = NETS["st"]
    x = np.random.default_rng(3).standard_normal((5, 7)) * np.linspace(0.2, 1.6, 5)[:, None]
    sigma = x @ x.T / 7
    chain = st.draw_convolutions(net, 5, 3, 2000, 2, 40, covariance=sigma)
    expected = st.covariance_map(net, sigma, 1)
    assert chain.variance[0] == pytest.approx(np.trace(sigma) / 5)
    assert chain.largest_variance[0] == pytest.approx(np.max(np.diag(sigma)))
    assert typical(z_of_mean(chain.variance[1], float(np.trace(expected)) / 5))
    assert atypical(z_of_mean(chain.variance[1], float(net.variance_map(np.trace(sigma) / 5))))


@settings(max_examples=40)
@given(
    tau=hyp.floats(-1.0, 2.0),
    m=hyp.one_of(hyp.floats(0.05, 5.0), hyp.just(1e120)),
    shared=hyp.floats(-3.0, 4.0),
    own=hyp.floats(0.01, 2.0),
)
def test_expectations_given_what_positions_share_are_those_of_quadrature(
    tau: float, m: float, shared: float, own: float
) -> None:
    """E phi, E phi^2, P(phi' = 1) and P(phi > 0) of N(shared, own^2), to quadrature's 1e-8."""
    found = _Channels(tau, m, False)._side(np.array([[shared]]), np.array([[own]]))
    low, high = shared - 12 * own, shared + 12 * own
    kinks = [float(np.clip(kink, low, high)) for kink in (tau, tau + m)]

    def mean(function: Any) -> float:
        def weighted(h: float) -> float:
            return float(function(h) * norm.pdf(h, shared, own))

        ends = [low, *kinks, high]
        return sum(
            quad(weighted, a, b, epsabs=1e-11, limit=200)[0]
            for a, b in itertools.pairwise(ends)
            if b > a
        )

    def rise(h: float) -> float:
        return min(max(h - tau, 0.0), m)

    expected = [
        mean(rise),
        mean(lambda h: rise(h) ** 2),
        mean(lambda h: tau < h < tau + m),
        mean(lambda h: h > tau),
    ]
    assert [float(each[0, 0]) for each in found] == pytest.approx(expected, abs=1e-8)


def test_networks_that_die_or_explode_give_numbers() -> None:
    """Without bias and hardly active, or far above the edge of chaos: no NaN, and no overflow."""
    dying = st.MeanField(st.SoftThreshold(3.0), 1.0, 0.0, 1.0)
    exploding = st.MeanField(st.ShiftedReLU(0.0), 1e40, 0.0, 1.0)
    for net in (dying, exploding):
        few = st.draw_convolutions(net, (2, 2), 3, 4, 12, 20)
        many = st.draw_many_positions(net, 4, 12, 20)
        for chain in (few, many):
            for name in ("variance", "gain", "sparsity", "largest_variance", "correlation"):
                assert np.all(np.isfinite(getattr(chain, name))), (net, name)
    assert np.max(few.variance[-1]) > 1e190


NET = NETS["crelu"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (partial(st.draw_convolutions, positions=0), "positions must be an integer of at least 1"),
        (
            partial(st.draw_convolutions, positions=(2, 2, 2)),
            "positions must be a number or",
        ),
        (partial(st.draw_convolutions, positions=4, kernel=2), "kernel must be odd, 2 k [+] 1"),
        (partial(st.draw_convolutions, positions=4, depth=0), "depth must be an integer of at"),
        (partial(st.draw_convolutions, positions=4, q0=-1.0), "q0 must be positive and finite"),
        (
            partial(st.draw_convolutions, positions=4, q0=1.0, covariance=np.eye(4)),
            "q0 does not go with covariance",
        ),
        (
            partial(st.draw_convolutions, positions=4, covariance=np.eye(3)),
            r"covariance must have shape \(4, 4\), got \(3, 3\)",
        ),
        (
            partial(st.draw_convolutions, positions=2, covariance=[[1.0, 0.2], [0.1, 1.0]]),
            "covariance must be symmetric",
        ),
        (
            partial(st.draw_convolutions, positions=2, covariance=[[1.0, 2.0], [2.0, 1.0]]),
            "covariance must be positive semidefinite, got the eigenvalue -1",
        ),
        (partial(st.draw_many_positions, rho0=-0.1), r"rho0 must be in \[0, 1\], got -0.1"),
        (partial(st.draw_many_positions, rho0=1.1), r"rho0 must be in \[0, 1\], got 1.1"),
        (partial(st.draw_many_positions, networks=0), "networks must be an integer of at least 1"),
        (partial(st.forecast, kernel=3), "kernel and positions go together, got kernel alone"),
        (partial(st.forecast, positions=9), "kernel and positions go together, got positions"),
        (partial(st.forecast, kernel=4, positions=9), "kernel must be odd"),
        (partial(st.forecast, kernel=1, positions=9), "kernel must be at least 3 for more than 8"),
    ],
)
def test_convolutional_networks_that_make_no_sense_are_refused(draw: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(NET)


def test_convolutional_networks_are_drawn_of_one_initialization_at_a_time() -> None:
    nets = st.edge_of_chaos(st.ClippedReLU(np.array([0.5, 1.0]), 1.0))
    with pytest.raises(ValueError, match=r"a single q0 and scalar tau, .* of shape \(2,\)"):
        st.draw_convolutions(nets, 4)
    other = st.MeanField(st.PiecewiseLinear([0.3], [0.0, 1.0]), 1.3, 0.1, 1.0)
    with pytest.raises(ValueError, match="activation must be one of the paper's four, got Piece"):
        st.draw_many_positions(other)
    assert st.draw_convolutions(other, 4, 3, 10, 3, 5).variance.shape == (3, 5)


def test_a_forecast_is_exact_for_few_positions_and_of_many_for_more() -> None:
    """By the same random numbers as the law that it is made from."""
    size: dict[str, Any] = {"width": 20, "depth": 8, "networks": 100, "seed": 4}
    few = st.forecast(NET, **size, kernel=3, positions=FEW)
    exact = st.draw_convolutions(NET, FEW, 3, **size)
    many = st.forecast(NET, **size, kernel=3, positions=(32, 32))
    drawn = st.draw_many_positions(NET, **size)
    for found, chain in ((few, exact), (many, drawn)):
        assert found.final_variance[1] == pytest.approx(np.median(chain.variance[-1]))
        assert found.sparsity_mean == pytest.approx(chain.sparsity.mean(axis=1))
    assert st.forecast(NET, **size, kernel=5, positions=1024) == many
