"""The state of a training between two steps, from which it can be resumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from sparsity_theory._types import Array

if TYPE_CHECKING:
    from torch_models.training.divergence import Divergence
    from torch_models.training.epochs import EpochStatistics


@dataclass(frozen=True)
class TrainingState:
    """Everything that resuming takes, except the weights and the velocity of momentum.

    Attributes:
        step: steps taken.
        order: state of the generator of the permutations, at the beginning of this epoch; uint8.
        loss: of every member, (members,), its sum over this epoch so far, each batch weighted by
            its share of the training set.
        epochs: the statistics of the epochs before.
        gradient_norms: of the first `loop.RECORDED_STEPS` steps, each (members, depth + 1).
        divergences: one per member, None if it has not diverged.
    """

    step: int
    order: Tensor
    loss: Array
    epochs: list[EpochStatistics]
    gradient_norms: list[Array]
    divergences: list[Divergence | None]
