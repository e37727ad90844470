"""Inference that uses the zeros of phi(h): the same outputs, and what was recorded of its speed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor, nn

from property_tests.support.networks import NETS, every_kind
from torch_models.measurements.sparse_inference import (
    BATCHES,
    NETWORK_BATCHES,
    NETWORKS,
    SPARSITIES,
    WIDTHS,
    measure,
)
from torch_models.networks.activations import ClippedReLU, SparseActivation
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.sparse_inference import SparseInputLinear, with_sparse_inputs
from torch_models.records.files import read_record
from torch_models.reports.drawing import save_small
from torch_models.reports.sparse_inference import (
    largest_winning_batches,
    layers_of,
    speedup_picture,
    speedups,
    tables,
)

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "results" / "sparse-inference" / "amd-epyc-1-thread.json"

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def equal_up_to_rounding(sparse: Tensor, dense: Tensor, size: Tensor) -> None:
    """Assert that two sums of the same terms, in any order, agree.

    ``size`` is the sum of the terms' absolute values. Errors are relative to it: 3.1 eps was the
    worst of 6000 random layers of up to 700 inputs, 1500 in each dtype (numbers of 16 bits are
    added up in 32 and rounded once or twice).
    """
    assert sparse.dtype == dense.dtype
    assert sparse.shape == dense.shape
    bound = 8 * torch.finfo(dense.dtype).eps * size.double()
    worst = ((sparse.double() - dense.double()).abs() - bound).max() if dense.numel() else 0.0
    assert worst <= 0, f"apart by {worst} more than rounding"


def sizes_of_sums(linear: nn.Linear, x: Tensor) -> Tensor:
    """The sum of absolute values of the terms of every output."""
    size = x.double().abs() @ linear.weight.double().abs().T
    return size if linear.bias is None else size + linear.bias.double().abs()


@torch.no_grad()
@given(
    shape=some.lists(some.integers(0, 4), max_size=3),
    ins=some.integers(1, 700),
    outs=some.integers(1, 70),
    share=some.sampled_from([0.0, 0.05, 0.5, 0.85, 1.0]),
    bias=some.booleans(),
    dtype=some.sampled_from(DTYPES),
    seed=some.integers(0, 2**20),
)
def test_outputs_are_those_of_the_dense_layer_whatever_share_of_inputs_is_zero(
    shape: list[int],
    ins: int,
    outs: int,
    share: float,
    bias: bool,
    dtype: torch.dtype,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    linear = nn.Linear(ins, outs, bias=bias, dtype=dtype)
    for parameter in linear.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    x = torch.randn(*shape, ins, generator=generator)
    x = (x * (torch.rand(x.shape, generator=generator) >= share)).to(dtype)
    equal_up_to_rounding(SparseInputLinear(linear)(x), linear(x), sizes_of_sums(linear, x))


@torch.no_grad()
@every_kind
def test_a_converted_network_equals_the_original(kind: str) -> None:
    ensemble = DenseEnsemble(
        [NETS[kind]] * 2, 20, 60, 4, 5, (0, 1), dtype=torch.float64, input_scales=(1, 2)
    )
    network = ensemble.network(1)
    sparse = with_sparse_inputs(network)
    assert sum(isinstance(layer, SparseInputLinear) for layer in sparse) == 4
    x = torch.randn(7, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = ensemble(x)[1]
    torch.testing.assert_close(network(x), logits, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(sparse(x), logits, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(sparse(x[0]), logits[0], rtol=1e-11, atol=1e-11)


def test_a_member_as_a_network_is_a_copy_that_draws_no_random_numbers() -> None:
    ensemble = DenseEnsemble([NETS["crelu"]], 3, 4, 1, 2, (0,))
    before = torch.get_rng_state()
    network = ensemble.network(0)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert ensemble.weights[0].all()
    assert all(parameter.requires_grad for parameter in network.parameters())


@torch.no_grad()
def test_zeros_on_their_own_give_the_bias() -> None:
    linear = nn.Linear(5, 3)
    x = torch.zeros(2, 5)
    x[1, 2] = -0.0
    assert torch.equal(SparseInputLinear(linear)(x), linear.bias.expand(2, 3))


@torch.no_grad()
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_inputs_that_are_not_finite_do_what_they_do_in_the_dense_layer(value: float) -> None:
    linear = nn.Linear(6, 4)
    linear.weight[0, 2] = 0.0
    x = torch.zeros(3, 6)
    x[1, 2], x[1, 4], x[2, 1] = value, 1.0, 1.0
    dense, sparse = linear(x), SparseInputLinear(linear)(x)
    torch.testing.assert_close(sparse, dense, equal_nan=True)
    assert sparse[1].isfinite().sum() == 0
    assert sparse[0].isfinite().all()
    assert sparse[2].isfinite().all()


@torch.no_grad()
def test_inputs_may_lie_in_memory_in_any_way() -> None:
    linear = nn.Linear(8, 3, dtype=torch.float64)
    sparse = SparseInputLinear(linear)
    wide = torch.relu(torch.randn(8, 16, dtype=torch.float64))
    for x in (wide.T, wide[:, ::2], wide[:, 3:11], wide[:1, :8].expand(5, 8), wide.T.flip(0)):
        torch.testing.assert_close(sparse(x), linear(x))


def test_it_works_in_inference_mode_and_outside_of_it() -> None:
    linear = nn.Linear(8, 3)
    sparse = SparseInputLinear(linear)
    x = torch.relu(torch.randn(2, 8))
    with torch.inference_mode():
        h = sparse(x)
    torch.testing.assert_close(h, linear(x).detach())
    torch.testing.assert_close(sparse(x), linear(x).detach())
    assert not sparse(x).requires_grad


def test_gradients_are_refused() -> None:
    network = with_sparse_inputs(nn.Sequential(ClippedReLU(0.5, 1.0), nn.Linear(4, 2)))
    x = torch.randn(3, 4, requires_grad=True)
    with pytest.raises(RuntimeError, match="SparseInputLinear is for inference"):
        network(x)
    with torch.no_grad():
        assert network(x).shape == (3, 2)


def test_a_layer_is_saved_and_moved_like_any_other() -> None:
    linear = nn.Linear(4, 3)
    sparse = SparseInputLinear(linear)
    other = SparseInputLinear(nn.Linear(4, 3))
    other.load_state_dict(sparse.state_dict())
    x = torch.relu(torch.randn(2, 4))
    assert torch.equal(other(x), sparse(x))
    assert copy.deepcopy(sparse).double()(x.double()).dtype == torch.float64
    assert not list(sparse.parameters())
    assert repr(sparse) == "SparseInputLinear(in_features=4, out_features=3, bias=True)"


@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (4, 1)])
def test_weights_are_copied_with_one_contiguous_row_for_each_input_unit(
    shape: tuple[int, int],
) -> None:
    linear = nn.Linear(*shape)
    sparse = SparseInputLinear(linear)
    assert sparse.columns.stride() == (linear.out_features, 1)
    assert torch.equal(sparse.columns, linear.weight.T)
    with torch.no_grad():
        linear.weight.add_(1)
        linear.bias.add_(1)
    assert not (sparse.columns == linear.weight.T).any()
    assert sparse.bias is not None
    assert not (sparse.bias == linear.bias).any()


def test_what_is_no_input_of_the_layer_is_named() -> None:
    sparse = SparseInputLinear(nn.Linear(4, 3))
    with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 4\), got \(2, 5\)"):
        sparse(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 4\), got \(\)"):
        sparse(torch.tensor(1.0))
    with pytest.raises(ValueError, match=r"dtype torch\.float32, got torch\.float64"):
        sparse(torch.zeros(2, 4, dtype=torch.float64))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    linear = nn.Linear(4, 3)
    with torch.no_grad():
        linear.weight[1, 2] = value
    with pytest.raises(ValueError, match="finite weights, got 1 that are NaN or infinite"):
        SparseInputLinear(linear)


class Residual(nn.Module):
    """A module of one's own, with a Sequential inside and a layer that is not in one."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 6), ClippedReLU(0.3, 1.0), nn.Linear(6, 6))
        self.last = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        """One block past which x is carried."""
        h: Tensor = x + self.last(self.block(x))
        return h


