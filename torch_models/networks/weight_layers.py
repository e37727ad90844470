"""What a user's module consists of: its weight layers, and all that keeps them from being drawn."""

from __future__ import annotations

import copy
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from torch_models.networks.activations import SparseActivation

if TYPE_CHECKING:
    from collections.abc import Callable

    from sparsity_theory.activations.expectations import GaussianExpectations

Layer: TypeAlias = (
    nn.Linear
    | nn.Conv1d
    | nn.Conv2d
    | nn.Conv3d
    | nn.ConvTranspose1d
    | nn.ConvTranspose2d
    | nn.ConvTranspose3d
)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHT_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
NORMALIZATIONS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)
REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class WeightLayer:
    """A layer whose every output is a sum of ``fan_in`` weighted inputs, and a bias.

    Attributes:
        path: dotted path in the user's module, empty for the module itself.
        layer: the layer.
        fan_in: number of inputs that one output sums.
    """

    path: str
    layer: Layer
    fan_in: int

    def __str__(self) -> str:
        return named(self.path, self.layer)


def named(path: str, layer: nn.Module) -> str:
    """A submodule as errors name it: ``block.0 (Linear)``."""
    return f"{path or 'module'} ({kind_of(layer)})"


def kind_of(layer: nn.Module) -> str:
    """The name of its class, without what torch makes of it for a parametrized layer."""
    name = type(layer).__name__
    return name.removeprefix("Parametrized") if is_parametrized(layer) else name


def weight_layers(module: nn.Module) -> list[WeightLayer]:
    """The weight layers of ``module``, in the order in which they were registered.

    Raises:
        ValueError: if a weight layer cannot be drawn, a submodule that is no weight layer has
            parameters (other than a normalization's), or there is no weight layer.
    """
    layers = []
    for path, part in _parts(module):
        if isinstance(part, WEIGHT_LAYERS) and not _is_quantized(part):
            layers.append(weight_layer(path, part))
        elif not isinstance(part, NORMALIZATIONS):
            _require_no_parameters(path, part)
    if not layers:
        kinds = ", ".join(kind.__name__ for kind in WEIGHT_LAYERS)
        raise ValueError(f"module must contain a layer ({kinds}), got {type(module).__name__}")
    require_no_shared_parameters(module, layers)
    return layers


def weight_layer(path: str, layer: Layer) -> WeightLayer:
    """A layer at its path, with its fan-in.

    Raises:
        ValueError: if it cannot be drawn: if it is lazy, on the device "meta", without entries or
            not real, if its weight is no parameter, or if outputs differ in their fan-in.
    """
    _require_drawable(path, layer)
    return WeightLayer(path, layer, _fan_in(path, layer))


def require_no_shared_parameters(module: nn.Module, layers: list[WeightLayer]) -> None:
    """Refuse a parameter of a weight layer that has a second name, or shares memory with another.

    Raises:
        ValueError: naming both.
    """
    drawn = {id(parameter) for each in layers for parameter in each.layer.parameters()}
    names = defaultdict(list)
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if not is_lazy(parameter) and not parameter.is_meta and parameter.numel() > 0:
            names[parameter.device, parameter.data_ptr()].append((name, id(parameter) in drawn))
    for group in names.values():
        if len(group) > 1 and any(is_drawn for _, is_drawn in group):
            raise ValueError(
                f"{' and '.join(name for name, _ in group)} are one tensor: tied weights are not "
                "independent, and cannot have two laws. Untie them"
            )


def normalizations(module: nn.Module) -> list[str]:
    """The dotted paths of the normalization layers."""
    return [path for path, part in _parts(module) if isinstance(part, NORMALIZATIONS)]


def require_activation(module: nn.Module, phi: GaussianExpectations, q_star: float) -> None:
    """Refuse elementwise activations that are not ``phi``, to the rounding of single precision.

    Examined are our modules and those of ``torch.nn``, by their values; functions called in a
    module's ``forward`` are not seen.

    Raises:
        ValueError: naming the first module that differs, and where.
    """
    for path, part in _parts(module):
        if _is_activation(part):
            _require_on_device(path, part)
            require_values(named(path, part), copy.deepcopy(part).cpu().eval(), phi, q_star)


