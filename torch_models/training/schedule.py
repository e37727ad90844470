"""The hyperparameters of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral

from torch_models.training.precision import check_precision


@dataclass(frozen=True)
class Schedule:
    """How an ensemble is trained: SGD, plain unless it has momentum.

    In each epoch one permutation of the training set, drawn from a generator that starts with
    ``seed``, is split into batches of ``batch_size`` (the last may be smaller), the same for all
    members. Matrix products are taken in ``precision``, one of `precision.PRECISIONS`. A step is
    ``learning_rate`` times v, where v <- ``momentum`` v + gradient, as in torch.optim.SGD.

    Raises:
        ValueError: unless ``epochs`` and ``batch_size`` are whole numbers of at least 1,
            ``learning_rate`` is positive and finite, ``momentum`` is at least 0 and below 1, and
            ``precision`` is known.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int = 0
    precision: str = "float32"
    momentum: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be at least 1 and whole, got {value!r}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be positive and finite, got {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum!r}")
        check_precision(self.precision)
