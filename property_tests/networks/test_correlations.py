"""Two inputs of a random dense network, against the correlation map."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import sparsity_theory as st
from property_tests.support.chance import atypical, typical
from property_tests.support.networks import NETS, every_kind, more_weight, pairs_of_inputs
from property_tests.support.scores import score_of_squares, z_of_mean
from torch_models.networks.dense import DenseEnsemble


@pytest.mark.claim("Networks: correlations")
@every_kind
@pytest.mark.parametrize("rho", [-0.5, 0.3, 0.9])
def test_the_correlation_of_two_inputs_follows_the_correlation_map(kind: str, rho: float) -> None:
    """The products of 2 x 10^5 units of layer 1, of 20 members, are i.i.d. with the mean of R.

    A right sigma_w^2 with the map of another sparsity, tau off by 5%, is the wrong theory.
    """
    net, width, members = NETS[kind], 10_000, 20
    x = pairs_of_inputs(50, rho, members, seed=3)
    ensemble = DenseEnsemble([net] * members, 50, width, 1, 1, range(members), dtype=torch.float64)
    with torch.no_grad():
        _, activations = next(ensemble.propagate(x))
    products = float(net.sigma_w2) * activations.prod(dim=1).flatten().numpy()
    products += float(net.sigma_b2)
    assert typical(z_of_mean(products, float(net.correlation_map(rho))))
    phi: Any = net.activation
    other = type(phi)(1.05 * phi.tau, phi.m) if phi.clipped else type(phi)(1.05 * phi.tau)
    wrong = st.MeanField(other, net.sigma_w2, net.sigma_b2, 1.0)
    if rho == 0.9:  # where the products are large; at -0.5 the one-sided kinds have next to none
        assert atypical(z_of_mean(products, float(wrong.correlation_map(rho))))


@pytest.mark.claim("Networks: correlations", "Networks: Gaussian")
@every_kind
def test_both_inputs_are_jointly_normal_in_every_layer(kind: str) -> None:
    """Given the layer before, h^T Sigma^-1 h of a unit is chi-squared with two degrees of freedom.

    Of 20 members, 200 wide and 8 deep: 64,000 degrees, whose sum scatters by 0.6%. Off by 5% in
    sigma_w^2 is rejected.
    """
    net, width, members, depth = NETS[kind], 200, 20, 8
    x = pairs_of_inputs(50, 0.6, members, seed=4)
    seeds = range(members)
    ensemble = DenseEnsemble([net] * members, 50, width, depth, 1, seeds, dtype=torch.float64)

    def score(theory: st.MeanField) -> float:
        sigma = (x @ x.mT) / 50
        total = 0.0
        with torch.no_grad():
            for h, activations in ensemble.propagate(x):
                total += float((h * torch.linalg.solve(sigma, h)).sum())
                sigma = float(theory.sigma_w2) * (activations @ activations.mT) / width
                sigma = sigma + float(theory.sigma_b2)
        return float(score_of_squares(total, 1.0, 2 * width * members * depth))

    assert typical(score(net))
    assert atypical(score(more_weight(net, 1.1)))
