"""The SGD update of one parameter of an ensemble (Eqs. 22 and 23), plain or with momentum."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from torch_models.training.gpu import compiled

Direction = Callable[[Tensor, Tensor], Tensor]
"""What a step follows, of a parameter and its gradient: `gradient_itself`, or its `Momentum`."""


def gradient_itself(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The direction of plain SGD."""
    return gradient


class Momentum:
    """v <- factor v + gradient, of every parameter of an ensemble, as in torch.optim.SGD.

    Args:
        factor: at least 0 and below 1.
        parameters: those that train.
        velocity: v of each, of its shape, updated in place.
    """

    def __init__(
        self, factor: float, parameters: Iterable[Tensor], velocity: Iterable[Tensor]
    ) -> None:
        self._factor = factor
        self._velocity = dict(zip(parameters, velocity, strict=True))

    def __call__(self, parameter: Tensor, gradient: Tensor) -> Tensor:
        """Update v of this parameter, and return it."""
        velocity = self._velocity[parameter]
        return torch.add(gradient, velocity, alpha=self._factor, out=velocity)


def sgd_step_(
    parameter: Tensor, direction: Tensor, learning_rate: float, frozen: Tensor | None
) -> None:
    """Subtract ``learning_rate`` times the direction, in place.

    Args:
        parameter: (members, ...), contiguous.
        direction: of the same shape, contiguous.
        learning_rate: of all members.
        frozen: (members,), True for members that are not updated, even if their gradients are NaN.
    """
    if frozen is None:
        parameter.sub_(direction, alpha=learning_rate)
        return
    step = _kernel(parameter)
    step(_rows(parameter), _rows(direction), learning_rate, frozen.unsqueeze(1))


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
    parameter: Tensor, direction: Tensor, learning_rate: float, keep: Tensor
) -> Tensor:
    """One step of rows (members, weights), where ``keep`` (members, 1) is False."""
    updated = parameter.sub(direction, alpha=learning_rate)
    return torch.where(keep, parameter, updated, out=parameter)
