"""The base class of ensembles: many independent networks whose parameters are batched."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torch_models.networks.activations import SparseActivation
from torch_models.networks.initialization import layer_laws
from torch_models.networks.sequential import as_sequential

if TYPE_CHECKING:
    from sparsity_theory import MeanField

DrawInPlace = Callable[[Tensor, float, torch.Generator | None], None]
"""Fills a matrix of weights, or a vector of biases, with numbers of a given variance, in place."""


class Ensemble(nn.Module):
    """Independent networks of one shape; dimension 0 of every parameter and buffer is the member.

    No output of a member depends on another member. Each is drawn from its own generator, in the
    order W^1, W^2, b^2, ..., so its parameters are the same, bit for bit, in any ensemble.

    Args:
        nets: one mean field per member; the kinds of activation may differ.
        seeds: one per member.
        sizes: attributes that state the shape, each at least 1; ``depth`` and ``out_features``
            among them.
        draw: how weights are drawn: `draw_` for Gaussian, `draw_orthogonal_` for orthogonal ones.
        input_scales: one positive factor per member by which its input is multiplied, 1 by default:
            members of different input variance (App. C) can then share one batch.
        input_axes: number of dimensions of an input (members, batch, ...).
        dtype, device: of the parameters. Numbers are drawn on the CPU whatever the device.

    Attributes:
        nets: the mean field of every member.
        seeds: the seed that each was drawn from.
        depth: number of hidden layers.
        out_features: number of classes.
        weights, biases: depth + 1 parameters each, the readout's last.
        input_scales: buffer (members, 1, ..., 1).

    Raises:
        ValueError: if there is no member, ``seeds`` or ``input_scales`` has another length than
            ``nets``, a size or a scale is not positive, or a net is not a single initialization of
            one of the four activations.
    """

    depth: int
    out_features: int
    weights: nn.ParameterList
    biases: nn.ParameterList
    input_scales: Tensor

    def __init__(
        self,
        nets: Sequence[MeanField],
        seeds: Sequence[int],
        sizes: Mapping[str, int],
        draw: DrawInPlace,
        input_scales: Sequence[float] | None,
        input_axes: int,
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> None:
        super().__init__()
        if not nets:
            raise ValueError("nets must hold at least one member, got none")
        if len(seeds) != len(nets):
            raise ValueError(f"seeds must be one per net: got {len(seeds)} for {len(nets)} nets")
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
            setattr(self, name, size)
        self.nets, self.seeds, self.draw = tuple(nets), tuple(seeds), draw
        self.activation = SparseActivation.from_theory([net.activation for net in nets])
        self.activation.to(device, dtype)
        scales = _input_scales(input_scales, len(nets)).reshape(-1, *[1] * (input_axes - 1))
        self.register_buffer("input_scales", scales.to(device, dtype))

    def add_parameters(
        self, weights: Sequence[Sequence[int]], biases: Sequence[Sequence[int]]
    ) -> None:
        """Register one parameter (members, *shape) for each shape, and draw them."""
        like = self.input_scales

        def parameter(shape: Sequence[int]) -> nn.Parameter:
            return nn.Parameter(like.new_empty(self.members, *shape))

        self.weights = nn.ParameterList(map(parameter, weights))
        self.biases = nn.ParameterList(map(parameter, biases))
        self.reset_parameters()

    @property
    def members(self) -> int:
        """Number of networks in the ensemble."""
        return len(self.nets)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw every member again from its seed."""
        fan_ins = [weight[0, 0].numel() for weight in self.weights]
        distinct = {id(net): net for net in self.nets}
        laws = {key: list(layer_laws(net, fan_ins)) for key, net in distinct.items()}
        layers = [
            zip(weight.flatten(2).unbind(), bias.flatten(1).unbind(), strict=True)
            for weight, bias in zip(self.weights, self.biases, strict=True)
        ]
        for net, seed, *member in zip(self.nets, self.seeds, *layers, strict=True):
            generator = torch.Generator().manual_seed(seed)
            for (weight, bias), law in zip(member, laws[id(net)], strict=True):
                self.draw(weight, law.weight_variance, generator)
                self.draw(bias, law.bias_variance, generator)

    def shaped(self, rows: Tensor, image_shape: Sequence[int]) -> Tensor:
        """Reshape rows (n, features) of a data set to inputs (n, ...) of ``propagate``."""
        raise NotImplementedError

    def scaled(self, x: Tensor) -> Tensor:
        """x^0 (members, batch, ...): ``x`` times the input scale of every member."""
        raise NotImplementedError

    def propagate(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (h^l, x^l), pre-activations and activations, for l = 1..depth."""
        raise NotImplementedError

    def transform(self, layer: int, x: Tensor) -> Tensor:
        """W^l x, without the bias, for l = layer + 1 and x (members, batch, ...)."""
        raise NotImplementedError

    def readout(self, x: Tensor) -> Tensor:
        """Logits (members, batch, out_features) of the last activations."""
        raise NotImplementedError

    def on_meta(self, nets: Sequence[MeanField], seeds: Sequence[int]) -> Self:
        """An ensemble of the same shape and dtype with these members, on the device "meta"."""
        raise NotImplementedError

    def select(self, members: Sequence[int]) -> Self:
        """A new ensemble of copies of the given members, in that order."""
        rows = list(members)
        chosen = self.on_meta([self.nets[row] for row in rows], [self.seeds[row] for row in rows])
        state = {name: values[rows] for name, values in self.state_dict().items()}
        chosen.load_state_dict(state, assign=True)
        return chosen

    def as_tensor(self, x: Tensor | NDArray[Any]) -> Tensor:
        """``x`` in the dtype and on the device of the parameters."""
        weight = self.weights[0]
        return torch.as_tensor(x, dtype=weight.dtype, device=weight.device)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (members, batch, out_features); takes ``x`` as ``propagate`` does."""
        for _, activations in self.propagate(x):
            last = activations
        return self.readout(last)

    @torch.no_grad()
    def network(self, member: int) -> nn.Sequential:
        """A member as a Sequential of Linear or circular Conv layers with its activation between.

        Parameters are copies. The first layer's weights are multiplied by the member's input scale,
        so the network takes the inputs of the ensemble, without the members, and its logits
        (batch, out_features) are the member's up to rounding.
        """
        phi = SparseActivation.from_theory(self.nets[member].activation).to(self.weights[0])
        weights = [weight[member].clone() for weight in self.weights]
        weights[0] *= self.input_scales[member].item()
        weights[-1] = weights[-1].flatten(1)  # of a convolutional readout, one position
        biases = [bias[member].flatten().clone() for bias in self.biases]
        return as_sequential(weights, biases, phi)

    @torch.no_grad()
    def assign(self, members: Sequence[int], other: Ensemble) -> None:
        """Overwrite the given members' weights and biases with those of ``other``, in its order."""
        rows = list(members)
        for own, theirs in zip(self.parameters(), other.parameters(), strict=True):
            own[rows] = theirs


def _input_scales(scales: Sequence[float] | None, members: int) -> Tensor:
    """One factor per member (members,), in float64; ones for None."""
    scales = [1.0] * members if scales is None else list(scales)
    if len(scales) != members:
        raise ValueError(f"input_scales must be one per net: got {len(scales)} for {members} nets")
    for scale in scales:
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"input_scales must be positive and finite, got {scale}")
    return torch.tensor(scales, dtype=torch.float64)
