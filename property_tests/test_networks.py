"""Networks in torch against the theory: at initialization and backwards.

How the statistical tests judge. In a dense network with i.i.d. Gaussian weights and biases and one
input, the pre-activations of layer l, given all layers before it, are *exactly* i.i.d. N(0, q^l)
with q^l = sigma_w^2 |x^{l-1}|^2 / N + sigma_b^2, at any width. So, given the past,

- N times the mean of (h^l)^2 over q^l is chi-squared with N degrees of freedom;
- the number of zeros in layer l is binomial with probability phi.sparsity(q^l);
- the number of units with phi' = 1 is binomial with probability chi(q^l) / sigma_w^2.

Each observed value is put through its own distribution function (for a count, at a uniformly random
place within its jump) and then through the normal quantile, which makes it N(0, 1), independent of
the past. n of them, over layers and members, add up to sqrt(n) N(0, 1) exactly: no limit, no
approximation. How far a sum may lie from zero, `chance` says for the whole suite; and each judge is
shown to reject a wrong theory.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor, nn

import sparsity_theory as st
import torch_models
from property_tests.chance import atypical, typical
from property_tests.small_networks import (
    ACTIVATIONS,
    KINDS,
    NETS,
    alone,
    same_parameters,
    small_ensemble,
    sphere,
)
from torch_models.networks.activations import (
    ClippedReLU,
    ClippedSoftThreshold,
    ShiftedReLU,
    SoftThreshold,
    SparseActivation,
)
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.evaluation import evaluate
from torch_models.networks.initialization import edge_of_chaos_
from torch_models.networks.observe import gradient_growth, observe, observe_gradients

Floats = NDArray[np.float64]

pytestmark = pytest.mark.usefixtures("one_thread")

every_kind = pytest.mark.parametrize("kind", KINDS)


# ------------------------------------------------------------------ the judge


def combined_z(scores: Floats) -> float:
    """n independent standard normal scores as one."""
    return float(np.sum(scores) / math.sqrt(np.size(scores)))


def score_of_count(count: Floats, trials: int, probability: Floats, seed: int) -> Floats:
    """N(0, 1) if the counts are binomial: the randomized probability integral transform."""
    law = stats.binom(trials, probability)
    place = np.random.default_rng(seed).uniform(size=np.shape(count))
    return np.asarray(stats.norm.ppf(law.cdf(count - 1) + place * law.pmf(count)))


def score_of_squares(sum_of_squares: ArrayLike, variance: Any, degrees: Any) -> Floats:
    """N(0, 1) if the summands are squares of ``degrees`` i.i.d. N(0, variance)."""
    law = stats.chi2(degrees)
    scaled = np.asarray(sum_of_squares) / variance
    # From the nearer tail: one minus the other would round to zero.
    lower, upper = stats.norm.ppf(law.cdf(scaled)), stats.norm.isf(law.sf(scaled))
    return np.asarray(np.where(scaled < degrees, lower, upper))


@dataclass(frozen=True)
class Layers:
    """One kind's networks at initialization, one input each: everything that the judges need.

    Arrays are (members, depth); ``variance`` is q^l as it follows from x^{l-1}, not as measured.
    """

    width: int
    variance: Floats
    squares: Floats
    zeros: Floats
    active: Floats


MEMBERS_OF_EACH_KIND, WIDTH, DEPTH = 4, 300, 12


@pytest.fixture(scope="module")
def wide_networks() -> dict[str, Layers]:
    """One stack with four members of each kind, seen layer by layer in float64."""
    nets = [net for net in NETS.values() for _ in range(MEMBERS_OF_EACH_KIND)]
    ensemble = DenseEnsemble(nets, 50, WIDTH, DEPTH, 1, range(len(nets)), dtype=torch.float64)
    sigma_w2, sigma_b2 = (
        torch.tensor(np.array([float(getattr(net, name)) for net in nets]))
        for name in ("sigma_w2", "sigma_b2")
    )
    q = torch.ones(len(nets), dtype=torch.float64)  # layer 1 keeps the input's variance
    seen: list[tuple[Tensor, ...]] = []
    with torch.no_grad():
        for h, x in ensemble.propagate(sphere(50, variance=1.0)):
            slopes = torch.from_numpy(
                np.stack([net.activation.derivative(row) for net, row in zip(nets, h, strict=True)])
            )
            seen.append((q, *(v.sum((1, 2)) for v in (h.square(), x == 0, slopes == 1))))
            q = sigma_w2 * x.square().mean((1, 2)) + sigma_b2
    columns = [
        np.stack([np.asarray(v, dtype=float) for v in c], 1) for c in zip(*seen, strict=True)
    ]
    of = {
        kind: slice(i * MEMBERS_OF_EACH_KIND, (i + 1) * MEMBERS_OF_EACH_KIND)
        for i, kind in enumerate(KINDS)
    }
    return {kind: Layers(WIDTH, *(column[of[kind]] for column in columns)) for kind in KINDS}


# ------------------------------------------------------------------ random networks


@pytest.mark.claim("Networks: sparsity")
@every_kind
def test_zeros_in_every_layer_are_as_frequent_as_the_theory_says(
    kind: str, wide_networks: dict[str, Layers]
) -> None:
    layers, phi = wide_networks[kind], ACTIVATIONS[kind]

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
def test_layers_are_gaussian_sums_with_the_variances_of_the_initialization(
    kind: str, wide_networks: dict[str, Layers]
) -> None:
    layers = wide_networks[kind]

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
    family: Any = st.ACTIVATIONS[kind]
    width = 1_000_000
    phi = family.for_sparsity(s, slope=0.7) if family.clipped else family.for_sparsity(s)
    sigma_w2 = float(st.edge_of_chaos(phi).sigma_w2)
    ensemble = DenseEnsemble([st.edge_of_chaos(phi)], 4, width, 1, 1, [6], dtype=torch.float64)
    with torch.no_grad():
        h, x = next(ensemble.propagate(sphere(4, 1.0)))
    passing = np.array([np.sum(phi.derivative(h.numpy()))])

    def z(weight_variance: float) -> Floats:
        return score_of_count(passing, width, np.array([1 / weight_variance]), seed=3)

    assert typical(z(sigma_w2))
    assert atypical(z(1.05 * sigma_w2))
    zeros = np.array([float((x == 0).sum())])
    assert typical(score_of_count(zeros, width, np.array([s]), seed=4))
    if family.clipped:
        assert atypical(z(1 / (1 - s)))
    else:
        assert sigma_w2 == pytest.approx(1 / (1 - s), rel=1e-12)


# ------------------------------------------------------------------ gradients at initialization


@pytest.mark.claim("Eq. 24", "Networks: gradient gain")
@every_kind
def test_as_many_units_pass_gradients_on_as_chi_says(
    kind: str, wide_networks: dict[str, Layers]
) -> None:
    """chi(q) = sigma_w^2 P(phi' = 1): half of Eq. 24; the other half is the next test."""
    layers, net = wide_networks[kind], NETS[kind]

    def z(gain: Callable[[Floats], Floats]) -> float:
        expected = gain(layers.variance) / net.sigma_w2
        return combined_z(score_of_count(layers.active, layers.width, expected, seed=2))

    assert typical(z(net.chi))
    if ACTIVATIONS[kind].clipped:  # gradients grow by chi, not by the slope of the variance map
        assert atypical(z(net.variance_slope))


def squared_gradients(kind: str, q0: float) -> tuple[Floats, Floats, Floats]:
    """|delta^l|^2, the variance that |delta^{l+1}|^2 gives it, and its degrees of freedom.

    Given the forward pass, W^{l+1} is known in the one direction x^l and untouched Gaussian
    orthogonally to it. So delta^l = D^l (W^{l+1})^T delta^{l+1}, less its component along D^l x^l,
    is exactly Gaussian with variance sigma_w^2 |delta^{l+1}|^2 / N in one dimension less than D^l
    has ones: Eq. 24 without supposing forward and backward weights independent.
    """
    net, width, members = NETS[kind], 500, 6
    ensemble = DenseEnsemble([net] * members, 20, width, 8, 1, range(members), dtype=torch.float64)
    layers, activations = zip(*ensemble.propagate(sphere(20, q0)), strict=True)
    cotangent = sphere(width, 1.0, seed=3).expand_as(layers[-1])
    deltas = torch.autograd.grad(layers[-1], layers, cotangent)
    seen = []
    for h, x, delta, above in zip(layers, activations, deltas, deltas[1:], strict=False):
        passing = torch.from_numpy(net.activation.derivative(h.detach()))  # (members, 1, width)
        known = torch.nn.functional.normalize(passing * x.detach(), dim=-1)
        free = delta - known * (known * delta).sum(-1, keepdim=True)
        variance = float(net.sigma_w2) * above.square().mean(-1)
        seen.append((free.square().sum(-1), variance, passing.sum(-1) - 1))
    squares, variances, degrees = (torch.stack(c).numpy() for c in zip(*seen, strict=True))
    return squares, variances, degrees


@pytest.mark.claim("Eq. 24", "Networks: gradient gain")
@pytest.mark.parametrize("q0", [0.6, 1.0, 2.0])
@every_kind
def test_each_passing_unit_carries_its_share_of_the_squared_gradient(kind: str, q0: float) -> None:
    squares, variances, degrees = squared_gradients(kind, q0)
    assert typical(combined_z(score_of_squares(squares, variances, degrees)))
    assert atypical(combined_z(score_of_squares(squares, 1.25 * variances, degrees)))


@pytest.mark.claim("Eq. 24", "Networks: gradient gain")
def test_gradient_growth_is_the_ratio_of_the_first_layer_to_the_last() -> None:
    ensemble = small_ensemble(dtype=torch.float64)
    x, y = sphere(20, 1.0, samples=7), torch.arange(7) % 5
    for labels in (None, y):
        rms = observe_gradients(ensemble, x, labels)
        np.testing.assert_allclose(
            gradient_growth(ensemble, x, labels), rms[:, 0] ** 2 / rms[:, -1] ** 2, rtol=1e-12
        )
    assert np.allclose(observe_gradients(ensemble, x)[:, -1], 1 / math.sqrt(ensemble.width))


# ------------------------------------------------------------------ backpropagation by hand


@dataclass(frozen=True)
class DenseBackpropagation:
    """Eqs. 20-23 in NumPy for one member and one sample, with phi and phi' of the theory."""

    h: list[Floats]
    x: list[Floats]
    delta: list[Floats]
    gradient_by_x: Floats

    @classmethod
    def of(
        cls, phi: Any, weights: list[Floats], biases: list[Floats], x: Floats, label: int
    ) -> Any:
        """Run forwards (Eq. 1), and backwards from the cross-entropy of a linear readout."""
        hs, xs = [], [x]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            hs.append(weight @ xs[-1] + bias)
            xs.append(phi(hs[-1]))
        logits = weights[-1] @ xs[-1] + biases[-1]
        shares = np.exp(logits - logits.max())
        by_logits = shares / shares.sum() - np.eye(len(logits))[label]
        by_x = weights[-1].T @ by_logits
        deltas = [phi.derivative(hs[-1]) * by_x]  # Eq. 20
        for h, weight in zip(hs[-2::-1], weights[-2:0:-1], strict=True):
            deltas.insert(0, phi.derivative(h) * (weight.T @ deltas[0]))  # Eq. 21
        return cls(hs, xs, deltas, by_x)


@pytest.fixture(scope="module")
def by_autograd_and_by_hand() -> list[
    tuple[dict[str, list[Floats]], DenseBackpropagation, list[Floats]]
]:
    """Per member of a mixed stack: autograd's gradients, the written-out ones, and the weights."""
    ensemble = small_ensemble(dtype=torch.float64)
    x, label = sphere(20, 1.0), 3
    layers, activations = zip(*ensemble.propagate(x), strict=True)
    logits = ensemble.readout(activations[-1])
    loss = torch.nn.functional.cross_entropy(
        logits[:, 0], torch.tensor([label] * ensemble.members), reduction="sum"
    )
    wanted = {
        "h": layers,
        "x": activations,
        "W": tuple(ensemble.weights),
        "b": tuple(ensemble.biases),
    }
    found = iter(torch.autograd.grad(loss, [v for values in wanted.values() for v in values]))
    gradients = {name: [next(found).numpy() for _ in values] for name, values in wanted.items()}
    weights = [weight.detach().numpy() for weight in ensemble.weights]
    biases = [bias.detach().numpy() for bias in ensemble.biases]
    return [
        (
            {name: [np.squeeze(g[k]) for g in values] for name, values in gradients.items()},
            DenseBackpropagation.of(
                net.activation,
                [w[k] for w in weights],
                [b[k, 0] for b in biases],
                x[0].numpy(),
                label,
            ),
            [w[k] for w in weights],
        )
        for k, net in enumerate(ensemble.nets)
    ]


def equal_to_rounding(actual: Floats, expected: Floats) -> bool:
    """Within 1e-13 of the largest entry: some ten sums of 20 to 40 products in double precision."""
    return bool(np.abs(actual - expected).max() <= 1e-13 * np.abs(expected).max())


@pytest.mark.claim("Eq. 20")
@pytest.mark.claim("Misprint Eq. 20", half="both")
def test_backpropagation_starts_at_the_gradient_by_x_times_phi_prime(
    by_autograd_and_by_hand: Any,
) -> None:
    for autograd, by_hand, _ in by_autograd_and_by_hand:
        assert equal_to_rounding(by_hand.gradient_by_x, autograd["x"][-1])
        assert equal_to_rounding(by_hand.delta[-1], autograd["h"][-1])
        assert not equal_to_rounding(autograd["h"][-1], autograd["x"][-1])


@pytest.mark.claim("Eq. 21")
def test_backpropagation_multiplies_by_the_transpose_and_then_by_phi_prime(
    by_autograd_and_by_hand: Any,
) -> None:
    for autograd, by_hand, _ in by_autograd_and_by_hand:
        for delta, expected in zip(by_hand.delta, autograd["h"], strict=True):
            assert equal_to_rounding(delta, expected)


@pytest.mark.claim("Misprint Eq. 21", half="both")
def test_phi_prime_stands_outside_the_transpose(by_autograd_and_by_hand: Any) -> None:
    for (autograd, by_hand, weights), net in zip(
        by_autograd_and_by_hand, NETS.values(), strict=True
    ):
        slopes = np.diag(net.activation.derivative(by_hand.h[0]))
        above, expected = autograd["h"][1], autograd["h"][0]
        assert equal_to_rounding(slopes @ weights[1].T @ above, expected)
        assert not equal_to_rounding((slopes @ weights[1]).T @ above, expected)


@pytest.mark.claim("Eq. 22")
def test_the_gradient_by_a_bias_is_delta(by_autograd_and_by_hand: Any) -> None:
    for autograd, by_hand, _ in by_autograd_and_by_hand:
        for delta, expected in zip(by_hand.delta, autograd["b"], strict=False):
            assert equal_to_rounding(delta, expected)


@pytest.mark.claim("Eq. 23")
@pytest.mark.claim("Misprint Eq. 23", half="both")
def test_the_gradient_by_a_weight_is_delta_times_the_activation_before_it(
    by_autograd_and_by_hand: Any,
) -> None:
    for autograd, by_hand, _ in by_autograd_and_by_hand:
        for delta, x, expected in zip(by_hand.delta, by_hand.x, autograd["W"], strict=False):
            assert equal_to_rounding(np.outer(delta, x), expected)
        # As printed, with the pre-activation h^{l-1} in the place of x^{l-1}:
        assert not equal_to_rounding(np.outer(by_hand.delta[1], by_hand.h[0]), autograd["W"][1])


# ------------------------------------------------------------------ activations as modules


def edges(phi: Any) -> Floats:
    """The kinks of phi, their neighbours in double precision, and places between and beyond."""
    knots = phi.knots
    around = [np.nextafter(knots, -9.0), knots, np.nextafter(knots, 9.0)]
    return np.concatenate([*around, np.linspace(-4, 4, 101), [0.0, 1e300, -1e300]])


@pytest.mark.claim("Eq. 7", "Eq. 8", "Eq. 9", "Eq. 10")
@every_kind
def test_a_module_has_the_values_and_the_derivative_of_the_theory_kinks_included(kind: str) -> None:
    phi = ACTIVATIONS[kind]
    x = torch.from_numpy(edges(phi)).requires_grad_()
    y = SparseActivation.from_theory(phi)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    np.testing.assert_array_equal(y.detach().numpy(), phi(edges(phi)))
    np.testing.assert_array_equal(slope.numpy(), phi.derivative(edges(phi)))


@pytest.mark.claim("Eq. 7", "Eq. 8", "Eq. 9", "Eq. 10")
@every_kind
def test_the_gradient_is_zero_at_the_kinks_in_single_precision_too(kind: str) -> None:
    phi = ACTIVATIONS[kind]
    tau = np.float32(phi.tau)
    kinks = [tau, tau + np.float32(phi.m)] if phi.clipped else [tau]
    x = torch.tensor(np.array(kinks + [-kink for kink in kinks]), requires_grad=True)
    assert x.dtype == torch.float32
    (slope,) = torch.autograd.grad(SparseActivation.from_theory(phi)(x).sum(), x)
    assert slope[: len(kinks)].tolist() == [0.0] * len(kinks)
    assert slope.tolist() == [0.0] * len(x)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@every_kind
def test_gradients_of_every_kind_survive_torch_s_own_checks(kind: str) -> None:
    module = SparseActivation.from_theory(ACTIVATIONS[kind])
    x = torch.tensor([-3.0, -1.7, -0.2, 0.1, 1.5, 2.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, x, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(module, x)


@every_kind
def test_nan_stays_nan_and_infinity_saturates(kind: str) -> None:
    phi = ACTIVATIONS[kind]
    extremes = np.array([np.nan, np.inf, -np.inf])
    y = SparseActivation.from_theory(phi)(torch.from_numpy(extremes))
    np.testing.assert_array_equal(y.numpy(), phi(extremes))


def test_members_of_different_kinds_share_one_call() -> None:
    module = SparseActivation.from_theory(list(ACTIVATIONS.values()))
    x = torch.from_numpy(np.linspace(-4, 4, 99)).reshape(1, 3, 33).repeat(len(KINDS), 1, 1)
    expected = np.stack([phi(x[0].numpy()) for phi in ACTIVATIONS.values()])
    np.testing.assert_array_equal(module(x).numpy(), expected)


def test_modules_work_in_anybody_s_network_and_come_back_from_its_state() -> None:
    def network(tau: float, m: float) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(5, 8), ClippedReLU(tau, m), nn.Linear(8, 8), ClippedSoftThreshold(tau, m),
            nn.Linear(8, 8), ShiftedReLU(tau), nn.Linear(8, 3), SoftThreshold(tau),
        )  # fmt: skip

    first, second = network(0.5, 1.25), network(0.1, 2.0)
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first(x), second(x))
    assert repr(second[1]) == "ClippedReLU(tau=0.5, m=1.25)"
    assert repr(second[5]) == "ShiftedReLU(tau=0.5)"
    assert first.double()(x.double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ShiftedReLU(math.nan), "tau"),
        (lambda: SoftThreshold(-0.1), "tau"),
        (lambda: ClippedReLU(1.0, 0.0), "m"),
        (lambda: SparseActivation([[0.0]]), "tau, m and odd"),
        (lambda: SparseActivation.from_theory(st.PiecewiseLinear([0.0], [0.1, 1.0])), "activation"),
        (lambda: ShiftedReLU(0.0)(torch.arange(3)), "x"),
    ],
)
def test_bad_activations_are_named(make: Callable[[], object], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} "):
        make()


