"""Convolutional ensembles in training: the same as a network of torch's layers, and repeatable.

Nothing here is random but the seeds, which are fixed: the tests pass always or never.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sparsity_theory as st
from torch_models.networks.activations import SparseActivation
from torch_models.networks.convolutional import ConvolutionalEnsemble
from torch_models.networks.observe import gradient_growth, observe, observe_gradients
from torch_models.networks.threads import num_threads
from torch_models.training.backpropagation import backpropagation

NETS = [
    st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.7, slope=0.7)),
    st.edge_of_chaos(st.ShiftedReLU.for_sparsity(0.5)),
    st.edge_of_chaos(st.ClippedSoftThreshold.for_sparsity(0.6, slope=0.5)),
    st.edge_of_chaos(st.SoftThreshold.for_sparsity(0.5)),
]
POSITIONS = (4, 5)

one_and_two_dimensions = pytest.mark.parametrize("dimensions", [1, 2])


def small_ensemble(members: list[int] | None = None, **changed: Any) -> ConvolutionalEnsemble:
    """Networks of 3 input channels, 7 channels and 4 layers; by default one of every kind."""
    rows = list(range(len(NETS))) if members is None else members
    settings: dict[str, Any] = {
        "nets": [NETS[row] for row in rows],
        "in_channels": 3,
        "channels": 7,
        "depth": 4,
        "seeds": rows,
        "dimensions": 2,
        "out_features": 5,
    }
    return ConvolutionalEnsemble(**settings | changed)


def images(samples: int, dimensions: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(samples, 3, *POSITIONS[:dimensions], generator=generator, dtype=dtype)


def labels(samples: int) -> Tensor:
    return torch.arange(samples) % 5


class Anybodys(nn.Module):
    """One member of an ensemble, written with torch's own layers."""

    def __init__(self, ensemble: ConvolutionalEnsemble, member: int) -> None:
        super().__init__()
        layer: Any = {1: nn.Conv1d, 2: nn.Conv2d}[ensemble.dimensions]
        size, k = 2 * ensemble.half_width + 1, ensemble.half_width
        sizes = [ensemble.in_channels] + [ensemble.channels] * ensemble.depth
        hidden = [
            layer(into, out, size, padding=k, padding_mode="circular", dtype=torch.float64)
            for into, out in itertools.pairwise(sizes)
        ]
        self.hidden = nn.ModuleList(hidden)
        self.last = nn.Linear(ensemble.channels, ensemble.out_features, dtype=torch.float64)
        self.phi = SparseActivation.from_theory(ensemble.nets[member].activation)
        self.scale = float(ensemble.input_scales[member])
        with torch.no_grad():
            own: Any
            for own, weight, bias in zip(
                [*hidden, self.last], ensemble.weights, ensemble.biases, strict=True
            ):
                own.weight.copy_(weight[member].view_as(own.weight))
                own.bias.copy_(bias[member])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes)."""
        x = self.scale * x
        for layer in self.hidden:
            x = self.phi(layer(x))
        logits: Tensor = self.last(x.flatten(2).mean(-1))
        return logits


def same(ours: Tensor, theirs: Tensor) -> bool:
    return torch.allclose(ours, theirs, rtol=1e-10, atol=1e-13)


@one_and_two_dimensions
@pytest.mark.parametrize("half_width", [0, 1, 2])
def test_a_member_trains_as_a_network_of_torch_s_layers_does(
    dimensions: int, half_width: int
) -> None:
    """Logits, losses, every gradient's norm and every weight, over three steps."""
    scales = [1.0, 0.5, 2.0, math.sqrt(0.75)]
    ensemble = small_ensemble(
        dimensions=dimensions,
        half_width=half_width,
        dtype=torch.float64,
        input_scales=scales,
    )
    x, y = images(12, dimensions, torch.float64), labels(12)
    theirs = [Anybodys(ensemble, member) for member in range(ensemble.members)]
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.1) for net in theirs]
    for _ in range(3):
        with torch.no_grad():
            logits = ensemble(x)
        batch = backpropagation(ensemble).forward_backward(x, y)
        norms = batch.gradient_norms()
        assert norms.shape == (ensemble.members, ensemble.depth + 1)
        assert torch.equal(batch.first_gradient_norm(), norms[:, 0])
        batch.sgd_step(0.1)
        for member, (net, optimizer) in enumerate(zip(theirs, optimizers, strict=True)):
            optimizer.zero_grad()
            expected = net(x)
            loss = nn.functional.cross_entropy(expected, y)
            loss.backward()  # type: ignore[no-untyped-call]
            assert same(logits[member], expected)
            assert same(batch.losses[member], loss)
            layers: list[Any] = [*net.hidden, net.last]
            assert same(norms[member], torch.stack([own.weight.grad.norm() for own in layers]))
            optimizer.step()
            for own, weight, bias in zip(layers, ensemble.weights, ensemble.biases, strict=True):
                assert same(weight[member].view_as(own.weight), own.weight)
                assert same(bias[member], own.bias)


