"""Backpropagation of a dense network (Eqs. 1, 20-23, 25), and what is misprinted in it.

The networks are small, in NumPy, and written out; larger ones are tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hyp

import sparsity_theory as st
from property_tests.support.agreement import agree
from property_tests.support.controls import complement, each_doubled, linear
from property_tests.support.strategies import ACTIVATIONS, KINDS, UNCLIPPED


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
@pytest.mark.control(
    "Eq. 20", "Eq. 21", "Eq. 22", "Eq. 23", replace="backpropagate", by=each_doubled
)
@pytest.mark.control("Eq. 1", replace="Network.forward", by=linear)
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
@pytest.mark.control("Eq. 25", replace="sparsity_theory.ShiftedReLU.derivative", by=complement)
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


@pytest.mark.claim("Misprint Eq. 20", "Misprint Eq. 21", "Misprint Eq. 23", reading="both")
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


@pytest.mark.claim("Misprint Eq. 1 indices", reading="both")
def test_the_sum_over_inputs_runs_over_the_second_index_of_the_weights() -> None:
    """With h_i = sum_j W_ij x_j the gradient is x_j delta_i (Eq. 23); as printed its transpose."""
    x, delta = np.array([1.0, -2.0, 0.5]), loss_gradient(np.zeros(3))
    weights = np.array([[0.3, -1.0, 2.0], [0.7, 0.1, -0.4], [1.5, 0.6, -0.2]])
    meant = differentiate(lambda w: loss(w @ x), weights)
    as_printed = differentiate(lambda w: loss(w.T @ x), weights)
    assert np.allclose(meant, np.outer(delta, x), rtol=0, atol=1e-8)
    assert np.allclose(as_printed, np.outer(x, delta), rtol=0, atol=1e-8)
    assert not np.allclose(as_printed, np.outer(delta, x), rtol=0, atol=0.1)


@pytest.mark.claim("Misprint Eq. 1", reading="both")
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
