"""Random residual networks, plain and pre-norm: their exact laws, sparsity and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch import nn

import sparsity_theory as st
from property_tests.support.chance import atypical, implausible, plausible, typical
from property_tests.support.networks import pairs_of_inputs, sphere
from property_tests.support.scores import (
    Floats,
    combined_z,
    score_of_count,
    score_of_squares,
)
from property_tests.support.strategies import activation_for
from sparsity_theory.mean_field.stream import Stream
from torch_models.networks.observe import gradient_growth, observe, observe_covariances
from torch_models.networks.residual import PreNormEnsemble, ResidualEnsemble, StreamEnsemble


def design(kind: str, s: float, slope: float | None = None) -> st.MeanField:
    return st.edge_of_chaos(activation_for(kind, s, slope))


RELU, CRELU, ST = design("relu", 0.7), design("crelu", 0.8, 0.7), design("st", 0.6)

PLAIN = [st.Residual(RELU, 0.7), st.Residual(CRELU, 0.5), st.Residual(ST, 0.6, 0.8)]
PRE_NORM = [
    st.PreNorm(RELU.activation, 1.0, 1.0, 5.0),
    st.PreNorm(CRELU.activation, 0.7, 1.0, 9.0, "layer"),
    st.PreNorm(ST.activation, 0.4, 1.0, 9.0),
]


def networks(net: Stream, width: int, depth: int, members: int) -> StreamEnsemble:
    """Of one input; the first weights are seeded from 0 on."""
    kind: Any = PreNormEnsemble if isinstance(net, st.PreNorm) else ResidualEnsemble
    ensemble: StreamEnsemble = kind(net, 1, width, depth, 1, range(members), dtype=torch.float64)
    return ensemble


ONE = torch.ones(1, 1, dtype=torch.float64)


def drawn(net: Stream, width: int, depth: int, number: int, seed: int = 5) -> st.StreamChain:
    draw: Any = st.draw_pre_norm if isinstance(net, st.PreNorm) else st.draw_residual
    chain: st.StreamChain = draw(net, width, depth, number, seed)
    return chain


# ---------------------------------------------------------------- what is exact


@torch.no_grad()
def increments(net: st.Residual, width: int, depth: int) -> tuple[Floats, Floats, Floats]:
    """|h^{l+1} - skip h^l|^2, |h^{l+1}|^2 and an increment's variance, (80 members, depth - 1)."""
    seen: list[tuple[torch.Tensor, ...]] = []
    before: tuple[torch.Tensor, torch.Tensor] | None = None
    for h, x in networks(net, width, depth, 80).propagate(ONE):
        if before is not None:
            stream, activations = before
            squares = activations.square().mean((1, 2))
            variance = net.alpha**2 * (net.net.sigma_w2 * squares + net.net.sigma_b2)
            added = (h - net.skip * stream).square().sum((1, 2))
            seen.append((added, h.square().sum((1, 2)), variance))
        before = h, x
    columns = [np.asarray(torch.stack(each, 1)) for each in zip(*seen, strict=True)]
    return columns[0], columns[1], columns[2]


@pytest.mark.claim("Residual: law")
@pytest.mark.parametrize("net", PLAIN, ids=repr)
def test_the_increments_of_a_plain_block_are_normal_given_the_layer_before(
    net: st.Residual,
) -> None:
    """Chi-squared, at width 40 and any depth.

    The wrong theory takes the whole of h^{l+1} for fresh normal entries, as in a network without
    skips: the squares of its scores, which would be chi-squared, are far too small, since of h^l
    everything is known.
    """
    width, depth = 40, 20
    added, whole, variance = increments(net, width, depth)
    assert typical(combined_z(score_of_squares(added, variance, width)))
    assert atypical(combined_z(score_of_squares(added, 1.1 * variance, width)))
    total = variance.copy()
    kept = np.ones(len(total))
    for layer in range(total.shape[1]):
        kept = net.skip**2 * (kept if layer == 0 else whole[:, layer - 1] / width)
        total[:, layer] += kept
    later = score_of_squares(whole[:, 1:], total[:, 1:], width)
    number = later.size
    assert atypical((np.sum(later**2) - number) / np.sqrt(2 * number))


