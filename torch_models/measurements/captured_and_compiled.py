"""A training step as a CUDA graph, with compiled kernels, with both, and with neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from torch_models.measurements.noise_training import Shape, networks, ready
from torch_models.measurements.timing import interleaved, milliseconds
from torch_models.training.loop import Training

NEEDS_CUDA = "needs CUDA"


class Uncaptured(Training):
    """Launches the kernels of every step one by one."""

    def _launch(self, batch: Tensor) -> None:
        self._take_step(batch)


VARIANTS: dict[str, tuple[type[Training], bool]] = {
    "neither": (Uncaptured, False),
    "torch.compile": (Uncaptured, True),
    "CUDA graph": (Training, False),
    "both": (Training, True),
}
"""How steps are launched, and whether kernels are compiled."""


def measure(
    device: str,
    members: Sequence[int] = (1, 33),
    shape: Shape | None = None,
    rounds: int = 5,
    steps: int = 5,
) -> Iterator[dict[str, Any]]:
    """Times of a step in float32, medians over rounds in which all variants take turns.

    On a CPU nothing is captured, and ``missing`` says so.
    """
    shape = shape or Shape()
    for count in members:
        possible = {
            name: variant
            for name, variant in VARIANTS.items()
            if device != "cpu" or variant[0] is Uncaptured
        }
        works = {
            name: _steps(kind, kernels, shape, count, device, steps, rounds)
            for name, (kind, kernels) in possible.items()
        }
        seconds = interleaved(works, device, rounds, 1)
        for name in VARIANTS:
            measured = name in seconds
            yield {
                "variant": name,
                "members": count,
                "step_ms": milliseconds([s / steps for s in seconds[name]]) if measured else None,
                "missing": None if measured else NEEDS_CUDA,
            }


def _steps(
    kind: type[Training],
    kernels: bool,
    shape: Shape,
    members: int,
    device: str,
    steps: int,
    rounds: int,
) -> Callable[[], None]:
    """Takes some steps of a training of its own."""
    ensemble = networks(shape, members, device)
    with _compiling(kernels):
        training = ready(ensemble, shape.batch, (rounds + 1) * steps, kind=kind)

    def work() -> None:
        with _compiling(kernels):
            for _ in range(steps):
                training.advance()

    return work


def _compiling(kernels: bool) -> AbstractContextManager[object]:
    return nullcontext() if kernels else torch.compiler.set_stance("force_eager")
