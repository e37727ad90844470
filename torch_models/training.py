"""Plain stochastic gradient descent for a stack of networks, where a failure is a result.

A member that diverges is recorded with its step and kind, keeps the weights of its last sound step,
and leaves the computation. Its neighbours do not notice: on the CPU their weights are the same, bit
for bit, as if it had never been there. In dense networks this takes a width that is a multiple of
four: the library of matrix products rounds differently where a matrix begins at an odd place.
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

from torch_models.losses import cross_entropy

if TYPE_CHECKING:
    from sparsity_theory import MeanField
    from torch_models.data import Dataset
    from torch_models.ensembles import Ensemble

GRADIENT_LIMIT = 1e6
"""A member whose first-layer gradient has a larger norm than this has diverged."""

EVALUATION_BATCH = 512
"""Samples per forward pass in ``evaluate``; bounds its memory, not its result."""

KEPT_SPARSITY = 0.5
"""A member whose sparsity falls below this part of what it was made for has diverged."""

RECORDED_STEPS = 15
"""Steps at the beginning whose gradient norms are kept layer by layer (Fig. 5)."""

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


@dataclass(frozen=True)
class Schedule:
    """How a stack is trained: plain SGD without momentum.

    In each epoch one permutation of the training set, drawn from a generator that starts with
    ``seed``, is cut into batches of ``batch_size`` (the last may be smaller), the same for all
    members.

    Raises:
        ValueError: unless ``epochs`` and ``batch_size`` are at least 1 and ``learning_rate`` is
            positive and finite.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse at once what would fail, or mean nothing, in mid-run."""
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be positive and finite, got {self.learning_rate}")


class Training:
    """A stack in training: `advance` takes one step, and after any of them it may stop.

    A member has diverged when its loss is not finite, when the norm of its loss's gradient by the
    first layer's weights is above ``GRADIENT_LIMIT`` or NaN, or when its sparsity on the validation
    set after an epoch has fallen below ``KEPT_SPARSITY`` times what its activation was made for.
    The first layer is the place to look because gradients grow on their way back to it (Eq. 24). A
    diverged member keeps the weights it had before that step, or after that epoch.

    Attributes:
        ensemble: changed in place; up to date after `write_back`.
        schedule: epochs, step size and batches.
        step: steps taken.
        epochs: what was measured after each epoch.
        gradient_norms: of the first ``RECORDED_STEPS`` steps, before each: (members, depth + 1),
            Frobenius norms of the gradient by each layer's weights, NaN once a member has diverged.
        divergences: one per member, None while it is well.

    Raises:
        ValueError: if the data set does not fit the ensemble.
    """

    def __init__(self, ensemble: Ensemble, dataset: Dataset, schedule: Schedule) -> None:
        _check_fit(ensemble, dataset)
        self.ensemble, self.dataset, self.schedule = ensemble, dataset, schedule
        self.step = 0
        self.epochs: list[EpochStatistics] = []
        self.gradient_norms: list[Floats] = []
        self.divergences: list[Divergence | None] = [None] * ensemble.members
        self._survivors = _Survivors(ensemble)
        self._x, self._y = _to_ensemble(ensemble, dataset, dataset.train_x, dataset.train_y)
        self._order = torch.Generator().manual_seed(schedule.seed)
        self._shuffle()

    @property
    def finished(self) -> bool:
        """Whether all epochs are over or no member is left."""
        return not self._survivors.members or len(self.epochs) == self.schedule.epochs

    @property
    def alive(self) -> list[int]:
        """The members that still train."""
        return list(self._survivors.members)

    @property
    def ended(self) -> set[int]:
        """The members whose training is over: those that have diverged, at the end all."""
        gone = set(range(self.ensemble.members))
        return gone if self.finished else gone - set(self._survivors.members)

    @property
    def steps_an_epoch(self) -> int:
        """Number of batches."""
        return len(self._batches)

    def advance(self) -> None:
        """Take one step; after the last one of an epoch, measure the members on held-out data."""
        batch = self._batches[self.step % len(self._batches)]
        self.step += 1
        losses = self._descend(self._x[batch], self._y[batch])
        members = self._survivors.members
        if members:
            self._loss[members] += losses * (len(batch) / len(self._x))
        if not members or self.step % len(self._batches) == 0:
            self._end_epoch()

    def write_back(self) -> None:
        """Bring ``ensemble`` up to date."""
        self._survivors.write_back()

    def state(self) -> TrainingState:
        """Everything besides the weights that going on from here takes."""
        return TrainingState(
            self.step, self._order_before, self._loss, list(self.epochs), list(self.gradient_norms)
        )

    def resume(self, state: TrainingState) -> None:
        """Go on from ``state``, with an ensemble that has the weights that belong to it."""
        self.step, self.epochs = state.step, list(state.epochs)
        self.gradient_norms = list(state.gradient_norms)
        self._order.set_state(state.order)
        self._shuffle()
        self._loss = state.loss.copy()

    def _shuffle(self) -> None:
        """Draw the order of the samples in a new epoch."""
        self._order_before = self._order.get_state()
        shuffled = torch.randperm(len(self._x), generator=self._order).to(self._x.device)
        self._batches = torch.split(shuffled, self.schedule.batch_size)
        self._loss = np.zeros(self.ensemble.members)

    def _descend(self, x: Tensor, y: Tensor) -> Floats:
        """One step of the survivors; returns their losses before it, in float64.

        Whoever diverges is dropped before the update, and the step is taken again without them; the
        others' gradients come out the same.
        """
        norms = np.full((self.ensemble.members, self.ensemble.depth + 1), np.nan)
        while self._survivors.members:
            with _same_products_alone_as_stacked(self._survivors.stack):
                batch = self._survivors.stack.backpropagate(x, y)
                if self.step <= RECORDED_STEPS:
                    norms[self._survivors.members] = batch.gradient_norms().double().cpu().numpy()
                kinds = _diagnose(batch.losses, batch.first_gradient_norm())
                if not kinds:
                    batch.descend(self.schedule.learning_rate)
                    break
            self._drop(kinds)
        if self.step <= RECORDED_STEPS:
            self.gradient_norms.append(norms)
        losses: Floats = batch.losses.double().cpu().numpy()
        return losses

    def _end_epoch(self) -> None:
        self.write_back()
        self.epochs.append(
            _epoch_statistics(len(self.epochs) + 1, self._loss, self._survivors, self.dataset)
        )
        self._drop(_without_sparsity(self._survivors, self.epochs[-1]), epoch=len(self.epochs))
        self._shuffle()

    def _drop(self, kinds: dict[int, DivergenceKind], epoch: int | None = None) -> None:
        """Freeze the members at these places of the stack, for these reasons."""
        for place, kind in kinds.items():
            member = self._survivors.members[place]
            in_epoch = len(self.epochs) + 1 if epoch is None else epoch
            self.divergences[member] = Divergence(self.step, in_epoch, kind)
        if kinds:
            self._survivors.drop(kinds)


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands between two steps, but for the weights.

    Plain SGD has no memory of its own, so this is all: the steps taken, the state of the generator
    of the samples' order at the beginning of this epoch, each member's loss so far in it, and what
    was measured before.
    """

    step: int
    order: Tensor  # uint8
    loss: Floats  # (members,)
    epochs: list[EpochStatistics]
    gradient_norms: list[Floats]  # of (members, depth + 1)


