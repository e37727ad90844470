"""How many networks train together before memory ends, and what each then costs."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from torch_models.experiments.build import GPU_SHARE
from torch_models.measurements.noise_training import Shape, networks, ready
from torch_models.measurements.timing import interleaved, milliseconds
from torch_models.training.memory_plan import MemberMemory, member_memory

TRIES = 6
SMALLER = 0.95
"""Of the free memory is used at first, and of a stack that did not fit is tried next."""


def measure(
    device: str,
    counts: Sequence[int] = (1, 4, 16, 64, 256),
    shape: Shape | None = None,
    rounds: int = 5,
    steps: int = 5,
    free: int | None = None,
) -> Iterator[dict[str, Any]]:
    """The time of a step in float32 by the number of networks, then the largest numbers that fit.

    The largest are two: the number that `member_memory` plans for a whole training, with evaluation
    and copies for when members diverge; and as many as can take steps. ``free`` bytes are what
    there is, by default on the GPU.
    """
    shape = shape or Shape()
    memory = member_memory(shape.features, shape.width, shape.depth, shape.classes, shape.batch)
    for count in counts:
        yield {"stack": "given", **_of(count, memory, device, shape, rounds, steps)}
    _give_back()
    free = torch.cuda.mem_get_info(device)[0] if free is None else free
    for stack, first in (
        ("planned", memory.largest_ensemble(int(GPU_SHARE * free))),
        ("steps only", int(SMALLER * free) // (memory.parameters + memory.step)),
    ):
        found = largest_that_fits(max(1, first), memory, device, shape, rounds, steps)
        yield {"stack": stack, **found}


def largest_that_fits(
    first: int, memory: MemberMemory, device: str, shape: Shape, rounds: int, steps: int
) -> dict[str, Any]:
    """Measured at ``first`` networks, or at the largest smaller number that was tried and fits.

    Raises:
        torch.OutOfMemoryError: if none does.
    """
    count = first
    for _ in range(TRIES - 1):
        try:
            return _of(count, memory, device, shape, rounds, steps)
        except torch.OutOfMemoryError:
            pass
        _give_back()  # here, as the error keeps what it came from
        count = max(1, int(SMALLER * count))
    return _of(count, memory, device, shape, rounds, steps)


def _of(
    count: int, memory: MemberMemory, device: str, shape: Shape, rounds: int, steps: int
) -> dict[str, Any]:
    _give_back()
    training = ready(networks(shape, count, device), shape.batch, (rounds + 1) * steps)
    seconds = interleaved({"step": training.advance}, device, rounds, steps)["step"]
    peak = torch.cuda.max_memory_allocated(device) if device != "cpu" else 0
    return {
        "members": count,
        "step_ms": milliseconds(seconds),
        "ms_a_network": milliseconds([each / count for each in seconds]),
        "planned_gb": round(count * (memory.parameters + memory.step) / 1e9, 3),
        "peak_gb": round(peak / 1e9, 3),
    }


def _give_back() -> None:
    """Free what earlier stacks held, and begin to count anew."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
