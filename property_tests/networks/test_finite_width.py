"""The variance of networks of finite width: its exact law, one step of it, and its small noise.

Random tests compare laws by the two-sample Kolmogorov-Smirnov test, at the level that `chance` sets
for the whole suite; seeds are fixed. Each rejects, at the same sizes, the chain of a wrong width or
another wrong theory that it names.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, kstest, ncx2

import sparsity_theory as st
from property_tests.support.chance import atypical, implausible, plausible, typical
from property_tests.support.scores import Floats
from property_tests.support.strategies import activation_for
from sparsity_theory.finite_width import gradient_law
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.observe import gradient_growth

ROWS: list[tuple[str, float, float | None]] = [
    ("relu", 0.7, None),
    ("st", 0.6, None),
    ("crelu", 0.7, 0.8),
    ("cst", 0.7, 0.9),
]


def design(kind: str, s: float, slope: float | None) -> st.MeanField:
    """A network on the edge of chaos."""
    return st.edge_of_chaos(activation_for(kind, s, slope))


def dense_chain(net: st.MeanField, width: int, depth: int, networks: int, seed: int) -> Any:
    """q^L and the sparsity of layer L, every unit drawn, as the definition says."""
    rng = np.random.default_rng(seed)
    q = np.ones(networks)
    for _ in range(depth):
        last = q
        x = net.activation(np.sqrt(q)[:, None] * rng.standard_normal((networks, width)))
        q = net.sigma_w2 * np.mean(x**2, axis=1) + net.sigma_b2
    return last, np.mean(x == 0, axis=1)


@cache
def real_networks(
    kind: str, s: float, slope: float | None, width: int, depth: int, networks: int, seed: int
) -> tuple[Floats, Floats]:
    """q^L and the logarithm of the squared gradient's gain, of torch networks started at q* = 1.

    In single precision, in which they are trained: thousands of networks do not resolve it.
    """
    net, x = design(kind, s, slope), torch.ones(1, 1)
    variances, growths = [], []
    for first in range(seed, seed + networks, 500):  # as many fit into little memory
        seeds = range(first, min(first + 500, seed + networks))
        ensemble = DenseEnsemble([net] * len(seeds), 1, width, depth, 1, seeds)
        with torch.no_grad():
            *_, (_, before), _ = ensemble.propagate(x)
        variances.append(before.double().square().mean((1, 2)).numpy())
        growths.append(gradient_growth(ensemble, x, seed=seed))
    q = net.sigma_w2 * np.concatenate(variances) + net.sigma_b2
    with np.errstate(divide="ignore"):
        return q, np.log(np.concatenate(growths))


def z_of_difference(x: Any, y: Any) -> float:
    """How many standard errors the means of two samples are apart."""
    error = np.sqrt(np.var(x) / len(x) + np.var(y) / len(y))
    difference = float(np.mean(x) - np.mean(y))
    return difference / error if error else difference


@pytest.mark.claim("Finite width: law")
@pytest.mark.parametrize(("kind", "s", "slope"), ROWS)
@pytest.mark.parametrize(("width", "depth"), [(12, 6), (40, 10)])
def test_the_chain_has_the_law_of_real_networks(
    kind: str, s: float, slope: float | None, width: int, depth: int
) -> None:
    """q^L of torch networks against as many draws of the chain; half the width is rejected."""
    net = design(kind, s, slope)
    networks = 4000 if width < 20 else 2000
    q, _ = real_networks(kind, s, slope, width, depth, networks, seed=7)
    chain = st.draw_chain(net, width, depth, networks, seed=3)
    assert plausible(ks_2samp(q, chain.variance[-1]).pvalue)
    narrow = st.draw_chain(net, width // 2, depth, networks, seed=3)
    assert implausible(ks_2samp(q, narrow.variance[-1]).pvalue)


@pytest.mark.claim("Finite width: gain")
@pytest.mark.parametrize(("kind", "s", "slope"), ROWS)
@pytest.mark.parametrize(("width", "depth"), [(8, 4), (30, 6), (60, 8)])
def test_gradients_of_real_networks_have_the_exact_law(
    kind: str, s: float, slope: float | None, width: int, depth: int
) -> None:
    """Of 4000 networks, what arrives at h^1 of a random direction at h^L.

    The named wrong theory takes the mean gain of every step for the gain.
    """
    net = design(kind, s, slope)
    _, seen = real_networks(kind, s, slope, width, depth, 4000, seed=5)
    drawn = st.draw_gradients(net, width, depth, 4000, seed=4)
    assert drawn.shape == (depth, 4000)
    assert np.all(drawn[-1] == 0)
    arrived = np.isfinite(seen)
    assert typical(z_of_difference(arrived, np.isfinite(drawn[0])))
    seen, drawn = seen[arrived], drawn[0][np.isfinite(drawn[0])]
    assert plausible(ks_2samp(seen, drawn).pvalue)
    mean = st.draw_layers(net, width, depth, 20_000, seed=4).log_backward_gain[0]
    assert implausible(ks_2samp(seen, mean[np.isfinite(mean)]).pvalue)


@pytest.mark.claim("Finite width: gain")
@pytest.mark.parametrize(("kind", "s", "slope"), [ROWS[1], ROWS[3]])
def test_backward_weights_cannot_be_taken_as_independent_of_the_forward_ones(
    kind: str, s: float, slope: float | None
) -> None:
    """Eq. 24 does so; at 60 wide the gain of 4000 networks is seen to be larger.

    Of a unit that passes gradients on the pre-activation is larger than of others, and so is what
    its weights have in common with x, which lies in such units where no clip acts.
    """
    net = design(kind, s, slope)
    _, seen = real_networks(kind, s, slope, 60, 8, 4000, seed=5)
    chain = st.draw_chain(net, 60, 8, 4000, seed=4)
    unsaturated = np.maximum(chain.unsaturated[0, :-1], 1)
    noise = np.random.default_rng(9).chisquare(unsaturated) / unsaturated
    independent = np.sum(np.log(chain.gain[:-1] * noise), axis=0)
    assert implausible(ks_2samp(seen, independent).pvalue)
    assert np.mean(seen) > np.mean(independent)


@pytest.mark.claim("Finite width: gain")
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_of_a_single_unsaturated_unit_what_does_not_lie_along_x_is_random(share: float) -> None:
    """The squared gradient is (a c + s sqrt(1 - a^2) z)^2, a^2 being the unit's share of |x|^2.

    So it is noncentral chi-squared, by a Kolmogorov-Smirnov test of 20,000 draws. Wrong: a random
    part of size 1 - a^2 for its root.
    """
    along_x, spread, draws = 0.7, 1.3, 20_000
    ones = np.ones(draws)
    x, h = np.sqrt(share), 1.5
    size, _ = gradient_law._passed_on(
        np.stack([ones, x**2 * ones, x * h * ones, h**2 * ones]),
        ones,
        along_x * ones,
        spread * ones,
        np.random.default_rng(5),
    )

    def p_value(random_part: float) -> float:
        centre = np.sqrt(share) * along_x
        law = ncx2(1, (centre / random_part) ** 2, scale=random_part**2)
        return float(kstest(size, law.cdf).pvalue)

    assert plausible(p_value(spread * np.sqrt(1 - share)))
    assert implausible(p_value(spread * (1 - share)))


def test_gradients_need_slopes_of_zero_and_one() -> None:
    leaky = st.PiecewiseLinear([0.0], [0.1, 1.0])
    for phi in (leaky, st.Activation(np.tanh, lambda x: 1 / np.cosh(x) ** 2)):
        with pytest.raises(ValueError, match="activation must have slopes 0 and 1 only"):
            st.draw_gradients(st.MeanField(phi, 1.0, 0.0, 1.0))


@pytest.mark.claim("Finite width: law")
@pytest.mark.parametrize(
    "net",
    [
        *(design(*row) for row in ROWS),
        st.edge_of_chaos(st.PiecewiseLinear([-0.8, 0.9], [0.5, 0.0, 1.0])),
        st.MeanField(st.Activation(np.tanh, lambda x: 1 / np.cosh(x) ** 2), 1.3, 0.1, 1.0),
        st.MeanField(st.PiecewiseLinear([0.3], [0.2, 1.0]), 1.3, 0.1, 1.0),
    ],
    ids=lambda net: f"{type(net.activation).__name__} {net.sigma_w2:.3f}",
)
def test_drawing_only_the_active_units_gives_the_law_of_drawing_all(net: st.MeanField) -> None:
    """40,000 networks of either, two layers deep; sparsities have few values, so means compare."""
    width, networks = 30, 40_000
    chain = st.draw_chain(net, width, 2, networks, seed=1)
    q, sparsity = dense_chain(net, width, 2, networks, seed=2)
    assert plausible(ks_2samp(chain.variance[1], q).pvalue)
    wrong, _ = dense_chain(net, width + 12, 2, networks, seed=2)
    assert implausible(ks_2samp(chain.variance[1], wrong).pvalue)
    assert typical(z_of_difference(sparsity, chain.sparsity[1]))


@pytest.mark.claim("Finite width: layers")
@pytest.mark.parametrize(
    ("kind", "s", "slope"),
    [("relu", 0.5, None), ("relu", 0.95, None), ("st", 0.6, None), ("crelu", 0.95, 0.1),
     ("crelu", 0.85, 0.9), ("cst", 0.9, 0.9)],
)  # fmt: skip
@pytest.mark.parametrize("width", [30, 100, 300])
def test_drawing_whole_layers_gives_the_law_of_drawing_every_unit(
    kind: str, s: float, slope: float | None, width: int
) -> None:
    """40,000 networks of either, five layers deep: q^5, sparsity and the gain of all layers.

    A q^2 that scatters a tenth less is the wrong theory.
    """
    net = design(kind, s, slope)
    units, layers = (
        st.draw_chain(net, width, 5, 40_000, 1),
        st.draw_layers(net, width, 5, 40_000, 2),
    )
    assert plausible(ks_2samp(units.variance[-1], layers.variance[-1]).pvalue)
    assert plausible(ks_2samp(units.log_backward_gain[0], layers.log_backward_gain[0]).pvalue)
    assert typical(z_of_difference(units.sparsity[-1], layers.sparsity[-1]))
    second = layers.variance[1]
    assert typical((np.mean(second) - 1) / np.sqrt(st.one_step_variance(net, 1.0, width) / 40_000))
    narrow = 1 + 0.9 * (second - 1)
    assert implausible(ks_2samp(units.variance[1], narrow).pvalue)


def test_whole_layers_are_drawn_of_the_four_activations_only() -> None:
    net = st.MeanField(st.PiecewiseLinear([0.3], [0.0, 1.0]), 1.3, 0.1, 1.0)
    with pytest.raises(ValueError, match="activation must be one of the paper's four, got Piece"):
        st.draw_layers(net)
    assert st.forecast(net, width=20, depth=3, networks=10).sparsity_mean.shape == (3,)


@pytest.mark.parametrize("draw", [st.draw_chain, st.draw_layers])
def test_initializations_given_as_arrays_have_the_laws_that_each_has_alone(draw: Any) -> None:
    """Arrays of tau, m and q0 broadcast; 4000 networks each, against 4000 drawn alone."""
    tau = np.array([[0.5], [1.0]])
    nets = st.edge_of_chaos(st.ClippedReLU(tau, np.array([0.8, 1.2, 2.0])))
    together = draw(nets, 20, 5, 4000, seed=1, q0=np.array([0.5, 1.0, 2.0]))
    assert together.variance.shape == together.gain.shape == (5, 2, 3, 4000)
    for i, t in enumerate((0.5, 1.0)):
        for j, (m, q0) in enumerate(((0.8, 0.5), (1.2, 1.0), (2.0, 2.0))):
            alone = draw(st.edge_of_chaos(st.ClippedReLU(t, m)), 20, 5, 4000, 2, q0)
            for name in ("variance", "gain"):
                drawn, expected = (getattr(c, name)[-1] for c in (together, alone))
                assert plausible(ks_2samp(drawn[i, j], expected).pvalue)


@pytest.mark.claim("Finite width: one step")
@pytest.mark.parametrize(("kind", "s", "slope"), ROWS)
@pytest.mark.parametrize("q", [0.5, 1.0, 3.0])
def test_one_step_has_the_mean_of_the_variance_map_and_the_variance_of_the_closed_form(
    kind: str, s: float, slope: float | None, q: float
) -> None:
    """Of 60,000 steps, each a sum of 300 units. A spread off by a tenth is rejected.

    A variance is known to a part sqrt((kurtosis - 1) / n), measured on the sample itself.
    """
    net = design(kind, s, slope)
    steps = st.draw_chain(net, 300, 2, 60_000, seed=11, q0=q).variance[1]
    spread = float(st.one_step_variance(net, q, 300))
    n = steps.size
    assert typical((np.mean(steps) - net.variance_map(q)) / np.sqrt(spread / n))
    squares = (steps - net.variance_map(q)) ** 2
    error = np.std(squares) / np.sqrt(n)
    assert typical((np.mean(squares) - spread) / error)
    assert atypical((np.mean(squares) - 1.1 * spread) / error)


@pytest.mark.claim("Finite width: small noise")
@pytest.mark.parametrize(("s", "slope"), [(0.7, 0.5), (0.85, 0.7), (0.5, 0.9)])
def test_a_wide_clipped_network_is_an_autoregressive_process_around_its_fixed_point(
    s: float, slope: float
) -> None:
    """From q* on, with Var[q^{l+1} | q*] = v, the variance is v (1 - V'^(2 l)) / (1 - V'^2).

    1000 networks, 10,000 wide, so that what is left out, V'' std, is below 1%; a deviation is
    known to 2.2% and a correlation to 0.03.
    """
    net = design("crelu", s, slope)
    width, depth, networks = 10_000, 12, 1000
    chain = st.draw_layers(net, width, depth, networks, seed=2)
    noise = st.small_noise(net, width, depth)
    assert np.all(noise.valid)
    layers = np.arange(depth)
    step = st.one_step_variance(net, 1.0, width)
    expected = np.sqrt(step * (1 - slope ** (2 * layers)) / (1 - slope**2))
    assert noise.std == pytest.approx(expected, rel=0.01)
    last, before = chain.variance[-1], chain.variance[-2]
    correlation = slope * noise.std[-2] / noise.std[-1]
    assert typical((np.std(last) / noise.std[-1] - 1) / 0.022)
    assert typical((np.corrcoef(last, before)[0, 1] - correlation) / 0.032)
    assert typical((np.mean(last) - noise.mean[-1]) / noise.std[-1] * np.sqrt(networks))
    score = (last - noise.mean[-1]) / noise.std[-1]
    assert plausible(kstest(score, "norm").pvalue)
    assert implausible(kstest(1.7 * score, "norm").pvalue)


@pytest.mark.claim("Finite width: small noise")
def test_unclipped_networks_drift_upwards_as_the_curvature_says() -> None:
    """V' = 1 keeps every step, and V'' > 0 turns their scatter into a drift of the mean.

    Of 2000 networks, 4000 wide and 40 deep; the mean is known to a forty-fifth of their deviation.
    """
    net = design("relu", 0.6, None)
    width, depth, networks = 4000, 40, 2000
    noise = st.small_noise(net, width, depth)
    assert np.all(noise.valid)
    step = st.one_step_variance(net, 1.0, width)
    steps = depth - 1
    assert noise.std[-1] ** 2 == pytest.approx(steps * step, rel=0.25)
    drift = 0.5 * net.variance_curvature(1.0) * step * steps * (steps - 1) / 2
    assert noise.mean[-1] - 1 == pytest.approx(drift, rel=0.25)  # it feeds itself, as V' grows
    last = st.draw_layers(net, width, depth, networks, seed=6).variance[-1]
    error = noise.std[-1] / np.sqrt(networks)
    assert typical((np.mean(last) - noise.mean[-1]) / error)
    assert atypical((np.mean(last) - 1) / error)  # without V'' there is no drift


def test_the_approximation_says_where_it_ends() -> None:
    """A narrow unclipped network scatters by more than V is straight over; a wide one does not."""
    net = design("st", 0.85, None)
    narrow, wide = (st.small_noise(net, width, 100) for width in (100, 1_000_000))
    assert narrow.valid[0]
    assert not narrow.valid[-1]
    assert list(narrow.valid) == sorted(narrow.valid, reverse=True)
    assert np.all(wide.valid[:20])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 0}, "width must be an integer of at least 1, got 0"),
        ({"depth": 0}, "depth must be an integer of at least 1, got 0"),
        ({"networks": 0}, "networks must be an integer of at least 1, got 0"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"q0": -1.0}, "q0 must be positive and finite, got -1.0"),
        ({"q0": np.nan}, "q0 must be positive and finite, got nan"),
    ],
)
def test_a_chain_that_makes_no_sense_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        st.draw_chain(design("crelu", 0.7, 0.7), **changed)
    unknown = st.MeanField(st.ShiftedReLU(0.0), 2.0)
    with pytest.raises(ValueError, match="q_star is not known"):
        st.draw_chain(unknown)


@pytest.mark.parametrize("draw", [st.draw_chain, st.draw_layers])
@pytest.mark.parametrize(
    ("phi", "gain"),
    [
        (st.ShiftedReLU(1.0), 0.0),
        (st.ShiftedReLU(0.0), 0.0),
        (st.SoftThreshold(0.0), 0.05),
        (st.ClippedReLU(0.5, 1.0), 0.0),
        (st.ClippedSoftThreshold(0.0, 1.0), 0.05),
    ],
)
def test_without_bias_a_chain_dies_out_at_variance_zero(draw: Any, phi: Any, gain: float) -> None:
    """There h = 0 in every unit: all are inactive, and pass on what phi'(0) lets through."""
    chain = draw(st.MeanField(phi, 0.05), width=4, depth=400, networks=5, q0=1.0)
    assert np.all(chain.variance[-1] == 0)
    assert np.all(chain.gain[-1] == gain)
    assert np.all(chain.sparsity[-1] == 1)
    assert not np.any(np.isnan(chain.log_backward_gain))


@pytest.mark.parametrize("draw", [st.draw_chain, st.draw_layers])
def test_a_chain_at_variance_zero_wakes_up_where_phi_of_zero_is_not_zero(draw: Any) -> None:
    """Both units of a layer below tau = -0.2 make q = 0; then phi(0) = 0.2 in both of the next."""
    phi = st.ClippedReLU(-0.2, 1.0)
    chain = draw(st.MeanField(phi, 1.5), width=2, depth=60, networks=200, q0=1.0)
    dead = chain.variance[:-1] == 0
    assert np.any(dead)
    assert np.allclose(chain.variance[1:][dead], 1.5 * 0.2**2, rtol=1e-15)
    assert np.all(chain.sparsity[:-1][dead] == 0)
    assert np.all(chain.gain[:-1][dead] == 1.5)


def test_gradients_and_small_noise_without_bias_are_numbers_down_to_zero() -> None:
    net = st.MeanField(st.ShiftedReLU(1.0), 0.5)
    assert not np.any(np.isnan(st.draw_gradients(net, 4, 50, 20, q0=1.0)))
    noise = st.small_noise(net, 4, 50, 1.0)
    assert np.all(np.isfinite(noise.mean))
    assert np.all(np.isfinite(noise.std))
