"""Inference with and without use of the zeros of phi(h): a record of times, sparse and dense.

Weights are not in the cache, as in a deep network: before a matrix is read again, far more memory
is read than the last-level cache of the CPU or GPU holds. Inputs are in the cache, as the output of
the layer before.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor, nn

import sparsity_theory as st
from torch_models.experiments.provenance import commit, hardware, versions
from torch_models.measurements import timing
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.sparse_inference import SparseInputLinear, with_sparse_inputs

FORMAT = 1

WIDTHS = (300, 1024, 2048, 4096, 8192)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
NETWORKS = ((300, 100), (4096, 8))
"""Width and depth of whole networks: the paper's, and a shallow wide one."""

NETWORK_BATCHES = (1, 4, 16)
FEATURES, CLASSES = 784, 10

ALTERNATIVES_AT = 0.85
"""The sparsity at which other operations for the sparse product are timed too."""

POOL = 256 * 2**20
"""Bytes of weights, at least, between two uses of a matrix: eight times a cache of 32 MiB."""

ROUNDS = 5
PASSES = 10
INPUTS = 32
"""Number of inputs, each with active units of its own."""

Product = Callable[[int], object]
"""Computes the output of one layer, given its number."""


def measure(
    widths: Sequence[int] = WIDTHS,
    batches: Sequence[int] = BATCHES,
    networks: Sequence[tuple[int, int]] = NETWORKS,
    pool: int = POOL,
    on_step: Callable[[str], None] = lambda step: None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Time layers and networks in float32 on a device, with as many threads as torch is set to.

    Times are in microseconds a layer or network: the median over rounds, in which the products are
    interleaved. With one thread of a CPU it is CPU time, else wall-clock time. A layer's
    ``weights_read`` is the share of W that a batch of independent inputs needs, 1 - s^batch.
    """
    clock = partial(timing.clock, device)
    evict = torch.zeros(pool // 4, device=device).sum
    layers, whole = [], []
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        for width in widths:
            linears = _linears(width, pool, device)
            for batch in batches:
                on_step(f"width {width}, batch {batch}")
                layers.append(_time_layer(linears, batch, clock, evict))
        for width, depth in networks:
            on_step(f"network {width} wide, {depth} deep")
            whole += _time_network(width, depth, clock, evict, device)
    return {
        "format": FORMAT,
        "provenance": {"versions": versions(), "hardware": hardware(device), "commit": commit()},
        "last_level_cache": _last_level_cache(device),
        "threads": torch.get_num_threads(),
        "clock": timing.clock_name(device),
        "dtype": "float32",
        "pool_mib": pool / 2**20,
        "rounds": ROUNDS,
        "sparsities": list(SPARSITIES),
        "layers": layers,
        "networks": whole,
    }


def _linears(width: int, pool: int, device: str) -> list[nn.Linear]:
    """Square layers with at least ``pool`` bytes of weights."""
    drawn = nn.Linear(width, width, device=device)
    count = max(2, -(-pool // (4 * width**2)))
    layers = [nn.Linear(width, width, device="meta") for _ in range(count)]
    for layer in layers:
        layer.weight = nn.Parameter(drawn.weight.clone(), requires_grad=False)
        layer.bias = nn.Parameter(drawn.bias.clone(), requires_grad=False)
    return layers


def _time_layer(
    linears: list[nn.Linear],
    batch: int,
    clock: Callable[[], float],
    evict: Callable[[], object],
) -> dict[str, Any]:
    width, device = linears[0].in_features, linears[0].weight.device
    layers = [SparseInputLinear(linear) for linear in linears]
    inputs = {
        s: [_input(batch, width, s, seed).to(device) for seed in range(INPUTS)] for s in SPARSITIES
    }

    def product(apply: Callable[[Any, Tensor], object], on: Sequence[Any], s: float) -> Product:
        return lambda layer: apply(on[layer], inputs[s][layer % INPUTS])

    dense = {
        "linear": product(nn.Linear.__call__, linears, 0.5),
        "columns": product(_matrix_times_columns, linears, 0.5),
        "transposed": product(_transposed, layers, 0.5),
    }
    on_cpu = device.type == "cpu"
    if on_cpu and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        dense["prepacked"] = product(_prepacked, _prepack(linears, batch), 0.5)
    sparse = {f"{s}": product(SparseInputLinear.__call__, layers, s) for s in SPARSITIES}
    others = {
        "gathered": product(_gathered, layers, ALTERNATIVES_AT),
    }
    if on_cpu:
        others["csr"] = product(_csr, layers, ALTERNATIVES_AT)
        others["scipy"] = product(_scipy_csr, layers, ALTERNATIVES_AT)
    times = _times({**dense, **sparse, **others}, len(layers), clock, evict)
    return {
        "width": width,
        "batch": batch,
        "weights_read": [round(1 - s**batch, 4) for s in SPARSITIES],
        "sparse": [times[name] for name in sparse],
        "dense": {name: times[name] for name in dense},
        "alternatives": {name: times[name] for name in others},
    }


def _time_network(
    width: int, depth: int, clock: Callable[[], float], evict: Callable[[], object], device: str
) -> list[dict[str, Any]]:
    """Whole networks: CReLU with s = 0.85 and V'(q*) = 0.7, at the edge of chaos."""
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.7))
    ensemble = DenseEnsemble([net], FEATURES, width, depth, CLASSES, seeds=(0,), device=device)
    dense = ensemble.network(0)
    sparse = with_sparse_inputs(dense)
    found = []
    for batch in NETWORK_BATCHES:
        inputs = [_input(batch, FEATURES, 0.0, seed).to(device) for seed in range(INPUTS)]
        shares = [float((x == 0).float().mean()) for _, x in ensemble.propagate(inputs[0])]
        products = {"dense": _passes(dense, inputs), "sparse": _passes(sparse, inputs)}
        rounds: list[dict[str, float]] = [
            _times(products, 1, clock, evict, first=turn) for turn in range(PASSES)
        ]
        found.append(
            {
                "width": width,
                "depth": depth,
                "batch": batch,
                "sparsity": round(statistics.mean(shares), 4),
                **{
                    name: round(statistics.median(times[name] for times in rounds), 1)
                    for name in products
                },
            }
        )
    return found


