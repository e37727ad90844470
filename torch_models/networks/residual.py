"""Residual networks, plain and pre-norm, as ensembles of one initialization: to be measured.

A member has ``depth`` layers h^1, ..., h^L, with a block between each and the next. h^1 = W x keeps
its input's variance, and the readout takes x^L. Weights are drawn from every member's seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparsity_theory import PreNorm, Residual
from torch_models.networks.activations import SparseActivation
from torch_models.networks.initialization import draw_

if TYPE_CHECKING:
    from sparsity_theory.mean_field.stream import Stream


class StreamEnsemble(nn.Module):
    """What both kinds share; dimension 0 of every parameter is the member.

    Args:
        net: the initialization of every member, of one of the four activations.
        in_features, width, depth, out_features: shape of every member, each at least 1.
        seeds: one per member.
        dtype: of the parameters.

    Attributes:
        first: weights (members, width, in_features).
        last: weights of the readout, (members, out_features, units of x^L), drawn last.

    Raises:
        ValueError: if there is no seed, a size is below 1, or a parameter of net is an array.
    """

    last: nn.Parameter

    def __init__(
        self,
        net: Stream,
        in_features: int,
        width: int,
        depth: int,
        out_features: int,
        seeds: Sequence[int],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if not seeds:
            raise ValueError("seeds must hold at least one member, got none")
        sizes = {"in_features": in_features, "width": width, "depth": depth}
        for name, size in {**sizes, "out_features": out_features}.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if np.ndim(net.variance_map(1.0)):
            raise ValueError(f"net must be a single initialization, got {net!r}")
        self.width, self.depth, self.dtype = width, depth, dtype
        self.members = len(seeds)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.activation = SparseActivation.from_theory(net.activation).to(dtype=dtype)
        self.first = self._drawn(width, in_features, 1 / in_features)

    def _drawn(self, outs: int, ins: int, variance: float) -> nn.Parameter:
        """A parameter (members, outs, ins) of N(0, variance), drawn member by member."""
        drawn = torch.empty(self.members, outs, ins, dtype=self.dtype)
        for member, generator in zip(drawn, self._generators, strict=True):
            draw_(member, variance, generator)
        return nn.Parameter(drawn)

    def as_tensor(self, x: Tensor | NDArray[Any]) -> Tensor:
        """``x`` in the dtype and on the device of the parameters."""
        return torch.as_tensor(x, dtype=self.first.dtype, device=self.first.device)

    def propagate(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (h^l, x^l), stream and activations, for l = 1..depth; x ([members,] batch, in)."""
        raise NotImplementedError

    def readout(self, x: Tensor) -> Tensor:
        """Logits (members, batch, out_features) of the last activations."""
        return x @ self.last.mT

    def forward(self, x: Tensor) -> Tensor:
        """Logits (members, batch, out_features); takes ``x`` as ``propagate`` does."""
        for _, activations in self.propagate(x):
            last = activations
        return self.readout(last)


class ResidualEnsemble(StreamEnsemble):
    """h^{l+1} = skip h^l + alpha (W phi(h^l) + b), x^l = phi(h^l); arguments as of the base.

    Attributes:
        weights: depth - 1 parameters (members, width, width).
        biases: depth - 1 parameters (members, 1, width).
    """

    def __init__(
        self,
        net: Residual,
        in_features: int,
        width: int,
        depth: int,
        out_features: int,
        seeds: Sequence[int],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(net, in_features, width, depth, out_features, seeds, dtype)
        self.alpha, self.skip = float(net.alpha), float(net.skip)
        weight, bias = float(net.net.sigma_w2) / width, float(net.net.sigma_b2)
        blocks = range(depth - 1)
        self.weights = nn.ParameterList(self._drawn(width, width, weight) for _ in blocks)
        self.biases = nn.ParameterList(self._drawn(1, width, bias) for _ in blocks)
        self.last = self._drawn(out_features, width, 1 / width)

    def propagate(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (h^l, x^l), stream and activations, for l = 1..depth; x ([members,] batch, in)."""
        h = x @ self.first.mT
        yield h, (x := self.activation(h))
        for weight, bias in zip(self.weights, self.biases, strict=True):
            h = self.skip * h + self.alpha * torch.baddbmm(bias, x, weight.mT)
            yield h, (x := self.activation(h))


class PreNormEnsemble(StreamEnsemble):
    """h^{l+1} = h^l + alpha W2 x^l, x^l = phi(W1 norm(h^l)); arguments as of the base.

    The readout takes x^L, so that the last W1 belongs to the head.

    Args:
        hidden: units of x^l; ``width`` where not given.

    Attributes:
        inner: W1, depth parameters (members, hidden, width).
        outer: W2, depth - 1 parameters (members, width, hidden).
    """

    def __init__(
        self,
        net: PreNorm,
        in_features: int,
        width: int,
        depth: int,
        out_features: int,
        seeds: Sequence[int],
        dtype: torch.dtype = torch.float32,
        hidden: int | None = None,
    ) -> None:
        super().__init__(net, in_features, width, depth, out_features, seeds, dtype)
        self.alpha, units = float(net.alpha), width if hidden is None else hidden
        normalization = {"rms": nn.RMSNorm, "layer": nn.LayerNorm}[net.norm]
        self.norm = normalization(width, eps=torch.finfo(dtype).tiny, elementwise_affine=False)
        inner, outer = float(net.sigma_w2) / width, float(net.sigma_v2) / units
        self.inner = nn.ParameterList(self._drawn(units, width, inner) for _ in range(depth))
        self.outer = nn.ParameterList(self._drawn(width, units, outer) for _ in range(depth - 1))
        self.last = self._drawn(out_features, units, 1 / units)

    def propagate(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (h^l, x^l), stream and activations, for l = 1..depth; x ([members,] batch, in)."""
        h = x @ self.first.mT
        yield h, (x := self._activated(0, h))
        for layer, outer in enumerate(self.outer, start=1):
            h = h + self.alpha * (x @ outer.mT)
            yield h, (x := self._activated(layer, h))

    def _activated(self, layer: int, h: Tensor) -> Tensor:
        """phi(W1 norm(h))."""
        activated: Tensor = self.activation(self.norm(h) @ self.inner[layer].mT)
        return activated
