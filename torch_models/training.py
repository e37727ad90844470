"""Plain stochastic gradient descent for a stack of networks, where a failure is a result.

A member that diverges is recorded with its step and kind, keeps the weights of its last sound step,
and leaves the computation. Its neighbours do not notice: on the CPU their weights are the same, bit
for bit, as if it had never been there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torch_models.backpropagation import backpropagate, descend
from torch_models.networks import DenseEnsemble

if TYPE_CHECKING:
    from sparsity_theory import MeanField
    from torch_models.data import Dataset

GRADIENT_LIMIT = 1e6
"""A member whose first-layer gradient has a larger norm than this has diverged."""

EVALUATION_BATCH = 512
"""Samples per forward pass in ``evaluate``; bounds its memory, not its result."""

KEPT_SPARSITY = 0.5
"""A member whose sparsity falls below this part of what it was made for has diverged."""

DivergenceKind = Literal["non-finite loss", "gradient above 1e6", "sparsity lost"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Divergence:
    """How a member left the training: in which step and epoch (both counted from 1), and why."""

    step: int
    epoch: int
    kind: DivergenceKind


@dataclass(frozen=True)
class EpochStatistics:
    """One epoch of all members, NaN where a member has diverged.

    ``epoch`` counts from 1; ``loss`` is the mean training loss over the epoch's batches, each taken
    before its step; accuracy and sparsity are those of the validation set after the epoch.
    """

    epoch: int
    loss: Floats  # (members,)
    validation_accuracy: Floats  # (members,)
    sparsity: Floats  # (members, depth)


@dataclass(frozen=True)
class TrainingResult:
    """Every epoch, and each member's divergence or None.

    There are fewer epochs than asked for only if every member diverged.
    """

    epochs: tuple[EpochStatistics, ...]
    divergences: tuple[Divergence | None, ...]


@dataclass(frozen=True)
class Evaluation:
    """What the members do on labelled data.

    ``accuracy`` counts a sample with a NaN among its logits as wrong; ``loss`` is the mean
    cross-entropy (NaN or inf where the network is); ``sparsity`` is the share of exact zeros of
    phi(h^l) in every layer.
    """

    accuracy: Floats  # (members,)
    loss: Floats  # (members,)
    sparsity: Floats  # (members, depth)


def train(
    ensemble: DenseEnsemble,
    dataset: Dataset,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int = 0,
    on_epoch: Callable[[EpochStatistics], None] | None = None,
) -> TrainingResult:
    """Train every member in place, by plain SGD (no momentum) on its own mean cross-entropy.

    All members see the same batches: in each epoch one permutation of the training set, drawn from
    a generator with ``seed``, cut into batches (the last may be smaller).

    A member has diverged when its loss is not finite, when the norm of its loss's gradient with
    respect to the first layer's weights is above ``GRADIENT_LIMIT`` or NaN, or when its sparsity
    on the validation set after an epoch has fallen below ``KEPT_SPARSITY`` times what its
    activation was made for. The first layer is the place to look because gradients grow on their
    way back to it (Eq. 24). A diverged member keeps the weights it had before that step, or after
    that epoch.

    The ensemble is up to date whenever ``on_epoch`` is called, and also when training is
    interrupted.

    Args:
        ensemble: changed in place.
        dataset: its training set is learnt, its validation set measured after every epoch.
        epochs: at least 1. Training stops early when no member is left.
        learning_rate: positive and finite.
        batch_size: at least 1.
        seed: of the order of the samples.
        on_epoch: called after every epoch.

    Raises:
        ValueError: for an argument out of range, or a data set that does not fit the ensemble.
    """
    _check_arguments(ensemble, dataset, epochs, learning_rate, batch_size)
    x, y = _to_ensemble(ensemble, dataset.train_x, dataset.train_y)
    order = torch.Generator().manual_seed(seed)
    survivors = _Survivors(ensemble)
    divergences: list[Divergence | None] = [None] * ensemble.members
    history: list[EpochStatistics] = []
    step = 0
    try:
        for epoch in range(1, epochs + 1):
            loss = np.zeros(ensemble.members)
            shuffled = torch.randperm(len(x), generator=order).to(x.device)
            for batch in torch.split(shuffled, batch_size):
                step += 1
                losses, diverged = _step(survivors, x[batch], y[batch], learning_rate)
                for member, kind in diverged.items():
                    divergences[member] = Divergence(step, epoch, kind)
                if not survivors.members:
                    break
                loss[survivors.members] += losses.double().cpu().numpy() * (len(batch) / len(x))
            survivors.write_back()
            history.append(_epoch_statistics(epoch, loss, survivors, dataset))
            for member in _without_sparsity(survivors, history[-1]):
                divergences[member] = Divergence(step, epoch, "sparsity lost")
            if on_epoch is not None:
                on_epoch(history[-1])
            if not survivors.members:
                break
    finally:
        survivors.write_back()
    return TrainingResult(tuple(history), tuple(divergences))


@torch.no_grad()
def evaluate(
    ensemble: DenseEnsemble, x: Tensor | NDArray[np.floating], y: Tensor | NDArray[np.integer]
) -> Evaluation:
    """Accuracy, loss and sparsity of every member on inputs (n, in_features) and labels (n,).

    No gradients; NaN where there is no sample.
    """
    x, y = _to_ensemble(ensemble, x, y)
    correct = torch.zeros(ensemble.members, dtype=torch.int64, device=x.device)
    loss = torch.zeros(ensemble.members, dtype=torch.float64, device=x.device)
    nonzero = torch.zeros(ensemble.members, ensemble.depth, dtype=torch.int64, device=x.device)
    with _same_products_alone_as_stacked(ensemble):
        for part in torch.split(torch.arange(len(x), device=x.device), EVALUATION_BATCH):
            inputs, labels = x[part], y[part]
            for layer, (_, activations) in enumerate(ensemble.propagate(inputs)):
                nonzero[:, layer] += activations.count_nonzero(dim=(1, 2))
            logits = ensemble.readout(activations)  # (members, batch, classes)
            right = (logits.argmax(-1) == labels) & ~logits.isnan().any(-1)
            correct += right.sum(-1)
            loss += cross_entropy(logits, labels).double().sum(-1)
    units = len(x) * ensemble.width
    return Evaluation(
        accuracy=(correct.double() / len(x)).cpu().numpy(),
        loss=(loss / len(x)).cpu().numpy(),
        sparsity=(1 - nonzero.double() / units).cpu().numpy(),
    )


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy (members, batch) of logits (members, batch, classes) for labels (batch,)."""
    of_each_sample = labels.expand(logits.shape[:-1]).unsqueeze(-1)  # (members, batch, 1)
    return -logits.log_softmax(-1).gather(-1, of_each_sample).squeeze(-1)


