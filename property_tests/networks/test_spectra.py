"""Spectra of the Jacobians of random networks, with Gaussian and with orthogonal weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import sparsity_theory as st
from property_tests.support.chance import atypical, typical
from property_tests.support.networks import DRAWS, pairs_of_inputs
from property_tests.support.scores import Floats
from property_tests.support.strategies import activation_for
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.initialization import draw_orthogonal_
from torch_models.networks.observe import jacobian_spectrum


def spectra(
    net: st.MeanField, width: int, factors: int, members: int, weights: str, seed: int
) -> Floats:
    """Eigenvalues of J J^T in networks of ``factors`` layers behind the first, (members, width).

    In single precision, which means over hundreds of networks do not resolve.
    """
    x = pairs_of_inputs(50, 0.0, members, seed=seed)[:, :1].float()
    seeds, draw = range(members), DRAWS[weights]
    ensemble = DenseEnsemble([net] * members, 50, width, factors + 1, 1, seeds, draw=draw)
    return jacobian_spectrum(ensemble, x)


@pytest.mark.parametrize("weights", DRAWS)
@pytest.mark.parametrize("kind", ["relu", "st", "crelu", "cst"])
@pytest.mark.claim("Eq. 28", "Eq. 30", evidence="statistical")
def test_the_spectrum_of_the_jacobian_has_the_moments_of_free_probability(
    kind: str, weights: str
) -> None:
    """m_1 and m_2 of two layers at s = 0.5, from means over 600 networks, 50 and 100 wide.

    The formulas hold in infinite width, up to terms in 1 / N. Twice the mean at 100 less the mean
    at 50 is free of these; what is left, in 1 / N^2, is below the errors of the means, of which 6.1
    are allowed. The formula for the other kind of weights is one wrong theory, and Eq. 29 as it is
    printed, with mu_1 / mu_2 for mu_2 / mu_1^2, another.
    """
    net, factors, members = st.edge_of_chaos(activation_for(kind, 0.5, 0.7)), 2, 600

    def moments(width: int) -> Floats:
        spectrum = spectra(net, width, factors, members, weights, seed=9)
        return np.stack([np.mean(spectrum, axis=1), np.mean(spectrum**2, axis=1)])

    narrow, wide = moments(50), moments(100)
    mean = 2 * np.mean(wide, axis=1) - np.mean(narrow, axis=1)
    error = np.sqrt((4 * np.var(wide, axis=1) + np.var(narrow, axis=1)) / members)

    def z(orthogonal: bool) -> Floats:
        m1, m2, _ = st.jacobian_moments(net, factors, orthogonal=orthogonal)
        return np.asarray((mean - np.array([float(m1), float(m2)])) / error)

    right, wrong = z(weights == "orthogonal"), z(weights != "orthogonal")
    assert typical(right), right
    assert atypical(wrong[1]), wrong
    s_1 = 0.0 if weights == "orthogonal" else -1.0
    printed = factors * (1.0 + 1.0 / factors - 1.0 - s_1)  # mu_1 = mu_2, as all slopes are 0 or 1
    assert atypical((mean[1] - printed) / error[1])


@pytest.mark.claim("Spectrum: density", evidence="statistical")
@pytest.mark.parametrize("weights", DRAWS)
def test_the_spectrum_of_the_jacobian_has_the_shares_of_free_probability(weights: str) -> None:
    """Three layers of ReLU, 16 networks 150 wide: means over networks at four points.

    Allowed are two eigenvalues of 150 for what the width adds, and standard errors, taken as
    those of one eigenvalue at least. The spectrum for the other kind of weights is the wrong
    theory.
    """
    net, factors, members, width = st.edge_of_chaos(st.ShiftedReLU(0.0)), 3, 16, 150
    spectrum = spectra(net, width, factors, members, weights, seed=3)

    def z(orthogonal: bool) -> Floats:
        density = st.jacobian_density(net, factors, orthogonal)
        points = density.edges[1] * np.array([0.01, 0.1, 0.3, 0.6])
        shares = np.stack([np.mean(spectrum <= x, axis=1) for x in points], axis=1)
        off = np.abs(np.mean(shares, axis=0) - density.cdf(points))
        error = np.maximum(np.std(shares, axis=0), 1 / width) / np.sqrt(members)
        return np.asarray(np.maximum(off - 2 / width, 0) / error)

    assert typical(z(weights == "orthogonal"))
    assert atypical(np.max(z(weights != "orthogonal")))


@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (9, 4), (4, 9)])
def test_orthogonal_weights_are_orthogonal_and_have_the_variance_asked_for(
    rows: int, columns: int
) -> None:
    weight = torch.empty(rows, columns, dtype=torch.float64)
    draw_orthogonal_(weight, 0.3, torch.Generator().manual_seed(1))
    short = weight if rows <= columns else weight.T
    expected = 0.3 * max(rows, columns) * torch.eye(min(rows, columns), dtype=torch.float64)
    assert torch.allclose(short @ short.T, expected, atol=1e-12)
    assert float(weight.square().mean()) == pytest.approx(0.3, rel=1e-12)


def test_orthogonal_matrices_are_uniform() -> None:
    """The trace of a Haar-orthogonal matrix has the variance 1; of Q without R's signs it has not.

    4000 matrices of 8 x 8; the deviation of a variance is sqrt(2 / 4000) = 0.022 of it.
    """
    traces, unsigned = [], []
    generator = torch.Generator().manual_seed(2)
    for _ in range(4000):
        weight = torch.empty(8, 8, dtype=torch.float64)
        draw_orthogonal_(weight, 1 / 8, generator)
        traces.append(float(weight.trace()))
        gaussian = torch.randn(8, 8, generator=generator, dtype=torch.float64)
        unsigned.append(float(torch.linalg.qr(gaussian).Q.trace()))
    error = 0.022 * 1.5  # kurtosis below 5
    assert typical((np.mean(np.square(traces)) - 1) / error)
    assert atypical((np.mean(np.square(unsigned)) - 1) / error)
