"""Initialization at the edge of chaos, of anybody's module and of a member of an ensemble."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao.nn import quantized
from torch.nn.utils import parametrizations, prune

import sparsity_theory as st
from property_tests.support.chance import atypical, typical
from property_tests.support.networks import ACTIVATIONS, KINDS, NETS, every_kind, sphere
from property_tests.support.scores import score_of_squares
from torch_models.networks.activations import ClippedReLU, SparseActivation
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.initialization import edge_of_chaos_


class UsersNet(nn.Module):
    """A module of the kind people have: convolutions, a nested block, a layer without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(40, 80, 5)
        phi = SparseActivation.from_theory(ACTIVATIONS["crelu"])
        self.block = nn.Sequential(nn.Conv2d(60, 90, 3, groups=2), phi)
        self.last = nn.Linear(100, 200, bias=False)


@pytest.mark.claim("Networks: first layer")
def test_edge_of_chaos_reaches_every_layer_of_a_user_s_module() -> None:
    net, module = NETS["crelu"], UsersNet()
    generator = torch.Generator().manual_seed(1)
    edge_of_chaos_(module, net, generator, bias="ignored")
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


def activation() -> SparseActivation:
    return SparseActivation.from_theory(ACTIVATIONS["crelu"])


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(4, 4), nn.Linear(4, 4)
        self.decode.weight = self.encode.weight


def integer_layer() -> nn.Linear:
    layer = nn.Linear(3, 3)
    layer.weight = nn.Parameter(torch.ones(3, 3, dtype=torch.int32), requires_grad=False)
    return layer


def pruned() -> nn.Module:
    return prune.l1_unstructured(nn.Linear(3, 3), "weight", 0.5)  # type: ignore[no-any-return, no-untyped-call]


