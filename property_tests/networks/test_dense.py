"""Random dense networks, layer by layer: sparsity, variance, fixed points and the drift off them.

How observations become scores, and what a false alarm rests on, `support.scores` and
`support.chance` say. The seeds are fixed, and every check rejects a wrong theory that it names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import sparsity_theory as st
from property_tests.support.chance import LARGEST_Z, atypical, implausible, plausible, typical
from property_tests.support.layers import wide_networks
from property_tests.support.networks import (
    ACTIVATIONS,
    KINDS,
    NETS,
    every_kind,
    pairs_of_inputs,
    sphere,
)
from property_tests.support.scores import Floats, combined_z, score_of_count, score_of_squares
from property_tests.support.strategies import activation_for
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.observe import observe


@pytest.mark.claim("Networks: sparsity")
@every_kind
def test_zeros_in_every_layer_are_as_frequent_as_the_theory_says(kind: str) -> None:
    layers, phi = wide_networks()[kind], ACTIVATIONS[kind]

    def z(sparsity: Callable[[Floats], Floats]) -> float:
        expected = sparsity(layers.variance)
        return combined_z(score_of_count(layers.zeros, layers.width, expected, seed=1))

    assert typical(z(phi.sparsity))
    wrong_tail = 1 - phi.sparsity(1.0)
    assert atypical(z(lambda q: np.full_like(q, wrong_tail)))
    # 48 layers of 300 units see a difference of 0.04 in the sparsity with probability 0.99.
    assert atypical(z(lambda q: phi.sparsity(q) - 0.04))


@pytest.mark.claim("Networks: first layer")
def test_the_first_layer_keeps_the_variance_of_any_input() -> None:
    nets = list(NETS.values())
    ensemble = DenseEnsemble(nets, 30, 2000, 1, 1, range(len(nets)), dtype=torch.float64)
    for variance in (0.3, 1.0, 7.0):
        x = sphere(30, variance)
        squares = observe(ensemble, x).variance * ensemble.width
        degrees = ensemble.width
        assert typical(combined_z(score_of_squares(squares, variance, degrees)))
        # The rule of the other layers, without their bias: sigma_w^2 times the variance.
        as_others = np.array([[float(net.sigma_w2)] for net in nets]) * variance
        assert atypical(combined_z(score_of_squares(squares, as_others, degrees)))


@pytest.mark.claim("Networks: variance")
@every_kind
def test_layers_are_gaussian_sums_with_the_variances_of_the_initialization(kind: str) -> None:
    layers = wide_networks()[kind]

    def z(variance: Floats) -> float:
        later = np.s_[:, 1:]
        return combined_z(score_of_squares(layers.squares[later], variance[later], layers.width))

    assert typical(z(layers.variance))
    # 44 layers shift by 0.08 * sqrt(300 / 2) * sqrt(44) = 6.5 standard deviations.
    assert atypical(z(layers.variance * 1.08))


@pytest.mark.claim("Networks: variance")
@pytest.mark.parametrize("q0", np.exp(np.random.default_rng(7).uniform(-0.7, 1.5, 4)).round(3))
@every_kind
def test_one_very_wide_layer_maps_the_variance_as_v_does(kind: str, q0: float) -> None:
    """A million i.i.d. terms phi(h)^2, centred and scaled by their own standard deviation.

    Normal but for terms in 1 / sqrt(n): with skewness 11 (the largest at q^0 = 1) the first term of
    the Edgeworth series raises the tail at 6.1 standard deviations by less than a half.
    q^0 is random, log-uniform from 0.5 to 4.5. Off by 5% in sigma_w^2 is the wrong theory.
    """
    net, width = NETS[kind], 1_000_000
    ensemble = DenseEnsemble([net], 4, width, 1, 1, [5], dtype=torch.float64)
    with torch.no_grad():
        _, x = next(ensemble.propagate(sphere(4, q0)))
    squares = x.square().flatten().numpy()
    error = net.sigma_w2 * squares.std() / math.sqrt(width)

    def z(theory: Any) -> float:
        return float(
            (net.sigma_w2 * squares.mean() + net.sigma_b2 - theory.variance_map(q0)) / error
        )

    assert typical(z(net))
    assert atypical(z(st.MeanField(net.activation, 1.05 * net.sigma_w2, net.sigma_b2)))


@pytest.mark.claim("Networks: weight variance")
@pytest.mark.parametrize("s", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_the_weight_variance_on_the_edge_is_one_over_the_share_of_units_that_pass_gradients(
    kind: str, s: float
) -> None:
    """1 / (1 - s) for the unclipped kinds; so units pass with probability 1 / sigma_w^2.

    Of a million i.i.d. units at q*. Off by 5% is rejected, and so is 1 / (1 - s) for the clipped
    kinds, whose clipped units are not zero and pass nothing on.
    """
    width, phi = 1_000_000, activation_for(kind, s, 0.7)
    sigma_w2 = float(st.edge_of_chaos(phi).sigma_w2)
    ensemble = DenseEnsemble([st.edge_of_chaos(phi)], 4, width, 1, 1, [6], dtype=torch.float64)
    with torch.no_grad():
        h, x = next(ensemble.propagate(sphere(4, 1.0)))
    unsaturated = np.array([np.sum(phi.derivative(h.numpy()))])

    def z(weight_variance: float) -> Floats:
        return score_of_count(unsaturated, width, np.array([1 / weight_variance]), seed=3)

    assert typical(z(sigma_w2))
    assert atypical(z(1.05 * sigma_w2))
    zeros = np.array([float((x == 0).sum())])
    assert typical(score_of_count(zeros, width, np.array([s]), seed=4))
    if phi.clipped:
        assert atypical(z(1 / (1 - s)))
    else:
        assert sigma_w2 == pytest.approx(1 / (1 - s), rel=1e-12)


@pytest.mark.claim("Networks: Gaussian")
@every_kind
def test_pre_activations_are_normal_with_the_variance_of_their_own_network(kind: str) -> None:
    """All 10 x 6 x 3000 units in units of their layer's own deviation: Kolmogorov and Smirnov.

    Taking every network's variance for q*, as in infinite width, is the wrong theory: at 10 wide
    that mixture of normal laws is no normal law.
    """
    net, width, members, depth = NETS[kind], 10, 3000, 6
    x = pairs_of_inputs(20, 0.0, members, seed=5)[:, :1]
    seeds = range(members)
    ensemble = DenseEnsemble([net] * members, 20, width, depth, 1, seeds, dtype=torch.float64)
    own, limit = [], []
    q = torch.ones(members, 1, 1, dtype=torch.float64)
    with torch.no_grad():
        for h, activations in ensemble.propagate(x):
            own.append((h / q.sqrt()).flatten().numpy())
            limit.append(h.flatten().numpy())
            square = activations.square().mean(-1, keepdim=True)
            q = float(net.sigma_w2) * square + float(net.sigma_b2)
    assert plausible(stats.kstest(np.concatenate(own), "norm").pvalue)
    assert implausible(stats.kstest(np.concatenate(limit[1:]), "norm").pvalue)


@pytest.mark.claim("Networks: fixed point")
@pytest.mark.parametrize("kind", ["crelu", "cst"])
def test_a_clipped_network_started_at_its_fixed_point_keeps_it(kind: str) -> None:
    """q^L of 200 torch networks, 60 wide and 20 deep, has the law that the chain has at q*.

    And none of 10 networks that are 600 wide is farther from q* than chance allows. The map without
    the clip, with its own sigma_w^2 and sigma_b^2, is the wrong theory.
    """
    net, width, depth, members = NETS[kind], 60, 20, 200
    x = pairs_of_inputs(20, 0.0, members, seed=6)[:, :1].float()
    ensemble = DenseEnsemble([net] * members, 20, width, depth, 1, range(members))
    last = observe(ensemble, x).variance[:, -1]  # of the units: chi-squared around q^L
    units = np.random.default_rng(1).chisquare(width, 10_000) / width
    chain = st.draw_chain(net, width, depth, 10_000, seed=2).variance[-1]
    assert plausible(stats.ks_2samp(last, chain * units).pvalue)
    phi: Any = net.activation
    unclipped = st.edge_of_chaos((st.SoftThreshold if phi.odd else st.ShiftedReLU)(phi.tau))
    wrong = st.draw_chain(unclipped, width, depth, 10_000, seed=2).variance[-1]
    assert implausible(stats.ks_2samp(last, wrong * units).pvalue)

    wide = DenseEnsemble([net] * 10, 20, 600, depth, 1, range(10))
    noise = st.small_noise(net, 600, depth)
    scatter = math.sqrt(noise.std[-1] ** 2 + 2 / 600)  # the networks', and that of 600 units
    kept = observe(wide, x[:10]).variance[:, -1]
    assert typical((kept - 1) / scatter)


@pytest.mark.claim("Networks: drift")
@pytest.mark.parametrize("kind", ["relu", "st"])
def test_unclipped_networks_leave_their_fixed_point_the_more_the_steeper_the_deeper_the_narrower(
    kind: str,
) -> None:
    """The share of 1200 torch networks with q^L > 10 q*, compared by Fisher's exact test.

    It grows with V'' (s = 0.9 against 0.55) and with depth (30 against 5), and in shallow networks
    shrinks with width (30 against 150, 10 deep at s = 0.8); each way round beyond what chance
    allows if there were no difference. Clipped networks are the control: none of them leaves.
    """
    family: Any = {"relu": st.ShiftedReLU, "st": st.SoftThreshold}[kind]
    steep, middle, flat = (st.edge_of_chaos(family.for_sparsity(s)) for s in (0.9, 0.8, 0.55))
    assert steep.variance_curvature(1.0) > flat.variance_curvature(1.0)
    assert more(share_that_left(steep, 30, 30), share_that_left(flat, 30, 30))
    assert more(share_that_left(steep, 30, 30), share_that_left(steep, 30, 5))
    assert more(share_that_left(middle, 30, 10), share_that_left(middle, 150, 10))
    clipped: Any = {"relu": st.ClippedReLU, "st": st.ClippedSoftThreshold}[kind]
    assert share_that_left(st.edge_of_chaos(clipped.for_sparsity(0.9, slope=0.5)), 60, 30) == 0


@pytest.mark.claim("Networks: drift")
@pytest.mark.parametrize("family", [st.ShiftedReLU, st.SoftThreshold])
def test_deep_enough_width_does_not_keep_networks_at_an_unstable_fixed_point(family: Any) -> None:
    """The counterexample outside the domain: at s = 0.8, 100 deep, half of them leave at any width.

    Of 4000 draws of the law that torch networks are shown to have. A step upwards is never undone
    and a wide network only needs more layers for it, up to which it keeps q*.
    """
    net = st.edge_of_chaos(family.for_sparsity(0.8))
    narrow, wide = (
        float(np.mean(st.draw_layers(net, width, 100, 4000, seed=1).variance[-1] > 10))
        for width in (30, 300)
    )
    error = math.sqrt(2 * 0.25 / 4000)
    assert abs(narrow - wide) + LARGEST_Z * error < 0.2
    assert min(narrow, wide) - LARGEST_Z * error > 0.5


@cache
def share_that_left(net: st.MeanField, width: int, depth: int) -> int:
    """How many of 1200 networks have q^L > 10, or are no longer finite."""
    members, at_once = 1200, 40  # as many fit into little memory
    x = pairs_of_inputs(20, 0.0, members, seed=7)[:, :1].float()
    left = 0
    for first in range(0, members, at_once):
        seeds = range(first, first + at_once)
        ensemble = DenseEnsemble([net] * at_once, 20, width, depth, 1, seeds)
        variance = observe(ensemble, x[first : first + at_once]).variance[:, -1]
        left += int(np.sum(~(variance <= 10)))
    return left


def more(often: int, seldom: int) -> bool:
    """Whether the first of two counts out of 1200 is larger beyond chance."""
    table = np.array([[often, 1200 - often], [seldom, 1200 - seldom]])
    return implausible(stats.fisher_exact(table, alternative="greater").pvalue)
