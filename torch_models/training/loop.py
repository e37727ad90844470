"""Plain stochastic gradient descent for a stack of networks, where a failure is a result.

A member that diverges is recorded with its step and kind, keeps the weights of its last sound step,
and leaves the computation. Its neighbours do not notice: on the CPU their weights are the same, bit
for bit, as if it had never been there. In dense networks this takes a width that is a multiple of
four: the library of matrix products rounds differently where a matrix begins at an odd place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torch_models.networks.evaluation import evaluate
from torch_models.training.backpropagation import backpropagation
from torch_models.training.divergence import KEPT_SPARSITY, Divergence, DivergenceKind, Watch
from torch_models.training.gpu import CapturedStep
from torch_models.training.precision import check_precision

if TYPE_CHECKING:
    from sparsity_theory import MeanField
    from torch_models.data import Dataset
    from torch_models.networks.ensemble import Ensemble

RECORDED_STEPS = 15
"""Steps at the beginning whose gradient norms are kept layer by layer (Fig. 5)."""

Floats = NDArray[np.float64]


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
class Schedule:
    """How a stack is trained: plain SGD without momentum.

    In each epoch one permutation of the training set, drawn from a generator that starts with
    ``seed``, is cut into batches of ``batch_size`` (the last may be smaller), the same for all
    members.

    Products are taken in ``precision``, one of `precision.PRECISIONS`.

    Raises:
        ValueError: unless ``epochs`` and ``batch_size`` are whole numbers of at least 1,
            ``learning_rate`` is positive and finite, and there is such a precision.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Refuse at once what would fail, or mean nothing, in mid-run."""
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be at least 1 and whole, got {value!r}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be positive and finite, got {self.learning_rate}")
        check_precision(self.precision)


class Training:
    """A stack in training: `advance` takes one step, and after any of them it may stop.

    A member has diverged when its loss is not finite, when the norm of its loss's gradient by the
    first layer's weights is above ``GRADIENT_LIMIT`` or NaN, or when its sparsity on the validation
    set after an epoch has fallen below ``KEPT_SPARSITY`` times what its activation was made for.
    The first layer is the place to look because gradients grow on their way back to it (Eq. 24). A
    diverged member keeps the weights it had before that step, or after that epoch.

    On a GPU the steps of an epoch run without the host waiting for any of them, as one CUDA graph a
    step after the first few. So what is known here of members that have diverged is up to date only
    after `write_back` and at the end of an epoch; until then they stand still in the stack.

    Attributes:
        ensemble: changed in place; up to date after `write_back`.
        schedule: epochs, step size and batches.
        step: steps taken.
        epochs: what was measured after each epoch.
        divergences: one per member, None while it is well.

    Raises:
        ValueError: if the data set does not fit the ensemble.
    """

    def __init__(self, ensemble: Ensemble, dataset: Dataset, schedule: Schedule) -> None:
        _check_fit(ensemble, dataset)
        self.ensemble, self.dataset, self.schedule = ensemble, dataset, schedule
        self.step = 0
        self.epochs: list[EpochStatistics] = []
        self.divergences: list[Divergence | None] = [None] * ensemble.members
        self._survivors = _Survivors(ensemble)
        self._x, self._y = _to_ensemble(ensemble, dataset, dataset.train_x, dataset.train_y)
        self._gradient_norms: list[Tensor] = []  # of (members, depth + 1)
        self._loss = torch.zeros(ensemble.members, dtype=torch.float64, device=self._x.device)
        self._order = torch.Generator().manual_seed(schedule.seed)
        self._regroup()
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

    @property
    def _runs_ahead(self) -> bool:
        """Whether the host must not wait for the device that the networks are on."""
        return self._x.is_cuda

    @property
    def gradient_norms(self) -> list[Floats]:
        """Of the first ``RECORDED_STEPS`` steps, before each: (members, depth + 1).

        Frobenius norms of the gradient by each layer's weights, NaN once a member has diverged.
        """
        return [norms.cpu().numpy() for norms in self._gradient_norms]

    def advance(self) -> None:
        """Take one step; after the last one of an epoch, measure the members on held-out data."""
        batch = self._batches[self.step % len(self._batches)]
        self.step += 1
        if self._runs_ahead:
            self._launch(batch)
        else:
            self._take_step(batch)
            self._read_watch()
        if not self._survivors.members or self.step % len(self._batches) == 0:
            self._end_epoch()

    def write_back(self) -> None:
        """Bring ``ensemble`` and what is known of it up to date."""
        self._read_watch()
        self._survivors.write_back()

    def state(self) -> TrainingState:
        """Everything besides the weights that going on from here takes."""
        return TrainingState(
            self.step,
            self._order_before,
            self._loss.cpu().numpy().copy(),
            list(self.epochs),
            self.gradient_norms,
            list(self.divergences),
        )

    def resume(self, state: TrainingState) -> None:
        """Go on from ``state``, with an ensemble that has the weights that belong to it."""
        self.step, self.epochs = state.step, list(state.epochs)
        self._gradient_norms = [
            torch.tensor(norms, device=self._x.device) for norms in state.gradient_norms
        ]
        self._order.set_state(state.order)
        self.divergences = list(state.divergences)
        self._survivors = _Survivors(self.ensemble)
        self._regroup()
        self._drop({member: end for member, end in enumerate(state.divergences) if end is not None})
        self._shuffle()
        self._loss.copy_(torch.from_numpy(state.loss))

    def _regroup(self) -> None:
        """Prepare the steps of the present survivors."""
        stack, device = self._survivors.stack, self._x.device
        self._watch = Watch(stack.members, self.step, device)  # first: the old one names old places
        self._passes = backpropagation(stack, self.schedule.precision)
        self._places = torch.tensor(self._survivors.members, dtype=torch.int64, device=device)
        self._warm = False  # has a step of full size loaded its kernels and taken its memory?
        self._captured: CapturedStep | None = None

    def _shuffle(self) -> None:
        """Draw the order of the samples in a new epoch."""
        self._order_before = self._order.get_state()
        shuffled = torch.randperm(len(self._x), generator=self._order).to(self._x.device)
        self._batches = torch.split(shuffled, int(self.schedule.batch_size))
        self._loss.zero_()  # in place, as a captured step goes on adding to it

    def _launch(self, batch: Tensor) -> None:
        """One step on a GPU; all of full size, after the first few, are launches of one graph."""
        full = len(batch) == self.schedule.batch_size
        if not (full and self._warm and self.step > RECORDED_STEPS):
            self._take_step(batch)
            self._warm |= full
            return
        if self._captured is None:
            self._captured = CapturedStep(self._take_step, batch)
        self._captured(batch)

    def _take_step(self, batch: Tensor) -> None:
        """One step of the survivors; nothing here waits for the device that they are on."""
        x, y = self._x.index_select(0, batch), self._y.index_select(0, batch)
        found = self._passes.forward_backward(x, y)
        if self.step <= RECORDED_STEPS:
            self._record(found.gradient_norms())
        self._watch.look(found.losses, found.first_gradient_norm())
        self._loss.index_add_(0, self._places, found.losses.double() * (len(batch) / len(self._x)))
        found.sgd_step(self.schedule.learning_rate, self._frozen())

    def _record(self, norms: Tensor) -> None:
        """Keep the survivors' gradient norms of this step."""
        own = norms.double().masked_fill(self._watch.frozen.unsqueeze(1), math.nan)
        of_all = own.new_full((self.ensemble.members, norms.shape[1]), math.nan)
        self._gradient_norms.append(of_all.index_copy(0, self._places, own))

    def _frozen(self) -> Tensor | None:
        """Who must not be updated; None if that is nobody, as far as asking is free."""
        frozen = self._watch.frozen
        return frozen if self._runs_ahead or frozen.any() else None

    def _read_watch(self) -> None:
        """Learn who has diverged, and go on without them."""
        self._drop(
            {
                place: Divergence(step, (step - 1) // self.steps_an_epoch + 1, kind)
                for place, step, kind in self._watch.read()
            }
        )

    def _end_epoch(self) -> None:
        self.write_back()
        epoch = len(self.epochs) + 1
        loss = self._loss.cpu().numpy()
        self.epochs.append(_epoch_statistics(epoch, loss, self._survivors, self.dataset))
        lost: DivergenceKind = "sparsity lost"
        places = _without_sparsity(self._survivors, self.epochs[-1])
        self._drop({place: Divergence(self.step, epoch, lost) for place in places})
        self._shuffle()

    def _drop(self, divergences: dict[int, Divergence]) -> None:
        """Freeze the members at these places of the stack, for these reasons."""
        if divergences:
            for place, divergence in divergences.items():
                self.divergences[self._survivors.members[place]] = divergence
            self._survivors.drop(divergences)
            self._regroup()


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands between two steps, but for the weights.

    Plain SGD has no memory of its own, so this is all: the steps taken, the state of the generator
    of the samples' order at the beginning of this epoch, each member's loss so far in it, what was
    measured before, and who has diverged.
    """

    step: int
    order: Tensor  # uint8
    loss: Floats  # (members,)
    epochs: list[EpochStatistics]
    gradient_norms: list[Floats]  # of (members, depth + 1)
    divergences: list[Divergence | None]


def train(
    ensemble: Ensemble,
    dataset: Dataset,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int = 0,
    precision: str = "float32",
    on_epoch: Callable[[EpochStatistics], None] | None = None,
) -> TrainingResult:
    """Train every member in place, by plain SGD (no momentum) on its own mean cross-entropy.

    `Schedule` says how the batches are made, `Training` when a member counts as diverged. The
    ensemble is up to date whenever ``on_epoch`` is called, and also when training is interrupted;
    if that is in the middle of a step, the step may have reached only some of the layers.

    Args:
        ensemble: changed in place.
        dataset: its training set is learnt, its validation set measured after every epoch.
        epochs: at least 1. Training stops early when no member is left.
        learning_rate: positive and finite.
        batch_size: at least 1.
        seed: of the order of the samples.
        precision: of the products: float32, or on a GPU tf32, or bf16.
        on_epoch: called after every epoch.

    Raises:
        ValueError: for an argument out of range, or a data set that does not fit the ensemble.
    """
    schedule = Schedule(epochs, learning_rate, batch_size, seed, precision)
    training = Training(ensemble, dataset, schedule)
    try:
        while not training.finished:
            seen = len(training.epochs)
            training.advance()
            if on_epoch is not None and len(training.epochs) > seen:
                on_epoch(training.epochs[-1])
    finally:
        training.write_back()
    return TrainingResult(tuple(training.epochs), tuple(training.divergences))


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
        stack = self.stack.select(kept) if kept else self.stack
        self.members, self.stack = [self.members[place] for place in kept], stack

    def write_back(self) -> None:
        """Bring the full ensemble up to date."""
        if self.members and self.stack is not self.full:
            self.full.assign(self.members, self.stack)


def _without_sparsity(survivors: _Survivors, statistics: EpochStatistics) -> list[int]:
    """The places in the stack of the members that have lost their sparsity."""
    return [
        place
        for place, member in enumerate(survivors.members)
        if statistics.sparsity[member].mean()
        < KEPT_SPARSITY * _expected_sparsity(survivors.stack.nets[place])
    ]


def _expected_sparsity(net: MeanField) -> float:
    return float(net.activation.sparsity(1.0 if net.q_star is None else net.q_star))


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
    images, labels = len(dataset.train_x), dataset.train_y
    if not 0 < images == len(labels):
        raise ValueError(
            f"dataset {dataset.name!r} must have a training image and one label for each, got "
            f"{images} images and {len(labels)} labels"
        )
    low, high = labels.min().item(), labels.max().item()
    if low < 0 or high >= dataset.classes:
        raise ValueError(
            f"dataset {dataset.name!r} must have training labels from 0 to {dataset.classes - 1}, "
            f"got {low} to {high}"
        )
