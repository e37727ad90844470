"""Data and settings of the training loops.

asv imports every module of ``asv_bench``, but skips folders without an ``__init__.py``. So the
modules of this folder, and with them torch and Lightning, are imported only by the benchmarks that
use them.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from torch_models.data import Dataset
from torch_models.training.loop import RECORDED_STEPS, Training

LEARNING_RATE = 1e-6
"""So small that the weights hardly change, however many steps are taken."""

Batches = DataLoader[tuple[Tensor, ...]]


def random_dataset(samples: int, features: int, classes: int) -> Dataset:
    """Noise of variance one with random labels; one of the samples is held out too."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, features, generator=generator)
    y = torch.randint(classes, (samples,), generator=generator)
    return Dataset(
        name="noise",
        source="random numbers",
        train_x=x,
        train_y=y,
        validation_x=x[:1],
        validation_y=y[:1],
        test_x=x[:1],
        test_y=y[:1],
        classes=classes,
        image_shape=(1, 1, features),
        checksums={},
    )


def shuffled_batches(dataset: Dataset, batch_size: int) -> Batches:
    """The training set, shuffled in each epoch."""
    return DataLoader(TensorDataset(dataset.train_x, dataset.train_y), batch_size, shuffle=True)


def past_the_first_steps(training: Training) -> None:
    """Set a new training past the steps whose gradients it records, and take a step to warm up.

    The first step allocates memory; on a GPU it also loads kernels and captures the graph.
    """
    training.resume(replace(training.state(), step=RECORDED_STEPS))
    training.advance()