def _times(
    products: dict[str, Product],
    layers: int,
    clock: Callable[[], float],
    evict: Callable[[], object],
    first: int = 0,
) -> dict[str, float]:
    """Microseconds a layer of every product; in each round, each goes through all layers."""
    seconds: dict[str, list[float]] = {name: [] for name in products}
    for _ in range(ROUNDS):
        for name, product in products.items():
            evict()
            start = clock()
            for layer in range(first, first + layers):
                product(layer)
            seconds[name].append(clock() - start)
    return {
        name: round(statistics.median(each) / layers * 1e6, 1) for name, each in seconds.items()
    }


def _passes(network: nn.Module, inputs: list[Tensor]) -> Product:
    return lambda turn: network(inputs[turn % INPUTS])


def _input(batch: int, width: int, sparsity: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, width, generator=generator)
    return x * (torch.rand(x.shape, generator=generator) >= sparsity)


def _matrix_times_columns(linear: nn.Linear, x: Tensor) -> Tensor:
    """W x^T, with the samples as columns."""
    return torch.addmm(linear.bias[:, None], linear.weight, x.T)


def _transposed(layer: SparseInputLinear, x: Tensor) -> Tensor:
    """The dense product with W stored as the sparse one needs it."""
    assert layer.bias is not None
    return torch.addmm(layer.bias, x, layer.columns)


def _prepack(linears: list[nn.Linear], batch: int) -> list[tuple[Tensor, Tensor]]:
    """Weights packed for oneDNN and this batch size, as TorchInductor does when it freezes."""
    reorder = torch.ops.mkldnn._reorder_linear_weight
    return [(reorder(linear.weight.detach(), batch), linear.bias.detach()) for linear in linears]


def _prepacked(packed: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
    weight, bias = packed
    h: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return h


def _gathered(layer: SparseInputLinear, x: Tensor) -> Tensor:
    """A dense product with the columns that any sample needs, gathered into one matrix."""
    assert layer.bias is not None
    active = x.any(0).nonzero().view(-1)
    return torch.addmm(layer.bias, x.index_select(1, active), layer.columns.index_select(0, active))


def _csr(layer: SparseInputLinear, x: Tensor) -> Tensor:
    assert layer.bias is not None
    return torch.addmm(layer.bias.expand(len(x), -1), x.to_sparse_csr(), layer.columns)


def _scipy_csr(layer: SparseInputLinear, x: Tensor) -> Tensor:
    assert layer.bias is not None
    h = scipy.sparse.csr_array(x.numpy()) @ layer.columns.numpy()
    return torch.from_numpy(np.asarray(h)).add_(layer.bias)


def _last_level_cache(device: str) -> str | None:
    """Size of the largest cache that Linux reports, such as ``32768K``, or of the GPU's L2."""
    if device != "cpu":
        return f"{torch.cuda.get_device_properties(device).L2_cache_size // 1024}K"
    sizes = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))
    return sizes[-1].read_text(encoding="utf-8").strip() if sizes else None