@pytest.mark.claim("Residual: law")
@pytest.mark.parametrize(
    ("net", "width", "depth", "members"),
    [(net, 10, 5, 2000) for net in [*PLAIN, *PRE_NORM]]
    + [(PLAIN[1], 30, 8, 1000), (PRE_NORM[1], 30, 8, 1000)],
    ids=repr,
)
def test_streams_and_gradients_of_real_networks_have_the_law_that_is_drawn(
    net: Stream, width: int, depth: int, members: int
) -> None:
    """|h^L|^2 / N, the zeros behind it, and what arrives at h^1 of a random direction at h^L.

    By Kolmogorov-Smirnov tests. Wrong theories: a third of the width, for the variance; and weights
    independent of the forward ones at their mean gain, for gradients.
    """
    ensemble = networks(net, width, depth, members)
    seen = observe(ensemble, ONE)
    grown = np.log(gradient_growth(ensemble, ONE, seed=3))
    chain = drawn(net, width, depth, members)
    assert plausible(ks_2samp(seen.variance[:, -1], chain.variance[-1]).pvalue)
    zeros, share = np.rint(width * seen.sparsity[:, -1]), np.rint(width * chain.sparsity[-1])
    assert plausible(ks_2samp(zeros, share).pvalue)
    assert plausible(ks_2samp(grown, chain.log_gradient[0]).pvalue)
    narrow = drawn(net, width // 3, depth, members)
    assert implausible(ks_2samp(seen.variance[:, -1], narrow.variance[-1]).pvalue)
    assert implausible(ks_2samp(grown, chain.log_backward_gain[0]).pvalue)


@pytest.mark.claim("Residual: pre-norm")
@pytest.mark.parametrize("norm", ["rms", "layer"])
@pytest.mark.parametrize(("kind", "slope"), [("relu", None), ("st", None), ("cst", 0.7)])
@torch.no_grad()
def test_behind_a_normalization_the_sparsity_is_s_in_every_block(
    kind: str, slope: float | None, norm: Any
) -> None:
    """Binomial with 1 - s = 0.15, 60 blocks deep, after variances have grown sixtyfold.

    Of the same activation in a plain network of those weights the wrong theory: the sparsity is
    that of the stream's variance, which falls.
    """
    phi, width, depth, members = activation_for(kind, 0.85, slope), 80, 60, 8
    squares = float(phi.mean_square(np.ones(())))
    net = st.PreNorm(phi, 1.0, 1.0, 1 / squares, norm)
    seen = observe(networks(net, width, depth, members), ONE)
    zeros = np.rint(width * seen.sparsity)
    assert typical(combined_z(score_of_count(zeros, width, np.full(zeros.shape, 0.85), seed=1)))
    assert np.mean(seen.variance[:, -1]) > 30
    falling = phi.sparsity(seen.variance)
    assert atypical(combined_z(score_of_count(zeros, width, falling, seed=1)))
    inner = score_of_squares(*_inputs_of_phi(net, width, depth, members), width)
    assert typical(combined_z(inner))


@torch.no_grad()
def _inputs_of_phi(net: st.PreNorm, width: int, depth: int, members: int) -> tuple[Floats, float]:
    """|W1 norm(h)|^2 of every block, (members, depth), and the variance of its entries."""
    ensemble = networks(net, width, depth, members)
    assert isinstance(ensemble, PreNormEnsemble)
    squares = [
        (ensemble.norm(h) @ inner.mT).square().sum((1, 2)).numpy()
        for inner, (h, _) in zip(ensemble.inner, ensemble.propagate(ONE), strict=True)
    ]
    return np.stack(squares, 1), float(net.sigma_w2)


@pytest.mark.claim("Residual: gradient bound", "Residual: law", evidence="statistical")
@pytest.mark.parametrize("kind", ["relu", "st"])
def test_unclipped_gradients_stay_below_their_bound_in_networks_of_any_depth(kind: str) -> None:
    """4, 16 and 64 blocks of 40 units, alpha^2 = 1 / L, 60 networks each.

    They have the law that is drawn, and the same size at every depth; of a constant alpha = 1/2
    the mean gradient is beyond the bound at depth 64.
    """
    net = design(kind, 0.7)
    bound = float(net.sigma_w2) * (0.5 if kind == "relu" else 1.0)
    for depth in (4, 16, 64):
        stream = st.Residual(net, (depth - 1) ** -0.5)
        grown = np.log(gradient_growth(networks(stream, 40, depth, 60), ONE, seed=2))
        assert plausible(ks_2samp(grown, drawn(stream, 40, depth, 2000).log_gradient[0]).pvalue)
        assert np.mean(grown) < bound
        assert float(stream.log_gradient_growth(depth)[0]) < bound
    constant = np.log(gradient_growth(networks(st.Residual(net, 0.5), 40, 64, 60), ONE, seed=2))
    assert atypical((np.mean(constant) - bound) / (np.std(constant) / np.sqrt(60)))


@pytest.mark.claim("Residual: maps", "Residual: pre-norm", evidence="statistical")
@pytest.mark.parametrize("net", [PLAIN[1], PLAIN[2], PRE_NORM[0], PRE_NORM[1]], ids=repr)
def test_covariances_of_two_inputs_follow_the_maps_in_wide_networks(net: Stream) -> None:
    """200 wide, 5 layers, correlation 0.3, 60 networks: means of h^5, and their standard errors.

    What the width adds to means, of relative order 1 / N a layer, is allowed for: a percent. The
    wrong theory takes increments of two inputs for independent, so that their covariance shrinks
    with the skip, or stays.
    """
    width, depth, members, rho = 200, 5, 60, 0.3
    kind: Any = PreNormEnsemble if isinstance(net, st.PreNorm) else ResidualEnsemble
    ensemble = kind(net, 8, width, depth, 1, range(members), dtype=torch.float64)
    seen = observe_covariances(ensemble, pairs_of_inputs(8, rho, members, seed=4))[:, -1, 0]
    variance, correlation = 1.0, rho
    for _ in range(depth - 1):
        correlation, variance = (
            float(net.correlation_map(correlation, variance)),
            float(net.variance_map(variance)),
        )
    kept = rho * float(getattr(net, "skip", 1.0)) ** (2 * (depth - 1))

    def z(found: Floats, expected: float) -> float:
        off = max(abs(float(np.mean(found)) - expected) - 0.01 * variance, 0.0)
        return off / float(np.std(found) / np.sqrt(members))

    assert typical([z(seen[:, 0], variance), z(seen[:, 1], variance * correlation)])
    assert atypical(z(seen[:, 1], kept))


# ---------------------------------------------------------------- the forecast, and the modules


@pytest.mark.parametrize("net", [PLAIN[0], PLAIN[2], PRE_NORM[1]], ids=repr)
def test_a_forecast_of_a_residual_network_is_made_of_its_chain(net: Stream) -> None:
    assert isinstance(net, st.Residual | st.PreNorm)
    found = st.forecast(net, 30, 12, networks=200, seed=5)
    chain = drawn(net, 30, 12, 200)
    assert np.array_equal(found.sparsity_mean, chain.sparsity.mean(axis=1))
    assert np.array_equal(found.final_variance, np.quantile(chain.variance[-1], (0.05, 0.5, 0.95)))
    assert (found.learnability, found.largest_step) == (None, None)
    assert (found.left_basin == 0) == (getattr(net, "skip", 1.0) == 1.0)
    assert "sparsity" in found.verdict.split(";")[-1]


def test_what_is_forecast_of_deep_sparse_residual_networks() -> None:
    """Unclipped at s = 0.85, 50 deep: alpha = 1 explodes, scaled skips and normalization do not."""
    net = design("relu", 0.85)
    exploding = st.forecast(st.Residual(net, 1.0), 100, 50, 200)
    assert (exploding.outcome, exploding.severity) == ("explodes", 12.0)
    assert exploding.sparsity_mean[-1] < 0.55
    assert st.forecast(net, 100, 50, 200).outcome == "explodes"
    for alpha in (1.0, 50**-0.5):
        normed = st.forecast(st.PreNorm(net.activation, alpha), 100, 50, 200)
        assert normed.outcome == "trains"
        assert normed.sparsity_mean == pytest.approx(np.full(50, 0.85), abs=0.02)
    resting = st.forecast(st.Residual(net, 0.1, np.sqrt(0.99)), 100, 50, 200)
    assert resting.outcome == "trains"
    assert 0 < resting.left_basin < 1


@pytest.mark.parametrize("net", [PLAIN[2], PRE_NORM[0], PRE_NORM[1]], ids=repr)
def test_an_ensemble_of_residual_networks_computes_what_it_says(net: Stream) -> None:
    """Member by member, in torch's own layers."""
    kind: Any = PreNormEnsemble if isinstance(net, st.PreNorm) else ResidualEnsemble
    ensemble = kind(net, 7, 20, 4, 3, [1, 2], dtype=torch.float64)
    x = sphere(7, 1.0, samples=5)
    logits = ensemble(x)
    assert logits.shape == (2, 5, 3)
    for k in range(2):
        h = x @ ensemble.first[k].T
        for layer in range(4):
            if isinstance(net, st.PreNorm):
                normed = nn.functional.layer_norm(h, (20,), eps=0.0)
                if net.norm == "rms":
                    normed = h / h.square().mean(-1, keepdim=True).sqrt()
                activated = net.activation((normed @ ensemble.inner[layer][k].T).detach())
                moved = torch.as_tensor(activated) @ ensemble.outer[min(layer, 2)][k].T
                following = h + float(net.alpha) * moved
            else:
                assert isinstance(net, st.Residual)
                activated = net.activation(h.detach())
                place = min(layer, 2)
                moved = torch.as_tensor(activated) @ ensemble.weights[place][k].T
                following = net.skip * h + net.alpha * (moved + ensemble.biases[place][k])
            h = following
        expected = torch.as_tensor(activated) @ ensemble.last[k].T
        assert torch.allclose(logits[k], expected, rtol=1e-12, atol=1e-12)
    again = kind(net, 7, 20, 4, 3, [2], dtype=torch.float64)
    for own, theirs in zip(again.parameters(), ensemble.parameters(), strict=True):
        assert torch.equal(own[0], theirs[1])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seeds": []}, "seeds must hold at least one member"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"net": st.Residual(RELU, [0.1, 0.2])}, "net must be a single initialization"),
    ],
)
def test_ensembles_of_residual_networks_that_make_no_sense_are_refused(
    changed: dict[str, Any], message: str
) -> None:
    arguments: dict[str, Any] = {
        "net": PLAIN[0], "in_features": 2, "width": 3, "depth": 2, "out_features": 1, "seeds": [0],
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        ResidualEnsemble(**{**arguments, **changed})


def test_the_share_of_zeros_is_of_the_units_of_a_block_and_not_of_its_stream() -> None:
    """Blocks of 400 hidden units behind a stream of 10: one standard error is 0.02."""
    net = st.PreNorm(st.ShiftedReLU.for_sparsity(0.8), alpha=0.1)
    ensemble = PreNormEnsemble(net, 5, 10, 3, 2, [0], hidden=400)
    seen = observe(ensemble, torch.ones(1, 5)).sparsity
    np.testing.assert_allclose(seen, 0.8, atol=0.12)
