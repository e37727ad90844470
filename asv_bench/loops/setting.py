"""Batches of the training loops.

asv imports every module of ``asv_bench``, but skips folders without an ``__init__.py``. So the
modules of this folder, and with them torch and Lightning, are imported only by the benchmarks that
use them.
"""

from __future__ import annotations

from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from torch_models.data import Dataset

Batches = DataLoader[tuple[Tensor, ...]]


def shuffled_batches(dataset: Dataset, batch_size: int) -> Batches:
    """The training set, shuffled in each epoch."""
    return DataLoader(TensorDataset(dataset.train_x, dataset.train_y), batch_size, shuffle=True)
