"""Random convolutional networks against the covariance map and the laws of their channels.

- Given layer l - 1, the channels of layer l are exactly i.i.d., jointly normal over positions, with
  the covariance that the activations of layer l - 1 give.
- Given the input, channels of layer 1 are i.i.d. with the input's covariance, so what layer 2 has
  of them is a mean of i.i.d. terms with the expectation that the covariance map gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import sparsity_theory as st
from property_tests.support.chance import LARGEST_Z, atypical, typical
from property_tests.support.controls import doubled
from property_tests.support.networks import DRAWS, NETS, every_kind, more_weight, pairs_of_inputs
from property_tests.support.scores import Floats, score_of_squares, z_of_mean
from torch_models.networks.convolutional import ConvolutionalEnsemble
from torch_models.networks.observe import jacobian_spectrum, observe, observe_gradients


def ring(net: st.MeanField, channels: int, depth: int, members: int) -> ConvolutionalEnsemble:
    """Networks over a ring of positions, with kernels of three."""
    return ConvolutionalEnsemble(
        [net] * members, 4, channels, depth, range(members), dtype=torch.float64
    )


def on_a_ring(members: int, positions: int, seed: int = 1) -> Tensor:
    """Inputs (members, 1, 4, positions) that are alike at neighbouring positions, and uneven."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.randn(members, 1, 4, positions, generator=generator, dtype=torch.float64)
    return 1.2 * (rough + 0.8 * rough.roll(1, -1)) * torch.linspace(0.6, 1.3, positions)


@pytest.mark.claim("Eq. 2")
@pytest.mark.control("Eq. 2", replace="torch_models.networks.convolutional.convolve", by=doubled)
@pytest.mark.parametrize("half_width", [0, 1, 2])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_layer_is_the_sum_over_channels_and_offsets_written_out(
    half_width: int, dimensions: int
) -> None:
    """Position by position, offsets from -k to k, positions modulo their number."""
    nets, k = [NETS["crelu"], NETS["st"]], half_width
    ensemble = ConvolutionalEnsemble(
        nets, 2, 3, 2, (5, 6), half_width=k, dimensions=dimensions, dtype=torch.float64
    )
    positions = (5, 4)[:dimensions]
    x = torch.randn(2, 2, *positions, generator=torch.Generator().manual_seed(1)).double()
    below = x.expand(2, *x.shape)
    for layer, (h, activations) in enumerate(ensemble.propagate(x)):
        weight, bias = (p[layer].detach() for p in (ensemble.weights, ensemble.biases))
        expected = bias[:, None, :, *(None,) * dimensions].expand_as(h).clone()
        for place in np.ndindex(positions):
            for offset in np.ndindex((2 * k + 1,) * dimensions):
                source = tuple(
                    (p + o - k) % n for p, o, n in zip(place, offset, positions, strict=True)
                )
                kernel = weight[:, :, :, *offset]  # (members, out, in)
                values = below[:, :, :, *source]  # (members, batch, in)
                expected[:, :, :, *place] += torch.einsum("moi,mbi->mbo", kernel, values)
        assert torch.allclose(h, expected, rtol=0, atol=1e-13)
        for net, before, after in zip(nets, h, activations, strict=True):
            phi = net.activation(before.detach().numpy())
            assert np.allclose(after.detach().numpy(), phi, rtol=0, atol=1e-15)
        below = activations


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_convolutional_member_is_the_same_alone_and_in_an_ensemble(dimensions: int) -> None:
    nets = [NETS["relu"], NETS["cst"], NETS["crelu"]]
    x = torch.randn(2, 3, *(4, 5)[:dimensions], generator=torch.Generator().manual_seed(1))

    def layers(nets: list[st.MeanField], seeds: Any) -> list[Tensor]:
        stack = ConvolutionalEnsemble(nets, 3, 6, 3, seeds, dimensions=dimensions)
        return [h.detach() for h, _ in stack.propagate(x)]

    together, alone = layers(nets, (1, 2, 3)), layers(nets[1:2], (2,))
    for stacked, single in zip(together, alone, strict=True):
        assert torch.allclose(stacked[1], single[0], rtol=1e-5, atol=1e-6)


