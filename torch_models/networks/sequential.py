"""A single network as PyTorch's own layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}
POOLINGS = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}


def as_sequential(
    weights: Sequence[Tensor], biases: Sequence[Tensor], phi: nn.Module
) -> nn.Sequential:
    """Layers with these parameters, which are not copied, and ``phi`` between them.

    Args:
        weights: of the hidden layers and, last, of the readout: (out, in), or kernels
            (out, in, 2 k + 1[, 2 k + 1]) of circular convolutions in one or two dimensions; their
            readout (out, in) takes the average of the last layer over positions.
        biases: (out,) of each.
        phi: the activation, one module in all places.
    """
    layers: list[nn.Module] = []
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        layers += [_layer(weight, bias), phi]
    if (dimensions := weights[0].ndim - 2) > 0:
        layers += [POOLINGS[dimensions](1), nn.Flatten()]
    return nn.Sequential(*layers, _layer(weights[-1], biases[-1]))


def _layer(weight: Tensor, bias: Tensor) -> nn.Module:
    outs, ins, *sizes = weight.shape
    layer: nn.Module
    if sizes:
        layer = CONVOLUTIONS[len(sizes)](
            ins, outs, sizes[0], padding=sizes[0] // 2, padding_mode="circular", device="meta"
        )
    else:
        layer = nn.Linear(ins, outs, device="meta")  # which draws no random numbers
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer
