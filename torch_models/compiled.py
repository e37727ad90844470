"""Small functions of tensors as single kernels, for a GPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


@cache
def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function as torch's compiler fuses it: once, for tensors of any size."""
    return torch.compile(function, dynamic=True)
