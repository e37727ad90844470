"""Small transformers with sparse MLPs, trained on real text: a record of how well they learn.

One network of every setting predicts the next byte of Python's reference topics. They differ in
their activation alone: the same text, batches, steps and learning rate, and the same variance that
every block adds at initialization.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import sparsity_theory as st
from sparsity_theory.activations.expectations import GaussianExpectations
from sparsity_theory.published.rows import Design
from torch_models.data.text import BYTES, Text, bigram_loss
from torch_models.measurements.resumable import complete
from torch_models.networks.activations import SparseActivation
from torch_models.networks.sparsity import measured_sparsity
from torch_models.networks.transformer import LanguageModel

DIGITS = 5
"""Decimals in the record."""


@dataclass(frozen=True)
class Budget:
    """How every network is built and trained: by Adam, its rate falling linearly to zero."""

    width: int = 64
    depth: int = 4
    heads: int = 4
    context: int = 64
    batch_size: int = 16
    steps: int = 1000
    learning_rate: float = 3e-3
    windows: int = 256

    @property
    def alpha(self) -> float:
        """The factor of increments: there are two in a block."""
        return 1.0 / math.sqrt(2 * self.depth)


@dataclass(frozen=True)
class Setting:
    """An activation: ``gelu``, which has no zeros, or one of the four kinds with a sparsity.

    The clipped ones have the clip of V'(q*) = 0.7.
    """

    kind: str
    sparsity: float | None
    seed: int = 0

    @property
    def phi(self) -> GaussianExpectations:
        """The activation, in theory."""
        if self.kind == "gelu":
            return GELU
        assert self.sparsity is not None
        return Design.of(self.kind, self.sparsity).activation()

    @property
    def module(self) -> nn.Module:
        """The activation as a module."""
        return nn.GELU() if self.kind == "gelu" else SparseActivation.from_theory(self.phi)


def _gelu(x: Any) -> Any:
    return x * scipy.special.ndtr(x)


def _gelu_slope(x: Any) -> Any:
    return scipy.special.ndtr(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


GELU = st.Activation(_gelu, _gelu_slope)

SETTINGS = (
    Setting("gelu", None),
    Setting("relu", 0.5),
    Setting("relu", 0.9),
    Setting("relu", 0.95),
    Setting("relu", 0.8),
    Setting("relu", 0.7),
    Setting("st", 0.9),
    Setting("crelu", 0.9),
    Setting("st", 0.7),
    Setting("cst", 0.9),
    Setting("gelu", None, seed=1),
    Setting("relu", 0.9, seed=1),
)
"""In the order in which they are trained."""


def initialization(phi: GaussianExpectations, budget: Budget) -> st.Transformer:
    """Blocks of which attention and the MLP each add alpha^2 at most, the MLP for every phi."""
    square = float(phi.mean_square(np.ones(())))
    return st.Transformer(st.PreNorm(phi, alpha=budget.alpha, sigma_v2=1 / square))


def build(setting: Setting, budget: Budget) -> LanguageModel:
    """The network of a setting, at initialization."""
    return LanguageModel(
        initialization(setting.phi, budget),
        BYTES,
        budget.width,
        budget.depth,
        budget.heads,
        budget.context,
        setting.seed,
        activation=setting.module,
    )


def train_settings(
    path: Path,
    text: Text,
    budget: Budget,
    settings: Sequence[Setting] = SETTINGS,
    on_step: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train the networks that the record at ``path`` lacks; it is written after each of them.

    Raises:
        ValueError: if the record is of another text or budget.
    """
    head = {
        "text": text.description(),
        "bigram_loss": round(bigram_loss(text), DIGITS),
        "budget": asdict(budget),
    }
    return complete(path, head, settings, lambda each: train_setting(each, text, budget, on_step))


def train_setting(
    setting: Setting, text: Text, budget: Budget, on_step: Callable[[str], None]
) -> dict[str, Any]:
    """Train one network; its loss and the sparsity of every MLP, before and after."""
    on_step(f"{setting.kind} {setting.sparsity or ''} seed {setting.seed}")
    model = build(setting, budget)
    held_out = windows_of(text.validation, budget)
    before = sparsities(model, setting, held_out)
    optimizer = torch.optim.Adam(model.parameters(), budget.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, budget.steps)
    generator = torch.Generator().manual_seed(setting.seed)
    losses = []
    for step in range(budget.steps):
        loss = next_byte_loss(model, batch_of(text.train, budget, generator))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 100 == 99:
            on_step(f"{setting.kind} {setting.sparsity or ''} step {step + 1}: {losses[-1]:.3f}")
    last = losses[-len(losses) // 10 :]
    with torch.no_grad():
        validation = float(next_byte_loss(model.eval(), held_out))
    return {
        "validation_loss": round(validation, DIGITS),
        "training_loss": round(statistics.mean(last), DIGITS),
        "sparsity_before": before,
        "sparsity_after": sparsities(model, setting, held_out),
    }


def next_byte_loss(model: nn.Module, rows: Tensor) -> Tensor:
    """The mean cross-entropy of every byte after the first of each row (rows, context + 1)."""
    logits = model(rows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def batch_of(tokens: Tensor, budget: Budget, generator: torch.Generator) -> Tensor:
    """Rows from random places, (batch_size, context + 1)."""
    length = budget.context + 1
    starts = torch.randint(len(tokens) - length, (budget.batch_size, 1), generator=generator)
    return tokens[starts + torch.arange(length)]


def windows_of(tokens: Tensor, budget: Budget) -> Tensor:
    """The first rows that do not overlap, (windows at most, context + 1)."""
    return tokens.unfold(0, budget.context + 1, budget.context)[: budget.windows]


def sparsities(model: nn.Module, setting: Setting, rows: Tensor) -> list[float]:
    """The share of zeros in every MLP."""
    kind = type(setting.module)
    found = measured_sparsity(model, rows[:, :-1], activations=(kind,))
    return [round(share, DIGITS) for share in found.values()]
