"""Plain gradient descent of one parameter of a stack (Eqs. 22 and 23)."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_models.training.gpu import compiled


def sgd_step_(
    parameter: Tensor, gradient: Tensor, learning_rate: float, frozen: Tensor | None
) -> None:
    """Subtract ``learning_rate`` times the gradient, in place.

    Args:
        parameter: the members first.
        gradient: of the same shape.
        learning_rate: of all members.
        frozen: (members,), True for those that keep what they have, whatever their gradients.
    """
    if frozen is None:
        parameter.sub_(gradient, alpha=learning_rate)
        return
    keep = frozen.view(-1, *[1] * (gradient.ndim - 1))
    step = compiled(_sgd_step_unless_) if parameter.is_cuda else _sgd_step_unless_
    step(parameter, gradient, learning_rate, keep)


def _sgd_step_unless_(
    parameter: Tensor, gradient: Tensor, learning_rate: float, keep: Tensor
) -> Tensor:
    descended = parameter.sub(gradient, alpha=learning_rate)
    return torch.where(keep, parameter, descended, out=parameter)
