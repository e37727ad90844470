"""Random networks of every kind, seen layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from property_tests.support.networks import KINDS, NETS, sphere
from property_tests.support.scores import Floats
from torch_models.networks.dense import DenseEnsemble


@dataclass(frozen=True)
class Layers:
    """One kind's networks at initialization, one input each: everything that the tests need.

    Arrays are (members, depth); ``variance`` is q^l as it follows from x^{l-1}, not as measured.
    """

    width: int
    variance: Floats
    squares: Floats
    zeros: Floats
    active: Floats


MEMBERS_OF_EACH_KIND, WIDTH, DEPTH = 4, 300, 12


@cache
def wide_networks() -> dict[str, Layers]:
    """One ensemble with four members of each kind, 300 wide and 12 deep, in float64."""
    nets = [net for net in NETS.values() for _ in range(MEMBERS_OF_EACH_KIND)]
    ensemble = DenseEnsemble(nets, 50, WIDTH, DEPTH, 1, range(len(nets)), dtype=torch.float64)
    sigma_w2, sigma_b2 = (
        torch.tensor(np.array([float(getattr(net, name)) for net in nets]))
        for name in ("sigma_w2", "sigma_b2")
    )
    q = torch.ones(len(nets), dtype=torch.float64)  # layer 1 keeps the input's variance
    seen: list[tuple[Tensor, ...]] = []
    with torch.no_grad():
        for h, x in ensemble.propagate(sphere(50, variance=1.0)):
            slopes = torch.from_numpy(
                np.stack([net.activation.derivative(row) for net, row in zip(nets, h, strict=True)])
            )
            seen.append((q, *(v.sum((1, 2)) for v in (h.square(), x == 0, slopes == 1))))
            q = sigma_w2 * x.square().mean((1, 2)) + sigma_b2
    columns = [
        np.stack([np.asarray(v, dtype=float) for v in c], 1) for c in zip(*seen, strict=True)
    ]
    of = {
        kind: slice(i * MEMBERS_OF_EACH_KIND, (i + 1) * MEMBERS_OF_EACH_KIND)
        for i, kind in enumerate(KINDS)
    }
    return {kind: Layers(WIDTH, *(column[of[kind]] for column in columns)) for kind in KINDS}
