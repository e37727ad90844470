"""Rounding errors in random networks of Table 2's rows: q^l and sparsity, layer by layer.

One input passes through the same random networks in float64, float32, TF32 and bf16. TF32 is
imitated: weights and activations are rounded to 10 bits after the point, multiplied exactly and
summed in float32, as on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from sparsity_theory.published.rows import Design
from sparsity_theory.published.tables import published_rows
from torch_models.experiments.provenance import hardware, versions
from torch_models.networks.dense import DenseEnsemble

WIDTH, DEPTH, FEATURES, NETWORKS = 300, 100, 100, 10
DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


def measure(on_step: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
    """For every row of Table 2, `errors_of`, as a record. Four minutes on one core."""
    errors = {}
    for published in published_rows(2):
        on_step(published.design.label)
        errors[published.design.slug] = errors_of(published.design)
    return {
        "width": WIDTH,
        "depth": DEPTH,
        "networks": NETWORKS,
        "versions": versions(),
        "hardware": hardware("cpu"),
        "rows": errors,
    }


@torch.no_grad()
def errors_of(row: Design) -> dict[str, dict[str, float]]:
    """For each precision, the errors of q^l and of the sparsity over networks and layers.

    ``variance`` is the root mean square of q^l / (q^l in float64) - 1, ``variance_shift`` its mean;
    ``sparsity`` is the root mean square of the difference, ``sparsity_shift`` its mean.

    Networks of the rows that fail amplify rounding errors in float64 too: by a change of the input
    in its last digit, q^l of CST with s = 0.85 and V'(q*) = 0.9 changes by up to 1.2%.
    """
    x = _input(row.input_variance())
    exact_q, exact_sparsity = _layers(_ensemble(row), x)
    errors = {}
    for precision, dtype in DTYPES.items():
        operand = to_tf32 if precision == "tf32" else _unchanged
        q, sparsity = _layers(_ensemble(row).to(dtype), x.to(dtype), operand)
        of_q, of_sparsity = q / exact_q - 1, sparsity - exact_sparsity
        errors[precision] = {
            "variance": _rounded(of_q.square().mean().sqrt()),
            "variance_shift": _rounded(of_q.mean()),
            "sparsity": _rounded(of_sparsity.square().mean().sqrt()),
            "sparsity_shift": _rounded(of_sparsity.mean()),
        }
    return errors


def to_tf32(values: Tensor) -> Tensor:
    """Round float32 to 10 bits after the point, ties to even."""
    bits = values.view(torch.int32)
    rounded = (bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF
    return rounded.view(torch.float32)


def _unchanged(values: Tensor) -> Tensor:
    return values


def _input(variance: float) -> Tensor:
    """One vector in float64."""
    x = torch.randn(1, FEATURES, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    return x * (math.sqrt(variance) / x.square().mean().sqrt())


def _ensemble(row: Design) -> DenseEnsemble:
    """Networks of this row in float64, always with the same weights."""
    nets = [row.net()] * NETWORKS
    return DenseEnsemble(nets, FEATURES, WIDTH, DEPTH, 1, range(NETWORKS), dtype=torch.float64)


def _layers(
    ensemble: DenseEnsemble, x: Tensor, operand: Callable[[Tensor], Tensor] = _unchanged
) -> tuple[Tensor, Tensor]:
    """q^l and sparsity of every member in float64, (depth, members) each.

    ``operand`` rounds what is multiplied.
    """

    def hidden(x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for weight, bias in list(zip(ensemble.weights, ensemble.biases, strict=True))[:-1]:
            h = torch.baddbmm(bias, operand(x), operand(weight).mT)
            x = ensemble.activation(h)
            yield h.double().square().mean((1, 2)), (x == 0).double().mean((1, 2))

    q, sparsity = zip(*hidden(ensemble.scaled(x)), strict=True)
    return torch.stack(q), torch.stack(sparsity)


def _rounded(value: Tensor) -> float:
    """Three significant digits."""
    return float(f"{float(value):.3g}")
