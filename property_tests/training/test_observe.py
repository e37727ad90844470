"""What is observed of networks (variance, sparsity, covariances, gradients) is what is there."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from property_tests.support.networks import NETS, pairs_of_inputs, small_ensemble, sphere
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.evaluation import evaluate
from torch_models.networks.observe import (
    gradient_growth,
    jacobian_spectrum,
    observe,
    observe_covariances,
    observe_gradients,
)


def test_observed_variance_and_sparsity_are_those_of_the_layers() -> None:
    ensemble, x = small_ensemble(), sphere(20, 1.0, samples=9).float()
    seen = observe(ensemble, x.numpy())
    for layer, (h, activations) in enumerate(ensemble.propagate(x)):
        expected = h.detach().double().square().mean((1, 2)).numpy()
        np.testing.assert_allclose(seen.variance[:, layer], expected, rtol=1e-12)
        zeros = (activations == 0).double().mean((1, 2)).numpy()
        np.testing.assert_allclose(seen.sparsity[:, layer], zeros, rtol=0, atol=1e-15)


def test_gradients_by_the_layers_are_those_of_autograd() -> None:
    ensemble = small_ensemble(dtype=torch.float64)
    x, y = sphere(20, 1.0, samples=6), torch.arange(6) % 5
    seen = observe_gradients(ensemble.requires_grad_(False), x, y)
    ensemble.requires_grad_(True)
    for k in range(4):
        layers, activations = zip(*ensemble.propagate(x), strict=True)
        loss = nn.functional.cross_entropy(ensemble.readout(activations[-1])[k], y, reduction="sum")
        for layer, delta in enumerate(torch.autograd.grad(loss, layers)):
            expected = delta[k].square().mean().sqrt().item()
            assert seen[k, layer] == pytest.approx(expected, rel=1e-12)


def test_what_is_observed_of_a_broken_network_is_not_an_error() -> None:
    ensemble = small_ensemble()
    with torch.no_grad():
        ensemble.weights[0][1] = math.nan
        ensemble.weights[0][2] = 0.0
    x, y = sphere(20, 1.0, samples=5).float(), torch.arange(5)
    broken = evaluate(ensemble, x, y)
    assert broken.accuracy[1] == 0.0
    assert math.isnan(broken.loss[1])
    assert np.isfinite(np.delete(broken.loss, 1)).all()
    assert np.isnan(observe(ensemble, x).variance[1]).all()
    assert math.isnan(gradient_growth(ensemble, x)[1])


def test_evaluation_counts_right_answers_and_zeros_over_all_batches() -> None:
    ensemble = small_ensemble()
    x, y = sphere(20, 1.0, samples=1200).float(), torch.arange(1200) % 5
    found = evaluate(ensemble, x.numpy(), y.numpy())
    logits = ensemble(x).detach()
    np.testing.assert_array_equal(
        found.accuracy, (logits.argmax(-1) == y).double().mean(-1).numpy()
    )
    np.testing.assert_allclose(found.sparsity, observe(ensemble, x).sparsity, rtol=0, atol=1e-12)
    for k in range(4):
        assert found.loss[k] == pytest.approx(
            nn.functional.cross_entropy(logits[k], y).item(), rel=1e-5
        )


def test_observed_covariances_are_those_of_the_layers() -> None:
    x = pairs_of_inputs(10, 0.4, 3, seed=1)
    ensemble = DenseEnsemble([NETS["cst"]] * 3, 10, 40, 4, 1, range(3), dtype=torch.float64)
    covariances = observe_covariances(ensemble, x)
    assert covariances.shape == (3, 4, 2, 2)
    for layer, (h, _) in enumerate(ensemble.propagate(x)):
        for member in range(3):
            expected = (h[member] @ h[member].T / 40).detach().numpy()
            assert np.allclose(covariances[member, layer], expected, rtol=1e-13)
    variance = observe(ensemble, x).variance
    assert np.allclose(variance, np.trace(covariances, axis1=2, axis2=3) / 2, rtol=1e-12)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_device_and_precision_sees_the_same_networks(device: str, dtype: torch.dtype) -> None:
    """Drawn on the CPU in their own precision: to rounding, what float64 on a CPU sees of them."""
    nets = list(NETS.values())
    dense = DenseEnsemble(nets, 6, 20, 4, 1, range(4), dtype=dtype, device=device)
    exact = DenseEnsemble(nets, 6, 20, 4, 1, range(4), dtype=torch.float64)
    exact.load_state_dict(dense.state_dict())
    x = pairs_of_inputs(6, 0.0, 4, seed=2)
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-11}[dtype]
    seen, expected = observe(dense, x), observe(exact, x)
    assert np.allclose(seen.variance, expected.variance, rtol=tolerance)
    products, right = (observe_covariances(each, x) for each in (dense, exact))
    assert np.allclose(products, right, rtol=tolerance, atol=tolerance)
    spectrum, right = (jacobian_spectrum(each, x[:, :1]) for each in (dense, exact))
    assert np.allclose(spectrum, right, atol=tolerance * right.max())
