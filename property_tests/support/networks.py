"""Small ensembles with a member of each kind, and inputs and a data set for them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sparsity_theory as st
from torch_models.data import Dataset
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.ensemble import DrawInPlace
from torch_models.networks.initialization import draw_, draw_orthogonal_

ACTIVATIONS: dict[str, Any] = {
    "relu": st.ShiftedReLU.for_sparsity(0.7),
    "st": st.SoftThreshold.for_sparsity(0.6),
    "crelu": st.ClippedReLU.for_sparsity(0.85, slope=0.7),
    "cst": st.ClippedSoftThreshold.for_sparsity(0.8, slope=0.7),
}
NETS = {kind: st.edge_of_chaos(phi) for kind, phi in ACTIVATIONS.items()}
KINDS = tuple(NETS)

DRAWS: dict[str, DrawInPlace] = {"gaussian": draw_, "orthogonal": draw_orthogonal_}
"""Ways to draw the weights of an ensemble."""

every_kind = pytest.mark.parametrize("kind", KINDS)


def sphere(features: int, variance: float, samples: int = 1, seed: int = 0) -> Tensor:
    """Inputs (samples, features) in float64 with |x|^2 / N_0 = variance, in random directions."""
    x = torch.randn(
        samples, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return nn.functional.normalize(x, dim=-1) * math.sqrt(features * variance)


def small_ensemble(dtype: torch.dtype = torch.float32, seed: int = 0) -> DenseEnsemble:
    """One member of each kind, 20 -> 40 -> 40 -> 40 -> 5."""
    seeds = range(seed, seed + len(NETS))
    return DenseEnsemble(list(NETS.values()), 20, 40, 3, 5, seeds, dtype=dtype)


def alone(ensemble: DenseEnsemble, k: int) -> DenseEnsemble:
    """Member k drawn anew, without any neighbour."""
    shape = (ensemble.in_features, ensemble.width, ensemble.depth, ensemble.out_features)
    return DenseEnsemble([ensemble.nets[k]], *shape, [ensemble.seeds[k]])


def same_parameters(ensemble: DenseEnsemble, k: int, other: DenseEnsemble, j: int = 0) -> bool:
    """Whether member k of one ensemble equals member j of another, bit for bit."""
    pairs = zip(ensemble.parameters(), other.parameters(), strict=True)
    return all(torch.equal(own[k], theirs[j]) for own, theirs in pairs)


def broken(ensemble: DenseEnsemble, members: list[int], factor: float) -> DenseEnsemble:
    """Scale some members' readouts."""
    with torch.no_grad():
        ensemble.weights[-1][members] *= factor
    return ensemble


def small_dataset(samples: int = 70, features: int = 20, classes: int = 5) -> Dataset:
    """Labels that a linear map of the inputs decides."""
    x = sphere(features, 1.0, samples + 30).float()
    teacher = torch.randn(features, classes, generator=torch.Generator().manual_seed(9))
    y = (x @ teacher).argmax(-1)
    train_part, held_out = slice(0, samples), slice(samples, None)
    return Dataset(
        name="teacher", source="drawn here", classes=classes, checksums={},
        image_shape=(1, 1, features),
        train_x=x[train_part], train_y=y[train_part],
        validation_x=x[held_out], validation_y=y[held_out],
        test_x=x[held_out], test_y=y[held_out],
    )  # fmt: skip


def more_weight(net: st.MeanField, factor: float = 1.05) -> st.MeanField:
    """The wrong theory of a sigma_w^2 that is off by five percent."""
    return st.MeanField(net.activation, factor * net.sigma_w2, net.sigma_b2, net.q_star)


def pairs_of_inputs(features: int, rho: float, members: int, seed: int) -> Tensor:
    """Two inputs a member, (members, 2, features), both of variance 1 and with correlation rho."""
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(members, features, 2, generator=generator, dtype=torch.float64)
    u, v = torch.linalg.qr(gaussian).Q.unbind(-1)
    return math.sqrt(features) * torch.stack([u, rho * u + math.sqrt(1 - rho**2) * v], dim=1)
