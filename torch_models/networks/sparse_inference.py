"""Inference that reads only the weights of active units, to use the zeros of phi(h).

In a layer h = W x + b (Eq. 1), a unit with x_j = 0 adds nothing. With a share s of zeros, one
input needs a share 1 - s of W's columns, and at small batches the time of a layer is that of
reading W. ``docs/does-sparsity-pay.md`` measures at which sizes this is faster, and by how much.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from torch_models.networks.activations import SparseActivation

Module = TypeVar("Module", bound=nn.Module)

ZEROS_STAY = (nn.Dropout, nn.Flatten, nn.Identity)
"""Modules that keep every zero; Dropout is the identity at inference."""


class SparseInputLinear(nn.Module):
    """A Linear layer for inference on inputs with many exact zeros: it reads active columns only.

    The outputs equal those of ``linear`` up to the order of summation, whatever share of the inputs
    is zero; NaN and infinite inputs count as active and propagate as they do there. W is stored
    with one contiguous row for each *input* unit, and one call of ``embedding_bag`` sums the active
    rows, each times its x_j. The layer does not fall back on the dense product when many units are
    active: from which batch size on that is faster depends on the share, the width and the machine.
    Keep ``linear`` for large batches.

    Why ``embedding_bag``: at batch 1 and s = 0.85 the other operations that torch and SciPy have
    for this sum (a product with the gathered columns, CSR matrices) took 1.15 to 3.9 times as long
    from width 1024 up. At width 300 gathering took 0.91 of its time.
    ``python tools/measure.py sparse-inference`` measures it.

    Args:
        linear: the trained layer. Its weights are copied; the copies are not trainable.

    Attributes:
        columns: buffer (in_features, out_features), W transposed: row j is column j of W.
        bias: buffer (out_features,), or None.

    Raises:
        ValueError: if a weight is NaN or infinite: times x_j = 0 it gives NaN in the dense
            product, and is skipped here.
    """

    columns: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        if not weight.isfinite().all():
            raise ValueError(
                f"linear must have finite weights, got {int((~weight.isfinite()).sum())} that are "
                "NaN or infinite"
            )
        self.in_features, self.out_features = linear.in_features, linear.out_features
        columns = weight.t().clone(memory_format=torch.contiguous_format)
        self.register_buffer("columns", columns)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + b, (..., out_features), for x (..., in_features).

        On a CUDA device this synchronizes, because sizes depend on the number of active units.

        Raises:
            ValueError: if ``x`` has another number of features or dtype than the layer.
            RuntimeError: if ``x`` requires a gradient: that of an inactive unit would need its
                column.
        """
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(f"x must have shape (..., {self.in_features}), got {tuple(x.shape)}")
        if x.dtype != self.columns.dtype:
            raise ValueError(f"x must be of the layer's dtype {self.columns.dtype}, got {x.dtype}")
        if x.requires_grad and torch.is_grad_enabled():
            raise RuntimeError(
                "SparseInputLinear is for inference: call it under torch.inference_mode() or "
                "torch.no_grad(), or train the Linear layer that it was made from"
            )
        inputs = x.reshape(-1)
        active = inputs.nonzero().view(-1)
        units, starts = self._bags(active, inputs.numel() // self.in_features)
        h = F.embedding_bag(
            units, self.columns, starts, mode="sum", per_sample_weights=inputs.take(active)
        )
        if self.bias is not None:
            h += self.bias
        return h.view(*x.shape[:-1], self.out_features)

    def _bags(self, active: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """Indices and offsets for ``embedding_bag``: active units, and where each sample's begin.

        ``active`` are indices into the flattened inputs. A single sample, the case that gains most,
        skips three small operations that take a third of the time of a layer 300 wide.
        """
        if samples == 1:
            return active, active.new_zeros(1)
        firsts = torch.arange(samples, device=active.device) * self.in_features
        return active % self.in_features, torch.searchsorted(active, firsts)

    def extra_repr(self) -> str:
        """Sizes, as a Linear layer shows them."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


def with_sparse_inputs(
    module: Module, activations: tuple[type[nn.Module], ...] = (SparseActivation,)
) -> Module:
    """A copy of a trained ``module``, for inference, whose layers use the zeros of activations.

    In every Sequential of the module, nested ones included, a Linear layer that follows one of
    ``activations`` becomes a `SparseInputLinear`; Dropout, Flatten and Identity may stand between.
    All other layers are copied as they are: the first, whose inputs are dense, layers that a custom
    ``forward`` calls (replace those yourself), subclasses of Linear, and layers with hooks, which
    may compute something else. The copy is in evaluation mode.

    Args:
        module: any module; it is not changed.
        activations: types of modules whose outputs have many zeros, ``nn.ReLU`` for example. They
            decide which layers become sparse, never what is computed.

    Raises:
        ValueError: if nothing follows such an activation, or a layer's weights are not finite.
    """
    converted = copy.deepcopy(module).eval()
    sequences = [part for part in converted.modules() if isinstance(part, nn.Sequential)]
    places = [place for sequence in sequences for place in _on_zeros(sequence, activations)]
    if not places:
        kinds = ", ".join(kind.__name__ for kind in activations)
        raise ValueError(
            f"module must have a Sequential in which a Linear layer follows one of ({kinds}), "
            f"got {type(module).__name__} without one"
        )
    for sequence, index in dict.fromkeys(places):
        layer = sequence[index]
        assert isinstance(layer, nn.Linear)
        sequence[index] = SparseInputLinear(layer)
    return converted


def _on_zeros(
    sequence: nn.Sequential, activations: tuple[type[nn.Module], ...]
) -> Iterator[tuple[nn.Sequential, int]]:
    """Yield the Sequential and index of each plain Linear layer that follows an activation."""
    zeros = False
    for parent, index in _flattened(sequence):
        layer = parent[index]
        if zeros and _is_plain_linear(layer):
            yield parent, index
        zeros = isinstance(layer, activations) or (zeros and isinstance(layer, ZEROS_STAY))


def _flattened(sequence: nn.Sequential) -> Iterator[tuple[nn.Sequential, int]]:
    """Yield the Sequential and index of each layer in the order of the forward pass."""
    for index, layer in enumerate(sequence):
        if isinstance(layer, nn.Sequential):
            yield from _flattened(layer)
        else:
            yield sequence, index


def _is_plain_linear(layer: nn.Module) -> bool:
    """Whether this is nn.Linear itself, without hooks."""
    return type(layer) is nn.Linear and not (layer._forward_hooks or layer._forward_pre_hooks)
