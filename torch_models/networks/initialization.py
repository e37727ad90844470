"""Edge-of-chaos initialization, in place, of any module of linear and convolutional layers."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from sparsity_theory.mean_field.maps import check_net
from torch_models.networks.weight_layers import (
    Layer,
    WeightLayer,
    kind_of,
    normalizations,
    require_activation,
    weight_layers,
)

if TYPE_CHECKING:
    from sparsity_theory import MeanField


class GaussianLaw(NamedTuple):
    """Independent centred Gaussian weights and biases of one layer, by their variances."""

    weight_variance: float
    bias_variance: float


def layer_laws(net: MeanField, fan_ins: Iterable[int]) -> Iterator[GaussianLaw]:
    """Yield the law of each layer, from its fan-in: the number of inputs that each unit sums.

    The first layer keeps its input's variance: weights N(0, 1/fan_in), no bias (App. D). All others
    have weights N(0, sigma_w^2/fan_in) and biases N(0, sigma_b^2) (Sec. 1.1).

    Raises:
        ValueError: if ``net`` is no mean field, or holds arrays: more than one initialization.
    """
    check_net(net)
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


def draw_(tensor: Tensor, variance: float, generator: torch.Generator | None) -> None:
    """Fill ``tensor`` with N(0, variance), in place.

    The numbers depend on the generator, the shape and the dtype, and not on the tensor's strides;
    they are drawn on the generator's device, so a CPU generator gives the same weights on every
    device. Nothing is drawn for variance 0 or on the device "meta".
    """
    if tensor.is_meta:
        return
    tensor = tensor.detach()
    if variance == 0:
        tensor.zero_()
        return
    device = tensor.device if generator is None else generator.device
    spread = math.sqrt(variance)
    if tensor.is_contiguous() and tensor.device == device:
        tensor.normal_(0.0, spread, generator=generator)
        return
    drawn = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
    tensor.copy_(drawn.normal_(0.0, spread, generator=generator))


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


@dataclass(frozen=True)
class InitializedLayer:
    """What one layer was given.

    Attributes:
        path: dotted path of the layer in the module, empty for the module itself.
        kind: name of its class.
        fan_in: number of inputs that one output sums.
        weight_variance: of every weight.
        bias_variance: of every bias; None for a layer without biases.
    """

    path: str
    kind: str
    fan_in: int
    weight_variance: float
    bias_variance: float | None


@dataclass(frozen=True, repr=False)
class Initialization:
    """What `edge_of_chaos_` did: ``print`` it for a table.

    Attributes:
        layers: what was initialized, in the order in which it was drawn.
        left: dotted paths of the normalization layers, which were left as they were.
    """

    layers: tuple[InitializedLayer, ...]
    left: tuple[str, ...]

    def __repr__(self) -> str:
        rows = [("layer", "kind", "fan-in", "weight variance", "bias variance")]
        for each in self.layers:
            bias = "no bias" if each.bias_variance is None else f"{each.bias_variance:.6g}"
            row = each.path or "module", each.kind, str(each.fan_in)
            rows.append((*row, f"{each.weight_variance:.6g}", bias))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *(f"{path}: left as it was" for path in self.left)])


def edge_of_chaos_(
    module: nn.Module,
    net: MeanField,
    generator: torch.Generator | None = None,
    *,
    first: nn.Module | str | None = None,
    bias: Literal["required", "ignored"] = "required",
) -> Initialization:
    """Initialize every linear and (transposed) convolutional layer of ``module``, in place.

    The first layer keeps its input's variance: weights N(0, 1/fan_in), bias 0 (App. D); every other
    has weights N(0, sigma_w^2/fan_in) and bias N(0, sigma_b^2). fan_in is the number of inputs that
    one output sums: for a convolution, channels per group times kernel size (Eq. 4), divided by the
    stride for a transposed one. Layers are drawn in the order in which they were registered.

    The network is at the edge of chaos for inputs whose mean square per feature is the fixed point
    q* of the variance map, ``net.q_star``: scale the data to it.

    The whole module is examined before anything is changed. Normalization layers (BatchNorm,
    LayerNorm, GroupNorm, InstanceNorm, RMSNorm) are allowed and left as they are: they are no part
    of the mean field. Neither are dropout, pooling, skip connections, zero padding, and functions
    called in ``forward``; these are not examined.

    Args:
        module: any module whose parameters all belong to Linear, Conv, ConvTranspose and
            normalization layers. A parametrized weight is set through its parametrization where
            that gives the weights drawn, as ``parametrizations.weight_norm`` does.
        net: the initialization, for example ``sparsity_theory.edge_of_chaos(phi)``.
        generator: where the numbers come from; torch's global generator by default.
        first: the layer that sees the input, or its dotted path; by default the one that was
            registered first.
        bias: "ignored" lets layers after the first have no bias although sigma_b^2 > 0. Their
            variance is then below q*: the network is off the edge of chaos.

    Returns:
        What was initialized, with which variances.

    Raises:
        ValueError: naming the submodule and what to do, if a layer has no bias and ``bias`` is
            "required"; if anything else has parameters (embeddings, attention, recurrent and
            quantized layers); for tied or lazy weights, weights without entries, on the device
            "meta" or not real, and a parametrization that cannot represent what is drawn; for a
            transposed convolution whose outputs sum different numbers of inputs; for an activation
            module that is not ``net.activation``; if ``first`` is no layer of ``module``, or
            ``net`` not a single initialization; for an argument of the wrong type. ``module`` is
            unchanged then.
    """
    check_arguments(module, generator)
    if bias not in ("required", "ignored"):
        raise ValueError(f'bias must be "required" or "ignored", got {bias!r}')
    layers = weight_layers(module)
    laws = _laws(net, layers, _index_of_first(module, first, layers))
    q_star = 1.0 if net.q_star is None else float(net.q_star)
    require_activation(module, net.activation, q_star)
    for each, law in zip(layers, laws, strict=True):
        if each.layer.bias is None and law.bias_variance > 0 and bias == "required":
            raise ValueError(
                f"{each} has no bias, but sigma_b^2 = {law.bias_variance:.6g}: give it one "
                '(bias=True), or pass bias="ignored" and leave the edge of chaos'
            )
    return draw_layers_(module, layers, laws, generator)


def check_arguments(module: nn.Module, generator: torch.Generator | None) -> None:
    """Check what is initialized, and where the numbers come from.

    Raises:
        ValueError: for an argument of another type.
    """
    if not isinstance(module, nn.Module):
        raise ValueError(f"module must be a torch.nn.Module, got {module!r}")
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator, got {generator!r}")


def draw_layers_(
    module: nn.Module,
    layers: Sequence[WeightLayer],
    laws: Sequence[GaussianLaw],
    generator: torch.Generator | None,
) -> Initialization:
    """Draw these layers of a module, each from its law, in their order.

    Raises:
        ValueError: for a parametrization that cannot represent what is drawn; nothing is drawn
            then.
    """
    for each, law in zip(layers, laws, strict=True):
        _require_settable(each, law)
    for each, law in zip(layers, laws, strict=True):
        _draw_layer_(each.layer, law, generator)
    initialized = (
        InitializedLayer(
            each.path,
            kind_of(each.layer),
            each.fan_in,
            law.weight_variance,
            None if each.layer.bias is None else law.bias_variance,
        )
        for each, law in zip(layers, laws, strict=True)
    )
    return Initialization(tuple(initialized), tuple(normalizations(module)))


def _index_of_first(
    module: nn.Module, first: nn.Module | str | None, layers: list[WeightLayer]
) -> int:
    if first is None:
        return 0
    for index, each in enumerate(layers):
        if each.path == first or each.layer is first:
            return index
    shown = repr(first) if isinstance(first, str) else type(first).__name__
    paths = ", ".join(repr(each.path) for each in layers)
    raise ValueError(
        f"first must be a layer of {type(module).__name__} or its path, one of {paths}; got {shown}"
    )


def _laws(net: MeanField, layers: list[WeightLayer], first: int) -> list[GaussianLaw]:
    """The law of each layer, in their order."""
    order = [first, *(index for index in range(len(layers)) if index != first)]
    laws = layer_laws(net, (layers[index].fan_in for index in order))
    found = dict(zip(order, laws, strict=True))
    return [found[index] for index in range(len(layers))]


@torch.no_grad()
def _draw_layer_(layer: Layer, law: GaussianLaw, generator: torch.Generator | None) -> None:
    """Draw the weight, then the bias, through their parametrizations where they have any."""
    for name, variance in (("weight", law.weight_variance), ("bias", law.bias_variance)):
        tensor = getattr(layer, name)
        if tensor is None:
            continue
        if is_parametrized(layer, name):
            drawn = torch.empty_like(tensor)
            draw_(drawn, variance, generator)
            setattr(layer, name, drawn)
        else:
            draw_(tensor, variance, generator)


@torch.no_grad()
def _require_settable(each: WeightLayer, law: GaussianLaw) -> None:
    """Try the parametrizations of a layer on a copy of it."""
    variances = {"weight": law.weight_variance, "bias": law.bias_variance}
    for name, variance in variances.items():
        if not is_parametrized(each.layer, name):
            continue
        trial = copy.deepcopy(each.layer)
        drawn = torch.empty_like(getattr(trial, name))
        draw_(drawn, variance, torch.Generator(drawn.device).manual_seed(0))
        try:
            setattr(trial, name, drawn)
            got = getattr(trial, name)
        except (RuntimeError, ValueError, NotImplementedError, TypeError):
            got = None
        rounding = 64 * torch.finfo(drawn.dtype).eps
        if got is None or not torch.allclose(got, drawn, rtol=rounding, atol=0):
            raise ValueError(
                f"{each} has a parametrization of its {name} that cannot represent independent "
                "Gaussian entries: initialize before it is registered, or remove it"
            )