# ------------------------------------------------------------------ initialization


class UsersNet(nn.Module):
    """A module of the kind people have: convolutions, a nested block, a layer without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(40, 80, 5)
        self.block = nn.Sequential(nn.Conv2d(60, 90, 3, groups=2), nn.ReLU())
        self.last = nn.Linear(100, 200, bias=False)


@pytest.mark.claim("Networks: first layer")
def test_edge_of_chaos_reaches_every_layer_of_a_user_s_module() -> None:
    net, module = NETS["crelu"], UsersNet()
    generator = torch.Generator().manual_seed(1)
    assert edge_of_chaos_(module, net, generator) is module
    convolution: Any = module.block[0]
    variances = [
        (module.first.weight, 1 / (40 * 5)),
        (convolution.weight, net.sigma_w2 / (30 * 3 * 3)),
        (convolution.bias, net.sigma_b2),
        (module.last.weight, net.sigma_w2 / 100),
    ]
    for parameter, variance in variances:
        squares, size = parameter.detach().double().square().sum().item(), parameter.numel()
        score = score_of_squares(squares, variance, size)
        assert typical(float(score))
    assert module.first.bias is not None
    assert not module.first.bias.any()
    size = module.last.weight.numel()
    score = score_of_squares(
        module.last.weight.detach().double().square().sum().item(), 1 / 100, size
    )
    assert atypical(float(score))


@pytest.mark.claim("Eq. 1")
@every_kind
def test_a_member_equals_the_sequential_network_with_its_seed(kind: str) -> None:
    ensemble = DenseEnsemble(list(NETS.values()), 20, 30, 3, 5, range(4))
    k = KINDS.index(kind)
    phi = SparseActivation.from_theory(ACTIVATIONS[kind])
    network = nn.Sequential(
        nn.Linear(20, 30), phi, nn.Linear(30, 30), phi, nn.Linear(30, 30), phi, nn.Linear(30, 5)
    )
    edge_of_chaos_(network, NETS[kind], torch.Generator().manual_seed(k))
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    for layer, weight, bias in zip(linear, ensemble.weights, ensemble.biases, strict=True):
        assert torch.equal(layer.weight, weight[k])
        assert torch.equal(layer.bias, bias[k, 0])
    x = sphere(20, 1.0, samples=6).float()
    torch.testing.assert_close(ensemble(x)[k], network(x), rtol=1e-5, atol=1e-5)


def test_the_numbers_do_not_depend_on_the_memory_layout() -> None:
    plain, strided = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in (plain, strided):
        edge_of_chaos_(module, NETS["relu"], torch.Generator().manual_seed(0))
    assert torch.equal(plain.weight, strided.weight)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.ReLU(), nn.LayerNorm(3)), "module must contain a layer"),
        (nn.Sequential(nn.Linear(2, 3), nn.LazyLinear(3)), "lazy"),
    ],
)
def test_a_module_that_cannot_be_initialized_is_refused_and_left_alone(
    module: nn.Module, message: str
) -> None:
    before = copy.deepcopy(module)
    with pytest.raises(ValueError, match=message):
        edge_of_chaos_(module, NETS["relu"])
    assert repr(before) == repr(module)
    for own, old in zip(module[:1].parameters(), before[:1].parameters(), strict=True):  # type: ignore[index]
        assert torch.equal(own, old)


# ------------------------------------------------------------------ stacks


@pytest.mark.parametrize("k", range(4))
def test_a_member_is_drawn_the_same_alone_and_in_a_stack(k: int) -> None:
    assert same_parameters(small_ensemble(), k, alone(small_ensemble(), k))


def test_members_with_inputs_of_their_own_see_those_only() -> None:
    ensemble = small_ensemble()
    x = sphere(20, 1.0, samples=4 * 6).float().reshape(4, 6, 20)
    own = ensemble(x)
    for k in range(4):
        torch.testing.assert_close(own[k], ensemble(x[k])[k])


def test_selected_members_are_copies() -> None:
    ensemble = small_ensemble()
    chosen = ensemble.select([3, 1])
    assert same_parameters(ensemble, 3, chosen, 0)
    assert same_parameters(ensemble, 1, chosen, 1)
    assert chosen.seeds == (3, 1)
    x = sphere(20, 1.0, samples=6).float()
    assert torch.equal(chosen(x), ensemble(x)[[3, 1]])
    with torch.no_grad():
        chosen.weights[0].zero_()
    assert ensemble.weights[0].count_nonzero() == ensemble.weights[0].numel()
    ensemble.assign([3, 1], chosen)
    assert same_parameters(ensemble, 3, chosen, 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"nets": []}, "^nets must"),
        ({"seeds": [1]}, "^seeds must"),
        ({"depth": 0}, "^depth must"),
        ({"nets": [st.edge_of_chaos(st.ShiftedReLU([0.1, 0.2]))] * 4}, "numbers|single"),
    ],
)
def test_a_stack_that_makes_no_sense_is_refused(changed: dict[str, Any], message: str) -> None:
    shape: dict[str, Any] = {"in_features": 4, "width": 5, "depth": 2, "out_features": 3}
    settings = {"nets": list(NETS.values()), "seeds": range(4), **shape, **changed}
    with pytest.raises(ValueError, match=message):
        DenseEnsemble(**settings)


def test_an_input_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^x must have shape \(batch, 20\)"):
        small_ensemble()(torch.zeros(3, 19))


# ------------------------------------------------------------------ observation


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


def test_every_public_name_is_there() -> None:
    for name in torch_models.__all__:
        assert getattr(torch_models, name).__name__ == name
