"""In which numbers the products of a training step are taken; the weights stay in float32.

==========  ========================================================================================
float32     as they are, unless torch is set to allow less
tf32        the GPU rounds what it multiplies to 10 bits after the point, and adds up in float32
bf16        weights, activations and errors are rounded to 7 bits; the weights that are updated, the
            loss and the norms are not. Half the memory for everything but the weights.
==========  ========================================================================================

What that does to q^l and to sparsity is in docs/precision.md.
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
    """Raise ``ValueError`` for a precision that there is not, or not on this device."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "tf32" and device is not None and device.type != "cuda":
        raise ValueError(f"precision tf32 needs a CUDA device, got weights on {device}")


def multiplied(stack: DenseEnsemble, precision: str) -> DenseEnsemble:
    """The stack whose weights the products see: itself, or a copy of lower precision.

    Raises:
        ValueError: for ``bf16`` of weights that are not in float32.
    """
    if precision != "bf16":
        return stack
    if stack.weights[0].dtype != torch.float32:
        raise ValueError(f"precision bf16 needs weights in float32, got {stack.weights[0].dtype}")
    return stack.select(range(stack.members)).to(torch.bfloat16)


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Let float32 products be taken in this precision; else torch's own setting is left alone."""
    if precision != "tf32":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