REFUSED: list[tuple[Callable[[], nn.Module], str]] = [
    (lambda: nn.Linear(3, 3, bias=False), r"1 \(Linear\) has no bias.*bias=True"),
    (lambda: nn.Sequential(nn.Conv1d(3, 3, 2, bias=False)), r"1\.0 \(Conv1d\) has no bias"),
    (lambda: parametrizations.spectral_norm(nn.Linear(3, 3)), r"1 \(Linear.*parametrization"),
    (lambda: parametrizations.orthogonal(nn.Linear(3, 3)), r"1 \(Linear.*parametrization"),
    (lambda: nn.utils.weight_norm(nn.Linear(3, 3)), r"1 \(Linear\) computes its weight"),
    (lambda: nn.utils.spectral_norm(nn.Linear(3, 3)), r"1 \(Linear\) computes its weight"),
    (pruned, r"1 \(Linear\) computes its weight"),
    (Tied, r"1\.encode\.weight and 1\.decode\.weight are one tensor"),
    (
        lambda: nn.Sequential(*[nn.Linear(3, 3)] * 2),
        r"1\.0\.weight and 1\.1\.weight are one tensor",
    ),
    (lambda: nn.ConvTranspose1d(3, 3, 3, 2), r"1 \(ConvTranspose1d\) .*stride must divide"),
    (lambda: nn.ConvTranspose2d(3, 3, 4, 2, dilation=2), r"1 \(ConvTranspose2d\) .*dilation"),
    (lambda: nn.Bilinear(3, 3, 3), r"1 \(Bilinear\) has parameters"),
    (lambda: nn.RNN(3, 3), r"1 \(RNN\) has parameters"),
    (lambda: nn.LSTM(3, 3), r"1 \(LSTM\) has parameters"),
    (lambda: nn.GRU(3, 3), r"1 \(GRU\) has parameters"),
    (lambda: nn.MultiheadAttention(4, 2), r"1 \(MultiheadAttention\) has parameters"),
    (lambda: nn.TransformerEncoderLayer(4, 2, 4), r"1\.self_attn \(MultiheadAttention\)"),
    (lambda: nn.Embedding(3, 3), r"1 \(Embedding\) has parameters"),
    (lambda: nn.PReLU(), r"1 \(PReLU\) has parameters"),
    (lambda: nn.ParameterList([torch.ones(2)]), r"1 \(ParameterList\) has parameters"),
    (lambda: nn.LazyLinear(3), r"1 \(LazyLinear\) is lazy"),
    (lambda: quantized.Linear(3, 3), r"1 \(Linear\) has quantized weights"),  # type: ignore[no-untyped-call]
    (lambda: nn.Linear(3, 3, dtype=torch.complex64), r"1 \(Linear\) .*torch\.complex64"),
    (integer_layer, r"1 \(Linear\) .*torch\.int32"),
    (lambda: nn.Linear(3, 3, device="meta"), r"1 \(Linear\) is on the device meta"),
    (lambda: nn.Linear(0, 5), r"1 \(Linear\) has a weight without entries"),
    (lambda: nn.Linear(5, 0), r"1 \(Linear\) has a weight without entries"),
    (lambda: nn.ReLU(), r"1 \(ReLU\) is not the activation of net"),
    (lambda: nn.ReLU(inplace=True), r"1 \(ReLU\) is not the activation of net"),
    (lambda: nn.GELU(), r"1 \(GELU\) is not the activation of net"),
    (
        lambda: ClippedReLU(float(ACTIVATIONS["crelu"].tau) + 1e-4, ACTIVATIONS["crelu"].m),
        r"1 \(ClippedReLU\) is not the activation of net",
    ),
    (
        lambda: ClippedReLU(ACTIVATIONS["crelu"].tau, float(ACTIVATIONS["crelu"].m) + 1e-4),
        r"1 \(ClippedReLU\) is not the activation of net",
    ),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_would_be_off_the_edge_is_refused_by_its_path_and_nothing_is_changed(
    make: Callable[[], nn.Module], message: str
) -> None:
    module = nn.Sequential(nn.Linear(5, 6), make(), nn.Linear(6, 4))
    ends: Any = module[0], module[2]
    before = [end.weight.clone() for end in ends]
    with pytest.raises(ValueError, match=f"^{message}"):
        edge_of_chaos_(module, NETS["crelu"])
    for end, weight in zip(ends, before, strict=True):
        assert torch.equal(end.weight, weight)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"module": None}, "module must be a torch.nn.Module, got None"),
        ({"net": None}, "net must be a MeanField"),
        ({"net": NETS["crelu"].activation}, "net must be a MeanField"),
        ({"generator": 0}, "generator must be a torch.Generator, got 0"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(changed: Any, message: str) -> None:
    arguments = {"module": nn.Linear(5, 6), "net": NETS["crelu"]} | changed
    with pytest.raises(ValueError, match=f"^{message}"):
        edge_of_chaos_(**arguments)


def test_a_module_without_weight_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="module must contain a layer"):
        edge_of_chaos_(nn.Sequential(activation(), nn.LayerNorm(3)), NETS["crelu"])


def test_layers_without_a_bias_are_taken_on_request_and_where_no_bias_is_due() -> None:
    module = nn.Sequential(nn.Linear(5, 6, bias=False), activation(), nn.Linear(6, 4, bias=False))
    report = edge_of_chaos_(module, NETS["crelu"], bias="ignored")
    assert [layer.bias_variance for layer in report.layers] == [None, None]
    edge_of_chaos_(module[:2], NETS["crelu"])
    identity = st.MeanField(st.SoftThreshold(0.0), 1.0, 0.0)
    edge_of_chaos_(nn.Sequential(module[0], module[2]), identity)
    with pytest.raises(ValueError, match=r"^bias must be"):
        edge_of_chaos_(module, NETS["crelu"], bias="never")  # type: ignore[arg-type]


