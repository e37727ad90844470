"""Initialization at the edge of chaos, of anybody's module and of a member of an ensemble."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from property_tests.support.chance import atypical, typical
from property_tests.support.networks import ACTIVATIONS, KINDS, NETS, every_kind, sphere
from property_tests.support.scores import score_of_squares
from torch_models.networks.activations import SparseActivation
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.initialization import edge_of_chaos_

pytestmark = pytest.mark.usefixtures("one_thread")


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