@torch.no_grad()
def test_layers_that_follow_an_activation_are_found_and_no_others() -> None:
    phi = ClippedReLU(0.3, 1.0)
    inner = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 6), nn.Linear(6, 6))
    hooked = nn.Linear(6, 6)
    hooked.register_forward_hook(lambda layer, inputs, output: 2 * output)
    network = nn.Sequential(
        nn.Linear(6, 6), phi, inner, phi, hooked, Residual(), phi, nn.Flatten(), nn.Linear(6, 6),
        nn.ReLU(), nn.Linear(6, 2),
    )  # fmt: skip
    sparse = with_sparse_inputs(network)
    found = [name for name, part in sparse.named_modules() if isinstance(part, SparseInputLinear)]
    assert found == ["2.1", "5.block.2", "8"]
    assert not any(isinstance(part, SparseInputLinear) for part in network.modules())
    assert network.training
    assert not sparse.training
    x = torch.randn(5, 6)
    torch.testing.assert_close(sparse(x), network.eval()(x))
    more = with_sparse_inputs(network, activations=(SparseActivation, nn.ReLU))
    assert isinstance(more[10], SparseInputLinear)


def test_a_module_without_such_a_layer_is_refused() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"follows one of \(SparseActivation\), got Sequential"):
        with_sparse_inputs(network)


@pytest.mark.gpu
@torch.no_grad()
@pytest.mark.parametrize("samples", [1, 5])
def test_outputs_are_those_of_the_dense_layer_on_a_gpu(samples: int) -> None:
    linear = nn.Linear(300, 200, dtype=torch.float64, device="cuda")
    x = torch.randn(samples, 300, dtype=torch.float64, device="cuda")
    x = x * (x > 1)
    equal_up_to_rounding(SparseInputLinear(linear)(x), linear(x), sizes_of_sums(linear, x))


