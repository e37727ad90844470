"""The SGD update of one parameter of an ensemble (Eqs. 22 and 23)."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_models.training.gpu import compiled


def sgd_step_(
    parameter: Tensor, gradient: Tensor, learning_rate: float, frozen: Tensor | None
) -> None:
    """Subtract ``learning_rate`` times the gradient, in place.

    Args:
        parameter: (members, ...).
        gradient: of the same shape.
        learning_rate: of all members.
        frozen: (members,), True for members that are not updated, even if their gradients are NaN.
    """
    if frozen is None:
        parameter.sub_(gradient, alpha=learning_rate)
        return
    keep = frozen.view(-1, *[1] * (gradient.ndim - 1))
    step = compiled(_masked_sgd_step_) if parameter.is_cuda else _masked_sgd_step_
    step(parameter, gradient, learning_rate, keep)


def _masked_sgd_step_(
    parameter: Tensor, gradient: Tensor, learning_rate: float, keep: Tensor
) -> Tensor:
    updated = parameter.sub(gradient, alpha=learning_rate)
    return torch.where(keep, parameter, updated, out=parameter)
