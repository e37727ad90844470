"""What happens in every layer of every member: variance, sparsity and gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torch_models.networks.ensemble import Ensemble
from torch_models.networks.losses import cross_entropy

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LayerStatistics:
    """Per member and layer, all (members, depth).

    ``variance`` is q^l, the mean of (h^l)^2 over samples and units; ``sparsity`` the share of exact
    zeros of phi(h^l); ``gradient_rms`` the root mean square of the gradient by h^l, if measured.
    """

    variance: Floats
    sparsity: Floats
    gradient_rms: Floats | None = None


@torch.no_grad()
def observe(ensemble: Ensemble, x: Tensor | NDArray[np.floating]) -> LayerStatistics:
    """Variance and sparsity of every layer on inputs that the ensemble propagates.

    One forward pass without gradients that holds one layer at a time. Squares are summed in
    float64, so that q^l is right as long as h^l is finite.
    """
    variance, sparsity = [], []
    for h, activations in ensemble.propagate(_to_ensemble(ensemble, x)):
        variance.append(_mean_square(h))
        sparsity.append(1 - activations.flatten(1).count_nonzero(dim=1).double() / h[0].numel())
    return LayerStatistics(_by_member(variance), _by_member(sparsity))


@torch.no_grad()
def observe_covariances(ensemble: Ensemble, x: Tensor | NDArray[np.floating]) -> Floats:
    """Mean products over units, or channels and positions, of h^l between all inputs of a batch.

    Returns:
        (members, depth, batch, batch): q^l of every input on the diagonal, and off it the
        correlation of two inputs times the root of the product of theirs.
    """
    products = [
        (units @ units.mT) / units.shape[-1]
        for h, _ in ensemble.propagate(_to_ensemble(ensemble, x))
        for units in [h.flatten(2).double()]
    ]
    covariances: Floats = torch.stack(products, dim=1).cpu().numpy()
    return covariances


@torch.no_grad()
def jacobian_spectrum(ensemble: Ensemble, x: Tensor | NDArray[np.floating]) -> Floats:
    """Eigenvalues of J J^T, J = D^L W^L ... D^2 W^2, for one input (a batch of one) (Eq. 25).

    Layers 2 to L, all with the weights of the initialization: what becomes of a small change of x^1
    on its way to x^L. Of a convolutional network, W^l is the whole linear map, of channels times
    positions.

    Returns:
        (members, units), ascending; their roots are the singular values.
    """
    layers = ensemble.propagate(_to_ensemble(ensemble, x))
    _, activations = next(layers)
    like = activations[0, 0]
    changes = torch.eye(like.numel()).to(like).view(1, -1, *like.shape)
    changes = changes.expand(ensemble.members, *changes.shape[1:])
    for layer, (_, activations) in enumerate(layers, start=1):
        changed = ensemble.transform(layer, changes).flatten(2)
        rows = activations.flatten(2).expand_as(changed)
        changes = ensemble.activation.pull_back(changed, rows).view_as(changes)
    values = torch.linalg.svdvals(changes.flatten(2))
    squares: Floats = values.double().square().flip(-1).cpu().numpy()
    return squares


def observe_gradients(
    ensemble: Ensemble,
    x: Tensor | NDArray[np.floating],
    y: Tensor | NDArray[np.integer] | None = None,
    seed: int = 0,
) -> Floats:
    """Root mean square of delta^l over samples and units, (members, depth) (Eqs. 20-21).

    With labels ``y`` (batch,), delta^l is the gradient of each sample's cross-entropy by h^l.
    Without, a random vector of norm one (drawn from ``seed``, one for each sample, the same for all
    members) is sent back from h^L, independent of the weights as Eq. 24 supposes. NaN where a
    member's h^l is not finite.
    """
    inputs = _to_ensemble(ensemble, x).detach().requires_grad_()  # even if the weights are frozen
    with torch.enable_grad():
        layers, activations = zip(*ensemble.propagate(inputs), strict=True)
        if y is None:
            cotangent = _random_directions(layers[-1], seed)
            deltas = torch.autograd.grad(layers[-1], layers, cotangent)
        else:
            labels = torch.as_tensor(y, dtype=torch.int64, device=inputs.device)
            loss = cross_entropy(ensemble.readout(activations[-1]), labels).sum()
            deltas = torch.autograd.grad(loss, layers)
    sizes = [_mean_square(delta).sqrt() for delta in deltas]
    finite = [h.isfinite().flatten(1).all(-1) for h in layers]  # where not, phi' means nothing
    return _by_member([s.where(f, math.nan) for s, f in zip(sizes, finite, strict=True)])


def gradient_growth(
    ensemble: Ensemble,
    x: Tensor | NDArray[np.floating],
    y: Tensor | NDArray[np.integer] | None = None,
    seed: int = 0,
) -> Floats:
    """Mean squared gradient at h^1 over that at h^L, (members,): the backward gain.

    In theory (Eq. 24, layers of equal width) chi(q^1) chi(q^2) ... chi(q^{L-1}), so 1 on the edge
    of chaos at q*. Without labels, one more sample of the same image is one more random direction.
    0 if no gradient arrives at h^1, NaN if none leaves h^L or the network is not finite.
    """
    delta = observe_gradients(ensemble, x, y, seed)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        growth: Floats = np.square(delta[:, 0] / delta[:, -1])
    return growth


def _mean_square(values: Tensor) -> Tensor:
    """Mean over samples and units (members,) in float64 of (members, batch, ...)."""
    norm: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1, dtype=torch.float64)
    return norm.square() / values[0].numel()


def _random_directions(like: Tensor, seed: int) -> Tensor:
    """One random unit vector per sample, shared by the members, in the shape of h^l."""
    drawn = torch.randn(like.shape[1:], generator=torch.Generator().manual_seed(seed))
    directions = torch.nn.functional.normalize(drawn.flatten(1)).view_as(drawn).to(like)
    expanded: Tensor = directions.expand_as(like)
    return expanded


def _by_member(layers: list[Tensor]) -> Floats:
    """(members, depth) from one (members,) per layer."""
    stacked: Floats = torch.stack(layers, dim=-1).double().cpu().numpy()
    return stacked


def _to_ensemble(ensemble: Ensemble, x: Tensor | NDArray[np.floating]) -> Tensor:
    weight = ensemble.weights[0]
    return torch.as_tensor(x, dtype=weight.dtype, device=weight.device)
