"""q* is a unit: what a larger one leaves as it is, and that it makes steps larger."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import sparsity_theory as st
from property_tests.support.controls import shifted, weights_times
from property_tests.support.networks import ACTIVATIONS, NETS, every_kind, sphere
from sparsity_theory.activations.thresholded import CLIPPED_KINDS
from sparsity_theory.published.rows import Design
from torch_models.networks.dense import DenseEnsemble

STRETCH = 2.0
"""A power of two, by which numbers are multiplied without an error."""

MEMBERS, FEATURES, CLASSES = 3, 20, 5


def stretched(kind: str) -> st.MeanField:
    """The network of a kind whose pre-activations are `STRETCH` times as large, unit by unit."""
    phi, net = ACTIVATIONS[kind], NETS[kind]
    kinks = [STRETCH * float(phi.tau), *([STRETCH * float(phi.m)] if kind in CLIPPED_KINDS else [])]
    return st.MeanField(type(phi)(*kinks), net.sigma_w2, STRETCH**2 * net.sigma_b2)


def random_networks(net: st.MeanField, input_scale: float) -> DenseEnsemble:
    """Small networks whose random numbers do not depend on ``net``."""
    scales = [input_scale] * MEMBERS
    shape = (FEATURES, 60, 8, CLASSES)
    nets, seeds = [net] * MEMBERS, range(MEMBERS)
    return DenseEnsemble(nets, *shape, seeds, dtype=torch.float64, input_scales=scales)


def gradients(ensemble: DenseEnsemble, x: Tensor, temperature: float) -> list[list[Tensor]]:
    """Those of the cross-entropy of logits over ``temperature``: by all weights and all biases."""
    logits = ensemble(x).flatten(0, 1) / temperature
    labels = torch.arange(len(logits)) % CLASSES
    parameters = [*ensemble.weights, *ensemble.biases]
    found = torch.autograd.grad(cross_entropy(logits, labels), parameters)
    return [list(found[: len(ensemble.weights)]), list(found[len(ensemble.weights) :])]


@pytest.mark.claim("Networks: unit of q*")
@pytest.mark.control("Networks: unit of q*", replace="stretched", by=weights_times(2))
@every_kind
def test_a_stretched_network_is_the_same_one_and_learns_the_same_from_a_loss_as_flat(
    kind: str,
) -> None:
    """Bit for bit, in eight layers of 60 units: no limit is taken."""
    x = sphere(FEATURES, 1.0, samples=6)
    plain, larger = random_networks(NETS[kind], 1.0), random_networks(stretched(kind), STRETCH)
    for (h, phi), (stretched_h, stretched_phi) in zip(
        plain.propagate(x), larger.propagate(x), strict=True
    ):
        assert torch.equal(stretched_h, STRETCH * h)
        assert torch.equal(stretched_phi, STRETCH * phi)
    assert torch.equal(larger(x), STRETCH * plain(x))

    by_weights, by_biases = gradients(plain, x, 1.0)
    stretched_by_weights, stretched_by_biases = gradients(larger, x, STRETCH)
    assert all(map(torch.equal, stretched_by_weights, by_weights))
    assert all(map(torch.equal, stretched_by_biases, [grad / STRETCH for grad in by_biases]))


def forecast_at(q_star: float, design: Design) -> st.Forecast:
    """The forecast for networks of the same sparsity and V'(q*) with another q*."""
    return st.forecast(design.net(q_star), width=100, depth=40, networks=200)


def step_size(forecast: st.Forecast) -> float:
    """By how much more a step teaches: 10 to the power of the learnability."""
    assert forecast.learnability is not None
    return float(10**forecast.learnability)


@pytest.mark.claim("Networks: unit of q*")
@pytest.mark.control("Networks: unit of q*", replace="step_size", by=shifted)
@pytest.mark.parametrize("q_star", [0.25, 2.0, 9.0])
@pytest.mark.parametrize("design", [Design("crelu", 0.85, 0.7), Design("cst", 0.7, 0.5)], ids=str)
def test_the_forecast_for_a_larger_fixed_point_differs_in_the_size_of_steps_alone(
    design: Design, q_star: float
) -> None:
    """Their size grows like q*, and the largest stable one shrinks by a little less.

    What weights teach grows with the activations, what biases teach does not; here that is a share
    of less than a fifth.
    """
    here, there = forecast_at(1.0, design), forecast_at(q_star, design)
    for unchanged in ("exploding_share", "dead_share", "left_basin", "failure_probability"):
        assert getattr(there, unchanged) == pytest.approx(getattr(here, unchanged), rel=1e-9)
    larger = step_size(there) / step_size(here)
    assert larger == pytest.approx(q_star, rel=1e-9)
    assert here.largest_step
    assert there.largest_step
    share_of_weights = (here.largest_step / there.largest_step - 1) / (q_star - 1)
    assert 0.8 < share_of_weights <= 1
