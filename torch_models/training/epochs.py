"""The statistics of an epoch: training loss, and accuracy and sparsity on the validation set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparsity_theory._types import Array
from torch_models.networks.evaluation import evaluate
from torch_models.training.inputs import inputs_and_labels

if TYPE_CHECKING:
    from torch_models.data import Dataset
    from torch_models.training.training_members import TrainingMembers


@dataclass(frozen=True)
class EpochStatistics:
    """One epoch of all members, NaN for those that have diverged.

    ``epoch`` counts from 1; ``loss`` is the mean training loss over the epoch's samples, each batch
    taken before its step; accuracy and sparsity are those of the validation set after the epoch.
    """

    epoch: int
    loss: Array  # (members,)
    validation_accuracy: Array  # (members,)
    sparsity: Array  # (members, depth)


def epoch_statistics(
    epoch: int, loss: Array, members: TrainingMembers, dataset: Dataset
) -> EpochStatistics:
    """Evaluate the members that train on the validation set; ``loss`` has shape (members,)."""
    count, depth = members.full.members, members.full.depth
    losses, accuracy = np.full(count, np.nan), np.full(count, np.nan)
    sparsity = np.full((count, depth), np.nan)
    rows = members.indices
    if rows:
        x, y = inputs_and_labels(members.full, dataset, dataset.validation_x, dataset.validation_y)
        found = evaluate(members.ensemble, x, y)
        losses[rows], accuracy[rows], sparsity[rows] = loss[rows], found.accuracy, found.sparsity
    return EpochStatistics(epoch, losses, accuracy, sparsity)
