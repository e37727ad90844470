"""Deep networks with and without skips, trained on MNIST: a record of how they end.

Architectures differ in what carries a layer's input past it; each is an initialization of the
theory, of the same activations:

- plain: h <- W phi(h) + b, on the edge of chaos;
- residual: h <- h + alpha (W phi(h) + b), of the same W and b;
- rescaled: h <- skip h + alpha (W phi(h) + b), skip^2 = 1 - alpha^2, which keeps q*;
- pre-norm: h <- h + alpha W2 phi(W1 norm(h)).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sparsity_theory as st
from sparsity_theory._types import Array
from torch_models.data import Dataset
from torch_models.measurements.resumable import complete
from torch_models.networks.losses import cross_entropy
from torch_models.networks.observe import observe
from torch_models.networks.residual import PreNormEnsemble, ResidualEnsemble, StreamEnsemble
from torch_models.training.sgd import sgd_step_

ARCHITECTURES = ("plain", "residual", "rescaled", "pre-norm")
DIGITS = 5
"""Decimals in the record."""


@dataclass(frozen=True)
class Budget:
    """How every network is built and trained: by plain SGD, with equal steps.

    The tangent kernel of a plain network is larger by the factor depth, in which residual ones have
    alpha^2 = 1 / depth: it bears but a smaller learning rate.
    """

    width: int = 64
    depth: int = 100
    steps: int = 500
    batch_size: int = 64
    learning_rate: float = 1e-2
    plain_learning_rate: float = 1e-3
    seeds: tuple[int, ...] = (0,)
    tested: int = 2000


@dataclass(frozen=True)
class Setting:
    """An architecture with an unclipped activation."""

    architecture: str
    kind: str
    sparsity: float

    def net(self, depth: int) -> st.Residual | st.PreNorm:
        """The initialization, with alpha^2 = 1 / depth but for plain networks."""
        phi = st.ACTIVATIONS[self.kind].for_sparsity(self.sparsity)
        alpha = depth**-0.5
        match self.architecture:
            case "plain":
                return st.Residual(st.edge_of_chaos(phi), alpha=1.0, skip=0.0)
            case "residual":
                return st.Residual(st.edge_of_chaos(phi), alpha)
            case "rescaled":
                return st.Residual(st.edge_of_chaos(phi), alpha, math.sqrt(1.0 - alpha**2))
            case "pre-norm":
                square = float(phi.mean_square(np.ones(())))
                return st.PreNorm(phi, alpha, sigma_v2=1 / square)
        raise ValueError(f"architecture must be one of {ARCHITECTURES}, got {self.architecture!r}")


SETTINGS = tuple(
    Setting(architecture, kind, sparsity)
    for kind, sparsity in (("relu", 0.5), ("relu", 0.9), ("st", 0.9), ("relu", 0.7), ("st", 0.7))
    for architecture in ARCHITECTURES[::-1]
)
"""In the order in which they are trained."""


def build(setting: Setting, dataset: Dataset, budget: Budget) -> StreamEnsemble:
    """A network for every seed, at initialization."""
    net = setting.net(budget.depth)
    sizes = dataset.features, budget.width, budget.depth, dataset.classes, budget.seeds
    return (
        PreNormEnsemble(net, *sizes)
        if isinstance(net, st.PreNorm)
        else (ResidualEnsemble(net, *sizes))
    )


def train_settings(
    path: Path,
    dataset: Dataset,
    budget: Budget,
    settings: Sequence[Setting] = SETTINGS,
    on_step: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train the networks that the record at ``path`` lacks; it is written after each setting.

    Raises:
        ValueError: if the record is of other data or another budget.
    """
    head = {
        "data": dataset.description(),
        "budget": {**asdict(budget), "seeds": list(budget.seeds)},
    }
    return complete(
        path, head, settings, lambda each: train_setting(each, dataset, budget, on_step)
    )


def train_setting(
    setting: Setting, dataset: Dataset, budget: Budget, on_step: Callable[[str], None]
) -> dict[str, Any]:
    """Train the networks of one setting together.

    Lists have an entry for every seed. A network whose loss or gradient is no longer finite has
    diverged: it stays as it was, and the others train on.
    """
    on_step(f"{setting.architecture} {setting.kind} {setting.sparsity}")
    ensemble = build(setting, dataset, budget)
    tested = dataset.test_x[: budget.tested], dataset.test_y[: budget.tested]
    before = observe(ensemble, tested[0]).sparsity
    plain = setting.architecture == "plain"
    rate = budget.plain_learning_rate if plain else budget.learning_rate
    generator = torch.Generator().manual_seed(0)
    sound = torch.ones(ensemble.members, dtype=torch.bool)
    diverged: list[int | None] = [None] * ensemble.members
    for step in range(budget.steps):
        rows = torch.randint(len(dataset.train_y), (budget.batch_size,), generator=generator)
        losses = cross_entropy(ensemble(dataset.train_x[rows]), dataset.train_y[rows]).mean(-1)
        ensemble.zero_grad()
        losses[sound].sum().backward()  # type: ignore[no-untyped-call]
        finite = step_(ensemble, rate, sound) & losses.detach().isfinite()
        for member in torch.nonzero(sound & ~finite).flatten().tolist():
            diverged[member] = step + 1
        sound &= finite
        if not sound.any():
            break
        if step % 100 == 99:
            shown = " ".join(f"{loss:.3f}" for loss in losses.tolist())
            on_step(f"{setting.architecture} {setting.kind} {setting.sparsity} {step + 1}: {shown}")
    with torch.no_grad():
        logits = ensemble(tested[0])
    accuracy = (logits.argmax(-1) == tested[1]).double().mean(-1)
    after = observe(ensemble, tested[0]).sparsity
    return {
        "accuracy": rounded(accuracy),
        "diverged": diverged,
        "sparsity_before": [rounded(layers) for layers in before],
        "sparsity_after": [rounded(layers) for layers in after],
    }


@torch.no_grad()
def step_(ensemble: StreamEnsemble, rate: float, sound: Tensor) -> Tensor:
    """A step of those members that are sound and have finite gradients; which gradients are."""
    gradients = [(p, p.grad) for p in ensemble.parameters() if p.grad is not None]
    finite = torch.stack([g.flatten(1).isfinite().all(1) for _, g in gradients]).all(0)
    for parameter, gradient in gradients:
        sgd_step_(parameter, gradient, rate, ~(sound & finite))
    return finite


def rounded(values: Tensor | Array) -> list[float]:
    """Numbers as the record has them."""
    return [round(value, DIGITS) for value in values.tolist()]