@pytest.mark.claim("Networks: convolutional")
@every_kind
def test_channels_are_normal_with_the_covariance_that_the_layer_before_gives(kind: str) -> None:
    """Over positions jointly: h^T Sigma^-1 h of a channel is chi-squared, Eq. 4 without its limit.

    10 members, 60 channels, 6 layers, 8 positions: 28,800 degrees. Off by 10% in sigma_w^2 is
    rejected, as is a kernel taken to be one position wide.
    """
    net, members, channels, depth, positions = NETS[kind], 10, 60, 6, 8
    ensemble, x = ring(net, channels, depth, members), on_a_ring(members, positions)

    def score(theory: st.MeanField, offsets: tuple[int, ...]) -> float:
        def covariance(values: Tensor, weight: float, bias: float) -> Tensor:
            means = values[:, 0].mT @ values[:, 0] / values.shape[2]
            shifted = [means.roll((-o, -o), (1, 2)) for o in offsets]
            return weight * torch.stack(shifted).mean(0) + bias

        sigma, total = covariance(x, 1.0, 0.0), 0.0
        with torch.no_grad():
            for layer, (h, activations) in enumerate(ensemble.propagate(x)):
                if layer:  # of layer 1 four channels give no covariance of full rank
                    each = h[:, 0].mT
                    total += float((each * torch.linalg.solve(sigma, each)).sum())
                sigma = covariance(activations, float(theory.sigma_w2), float(theory.sigma_b2))
        degrees = members * channels * (depth - 1) * positions
        return float(score_of_squares(total, 1.0, degrees))

    assert typical(score(net, (-1, 0, 1)))
    assert atypical(score(more_weight(net, 1.1), (-1, 0, 1)))
    assert atypical(score(net, (0,)))


@pytest.mark.claim("Networks: convolutional", "Eq. 4")
@every_kind
def test_the_covariance_between_positions_follows_the_covariance_map(kind: str) -> None:
    """20,000 channels of layer 1 are i.i.d., so the products that layer 2 sums have Eq. 4's mean.

    All pairs of 6 positions that differ in variance: 36 means, 21 of them different, each with its
    own error. Off by a half in
    sigma_w^2 is rejected at most pairs.
    """
    net, channels, positions = NETS[kind], 20_000, 6
    x = on_a_ring(1, positions, seed=2)
    ensemble = ring(net, channels, 1, 1)
    start = x[0, 0].T @ x[0, 0] / 4
    sigma = sum(start.roll((-o, -o), (0, 1)) for o in (-1, 0, 1)).numpy() / 3  # type: ignore[union-attr]
    with torch.no_grad():
        _, activations = next(ensemble.propagate(x))
    phi = activations[0, 0]  # (channels, positions)
    products = phi[:, :, None] * phi[:, None, :]
    summed = sum(products.roll((-o, -o), (1, 2)) for o in (-1, 0, 1)).numpy() / 3  # type: ignore[union-attr]

    def scores(theory: st.MeanField) -> Floats:
        terms = float(theory.sigma_w2) * summed + float(theory.sigma_b2)
        error = np.std(terms, axis=0) / math.sqrt(channels)
        return np.asarray((np.mean(terms, axis=0) - st.covariance_map(net, sigma, 1)) / error)

    assert typical(scores(net)[np.triu_indices(positions)])
    assert np.mean(np.abs(scores(more_weight(net, 1.5))) > LARGEST_Z) > 0.5


