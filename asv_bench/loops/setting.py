"""What the loops train.

asv imports every module of its folder, but does not look into a folder without an ``__init__.py``:
what is here is imported, and with it torch and Lightning, by the benchmarks that use it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from torch_models.data import Dataset
from torch_models.training.loop import RECORDED_STEPS, Training

LEARNING_RATE = 1e-6
"""So small that the networks stay as they are, however often they are trained."""

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
    """The training set, in memory, in a new order each epoch."""
    return DataLoader(TensorDataset(dataset.train_x, dataset.train_y), batch_size, shuffle=True)


def past_the_first_steps(training: Training) -> None:
    """Let a training that has not begun be beyond the steps whose gradients it records, and warm.

    The first step allocates; on a GPU it also loads kernels and captures the graph.
    """
    training.resume(replace(training.state(), step=RECORDED_STEPS))
    training.advance()
