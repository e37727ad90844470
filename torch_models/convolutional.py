"""Stacks of convolutional networks with circular padding (Eq. 2), in one or two dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from torch_models.activations import SparseActivation
from torch_models.initialization import draw_, layer_laws
from torch_models.networks import DrawInPlace

if TYPE_CHECKING:
    from sparsity_theory import MeanField

_CONVOLUTIONS = {1: nn.functional.conv1d, 2: nn.functional.conv2d}


class ConvolutionalEnsemble(nn.Module):
    """Convolutional networks of one shape, each with its own activation, initialization and seed.

    A member has ``depth`` layers h^l(a) = sum_beta W^l(beta) x^{l-1}(a + beta) + b^l with
    x^l = phi(h^l) (Eq. 2); beta runs over the 2 k + 1 offsets from -k to k in every dimension, and
    positions are counted modulo their number. Layer 1 keeps its input's variance (App. D); the
    others have weights N(0, sigma_w^2 / ((2 k + 1)^d channels)) and biases N(0, sigma_b^2).

    Members never meet, and each is drawn from a generator of its own, in the order W^1, W^2, b^2,
    ..., so that it is the same alone and in a stack.

    Args:
        nets: one mean field per member; kinds may differ.
        in_channels, channels, depth: shape of every member, each at least 1.
        seeds: one per member.
        half_width: k, at least 0.
        dimensions: d, 1 or 2.
        dtype, device: of the parameters. Numbers are drawn on the CPU whatever the device.
        draw: how weights are drawn: `draw_` for Gaussian, `draw_orthogonal_` for orthogonal ones,
            that is, kernels flattened to (out, in * offsets) with orthonormal rows, which keeps the
            variance of every entry and the covariance map.

    Attributes:
        weights: depth parameters (members, out, in, 2 k + 1[, 2 k + 1]).
        biases: depth parameters (members, out).

    Raises:
        ValueError: if there is no member, ``seeds`` has another length than ``nets``, a size is out
            of range, or a net is not a single initialization of one of the four activations.
    """

    def __init__(
        self,
        nets: Sequence[MeanField],
        in_channels: int,
        channels: int,
        depth: int,
        seeds: Sequence[int],
        half_width: int = 1,
        dimensions: int = 1,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        draw: DrawInPlace = draw_,
    ) -> None:
        super().__init__()
        if not nets:
            raise ValueError("nets must hold at least one member, got none")
        if len(seeds) != len(nets):
            raise ValueError(f"seeds must be one per net: got {len(seeds)} for {len(nets)} nets")
        for name, size in (("in_channels", in_channels), ("channels", channels), ("depth", depth)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if half_width < 0:
            raise ValueError(f"half_width must be at least 0, got {half_width}")
        if dimensions not in _CONVOLUTIONS:
            raise ValueError(f"dimensions must be 1 or 2, got {dimensions}")
        self.nets, self.seeds = tuple(nets), tuple(seeds)
        self.in_channels, self.channels, self.depth = in_channels, channels, depth
        self.half_width, self.dimensions, self.draw = half_width, dimensions, draw
        self.activation = SparseActivation.from_theory([net.activation for net in nets])
        self.activation.to(device, dtype)

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(len(nets), *shape, dtype=dtype, device=device))

        kernel = (2 * half_width + 1,) * dimensions
        ins = [in_channels] + [channels] * (depth - 1)
        self.weights = nn.ParameterList(parameter(channels, size, *kernel) for size in ins)
        self.biases = nn.ParameterList(parameter(channels) for _ in ins)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every member anew from its seed."""
        fan_ins = [weight[0, 0].numel() for weight in self.weights]
        for member, (net, seed) in enumerate(zip(self.nets, self.seeds, strict=True)):
            generator = torch.Generator().manual_seed(seed)
            laws = layer_laws(net, fan_ins)
            for weight, bias, law in zip(self.weights, self.biases, laws, strict=True):
                self.draw(weight[member].flatten(1), law.weight_variance, generator)
                draw_(bias[member], law.bias_variance, generator)

    @property
    def members(self) -> int:
        """Number of networks in the stack."""
        return len(self.nets)

    def propagate(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (h^l, x^l), (members, batch, channels, *positions), for l = 1..depth.

        Streaming: without gradients, no layer is held longer than its consumer holds it.

        Args:
            x: (batch, in_channels, *positions), shared by the members, or with the members before;
                at least k positions in each of the d dimensions.

        Raises:
            ValueError: if ``x`` has another shape.
        """
        axes = self.dimensions + 2
        channels_at = x.ndim - self.dimensions - 1
        if x.ndim not in (axes, axes + 1) or x.shape[channels_at] != self.in_channels:
            raise ValueError(
                f"x must have shape (batch, {self.in_channels}, *positions) with "
                f"{self.dimensions} dimensions of positions, or the members before, "
                f"got {tuple(x.shape)}"
            )
        x = x.expand(self.members, *x.shape[-axes:])
        for weight, bias in zip(self.weights, self.biases, strict=True):
            h = self._convolve(x, weight, bias)
            x = self.activation(h.flatten(2)).view_as(h)
            yield h, x

    def transform(self, layer: int, x: Tensor) -> Tensor:
        """W^l x, without the bias, for l = layer + 1 and x (members, batch, in, *positions)."""
        return self._convolve(x, self.weights[layer], None)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """One layer; the members are groups of channels of one convolution."""
        folded = x.transpose(0, 1).flatten(1, 2)  # (batch, members * in, *positions)
        around = nn.functional.pad(folded, (self.half_width,) * 2 * self.dimensions, "circular")
        h: Tensor = _CONVOLUTIONS[self.dimensions](
            around,
            weight.flatten(0, 1),
            None if bias is None else bias.flatten(),
            groups=self.members,
        )
        by_member = h.view(len(h), self.members, self.channels, *h.shape[2:])
        return by_member.transpose(0, 1).contiguous()

    def extra_repr(self) -> str:
        """Sizes."""
        return (
            f"members={self.members}, in_channels={self.in_channels}, channels={self.channels}, "
            f"depth={self.depth}, half_width={self.half_width}, dimensions={self.dimensions}"
        )
