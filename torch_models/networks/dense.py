"""Ensembles of dense networks (Eq. 1): one batched matrix product a layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torch_models.networks.ensemble import DrawInPlace, Ensemble
from torch_models.networks.initialization import draw_

if TYPE_CHECKING:
    from sparsity_theory import MeanField


class DenseEnsemble(Ensemble):
    """Dense networks of one shape, each with its own activation, initialization and seed.

    A member has ``depth`` hidden layers h^l = W^l x^{l-1} + b^l, x^l = phi(h^l) (Eq. 1) of
    ``width`` units, and a linear readout. Layer 1 keeps its input's variance (App. D); the others
    and the readout have weights N(0, sigma_w^2/width) and biases N(0, sigma_b^2).

    Members are independent, and a member's parameters equal, bit for bit, those of the same member
    in any other ensemble, and of a Sequential of Linear layers that ``edge_of_chaos_`` initialized
    from the same seed.

    Args:
        nets: one mean field per member; the kinds of activation may differ.
        in_features, width, depth, out_features: shape of every member, each at least 1.
        seeds, dtype, device, draw, input_scales: see `Ensemble`.

    Attributes:
        weights: depth + 1 parameters (members, out, in), the readout last.
        biases: depth + 1 parameters (members, 1, out).
        input_scales: buffer (members, 1, 1).

    Raises:
        ValueError: if there is no member, ``seeds`` or ``input_scales`` has another length than
            ``nets``, a size or a scale is not positive, or a net is not a single initialization of
            one of the four activations.
    """

    in_features: int
    width: int

    def __init__(
        self,
        nets: Sequence[MeanField],
        in_features: int,
        width: int,
        depth: int,
        out_features: int,
        seeds: Sequence[int],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        draw: DrawInPlace = draw_,
        input_scales: Sequence[float] | None = None,
    ) -> None:
        sizes = {
            "in_features": in_features,
            "width": width,
            "depth": depth,
            "out_features": out_features,
        }
        super().__init__(nets, seeds, sizes, draw, input_scales, 3, dtype, device)
        ins, outs = [in_features] + [width] * depth, [width] * depth + [out_features]
        self.add_parameters(list(zip(outs, ins, strict=True)), [(1, out) for out in outs])

    def shaped(self, rows: Tensor, image_shape: Sequence[int]) -> Tensor:
        """The rows (n, features) of a data set themselves.

        Raises:
            ValueError: unless ``features`` is ``in_features``.
        """
        if rows.shape[-1] != self.in_features:
            raise ValueError(f"dataset must have {self.in_features} features, got {rows.shape[-1]}")
        return rows

    def scaled(self, x: Tensor) -> Tensor:
        """x^0 (members, batch, in_features): ``x`` times the input scale of every member."""
        return x * self.input_scales

    def propagate(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (h^l, x^l), pre-activations and activations, for l = 1..depth.

        Args:
            x: (batch, in_features), shared by the members, or (members, batch, in_features).

        Raises:
            ValueError: if ``x`` has another shape.
        """
        if x.shape[-1] != self.in_features or x.ndim not in (2, 3):
            raise ValueError(
                f"x must have shape (batch, {self.in_features}) or "
                f"({self.members}, batch, {self.in_features}), got {tuple(x.shape)}"
            )
        x = self.scaled(x)
        for weight, bias in zip(list(self.weights)[:-1], self.biases, strict=False):
            h = torch.baddbmm(bias, x, weight.mT)  # (members, batch, width)
            x = self.activation(h)
            yield h, x

    def transform(self, layer: int, x: Tensor) -> Tensor:
        """W^l x, without the bias, for l = layer + 1 and x (members, batch, width or features)."""
        transformed: Tensor = x @ self.weights[layer].mT
        return transformed

    def readout(self, x: Tensor) -> Tensor:
        """Logits (members, batch, out_features) of the last activations (members, batch, width)."""
        return torch.baddbmm(self.biases[-1], x, self.weights[-1].mT)

    def on_meta(self, nets: Sequence[MeanField], seeds: Sequence[int]) -> DenseEnsemble:
        """An ensemble of the same shape and dtype with these members, on the device "meta"."""
        return DenseEnsemble(
            nets,
            self.in_features,
            self.width,
            self.depth,
            self.out_features,
            seeds,
            dtype=self.weights[0].dtype,
            device="meta",
            draw=self.draw,
        )

    def extra_repr(self) -> str:
        """Sizes."""
        return (
            f"members={self.members}, in_features={self.in_features}, width={self.width}, "
            f"depth={self.depth}, out_features={self.out_features}"
        )
