"""Circular convolutions of an ensemble (Eq. 2), one- or two-dimensional, and their gradients.

Members are convolved one after the other, each from its own contiguous memory and on one CPU
thread. So a member's results are the same, bit for bit, in any ensemble and with any number of
threads. A grouped convolution would round differently from group to group, libraries round
differently where memory is aligned differently, and several threads split the sum in a kernel's
gradient. On a GPU they are in float32, as matrix products are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.grad import conv1d_weight, conv2d_weight

from torch_models.networks.float32 import float32_convolutions
from torch_models.networks.threads import num_threads

_CONVOLUTIONS = {1: nn.functional.conv1d, 2: nn.functional.conv2d}
_KERNEL_GRADIENTS: dict[int, Callable[..., Tensor]] = {1: conv1d_weight, 2: conv2d_weight}


def convolve(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """h(a) = sum_beta W(beta) x(a + beta) + b per member, with a + beta modulo the positions.

    Args:
        x: (members, batch, in, *positions), at least k positions in each dimension.
        kernel: (members, out, in, 2 k + 1[, 2 k + 1]); beta runs from -k to k.
        bias: (members, out), or none.

    Returns:
        (members, batch, out, *positions).
    """
    convolution = _CONVOLUTIONS[kernel.ndim - 3]
    biases = [None] * len(kernel) if bias is None else _members_of(bias)
    with num_threads(1), float32_convolutions():
        return torch.stack(
            [
                convolution(_padded(x_, kernel_), kernel_, bias_)
                for x_, kernel_, bias_ in zip(x, _members_of(kernel), biases, strict=True)
            ]
        )


def input_gradient(error: Tensor, kernel: Tensor) -> Tensor:
    """The loss's gradient by ``x``, in its shape, from ``error``, that by ``convolve(x, kernel)``.

    The transpose of a circular convolution is the one with the flipped kernel, in and out swapped.
    """
    return convolve(error, kernel.transpose(1, 2).flip(tuple(range(3, kernel.ndim))))


def kernel_gradient(x: Tensor, error: Tensor, kernel: Tensor) -> Tensor:
    """The loss's gradient by ``kernel``, in its shape, from ``error`` by ``convolve``'s result."""
    gradient = _KERNEL_GRADIENTS[kernel.ndim - 3]
    with num_threads(1), float32_convolutions():
        return torch.stack(
            [
                gradient(_padded(x_, kernel_), kernel_.shape, error_)
                for x_, kernel_, error_ in zip(x, kernel, _members_of(error), strict=True)
            ]
        )


def bias_gradient(error: Tensor) -> Tensor:
    """The loss's gradient by ``bias``, (members, out), from ``error`` by ``convolve``'s result."""
    with num_threads(1):
        return torch.stack([error_.flatten(2).sum((0, 2)) for error_ in _members_of(error)])


def norms(gradient: Tensor) -> Tensor:
    """Frobenius norm of every member's gradient, (members,)."""
    with num_threads(1):
        return torch.stack([torch.linalg.vector_norm(own) for own in _members_of(gradient)])


def _padded(x: Tensor, kernel: Tensor) -> Tensor:
    """``x`` (batch, in, *positions) of one member, padded by k positions on every side."""
    dimensions, half_width = kernel.ndim - 2, kernel.shape[-1] // 2
    return nn.functional.pad(x, (half_width,) * 2 * dimensions, "circular")


def _members_of(values: Tensor) -> list[Tensor]:
    """``values[0]``, ``values[1]``, ..., each copied to its own contiguous memory."""
    return [own.clone(memory_format=torch.contiguous_format) for own in values]