@pytest.mark.claim("Networks: convolutional")
@every_kind
@pytest.mark.parametrize("dimensions", [1, 2])
def test_convolutional_layers_are_as_sparse_as_their_variance_says(
    kind: str, dimensions: int
) -> None:
    """At one position of one network, zeros over channels are binomial given the layer before.

    The scores of 40 members, 300 channels wide and 3 deep, add up to a normal number. A sparsity of
    0.04 less is rejected. In single precision: 1e-7 of a variance is nothing beside a count.
    """
    net, members, channels = NETS[kind], 40, 300
    phi: Any = net.activation
    ensemble = ConvolutionalEnsemble(
        [net] * members, 4, channels, 3, range(members), dimensions=dimensions
    )
    generator = torch.Generator().manual_seed(3)
    shape = (members, 1, 4, *(5, 5)[:dimensions])
    x = torch.randn(shape, generator=generator)
    axes: tuple[int, ...] = tuple(range(-dimensions, 0))
    origin: Any = (slice(None), *(0,) * dimensions)  # the first position, of every member or row
    kernel = [torch.arange(-1, 2)] * dimensions
    offsets = torch.cartesian_prod(*kernel).reshape(-1, dimensions).tolist()

    def at_origin(values: Tensor, weight: float, bias: float) -> Floats:
        squares = values[:, 0].double().square().mean(1)  # (members, *positions)
        near = [squares.roll([-o for o in offset], axes) for offset in offsets]
        return (weight * torch.stack(near).mean(0) + bias)[origin].numpy()

    q = at_origin(x, 1.0, 0.0)
    scores: list[Floats] = []
    wrong: list[Floats] = []
    place = np.random.default_rng(4)
    with torch.no_grad():
        for h, activations in ensemble.propagate(x):
            zeros = (activations[:, 0][(slice(None), *origin)] == 0).sum(1).numpy()
            uniform = place.uniform(size=members)
            for shares, into in ((phi.sparsity(q), scores), (phi.sparsity(q) - 0.04, wrong)):
                law = stats.binom(channels, shares)
                into.append(stats.norm.ppf(law.cdf(zeros) - uniform * law.pmf(zeros)))
            q = at_origin(activations, float(net.sigma_w2), float(net.sigma_b2))
            assert h.shape == activations.shape
    total = [float(np.sum(each)) / math.sqrt(3 * members) for each in (scores, wrong)]
    assert typical(total[0])
    assert atypical(total[1])


def test_variance_and_sparsity_of_convolutional_networks_are_observed() -> None:
    ensemble, x = ring(NETS["cst"], 20, 3, 2), on_a_ring(2, 5)
    seen = observe(ensemble, x)
    ensemble.requires_grad_(False)
    for layer, (h, activations) in enumerate(ensemble.propagate(x)):
        for member in range(2):
            assert seen.variance[member, layer] == pytest.approx(float(h[member].square().mean()))
            share = float((activations[member] == 0).double().mean())
            assert seen.sparsity[member, layer] == pytest.approx(share)


@pytest.mark.claim("Networks: convolutional", "Networks: correlations")
@every_kind
@pytest.mark.parametrize("dimensions", [1, 2])
def test_two_images_in_a_convolutional_network_correlate_as_the_correlation_map_says(
    kind: str, dimensions: int
) -> None:
    """20,000 channels of layer 1, each with the mean over its positions of the products of two.

    Every position has the same variance and correlation, so Eq. 4 averages R over them. The map at
    another correlation is the wrong theory.
    """
    net, channels, rho = NETS[kind], 20_000, 0.8
    pair = pairs_of_inputs(4, rho, 1, seed=4)[0]
    x = pair[:, :, *(None,) * dimensions].expand(2, 4, *(3, 3)[:dimensions])
    ensemble = ConvolutionalEnsemble(
        [net], 4, channels, 1, [0], dimensions=dimensions, dtype=torch.float64
    )
    with torch.no_grad():
        _, activations = next(ensemble.propagate(x))
    first, second = activations[0]
    products = (first * second).flatten(1).mean(1).numpy()
    products = float(net.sigma_w2) * products + float(net.sigma_b2)
    assert typical(z_of_mean(products, float(net.correlation_map(rho))))
    assert atypical(z_of_mean(products, float(net.correlation_map(0.6))))


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("weights", DRAWS)
def test_the_jacobian_of_a_convolutional_network_is_that_of_autograd(
    dimensions: int, weights: str
) -> None:
    """From x^1 to x^3, and so are the gradients that a random direction at h^3 sends back."""
    net, positions = NETS["cst"], (4, 3)[:dimensions]
    ensemble = ConvolutionalEnsemble(
        [net] * 2, 3, 5, 3, (1, 2), dimensions=dimensions, dtype=torch.float64, draw=DRAWS[weights]
    )
    x = torch.randn(1, 3, *positions, generator=torch.Generator().manual_seed(3)).double()
    spectrum, growth = jacobian_spectrum(ensemble, x), observe_gradients(ensemble, x) ** 2
    layers, activations = zip(*ensemble.propagate(x), strict=True)
    drawn = torch.randn(layers[-1].shape[1:], generator=torch.Generator().manual_seed(0))
    direction = (drawn / drawn.norm()).double().expand_as(layers[-1])
    deltas = torch.autograd.grad(layers[-1], layers, direction, retain_graph=True)
    for layer, delta in enumerate(deltas):
        assert np.allclose(growth[:, layer], delta.square().flatten(1).mean(1).numpy(), rtol=1e-6)
    units = activations[-1][0].numel()
    for member in range(2):
        rows = [
            torch.autograd.grad(
                activations[-1][member].flatten()[unit], activations[0], retain_graph=True
            )[0][member].flatten()
            for unit in range(units)
        ]
        jacobian = torch.stack(rows)
        values = torch.linalg.eigvalsh(jacobian @ jacobian.T).numpy()
        assert np.allclose(spectrum[member], values, rtol=1e-10, atol=1e-10 * values.max())


