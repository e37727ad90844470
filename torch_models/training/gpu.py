"""What makes a training step fast on a GPU: kernels fused by the compiler, one CUDA graph a step.

A step of a deep stack is about a thousand small kernels, and launching each by itself takes the
host longer than the device needs to run it. A graph is launched once and needs no host after that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


class CapturedStep:
    """``step`` with whatever memory it used when it was captured, on batches of one size.

    Args:
        step: takes the indices of a batch, and has run on one of this size, so that its kernels are
            loaded. It must not wait for the device, and every tensor that it reads or writes must
            stay where it is.
        batch: indices, of the size of all batches to come. Nothing is run on them yet.
    """

    def __init__(self, step: Callable[[Tensor], None], batch: Tensor) -> None:
        self._batch = batch.clone()
        self._graph = torch.cuda.CUDAGraph()
        device = batch.device
        with torch.cuda.device(device), torch.cuda.graph(self._graph, stream=_stream(device)):
            step(self._batch)

    def __call__(self, batch: Tensor) -> None:
        """Launch the step on this batch."""
        self._batch.copy_(batch)
        self._graph.replay()


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The one on which all steps of a device are captured; torch's own is of one device only."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@cache
def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function as torch's compiler fuses it: once, for tensors of any size."""
    return torch.compile(function, dynamic=True)
