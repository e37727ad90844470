"""Convolutions in float32 on a GPU, where torch's own setting is TF32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def float32_convolutions() -> Iterator[None]:
    """Compute convolutions and their gradients without TF32 within the block.

    Matrix products need nothing: torch computes them in float32 unless told otherwise.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before
