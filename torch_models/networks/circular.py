"""Circular convolutions of stacked networks (Eq. 2), one- or two-dimensional, and derivatives.

A stack is convolved one member after the other, each from memory of its own and on one CPU thread.
So a member's numbers are the same, bit for bit, alone and in any stack, with any number of threads.
One convolution with the members as groups rounds differently from group to group, libraries round
differently where memory is aligned differently, and threads share the sum that is a kernel's
gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.grad import conv1d_weight, conv2d_weight

from torch_models.networks.threads import num_threads

_CONVOLUTIONS = {1: nn.functional.conv1d, 2: nn.functional.conv2d}
_KERNEL_GRADIENTS: dict[int, Callable[..., Tensor]] = {1: conv1d_weight, 2: conv2d_weight}


def convolve(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """h(a) = sum_beta W(beta) x(a + beta) + b for every member, with positions modulo their number.

    Args:
        x: (members, batch, in, *positions), at least k positions in each dimension.
        kernel: (members, out, in, 2 k + 1[, 2 k + 1]); beta runs from -k to k.
        bias: (members, out), or none.

    Returns:
        (members, batch, out, *positions).
    """
    convolution = _CONVOLUTIONS[kernel.ndim - 3]
    biases = [None] * len(kernel) if bias is None else _apart(bias)
    with num_threads(1):
        return torch.stack(
            [
                convolution(_around(x_, kernel_), kernel_, bias_)
                for x_, kernel_, bias_ in zip(x, _apart(kernel), biases, strict=True)
            ]
        )


def pull_back(error: Tensor, kernel: Tensor) -> Tensor:
    """The gradient by ``x`` of what has gradient ``error`` by ``convolve(x, kernel)``.

    The transpose of a circular convolution is the one with the mirrored kernel, in and out swapped.
    """
    return convolve(error, kernel.transpose(1, 2).flip(tuple(range(3, kernel.ndim))))


def kernel_gradient(x: Tensor, error: Tensor, kernel: Tensor) -> Tensor:
    """The gradient by ``kernel`` of what has gradient ``error`` by ``convolve(x, kernel)``."""
    gradient = _KERNEL_GRADIENTS[kernel.ndim - 3]
    with num_threads(1):
        return torch.stack(
            [
                gradient(_around(x_, kernel_), kernel_.shape, error_)
                for x_, kernel_, error_ in zip(x, kernel, _apart(error), strict=True)
            ]
        )


def bias_gradient(error: Tensor) -> Tensor:
    """The gradient by ``bias`` of what has gradient ``error`` by the convolution's result."""
    with num_threads(1):
        return torch.stack([error_.flatten(2).sum((0, 2)) for error_ in _apart(error)])


def norms(gradient: Tensor) -> Tensor:
    """Frobenius norm of every member's part, (members,)."""
    with num_threads(1):
        return torch.stack([torch.linalg.vector_norm(own) for own in _apart(gradient)])


def _around(x: Tensor, kernel: Tensor) -> Tensor:
    """``x`` (batch, in, *positions) of one member, continued by k positions on every side."""
    dimensions, half_width = kernel.ndim - 2, kernel.shape[-1] // 2
    return nn.functional.pad(x, (half_width,) * 2 * dimensions, "circular")


def _apart(stack: Tensor) -> list[Tensor]:
    """The members' parts, each in memory of its own."""
    return [part.clone(memory_format=torch.contiguous_format) for part in stack]
