"""Variance, sparsity, covariances and gradients in every layer of every member."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsity_theory._types import Array
from torch_models.networks.ensemble import Ensemble
from torch_models.networks.float32 import float32_convolutions
from torch_models.networks.losses import cross_entropy


class Observable(Protocol):
    """What is observed: an `Ensemble`, or residual networks (`residual`)."""

    def as_tensor(self, x: Tensor | NDArray[Any]) -> Tensor:
        """``x`` in the dtype and on the device of the parameters."""

    def propagate(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (h^l, x^l), pre-activations (or stream) and activations, for every layer."""

    def readout(self, x: Tensor) -> Tensor:
        """Logits (members, batch, out_features) of the last activations."""


@dataclass(frozen=True)
class LayerStatistics:
    """Per member and layer, all (members, depth).

    ``variance`` is q^l, the mean of (h^l)^2 over samples and units; ``sparsity`` the share of exact
    zeros of phi(h^l).
    """

    variance: Array
    sparsity: Array


@torch.no_grad()
def observe(ensemble: Observable, x: Tensor | NDArray[np.floating]) -> LayerStatistics:
    """Variance and sparsity of every layer on ``x``, as ``ensemble.propagate`` takes it.

    One forward pass without gradients that holds one layer at a time. Squares are summed in
    float64, so q^l is right whenever h^l is finite.
    """
    variance, sparsity = [], []
    for h, activations in ensemble.propagate(ensemble.as_tensor(x)):
        variance.append(_mean_square(h))
        active = activations.flatten(1).count_nonzero(dim=1).double()
        sparsity.append(1 - active / activations[0].numel())
    return LayerStatistics(_by_member(variance), _by_member(sparsity))


@torch.no_grad()
def observe_covariances(ensemble: Observable, x: Tensor | NDArray[np.floating]) -> Array:
    """Covariances of h^l between all inputs of a batch: means over units, channels, positions.

    Returns:
        (members, depth, batch, batch): q^l of every input on the diagonal; off it, the correlation
        of two inputs times the root of the product of their q^l.
    """
    products = [
        (units @ units.mT) / units.shape[-1]
        for h, _ in ensemble.propagate(ensemble.as_tensor(x))
        for units in [h.flatten(2).double()]
    ]
    covariances: Array = torch.stack(products, dim=1).cpu().numpy()
    return covariances


@torch.no_grad()
def jacobian_spectrum(ensemble: Ensemble, x: Tensor | NDArray[np.floating]) -> Array:
    """Eigenvalues of J J^T, J = D^L W^L ... D^2 W^2, for one input (a batch of one) (Eq. 25).

    J is the Jacobian of x^L by x^1: layers 2 to L. In a convolutional network, units are channels
    times positions.

    Returns:
        The squares of J's singular values, ascending, in shape (members, units).

    Raises:
        ValueError: for a batch of several inputs.
    """
    layers = ensemble.propagate(ensemble.as_tensor(x))
    _, activations = next(layers)
    if activations.shape[1] != 1:
        raise ValueError(f"x must be a batch of one input, got {activations.shape[1]}")
    like = activations[0, 0]
    tangents = torch.eye(like.numel()).to(like).view(1, -1, *like.shape)
    tangents = tangents.expand(ensemble.members, *tangents.shape[1:])
    for layer, (_, activations) in enumerate(layers, start=1):
        transformed = ensemble.transform(layer, tangents).flatten(2)
        rows = activations.flatten(2).expand_as(transformed)
        tangents = ensemble.activation.pull_back(transformed, rows).view_as(tangents)
    values = torch.linalg.svdvals(tangents.flatten(2))
    squares: Array = values.double().square().flip(-1).cpu().numpy()
    return squares


def observe_gradients(
    ensemble: Observable,
    x: Tensor | NDArray[np.floating],
    y: Tensor | NDArray[np.integer] | None = None,
    seed: int = 0,
) -> Array:
    """Root mean square of delta^l over samples and units, (members, depth) (Eqs. 20-21).

    With labels ``y`` (batch,), delta^l is the gradient of each sample's cross-entropy by h^l.
    Without, delta^L is a random unit vector (drawn from ``seed``, one per sample, the same for all
    members), independent of the weights as Eq. 24 supposes. NaN where a member's h^l is not finite.
    """
    inputs = ensemble.as_tensor(x).detach().requires_grad_()  # so that frozen weights do not matter
    with torch.enable_grad(), float32_convolutions():
        layers, activations = zip(*ensemble.propagate(inputs), strict=True)
        if y is None:
            cotangent = _random_directions(layers[-1], seed)
            deltas = torch.autograd.grad(layers[-1], layers, cotangent)
        else:
            labels = torch.as_tensor(y, dtype=torch.int64, device=inputs.device)
            loss = cross_entropy(ensemble.readout(activations[-1]), labels).sum()
            deltas = torch.autograd.grad(loss, layers)
    sizes = [_mean_square(delta).sqrt() for delta in deltas]
    finite = [h.isfinite().flatten(1).all(-1) for h in layers]
    return _by_member([s.where(f, math.nan) for s, f in zip(sizes, finite, strict=True)])


def gradient_growth(
    ensemble: Observable,
    x: Tensor | NDArray[np.floating],
    y: Tensor | NDArray[np.integer] | None = None,
    seed: int = 0,
) -> Array:
    """Mean squared gradient at h^1 over that at h^L, (members,): the backward gain.

    In theory (Eq. 24, layers of equal width) chi(q^1) chi(q^2) ... chi(q^{L-1}), so 1 on the edge
    of chaos at q*. Without labels, each repetition of an input adds a random direction. 0 if the
    gradient at h^1 is zero, NaN if that at h^L is zero or h^l is not finite.
    """
    delta = observe_gradients(ensemble, x, y, seed)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        growth: Array = np.square(delta[:, 0] / delta[:, -1])
    return growth


def _mean_square(values: Tensor) -> Tensor:
    """Mean over samples and units (members,) in float64 of (members, batch, ...)."""
    norm: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1, dtype=torch.float64)
    return norm.square() / values[0].numel()


def _random_directions(like: Tensor, seed: int) -> Tensor:
    """One random unit vector per sample, the same for all members, in the shape of ``like``."""
    drawn = torch.randn(like.shape[1:], generator=torch.Generator().manual_seed(seed))
    directions = torch.nn.functional.normalize(drawn.flatten(1)).view_as(drawn).to(like)
    expanded: Tensor = directions.expand_as(like)
    return expanded


def _by_member(layers: list[Tensor]) -> Array:
    """(members, depth) from one (members,) per layer."""
    stacked: Array = torch.stack(layers, dim=-1).double().cpu().numpy()
    return stacked