def test_a_weight_norm_is_set_through_its_parametrization() -> None:
    def network() -> Any:
        return nn.Sequential(nn.Linear(5, 6), activation(), nn.Linear(6, 4))

    plain, normed = network(), network()
    for index in (0, 2):
        parametrizations.weight_norm(normed[index])
    for module in (plain, normed):
        report = edge_of_chaos_(module, NETS["crelu"], torch.Generator().manual_seed(0))
        assert [layer.kind for layer in report.layers] == ["Linear", "Linear"]
    for index in (0, 2):
        torch.testing.assert_close(normed[index].weight, plain[index].weight, rtol=1e-6, atol=0)
        assert torch.equal(normed[index].bias, plain[index].bias)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv3d(4, 6, (1, 2, 3), groups=2, dilation=2),
        nn.ConvTranspose1d(4, 6, 6, stride=3, dilation=2),
        nn.ConvTranspose1d(4, 6, 3, dilation=2),
        nn.ConvTranspose2d(4, 6, 4, stride=(2, 1), groups=2),
        nn.ConvTranspose3d(4, 6, (2, 4, 3), stride=(1, 2, 3)),
    ],
)
def test_fan_in_counts_the_terms_that_one_output_really_sums(layer: Any) -> None:
    """Weights of one and inputs of one: an output away from the borders is the number of terms."""
    report = edge_of_chaos_(nn.Sequential(layer), NETS["crelu"])
    assert report.layers[0].weight_variance == 1 / report.layers[0].fan_in
    with torch.no_grad():
        layer.weight.fill_(1.0)
        y = layer(torch.ones(1, 4, *[12] * (layer.weight.ndim - 2)))[0, 0]
    middle = y[tuple(slice(n // 3, 2 * n // 3) for n in y.shape)]
    assert middle.unique().tolist() == [report.layers[0].fan_in]


@pytest.mark.parametrize("by_path", [True, False])
def test_the_first_layer_is_the_one_that_the_caller_names(by_path: bool) -> None:
    module = nn.ModuleDict({"readout": nn.Linear(6, 4), "stem": nn.Linear(5, 6)})
    report = edge_of_chaos_(module, NETS["crelu"], first="stem" if by_path else module["stem"])
    readout, stem = report.layers
    assert (readout.path, readout.fan_in) == ("readout", 6)
    assert readout.weight_variance == float(NETS["crelu"].sigma_w2) / 6
    assert (stem.weight_variance, stem.bias_variance) == (1 / 5, 0.0)
    for other in ("head", nn.Linear(5, 6)):
        with pytest.raises(ValueError, match=r"^first must be .* one of 'readout', 'stem'"):
            edge_of_chaos_(module, NETS["crelu"], first=other)


def test_normalizations_are_left_and_told_in_a_readable_report() -> None:
    module = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), activation(), nn.Linear(6, 4))
    report = edge_of_chaos_(module, NETS["crelu"])
    assert report.left == ("1",)
    lines = repr(report).splitlines()
    assert lines[0].split("  ")[0] == "layer"
    assert lines[1].split() == ["0", "Linear", "5", "0.2", "0"]
    assert lines[3] == "1: left as it was"


@pytest.mark.parametrize(
    ("phi", "theory"),
    [
        (nn.ReLU(), st.ShiftedReLU(0.0)),
        (nn.Hardtanh(), st.ClippedSoftThreshold(0.0, 1.0)),
        (nn.Tanh(), st.Activation(np.tanh, lambda x: 1 / np.cosh(x) ** 2)),
        (ClippedReLU(np.float32(0.3), np.float32(1.7)), st.ClippedReLU(0.3, 1.7)),
        (nn.Softmax(-1), st.ShiftedReLU(0.0)),
    ],
)
def test_activations_that_are_the_net_s_are_accepted(phi: nn.Module, theory: Any) -> None:
    """To the rounding of single precision; what is not elementwise is no activation."""
    net = st.MeanField(theory, 1.5, 0.1)
    edge_of_chaos_(nn.Sequential(nn.Linear(5, 6), phi, nn.Linear(6, 4)), net)
