"""Random networks in torch, dense and convolutional, against the theory of their limits.

What is compared, and what the false-alarm probability rests on:

- Given layer l - 1, the pre-activations of layer l are exactly i.i.d. over units (or channels),
  normal, with a covariance that the activations of layer l - 1 give. So sums of squares, put into
  units of it, are exactly chi-squared, at any width.
- Given the input, units (or channels) of layer 1 are i.i.d. with the input's covariance, so what
  layer 2 has of them is a mean of i.i.d. terms with the expectation V, R or the covariance map.
- Where a whole network is looked at, the law at finite width (`draw_chain`) is what it must have.

How often a check alarms falsely, `chance` says for the whole suite. The seeds are fixed, and every
check rejects a wrong theory that it names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

import sparsity_theory as st
from property_tests.chance import LARGEST_Z, atypical, implausible, plausible, typical
from sparsity_theory.published.tables import published_rows
from torch_models.measurements.gradient_growth import measure
from torch_models.networks.convolutional import ConvolutionalEnsemble
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.ensemble import DrawInPlace
from torch_models.networks.initialization import draw_, draw_orthogonal_
from torch_models.networks.observe import (
    jacobian_spectrum,
    observe,
    observe_covariances,
    observe_gradients,
)
from torch_models.records.files import read_record

Floats = NDArray[np.float64]

NETS: dict[str, st.MeanField] = {
    "relu": st.edge_of_chaos(st.ShiftedReLU.for_sparsity(0.7)),
    "st": st.edge_of_chaos(st.SoftThreshold.for_sparsity(0.6)),
    "crelu": st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.7)),
    "cst": st.edge_of_chaos(st.ClippedSoftThreshold.for_sparsity(0.8, slope=0.7)),
}
KINDS = tuple(NETS)
every_kind = pytest.mark.parametrize("kind", KINDS)


def more_weight(net: st.MeanField, factor: float = 1.05) -> st.MeanField:
    """The wrong theory of a sigma_w^2 that is off by five percent."""
    return st.MeanField(net.activation, factor * net.sigma_w2, net.sigma_b2, net.q_star)


def z_of_mean(terms: Floats, expected: float) -> float:
    """How many standard errors the mean of i.i.d. terms is from what it should be."""
    return float((np.mean(terms) - expected) / (np.std(terms) / math.sqrt(terms.size)))


def score_of_chi_squared(total: float, degrees: int) -> float:
    """A chi-squared number as the standard normal one with the same distribution function."""
    return float(stats.norm.isf(stats.chi2.sf(total, degrees)))


def pairs_of_inputs(features: int, rho: float, members: int, seed: int) -> Tensor:
    """Two inputs a member, (members, 2, features), both of variance 1 and with correlation rho."""
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(members, features, 2, generator=generator, dtype=torch.float64)
    u, v = torch.linalg.qr(gaussian).Q.unbind(-1)
    return math.sqrt(features) * torch.stack([u, rho * u + math.sqrt(1 - rho**2) * v], dim=1)


# ---------------------------------------------------------------- two inputs


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
        return score_of_chi_squared(total, 2 * width * members * depth)

    assert typical(score(net))
    assert atypical(score(more_weight(net, 1.1)))


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


# ---------------------------------------------------------------- one input


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


def share_that_left(net: st.MeanField, width: int, depth: int) -> int:
    """How many of 1200 networks have q^L > 10, or are no longer finite."""
    members = 1200
    x = pairs_of_inputs(20, 0.0, members, seed=7)[:, :1].float()
    ensemble = DenseEnsemble([net] * members, 20, width, depth, 1, range(members))
    return int(np.sum(~(observe(ensemble, x).variance[:, -1] <= 10)))


def more(often: int, seldom: int) -> bool:
    """Whether the first of two counts out of 1200 is larger beyond chance."""
    table = np.array([[often, 1200 - often], [seldom, 1200 - seldom]])
    return implausible(stats.fisher_exact(table, alternative="greater").pvalue)


def check_growth_against_curvature(record: dict[str, Any]) -> None:
    """Spearman's rank correlation with V''(q*) and with the forecast's severity, over 33 rows.

    Without any link either would be as large with a probability below what chance allows. The
    sparsity s is the wrong theory: networks of one sparsity train or fail by their clip.
    """
    rows = [published.row for published in published_rows(2)]
    growth = [record["growth"][row.slug] for row in rows]
    curvature = [float(row.net().variance_curvature(1.0)) for row in rows]
    severity = [
        st.forecast(row.net(), 300, 100, 200, q0=row.input_variance()).severity for row in rows
    ]
    for ranked in (curvature, severity):
        assert implausible(stats.spearmanr(ranked, growth, alternative="greater").pvalue)
    assert not implausible(stats.spearmanr([row.sparsity for row in rows], growth).pvalue)


RECORDS = Path(__file__).parent / "records"


@pytest.mark.claim("Networks: gradient growth")
def test_gradients_grow_with_the_curvature_across_the_rows_of_table_2() -> None:
    """A third as wide and half as deep as the paper's networks, 40 of each row, backpropagated."""
    check_growth_against_curvature(measure(100, 50, 40))