# ------------------------------------------------------------------ what was measured


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """The committed record from which the page about it is made."""
    return read_record(RECORD)


def test_the_record_has_every_point_and_says_where_it_comes_from(record: dict[str, Any]) -> None:
    points = [(layer["width"], layer["batch"]) for layer in record["layers"]]
    assert points == [(width, batch) for width in WIDTHS for batch in BATCHES]
    assert record["sparsities"] == list(SPARSITIES)
    for layer in record["layers"]:
        assert len(layer["sparse"]) == len(layer["weights_read"]) == len(SPARSITIES)
        times = [*layer["sparse"], *layer["dense"].values(), *layer["alternatives"].values()]
        assert min(times) > 0
        assert set(layer["dense"]) == {"linear", "columns", "transposed", "prepacked"}
    networks = [(n["width"], n["depth"], n["batch"]) for n in record["networks"]]
    assert networks == [(*shape, batch) for shape in NETWORKS for batch in NETWORK_BATCHES]
    assert record["threads"] == 1
    assert record["clock"] == "process_time"
    assert record["command"].startswith("python tools/measure.py sparse-inference")
    assert not record["provenance"]["commit"].endswith("+")
    cache_mib = int(record["last_level_cache"].removesuffix("K")) / 1024
    assert record["pool_mib"] >= 4 * cache_mib  # cold


def test_one_input_is_faster_sparse_as_the_page_states(record: dict[str, Any]) -> None:
    for width in (1024, 2048, 4096, 8192):
        by_sparsity = dict(zip(SPARSITIES, speedups(record, width, 1), strict=True))
        assert all(speedup > 1.15 for s, speedup in by_sparsity.items() if s >= 0.6)
        assert by_sparsity[0.5] < 1.05
        assert 2.35 < by_sparsity[0.85] < 3.25
        assert 4.65 < by_sparsity[0.95] < 8.75
        assert 0.355 < by_sparsity[0.85] * (1 - 0.85) < 0.495
    place = SPARSITIES.index(0.85)
    assert 1.075 < speedups(record, 300, 1)[place] < 1.085
    assert 1.65 < speedups(record, 300, 1, "linear")[place] < 1.75
    assert round(layers_of(record, 300)[0]["sparse"][SPARSITIES.index(0.95)]) == 23


def test_packed_weights_halve_the_time_of_a_dense_product_of_few_samples(
    record: dict[str, Any],
) -> None:
    for layer in record["layers"]:
        if layer["width"] >= 1024 and layer["batch"] == 4:
            assert layer["dense"]["prepacked"] < 0.55 * layer["dense"]["linear"]


def test_from_batch_8_to_32_a_dense_product_is_faster_up_to_sparsity_85(
    record: dict[str, Any],
) -> None:
    for layer in record["layers"]:
        if 8 <= layer["batch"] <= 32:
            by_sparsity = zip(
                SPARSITIES, speedups(record, layer["width"], layer["batch"]), strict=True
            )
            assert all(speedup < 1 for s, speedup in by_sparsity if s <= 0.85)


def test_sparsity_85_pays_up_to_the_batches_that_the_page_states(record: dict[str, Any]) -> None:
    place = SPARSITIES.index(0.85)
    fastest = {width: largest_winning_batches(record, width)[place] for width in WIDTHS}
    assert fastest == {300: 1, 1024: 2, 2048: 4, 4096: 2, 8192: 2}
    linear = {width: largest_winning_batches(record, width, "linear")[place] for width in WIDTHS}
    assert linear == {300: 4, 1024: 64, 2048: 64, 4096: 16, 8192: 16}


def test_embedding_bag_is_the_fastest_of_its_kind_at_batch_1_from_width_1024_on(
    record: dict[str, Any],
) -> None:
    for width in WIDTHS:
        layer = layers_of(record, width)[0]
        ratios = [
            time / layer["sparse"][SPARSITIES.index(0.85)]
            for time in layer["alternatives"].values()
        ]
        assert min(ratios) >= (0.9 if width == 300 else 1.15)


def test_whole_networks_are_faster_at_batch_1(record: dict[str, Any]) -> None:
    networks = {
        (network["width"], network["batch"]): network["dense"] / network["sparse"]
        for network in record["networks"]
    }
    assert 1.25 <= networks[300, 1] < 1.27
    assert 3.2 < networks[4096, 1] < 3.4
    for network in record["networks"]:
        assert network["sparsity"] == pytest.approx(0.85, abs=0.01)


def test_a_record_of_small_layers_can_be_made_shown_and_drawn(tmp_path: Path) -> None:
    record = measure(widths=(8,), batches=(1, 2), networks=((6, 2),), pool=1024)
    assert "| 8 |" in tables(record)
    assert len(record["networks"]) == len(NETWORK_BATCHES)
    save_small(speedup_picture(record), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
