"""Inputs of stacked networks: the same images, scaled to the variance each starts from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def input_scale_buffer(scales: Sequence[float] | None, members: int, axes: int) -> Tensor:
    """One factor a member, (members, 1, ..., 1) with ``axes`` axes, in float64; None is all ones.

    Raises:
        ValueError: unless there is one scale a member, each positive and finite.
    """
    scales = [1.0] * members if scales is None else list(scales)
    if len(scales) != members:
        raise ValueError(f"input_scales must be one per net: got {len(scales)} for {members} nets")
    for scale in scales:
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"input_scales must be positive and finite, got {scale}")
    return torch.tensor(scales, dtype=torch.float64).reshape(members, *(1,) * (axes - 1))