def train(
    ensemble: Ensemble,
    dataset: Dataset,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int = 0,
    on_epoch: Callable[[EpochStatistics], None] | None = None,
) -> TrainingResult:
    """Train every member in place, by plain SGD (no momentum) on its own mean cross-entropy.

    `Schedule` says how the batches are made, `Training` when a member counts as diverged. The
    ensemble is up to date whenever ``on_epoch`` is called, and also when training is interrupted.

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
    training = Training(ensemble, dataset, Schedule(epochs, learning_rate, batch_size, seed))
    try:
        while not training.finished:
            seen = len(training.epochs)
            training.advance()
            if on_epoch is not None and len(training.epochs) > seen:
                on_epoch(training.epochs[-1])
    finally:
        training.write_back()
    return TrainingResult(tuple(training.epochs), tuple(training.divergences))


@torch.no_grad()
def evaluate(
    ensemble: Ensemble, x: Tensor | NDArray[np.floating], y: Tensor | NDArray[np.integer]
) -> Evaluation:
    """Accuracy, loss and sparsity of every member on inputs that it propagates and labels (n,).

    No gradients; NaN where there is no sample.
    """
    weight = ensemble.weights[0]
    x = torch.as_tensor(x, dtype=weight.dtype, device=weight.device)
    y = torch.as_tensor(y, dtype=torch.int64, device=weight.device)
    correct = torch.zeros(ensemble.members, dtype=torch.int64, device=x.device)
    loss = torch.zeros(ensemble.members, dtype=torch.float64, device=x.device)
    nonzero = torch.zeros(ensemble.members, ensemble.depth, dtype=torch.int64, device=x.device)
    units = 0  # in a layer, over all samples; layers are of one size
    with _same_products_alone_as_stacked(ensemble):
        for part in torch.split(torch.arange(len(x), device=x.device), EVALUATION_BATCH):
            inputs, labels = x[part], y[part]
            for layer, (_, activations) in enumerate(ensemble.propagate(inputs)):
                nonzero[:, layer] += activations.flatten(1).count_nonzero(dim=1)
            units += activations[0].numel()
            logits = ensemble.readout(activations)  # (members, batch, classes)
            right = (logits.argmax(-1) == labels) & ~logits.isnan().any(-1)
            correct += right.sum(-1)
            loss += cross_entropy(logits, labels).double().sum(-1)
    return Evaluation(
        accuracy=(correct.double() / len(x)).cpu().numpy(),
        loss=(loss / len(x)).cpu().numpy(),
        sparsity=(1 - nonzero.double() / units).cpu().numpy(),
    )


class _Survivors:
    """The members that still train: who they are, and a stack of them alone.

    While all are well the stack is the full ensemble itself and nothing is copied.
    """

    def __init__(self, full: Ensemble) -> None:
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


def _diagnose(losses: Tensor, norms: Tensor) -> dict[int, DivergenceKind]:
    """What is wrong with whom, by place in the stack, from its losses and first gradient norms."""
    kinds: dict[int, DivergenceKind] = {}
    for place, (loss, norm) in enumerate(zip(losses.tolist(), norms.tolist(), strict=True)):
        if not math.isfinite(loss):
            kinds[place] = "non-finite loss"
        elif not norm <= GRADIENT_LIMIT:  # NaN too
            kinds[place] = "gradient above 1e6"
    return kinds


def _without_sparsity(
    survivors: _Survivors, statistics: EpochStatistics
) -> dict[int, DivergenceKind]:
    """The members that have lost their sparsity, by place in the stack."""
    return {
        place: "sparsity lost"
        for place, member in enumerate(survivors.members)
        if statistics.sparsity[member].mean()
        < KEPT_SPARSITY * _expected_sparsity(survivors.stack.nets[place])
    }


def _expected_sparsity(net: MeanField) -> float:
    return float(net.activation.sparsity(1.0 if net.q_star is None else net.q_star))


@contextmanager
def _same_products_alone_as_stacked(stack: Ensemble) -> Iterator[None]:
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
        x, y = _to_ensemble(survivors.full, dataset, dataset.validation_x, dataset.validation_y)
        found = evaluate(survivors.stack, x, y)
        losses[rows], accuracy[rows], sparsity[rows] = loss[rows], found.accuracy, found.sparsity
    return EpochStatistics(epoch, losses, accuracy, sparsity)


def _to_ensemble(
    ensemble: Ensemble, dataset: Dataset, x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Rows of a data set and their labels as what the ensemble takes, in its dtype and place."""
    weight = ensemble.weights[0]
    return (
        ensemble.shaped(x.to(weight.device, weight.dtype), dataset.image_shape),
        y.to(weight.device, torch.int64),
    )


def _check_fit(ensemble: Ensemble, dataset: Dataset) -> None:
    if dataset.classes > ensemble.out_features:
        raise ValueError(
            f"dataset {dataset.name!r} has {dataset.classes} classes, the ensemble tells "
            f"{ensemble.out_features} apart"
        )
