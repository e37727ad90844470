"""Smaller data sets, for shorter trainings than the paper's: fewer images, or fewer pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, hardshrink

from torch_models.data.dataset import Dataset, normalize_images

ZERO_CONTRAST = 1e-5
"""Averages below this, in units of the image's standard deviation, are zero but for rounding.

Averages of whole grey levels over at most 16 x 16 pixels differ by at least 3e-5, or not at all.
"""


def subset(dataset: Dataset, train: int, test: int, seed: int = 0) -> Dataset:
    """Keep ``train`` random training images, drawn by ``seed``, and the first ``test`` test images.

    The validation set is reduced in the proportion of the training set (to at least one image), and
    ``source`` states all three sizes. The checksums remain those of the whole data set.

    Raises:
        ValueError: unless each size is from 1 to that of the whole data set.
    """
    for name, size, whole in (
        ("train", train, len(dataset.train_y)),
        ("test", test, len(dataset.test_y)),
    ):
        if not 1 <= size <= whole:
            raise ValueError(f"{name} must be from 1 to {whole}, got {size}")
    kept = torch.from_numpy(np.random.default_rng(seed).permutation(len(dataset.train_y))[:train])
    held_out = max(1, round(len(dataset.validation_y) * train / len(dataset.train_y)))
    return replace(
        dataset,
        source=(
            f"{dataset.source}; {train:,} of {len(dataset.train_y):,} images to train on by seed "
            f"{seed}, the first {held_out:,} of {len(dataset.validation_y):,} held out and the "
            f"first {test:,} of {len(dataset.test_y):,} to test on"
        ),
        train_x=dataset.train_x[kept],
        train_y=dataset.train_y[kept],
        validation_x=dataset.validation_x[
            :held_out
        ].clone(),  # a view would keep the whole in memory
        validation_y=dataset.validation_y[:held_out].clone(),
        test_x=dataset.test_x[:test].clone(),
        test_y=dataset.test_y[:test].clone(),
    )


def coarsen(dataset: Dataset, factor: int) -> Dataset:
    """Average blocks of ``factor`` x ``factor`` pixels, and scale each image to its old variance.

    Raises:
        ValueError: unless ``factor`` is at least 1 and divides rows and columns.
        DataError: for an image whose averages are all equal.
    """
    channels, rows, columns = dataset.image_shape
    if factor < 1 or rows % factor or columns % factor:
        raise ValueError(
            f"factor must be a positive divisor of {rows} rows and {columns} columns, got {factor}"
        )
    return replace(
        dataset,
        source=f"{dataset.source}; averaged over blocks of {factor} x {factor} pixels",
        train_x=_coarse(dataset.train_x, dataset, factor),
        validation_x=_coarse(dataset.validation_x, dataset, factor),
        test_x=_coarse(dataset.test_x, dataset, factor),
        image_shape=(channels, rows // factor, columns // factor),
    )


def _coarse(x: torch.Tensor, dataset: Dataset, factor: int) -> torch.Tensor:
    averages = avg_pool2d(x.view(-1, *dataset.image_shape), factor).flatten(1)
    # Every image has mean 0, so one whose averages are all equal is 0 but for rounding.
    averages = hardshrink(averages, ZERO_CONTRAST * dataset.variance**0.5)
    return torch.from_numpy(normalize_images(averages.numpy(), dataset.variance))
