"""The precision of the matrix products in a training step; parameters stay in float32.

==========  ========================================================================================
float32     products as torch does them, with its own setting of the matmul precision
tf32        on a CUDA device: inputs of products are rounded to 10 bits of mantissa and summed in
            float32
bf16        mixed precision: weights, activations and errors of the products are rounded to 7 bits
            of mantissa; the weights that are updated, the loss and the norms are float32. All other
            buffers take half the memory.
==========  ========================================================================================

docs/precision.md measures the effect on q^l and on sparsity.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch_models.networks.dense import DenseEnsemble

PRECISIONS = ("float32", "tf32", "bf16")


def check_precision(precision: str, device: torch.device | None = None) -> None:
    """Raise ``ValueError`` for an unknown precision, or one that ``device`` does not have."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "tf32" and device is not None and device.type != "cuda":
        raise ValueError(f"precision tf32 needs a CUDA device, got weights on {device}")


def cast_ensemble(ensemble: DenseEnsemble, precision: str) -> DenseEnsemble:
    """The ensemble whose weights enter the products: itself, or for ``bf16`` a copy in bfloat16.

    Raises:
        ValueError: for ``bf16`` of weights that are not float32.
    """
    if precision != "bf16":
        return ensemble
    dtype = ensemble.weights[0].dtype
    if dtype != torch.float32:
        raise ValueError(f"precision bf16 needs weights in float32, got {dtype}")
    return ensemble.select(range(ensemble.members)).to(torch.bfloat16)


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Allow TF32 products within the block for ``tf32``; otherwise keep torch's setting."""
    if precision != "tf32":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
