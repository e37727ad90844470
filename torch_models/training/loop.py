"""Stochastic gradient descent for an ensemble, in which divergence is a result.

A member that diverges is recorded with its step and kind, keeps the weights of its last finite
step, and is removed from the computation. The other members' results do not change: on the CPU
their weights are the same, bit for bit, as in an ensemble without it. In dense networks this takes
a width that is a multiple of four: matrix products round differently where a matrix is aligned
differently.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torch_models.training.backpropagation import backpropagation, check_architecture
from torch_models.training.divergence import Divergence, DivergenceMonitor, sparsity_halved
from torch_models.training.epochs import EpochStatistics, epoch_statistics
from torch_models.training.gpu import CapturedStep
from torch_models.training.inputs import check_fit, inputs_and_labels
from torch_models.training.schedule import Schedule
from torch_models.training.state import TrainingState
from torch_models.training.training_members import TrainingMembers

if TYPE_CHECKING:
    from sparsity_theory._types import Array
    from torch_models.data import Dataset
    from torch_models.networks.ensemble import Ensemble

RECORDED_STEPS = 15
"""Number of first steps whose gradient norms are recorded for every layer (Fig. 5)."""


@dataclass(frozen=True)
class TrainingResult:
    """The statistics of every epoch, and each member's divergence or None.

    There are fewer epochs than scheduled only if every member diverged.
    """

    epochs: tuple[EpochStatistics, ...]
    divergences: tuple[Divergence | None, ...]


def train(
    ensemble: Ensemble,
    dataset: Dataset,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int = 0,
    precision: str = "float32",
    momentum: float = 0.0,
    on_epoch: Callable[[EpochStatistics], None] | None = None,
) -> TrainingResult:
    """Train every member in place, by SGD on its own mean cross-entropy.

    `Schedule` defines the batches, and `Training` when a member counts as diverged. The ensemble is
    up to date whenever ``on_epoch`` is called, and also after an exception or KeyboardInterrupt; an
    interrupted step may have updated only some of the layers.

    Args:
        ensemble: changed in place.
        dataset: members train on its training set and are evaluated on its validation set after
            every epoch.
        epochs: at least 1. Training stops early when no member is left.
        learning_rate: positive and finite.
        batch_size: at least 1.
        seed: of the order of the samples.
        precision: of matrix products: "float32", "bf16", or on a CUDA device "tf32".
        momentum: as in torch.optim.SGD, at least 0 and below 1.
        on_epoch: called after every epoch.

    Raises:
        ValueError: for an argument out of range, or a data set that does not fit the ensemble.
        TypeError: for an ensemble that is neither dense nor convolutional.
    """
    schedule = Schedule(epochs, learning_rate, batch_size, seed, precision, momentum)
    training = Training(ensemble, dataset, schedule)
    try:
        while not training.finished:
            done = len(training.epochs)
            training.advance()
            if on_epoch is not None and len(training.epochs) > done:
                on_epoch(training.epochs[-1])
    finally:
        training.write_back()
    return TrainingResult(tuple(training.epochs), tuple(training.divergences))


class Training:
    """The training of an ensemble; `advance` takes one step, and one may stop after any step.

    A member has diverged when its loss is not finite, when the norm of its gradient by the first
    layer's weights is above ``GRADIENT_LIMIT`` or NaN, or when its sparsity on the validation set
    after an epoch is below ``KEPT_SPARSITY`` times the mean field's. The first layer is checked
    because gradients grow in the backward pass (Eq. 24). A diverged member keeps the weights from
    before that step, or from the end of that epoch.

    On a CUDA device the steps of an epoch run without synchronization, and after the first few each
    is one CUDA graph. Members that diverge are frozen on the device at once; ``divergences`` and
    ``training_members`` show them only after `write_back` and at the end of an epoch.

    Attributes:
        ensemble: changed in place; up to date after `write_back`.
        velocity: v of `Schedule` for each of the ensemble's parameters, up to date after
            `write_back`; empty without momentum.
        schedule: epochs, learning rate, batch size, seed, precision and momentum.
        step: number of steps taken.
        epochs: the statistics of every epoch.
        divergences: one per member, None if it has not diverged.

    Raises:
        ValueError: if the data set does not fit the ensemble.
        TypeError: for an ensemble that is neither dense nor convolutional.
    """

    def __init__(self, ensemble: Ensemble, dataset: Dataset, schedule: Schedule) -> None:
        check_architecture(ensemble)
        check_fit(ensemble, dataset)
        self.ensemble, self.dataset, self.schedule = ensemble, dataset, schedule
        self.step = 0
        self.epochs: list[EpochStatistics] = []
        self.divergences: list[Divergence | None] = [None] * ensemble.members
        moving = ensemble.parameters() if schedule.momentum else ()
        self.velocity = [torch.zeros_like(parameter) for parameter in moving]
        self._members = TrainingMembers(ensemble, self.velocity)
        self._x, self._y = inputs_and_labels(ensemble, dataset, dataset.train_x, dataset.train_y)
        self._gradient_norms: list[Tensor] = []  # of (members, depth + 1)
        self._loss = torch.zeros(ensemble.members, dtype=torch.float64, device=self._x.device)
        self._order = torch.Generator().manual_seed(schedule.seed)
        self._prepare_steps()
        self._shuffle()

    @property
    def finished(self) -> bool:
        """Whether all epochs are over or no member is left."""
        return not self._members.indices or len(self.epochs) == self.schedule.epochs

    @property
    def training_members(self) -> list[int]:
        """The members that have not diverged."""
        return list(self._members.indices)

    @property
    def finished_members(self) -> set[int]:
        """The members whose training is over: the diverged ones, and all once `finished`."""
        every = set(range(self.ensemble.members))
        return every if self.finished else every - set(self._members.indices)

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches."""
        return len(self._batches)

    @property
    def gradient_norms(self) -> list[Array]:
        """Before each of the first ``RECORDED_STEPS`` steps, (members, depth + 1).

        Frobenius norms of the gradient by each layer's weights, NaN after a member has diverged.
        """
        return [norms.cpu().numpy() for norms in self._gradient_norms]

    def advance(self) -> None:
        """Take one step; after the last one of an epoch, evaluate on the validation set."""
        batch = self._batches[self.step % len(self._batches)]
        self.step += 1
        if self._runs_ahead:
            self._launch(batch)
        else:
            self._take_step(batch)
            self._drop_diverged()
        if not self._members.indices or self.step % len(self._batches) == 0:
            self._end_epoch()

    def write_back(self) -> None:
        """Bring ``ensemble``, ``velocity``, ``divergences`` and ``training_members`` up to date."""
        self._drop_diverged()
        self._members.write_back()

    def state(self) -> TrainingState:
        """What `resume` takes besides the weights and the velocity."""
        return TrainingState(
            self.step,
            self._order_at_epoch,
            self._loss.cpu().numpy().copy(),
            list(self.epochs),
            self.gradient_norms,
            list(self.divergences),
        )

    def resume(self, state: TrainingState) -> None:
        """Continue from ``state``; ``ensemble`` and ``velocity`` must hold those of that step."""
        self.step, self.epochs = state.step, list(state.epochs)
        self._gradient_norms = [
            torch.tensor(norms, device=self._x.device) for norms in state.gradient_norms
        ]
        self._order.set_state(state.order)
        self.divergences = list(state.divergences)
        self._members = TrainingMembers(self.ensemble, self.velocity)
        self._prepare_steps()
        self._drop({member: d for member, d in enumerate(state.divergences) if d is not None})
        self._shuffle()
        self._loss.copy_(torch.from_numpy(state.loss))

    @property
    def _runs_ahead(self) -> bool:
        """Whether the host launches steps without synchronizing with the device."""
        return self._x.is_cuda

    def _prepare_steps(self) -> None:
        """Set up what a step needs, for the members that train now."""
        ensemble, device = self._members.ensemble, self._x.device
        # First, in case of an interrupt: the old monitor's indices are those of the old ensemble.
        self._monitor = DivergenceMonitor(ensemble.members, self.step, device)
        self._backpropagation = backpropagation(ensemble, self.schedule.precision)
        self._direction = self._members.direction(self.schedule.momentum)
        self._indices = torch.tensor(self._members.indices, dtype=torch.int64, device=device)
        self._warm = False  # whether a full batch has loaded the kernels and allocated memory
        self._captured: CapturedStep | None = None

    def _shuffle(self) -> None:
        """Draw the batches of the next epoch."""
        self._order_at_epoch = self._order.get_state()
        shuffled = torch.randperm(len(self._x), generator=self._order).to(self._x.device)
        self._batches = torch.split(shuffled, int(self.schedule.batch_size))
        self._loss.zero_()  # in place: a captured step adds to this memory

    def _launch(self, batch: Tensor) -> None:
        """One step on a CUDA device: after the first few, full batches replay one CUDA graph."""
        full = len(batch) == self.schedule.batch_size
        if not (full and self._warm and self.step > RECORDED_STEPS):
            self._take_step(batch)
            self._warm |= full
            return
        if self._captured is None:
            self._captured = CapturedStep(self._take_step, batch)
        self._captured(batch)

    def _take_step(self, batch: Tensor) -> None:
        """One step of the members that train, without synchronizing with the device."""
        x, y = self._x.index_select(0, batch), self._y.index_select(0, batch)
        found = self._backpropagation.forward_backward(x, y)
        if self.step <= RECORDED_STEPS:
            self._record(found.gradient_norms())
        self._monitor.update(found.losses, found.first_gradient_norm())
        self._loss.index_add_(0, self._indices, found.losses.double() * (len(batch) / len(self._x)))
        found.sgd_step(self.schedule.learning_rate, self._frozen(), self._direction)

    def _record(self, norms: Tensor) -> None:
        """Keep the gradient norms of this step."""
        own = norms.double().masked_fill(self._monitor.frozen.unsqueeze(1), math.nan)
        of_all = own.new_full((self.ensemble.members, norms.shape[1]), math.nan)
        self._gradient_norms.append(of_all.index_copy(0, self._indices, own))

    def _frozen(self) -> Tensor | None:
        """Which members not to update; on the CPU None if there is none."""
        frozen = self._monitor.frozen
        return frozen if self._runs_ahead or frozen.any() else None

    def _end_epoch(self) -> None:
        """Evaluate the members, and drop those whose sparsity has halved."""
        self.write_back()
        epoch, loss = len(self.epochs) + 1, self._loss.cpu().numpy()
        statistics = epoch_statistics(epoch, loss, self._members, self.dataset)
        self.epochs.append(statistics)
        self._drop(
            {
                position: Divergence(self.step, epoch, "sparsity halved")
                for position, member in enumerate(self._members.indices)
                if sparsity_halved(self.ensemble.nets[member], statistics.sparsity[member].mean())
            }
        )
        self._shuffle()

    def _drop_diverged(self) -> None:
        """Read from the monitor who has diverged, and continue without them."""
        self._drop(
            {
                position: Divergence(step, (step - 1) // self.steps_per_epoch + 1, kind)
                for position, step, kind in self._monitor.read()
            }
        )

    def _drop(self, divergences: dict[int, Divergence]) -> None:
        """Remove the members at these positions among those that train."""
        if divergences:
            for position, divergence in divergences.items():
                self.divergences[self._members.indices[position]] = divergence
            self._members.drop(divergences)
            self._prepare_steps()
