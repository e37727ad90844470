"""Plain gradient descent of one parameter of a stack."""

from __future__ import annotations

from torch import Tensor


def descend_(
    parameter: Tensor, gradient: Tensor, learning_rate: float, frozen: Tensor | None
) -> None:
    """Subtract ``learning_rate`` times the gradient, which is lost, in place (Eqs. 22 and 23).

    Args:
        parameter: the members first.
        gradient: of the same shape.
        learning_rate: of all members.
        frozen: (members,), True for those that keep what they have, whatever their gradients.
    """
    if frozen is not None:
        gradient.masked_fill_(frozen.view(-1, *[1] * (gradient.ndim - 1)), 0.0)
    parameter.sub_(gradient, alpha=learning_rate)