@pytest.mark.claim("Networks: gradient growth")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_gradients_were_seen_to_grow_with_the_curvature_at_the_paper_s_size(device: str) -> None:
    """As recorded by tools/measure.py gradient-growth: 300 wide, 100 deep, 200 networks a row."""
    path = RECORDS / f"gradient_growth_{device}.json"
    if not path.exists():
        pytest.skip(f"no record: python tools/measure.py gradient-growth --device {device}")
    record = read_record(path)
    assert (record["width"], record["depth"], record["networks"]) == (300, 100, 200)
    check_growth_against_curvature(record)


@pytest.mark.slow
@pytest.mark.claim("Networks: gradient growth")
def test_gradients_grow_with_the_curvature_at_the_paper_s_size() -> None:
    """300 wide, 100 deep, 200 networks a row: some ten minutes on one core."""
    check_growth_against_curvature(measure(300, 100, 200))


@pytest.mark.gpu
@pytest.mark.claim("Networks: gradient growth")
def test_gradients_grow_with_the_curvature_at_the_paper_s_size_on_a_gpu() -> None:
    check_growth_against_curvature(measure(300, 100, 200, "cuda"))


# ---------------------------------------------------------------- the Jacobian


DRAWS: dict[str, DrawInPlace] = {"gaussian": draw_, "orthogonal": draw_orthogonal_}


@pytest.mark.parametrize("weights", DRAWS)
@pytest.mark.parametrize("kind", ["relu", "st", "crelu", "cst"])
@pytest.mark.claim("Eq. 28", "Eq. 30", judge="statistical")
def test_the_spectrum_of_the_jacobian_has_the_moments_of_free_probability(
    kind: str, weights: str
) -> None:
    """m_1 and m_2 of two layers at s = 0.5, from means over 600 networks, 50 and 100 wide.

    The formulas hold in infinite width, up to terms in 1 / N. Twice the mean at 100 less the mean
    at 50 is free of these; what is left, in 1 / N^2, is below the errors of the means, of which 6.1
    are allowed. The formula for the other kind of weights is one wrong theory, and Eq. 29 as it is
    printed, with mu_1 / mu_2 for mu_2 / mu_1^2, another.
    """
    family: Any = st.ACTIVATIONS[kind]
    phi = family.for_sparsity(0.5, slope=0.7) if family.clipped else family.for_sparsity(0.5)
    net, factors, members = st.edge_of_chaos(phi), 2, 600
    x = pairs_of_inputs(50, 0.0, members, seed=9)[:, :1]

    def moments(width: int) -> Floats:
        ensemble = DenseEnsemble(
            [net] * members,
            50,
            width,
            factors + 1,
            1,
            range(members),
            dtype=torch.float64,
            draw=DRAWS[weights],
        )
        spectrum = jacobian_spectrum(ensemble, x)
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


# ---------------------------------------------------------------- convolutional networks


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
def test_a_convolutional_member_is_the_same_alone_and_in_a_stack(dimensions: int) -> None:
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
        return score_of_chi_squared(total, members * channels * (depth - 1) * positions)

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
    0.04 less is rejected.
    """
    net, members, channels = NETS[kind], 40, 300
    phi: Any = net.activation
    ensemble = ConvolutionalEnsemble(
        [net] * members, 4, channels, 3, range(members), dimensions=dimensions, dtype=torch.float64
    )
    generator = torch.Generator().manual_seed(3)
    shape = (members, 1, 4, *(5, 5)[:dimensions])
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    axes: tuple[int, ...] = tuple(range(-dimensions, 0))
    origin: Any = (slice(None), *(0,) * dimensions)  # the first position, of every member or row
    kernel = [torch.arange(-1, 2)] * dimensions
    offsets = torch.cartesian_prod(*kernel).reshape(-1, dimensions).tolist()

    def at_origin(values: Tensor, weight: float, bias: float) -> Floats:
        squares = values[:, 0].square().mean(1)  # (members, *positions)
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


@pytest.mark.claim("Eq. 28", "Eq. 30", judge="statistical")
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
def test_a_convolutional_stack_that_makes_no_sense_is_refused(
    make: Callable[[st.MeanField], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(NETS["crelu"])


def test_an_image_of_the_wrong_shape_is_refused() -> None:
    ensemble = ring(NETS["crelu"], 3, 1, 1)
    for shape in ((2, 3, 5), (4, 5), (1, 1, 1, 4, 5)):
        with pytest.raises(ValueError, match=r"x must have shape \(batch, 4, \*positions\)"):
            next(ensemble.propagate(torch.zeros(shape, dtype=torch.float64)))