def test_nothing_changes_before_the_descent() -> None:
    ensemble = small_ensemble()
    before = {name: values.clone() for name, values in ensemble.state_dict().items()}
    batch = backpropagation(ensemble).forward_backward(images(6), labels(6))
    batch.gradient_norms()
    for name, values in ensemble.state_dict().items():
        assert torch.equal(before[name], values)
    batch.sgd_step(0.1)
    assert not any(
        torch.equal(before[name], values) for name, values in ensemble.named_parameters()
    )


def test_the_readout_is_drawn_after_the_layers_with_the_law_of_the_others() -> None:
    """300 x 400 weights and 400 biases: their variances are within 10 standard errors (1e-20)."""
    net = NETS[0]
    sizes: Any = {"in_channels": 3, "channels": 300, "depth": 2, "dimensions": 1}
    small, large = (
        ConvolutionalEnsemble([net], seeds=[5], out_features=classes, **sizes)
        for classes in (2, 400)
    )
    for few, many in list(zip(small.weights, large.weights, strict=True))[:-1]:
        assert torch.equal(few, many)
    weights, biases = (p[-1].detach().double() for p in (large.weights, large.biases))
    for values, variance in ((300 * weights, 300 * net.sigma_w2), (biases, net.sigma_b2)):
        error = 10 * math.sqrt(2 / values.numel())
        assert values.square().mean() == pytest.approx(
            float(variance) * (300 if values is weights else 1), rel=error
        )


def train(ensemble: ConvolutionalEnsemble, x: Tensor, y: Tensor, steps: int) -> list[Tensor]:
    """Losses and gradient norms of every step, the logits after the last, and the state."""
    seen = []
    for _ in range(steps):
        batch = backpropagation(ensemble).forward_backward(x, y)
        seen += [batch.losses, batch.gradient_norms()]
        batch.sgd_step(0.05)
    with torch.no_grad():
        seen.append(ensemble(x))
    return [*seen, *ensemble.state_dict().values()]


@one_and_two_dimensions
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_member_trains_the_same_bit_for_bit_alone_and_in_any_stack(
    threads: int, dimensions: int, dtype: torch.dtype
) -> None:
    """The numbers of channels, samples and positions are such that members lie at odd addresses."""
    x, y = images(13, dimensions, dtype), labels(13)
    together = train(small_ensemble(dimensions=dimensions, dtype=dtype), x, y, 3)
    for members in ([0], [1], [2], [3], [3, 1], [2, 0, 3]):
        apart = train(small_ensemble(members, dimensions=dimensions, dtype=dtype), x, y, 3)
        for ours, all_ in zip(apart, together, strict=True):
            assert torch.equal(ours, all_[members])


def test_a_member_trains_the_same_with_any_number_of_threads() -> None:
    x, y = images(64).repeat(1, 1, 2, 2), labels(64)
    runs = []
    for number in (1, 2, 3):
        with num_threads(number):
            runs.append(train(small_ensemble(channels=32), x, y, 2))
    for run in runs[1:]:
        assert all(map(torch.equal, run, runs[0]))


@pytest.mark.parametrize("poison", [math.nan, math.inf, 1e30])
def test_a_broken_member_leaves_the_others_as_they_are(poison: float) -> None:
    x, y = images(13), labels(13)
    well, ill = small_ensemble(), small_ensemble()
    with torch.no_grad():
        ill.weights[0][1] = poison  # an unclipped member
    expected, found = train(well, x, y, 2), train(ill, x, y, 2)
    others = [0, 2, 3]
    assert all(torch.equal(a[others], b[others]) for a, b in zip(expected, found, strict=True))
    assert not found[-1][1].isfinite().all() or not found[0][1].isfinite()


@one_and_two_dimensions
def test_selected_members_are_copies_that_can_be_put_back(dimensions: int) -> None:
    ensemble = small_ensemble(dimensions=dimensions, input_scales=[1.0, 2.0, 3.0, 4.0])
    x = images(3, dimensions)
    chosen = ensemble.select([2, 0])
    assert chosen.seeds == (2, 0)
    assert chosen.nets == (NETS[2], NETS[0])
    assert chosen.input_scales.flatten().tolist() == [3.0, 1.0]
    before = ensemble(x).detach()
    assert torch.equal(chosen(x), before[[2, 0]])
    train(chosen, x, labels(3), 1)
    assert torch.equal(ensemble(x), before)
    ensemble.assign([2, 0], chosen)
    assert torch.equal(ensemble(x)[[2, 0]], chosen(x))
    assert torch.equal(ensemble(x)[[1, 3]], before[[1, 3]])