class _Survivors:
    """The members that still train: who they are, and a stack of them alone.

    While all are well the stack is the full ensemble itself and nothing is copied.
    """

    def __init__(self, full: DenseEnsemble) -> None:
        self.full = full
        self.stack = full
        self.members = list(range(full.members))

    def drop(self, places: Iterable[int]) -> None:
        """Freeze the members at these places of the stack and go on without them."""
        self.write_back()
        gone = set(places)
        kept = [place for place in range(len(self.members)) if place not in gone]
        self.members = [self.members[place] for place in kept]
        if self.members:
            self.stack = self.stack.select(kept)

    def write_back(self) -> None:
        """Bring the full ensemble up to date."""
        if self.members and self.stack is not self.full:
            self.full.assign(self.members, self.stack)


def _step(
    survivors: _Survivors, x: Tensor, y: Tensor, learning_rate: float
) -> tuple[Tensor, dict[int, DivergenceKind]]:
    """One step of the survivors: their losses before it, and who diverged, by member.

    Whoever diverges is dropped before the update, and the step is taken again without them; the
    others' gradients come out the same.
    """
    diverged: dict[int, DivergenceKind] = {}
    while True:
        with _same_products_alone_as_stacked(survivors.stack):
            batch = backpropagate(survivors.stack, x, y)
            kinds = _diagnose(batch.losses, batch.first_gradient())
            if not kinds:
                descend(survivors.stack, batch, learning_rate)
                return batch.losses, diverged
        diverged |= {survivors.members[place]: kind for place, kind in kinds.items()}
        survivors.drop(kinds)
        if not survivors.members:
            return batch.losses, diverged


