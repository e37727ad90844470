"""The share of zeros that activations give, measured in any module."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torch_models.networks.activations import SparseActivation


@torch.no_grad()
def measured_sparsity(
    module: nn.Module,
    *inputs: Any,
    activations: tuple[type[nn.Module], ...] = (SparseActivation,),
) -> dict[str, float]:
    """The share of exact zeros in the output of every activation, by its dotted path.

    ``module(*inputs)`` is run once, in evaluation mode; its mode is restored. An activation that is
    called more than once counts with all its calls.

    Args:
        module: any module.
        inputs: what it takes.
        activations: types of the modules whose outputs are counted.

    Raises:
        ValueError: if none of these activations was called.
    """
    zeros: dict[str, list[int]] = {}

    def count(path: str, output: Tensor) -> None:
        counted = zeros.setdefault(path, [0, 0])
        counted[0] += int((output == 0).sum())
        counted[1] += output.numel()

    hooks = [
        part.register_forward_hook(lambda _, __, output, path=path: count(path, output))
        for path, part in module.named_modules()
        if isinstance(part, activations)
    ]
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for part, mode in modes:
            part.training = mode
    if not zeros:
        kinds = ", ".join(kind.__name__ for kind in activations)
        raise ValueError(f"module must call one of ({kinds}), got {type(module).__name__}")
    if empty := [path for path, (_, total) in zeros.items() if total == 0]:
        raise ValueError(f"inputs must hold a sample, got none for {empty[0]}")
    return {path: count / total for path, (count, total) in zeros.items()}
