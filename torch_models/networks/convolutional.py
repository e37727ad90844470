"""Ensembles of convolutional networks with circular padding (Eq. 2), in one or two dimensions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torch_models.networks.circular import convolve
from torch_models.networks.ensemble import DrawInPlace, Ensemble
from torch_models.networks.initialization import draw_

if TYPE_CHECKING:
    from sparsity_theory import MeanField


class ConvolutionalEnsemble(Ensemble):
    """Convolutional networks of one shape, each with its own activation, initialization and seed.

    A member has ``depth`` layers h^l(a) = sum_beta W^l(beta) x^{l-1}(a + beta) + b^l with
    x^l = phi(h^l) (Eq. 2); beta runs over the 2 k + 1 offsets from -k to k in every dimension, and
    positions are counted modulo their number. Layer 1 keeps its input's variance (App. D); the
    others have weights N(0, sigma_w^2 / ((2 k + 1)^d channels)) and biases N(0, sigma_b^2).

    The paper does not state the readout. Here every channel is averaged over its positions, and a
    linear readout with weights N(0, sigma_w^2 / channels) and biases N(0, sigma_b^2) follows.

    Members are independent, and a member's parameters are the same, bit for bit, in any ensemble;
    on the CPU so are its activations and gradients: see ``torch_models.networks.circular``.

    Args:
        nets: one mean field per member; the kinds of activation may differ.
        in_channels, channels, depth: shape of every member, each at least 1.
        half_width: k, at least 0.
        dimensions: d, 1 or 2.
        out_features: number of classes, at least 1.
        seeds, dtype, device, input_scales: see `Ensemble`.
        draw: see `Ensemble`. `draw_orthogonal_` makes kernels that, flattened to
            (out, in * offsets), have orthogonal rows; it keeps the variance of every entry and the
            covariance map.

    Attributes:
        weights: depth parameters (members, out, in, 2 k + 1[, 2 k + 1]), and the readout's
            (members, out, in, 1[, 1]).
        biases: depth + 1 parameters (members, out), the readout's last.
        input_scales: buffer (members, 1, 1, 1[, 1]).

    Raises:
        ValueError: if there is no member, ``seeds`` or ``input_scales`` has another length than
            ``nets``, a size or scale is out of range, or a net is not a single initialization of
            one of the four activations.
    """

    in_channels: int
    channels: int

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
        out_features: int = 10,
        input_scales: Sequence[float] | None = None,
        draw: DrawInPlace = draw_,
    ) -> None:
        if half_width < 0:
            raise ValueError(f"half_width must be at least 0, got {half_width}")
        if dimensions not in (1, 2):
            raise ValueError(f"dimensions must be 1 or 2, got {dimensions}")
        sizes = {
            "in_channels": in_channels,
            "channels": channels,
            "depth": depth,
            "out_features": out_features,
        }
        super().__init__(nets, seeds, sizes, draw, input_scales, dimensions + 3, dtype, device)
        self.half_width, self.dimensions = half_width, dimensions
        ins, outs = [in_channels] + [channels] * depth, [channels] * depth + [out_features]
        kernels = [2 * half_width + 1] * depth + [1]
        self.add_parameters(
            [
                (out, in_, *[kernel] * dimensions)
                for out, in_, kernel in zip(outs, ins, kernels, strict=True)
            ],
            [(out,) for out in outs],
        )

    def shaped(self, rows: Tensor, image_shape: Sequence[int]) -> Tensor:
        """Reshape rows of a data set to images.

        Args:
            rows: (n, features).
            image_shape: (channels, rows, columns) of every image.

        Returns:
            (n, channels, rows, columns); with one dimension (n, channels, rows * columns).

        Raises:
            ValueError: unless an image has ``in_channels`` channels and ``features`` numbers.
        """
        features, channels = rows.shape[-1], image_shape[0]
        if math.prod(image_shape) != features or channels != self.in_channels:
            raise ValueError(
                f"image_shape must be ({self.in_channels}, rows, columns) with {features} numbers "
                f"for rows of shape {tuple(rows.shape)}, got {tuple(image_shape)}"
            )
        images = rows.view(-1, *image_shape)
        return images if self.dimensions == 2 else images.flatten(2)

    def scaled(self, x: Tensor) -> Tensor:
        """x^0 (members, batch, in_channels, *positions): ``x`` times every member's input scale.

        Takes the same ``x`` as ``propagate``, and raises the same errors.
        """
        axes = self.dimensions + 2
        channels_at = x.ndim - self.dimensions - 1
        if x.ndim not in (axes, axes + 1) or x.shape[channels_at] != self.in_channels:
            raise ValueError(
                f"x must have shape (batch, {self.in_channels}, *positions) with "
                f"{self.dimensions} dimensions of positions, or members as dimension 0, "
                f"got {tuple(x.shape)}"
            )
        if min(x.shape[-self.dimensions :]) < self.half_width:
            raise ValueError(
                f"x must have at least {self.half_width} positions in each dimension, "
                f"got {tuple(x.shape)}"
            )
        return self.input_scales * x

    def propagate(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (h^l, x^l), (members, batch, channels, *positions), for l = 1..depth.

        A generator: without gradients, no layer outlives the caller's reference to it.

        Args:
            x: (batch, in_channels, *positions), shared by the members, or
                (members, batch, in_channels, *positions); at least k positions in each of the d
                dimensions.

        Raises:
            ValueError: if ``x`` has another shape.
        """
        x = self.scaled(x)
        for weight, bias in zip(list(self.weights)[:-1], self.biases, strict=False):
            h = convolve(x, weight, bias)
            x = self.activation(h.flatten(2)).view_as(h)
            yield h, x

    def transform(self, layer: int, x: Tensor) -> Tensor:
        """W^l x, without the bias, for l = layer + 1 and x (members, batch, in, *positions)."""
        return convolve(x, self.weights[layer])

    def pull_back(self, grad: Tensor, activations: Tensor) -> Tensor:
        """phi'(h^l) * grad for ``activations`` x^l = phi(h^l), in their shape (Eq. 21)."""
        return self.activation.pull_back(grad.flatten(2), activations.flatten(2)).view_as(grad)

    def averages(self, x: Tensor) -> Tensor:
        """The mean over positions, (members, batch, channels, 1[, 1])."""
        return x.mean(tuple(range(3, x.ndim)), keepdim=True)

    def readout(self, x: Tensor) -> Tensor:
        """Logits (members, batch, out_features) of the last layer's activations x^L."""
        return convolve(self.averages(x), self.weights[-1], self.biases[-1]).flatten(2)

    def on_meta(self, nets: Sequence[MeanField], seeds: Sequence[int]) -> ConvolutionalEnsemble:
        """An ensemble of the same shape and dtype with these members, on the device "meta"."""
        return ConvolutionalEnsemble(
            nets,
            self.in_channels,
            self.channels,
            self.depth,
            seeds,
            self.half_width,
            self.dimensions,
            dtype=self.weights[0].dtype,
            device="meta",
            out_features=self.out_features,
            draw=self.draw,
        )

    def extra_repr(self) -> str:
        """Sizes."""
        return (
            f"members={self.members}, in_channels={self.in_channels}, channels={self.channels}, "
            f"depth={self.depth}, half_width={self.half_width}, dimensions={self.dimensions}, "
            f"out_features={self.out_features}"
        )