def _diagnose(losses: Tensor, first_gradient: Tensor) -> dict[int, DivergenceKind]:
    """What is wrong with whom, by place in the stack, from (members,) and (members, out, in)."""
    norms = torch.linalg.vector_norm(first_gradient, dim=(1, 2)).tolist()
    kinds: dict[int, DivergenceKind] = {}
    for place, (loss, norm) in enumerate(zip(losses.tolist(), norms, strict=True)):
        if not math.isfinite(loss):
            kinds[place] = "non-finite loss"
        elif not norm <= GRADIENT_LIMIT:  # NaN too
            kinds[place] = "gradient above 1e6"
    return kinds


def _without_sparsity(survivors: _Survivors, statistics: EpochStatistics) -> list[int]:
    """Drop the members that have lost their sparsity, and say which."""
    places = [
        place
        for place, member in enumerate(survivors.members)
        if statistics.sparsity[member].mean()
        < KEPT_SPARSITY * _expected_sparsity(survivors.stack.nets[place])
    ]
    lost = [survivors.members[place] for place in places]
    if lost:
        survivors.drop(places)
    return lost


def _expected_sparsity(net: MeanField) -> float:
    return float(net.activation.sparsity(1.0 if net.q_star is None else net.q_star))


@contextmanager
def _same_products_alone_as_stacked(stack: DenseEnsemble) -> Iterator[None]:
    """Make a lone member's numbers the same, bit for bit, as in any stack.

    A batched product gives each matrix product to one thread, but a stack of one is handed to the
    plain product, which may split its sums among threads and so round them differently. One thread
    does not.
    """
    threads = torch.get_num_threads()
    if stack.members > 1 or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _epoch_statistics(
    epoch: int, loss: Floats, survivors: _Survivors, dataset: Dataset
) -> EpochStatistics:
    members, depth = survivors.full.members, survivors.full.depth
    losses, accuracy = np.full(members, np.nan), np.full(members, np.nan)
    sparsity = np.full((members, depth), np.nan)
    rows = survivors.members
    if rows:
        found = evaluate(survivors.stack, dataset.validation_x, dataset.validation_y)
        losses[rows], accuracy[rows], sparsity[rows] = loss[rows], found.accuracy, found.sparsity
    return EpochStatistics(epoch, losses, accuracy, sparsity)


def _to_ensemble(
    ensemble: DenseEnsemble, x: Tensor | NDArray[np.floating], y: Tensor | NDArray[np.integer]
) -> tuple[Tensor, Tensor]:
    """Inputs and labels as tensors in the ensemble's dtype and on its device."""
    weight = ensemble.weights[0]
    return (
        torch.as_tensor(x, dtype=weight.dtype, device=weight.device),
        torch.as_tensor(y, dtype=torch.int64, device=weight.device),
    )


def _check_arguments(
    ensemble: DenseEnsemble, dataset: Dataset, epochs: int, learning_rate: float, batch_size: int
) -> None:
    for name, count in (("epochs", epochs), ("batch_size", batch_size)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"learning_rate must be positive and finite, got {learning_rate}")
    if dataset.features != ensemble.in_features or dataset.classes > ensemble.out_features:
        raise ValueError(
            f"dataset {dataset.name!r} has {dataset.features} features, {dataset.classes} classes; "
            f"the ensemble takes {ensemble.in_features} and tells {ensemble.out_features} apart"
        )
