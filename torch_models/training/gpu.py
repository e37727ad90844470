"""What makes a training step fast on a GPU: compiled kernels, and one CUDA graph per step.

A step of a deep ensemble is about a thousand small kernels, and launching them one by one takes the
host longer than the device needs to run them. A CUDA graph is launched as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


class CapturedStep:
    """``step``, captured as a CUDA graph for batches of one size.

    Args:
        step: takes the indices of a batch. It must have run on a batch of this size before, so that
            kernels are loaded and memory is allocated; it must not synchronize with the device, and
            every tensor that it reads or writes must keep its address.
        batch: indices, of the size of all later batches. Capturing does not run the step on them.
    """

    def __init__(self, step: Callable[[Tensor], None], batch: Tensor) -> None:
        self._batch = batch.clone()
        self._graph = torch.cuda.CUDAGraph()
        device = batch.device
        with torch.cuda.device(device), torch.cuda.graph(self._graph, stream=_stream(device)):
            step(self._batch)

    def __call__(self, batch: Tensor) -> None:
        """Replay the step on this batch."""
        self._batch.copy_(batch)
        self._graph.replay()


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The stream for captures on this device; torch's default one is of a single device."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@cache
def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``torch.compile`` of the function, once, for tensors of any size."""
    return torch.compile(function, dynamic=True)
