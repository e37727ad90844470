"""The SGD update of one parameter of an ensemble (Eqs. 22 and 23)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from torch_models.training.gpu import compiled


def sgd_step_(
    parameter: Tensor, gradient: Tensor, learning_rate: float, frozen: Tensor | None
) -> None:
    """Subtract ``learning_rate`` times the gradient, in place.

    Args:
        parameter: (members, ...), contiguous.
        gradient: of the same shape, contiguous.
        learning_rate: of all members.
        frozen: (members,), True for members that are not updated, even if their gradients are NaN.
    """
    if frozen is None:
        parameter.sub_(gradient, alpha=learning_rate)
        return
    step = _kernel(parameter)
    step(_rows(parameter), _rows(gradient), learning_rate, frozen.unsqueeze(1))


def _rows(values: Tensor) -> Tensor:
    """The same memory as a plain matrix (members, weights): all layers then share one kernel.

    The compiler makes one for each shape of an nn.Parameter, and two for views of three dimensions,
    depending on whether one of these is 1. After eight it makes none, and one member that drops out
    would be enough for that.
    """
    return values.view(len(values), -1).data


def _kernel(parameter: Tensor) -> Callable[..., Tensor]:
    return compiled(_masked_sgd_step_) if parameter.is_cuda else _masked_sgd_step_


def _masked_sgd_step_(
    parameter: Tensor, gradient: Tensor, learning_rate: float, keep: Tensor
) -> Tensor:
    """One step of rows (members, weights), where ``keep`` (members, 1) is False."""
    updated = parameter.sub(gradient, alpha=learning_rate)
    return torch.where(keep, parameter, updated, out=parameter)
