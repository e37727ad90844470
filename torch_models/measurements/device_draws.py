"""Random weights of networks that are only measured, drawn where the networks are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torch_models.networks.ensemble import DrawInPlace
from torch_models.networks.initialization import draw_


def draws_on(device: str, seed: int) -> DrawInPlace:
    """How to draw the weights of an ensemble on a device.

    On the CPU as every ensemble does. On a GPU all of an ensemble come from one generator of the
    GPU, which starts with ``seed``: numbers drawn on the CPU would take most of a measurement's
    time. So networks of one seed differ between devices.
    """
    if device == "cpu":
        return draw_
    generator = torch.Generator(device).manual_seed(seed)

    @torch.no_grad()
    def draw(tensor: Tensor, variance: float, _: torch.Generator | None) -> None:
        if not tensor.is_meta:
            tensor.normal_(0.0, math.sqrt(variance), generator=generator)

    return draw