def require_values(
    name: str, function: Callable[[Tensor], Tensor], phi: GaussianExpectations, q_star: float
) -> None:
    """Refuse an elementwise function that is not ``phi``, to the rounding of single precision.

    What is not elementwise, or takes other shapes, is no activation and passes.

    Raises:
        ValueError: with ``name``, and where it differs.
    """
    kinks = np.abs(getattr(phi, "kinks", ()))
    if kinks.ndim > 1:
        raise ValueError(f"net must be a single initialization, got {phi!r}")
    span = 2 * max([4 * math.sqrt(q_star), *kinks])
    points = np.linspace(-span, span, 401)
    values = _elementwise_values(function, torch.from_numpy(points))
    if values is None:
        return
    expected = torch.from_numpy(np.asarray(phi(points), dtype=np.float64))
    off = ((values - expected).abs() > 2.0**-22 * span).reshape(-1, len(points)).any(0)
    if off.any():
        at = int(off.nonzero()[0])
        raise ValueError(
            f"{name} is not the activation of net, {phi!r}: at {points[at]:.6g} it is "
            f"{values.reshape(-1, len(points))[0, at]:.6g}, not {expected[at]:.6g}. Use "
            "SparseActivation.from_theory(net.activation); if it belongs to the output, initialize "
            "the layers before it"
        )


def _parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every submodule with its path, those registered twice included; no parametrizations."""
    inside: tuple[str, ...] = ()
    for path, part in module.named_modules(remove_duplicate=False):
        if path.startswith(inside):
            continue
        if isinstance(part, ParametrizationList):
            inside += (f"{path}.",)
            continue
        yield path, part


def _is_quantized(part: nn.Module) -> bool:
    return any(
        kind.__module__.startswith(("torch.ao.nn.", "torch.nn.quantized", "torch.nn.qat"))
        for kind in type(part).__mro__
    )


def _require_no_parameters(path: str, part: nn.Module) -> None:
    own = [name for name, parameter in part._parameters.items() if parameter is not None]
    if own or _is_quantized(part):
        what = f"parameters ({', '.join(own)})" if own else "quantized weights"
        raise ValueError(
            f"{named(path, part)} has {what} that are no layer of the mean field: initialize it "
            "yourself, and pass the other layers alone, for example in a ModuleList"
        )


def _require_drawable(path: str, layer: Layer) -> None:
    name = named(path, layer)
    if any(is_lazy(parameter) for parameter in layer.parameters()):
        raise ValueError(f"{name} is lazy, of unknown size: pass one batch through module first")
    for which in ("weight", "bias"):
        if not is_parametrized(layer, which) and which not in layer._parameters:
            raise ValueError(
                f"{name} computes its {which}, which is no parameter (the older weight_norm, "
                "spectral_norm or pruning): remove that, or use torch.nn.utils.parametrizations"
            )
        tensor = getattr(layer, which)
        if tensor is None:
            continue
        if tensor.is_meta:
            raise ValueError(f"{name} is on the device meta: call to_empty(device=...) first")
        if tensor.dtype not in REAL:
            raise ValueError(f"{name} must have a real floating dtype, got {tensor.dtype}")
        if tensor.numel() == 0:
            raise ValueError(f"{name} has a {which} without entries, {tuple(tensor.shape)}")


def _fan_in(path: str, layer: Layer) -> int:
    if isinstance(layer, TRANSPOSED):
        terms = math.prod(
            _terms_of_one_output(path, layer, axis) for axis in range(len(layer.kernel_size))
        )
        return layer.in_channels // layer.groups * terms
    return layer.weight[0].numel()


def _terms_of_one_output(path: str, layer: nn.modules.conv._ConvTransposeNd, axis: int) -> int:
    """How many kernel entries meet in one output along an axis: kernel / stride.

    Entry k of an input i goes to the output stride * i + dilation * k.
    """
    kernel, stride, dilation = (
        sizes[axis] for sizes in (layer.kernel_size, layer.stride, layer.dilation)
    )
    terms = Counter(dilation * k % stride for k in range(kernel))
    if len(terms) < stride or len(set(terms.values())) > 1:
        raise ValueError(
            f"{named(path, layer)} sums a different number of inputs in different outputs: its "
            f"stride must divide its kernel_size and have no factor in common with its dilation, "
            f"got kernel_size {layer.kernel_size}, stride {layer.stride}, "
            f"dilation {layer.dilation}"
        )
    return kernel // stride


def _is_activation(part: nn.Module) -> bool:
    """Whether it is ours or one of ``torch.nn.modules.activation``."""
    kinds = type(part).__mro__
    return isinstance(part, SparseActivation) or any(
        kind.__module__ == nn.ReLU.__module__ for kind in kinds
    )


def _require_on_device(path: str, part: nn.Module) -> None:
    if any(buffer.is_meta for buffer in part.buffers()):
        raise ValueError(f"{named(path, part)} is on the device meta: load its state first")


def _elementwise_values(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor | None:
    """The values at ``x``, or None if the function is not elementwise."""
    with torch.no_grad():
        try:
            values, alone = function(x.clone()), function(x[:1].clone())
        except (RuntimeError, TypeError, IndexError, ValueError):  # takes other shapes
            return None
    if values.shape[-1:] != x.shape or not torch.allclose(alone, values[..., :1], rtol=1e-9):
        return None
    return torch.as_tensor(values)
