"""Edge-of-chaos initialization, in place, of any module of linear and convolutional layers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

if TYPE_CHECKING:
    from sparsity_theory import MeanField

Module = TypeVar("Module", bound=nn.Module)

INITIALIZED_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


class GaussianLaw(NamedTuple):
    """Independent centred Gaussian weights and biases of one layer, by their variances."""

    weight_variance: float
    bias_variance: float


def layer_laws(net: MeanField, fan_ins: Iterable[int]) -> Iterator[GaussianLaw]:
    """Yield the law of each layer, from its fan-in: the number of inputs that each unit sums.

    The first layer keeps its input's variance: weights N(0, 1/fan_in), no bias (App. D). All others
    have weights N(0, sigma_w^2/fan_in) and biases N(0, sigma_b^2) (Sec. 1.1).

    Raises:
        ValueError: if ``net`` holds arrays, that is, more than one initialization.
    """
    if np.ndim(net.sigma_w2) or np.ndim(net.sigma_b2):
        raise ValueError(
            f"net must be a single initialization, got sigma_w2 of shape {np.shape(net.sigma_w2)}"
        )
    sigma_w2, sigma_b2 = float(net.sigma_w2), float(net.sigma_b2)
    for layer, fan_in in enumerate(fan_ins):
        if layer == 0:
            yield GaussianLaw(1 / fan_in, 0.0)
        else:
            yield GaussianLaw(sigma_w2 / fan_in, sigma_b2)


@torch.no_grad()
def draw_(tensor: Tensor, variance: float, generator: torch.Generator | None) -> None:
    """Fill ``tensor`` with N(0, variance), in place.

    The numbers depend on the generator, the shape and the dtype, and not on the tensor's strides;
    they are drawn on the generator's device, so a CPU generator gives the same weights on every
    device. Nothing is drawn for variance 0 or on the device "meta".
    """
    if tensor.is_meta:
        return
    if variance == 0:
        tensor.zero_()
        return
    device = tensor.device if generator is None else generator.device
    drawn = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
    tensor.copy_(drawn.normal_(0.0, math.sqrt(variance), generator=generator))


@torch.no_grad()
def draw_orthogonal_(tensor: Tensor, variance: float, generator: torch.Generator | None) -> None:
    """Fill a matrix with a random orthogonal one times a factor, in place.

    The factor gives every entry the ``variance``. Uniform over orthogonal matrices (Haar): the Q of
    a Gaussian matrix's QR decomposition with the signs of R's diagonal. The shorter side of a
    rectangular matrix is orthogonal. A tensor that is not a matrix, such as a bias, is drawn by
    `draw_`, which takes the same arguments.
    """
    if tensor.is_meta or tensor.ndim != 2 or variance == 0:
        draw_(tensor, variance, generator)
        return
    rows, columns = tensor.shape
    gaussian = torch.empty(max(rows, columns), min(rows, columns), dtype=torch.float64)
    draw_(gaussian, 1.0, generator)
    q, r = torch.linalg.qr(gaussian)
    q = q * r.diagonal().sign()
    tensor.copy_((q if rows >= columns else q.T) * math.sqrt(variance * max(rows, columns)))


def edge_of_chaos_(
    module: Module, net: MeanField, generator: torch.Generator | None = None
) -> Module:
    """Initialize every Linear, Conv1d and Conv2d layer of ``module`` in place, and return it.

    Layers are taken in the order in which they were registered. The first keeps its input's
    variance: weights N(0, 1/fan_in), bias 0 (App. D); every other has weights
    N(0, sigma_w^2/fan_in) and bias N(0, sigma_b^2), fan_in being the inputs that one output sums
    (for a convolution, channels per group times kernel size: Eq. 4).

    Args:
        module: any module; layers of other kinds are left as they are.
        net: the initialization, for example ``sparsity_theory.mean_field.edge_of_chaos(phi)``.
        generator: where the numbers come from; torch's global generator by default.

    Raises:
        ValueError: if ``module`` has no such layer, or a lazy one whose size is not known yet, or
            if ``net`` is not a single initialization. ``module`` is unchanged then.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, INITIALIZED_LAYERS)]
    if not layers:
        kinds = ", ".join(kind.__name__ for kind in INITIALIZED_LAYERS)
        raise ValueError(f"module must contain a layer ({kinds}), got {type(module).__name__}")
    if any(is_lazy(layer.weight) for layer in layers):
        raise ValueError("module has lazy layers of unknown size: pass one batch through it first")
    laws = list(layer_laws(net, (layer.weight[0].numel() for layer in layers)))
    for layer, law in zip(layers, laws, strict=True):
        draw_(layer.weight, law.weight_variance, generator)
        if layer.bias is not None:
            draw_(layer.bias, law.bias_variance, generator)
    return module