@pytest.mark.claim("Eq. 28", "Eq. 30", evidence="statistical")
def test_the_spectrum_of_a_convolutional_jacobian_has_the_moments_of_a_dense_one() -> None:
    """Of its circulant blocks each is a Gaussian matrix, so in the limit nothing else is seen.

    m_1 and m_2 of one layer of 1000 networks on a ring of three, 10 and 20 channels, extrapolated
    as for dense networks. The orthogonal formula is the wrong theory.
    """
    net, members = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.5, slope=0.7)), 1000
    pair = pairs_of_inputs(4, 0.0, members, seed=9)[:, :1]
    x = pair[..., None].expand(members, 1, 4, 3)

    def moments(channels: int) -> Floats:
        spectrum = jacobian_spectrum(ring(net, channels, 2, members), x)
        return np.stack([np.mean(spectrum, axis=1), np.mean(spectrum**2, axis=1)])

    narrow, wide = moments(10), moments(20)
    mean = 2 * np.mean(wide, axis=1) - np.mean(narrow, axis=1)
    error = np.sqrt((4 * np.var(wide, axis=1) + np.var(narrow, axis=1)) / members)
    right, wrong = (
        (mean - np.array([float(m) for m in st.jacobian_moments(net, 1, orthogonal=o)[:2]])) / error
        for o in (False, True)
    )
    assert typical(right), right
    assert atypical(wrong[1]), wrong


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: ConvolutionalEnsemble([], 1, 1, 1, []), "nets must hold at least one member"),
        (lambda n: ConvolutionalEnsemble([n], 1, 1, 1, [1, 2]), "seeds must be one per net: got 2"),
        (lambda n: ConvolutionalEnsemble([n], 0, 1, 1, [1]), "in_channels must be at least 1"),
        (lambda n: ConvolutionalEnsemble([n], 1, 1, 0, [1]), "depth must be at least 1, got 0"),
        (lambda n: ConvolutionalEnsemble([n], 1, 1, 1, [1], -1), "half_width must be at least 0"),
        (lambda n: ConvolutionalEnsemble([n], 1, 1, 1, [1], 1, 3), "dimensions must be 1 or 2"),
    ],
)
def test_a_convolutional_ensemble_that_makes_no_sense_is_refused(
    make: Callable[[st.MeanField], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(NETS["crelu"])


def test_kernels_wider_than_the_image_s_surroundings_are_refused() -> None:
    ensemble = ConvolutionalEnsemble([NETS["crelu"]], 1, 2, 1, [0], half_width=2, dimensions=2)
    with pytest.raises(
        ValueError, match=r"x must have at least 2 positions in each dimension, got"
    ):
        ensemble(torch.zeros(1, 1, 5, 1))
    assert ensemble(torch.zeros(1, 1, 5, 2)).shape == (1, 1, 10)


def test_a_spectrum_is_of_one_input() -> None:
    with pytest.raises(ValueError, match="x must be a batch of one input, got 2"):
        jacobian_spectrum(ring(NETS["crelu"], 3, 2, 1), torch.zeros(2, 4, 5))


def test_an_image_of_the_wrong_shape_is_refused() -> None:
    ensemble = ring(NETS["crelu"], 3, 1, 1)
    for shape in ((2, 3, 5), (4, 5), (1, 1, 1, 4, 5)):
        with pytest.raises(ValueError, match=r"x must have shape \(batch, 4, \*positions\)"):
            next(ensemble.propagate(torch.zeros(shape, dtype=torch.float64)))