def test_input_scales_multiply_the_input_and_are_saved() -> None:
    scales = [0.5, 1.0, 2.0, math.sqrt(0.75)]
    scaled, plain = small_ensemble(input_scales=scales), small_ensemble()
    x = images(3)
    own = torch.stack([scale * x for scale in scales])
    assert torch.equal(scaled(x), plain(own))
    plain.load_state_dict(scaled.state_dict())
    assert torch.equal(scaled(x), plain(x))


@one_and_two_dimensions
def test_rows_of_a_table_become_images(dimensions: int) -> None:
    x = images(6)
    found = small_ensemble(dimensions=dimensions).shaped(x.flatten(1), (3, *POSITIONS))
    assert torch.equal(found, x if dimensions == 2 else x.flatten(2))


@pytest.mark.parametrize("image_shape", [(3, 4, 6), (1, 12, 5), (4, 3, 5)])
def test_rows_that_do_not_fit_the_image_are_named(image_shape: tuple[int, ...]) -> None:
    message = r"image_shape must be \(3, rows, columns\) with 60 numbers .*\(6, 60\), got "
    with pytest.raises(ValueError, match=message):
        small_ensemble().shaped(images(6).flatten(1), image_shape)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"out_features": 0}, "out_features must be at least 1, got 0"),
        ({"input_scales": [1.0]}, "input_scales must be one per net: got 1 for 4 nets"),
        ({"input_scales": [1.0, 1.0, 1.0, 0.0]}, "input_scales must be positive and finite, got"),
        ({"input_scales": [1.0, 1.0, 1.0, math.inf]}, "input_scales must be positive and finite"),
        ({"input_scales": [1.0, 1.0, 1.0, math.nan]}, "input_scales must be positive and finite"),
    ],
)
def test_an_ensemble_that_cannot_be_trained_is_refused(
    changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        small_ensemble(**changed)


def test_training_learns_which_channel_is_bright() -> None:
    """Noise with one of three channels 0.7 brighter; chance is a third."""
    x, y = images(60), torch.arange(60) % 3
    x[torch.arange(60), y] += 0.7
    ensemble = small_ensemble([0, 2], channels=16, depth=6, out_features=3)
    for _ in range(60):
        batch = backpropagation(ensemble).forward_backward(x, y)
        batch.sgd_step(0.05)
    assert (batch.losses < 0.5).all()
    with torch.no_grad():
        assert ((ensemble(x).argmax(-1) == y).double().mean(-1) > 0.9).all()


@one_and_two_dimensions
def test_gradients_by_the_layers_are_those_of_autograd(dimensions: int) -> None:
    """With labels those of the losses; without, those of a random vector of norm one."""
    ensemble = small_ensemble(dimensions=dimensions, dtype=torch.float64)
    x, y = images(5, dimensions, torch.float64), labels(5)
    found = observe_gradients(ensemble, x, y)
    for member in range(ensemble.members):
        net = Anybodys(ensemble, member)
        layers, activations = [], net.scale * x
        for layer in net.hidden:
            layers.append(layer(activations))
            activations = net.phi(layers[-1])
        logits = net.last(activations.flatten(2).mean(-1))
        loss = nn.functional.cross_entropy(logits, y, reduction="sum")
        deltas = torch.autograd.grad(loss, layers)
        assert found[member] == pytest.approx([float(d.square().mean().sqrt()) for d in deltas])
    unlabelled = observe_gradients(ensemble, x)
    units = ensemble.channels * math.prod(POSITIONS[:dimensions])
    assert unlabelled[:, -1] == pytest.approx(1 / math.sqrt(units))
    assert gradient_growth(ensemble, x) == pytest.approx(
        (unlabelled[:, 0] / unlabelled[:, -1]) ** 2
    )


def test_what_is_observed_of_a_broken_member_is_not_an_error() -> None:
    ensemble = small_ensemble()
    with torch.no_grad():
        ensemble.weights[1][1] = math.nan
    gradients, variance = (
        observe_gradients(ensemble, images(3)),
        observe(ensemble, images(3)).variance,
    )
    assert np.isnan(gradients[1, 1:]).all()
    assert np.isnan(variance[1, 1:]).all()
    assert np.isfinite(variance[[0, 2, 3]]).all()
    assert np.isfinite(gradients[[0, 2, 3]]).all()
